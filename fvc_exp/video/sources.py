"""Where a file of a video that a table or a user names may be opened."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from fvc_exp.video.worker_pool import Failed


@dataclass(frozen=True)
class Source:
    """A file that may be opened under ``path``, or the reason why not. Size in bytes; None if nothing was looked at."""

    path: Path | None
    size: int | None = None
    mtime_ns: int | None = None
    failed: Failed | None = None


def find_source(root: Path, name: str, made: Path | None = None) -> Source:
    """Find the file called ``name`` below the data root, with every symbolic link followed.

    It may also be the path of a file below ``made``, the folder of our own copies. Nothing outside the two is
    opened, and nothing that is not a regular file: a pipe or device could block for ever.
    """
    if "\0" in name:
        return _refused("missing", "a file name cannot hold a NUL character")
    path = Path(os.path.realpath(root / name))
    if not any(path.is_relative_to(os.path.realpath(base)) for base in (root, made or root)):
        return _refused("outside_root", "the file lies outside the data root; only files below data.root are opened")
    try:
        facts = path.stat()
    except OSError as error:
        return _refused("missing", f"cannot be read ({error.strerror})")
    if not stat.S_ISREG(facts.st_mode):
        return _refused("not_a_video", f"is {'a folder' if stat.S_ISDIR(facts.st_mode) else 'no regular file'}")
    return Source(path, facts.st_size, facts.st_mtime_ns)


def _refused(error_class: str, message: str) -> Source:
    return Source(None, failed=Failed(error_class, message))
