from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from fvc_exp.features import codec
from fvc_exp.video.probe import Packets, Probe
from tests.video.clips import LIMITS, moving_frames, probe, write_clip


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    return probe(write_clip(tmp_path_factory.mktemp("codec") / "clip.mp4", moving_frames(10)), LIMITS)


def with_packets(facts: Probe, sizes: list[int], keyframe: list[bool]) -> Probe:
    count = len(sizes)
    packets = Packets(tuple(range(count)), np.array(keyframe), np.array(sizes, np.int64), np.ones(count, bool))
    return replace(facts, packets=packets)


def test_unknown_values_are_nan_and_never_zero(facts: Probe) -> None:
    unknown = replace(facts, bit_rate=None, stated_bit_rate=None, average_rate=None, base_rate=None)
    features = codec.codec_features(unknown, 100)
    assert isnan(features["codec_bitrate"])
    assert isnan(features["codec_fps"])
    assert features["codec_resolution"] == 100
    assert tuple(codec.original_codec_features(unknown).values()) == (0.0, 30.0, 160.0 * 120)


def test_average_rate_against_base_rate(facts: Probe) -> None:
    variable = replace(facts, average_rate=9.06, base_rate=50.0)
    assert codec.codec_features(variable, 1)["codec_fps"] == 9.06
    assert codec.original_codec_features(variable)["codec_fps"] == 50.0


def test_packet_features(facts: Probe) -> None:
    sizes, keyframe = [900, 100, 300, 100, 1100, 300], [True, False, False, False, True, False]
    measured = codec.packet_features(with_packets(facts, sizes, keyframe))
    values = (8 * 2800 / 6 / (160 * 120), 100 / 200, 1000 / 200)
    assert measured == pytest.approx(dict(zip(codec.PACKET_NAMES, values, strict=True)))
    assert tuple(measured) == codec.PACKET_NAMES
    measured = codec.packet_features(with_packets(facts, [100, 300], [True, True]))
    assert measured["packet_size_cv"] == pytest.approx(0.5)
    assert isnan(measured["keyframe_size_ratio"]), "of key frames alone"
