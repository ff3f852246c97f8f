"""Who works on a member: at most one attempt at a time, across processes and machines.

An attempt is a numbered file that only one process can create. Its owner touches the file while it lives, so that any
machine can tell a dead attempt from a slow one; on the owner's machine the process table tells it at once.
"""

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from fvc_exp.errors import ArtifactError
from fvc_exp.io import files
from fvc_exp.sweeps.folder import MemberFolder, read_status

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
_SUFFIX = ".claim"


@dataclass(frozen=True)
class Owner:
    """The process that works on a member; ``job`` is the id of the job it does it for."""

    host: str
    pid: int
    process_start: str | None
    job: str
    started: str


@dataclass(frozen=True)
class Claim:
    """One attempt, from 1 on. ``owner`` is None while its file is still being written."""

    number: int
    path: Path
    owner: Owner | None

    def is_alive(self, now: float) -> bool:
        """Whether the owner still works; ``now`` is the time of the file's clock."""
        if self.owner and self.owner.host == socket.gethostname() and self.owner.process_start:
            return process_start(self.owner.pid) == self.owner.process_start
        try:
            return now - self.path.stat().st_mtime < STALE_SECONDS
        except FileNotFoundError:  # the owner had nothing to do and removed it
            return False


def process_start(pid: int) -> str | None:
    """When a process of this machine began, in the kernel's ticks; None if there is none (a zombie is none)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def latest_claim(folder: MemberFolder) -> Claim | None:
    """The newest attempt, alive or not."""
    names = [each.name for each in os.scandir(folder.attempts)] if folder.attempts.is_dir() else []
    numbers = [int(name.removesuffix(_SUFFIX)) for name in names if name.endswith(_SUFFIX)]
    if not numbers:
        return None
    path = folder.attempts / f"{max(numbers)}{_SUFFIX}"
    try:
        owner = files.read_json(path, Owner)
    except ArtifactError:
        owner = None
    return Claim(max(numbers), path, owner)


def try_claim(folder: MemberFolder, job: str) -> Claim | None:
    """Begin the next attempt, or None while another one is alive.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    try:
        folder.attempts.mkdir(parents=True, exist_ok=True)
        before = latest_claim(folder)
        ended = (read_status(folder.status) or {}).get("attempt")
        if before and before.number != ended and before.is_alive(_file_clock(folder.attempts)):
            return None
        number = before.number + 1 if before else 1
        path = folder.attempts / f"{number}{_SUFFIX}"
        pid, now = os.getpid(), datetime.now(UTC).isoformat()
        owner = Owner(socket.gethostname(), pid, process_start(pid), job, now)
        with path.open("xb") as file:  # fails if another process was quicker
            file.write(files.json_bytes(asdict(owner)))
            file.flush()
            os.fsync(file.fileno())
        files.sync_folder(folder.attempts)
    except FileExistsError:
        return None
    except OSError as error:
        raise ArtifactError(f"{folder.attempts}: cannot be written: {error.strerror}") from error
    return Claim(number, path, owner)


@contextmanager
def heartbeat(claim: Claim) -> Iterator[None]:
    """Touch the claim while the block runs."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            os.utime(claim.path)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _file_clock(folder: Path) -> float:
    """Now, by the clock that stamps files in this folder; a file server's may differ from ours."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as file:
        file.write(b"x")
        file.flush()
        return os.fstat(file.fileno()).st_mtime
