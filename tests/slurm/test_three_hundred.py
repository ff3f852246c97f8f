"""300 configurations over three arrays, and everything that can go wrong on the way; ``-s`` shows the transcript."""

import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import write_tables
from tests.processes import SABOTAGE, until
from tests.shell import ROOT, succeeded
from tests.slurm.conftest import started
from tests.slurm.test_sweep import Project
from tests.sweeps.sabotage import sitecustomize as broken

CANCELLED = 0.397
VALUES = [*(round(0.1 + number / 1000, 3) for number in range(298)), broken.MEMORY, broken.TIME_LIMIT]
COMMAND = ("penalty=l2", f"C={','.join(map(str, VALUES))}", "hydra.launcher.timeout_min=2",
           "hydra.launcher.additional_parameters={mem: 500M}", "sweep.name=three-hundred")  # fmt: skip
REFUSING = """#!/bin/sh
echo call >> "$0.calls"
if [ "$(wc -l < "$0.calls")" = 3 ]; then echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1; fi
exec /usr/bin/sbatch "$@"
"""


def refuse_the_third(folder: Path) -> str:
    """A PATH whose sbatch refuses its third call."""
    (folder / "bin").mkdir()
    (folder / "bin" / "sbatch").write_text(REFUSING)
    (folder / "bin" / "sbatch").chmod(0o755)
    return str(folder / "bin")


def tell(title: str, printed: str) -> None:
    lines = [line for line in printed.splitlines() if not line.startswith("configurations:")]
    print(f"\n== {title}", *lines, sep="\n")


def statuses(project: Project) -> list[str]:
    return [path.read_text() for path in project.path.glob("runs/*/status.json")]


def refused(project: Project) -> int:
    """How many jobs found other code than that of their plan."""
    return sum("code changed since submission" in text for text in statuses(project))


def copied_checkout(folder: Path) -> Path:
    """The program where it may be edited."""
    for name in ("fvc_exp", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run.py", folder)
    return folder


@pytest.mark.slow
def test_every_other_result_is_there_once(tmp_path: Path) -> None:
    write_tables(tmp_path)
    (tmp_path / "program").mkdir()
    with started(max_array_size=100) as cluster:
        project = Project(tmp_path, cluster, copied_checkout(tmp_path / "program"))
        broken_path = SABOTAGE["PYTHONPATH"].split(os.pathsep)[0]
        env = SABOTAGE | {"PYTHONPATH": f"{broken_path}{os.pathsep}{project.checkout}"}
        path = f"{refuse_the_third(tmp_path)}:{cluster.env['PATH']}"
        code, printed = project.sweep(*COMMAND, **env, PATH=path)
        tell(f"sbatch refuses the third array: exit code {code}", printed)
        assert (code, len(project.jobs())) == (1, 200)

        driver = project.start(*COMMAND, **env)
        project.wait_for_jobs(300)
        until(lambda: len(statuses(project)) > 10, 600, "a few runs to end")
        driver.kill()
        tell(f"the same command, killed after {len(statuses(project))} runs", driver.communicate()[0])

        edited = project.checkout / "fvc_exp" / "errors.py"
        before = edited.read_text()
        edited.write_text(f"{before}# edited\n")
        until(lambda: refused(project) >= 3, 600, "jobs to find the edit")
        edited.write_text(before)
        time.sleep(30)  # those that have read it, on a busy machine
        others = refused(project)
        cluster.run("scancel", project.job_of(CANCELLED))
        driver = project.start(*COMMAND, **env)
        project.wait_for_jobs(301 + others)
        # SIGKILL would forget the jobs of the last seconds, and then hold those that run already
        cluster.kill("slurmctld", signal.SIGTERM)
        time.sleep(5)
        cluster.restart()
        printed, _ = driver.communicate(timeout=1200)
        tell(
            f"again, after a file was edited for a while ({others} jobs refused) and a task was cancelled; slurmctld "
            f"was restarted: exit code {driver.returncode}",
            printed,
        )
        shown = project.states()
        bad = {overrides: each["reason"] for overrides, each in shown.items() if each["state"] != "done"}
        assert bad == {f"C={broken.MEMORY}": "out of memory", f"C={broken.TIME_LIMIT}": "time limit"}
        table = pl.read_parquet(project.path / "results.parquet")
        assert (table["auc_mean"].count(), table["run_id"].n_unique()) == (298, 300)
        assert project.attempts() == {1: 300 - others, 2: others}

        tell("fvc retry", succeeded(project.fvc("retry", str(project.path), timeout=600)).stderr)
        assert Counter(each["state"] for each in project.states().values()) == {"done": 300}
        assert project.attempts() == {1: 298 - others, 2: 2 + others}
