"""Read a whole video, change its frames, write it again; and stage 3, which fits the frames into squares."""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path
from typing import BinaryIO

import av
import cv2
import numpy as np

from fvc_exp._typing import Frame
from fvc_exp.config.schema import LimitsConfig, SamplingConfig
from fvc_exp.video.decode import Sample, SampledFrames

SCALE_VERSION = "3"  # change it with any change of the pixels that are written
DEFAULT_FPS = 25.0  # of a file that states no rate; only players look at it
SQUARE = Fraction(1)  # the aspect of square pixels

# libx264's macroblock tree is not reproducible from run to run, and its kernels differ from processor to processor.
_REPRODUCIBLE = {"threads": "1", "x264-params": "cpu-independent=1:mbtree=0"}
# No key frames at cuts; CAVLC in place of CABAC loses nothing, takes a tenth more space and half the time to decode.
_FOR_SAMPLING = ":scenecut=0:cabac=0"
_LARGEST_FPS_DENOMINATOR = 1001  # as in 30000/1001; a float rate is taken to mean the nearest such fraction


def encode(
    frames: Iterable[Frame],
    file: BinaryIO,
    *,
    fps: Fraction | float,
    crf: int,
    preset: str,
    gop: int | None = None,
    keyframes: Iterable[bool] | None = None,
    pixel_aspect: Fraction = SQUARE,
) -> None:
    """Write frames, each (height, width, 3) uint8 RGB of one even size, as mp4: libx264, yuv420p, constant frame rate.

    Frames are taken one by one; the file must be seekable, and keeps what was written before an error. ``crf`` is
    libx264's constant rate factor, 0 (lossless) to 51, and ``gop`` the largest distance of two key frames; None leaves
    it to libx264. ``pixel_aspect`` is the width over the height of a pixel.

    ``keyframes`` is for files that are read by sampling: for each frame whether it becomes a key frame. Besides these
    only the first frame does, and what ``gop`` adds, but no cut in the picture. It is asked
    for a frame when that has been taken.
    """
    iterator = iter(frames)
    first = next(iterator)
    rate = Fraction(fps).limit_denominator(_LARGEST_FPS_DENOMINATOR)
    options = _REPRODUCIBLE | {"preset": preset, "crf": str(crf)}
    if keyframes is not None:
        options["x264-params"] += _FOR_SAMPLING
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        if pixel_aspect != SQUARE:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if gop is not None:
            stream.gop_size = gop
        are_key = repeat(False) if keyframes is None else keyframes
        for frame, is_key in zip(chain([first], iterator), are_key, strict=False):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            if is_key:
                picture.pict_type = av.video.frame.PictureType.I
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def recompress(frames: Iterable[Frame], *, fps: Fraction | float, crf: int, preset: str) -> list[Frame]:
    """The frames as they look after one generation of h264 loss, encoded and decoded in memory."""
    buffer = io.BytesIO()
    encode(frames, buffer, fps=fps, crf=crf, preset=preset)
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        container.streams.video[0].thread_count = 1
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


def rewrite(
    reader: SampledFrames,
    destination: Path,
    change: Callable[[Iterator[Frame]], Iterator[Frame]],
    *,
    crf: int,
    pixel_aspect: Fraction,
    has_sampled_keyframes: bool = False,
) -> None:
    """Write ``change`` of the good frames of a video, upright, as h264 at the source's average rate.

    ``change`` may be called more than once, each time with all frames from the start: a damaged file is read again.
    Frames are (height, width, 3) uint8 RGB; the last odd row or column is cut off, as yuv420p has even sizes.
    ``pixel_aspect`` is that of what ``change`` gives. With ``has_sampled_keyframes`` the frames that the reader samples
    become key frames, and ``change`` must keep the number and the order of frames.

    Raises:
        VideoError: the source cannot be decoded.
    """
    from fvc_exp.io.files import atomic_file  # which who only measures a video does not need

    turns, _ = reader.probe.display
    fps = reader.probe.average_rate or DEFAULT_FPS

    def consume(samples: Iterator[Sample]) -> None:
        sampled: list[bool] = []  # grows by one with each frame that is taken
        frames = (_even(frame) for frame in change(_upright(samples, turns, sampled)))
        keyframes = sampled if has_sampled_keyframes else None
        with atomic_file(destination) as file:
            encode(frames, file, fps=fps, crf=crf, preset="superfast", keyframes=keyframes, pixel_aspect=pixel_aspect)

    reader.read(consume, every_frame=True)


