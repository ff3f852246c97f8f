from __future__ import annotations

import cv2
import numpy as np
import pytest

from fvc_exp.features import edges, flood
from tests.features import reference
from tests.features.reference import Gray, synthetic


def spiral(size: int) -> Gray:
    """One long faint line with a bright end: hysteresis has to follow it all the way."""
    angle = np.linspace(6, 60, 60_000)
    image = np.full((size, size), 100, np.uint8)
    radius = angle * size / 140
    rows, columns = (np.rint(size / 2 + radius * turn(angle)).astype(int) for turn in (np.sin, np.cos))
    image[rows, columns] = 126
    image[rows[-40:], columns[-40:]] = 250
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1), np.uint8)


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


@pytest.fixture(params=[0.0, edges.BUSY, 2.0], ids=["all-busy", "some-busy", "none-busy"], autouse=True)
def busy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """What share of candidates makes a frame one that is not left to OpenCV."""
    monkeypatch.setattr(edges, "BUSY", request.param)
    return float(request.param)


def count(frame: Gray, low: int, high: int) -> int:
    """Of one frame."""
    return edges.counts(frame[None], low, high)[0]


@pytest.mark.parametrize("thresholds", [(50, 150), (0, 0), (20, 150), (20, 600), (100, 100)], ids=str)
@pytest.mark.parametrize("name", FRAMES)
def test_edges_are_those_of_opencv(name: str, thresholds: tuple[int, int]) -> None:
    marked = cv2.countNonZero(cv2.Canny(FRAMES[name], *thresholds))
    assert count(FRAMES[name], *thresholds) == marked


@pytest.mark.parametrize("seed", range(4))
def test_edges_are_those_of_second_implementation(seed: int) -> None:
    gray = synthetic(61, 83, seed)
    assert count(gray, 50, 150) == reference.canny(gray).sum()


@pytest.mark.parametrize("largest", [1, edges.LARGEST], ids=["large", "small"])
def test_frames_taken_together_count_as_they_do_alone(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "LARGEST", largest)
    smooth = np.asarray(cv2.GaussianBlur(synthetic(200, 200), (0, 0), 2), np.uint8)
    frames = [synthetic(200, 200, 1), np.full((200, 200), 9, np.uint8), spiral(200), smooth, synthetic(200, 200, 2)]
    marked = [cv2.countNonZero(cv2.Canny(frame, 50, 150)) for frame in frames]
    assert edges.counts(np.stack(frames), 50, 150) == marked


def test_a_way_too_long_to_grow_along_is_followed_all_the_same(busy: float, monkeypatch: pytest.MonkeyPatch) -> None:
    grown: list[list[int] | None] = []
    monkeypatch.setattr(edges, "grown", lambda *masks: grown.append(flood.grown(*masks)) or grown[-1])
    frame = spiral(200)
    assert count(frame, 20, 150) == cv2.countNonZero(cv2.Canny(frame, 20, 150)) > 1000
    assert grown == ([] if busy else [None])
