import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import av
import polars as pl
import pytest

from fvc_exp.config.schema import Table
from fvc_exp.data.manifest import read_manifest
from fvc_exp.errors import DataError
from fvc_exp.features.extract import COLUMNS, extract
from fvc_exp.stages import runner
from fvc_exp.video.rewrite import Letterbox
from tests.conftest import data_config
from tests.stages.videos import LIMITS, SEED, VIDEO, make_videos, run_stage
from tests.video.clips import moving_frames, repeat, write_clip, x264

Chain = tuple[Path, dict[str, runner.StageSummary]]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """The whole pipeline over four clips, a broken one, and two augmentations of each."""
    root = make_videos(tmp_path_factory.mktemp("chain") / "data")
    videos = read_manifest(data_config(root, videos=".")).videos.with_columns(note=pl.lit("kept"))
    options = runner.Options(root, root, replace(VIDEO, workers=2))
    augmented = runner.run_augment(videos, SEED, options)
    videos = read_manifest(data_config(root, videos="augmented")).videos
    tables = {Table.stage2: root / "features_stage2", Table.forensic: root / "features_forensic"}
    features = runner.run_features(videos, tables, options)
    scaled = runner.run_scale(videos, options)
    metadata = pl.read_parquet(scaled[0].table)
    tables = {Table.stage4: root / "features_stage4", Table.original_stage4: root / "features_original_stage4"}
    scaled_features = runner.run_features(metadata, tables, options, scaled=True)
    return root, {each.table.stem: each for each in (*augmented, *features, *scaled, *scaled_features)}


