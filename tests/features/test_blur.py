from __future__ import annotations

import numpy as np
import pytest

from fvc_exp.features import blur, noise
from tests.features.reference import synthetic

SIZES = [(1, 1), (1, 2), (2, 1), (3, 2), (1, 40), (40, 1), (2, 2), (71, 93), (130, 201)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("small", [0, blur.SMALL], ids=["by differences", "by filter"])
def test_laplacian_sums_are_those_of_the_filtered_frame(
    size: tuple[int, int], small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blur, "SMALL", small)
    gray = synthetic(*size)
    padded = np.pad(gray.astype(int), 1, mode="reflect")
    laplacian = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * padded[1:-1, 1:-1]
    assert blur.laplacian_sums(gray) == pytest.approx((laplacian.sum(), (laplacian**2).sum()), rel=1e-12)


@pytest.mark.parametrize("largest", [255, 256, 2040, 4080])
def test_response_sums_are_exact(largest: int) -> None:
    response = np.random.default_rng(0).integers(-largest, largest, (300, 500), endpoint=True).astype(np.int16)
    response[0, 0] = -largest
    exact = response.astype(object)
    sums = noise.response_sums(response)
    assert sums.tolist() == [abs(exact).sum(), (exact**2).sum(), pytest.approx((exact**4).sum(), rel=1e-7)]
