"""How each daemon is started, and how one knows that it answers."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from . import database, processes
from .host import LocalSlurmError, is_free, search_path
from .settings import Layout, Settings

START_SECONDS = 60.0
_NODE_UP = {"idle", "mixed", "allocated", "completing"}


@dataclass(frozen=True)
class Cluster:
    """All that a daemon must know of its cluster."""

    layout: Layout
    settings: Settings
    host: str


def environment(layout: Layout) -> dict[str, str]:
    """The environment of daemons and clients: this cluster's, without what an outer SLURM job may have left."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "SRUN"))}
    return outer | {"SLURM_CONF": str(layout.conf), "PATH": search_path()}


def client(layout: Layout, *command: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a SLURM client; one that does not answer within ``timeout`` seconds counts as failed."""
    try:
        return subprocess.run(
            command,
            env=environment(layout),
            cwd=layout.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {timeout:.0f} s")


def start(name: str, cluster: Cluster) -> None:
    """Start one daemon and wait until it answers; raises LocalSlurmError if it ends or stays silent."""
    layout = cluster.layout
    daemon = _DAEMONS[name]
    if daemon.prepare is not None:
        daemon.prepare(cluster)
    process = processes.start(
        daemon.command(cluster), layout.record(name), layout.log(f"{name}.err"), layout.spool, environment(layout)
    )
    deadline = time.monotonic() + START_SECONDS
    while not daemon.answers(cluster):
        if not processes.alive(process):
            raise LocalSlurmError(f"{name} ended at once: {_last_line(layout, name)}")
        if time.monotonic() > deadline:
            raise LocalSlurmError(f"{name} did not answer within {START_SECONDS:.0f} s: {_last_line(layout, name)}")
        time.sleep(0.02)


def _last_line(layout: Layout, name: str) -> str:
    path = layout.log(f"{name}.err")
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return f"{lines[-1].strip() if lines else 'it said nothing'} (see {layout.logs})"


def _prepare_munged(cluster: Cluster) -> None:
    layout = cluster.layout
    layout.munge_socket.unlink(missing_ok=True)
    if not layout.munge_key.exists():
        unfinished = layout.munge_key.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(secrets.token_bytes(128))
        unfinished.rename(layout.munge_key)


def _munged(cluster: Cluster) -> list[str]:
    layout = cluster.layout
    # --force: the folder is closed to other users, which munged takes for a mistake
    return [
        "munged",
        "--foreground",
        "--force",
        f"--key-file={layout.munge_key}",
        f"--socket={layout.munge_socket}",
        f"--pid-file={layout.run}/munged.pid",
        f"--log-file={layout.log('munged')}",
        f"--seed-file={layout.run}/munged.seed",
    ]


def _slurmctld_answers(cluster: Cluster) -> bool:
    return client(cluster.layout, "scontrol", "ping", timeout=10.0).returncode == 0


def _slurmd_answers(cluster: Cluster) -> bool:
    if is_free(cluster.settings.ports.slurmd):
        return False
    state = client(cluster.layout, "sinfo", "--noheader", "-p", "main", "-o", "%T", timeout=10.0).stdout.strip()
    if state.startswith(("drain", "down")):
        # a job that could not be killed before a crash leaves the node like this
        client(cluster.layout, "scontrol", "update", f"NodeName={cluster.host}", "State=RESUME", timeout=10.0)
    return state in _NODE_UP


@dataclass(frozen=True)
class _Daemon:
    command: Callable[[Cluster], list[str]]
    answers: Callable[[Cluster], bool]
    prepare: Callable[[Cluster], None] | None = None


_DAEMONS = {
    "munged": _Daemon(_munged, lambda cluster: cluster.layout.munge_socket.exists(), _prepare_munged),
    "mariadbd": _Daemon(
        lambda cluster: database.mariadbd_command(cluster.settings, cluster.layout),
        lambda cluster: database.run_sql(cluster.layout, "select 1"),
        lambda cluster: database.install(cluster.layout),
    ),
    "slurmdbd": _Daemon(
        lambda _: ["slurmdbd", "-D"],
        lambda cluster: not is_free(cluster.settings.ports.slurmdbd),
        lambda cluster: database.prepare_slurmdbd(cluster.settings, cluster.layout, cluster.host),
    ),
    "slurmctld": _Daemon(lambda _: ["slurmctld", "-D"], _slurmctld_answers),
    "slurmd": _Daemon(lambda _: ["slurmd", "-D"], _slurmd_answers),
}
