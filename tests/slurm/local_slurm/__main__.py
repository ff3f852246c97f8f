"""The command line: a cluster in the foreground, until Ctrl-C; it prints what another shell must set to use it."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from .cluster import LocalSlurm
from .host import LocalSlurmError


def _on_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def run(folder: Path, options: dict[str, Any]) -> None:
    """Run the cluster until a signal ends it; raises LocalSlurmError if it does not start or a daemon ends."""
    began = time.monotonic()
    received: list[int] = []
    with LocalSlurm(folder, **options) as cluster:
        print(f"# ready: a job has run ({time.monotonic() - began:.1f} s); Ctrl-C ends it; in another shell type:")
        print(f"export SLURM_CONF={cluster.conf}", flush=True)
        # an exception raised by a signal could leave Popen.poll() with its lock held
        _on_signals(lambda number, _: received.append(number))
        while not received:
            cluster.check()
            time.sleep(0.2)


def main() -> None:
    """Run one cluster; exits with 0 when it was ended by a signal, with 1 when it failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.slurm.local_slurm",
        description="A private one-machine SLURM on loopback. It runs until Ctrl-C, and its jobs and daemons end then.",
    )
    parser.add_argument("command", choices=["up"], help="start the cluster, and stay in the foreground")
    parser.add_argument("--cpus", type=int, default=4, help="CPUs for jobs; default: %(default)s")
    parser.add_argument("--max-array-size", type=int, default=1001, help="highest index + 1; default: %(default)s")
    parser.add_argument("--accounting", action="store_true", help="with slurmdbd and MariaDB, so that sacct works")
    parser.add_argument("--folder", type=Path, help="an empty folder for the logs; default: a temporary one")
    options = vars(parser.parse_args())
    del options["command"]
    folder = options.pop("folder")
    _on_signals(signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as temporary:
            run((folder or Path(temporary)).resolve(), options)
    except KeyboardInterrupt:
        pass
    except LocalSlurmError as error:
        sys.exit(f"local_slurm: {error}")


if __name__ == "__main__":
    main()
