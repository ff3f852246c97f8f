"""The file behind a row: whether it may be opened, and the facts by which a later change of it is noticed."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from fvc_exp.video.container import Failure
from fvc_exp.video.worker_pool import Failed

OUTSIDE_ROOT = "outside_root"


@dataclass(frozen=True)
class Source:
    """A file that may be opened under ``path``, or the reason why not. Size in bytes; None if nothing was looked at."""

    path: Path | None
    size: int | None = None
    mtime_ns: int | None = None
    failed: Failed | None = None


def find_source(root: Path, name: str) -> Source:
    """Find the file called ``name`` below the data root, with every symbolic link followed.

    Nothing outside the root is opened, and nothing that is not a regular file: a pipe or device could block for ever.
    """
    if "\0" in name:
        return _refused(Failure.missing, "a file name cannot hold a NUL character")
    path = Path(os.path.realpath(root / name))
    if not path.is_relative_to(os.path.realpath(root)):
        return _refused(OUTSIDE_ROOT, "the file lies outside the data root; only files below data.root are opened")
    try:
        facts = path.stat()
    except OSError as error:
        return _refused(Failure.missing, f"cannot be read ({error.strerror})")
    if not stat.S_ISREG(facts.st_mode):
        kind = "a folder" if stat.S_ISDIR(facts.st_mode) else "no regular file"
        return _refused(Failure.not_a_video, f"is {kind}")
    return Source(path, facts.st_size, facts.st_mtime_ns)


def _refused(error_class: str, message: str) -> Source:
    return Source(None, failed=Failed(str(error_class), message))
