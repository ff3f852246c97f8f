"""Folders of small videos, and the configuration that the stage tests run with."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from fvc_exp._typing import Progress, no_progress
from fvc_exp.config.schema import LimitsConfig, SamplingConfig, Table, VideoConfig
from fvc_exp.data.manifest import read_manifest
from fvc_exp.stages.runner import Options, StageSummary, run_augment, run_features, run_scale
from tests.conftest import data_config
from tests.video.clips import moving_frames, write_clip

LIMITS = LimitsConfig(max_pixels=8_847_360, cpu_seconds=60, wall_seconds=60, memory_mb=2048)
VIDEO = VideoConfig(
    sampling=SamplingConfig(fraction=0.1, min_frames=5, max_frames=50),
    limits=LIMITS,
    augmentations=2,
    max_size=64,
    workers=1,
    retry_failed=False,
)
SEED = 7


def make_videos(root: Path, count: int = 4) -> Path:
    """``count`` clips in real/ and fake/ below a new root, and a broken one."""
    for number in range(count):
        path = root / ("fake" if number % 2 else "real") / f"clip{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, moving_frames(10, height=48, width=64 + 16 * (number % 2), seed=number))
    (root / "real" / "broken.mp4").write_text("this is no video")
    return root


def run_stage(stage: str, root: Path, on_progress: Progress = no_progress, **changes: object) -> StageSummary:
    """One stage of the pipeline with its tables in their usual places."""
    options = Options(root, root, replace(VIDEO, **changes), on_progress=on_progress)
    if stage == "scaled_features":
        scaled = pl.read_parquet(root / "scaled_metadata.parquet")
        (summary,) = run_features(scaled, {Table.stage4: root / "features_stage4"}, options, scaled=True)
        return summary
    videos = read_manifest(data_config(root, videos=".")).videos
    if stage == "augment":
        (summary,) = run_augment(videos, SEED, options)
    elif stage == "scale":
        (summary,) = run_scale(videos, options)
    else:
        (summary,) = run_features(videos, {Table.stage2: root / "features_stage2"}, options)
    return summary
