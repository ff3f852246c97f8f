"""Stage 1: seeded perturbations of a video, as copies of one video differ on the web."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import cv2
import numpy as np

from fvc_exp._typing import Array32, Frame
from fvc_exp.config.schema import LimitsConfig, SamplingConfig
from fvc_exp.video import decode, rewrite

AUGMENT_VERSION = "2"  # change it with any change of the pixels that are written
UNNOTICED_CRF = 18  # of an augmentation without the compression perturbation
# Every frame is read, and none is sampled for features.
_ANY_FRAME = SamplingConfig(fraction=1.0, min_frames=1, max_frames=1)

Frames = Iterator[Frame]


@dataclass(frozen=True)
class Operation:
    """One perturbation with its parameters; its text says all that is needed to repeat it."""

    name: str
    parameters: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value:g}' for name, value in self.parameters.items())})"


def plan(seed: int, video_path: str, index: int) -> tuple[Operation, ...]:
    """The operations of augmentation ``index`` of a video, in the order in which they are applied.

    One to four of the kinds temporal, spatial, noise and compression take part, with one operation each. It depends on
    the arguments alone, not on what else is augmented.
    """
    rng = _generator(seed, video_path, index, "plan")
    chosen = rng.permutation(len(KINDS))[: rng.integers(1, len(KINDS) + 1)]
    operations = []
    for kind in sorted(chosen):
        choices = KINDS[kind]
        name = tuple(choices)[rng.integers(len(choices))]
        ranges = choices[name].ranges
        drawn = {parameter: round(float(rng.uniform(*bounds)), 3) for parameter, bounds in ranges.items()}
        operations.append(Operation(name, drawn | ({"crf": round(drawn["crf"])} if "crf" in drawn else {})))
    return tuple(operations)


def augment(
    source: Path, destination: Path, *, seed: int, video_path: str, index: int, limits: LimitsConfig
) -> tuple[tuple[Operation, ...], decode.SampledFrames]:
    """Write augmentation ``index`` of a video; ``video_path`` and ``seed`` decide what is done to it.

    Returns what was done, and what read the video.

    The copy has the pixel aspect of the source. Raises VideoError as ``SampledFrames`` and ``rewrite`` do.
    """
    operations = plan(seed, video_path, index)
    reader = decode.SampledFrames(source, _ANY_FRAME, limits)

    def change(frames: Frames) -> Frames:
        rng = _generator(seed, video_path, index, "pixels")  # anew on every call, so that a second reading is the same
        for operation in operations:
            frames = perturb(frames, operation, rng)
        return frames

    crf = next((round(operation.parameters["crf"]) for operation in operations if operation.name == "compress"), None)
    _, aspect = reader.probe.display
    rewrite.rewrite(reader, destination, change, crf=crf or UNNOTICED_CRF, pixel_aspect=aspect)
    return operations, reader


def perturb(frames: Frames, operation: Operation, rng: np.random.Generator) -> Frames:
    """Apply one operation to frames of (height, width, 3) uint8 RGB."""
    [found] = [choices[operation.name] for choices in KINDS if operation.name in choices]
    return found.apply(frames, rng, **operation.parameters)


def _generator(seed: int, video_path: str, index: int, purpose: str) -> np.random.Generator:
    name = hashlib.sha256(f"{purpose}\0{video_path}".encode()).digest()[:8]
    return np.random.default_rng([seed, index, int.from_bytes(name, "big")])


@dataclass(frozen=True)
class _Perturbation:
    apply: Callable[..., Frames]
    ranges: Mapping[str, tuple[float, float]]


def _each(change: Callable[..., Frame]) -> Callable[..., Frames]:
    """A perturbation of single frames as one of a stream."""
    return lambda frames, rng, **parameters: (change(frame, rng, **parameters) for frame in frames)


def _to_uint8(values: Array32) -> Frame:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _flip(frame: Frame, _rng: np.random.Generator) -> Frame:
    return np.asarray(cv2.flip(frame, 1), np.uint8)


def _crop(frame: Frame, _rng: np.random.Generator, share: float, x: float, y: float) -> Frame:
    """Keep ``share`` of either side; ``x`` and ``y`` place the rest, 0 = left/top, 1 = right/bottom."""
    height, width = frame.shape[:2]
    kept_height, kept_width = (max(2, round(share * side)) for side in (height, width))
    top, left = round(y * (height - kept_height)), round(x * (width - kept_width))
    return frame[top : top + kept_height, left : left + kept_width]


def _rescale(frame: Frame, _rng: np.random.Generator, factor: float) -> Frame:
    height, width = (max(2, round(factor * side)) for side in frame.shape[:2])
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _rotate(frame: Frame, _rng: np.random.Generator, degrees: float) -> Frame:
    height, width = frame.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(frame, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def _add_noise(frame: Frame, rng: np.random.Generator, sigma: float) -> Frame:
    return _to_uint8(frame + sigma * rng.standard_normal(frame.shape, np.float32))


def _change_levels(frame: Frame, _rng: np.random.Generator, factor: float = 1.0, levels: float = 0.0) -> Frame:
    return _to_uint8((frame - np.float32(128)) * np.float32(factor) + 128 + np.float32(levels))


def _blur(frame: Frame, _rng: np.random.Generator, sigma: float) -> Frame:
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma), np.uint8)


def _drop(frames: Frames, rng: np.random.Generator, share: float) -> Frames:
    """Leave out frames at random, never the first."""
    yield from chain((next(frames),), (frame for frame in frames if rng.random() >= share))


def _duplicate(frames: Frames, rng: np.random.Generator, share: float) -> Frames:
    """Show frames a second time at random."""
    for frame in frames:
        yield from repeat(frame, 1 + (rng.random() < share))


def _change_speed(frames: Frames, _rng: np.random.Generator, factor: float) -> Frames:
    """Play ``factor`` times as fast at the same frame rate, by leaving out or repeating frames evenly."""
    shown = 0
    for index, frame in enumerate(frames):
        while shown * factor < index + 1:
            yield frame
            shown += 1


def _leave(frames: Frames, _rng: np.random.Generator, **_for_the_encoder: float) -> Frames:
    return frames


# In the order of what happens to a video on its way: it is cut, framed, disturbed, and compressed last.
KINDS: tuple[Mapping[str, _Perturbation], ...] = (
    {
        "drop": _Perturbation(_drop, {"share": (0.02, 0.2)}),
        "duplicate": _Perturbation(_duplicate, {"share": (0.02, 0.2)}),
        "speed": _Perturbation(_change_speed, {"factor": (0.8, 1.25)}),
    },
    {
        "flip": _Perturbation(_each(_flip), {}),
        "crop": _Perturbation(_each(_crop), {"share": (0.8, 0.95), "x": (0.0, 1.0), "y": (0.0, 1.0)}),
        "rescale": _Perturbation(_each(_rescale), {"factor": (0.5, 0.9)}),
        "rotate": _Perturbation(_each(_rotate), {"degrees": (-5.0, 5.0)}),
    },
    {
        "noise": _Perturbation(_each(_add_noise), {"sigma": (2.0, 10.0)}),
        "brightness": _Perturbation(_each(_change_levels), {"levels": (-30.0, 30.0)}),
        "contrast": _Perturbation(_each(_change_levels), {"factor": (0.75, 1.3)}),
        "blur": _Perturbation(_each(_blur), {"sigma": (0.5, 2.0)}),
    },
    {"compress": _Perturbation(_leave, {"crf": (26, 38)})},
)
