"""From a run back to what it was made of: the newest run, its videos, their frames. For notebooks and scripts."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fvc_exp.config.schema import Config
from fvc_exp.config.store import read_config
from fvc_exp.data.columns import KEY
from fvc_exp.demo.corpus import DemoSettings
from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import read_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.io.tables import read_own
from fvc_exp.video.decode import sampled_frames
from fvc_exp.video.rewrite import quarter_turns


def run_videos(run_folder: Path) -> pl.DataFrame:
    """``predictions.parquet`` with the absolute path of each video as ``file``, and whether it ``exists``.

    Raises:
        ArtifactError: the folder holds no finished training run.
    """
    folder = RunFolder(run_folder)
    if not folder.predictions.exists():
        raise ArtifactError(f"{folder.predictions}: is missing; only training runs have videos")
    root = _data_root(read_config(folder.config), Path(read_json(folder.provenance)["working_folder"]))
    predictions = read_own(folder.predictions)
    files = [root / name for name in predictions[KEY]]
    return predictions.with_columns(
        file=pl.Series([str(file) for file in files], dtype=pl.String),
        exists=pl.Series([file.is_file() for file in files], dtype=pl.Boolean),
    )


def measured_frames(run_folder: Path, video: Path) -> list[NDArray[np.uint8]]:
    """The frames of a video that a run's features are measured on, upright; height x width x red, green, blue.

    Raises:
        ArtifactError: the run folder has no configuration.
        VideoError: the video cannot be decoded.
    """
    config = read_config(RunFolder(run_folder).config).video
    frames = sampled_frames(video, config.sampling, config.limits)
    found = frames.read(lambda samples: [sample.rgb.copy() for sample in samples if sample.is_sampled])
    turns = quarter_turns(frames.probe)
    return [np.rot90(frame, turns) for frame in found]


def _data_root(config: Config, working_folder: Path) -> Path:
    """Where the paths of the run's videos begin; they are relative to where it was started."""
    data = config.data
    root = working_folder / data.root
    if data.demo_events is None or data.demo_uploads is None or data.demo_seed is None:
        return root
    return root / DemoSettings(data.demo_events, data.demo_uploads, data.demo_seed).folder_name
