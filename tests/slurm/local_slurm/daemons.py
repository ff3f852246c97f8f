"""The command of each daemon, and how one knows that it answers."""

import shlex
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .host import is_taken
from .settings import Settings


@dataclass(frozen=True)
class Daemon:
    """``answers`` says whether the next daemon may start."""

    command: list[str]
    answers: Callable[[], bool]


def daemons(settings: Settings) -> dict[str, Daemon]:
    """All daemons of a cluster, in the order in which they start."""
    folder = settings.folder
    found = {"munged": Daemon(munged_command(folder), (folder / "munge.socket").exists)}
    if "slurmdbd" in settings.ports:
        found["mariadbd"] = Daemon(mariadbd_command(settings), database_socket(folder).exists)
    for name in settings.ports:
        found[name] = Daemon([name, "-D"], partial(is_taken, settings.ports[name]))
    return found


def munged_command(folder: Path) -> list[str]:
    """munged with a key and a socket of its own; it runs as any user."""
    # --force: the folder is closed to other users, which munged takes for a mistake
    files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid", "seed-file": "munged.seed"}
    options = [f"--{option}={folder / name}" for option, name in files.items()]
    return ["munged", "--foreground", "--force", f"--log-file={folder}/logs/munged.log", *options]


def database_socket(folder: Path) -> Path:
    """Where MariaDB listens."""
    return folder / "mariadb.socket"


def mariadbd_command(settings: Settings) -> list[str]:
    """A small database server without a TCP port, which makes its own tables first.

    The user who starts the cluster is its administrator, known by the Unix socket.
    """
    data, user = settings.folder / "database", settings.user
    install = [
        "mariadb-install-db", "--no-defaults", "--skip-test-db", f"--user={user}", f"--datadir={data}",
        f"--auth-root-socket-user={user}",
    ]  # fmt: skip
    serve = [
        "mariadbd", "--no-defaults", f"--user={user}", f"--datadir={data}", f"--pid-file={data}/mariadbd.pid",
        f"--socket={database_socket(settings.folder)}", "--skip-networking", "--skip-log-bin",
        "--performance-schema=OFF", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M",
        "--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=2",
    ]  # fmt: skip
    return ["sh", "-c", f"{shlex.join(install)} && exec {shlex.join(serve)}"]


def start(daemon: Daemon, log: Path, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a daemon that works in ``folder``; Linux kills it when the thread that called this ends.

    It has a session of its own, so that Ctrl-C reaches only the caller, who can then end all daemons in order.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *daemon.command], cwd=folder, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip


def last_line(log: Path) -> str:
    """The last line of a log that is not blank, and where the log is."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"{lines[-1] if lines else 'it printed nothing'} (see {log.parent})"


def job_processes(spool: Path, conf: Path) -> set[int]:
    """The pids of a cluster's step daemons, which work in ``spool``, and of the jobs' processes.

    A process belongs to a job if its environment names the cluster's slurm.conf and a job.
    """
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or belongs to another user
            environment = (entry / "environ").read_bytes().split(b"\0")
            is_in_job = any(line.startswith(b"SLURM_JOB_ID=") for line in environment)
            if (is_in_job and f"SLURM_CONF={conf}".encode() in environment) or (entry / "cwd").readlink() == spool:
                found.add(int(entry.name))
    return found
