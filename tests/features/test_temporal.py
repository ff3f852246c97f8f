from collections.abc import Sequence
from itertools import pairwise
from math import isnan

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from fvc_exp.features import temporal
from fvc_exp.features.temporal import TemporalSeries

Gray = NDArray[np.uint8]


def measure(frames: Sequence[Gray]) -> dict[str, float]:
    series = TemporalSeries()
    for frame in frames:
        series.add(frame)
    return series.features()


@pytest.fixture(scope="module")
def drifting() -> list[Gray]:
    random = np.random.default_rng(3)
    scene = ndimage.gaussian_filter(random.normal(0, 1, (96, 400)), 3) * 600 + 128
    frames = [scene[:, 2 * n : 2 * n + 128] + random.normal(0, 2, (96, 128)) for n in range(40)]
    return [np.clip(frame, 0, 255).astype(np.uint8) for frame in frames]


def test_agrees_with_second_implementation(drifting: list[Gray]) -> None:
    halves = [np.rint(frame.reshape(48, 2, 64, 2).mean((1, 3)) + 1e-9) for frame in drifting]
    residuals = [half - ndimage.uniform_filter(half, 3, mode="mirror") for half in halves]
    pairs = range(1, len(halves))
    steps = np.array([np.abs(halves[n] - halves[n - 1]).mean() for n in pairs])
    correlations = [np.corrcoef(residuals[n].ravel(), residuals[n - 1].ravel())[0, 1] for n in pairs]
    expected = {
        "temporal_difference_mean": steps.mean(),
        "temporal_difference_cv": steps.std() / steps.mean(),
        "duplicate_share": 0.0,
        "temporal_difference_jitter": np.abs(np.diff(steps)).mean() / steps.mean(),
        "residual_correlation": float(np.mean(correlations)),
    }
    assert measure(drifting) == pytest.approx(expected, rel=1e-4)


def test_duplicated_frames_are_counted(drifting: list[Gray]) -> None:
    frozen = drifting[:20] + [drifting[19]] * 10 + drifting[20:]
    assert measure(frozen)["duplicate_share"] == pytest.approx(10 / 49)
    assert measure(frozen)["temporal_difference_cv"] > measure(drifting)["temporal_difference_cv"] + 0.2


def test_blending_raises_residual_correlation(drifting: list[Gray]) -> None:
    blended = [((a.astype(int) + b) // 2).astype(np.uint8) for a, b in pairwise(drifting)]
    assert measure(blended)["residual_correlation"] > measure(drifting)["residual_correlation"] + 0.04


def test_uneven_pace_raises_jitter(drifting: list[Gray]) -> None:
    uneven = [frame for number, frame in enumerate(drifting) if number % 4 < 2]
    assert measure(uneven)["temporal_difference_jitter"] > measure(drifting)["temporal_difference_jitter"] + 0.1


def test_one_frame_leaves_all_undefined(drifting: list[Gray]) -> None:
    features = measure(drifting[:1])
    assert tuple(features) == temporal.NAMES
    assert all(isnan(value) for value in features.values())


def test_still_flat_video() -> None:
    features = measure([np.full((32, 32), 100, np.uint8)] * 5)
    assert (features["temporal_difference_mean"], features["duplicate_share"]) == (0.0, 1.0)
    rest = ("temporal_difference_cv", "temporal_difference_jitter", "residual_correlation")
    assert all(isnan(features[name]) for name in rest)


def test_change_of_frame_size_starts_a_new_pair(drifting: list[Gray]) -> None:
    small = [np.ascontiguousarray(frame[:48, :64]) for frame in drifting]
    both = measure([*drifting[:3], *small[:2]])
    apart = [measure(drifting[:3])["temporal_difference_mean"], measure(small[:2])["temporal_difference_mean"]]
    assert both["temporal_difference_mean"] == pytest.approx((2 * apart[0] + apart[1]) / 3)
