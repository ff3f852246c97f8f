import hashlib
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from fvc_exp.config.schema import Table
from fvc_exp.features import FEATURE_VERSION, forensic
from fvc_exp.features.extract import COLUMNS, extract
from fvc_exp.video.decode import SampledFrames
from fvc_exp.video.rewrite import Letterbox
from tests.features import reference
from tests.video.clips import LIMITS, SAMPLING, moving_frames, write_clip

SCALING = Letterbox(320, 180, 160, 160, box_x=0, box_y=16, box_width=160, box_height=90)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("extract") / "clip.mp4", moving_frames(60))


def test_columns() -> None:
    counts = {table.name: len(columns) for table, columns in COLUMNS.items()}
    assert counts == {"stage2": 15, "stage4": 23, "forensic": 19, "original_stage2": 15, "original_stage4": 23}
    assert COLUMNS[Table.stage4][:15] == COLUMNS[Table.stage2]
    for columns in COLUMNS.values():
        assert len(set(columns)) == len(columns)


def test_stage2_is_the_mean_over_the_sampled_frames(clip: Path) -> None:
    source = SampledFrames(clip, SAMPLING, LIMITS)
    rows = source.read(lambda samples: [reference.base(sample.luma) for sample in samples])
    expected = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    expected |= {"codec_bitrate": source.probe.bit_rate or 0, "codec_fps": 25.0, "codec_resolution": 160.0 * 120}
    features = extract(clip, [Table.stage2], SAMPLING, LIMITS).features[Table.stage2]
    assert features == pytest.approx(expected, rel=1e-6)
    assert tuple(features) == COLUMNS[Table.stage2]


def test_tables_measured_together_are_measured_as_alone(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = {table: extract(clip, [table], SAMPLING, LIMITS, scaling=SCALING).features[table] for table in COLUMNS}
    passes: list[str] = []
    read = SampledFrames.read

    def counted(self: SampledFrames, *arguments: object, **options: object) -> object:
        passes.append(self.probe.path.name)
        return read(self, *arguments, **options)

    monkeypatch.setattr(SampledFrames, "read", counted)
    together = extract(clip, list(COLUMNS), SAMPLING, LIMITS, scaling=SCALING).features
    assert passes == [clip.name]
    for table in COLUMNS:
        assert together[table] == pytest.approx(alone[table], rel=1e-9, nan_ok=True), table


def test_scaling_flags_and_picture_area(clip: Path) -> None:
    features = extract(clip, [Table.stage4], SAMPLING, LIMITS, scaling=SCALING).features[Table.stage4]
    assert (features["is_upscaled"], features["is_downscaled"]) == (0.0, 1.0)
    assert features["codec_resolution"] == 160 * 90
    bare = extract(clip, [Table.stage4], SAMPLING, LIMITS).features[Table.stage4]
    assert isnan(bare["is_upscaled"])
    assert bare["codec_resolution"] == 160 * 120


def test_a_frame_in_which_a_feature_is_undefined_is_left_out_of_its_mean(tmp_path: Path) -> None:
    frames = [np.zeros_like(moving_frames(1)[0])] * 10 + moving_frames(30)
    features = extract(write_clip(tmp_path / "fade.mp4", frames), [Table.forensic], SAMPLING, LIMITS)
    assert not any(isnan(value) for value in features.features[Table.forensic].values())


def test_one_frame_leaves_the_temporal_features_undefined(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "one.mp4", moving_frames(1))
    result = extract(path, [Table.forensic, Table.stage2], SAMPLING, LIMITS)
    undefined = {name for name, value in result.features[Table.forensic].items() if isnan(value)}
    assert undefined == {*forensic.TEMPORAL_NAMES, "keyframe_size_ratio"}
    assert not any(isnan(value) for value in result.features[Table.stage2].values())
    assert result.provenance["frames_total"] == 1


def test_provenance(clip: Path) -> None:
    provenance = extract(clip, [Table.stage2], SAMPLING, LIMITS).provenance
    assert provenance == {
        "frames_total": 60,
        "frames_sampled": 6,
        "frames_ok": 6,
        "frames_corrupt": 0,
        "width": 160,
        "height": 120,
        "rotation": 0,
        "codec": "h264",
        "pix_fmt": "yuv420p",
        "is_vfr": False,
        "duration_s": pytest.approx(2.4),
        "feature_version": FEATURE_VERSION,
        "content_sha256": hashlib.sha256(clip.read_bytes()).hexdigest(),
    }
    assert extract(clip, [Table.forensic], SAMPLING, LIMITS).provenance["frames_ok"] == 60, "which sees every frame"
