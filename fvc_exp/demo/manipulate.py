"""Six ways to fake a clip. Each takes the frames of a clip and returns as many, of the same size."""

from collections.abc import Callable

import cv2
import numpy as np

from fvc_exp._typing import Array32, Frame

CAPTION_TOP, CAPTION_HEIGHT, CAPTION_WIDTH = 0.82, 0.08, 0.5  # shares of the frame's height and width
CAPTION_COLOUR = (90, 50, 50)


def manipulate(
    name: str, frames: list[Frame], rng: np.random.Generator, film: Callable[[], list[Frame]]
) -> list[Frame]:
    """Apply one of ``MANIPULATIONS``; ``film`` films another clip of the same length and size if one is needed."""
    if name == "splice":  # a feathered oval of another camera's clip moves over this one
        return _blend_oval(frames, film(), rng)
    return _OF_ONE_CLIP[name](frames, rng)


def face_swap(frames: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """A moving feathered oval is made again from a lower resolution, as a generator of faces does."""
    reduction = rng.uniform(1.7, 3.0)
    height, width = frames[0].shape[:2]
    generated = []
    for frame in frames:
        low = cv2.resize(frame, (int(width / reduction), int(height / reduction)), interpolation=cv2.INTER_AREA)
        high = cv2.resize(low, (width, height), interpolation=cv2.INTER_CUBIC)
        generated.append(np.asarray(cv2.convertScaleAbs(high, alpha=1.04, beta=2), np.uint8))
    return _blend_oval(frames, generated, rng)


def interpolate(frames: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """Slow motion: the first part of the clip is stretched to the whole by blending neighbours."""
    last = len(frames) - 1
    stretched = []
    for time in np.linspace(0, last * rng.uniform(0.45, 0.55), len(frames)).tolist():
        before, share = int(time), time % 1
        after = frames[min(before + 1, last)]
        stretched.append(np.asarray(cv2.addWeighted(frames[before], 1 - share, after, share, 0), np.uint8))
    return stretched


def retouch(frames: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """Skin smoothing: an edge-preserving blur, then sharpening."""
    strength = rng.uniform(16, 24)
    retouched = []
    for frame in frames:
        smooth = cv2.bilateralFilter(frame, 5, strength, 3)
        soft = cv2.GaussianBlur(smooth, (5, 5), 1.3)
        retouched.append(np.asarray(cv2.addWeighted(smooth, 1.3, soft, -0.3, 0), np.uint8))
    return retouched


def duplicate(frames: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """A third of the clip is hidden behind one frozen frame."""
    start = int(len(frames) * rng.uniform(0.2, 0.4))
    end = start + max(3, round(len(frames) * 0.35))
    return [frames[start] if start <= index < end else frame for index, frame in enumerate(frames)]


def overlay(frames: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """A box with a caption covers part of a strip near the bottom."""
    height, width = frames[0].shape[:2]
    top, bottom = int(height * CAPTION_TOP), int(height * (CAPTION_TOP + CAPTION_HEIGHT))
    caption = str(rng.choice(["BREAKING", "EXCLUSIVE", "LIVE"]))
    covered = []
    for frame in frames:
        marked = frame.copy()
        marked[top:bottom, : int(width * CAPTION_WIDTH)] = CAPTION_COLOUR
        font, size, colour = cv2.FONT_HERSHEY_SIMPLEX, height / 600, (200, 200, 200)
        cv2.putText(marked, caption, (6, bottom - 4), font, size, colour, 1, cv2.LINE_AA)
        covered.append(marked)
    return covered


_OF_ONE_CLIP: dict[str, Callable[[list[Frame], np.random.Generator], list[Frame]]] = {
    "faceswap": face_swap,
    "interpolation": interpolate,
    "retouch": retouch,
    "duplication": duplicate,
    "overlay": overlay,
}

MANIPULATIONS = ("faceswap", "splice", "interpolation", "retouch", "duplication", "overlay")


def _blend_oval(frames: list[Frame], inserts: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """Each insert shows through an oval about the middle that drifts over the clip."""
    height, width = frames[0].shape[:2]
    scale = rng.uniform(0.55, 0.95)
    oval = _oval(int(height * scale * 0.95), int(width * scale * 0.8))
    room = np.array([height, width]) - oval.shape[:2]
    corner = room / 2 + rng.normal(0, 0.04, 2) * (height, width)
    drift = rng.normal(0, 0.8, 2)
    blended = []
    for index, (frame, insert) in enumerate(zip(frames, inserts, strict=True)):
        top, left = np.clip(corner + drift * index + rng.normal(0, 0.6, 2), 0, room).astype(int).tolist()
        window = np.s_[top : top + oval.shape[0], left : left + oval.shape[1]]
        result = frame.copy()
        result[window] = frame[window] + (insert[window] - frame[window].astype(np.float32)) * oval
        blended.append(result)
    return blended


def _oval(height: int, width: int) -> Array32:
    """The weight of an insert, (height, width, 1): 1 inside an ellipse, falling softly to 0 outside."""
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (int(width * 0.38), int(height * 0.38)), 0, 0, 360, 255, cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(2, 0.05 * width)), np.float32)[..., None] / np.float32(255)
