from dataclasses import replace
from math import isnan

import cv2
import numpy as np
import pytest

from fvc_exp.features import scaled
from fvc_exp.features.scaled import Letterbox, crop, stage2_pixel_features, stage4_pixel_features
from tests.features import reference
from tests.features.reference import Gray, jpeg, synthetic, synthetic_rgb

SIZES = [(64, 96), (71, 93), (130, 201), (9, 200), (33, 17)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_features_agree_with_second_implementation(size: tuple[int, int]) -> None:
    gray, rgb = synthetic(*size), synthetic_rgb(*size)
    assert stage2_pixel_features(gray) == pytest.approx(reference.base(gray), rel=1e-6)
    assert tuple(stage2_pixel_features(gray)) == tuple(reference.base(gray)) == scaled.BASE_NAMES
    measured = stage4_pixel_features(gray, rgb, None)
    assert measured == pytest.approx(reference.stage4(gray, rgb), rel=1e-6)
    assert tuple(measured) == (*scaled.BASE_NAMES, *scaled.ADDED_NAMES)


def smooth(height: int, width: int) -> Gray:
    return np.asarray(cv2.GaussianBlur(synthetic(height, width), (0, 0), 1.5), dtype=np.uint8)


def gray_stage4(gray: Gray) -> dict[str, float]:
    return stage4_pixel_features(gray, np.dstack([gray] * 3), None)


@pytest.mark.parametrize("name", ["boundary_inconsistency", "compression_artifacts"])
def test_blocking_rises_with_jpeg_compression(name: str) -> None:
    gray = smooth(128, 192)
    values = [gray_stage4(image)[name] for image in (gray, jpeg(gray, 30), jpeg(gray, 5))]
    assert values == sorted(values)
    assert values[2] > values[0] + 1


def test_blocking_is_counted_only_on_the_grid_of_the_codec() -> None:
    coded = jpeg(smooth(136, 200), 5)
    shifted = np.ascontiguousarray(coded[4:, 4:])
    seen, unseen = (stage2_pixel_features(each)["boundary_inconsistency"] for each in (coded, shifted))
    assert seen > 2 > unseen


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
def test_noise_mean_is_the_standard_deviation_of_white_noise(sigma: float) -> None:
    ramp = np.linspace(60, 190, 400)[None, :] + np.zeros((300, 1))
    noisy = np.rint(ramp + np.random.default_rng(0).normal(0, sigma, ramp.shape)).astype(np.uint8)
    features = stage2_pixel_features(noisy)
    assert features["noise_mean"] == pytest.approx(sigma, rel=0.03)
    assert features["noise_energy"] == pytest.approx(sigma**2, rel=0.05)


def test_flat_frame_has_no_noise_and_no_blocking() -> None:
    features = gray_stage4(np.full((64, 64), 77, np.uint8))
    expected = dict.fromkeys(features, 0.0) | {
        "dct_dc_mean": 8 * 77.0,
        "boundary_inconsistency": 1.0,
        "texture_uniformity": 1.0,
    }
    assert features == pytest.approx(expected, abs=1e-9)


def test_extreme_frame_does_not_overflow() -> None:
    checks = (np.indices((90, 160)).sum(0) % 2 * 255).astype(np.uint8)
    assert stage2_pixel_features(checks) == pytest.approx(reference.base(checks), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("size", [(7, 40), (40, 7), (1, 1), (8, 8)], ids=str)
def test_block_features_of_a_frame_without_borders_are_undefined(size: tuple[int, int]) -> None:
    features = stage2_pixel_features(synthetic(*size))
    assert isnan(features["boundary_inconsistency"])
    assert isnan(features["dct_dc_mean"]) == (min(size) < 8)
    assert not isnan(features["noise_mean"])


BOX = Letterbox(202, 150, 128, 128, box_x=8, box_y=24, box_width=101, box_height=75)


@pytest.mark.parametrize("box", [BOX, replace(BOX, box_x=0, box_y=0, box_width=128)], ids=["inside", "full-width"])
def test_bars_never_count(box: Letterbox) -> None:
    content = synthetic_rgb(box.box_height, box.box_width)
    results = []
    for bar in (0, 255):
        rgb = np.full((128, 128, 3), bar, np.uint8)
        rgb[box.box_y : box.box_y + box.box_height, box.box_x : box.box_x + box.box_width] = content
        results.append(stage4_pixel_features(np.ascontiguousarray(rgb[..., 0]), rgb, box))
    assert results[0] == pytest.approx(results[1], rel=1e-9)
    assert results[0] == pytest.approx(reference.stage4(np.ascontiguousarray(content[..., 0]), content), rel=1e-6)


def test_blocks_of_a_box_stay_on_the_grid_of_the_frame() -> None:
    coded = jpeg(smooth(128, 128), 5)
    box = replace(BOX, box_x=3, box_y=5, box_width=110, box_height=100)
    assert stage2_pixel_features(coded, box)["boundary_inconsistency"] > 2


@pytest.mark.parametrize(
    "change",
    [{"box_x": 60}, {"box_y": -1}, {"box_width": 0}, {"box_height": 129}],
    ids=lambda change: next(iter(change)),
)
def test_box_outside_the_frame_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not inside the frame of 128x128"):
        crop(np.zeros((128, 128), np.uint8), replace(BOX, **change))
