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

GENERATOR_VERSION = 1  # raise it with any change of what the videos look like

_FILMED_WIDTH, _FILMED_HEIGHT = 480, 270
_PLATFORM_SIZES = ((480, 270), (426, 240), (352, 198), (320, 180))  # width, height
_PLATFORM_CRF, _PLATFORM_CRF_SD = 26, 3
_FAKE_CRF_SHIFT = 3  # fakes are passed on more often; without it the whole-frame features tell almost nothing


@dataclass(frozen=True)
class Clip:
    """One uploaded video, and what it was made of; ``crf``, ``fps`` and size are those of the upload."""

    label: str
    group: str
    upload: int
    manipulation: str
    reencoded: bool
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

    Odd events are fakes and take the manipulations in turn. Every fake is encoded once more by its editor, and so is
    half of the real events: otherwise the number of compressions alone would tell the label.
    """
    rng = np.random.default_rng([seed, event])
    is_fake = event % 2 == 1
    manipulation = MANIPULATIONS[event // 2 % len(MANIPULATIONS)] if is_fake else "none"
    fps, length = int(rng.choice([24, 25, 30])), int(rng.integers(24, 34))
    size = (_FILMED_HEIGHT, _FILMED_WIDTH) if rng.random() < 0.8 else (_FILMED_WIDTH, _FILMED_HEIGHT)

    def film() -> list[Frame]:
        return film_scene(draw_scene(rng), length, size, rng)

    frames = recompress(film(), fps=fps, crf=int(rng.integers(16, 22)), preset="ultrafast")
    if is_fake:
        frames = manipulate(manipulation, frames, rng, film)
    reencoded = is_fake or bool(rng.random() < 0.5)
    if reencoded:
        frames = recompress(frames, fps=fps, crf=int(rng.integers(19, 25)), preset="ultrafast")
    for upload in range(uploads):
        on_platform = _resized(frames, rng, is_copy=upload > 0)
        crf = int(np.clip(round(rng.normal(_PLATFORM_CRF + _FAKE_CRF_SHIFT * is_fake, _PLATFORM_CRF_SD)), 20, 35))
        file = io.BytesIO()
        encode(on_platform, file, fps=fps, crf=crf, preset="veryfast", gop=int(rng.choice([24, 60, 250])))
        height, width = on_platform[0].shape[:2]
        yield (
            Clip(
                label="fake" if is_fake else "real",
                group=f"ev{event:03d}",
                upload=upload,
                manipulation=manipulation,
                reencoded=reencoded,
                crf=crf,
                fps=fps,
                width=width,
                height=height,
                frames=length,
            ),
            file.getvalue(),
        )


def _resized(frames: list[Frame], rng: np.random.Generator, is_copy: bool) -> list[Frame]:
    """The frames in a platform's size; a copy has lost up to 8 pixels at each edge."""
    height, width = frames[0].shape[:2]
    long_side, short_side = _PLATFORM_SIZES[int(rng.integers(len(_PLATFORM_SIZES)))]
    target = (long_side, short_side) if width > height else (short_side, long_side)
    crop = int(rng.integers(0, 9)) if is_copy else 0
    cropped = [frame[crop : height - crop, crop : width - crop] for frame in frames]
    return [np.asarray(cv2.resize(frame, target, interpolation=cv2.INTER_AREA), np.uint8) for frame in cropped]
