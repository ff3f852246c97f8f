"""Why a video could not be turned into features: the ``error_class`` values of this package."""

from __future__ import annotations

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