def _upright(samples: Iterator[Sample], turns: int, sampled: list[bool]) -> Iterator[Frame]:
    """All frames have the size of the first: some streams change theirs. ``sampled`` notes which of them are."""
    size: tuple[int, int] | None = None
    for sample in samples:
        sampled.append(sample.is_sampled)
        frame = np.ascontiguousarray(np.rot90(sample.rgb, turns))
        size = size or (frame.shape[1], frame.shape[0])
        if (frame.shape[1], frame.shape[0]) != size:
            frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
        yield frame


def _even(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    return frame[: height - height % 2, : width - width % 2]


@dataclass(frozen=True)
class Letterbox:
    """A picture in a black square, in pixels; the original size is that of the upright frame in square pixels."""

    original_width: int
    original_height: int
    scaled_width: int
    scaled_height: int
    box_x: int
    box_y: int
    box_width: int
    box_height: int

    @property
    def is_upscaled(self) -> bool:
        """The picture is enlarged."""
        return max(self.original_width, self.original_height) < self.scaled_width

    @property
    def is_downscaled(self) -> bool:
        """The picture is reduced."""
        return max(self.original_width, self.original_height) > self.scaled_width


def letterbox(width: int, height: int, size: int, pixel_aspect: Fraction = SQUARE) -> Letterbox:
    """Fit a picture into a square of ``size``: longer side full, shorter side in proportion, centred.

    Where pixels are not square one side is stretched, none made smaller. Box edges are even, so that no chroma sample
    mixes picture and bar.
    """
    width, height = max(width, round(width * pixel_aspect)), max(height, round(height / pixel_aspect))
    longer = max(width, height)
    box_width, box_height = (max(2, 2 * round(size * side / longer / 2)) for side in (width, height))
    box_x, box_y = ((size - side) // 4 * 2 for side in (box_width, box_height))
    return Letterbox(width, height, size, size, box_x, box_y, box_width, box_height)


def fit_into_box(frame: Frame, box: Letterbox) -> Frame:
    """Draw a frame into its letterbox."""
    method = cv2.INTER_AREA if box.is_downscaled else cv2.INTER_CUBIC
    square = np.zeros((box.scaled_height, box.scaled_width, 3), np.uint8)
    rows, columns = slice(box.box_y, box.box_y + box.box_height), slice(box.box_x, box.box_x + box.box_width)
    square[rows, columns] = cv2.resize(frame, (box.box_width, box.box_height), interpolation=method)
    return square


def scale(
    source: Path, destination: Path, size: int, sampling: SamplingConfig, limits: LimitsConfig
) -> tuple[Letterbox, SampledFrames]:
    """Write the letterboxed copy of a video; frames stay in order, at the average rate of the source.

    Returns where the picture lies, and what read the video.

    The frames that ``sampling`` selects from the copy are its key frames. So they are decoded without any other, and
    all have the quality of intra coding: the copy adds the same trace to each, whatever its neighbours. Read with
    another sampling the copy gives exact frames, too, only more slowly; so does, as a rule, that of a damaged source
    whose bad frames are not among the sampled ones, as the copy then has fewer frames than were counted on.

    The picture has the aspect that players show, also where pixels are not square. Raises VideoError as
    ``SampledFrames`` and ``rewrite`` do.
    """
    reader = SampledFrames(source, sampling, limits)
    turns, aspect = reader.probe.display

    def draw(frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            height, width = frame.shape[:2]
            yield fit_into_box(frame, letterbox(width, height, size, aspect))

    rewrite(reader, destination, draw, crf=18, pixel_aspect=SQUARE, has_sampled_keyframes=True)
    coded = reader.probe.width, reader.probe.height
    return letterbox(*(coded[::-1] if turns % 2 else coded), size, aspect), reader
