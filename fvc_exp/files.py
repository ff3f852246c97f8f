"""A file gets to its place whole or not at all, and what only one process may do at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a hidden file beside ``path`` that takes its place when the block ends, and vanishes if the block raises."""
    # The host's name is not in the process id: on a shared disk two nodes may have the same one.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    file = temporary.open("xb")
    try:
        with file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold a lock file while the block runs; whoever asks for it meanwhile waits. It ends with its process."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):  # some file servers know no locks
                raise
        yield
