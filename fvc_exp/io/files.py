"""Files that are written whole or not at all, files of strangers, locks between processes, and JSON.

A folder of a run or sweep may have been made by anyone. Whatever is read from one goes through ``open_regular``,
``read_bytes`` or ``read_json``: no link leads out of the folder, no pipe blocks, no file fills the memory, and what is
not of the expected form is refused with one line that names the file and the field.
"""

import errno
import fcntl
import hashlib
import json
import logging
import math
import os
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from fvc_exp.errors import ArtifactError

log = logging.getLogger(__name__)

MOST_JSON_BYTES = 2**26  # a model of 400,000 features, or the plan of 15,000 configurations
MOST_BYTES = 2**32
_TEMPORARY = ".fvc-tmp"
_ABANDONED_AFTER_SECONDS = 24 * 3600.0


def temporary_name(name: str) -> str:
    """A hidden name for what this process makes before it becomes ``name``; ``remove_abandoned`` knows it again."""
    return f".{name}.{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}{_TEMPORARY}"


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files and folders here whose processes were killed.

    Whether a process of another host lives is not known here: what it made is removed when it is a day old.
    """
    for path in folder.glob(f".*-*-*{_TEMPORARY}"):
        if _is_abandoned(path):
            with suppress(OSError):  # another process may be removing it, too
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _is_abandoned(path: Path) -> bool:
    before, pid, _ = path.stem.rsplit("-", 2)
    try:
        is_old = time.time() - path.lstat().st_mtime > _ABANDONED_AFTER_SECONDS
        if not before.endswith(f".{socket.gethostname()}") or not pid.isdecimal():
            return is_old
        os.kill(int(pid), 0)
    except (ProcessLookupError, FileNotFoundError):
        return True
    except (PermissionError, OverflowError):  # alive, and another user's; or no process id at all
        return False
    return is_old


@contextmanager
def temporary_folder(name: str, place: Path | None = None) -> Iterator[Path]:
    """A folder in ``place``, or among the system's temporary files, that is removed after the block.

    If its process is killed, it is removed when a later one is made there.
    """
    place = place or Path(tempfile.gettempdir())
    remove_abandoned(place)
    path = place / temporary_name(name)
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a hidden file beside ``path`` that takes its place when the block ends, and vanishes if the block raises."""
    temporary = path.with_name(temporary_name(path.name))
    file = temporary.open("xb")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a run whose status is done must survive a crash of its node
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
        remove_abandoned(path.parent)
        hidden = path.with_name(temporary_name(path.name))
        new = hidden / "new"
        new.mkdir(parents=True)
        try:
            yield new
            if path.exists():
                path.rename(hidden / "old")
            new.rename(path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be made: {error.strerror}") from error


@contextmanager
def exclusive_lock(lock: Path) -> Iterator[None]:
    """Hold a lock file while the block runs; other processes wait for it. The lock ends with its process.

    Raises:
        ArtifactError: a link or something else than a file lies there, or it cannot be made.
    """
    with open_regular(lock, os.O_RDWR | os.O_CREAT) as file:
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


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        ArtifactError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be made: {error.strerror}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, then rename; readers see the old file or the new one.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    try:
        with atomic_file(path) as file:
            file.write(content)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error.strerror}") from error
    log.info("wrote %s: %d bytes", path, len(content))


def write_together(contents: Mapping[Path, bytes]) -> None:
    """``write_bytes`` of several files at once: a disk that syncs one of them may sync all."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(write_bytes, contents, contents.values()))


def write_json(path: Path, value: object) -> None:
    """Write standard JSON, indented; NaN and infinities become null."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """The content of a JSON file as ``write_json`` writes it."""
    dense = json.dumps(plain(value), allow_nan=False)  # by compiled code, as long as it is not indented
    return msgspec.json.format(dense.encode(), indent=2) + b"\n"


def sha256(content: bytes) -> str:
    """The hash as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def digest(value: object) -> str:
    """Twelve hex digits that name a JSON value; equal for equal ones."""
    return sha256(json.dumps(value, sort_keys=True).encode())[:12]


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk: a renamed file is there after a crash only from then on."""
    with suppress(OSError):  # some file servers do not sync folders
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_regular(path: Path, flags: int = os.O_RDONLY, *, inside: Path | None = None) -> BinaryIO:
    """Open a regular file of a folder that anyone may have made, without following a link and without waiting.

    ``inside`` is the folder that the user named, where the file lies deeper than in it: no folder between may be a link
    either. ``flags`` are those of ``os.open``; without ``O_TRUNC`` an existing file keeps its content.

    Raises:
        ArtifactError: it is missing, a link, a folder, pipe or device, lies outside, or cannot be opened.
    """
    if inside and path.resolve() != inside.resolve() / path.relative_to(inside):
        raise ArtifactError(f"{path}: a link leads there, or it lies outside of {inside}")
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: is missing") from error
    except OSError as error:
        why = "is a link, which is not followed" if error.errno == errno.ELOOP else error.strerror
        raise ArtifactError(f"{path}: cannot be opened: {why}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArtifactError(f"{path}: cannot be opened: it is no regular file")
    return os.fdopen(descriptor, "rb" if flags == os.O_RDONLY else "r+b")


def read_bytes(path: Path, *, inside: Path | None = None, most: int = MOST_BYTES) -> bytes:
    """The content of a file, opened by ``open_regular``.

    Raises:
        ArtifactError: as there, or it has more than ``most`` bytes.
    """
    with open_regular(path, inside=inside) as file:
        if (size := os.fstat(file.fileno()).st_size) > most:
            raise ArtifactError(f"{path}: has {size:,} bytes; at most {most:,} are read")
        return file.read(size)


def read_json(path: Path, kind: Any = Any, *, inside: Path | None = None) -> Any:
    """Read a JSON file of a run or sweep folder as ``kind``: a dataclass, ``TypedDict``, or ``list[...]`` of such.

    Keys that ``kind`` does not name are left out.

    Raises:
        ArtifactError: as ``read_bytes``, or it is not JSON, or not of that form.
    """
    return decode_json(read_bytes(path, inside=inside, most=MOST_JSON_BYTES), path, kind)


def decode_json(content: Any, where: object, kind: Any = Any, decode: Callable[..., Any] = msgspec.json.decode) -> Any:
    """The content of a JSON file as ``kind``; ``where`` is named in errors. For plain content, ``msgspec.convert``.

    Raises:
        ArtifactError: it is not JSON, or not of that form.
    """
    try:
        return decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{where}: {str(error).replace('`', '')}") from error
    except RecursionError as error:
        raise ArtifactError(f"{where}: is nested too deeply for a file of ours") from error


def checked_json(content: bytes, where: object, kind: Any) -> dict[str, Any]:
    """``decode_json`` of an object that has the form of ``kind``, as plain content; keys not named there stay."""
    found: dict[str, Any] = decode_json(content, where)
    decode_json(found, where, kind, msgspec.convert)
    return found


def plain(value: Any) -> Any:
    """The value as JSON and YAML know it: enums become names, NaN and infinities null, what is no UTF-8 is escaped.

    The last are bytes in the name of a file or folder.
    """
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return plain(str(value))
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) and not value.isascii() else value
