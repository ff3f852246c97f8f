"""The command line: ``eval "$(python -m tests.slurm.local_slurm up)"`` starts a cluster and points the shell at it."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import cluster
from .host import LocalSlurmError, UnavailableError
from .settings import Layout, Settings

UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h: the machine lacks something, nothing was tried


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of one call; options of `up` that are left out are absent from the result."""
    default = Path(tempfile.gettempdir()) / f"local-slurm-{os.geteuid()}"
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--folder", type=Path, default=default, help="where all of it lies; default: %(default)s")
    parser = argparse.ArgumentParser(prog="local_slurm", description="A private one-machine SLURM on loopback.")
    commands = parser.add_subparsers(dest="command", required=True)

    up = commands.add_parser("up", parents=[common], help="start what does not run; prints the environment to use")
    up.add_argument("--cpus", type=_positive, default=argparse.SUPPRESS, help="CPUs for jobs; default: 4")
    up.add_argument(
        "--max-array-size", type=_positive, default=argparse.SUPPRESS, help="highest task index + 1; default: 1001"
    )
    up.add_argument(
        "--accounting",
        choices=["none", "dbd"],
        default=argparse.SUPPRESS,
        help="dbd: slurmdbd and MariaDB, so that sacct works; default: none",
    )
    down = commands.add_parser("down", parents=[common], help="end all jobs and daemons of the folder")
    down.add_argument("--wipe", action="store_true", help="also delete the logs, the queue and the accounting")
    status = commands.add_parser("status", parents=[common], help="exit code 0 if all daemons run, else 1")
    status.add_argument("--json", action="store_true", help="print JSON")
    kill = commands.add_parser("kill", parents=[common], help="SIGKILL a part, for tests of failures; `up` mends it")
    kill.add_argument("target", choices=["slurmctld", "slurmd", "slurmdbd", "node"])
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


@contextlib.contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    """Let one command at a time change the folder."""
    with (layout.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _up(layout: Layout, arguments: argparse.Namespace) -> int:
    asked = {name: value for name, value in vars(arguments).items() if name not in ("command", "folder")}
    began = time.monotonic()
    layout.create()
    with _locked(layout):
        cluster.up(layout, asked)
    print(f"# ready: a job has run ({time.monotonic() - began:.1f} s)")
    print(f"export SLURM_CONF={shlex.quote(str(layout.conf))}")
    return 0


def _down(layout: Layout, arguments: argparse.Namespace) -> int:
    if layout.settings.exists():
        with _locked(layout):
            emptied = cluster.down(layout, arguments.wipe)
        if not emptied:
            print("# slurmctld did not answer: its queue comes back with the next up; down --wipe forgets it")
    print("# down")
    return 0


def _status(layout: Layout, arguments: argparse.Namespace) -> int:
    settings = Settings.read(layout)
    alive = cluster.running(layout)
    names = settings.options.daemons if settings else ()
    pids = {name: alive[name].pid if name in alive else None for name in names}
    if arguments.json:
        ports = vars(settings.ports) if settings else {}
        print(json.dumps({"conf": str(layout.conf), "daemons": pids, "ports": ports}))
    else:
        lines = [f"{name}: {pid or 'stopped'}" for name, pid in pids.items()]
        print("\n".join(lines) or f"no cluster in {layout.folder}")
    return 0 if pids and all(pids.values()) else 1


def _kill(layout: Layout, arguments: argparse.Namespace) -> int:
    cluster.kill(layout, arguments.target)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parsed = parse(arguments)
    layout = Layout(parsed.folder.resolve())
    commands = {"up": _up, "down": _down, "status": _status, "kill": _kill}
    try:
        return commands[parsed.command](layout, parsed)
    except LocalSlurmError as error:
        print(f"local_slurm: {error}", file=sys.stderr)
        return UNAVAILABLE if isinstance(error, UnavailableError) else 1


if __name__ == "__main__":
    sys.exit(main())
