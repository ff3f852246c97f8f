"""Why a video could not be turned into features: the ``error_class`` values of this package."""

from dataclasses import dataclass
from enum import StrEnum


class Failure(StrEnum):
    """One short name for each way a file can fail; it is what an error row stores."""

    missing = "missing"
    not_a_video = "not_a_video"
    no_video_stream = "no_video_stream"
    no_frames = "no_frames"
    too_large = "too_large"
    refused = "refused"
    decode_failed = "decode_failed"


class WorkerFailure(StrEnum):
    """Ways to fail that are found outside the function; those that it finds itself it raises as VideoError."""

    worker_died = "worker_died"
    timeout = "timeout"
    out_of_memory = "out_of_memory"
    cpu_limit = "cpu_limit"
    internal_error = "internal_error"


@dataclass(frozen=True)
class Failed:
    """Why an item has no value; ``error_class`` is a member of ``WorkerFailure`` or that of a VideoError."""

    error_class: str
    message: str
