from __future__ import annotations

import cv2
import numpy as np
import pytest

from fvc_exp.features import edges
from tests.features import reference
from tests.features.reference import Gray, synthetic


def spiral(size: int) -> Gray:
    """One long faint line with a bright end: hysteresis has to follow it all the way."""
    angle = np.linspace(6, 60, 60_000)
    image = np.full((size, size), 100, np.uint8)
    radius = angle * size / 140
    rows, columns = (np.rint(size / 2 + radius * turn(angle)).astype(int) for turn in (np.sin, np.cos))
    image[rows, columns] = 130
    image[rows[-40:], columns[-40:]] = 250
    return image


FRAMES = {
    "textured": synthetic(146, 251),
    "smooth": np.asarray(cv2.GaussianBlur(synthetic(90, 160), (0, 0), 2), np.uint8),
    "flat": np.full((20, 30), 77, np.uint8),
    "extreme": (np.indices((90, 160)).sum(0) // 3 % 2 * 255).astype(np.uint8),
    "spiral": spiral(200),
    "one-row": synthetic(1, 50),
    "one-column": synthetic(50, 1),
    "one-pixel": synthetic(1, 1),
}


@pytest.mark.parametrize("thresholds", [(50, 150), (0, 0), (20, 600), (100, 100)], ids=str)
@pytest.mark.parametrize("name", FRAMES)
def test_edges_are_those_of_opencv(name: str, thresholds: tuple[int, int]) -> None:
    marked = cv2.countNonZero(cv2.Canny(FRAMES[name], *thresholds))
    assert edges.count(FRAMES[name], *thresholds) == marked


@pytest.mark.parametrize("seed", range(4))
def test_edges_are_those_of_second_implementation(seed: int) -> None:
    gray = synthetic(61, 83, seed)
    assert edges.count(gray, 50, 150) == reference.canny(gray).sum()
