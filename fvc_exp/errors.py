"""Every error a user can cause. The message is shown as it is, so it names the value, the place and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Literal

_MOST_SHOWN = 6

# One short name for each way a video file can fail; it is what an error row stores.
VideoFailure = Literal[
    "missing", "not_a_video", "no_video_stream", "no_frames", "too_large", "refused", "decode_failed"
]


class FvcError(Exception):
    """Base of all errors that are the user's to mend."""


class ConfigError(FvcError):
    """A configuration value is not allowed."""


class IncompatibleError(ConfigError):
    """Two configuration values are each allowed, but not together."""


class DataError(FvcError):
    """A table, label, group or file of the user's data cannot be used."""


class VideoError(FvcError):
    """A video cannot be turned into features.

    ``error_class`` is what the feature table stores beside the message.
    """

    def __init__(self, error_class: VideoFailure, message: str) -> None:
        super().__init__(message)
        self.error_class = error_class


class ArtifactError(FvcError):
    """A run folder cannot be written, or does not hold what was asked for."""


class QueryError(FvcError):
    """A SQL statement or table name is refused."""


class TrackingError(FvcError):
    """A tracking store cannot be opened, or does not take what is to be imported."""


class MissingExtraError(FvcError):
    """An optional part was asked for that is not installed."""

    def __init__(self, extra: str, package: str) -> None:
        how = f"pip install 'fvc-exp[{extra}]', in a checkout pip install -e '.[{extra}]'"
        super().__init__(f"{package} is not installed: {how}")


def did_you_mean(word: object, known: Iterable[str], before: str = "") -> str:
    """A question with the names most like a word, ``before`` in front of each; empty where none is near."""
    lower = {name.lower(): name for name in known}
    near = [lower[name] for name in get_close_matches(str(word).lower(), lower)]
    return f"did you mean {' or '.join(before + name for name in near)}?" if near else ""


def shown_names(word: str, known: Sequence[str]) -> str:
    """The names as text; of many only those that are most like a word."""
    if len(known) <= _MOST_SHOWN:
        return ", ".join(known)
    return f"{len(known)} others, the nearest {', '.join(get_close_matches(word, known, _MOST_SHOWN, cutoff=0.0))}"
