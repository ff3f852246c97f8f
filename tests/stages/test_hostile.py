from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fvc_exp.config.schema import Table
from fvc_exp.features.extract import COLUMNS
from fvc_exp.stages.runner import Options, run_features, run_scale
from tests.stages.hostile import NEWLINE, QUOTES, write_all
from tests.stages.videos import LIMITS, VIDEO
from tests.video.clips import moving_frames, write_clip

FAILING = {
    "zero.mp4": ("not_a_video", "not a video file"),
    "text.mp4": ("not_a_video", "not a video file"),
    "cut_before_moov.mp4": ("not_a_video", "not a video file"),
    "audio_only.mp4": ("no_video_stream", "holds no video stream"),
    "8k.mp4": ("too_large", "a frame of 7680x4320 = 33177600 pixels exceeds max_pixels 8847360"),
    "bomb.mp4": ("cpu_limit", "it took more processor time than limits.cpu_seconds=0.5"),
    "ffconcat.mp4": ("refused", "only local files of the containers mov,mp4"),
    "link_out.mp4": ("outside_root", "only files below data.root are opened"),
    "../outside.mp4": ("outside_root", "only files below data.root are opened"),
    "missing.mp4": ("missing", "No such file or directory"),
    "folder.mp4": ("not_a_video", "is a folder"),
}
# Frames in all, and the fewest and most that are good; of a whole file only the sampled ones are looked at.
GOOD = {
    "good.mp4": (60, 6, 6),
    "one_frame.mp4": (1, 1, 1),
    "vfr.mp4": (30, 5, 5),
    "rotated.mp4": (60, 6, 6),
    "hevc_10_bit.mp4": (12, 5, 5),
    "odd_yuv444p.mp4": (12, 5, 5),
    NEWLINE: (60, 6, 6),
    QUOTES: (60, 6, 6),
    "cut_in_the_middle.mp4": (None, 15, 45),  # how many there were can no longer be known
    "bit_flips.mp4": (60, 15, 59),
}
DAMAGED = ("cut_in_the_middle.mp4", "bit_flips.mp4")
Tables = tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """All files through stage 2 and stage 3 at once: each row shows that the others did no harm."""
    root = tmp_path_factory.mktemp("hostile") / "root"
    root.mkdir()
    write_all(root, write_clip(root.parent / "outside.mp4", moving_frames(6)))
    videos = pl.DataFrame({"video_path": [*FAILING, *GOOD]}).with_columns(label=pl.lit("real"))
    # The bomb takes several times as long, also as what its pixels allow in addition.
    video = replace(VIDEO, workers=2, limits=replace(LIMITS, cpu_seconds=0.5))
    options = Options(root, root, video)
    (features,) = run_features(videos, {Table.stage2: root / "features"}, options)
    (scaled,) = run_scale(videos, options)
    return by_name(features.table), by_name(scaled.table)


def by_name(path: Path) -> dict[str, dict[str, Any]]:
    return {row["video_path"]: row for row in pl.read_parquet(path).iter_rows(named=True)}


def test_every_file_has_one_row(tables: Tables) -> None:
    for table in tables:
        assert table.keys() == FAILING.keys() | GOOD.keys()


@pytest.mark.parametrize("name", FAILING)
def test_a_file_that_cannot_be_measured_says_why(tables: Tables, name: str) -> None:
    error_class, message = FAILING[name]
    features, scaled = (table[name] for table in tables)
    for row in (features, scaled):
        assert row["error_class"] == error_class
        assert message in row["error"]
        assert row["frames_ok"] is None
    assert {features[column] for column in COLUMNS[Table.stage2]} == {None}
    assert scaled["scaled_path"] is None


@pytest.mark.parametrize("name", GOOD)
def test_a_file_that_can_be_measured_is(tables: Tables, name: str) -> None:
    total, fewest, most = GOOD[name]
    features, scaled = (table[name] for table in tables)
    assert (features["error"], scaled["error"]) == (None, None)
    assert not {column for column in COLUMNS[Table.stage2] if features[column] is None}
    assert features["frames_total"] == (total or features["frames_ok"] + features["frames_corrupt"])
    assert fewest <= features["frames_ok"] <= most
    assert (features["frames_corrupt"] > 0) == (scaled["frames_corrupt"] > 0) == (name in DAMAGED)
    assert scaled["frames_ok"] == (features["frames_ok"] if name in DAMAGED else total)


def test_facts_of_unusual_files(tables: Tables) -> None:
    features, scaled = tables
    assert features["vfr.mp4"]["is_vfr"]
    assert not features["good.mp4"]["is_vfr"]
    assert features["hevc_10_bit.mp4"]["pix_fmt"] == "yuv420p10le"
    assert (scaled["rotated.mp4"]["original_width"], scaled["rotated.mp4"]["original_height"]) == (120, 160)
    assert (scaled["odd_yuv444p.mp4"]["original_width"], scaled["odd_yuv444p.mp4"]["original_height"]) == (159, 71)
    for name in (NEWLINE, QUOTES):
        for column in COLUMNS[Table.stage2]:
            assert features[name][column] == pytest.approx(features["good.mp4"][column], rel=1e-9)
