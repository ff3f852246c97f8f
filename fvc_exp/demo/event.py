"""One event of the demo corpus: a scene filmed once, perhaps faked, and uploaded several times."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from fvc_exp._typing import Frame
from fvc_exp.demo.camera import draw_scene, film_scene
from fvc_exp.demo.manipulate import MANIPULATIONS, manipulate
from fvc_exp.video.encode import encode, recompress

GENERATOR_VERSION = 2  # raise it with any change of what the videos look like

_FILMED_WIDTH, _FILMED_HEIGHT = 352, 198
_PLATFORM_SIZES = ((320, 180), (288, 162))  # width, height
_PLATFORM_CRF, _PLATFORM_CRF_SD = 22, 1.5

# Everybody who passes a clip on makes it smaller and large again; shares of the filmed width, by label. Editing takes
# place at a small size. The two ranges overlap, and this overlap is the difficulty of the corpus.
_SCALES = {"real": (0.5, 1.0), "fake": (0.33, 0.66)}
_GOLDEN_RATIO = (1 + 5**0.5) / 2


@dataclass(frozen=True)
class Clip:
    """One uploaded video, and what it was made of; ``crf``, ``fps`` and size are those of the upload.

    ``scale`` is the smallest share of the filmed width that the clip had before it was uploaded.
    """

    label: str
    group: str
    upload: int
    manipulation: str
    scale: float
    crf: int
    fps: int
    width: int
    height: int
    frames: int

    @property
    def file_name(self) -> str:
        """The name of the video's file."""
        return f"{self.group}_{self.label}_{self.upload}.mp4"


def make_event(seed: int, event: int, uploads: int) -> Iterator[tuple[Clip, bytes]]:
    """The uploads of an event, each with its mp4 file; every event has random numbers of its own.

    Odd events are fakes and take the manipulations in turn. Real and fake clips go through the same steps and are
    encoded equally often; without a manipulation only their scale differs.
    """
    rng = np.random.default_rng([seed, event])
    label = ("real", "fake")[event % 2]
    manipulation = "none" if label == "real" else MANIPULATIONS[event // 2 % len(MANIPULATIONS)]
    fps, length = int(rng.choice([24, 25, 30])), int(rng.integers(16, 24))
    size = (_FILMED_HEIGHT, _FILMED_WIDTH) if rng.random() < 0.8 else (_FILMED_WIDTH, _FILMED_HEIGHT)

    def film() -> list[Frame]:
        return film_scene(draw_scene(rng), length, size, rng)

    frames = recompress(film(), fps=fps, crf=int(rng.integers(16, 22)), preset="ultrafast")
    if manipulation != "none":
        frames = manipulate(manipulation, frames, rng, film)
    scale = _spread_evenly(seed, event // 2, *_SCALES[label])
    frames = recompress(_resampled(frames, scale), fps=fps, crf=int(rng.integers(19, 24)), preset="ultrafast")
    for upload in range(uploads):
        on_platform = _resized(frames, rng, is_copy=upload > 0)
        crf = int(np.clip(round(rng.normal(_PLATFORM_CRF, _PLATFORM_CRF_SD)), 18, 26))
        file = io.BytesIO()
        encode(on_platform, file, fps=fps, crf=crf, preset="veryfast", gop=int(rng.choice([24, 60, 250])))
        height, width = on_platform[0].shape[:2]
        group = f"ev{event:03d}"
        clip = Clip(label, group, upload, manipulation, scale, crf, fps, width, height, frames=length)
        yield clip, file.getvalue()


def _spread_evenly(seed: int, number: int, low: float, high: float) -> float:
    """Number ``number`` of a series that fills low to high evenly, so that all seeds are equally difficult."""
    start = np.random.default_rng(seed).random()
    return low + (high - low) * float((start + number * _GOLDEN_RATIO) % 1)


def _resampled(frames: list[Frame], scale: float) -> list[Frame]:
    """The frames at ``scale`` times their size, brought back to the size they had."""
    height, width = frames[0].shape[:2]
    small = [cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for frame in frames]
    return [np.asarray(cv2.resize(each, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8) for each in small]


def _resized(frames: list[Frame], rng: np.random.Generator, is_copy: bool) -> list[Frame]:
    """The frames in a platform's size; a copy has lost up to 8 pixels at each edge."""
    height, width = frames[0].shape[:2]
    long_side, short_side = _PLATFORM_SIZES[int(rng.integers(len(_PLATFORM_SIZES)))]
    target = (long_side, short_side) if width > height else (short_side, long_side)
    crop = int(rng.integers(0, 9)) if is_copy else 0
    cropped = [frame[crop : height - crop, crop : width - crop] for frame in frames]
    return [np.asarray(cv2.resize(frame, target, interpolation=cv2.INTER_AREA), np.uint8) for frame in cropped]
