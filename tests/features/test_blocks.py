import numpy as np
import pytest
from scipy import fft

from fvc_exp.features.blocks import block_moments, dct_coefficients, dct_features
from tests.features import reference
from tests.features.reference import Gray, synthetic


def tiles(*blocks: Gray) -> Gray:
    """Each block 24 times, side by side."""
    return np.ascontiguousarray(np.hstack([np.tile(block, (4, 6)) for block in blocks]))


def test_block_moments_are_those_of_a_transform() -> None:
    gray = synthetic(40, 72)
    spectra = [fft.dctn(block, norm="ortho").ravel() for block in reference.whole_blocks(gray)]
    dc, energy = block_moments(gray)
    np.testing.assert_allclose(dc, [spectrum[0] for spectrum in spectra], rtol=1e-12)
    np.testing.assert_allclose(energy, [(spectrum[1:] ** 2).sum() for spectrum in spectra], rtol=1e-12)


def test_coefficients_are_those_of_a_transform() -> None:
    gray = synthetic(40, 72)
    blocks = dct_coefficients(gray).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    expected = [fft.dctn(block, norm="ortho") for block in reference.whole_blocks(gray)]
    np.testing.assert_allclose(blocks, expected, atol=2e-3)


def test_detail_in_half_of_the_frame() -> None:
    block = synthetic(8, 8)
    whole = dct_features(tiles(block))
    assert (whole["dct_ac_std"], whole["dct_dc_std"]) == pytest.approx((0, 0), abs=1e-9)
    assert whole["dct_ac_mean"] ** 2 == pytest.approx(whole["dct_ac_energy"])
    half = dct_features(tiles(block, np.full((8, 8), 90, np.uint8)))
    assert half["dct_ac_mean"] == pytest.approx(whole["dct_ac_mean"] / 2)
    assert half["dct_ac_energy"] == pytest.approx(whole["dct_ac_energy"] / 2)
    assert half["dct_ac_std"] == pytest.approx(whole["dct_ac_energy"] / 2)


def test_energy_of_one_cosine() -> None:
    """A basis function of amplitude A has A^2 in one of 63 coefficients."""
    spectrum = np.zeros((8, 8))
    spectrum[0, 0], spectrum[2, 3] = 8 * 128, 400
    block = np.rint(fft.idctn(spectrum, norm="ortho")).astype(np.uint8)
    measured = dct_features(tiles(block))
    assert measured["dct_ac_energy"] == pytest.approx(400**2 / 63, rel=0.01)
    assert measured["dct_dc_mean"] == pytest.approx(8 * 128, rel=0.01)
