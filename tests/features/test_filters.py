import numpy as np
import pytest

from fvc_exp.features.filters import response_sums


@pytest.mark.parametrize("largest", [255, 256, 2040, 4080])
def test_response_sums_are_exact(largest: int) -> None:
    response = np.random.default_rng(0).integers(-largest, largest, (300, 500), endpoint=True).astype(np.int16)
    response[0, 0] = -largest
    exact = response.astype(object)
    sums = response_sums(response).tolist()
    assert sums == [abs(exact).sum(), (exact**2).sum(), pytest.approx((exact**4).sum(), rel=1e-7)]
