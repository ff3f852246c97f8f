from collections.abc import Sequence
from itertools import pairwise
from math import isnan

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import fft, ndimage

from fvc_exp.features import forensic
from fvc_exp.features.filters import dct_coefficients
from tests.features import reference
from tests.features.reference import Gray, synthetic


@pytest.fixture(scope="module")
def scene() -> Gray:
    random = np.random.default_rng(5)
    texture = cv2.GaussianBlur(random.normal(0, 1, (240, 320)), (0, 0), 1.2) * 40
    shade = cv2.GaussianBlur(random.normal(0, 1, (240, 320)), (0, 0), 20) * 900
    return np.asarray(np.clip(128 + texture + shade, 0, 255), dtype=np.uint8)


@pytest.mark.parametrize("size", [(71, 93), (33, 17)], ids=str)
def test_blockiness_agrees_with_second_implementation(size: tuple[int, int]) -> None:
    gray = synthetic(*size)
    across, down = reference.mean_steps(gray), reference.mean_steps(np.ascontiguousarray(gray.T))
    expected = {
        "blockiness_horizontal": (across[0] + 1e-3) / (across[1] + 1e-3),
        "blockiness_vertical": (down[0] + 1e-3) / (down[1] + 1e-3),
    }
    assert forensic.blockiness_features(gray) == pytest.approx(expected, rel=1e-6)


def test_coefficients_are_those_of_a_transform() -> None:
    gray = synthetic(40, 75)
    blocks = dct_coefficients(gray, vertical=8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    expected = [fft.dctn(block, norm="ortho") for block in reference.whole_blocks(gray)]
    np.testing.assert_allclose(blocks, expected, atol=2e-3)


def test_ac_zero_share_uses_the_first_19_zigzag_coefficients(scene: Gray) -> None:
    order = [(0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0), (4, 0), (3, 1), (2, 2), (1, 3)]
    order += [(0, 4), (0, 5), (1, 4), (2, 3), (3, 2), (4, 1)]
    assert list(forensic.ZIGZAG) == order
    low = [abs(fft.dctn(block, norm="ortho")[at]) for block in reference.whole_blocks(scene) for at in order]
    expected = float((np.round(low, 3) < 0.5).mean())
    assert forensic.compression_features(scene)["ac_zero_share"] == pytest.approx(expected, abs=1e-4)


def test_benford_divergence_of_benford_numbers_is_zero() -> None:
    magnitudes = (10 ** np.random.default_rng(0).uniform(0, 3, 200_000)).astype(np.float32)
    assert forensic.benford_divergence(magnitudes) < 1e-3


def test_benford_divergence_of_one_digit() -> None:
    expected = sum((float(digit == 5) - p) ** 2 / p for digit, p in enumerate(forensic.BENFORD, start=1))
    assert forensic.benford_divergence(np.array([5, 50, 599], np.float32)) == pytest.approx(expected, rel=1e-9)


def quantised(coefficient: NDArray[np.float64], *steps: float) -> NDArray[np.float32]:
    for step in steps:
        coefficient = np.rint(coefficient / step) * step
    return coefficient.astype(np.float32)


def test_periodicity_rises_with_double_quantisation() -> None:
    laplace = np.random.default_rng(0).laplace(0, 25, 100_000)
    once, twice = forensic.periodicity(quantised(laplace, 1)), forensic.periodicity(quantised(laplace, 3, 1))
    assert twice > 2 * once


def test_residual_statistics_agree_with_second_implementation() -> None:
    gray = synthetic(97, 130)
    noise = gray.astype(float) - ndimage.median_filter(gray.astype(float), 3, mode="nearest")
    laplacian = reference.correlate(gray, np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]))

    def levels(values: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
        rows, columns = gray.shape[0] // 24, gray.shape[1] // 24
        blocks = [[values[24 * r : 24 * r + 24, 24 * c : 24 * c + 24] for c in range(columns)] for r in range(rows)]
        return np.array([[np.log(np.sqrt((block**2).mean()) + floor) for block in row] for row in blocks])

    noise_levels, sharpness = levels(noise, 0.05), levels(laplacian, 0.5)
    expected = {
        "residual_std": noise.std(),
        "residual_kurtosis": (noise**4).mean() / (noise**2).mean() ** 2,
        "local_noise_std": noise_levels.std(),
        "local_noise_range": np.percentile(noise_levels, 95) - np.percentile(noise_levels, 5),
        "local_sharpness_std": sharpness.std(),
        "centre_noise_offset": noise_levels[1:3, 1:4].mean() - noise_levels.mean(),
    }
    assert forensic.residual_features(gray) == pytest.approx(expected, rel=1e-5)


def test_smoothed_centre_shows(scene: Gray) -> None:
    noisy = np.clip(scene + np.random.default_rng(0).normal(0, 6, scene.shape), 0, 255).astype(np.uint8)
    retouched = noisy.copy()
    retouched[60:180, 80:240] = cv2.GaussianBlur(noisy, (0, 0), 3)[60:180, 80:240]
    before, after = forensic.residual_features(noisy), forensic.residual_features(retouched)
    assert after["centre_noise_offset"] < before["centre_noise_offset"] - 0.3
    for name in ("local_noise_std", "local_noise_range", "local_sharpness_std"):
        assert after[name] > 2 * before[name]


def test_what_a_flat_frame_leaves_undefined() -> None:
    features = forensic.frame_features(np.full((64, 64), 128, np.uint8))
    undefined = {name for name, value in features.items() if isnan(value)}
    assert undefined == {"benford_divergence", "dct_periodicity", "residual_kurtosis"}
    assert features["ac_zero_share"] == 1
    assert features["blockiness_horizontal"] == 1


@pytest.mark.parametrize(("side", "more"), [(7, ()), (8, forensic.COMPRESSION_NAMES[:2])], ids=["no block", "one"])
def test_tiny_frame_leaves_blocks_undefined(side: int, more: tuple[str, ...]) -> None:
    features = forensic.frame_features(synthetic(side, side))
    defined = {name for name, value in features.items() if not isnan(value)}
    assert defined == {"residual_std", "residual_kurtosis", *more}


def measure(frames: Sequence[Gray], step: float = 1.0) -> dict[str, float]:
    series = forensic.TemporalSeries()
    for frame in frames:
        series.add(frame, step)
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
    limited = expected | {"temporal_difference_mean": steps.mean() * 255 / 219}
    assert measure(drifting, 255 / 219) == pytest.approx(limited, rel=1e-4)


def test_duplicated_frames_are_counted(drifting: list[Gray]) -> None:
    frozen = drifting[:20] + [drifting[19]] * 10 + drifting[20:]
    assert measure(frozen)["duplicate_share"] == pytest.approx(10 / 49)
    assert measure(frozen)["temporal_difference_cv"] > measure(drifting)["temporal_difference_cv"] + 0.2


def test_blending_raises_residual_correlation(drifting: list[Gray]) -> None:
    blended = [((a.astype(int) + b) // 2).astype(np.uint8) for a, b in pairwise(drifting)]
    assert measure(blended)["residual_correlation"] > measure(drifting)["residual_correlation"] + 0.04


def test_one_frame_leaves_all_undefined(drifting: list[Gray]) -> None:
    features = measure(drifting[:1])
    assert tuple(features) == forensic.TEMPORAL_NAMES
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
