"""From a run back to its videos and their frames, for notebooks and scripts."""

from pathlib import Path

import numpy as np
import polars as pl

from fvc_exp._typing import Frame
from fvc_exp.data.columns import KEY
from fvc_exp.demo.corpus import corpus_folder
from fvc_exp.runs.load import LoadedRun
from fvc_exp.video.decode import SampledFrames


def run_videos(run_folder: Path) -> pl.DataFrame:
    """``predictions.parquet`` with the absolute path of each video as ``file``, and whether it ``exists``.

    Raises:
        ArtifactError: the folder holds no finished training run.
    """
    run = LoadedRun(run_folder)
    files = [_data_root(run) / name for name in run.predictions[KEY]]
    return run.predictions.with_columns(
        file=pl.Series([str(file) for file in files], dtype=pl.String),
        exists=pl.Series([file.is_file() for file in files], dtype=pl.Boolean),
    )


def measured_frames(run_folder: Path, video: Path) -> list[Frame]:
    """The frames of a video that a run's features are measured on, upright; height x width x red, green, blue.

    Raises:
        ArtifactError: the run folder has no configuration.
        VideoError: the video cannot be decoded.
    """
    config = LoadedRun(run_folder).config.video
    frames = SampledFrames(video, config.sampling, config.limits)
    found = frames.read(lambda samples: [sample.rgb.copy() for sample in samples if sample.is_sampled])
    turns = frames.probe.quarter_turns
    return [np.rot90(frame, turns) for frame in found]


def _data_root(run: LoadedRun) -> Path:
    """Where the paths of the run's videos begin; they are relative to where it was started."""
    data = run.config.data
    root = Path(run.provenance["working_folder"]) / data.root
    return root if data.demo is None else corpus_folder(root, data.demo)
