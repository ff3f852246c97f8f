"""Files that are written whole or not at all, locks between processes, and JSON."""

import errno
import fcntl
import json
import logging
import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from fvc_exp.errors import ArtifactError

log = logging.getLogger(__name__)


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
def atomic_folder(path: Path) -> Iterator[Path]:
    """Fill an empty folder that takes the place of ``path`` when the block ends, and vanishes if the block raises.

    Raises:
        ArtifactError: the folder above cannot be written.
    """
    try:
        hidden = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            new = hidden / "new"
            new.mkdir()
            yield new
            if path.exists():
                path.rename(hidden / "old")
            new.rename(path)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be made: {error.strerror}") from error


@contextmanager
def exclusive_lock(lock: Path) -> Iterator[None]:
    """Hold a lock file while the block runs; other processes wait for it. The lock ends with its process."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):  # some file servers know no locks
                raise
        yield


def require_folder(path: Path) -> None:
    """Check that a path is a folder.

    Raises:
        ArtifactError: there is no such folder.
    """
    if path.is_file():
        raise ArtifactError(f"{path}: is a file; name a folder")
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such folder")


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name beside it, then rename; readers see the old file or the new one.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    try:
        with atomic_file(path) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # a run whose status is done must survive a crash of its node
            size = file.tell()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error.strerror}") from error
    log.info("wrote %s: %d bytes", path, size)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whose content is known."""
    write_atomic(path, lambda file: file.write(content))


def write_json(path: Path, value: object) -> None:
    """Write standard JSON, indented; NaN and infinities become null."""
    text = json.dumps(plain(value), indent=2, allow_nan=False) + "\n"
    write_bytes(path, text.encode())


def read_json(path: Path) -> Any:
    """Read a file of a run folder.

    Raises:
        ArtifactError: it is missing or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error


def plain(value: Any) -> Any:
    """The value as JSON and YAML know it: enums become names, NaN and infinities null."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
