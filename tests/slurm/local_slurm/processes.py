"""Processes named by pid and start time, so that a reused pid is never taken for the process that was started."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# reading /proc/PID/... fails with the first before the opening of the file, with the second after it
_GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True)
class Process:
    """A process of this boot; ``start`` is its start time in clock ticks since boot."""

    pid: int
    start: int


@dataclass(frozen=True)
class _Stat:
    state: str
    parent: int
    start: int


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _stat(pid: int) -> _Stat:
    text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    # the second field, the program's name, may itself hold blanks and brackets
    fields = text.rpartition(")")[2].split()
    return _Stat(state=fields[0], parent=int(fields[1]), start=int(fields[19]))


def find(pid: int) -> Process | None:
    """The process that has this pid now, or None when there is none; a zombie counts as none."""
    try:
        stat = _stat(pid)
    except _GONE:
        return None
    return None if stat.state in "ZX" else Process(pid, stat.start)


def alive(process: Process) -> bool:
    """Whether exactly this process still runs."""
    return find(process.pid) == process


def read_record(path: Path) -> Process | None:
    """The process noted in this file if it still runs; an unreadable note (a write cut short) counts as none."""
    try:
        process = Process(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return process if alive(process) else None


def start(command: Sequence[str], record: Path, log: Path, folder: Path, environment: Mapping[str, str]) -> Process:
    """Start a program in a session of its own, working in ``folder``, and note it in ``record``."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    process = Process(child.pid, _stat(child.pid).start)
    record.write_text(json.dumps(asdict(process)))
    return process


def stop(process: Process, first: signal.Signals = signal.SIGTERM, patience: float = 10.0) -> None:
    """Send ``first``, and SIGKILL to what still runs after ``patience`` seconds; returns once it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # the descriptor is fixed to one process, so checking after opening it leaves no gap
        for number, seconds in ((first, patience), (signal.SIGKILL, 10.0)):
            if not alive(process):
                return
            signal.pidfd_send_signal(descriptor, number)
            if select.select([descriptor], [], [], seconds)[0]:
                return
    finally:
        os.close(descriptor)


def working_in(folder: Path, name: str) -> Iterator[Process]:
    """The running processes of this program name whose working directory is ``folder``."""
    for pid in _pids():
        entry = Path(f"/proc/{pid}")
        try:
            matches = (entry / "comm").read_text().strip() == name and (entry / "cwd").readlink() == folder
        except (*_GONE, PermissionError):
            continue
        if matches and (process := find(pid)):
            yield process


def descendants(root: Process) -> list[Process]:
    """All running processes below ``root``, parents before children."""
    children: dict[int, list[Process]] = {}
    for pid in _pids():
        with contextlib.suppress(*_GONE):
            stat = _stat(pid)
            children.setdefault(stat.parent, []).append(Process(pid, stat.start))
    found: list[Process] = []
    pending = [root]
    while pending:
        below = children.get(pending.pop().pid, [])
        found += below
        pending += below
    return [process for process in found if alive(process)]