def read(root: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(root / f"{name}.parquet")


def test_every_stage_has_a_row_for_every_video(chain: Chain) -> None:
    root, summaries = chain
    names = read(root, "augmented")["video_path"].to_list()
    assert len(names) == 5 * 3
    assert names == sorted(set(names))
    for name, summary in summaries.items():
        failed = 2 if name == "augmented" else 3  # the broken original has no work to fail at in stage 1
        assert (summary.done, summary.skipped, summary.is_complete) == (15 - failed, 0, True)
        assert summary.failed == {"not_a_video": failed}
        table = pl.read_parquet(summary.table)
        assert table["video_path"].to_list() == names
        broken = table.filter(pl.col("error_class").is_not_null())
        assert broken["video_path"].str.contains("broken").all()
        assert broken["error"].str.contains("not a video file").all()
        assert not broken["error"].str.contains(str(root)).any()


def test_augmented_table(chain: Chain) -> None:
    root, _ = chain
    table = read(root, "augmented")
    originals = table.filter(pl.col("augmentation").is_null())
    assert originals["video_path"].to_list() == originals["original_video"].to_list() == originals["group"].to_list()
    assert originals["operations"].null_count() == 5
    copies = table.filter(pl.col("augmentation").is_not_null(), pl.col("error").is_null())
    assert sorted(copies["augmentation"]) == [0] * 4 + [1] * 4
    digest = hashlib.sha256(b"fake/clip1.mp4").hexdigest()[:12]
    row = table.row(by_predicate=pl.col("video_path") == f"augmented/clip1_{digest}_aug1.mp4", named=True)
    assert (row["label"], row["group"], row["original_video"]) == ("fake", "fake/clip1.mp4", "fake/clip1.mp4")
    assert (row["augmentation"], row["note"], row["frames_ok"], row["frames_corrupt"]) == (1, "kept", 10, 0)
    assert row["operations"].endswith(")")
    for name in copies["video_path"]:
        with av.open(str(root / name)) as container:
            assert container.streams.video[0].codec_context.name == "h264"


@pytest.mark.parametrize("column", ["group", "cascade_id"])
def test_augmentations_stay_in_the_group_of_the_input(tmp_path: Path, column: str) -> None:
    videos = pl.DataFrame({"video_path": ["gone.mp4"], "label": ["real"], column: ["cascade 7"]})
    runner.run_augment(videos, SEED, runner.Options(tmp_path, tmp_path, VIDEO))
    assert read(tmp_path, "augmented")["group"].to_list() == ["cascade 7"] * 3


def test_features_are_those_of_extract(chain: Chain) -> None:
    root, _ = chain
    for table in (Table.stage2, Table.forensic):
        frame = read(root, f"features_{table.name}")
        own = ["error", "error_class", "settings", "file_size", "file_mtime_ns"]
        assert frame.columns == ["video_path", *COLUMNS[table], *runner.PROVENANCE_COLUMNS, *own]
        row = frame.row(by_predicate=pl.col("video_path") == "fake/clip1.mp4", named=True)
        expected = extract(root / "fake/clip1.mp4", [table], VIDEO.sampling, LIMITS)
        for name, value in expected.features[table].items():
            assert row[name] == pytest.approx(value, rel=1e-9)
        assert row["content_sha256"] == hashlib.sha256((root / "fake/clip1.mp4").read_bytes()).hexdigest()


def test_scaled_table(chain: Chain) -> None:
    root, _ = chain
    table = read(root, "scaled_metadata")
    inputs = ["video_path", "label", "group", "note", "original_video", "augmentation", "operations"]
    assert set(inputs) <= set(table.columns)
    row = table.row(by_predicate=pl.col("video_path") == "fake/clip1.mp4", named=True)
    assert row["scaled_path"] == f"scaled/clip1_{hashlib.sha256(b'fake/clip1.mp4').hexdigest()[:12]}.mp4"
    sizes = ("original_width", "original_height", "scaled_width", "scaled_height")
    assert [row[name] for name in sizes] == [80, 48, 64, 64]
    assert [row[f"box_{name}"] for name in ("x", "y", "width", "height")] == [0, 12, 64, 38]
    assert (row["is_upscaled"], row["is_downscaled"], row["frames_ok"]) == (False, True, 10)
    for name in table.filter(pl.col("error").is_null())["scaled_path"]:
        with av.open(str(root / name)) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == (64, 64)


def test_scaled_features_measure_the_picture_and_the_codec_of_the_source(chain: Chain) -> None:
    root, _ = chain
    name = "fake/clip1.mp4"
    row = read(root, "features_stage4").row(by_predicate=pl.col("video_path") == name, named=True)
    scaled = read(root, "scaled_metadata").row(by_predicate=pl.col("video_path") == name, named=True)
    source = extract(root / name, [Table.stage2], VIDEO.sampling, LIMITS).features[Table.stage2]
    for cue in ("codec_bitrate", "codec_fps", "codec_resolution"):
        assert row[cue] == source[cue]
    assert row["codec_resolution"] == 80 * 48
    box = Letterbox(80, 48, 64, 64, box_x=0, box_y=12, box_width=64, box_height=38)
    expected = extract(root / scaled["scaled_path"], [Table.stage4], VIDEO.sampling, LIMITS, scaling=box)
    for feature, value in expected.features[Table.stage4].items():
        if not feature.startswith("codec_"):
            assert row[feature] == pytest.approx(value, rel=1e-9)
    original = read(root, "features_original_stage4").row(by_predicate=pl.col("video_path") == name, named=True)
    assert original["codec_resolution"] == 64 * 64


def test_changed_settings_and_files_are_done_again(tmp_path: Path) -> None:
    root = make_videos(tmp_path / "data", 2)
    assert run_stage("scale", root).done == 2
    assert run_stage("scale", root, max_size=32).done == 2
    sampling = replace(VIDEO.sampling, max_frames=6)  # which frames of a copy are key frames
    assert run_stage("scale", root, max_size=32, sampling=sampling).done == 2
    assert run_stage("scale", root, max_size=32).done == 2
    shutil.copy(root / "real/clip0.mp4", root / "fake/clip1.mp4")
    summary = run_stage("scale", root, max_size=32)
    assert (summary.done, summary.skipped) == (1, 1)
    row = read(root, "scaled_metadata").row(by_predicate=pl.col("video_path") == "fake/clip1.mp4", named=True)
    assert (row["original_width"], row["scaled_width"]) == (64, 32)
    (root / row["scaled_path"]).unlink()
    assert run_stage("scale", root, max_size=32).done == 1
    assert (root / row["scaled_path"]).is_file()


@pytest.mark.parametrize("stage", ["features", "scale"])
def test_other_limits_measure_again_what_was_refused_and_nothing_else(stage: str, tmp_path: Path) -> None:
    root = make_videos(tmp_path / "data", 2)
    small = replace(LIMITS, max_pixels=80 * 48 - 1)
    refused = {"not_a_video": 1, "too_large": 1}
    for done, kept in ((1, 0), (0, 2)):
        summary = run_stage(stage, root, limits=small)
        assert (summary.done, summary.skipped, summary.failed, summary.kept) == (done, 1 - done, refused, kept)
    summary = run_stage(stage, root)
    assert (summary.done, summary.skipped, summary.failed, summary.kept) == (1, 1, {"not_a_video": 1}, 0)


@pytest.mark.slow
def test_a_long_clip_may_take_more_than_the_limit_of_a_short_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "fake").mkdir()
    short = write_clip(tmp_path / "short.mp4", moving_frames(40, 1080, 1920), x264("bframes=0"))
    usual = replace(LIMITS, cpu_seconds=600, wall_seconds=None)
    used = []  # what machines need differs by more than what the limit allows in addition, 1.7 times as much
    for times in (10, 40):
        repeat(short, tmp_path / "real" / "clip.mp4", times)
        limits = replace(usual, cpu_seconds=2 * used[0]) if used else usual
        before = os.times().children_user
        assert run_stage("features", tmp_path, limits=limits).failed == {}
        used.append(os.times().children_user - before)
    assert used[1] > limits.cpu_seconds


def test_more_augmentations_keep_the_first(tmp_path: Path) -> None:
    root = make_videos(tmp_path / "data", 2)
    run_stage("augment", root, augmentations=1)
    before = {path: path.read_bytes() for path in (root / "augmented").iterdir()}
    summary = run_stage("augment", root, augmentations=2)
    assert (summary.done, summary.skipped) == (2, 5)
    assert len(list((root / "augmented").iterdir())) == 4
    assert all(path.read_bytes() == content for path, content in before.items())


def test_scaled_metadata_of_another_origin_is_refused(tmp_path: Path) -> None:
    videos = pl.DataFrame({"video_path": ["a.mp4"], "label": ["real"]})
    with pytest.raises(DataError, match=r"scaled_metadata: column 'scaled_path' is missing.*stage=scale writes it"):
        runner.run_features(videos, {}, runner.Options(tmp_path, tmp_path, VIDEO), scaled=True)
