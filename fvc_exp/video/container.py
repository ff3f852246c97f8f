"""Opening video files that may be damaged or hostile, and the ways in which a file can fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.stream import Disposition

from fvc_exp.config.schema import LimitsConfig
from fvc_exp.errors import VideoError

# Without the two lists a text file named .mp4 can make FFmpeg open other files or the network (ffconcat, HLS,
# concat:).
SAFE_OPEN = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,gif",
    "protocol_whitelist": "file",
    # Opening decodes a frame of each stream to learn its pixel format, which takes as long as all the rest of a probe.
    # The option reaches only those decoders.
    "skip_frame": "all",
}


@contextmanager
def open_video(path: Path, limits: LimitsConfig) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a local video file and the video stream that players show, set up for one decoding thread.

    Raises VideoError when the file is missing, is no video, is of a container or protocol that is not
    allowed, has no video stream, or is larger than ``limits.max_pixels`` a frame.
    """
    with _open_container(path, limits) as container:
        stream = _video_stream(path, container)
        if stream.width * stream.height > limits.max_pixels:
            size = f"{stream.width}x{stream.height} = {stream.width * stream.height} pixels"
            raise VideoError("too_large", f"{path}: a frame of {size} exceeds max_pixels {limits.max_pixels}")
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(_decoder_pixels(limits))}
        yield container, stream


def reraise_memory_error(error: Exception) -> None:
    """Running out of memory says nothing about the file, so it must not be counted as damage."""
    if isinstance(error, MemoryError):
        raise error


def _decoder_pixels(limits: LimitsConfig) -> int:
    # Decoders check the size padded to whole macroblocks or superblocks, 1920x1088 for 1920x1080.
    return limits.max_pixels + limits.max_pixels // 8 + 64 * 64


def _open_container(path: Path, limits: LimitsConfig) -> av.container.InputContainer:
    # "file:" keeps a name such as "concat:a|b" from choosing the protocol; only where nothing has that name
    # FFmpeg sees it bare.
    name = f"file:{path}" if path.exists() else str(path)
    try:
        options = SAFE_OPEN | {"max_pixels": str(_decoder_pixels(limits))}
        return av.open(name, mode="r", options=options, metadata_errors="replace")  # a title need not be UTF-8
    except (av.error.ArgumentError, av.error.ProtocolNotFoundError) as error:
        allowed = SAFE_OPEN["format_whitelist"]
        raise VideoError("refused", f"{path}: only local files of the containers {allowed} are opened") from error
    except (av.error.InvalidDataError, av.error.IsADirectoryError, av.error.EOFError) as error:
        raise VideoError("not_a_video", f"{path}: not a video file ({error.strerror})") from error
    except OSError as error:
        raise VideoError("missing", f"{path}: cannot be read ({error.strerror})") from error


def _video_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """The track that a player shows: one with several frames, marked as default, and the largest of these."""
    tracks = [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]
    if not tracks:
        raise VideoError("no_video_stream", f"{path}: holds no video stream")
    # PyAV leaves the context None where the codec has no decoder, which its annotations do not say.
    readable = [track for track in tracks if getattr(track, "codec_context", None) is not None]
    if not readable:
        raise VideoError("decode_failed", f"{path}: no decoder for the codec of the video stream")

    def rank(track: av.VideoStream) -> tuple[bool, bool, int]:
        return track.frames != 1, bool(track.disposition & Disposition.default), track.width * track.height

    return max(readable, key=rank)
