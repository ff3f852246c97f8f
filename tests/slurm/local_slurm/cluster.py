"""Bring a cluster up, take it down, break it for a test, and say how it is; every step may be repeated."""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import signal
import time
from collections.abc import Mapping
from typing import Any

from . import daemons, processes
from .host import LocalSlurmError, check_folder, check_programs, host_name
from .settings import ALL_DAEMONS, CHECK_PARTITION, Layout, Options, Ports, Settings, slurm_conf, user_name

FIRST_JOB_SECONDS = 60.0


def running(layout: Layout) -> dict[str, processes.Process]:
    """The daemons of this folder that run, by name."""
    found = {name: processes.read_record(layout.record(name)) for name in ALL_DAEMONS}
    return {name: process for name, process in found.items() if process is not None}


def up(layout: Layout, asked: Mapping[str, Any]) -> Settings:
    """Start what does not run yet, and return once a job has printed its output.

    ``asked`` holds fields of Options; one left out keeps the folder's value, in a new folder the default. Raises
    UnavailableError when the machine lacks something, LocalSlurmError when a daemon or the job fails or when a
    running cluster is asked to be another.
    """
    host = host_name()
    check_folder(layout.folder, layout.longest_socket(host))
    alive = running(layout)
    settings = _settle(layout, asked, bool(alive))
    check_programs(database=settings.options.accounting == "dbd")
    if not alive:
        settings.write(layout)
        layout.conf.write_text(slurm_conf(settings, layout, host))
    cluster = daemons.Cluster(layout, settings, host)
    for name in settings.options.daemons:
        if name not in alive:
            daemons.start(name, cluster)
    _run_first_job(layout)
    return settings


def _settle(layout: Layout, asked: Mapping[str, Any], any_alive: bool) -> Settings:
    saved = Settings.read(layout)
    if saved is None:
        return Settings(dataclasses.replace(Options(), **asked), Ports.choose())
    options = dataclasses.replace(saved.options, **asked)
    if any_alive and options != saved.options:
        raise LocalSlurmError(f"{layout.folder} runs with {saved.options}, not {options}; take it down first")
    # the old ports wherever possible: a step daemon that outlived a crash looks for slurmctld there
    return Settings(options, saved.ports if any_alive or saved.ports.all_free() else Ports.choose())


def _run_first_job(layout: Layout) -> None:
    """Raise LocalSlurmError unless a job prints: srun may exit with 0 although the step was never launched."""
    word = secrets.token_hex(4)
    command = ["srun", "-Q", "-p", CHECK_PARTITION, "-J", "ready-check", "-n1", "-t1", "echo", word]
    deadline = time.monotonic() + FIRST_JOB_SECONDS
    while time.monotonic() < deadline:
        done = daemons.client(layout, *command, timeout=FIRST_JOB_SECONDS)
        if done.stdout.strip() == word:
            return
        time.sleep(0.5)
    said = done.stderr.strip() or "nothing"
    raise LocalSlurmError(f"the first job did not print its word, srun said {said!r}; see {layout.logs}")


def down(layout: Layout, wipe: bool) -> bool:
    """End all jobs and daemons of the folder; with ``wipe`` delete what `up` made in it.

    Returns False when slurmctld did not answer, so that jobs of its queue would come back with the next `up`.
    """
    alive = running(layout)
    emptied = "slurmctld" in alive and _cancel_all(layout)
    _end_steps(layout)
    for name in reversed(ALL_DAEMONS):
        if name in alive:
            processes.stop(alive[name])
        layout.record(name).unlink(missing_ok=True)
    if wipe:
        for path in layout.folders:
            shutil.rmtree(path)
    return wipe or emptied or not alive


def _cancel_all(layout: Layout) -> bool:
    cancelled = daemons.client(layout, "scancel", f"--user={user_name()}", timeout=10.0)
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        queue = daemons.client(layout, "squeue", "--noheader", timeout=10.0)
        if queue.returncode == 0 and not queue.stdout.strip():
            break
        time.sleep(0.05)
    return cancelled.returncode == 0


def _end_steps(layout: Layout) -> None:
    """Kill the tasks of what jobs are left, so that their step daemons report and end; then these too."""
    steps = list(processes.working_in(layout.spool, "slurmstepd"))
    for task in [task for step in steps for task in processes.descendants(step)]:
        processes.stop(task, signal.SIGKILL)
    deadline = time.monotonic() + 3.0
    while time.monotonic() < deadline and any(map(processes.alive, steps)):
        time.sleep(0.05)
    for step in steps:
        processes.stop(step, signal.SIGKILL)


def kill(layout: Layout, target: str) -> None:
    """SIGKILL one daemon, or with the target "node" slurmd and all job steps, as a crash of the machine would."""
    alive = running(layout)
    name = "slurmd" if target == "node" else target
    if name not in alive:
        raise LocalSlurmError(f"{name} does not run in {layout.folder}")
    processes.stop(alive[name], signal.SIGKILL)
    if target == "node":
        steps = list(processes.working_in(layout.spool, "slurmstepd"))
        tasks = [task for step in steps for task in processes.descendants(step)]
        for process in [*steps, *tasks]:
            processes.stop(process, signal.SIGKILL)
