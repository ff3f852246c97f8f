import numpy as np
import pytest

from fvc_exp.features import original, scaled
from tests.features import reference
from tests.features.reference import synthetic, synthetic_rgb
from tests.features.test_scaled import SIZES


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_features_agree_with_second_implementation(size: tuple[int, int]) -> None:
    rgb = synthetic_rgb(*size)
    measured = original.original_stage2_features(rgb)
    assert measured == pytest.approx(reference.original_base(reference.original_gray(rgb)), rel=1e-6)
    assert tuple(measured) == scaled.BASE_NAMES
    assert original.original_stage4_features(rgb) == pytest.approx(reference.original_stage4(rgb), rel=1e-6)


def test_artifacts_wrap_around_zero() -> None:
    falling = np.dstack([np.tile(np.arange(200, 136, -1, dtype=np.uint8), (64, 1))] * 3)
    wrapped = original.original_stage4_features(falling)["compression_artifacts"]
    assert wrapped == pytest.approx(255 * 49 / 64), "a step of -1 counts 255, on 7 x 7 of 8 x 8 blocks"


def test_frame_without_block_lines() -> None:
    small = np.dstack([synthetic(8, 8)] * 3)
    assert original.original_stage2_features(small)["boundary_inconsistency"] == 0.0
