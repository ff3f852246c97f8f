"""Sweeps on a real SLURM: complete, resumed, broken on purpose; each task of an array is one configuration."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import write_tables
from tests.processes import SABOTAGE, until
from tests.shell import ROOT, one_line, run_process, succeeded
from tests.slurm.conftest import WITH_AND_WITHOUT, Cluster, started
from tests.sweeps.conftest import FAST
from tests.sweeps.sabotage import sitecustomize as broken

GRID = ("penalty=l1,l2,elasticnet", "solver=liblinear,saga", "C=0.01,0.1,1,10", "penalty.l1_ratio=0.1,0.5,0.9")
SMALL = ("penalty=l2", "solver=lbfgs", "C=0.1,0.2,0.3,0.4,0.5,0.6")


@dataclass
class Project:
    """A folder with data and outputs, and the commands as a user types them in a checkout."""

    folder: Path
    cluster: Cluster
    checkout: Path = ROOT

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a sweep on SLURM."""
        data = ["data=fvc", f"data.root={self.folder}", f"outputs={self.folder / 'out'}", FAST]
        command = [sys.executable, "run.py", "-m", *data, "hydra/launcher=slurm", "hydra.launcher.mem_gb=null"]
        return subprocess.Popen(
            [*command, *arguments], cwd=self.checkout, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self.cluster.env | {"PYTHONPATH": str(self.checkout)} | environment,
        )  # fmt: skip

    def sweep(self, *arguments: str, timeout: float = 300, **environment: str) -> tuple[int, str]:
        """Run a sweep to its end; returns the exit code and all that was printed."""
        process = self.start(*arguments, **environment)
        printed, _ = process.communicate(timeout=timeout)
        return process.returncode, printed

    def complete(self, *arguments: str, **environment: str) -> str:
        """Run a sweep in which nothing fails; returns all that was printed."""
        code, printed = self.sweep(*arguments, **environment)
        assert code == 0, printed
        return printed

    def fvc(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run fvc on the only sweep, or the named one."""
        command = [sys.executable, "-c", "from fvc_exp.__main__ import app; app()", *arguments]
        return run_process(*command, cwd=self.checkout, env=self.cluster.env, timeout=timeout)

    @property
    def path(self) -> Path:
        """The only sweep's folder."""
        (path,) = (self.folder / "out" / "sweeps").iterdir()
        return path

    def submissions(self) -> list[dict[str, Any]]:
        """What was noted of each submission."""
        return [json.loads(path.read_text()) for path in (self.path / "submissions").glob("*.json")]

    def jobs(self) -> list[str]:
        """All job ids that were noted."""
        return [job for record in self.submissions() for job in record["jobs"] or []]

    def job_of(self, c: float) -> str:
        """The newest job of the configuration with this C."""
        members = json.loads((self.path / "plan.json").read_text())["members"]
        (run_id,) = (each["run_id"] for each in members if each["parameters"]["C"] == c)
        own = [record for record in self.submissions() if [run_id] in record["members"]]
        newest = max(own, key=lambda record: record["number"])
        job: str = newest["jobs"][newest["members"].index([run_id])]
        return job

    def states(self) -> dict[str, dict[str, Any]]:
        """What ``fvc status`` says about each member, by its overrides."""
        shown = json.loads(self.fvc("status", str(self.path), "--json").stdout)["members"]
        return {" ".join(each["overrides"]): each for each in shown}

    def attempts(self) -> Counter[int]:
        """How many configurations took how many attempts."""
        return Counter(len(list(path.glob("attempts/*.claim"))) for path in self.path.glob("runs/*"))

    def wait_for_jobs(self, count: int) -> None:
        """Wait until this many jobs have been noted."""
        sweeps = self.folder / "out" / "sweeps"
        until(lambda: sweeps.exists() and any(sweeps.iterdir()) and len(self.jobs()) == count, 180, f"{count} jobs")


@pytest.fixture
def project(cluster: Cluster, tmp_path: Path) -> Project:
    write_tables(tmp_path)
    return Project(tmp_path, cluster)


@pytest.fixture(scope="module")
def grid(slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """The documented grid, swept once; with all that was printed."""
    folder = tmp_path_factory.mktemp("grid")
    write_tables(folder)
    project = Project(folder, slurm)
    return project, project.complete(*GRID, "sweep.name=grid")


def test_28_configurations_are_28_array_tasks(grid: tuple[Project, str]) -> None:
    project, printed = grid
    assert "72 requested: 12 invalid, 32 duplicates, 0 already done, 28 to run" in printed
    (array,) = {job.partition("_")[0] for job in project.jobs()}
    assert sorted(project.jobs()) == sorted(f"{array}_{task}" for task in range(28))
    assert set(project.cluster.squeue(array).values()) == {"COMPLETED"}
    table = pl.read_parquet(project.path / "results.parquet")
    assert len(table) == 28
    assert table["state"].unique().to_list() == ["done"]
    assert len(re.findall(r"^ +\d+ +(l1|l2|elasticnet) ", printed, re.MULTILINE)) == 10
    assert "the first 10 of 28, ranked" in one_line(printed)
    assert (project.path / "best" / "roc_pr_curves.png").exists()


def test_the_same_command_again_submits_nothing(grid: tuple[Project, str]) -> None:
    project, _ = grid
    jobs = project.jobs()
    assert "28 already done, 0 to run" in project.complete(*GRID, "sweep.name=grid")
    assert project.jobs() == jobs


def test_packs_give_identical_metrics(grid: tuple[Project, str], project: Project) -> None:
    one, _ = grid
    project.complete(*GRID, "sweep.pack=8")
    assert len(project.jobs()) == 4
    singles = sorted(one.path.glob("runs/*/metrics.json"))
    assert len(singles) == 28
    for single in singles:
        assert (project.path / single.relative_to(one.path)).read_bytes() == single.read_bytes()


def require_told_to_slurm(project: Project, array: str, shown: dict[str, dict[str, Any]]) -> None:
    """What squeue says about failed jobs, which signal scancel's job noted, and what accounting adds."""
    ends = project.cluster.squeue(array)
    assert {ends[project.job_of(value)] for value in (broken.RAISE, broken.TIME_LIMIT)} == {"FAILED"}
    (stopped,) = (path for path in project.path.glob("runs/*/status.json") if "interrupted" in path.read_text())
    assert json.loads(stopped.read_text())["signal"] == "SIGTERM"
    if "slurmdbd" in project.cluster.ports:
        assert shown["C=1.0"]["memory_mb"] > 50
        assert re.fullmatch(r"[\d:.-]+", shown["C=1.0"]["cpu"])


@WITH_AND_WITHOUT
def test_eight_ways_to_fail_are_told_apart_and_cost_nobody_else(project: Project) -> None:
    fine = (0.1, 1.0, 10.0)
    pending = 0.019
    values = (broken.TIME_LIMIT, broken.HANG, broken.RAISE, broken.EXIT, broken.KILL, broken.NO_METRICS, broken.MEMORY)
    listed = ",".join(str(value) for value in (*values, *fine, pending))
    limits = ("timeout_min=1", "array_parallelism=3", "additional_parameters={mem: 500M}")
    driver = project.start("penalty=l2", f"C={listed}", *(f"hydra.launcher.{each}" for each in limits), **SABOTAGE)
    project.wait_for_jobs(11)
    shown = project.states()
    assert shown[f"C={pending}"]["state"] == "pending"
    assert shown[f"C={pending}"]["reason"] in ("JobArrayTaskLimit", "Resources", "Priority")
    project.cluster.run("scancel", project.job_of(pending))
    hanging = project.job_of(broken.HANG)
    until((project.path / "runs" / shown[f"C={broken.HANG}"]["run_id"] / "config.yaml").exists, 60, "hang")
    project.cluster.run("scancel", hanging)
    array = hanging.partition("_")[0]
    project.cluster.wait_for(array, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", timeout=200)
    ended = time.monotonic()
    printed, _ = driver.communicate(timeout=60)
    assert time.monotonic() - ended < 60
    assert driver.returncode == 1

    shown = project.states()
    reasons = {overrides: (each["state"], each["reason"]) for overrides, each in shown.items()}
    assert {reasons[f"C={value}"] for value in fine} == {("done", None)}
    assert {c: reasons[f"C={c}"] for c in (*values, pending)} == {
        broken.RAISE: ("failed", "ValueError"),
        broken.EXIT: ("lost", "exit code 7"),
        broken.KILL: ("lost", "killed by SIGKILL"),
        broken.MEMORY: ("lost", "out of memory"),
        broken.HANG: ("lost", "cancelled while running"),
        pending: ("lost", "cancelled while pending"),
        broken.TIME_LIMIT: ("failed", "time limit"),
        broken.NO_METRICS: ("failed", "finished without metrics"),
    }
    messages = [each["message"] or "" for each in shown.values()]
    assert not [text for text in messages if re.match("srun|slurmstepd|submitit", text)]
    assert pl.read_parquet(project.path / "results.parquet")["auc_mean"].count() == 3
    for overrides, (_, reason) in reasons.items():
        told = printed.count(f"{overrides}: {reason}")
        assert told == (2 if reason else 0), f"{overrides}: when it happened, and at the end: {printed}"
    require_told_to_slurm(project, array, shown)

    before = project.jobs()
    again = project.fvc("retry", str(project.path))
    assert "3 already done, 8 to run" in again.stderr
    assert len(project.jobs()) - len(before) == 8
    assert again.returncode == 0, again.stdout + again.stderr
    assert project.attempts() == {1: 4, 2: 7}  # the one cancelled while pending had never begun


def test_a_killed_driver_is_followed_by_one_that_submits_nothing(project: Project) -> None:
    driver = project.start(*SMALL, **SABOTAGE, ALL_SLOW="3")
    project.wait_for_jobs(6)
    driver.kill()
    driver.communicate()
    printed = project.complete(*SMALL)
    assert re.search(r"\d still queued or running, 0 to run", one_line(printed)), printed
    assert len(project.jobs()) == 6
    assert project.attempts() == {1: 6}


def test_a_driver_that_died_before_it_noted_the_job_is_followed_too(project: Project) -> None:
    project.complete(*SMALL, "sweep.wait=false", **SABOTAGE, ALL_SLOW="3")
    (record,) = (project.path / "submissions").glob("*.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "jobs": None}))
    assert "0 to run" in project.complete(*SMALL)
    assert len(list((project.path / "submissions").glob("*.json"))) == 1
    assert project.attempts() == {1: 6}


def test_see_and_steer(project: Project) -> None:
    """A member in setup, held, cancelled, retried with other settings."""
    setup = "hydra.launcher.setup=['sleep 20']"
    printed = project.complete(*SMALL, "sweep.wait=false", setup)
    (array,) = {job.partition("_")[0] for job in project.jobs()}
    assert f"submitted as array {array} (6 tasks)" in printed
    held, in_setup = project.job_of(0.6), project.job_of(0.1)
    project.cluster.run("scontrol", "uhold", held)
    until(lambda: project.cluster.squeue(array)[in_setup] == "RUNNING", 20, "a task to run")
    shown = project.states()
    assert (shown["C=0.1"]["state"], shown["C=0.6"]["reason"]) == ("running", "JobHeldUser")
    _, printed = project.sweep(*SMALL, "sweep.wait=false", setup, "hydra.launcher.timeout_min=5")
    assert "jobs that wait keep timeout_min=60 (now 5); fvc cancel" in one_line(printed)
    assert "submitted" not in printed
    path = str(project.path)
    cancelled = succeeded(project.fvc("cancel", path, shown["C=0.6"]["run_id"][:8], shown["C=0.1"]["run_id"]))
    assert set(cancelled.stdout.split()) == {"cancelled", held, in_setup}
    code, printed = project.sweep(*SMALL, "sweep.fail_fast=true")
    assert (code, "2 to run" in one_line(printed)) == (0, True), printed


def test_the_first_failure_cancels_the_rest(project: Project) -> None:
    limits = ("hydra.launcher.array_parallelism=1", "sweep.fail_fast=true")
    code, printed = project.sweep("penalty=l2", f"C={broken.RAISE},0.1,0.2,0.3", *limits, **SABOTAGE, ALL_SLOW="20")
    assert code == 1
    assert "sweep.fail_fast: all others are cancelled" in printed
    assert Counter(each["state"] for each in project.states().values()) == {"failed": 1, "lost": 3}
    failed = project.states()[f"C={broken.RAISE}"]
    assert "ValueError: boom" in succeeded(project.fvc("logs", str(project.path), failed["run_id"])).stdout
    again = project.fvc("retry", str(project.path), "hydra.launcher.timeout_min=3", "hydra.launcher.mem_per_cpu=500M")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "TimeLimit=00:03:00" in project.cluster.run("scontrol", "show", "job", project.job_of(0.1)).stdout


def test_doctor_asks_whether_a_job_would_be_taken(project: Project) -> None:
    asked = project.fvc("doctor", "--submit", "hydra.launcher.partition=main")
    assert re.search(r"ok +job: partition=main, .* to start at \d{4}-", one_line(asked.stdout)), asked.stdout
    asked = project.fvc("doctor", "--submit", "hydra.launcher.partition=nowhere")
    assert (asked.returncode, "invalid partition specified: nowhere" in one_line(asked.stdout)) == (1, True)


def test_launch_and_leave(project: Project) -> None:
    project.complete(*SMALL, "sweep.wait=false", **SABOTAGE, ALL_SLOW="3")
    assert not (project.path / "results.parquet").exists()
    assert project.fvc("status", str(project.path)).returncode == 3
    watched = succeeded(project.fvc("status", str(project.path), "--watch", "--json"))
    assert {each["state"] for each in json.loads(watched.stdout)["members"]} == {"done"}
    succeeded(project.fvc("collect", str(project.path)))
    assert len(pl.read_parquet(project.path / "results.parquet")) == 6


def crash(project: Project, target: str, seconds: float) -> None:
    """Kill a daemon or the node, and start it again after so long."""
    if target != "slurmd":  # which knows nothing that could be lost
        project.cluster.wait_until_saved()
    project.cluster.kill(target)
    time.sleep(seconds)
    project.cluster.restart()


def hold(project: Project) -> None:
    """Take a job back and hold it, as SLURM itself does after a launch that failed; release it a moment later."""
    project.cluster.run("scontrol", "requeuehold", project.jobs()[0])
    time.sleep(15)
    project.cluster.run("scontrol", "release", project.jobs()[0])


DISTURBANCES: dict[str, Callable[[Project], object]] = {
    "requeue": hold,
    "slurmctld": partial(crash, target="slurmctld", seconds=3),
    "slurmd": partial(crash, target="slurmd", seconds=3),
    "node": partial(crash, target="node", seconds=15),
}


@WITH_AND_WITHOUT
@pytest.mark.parametrize("disturb", DISTURBANCES.values(), ids=DISTURBANCES)
def test_a_disturbed_cluster_loses_nothing(project: Project, disturb: Callable[[Project], object]) -> None:
    driver = project.start(*SMALL, **SABOTAGE, ALL_SLOW="8")
    project.wait_for_jobs(6)
    until(lambda: any(project.path.glob("runs/*/attempts/1.claim")), 60, "the first run to begin")
    disturb(project)
    printed, _ = driver.communicate(timeout=240)
    assert driver.returncode == 0, printed
    assert one_line(printed).count("scontrol release") == (disturb is hold), printed
    statuses = [json.loads(path.read_text()) for path in project.path.glob("runs/*/status.json")]
    assert [status["state"] for status in statuses] == ["done"] * 6
    assert len(project.jobs()) == 6


def test_a_grid_beyond_the_array_limit_is_split(tmp_path: Path) -> None:
    write_tables(tmp_path)
    with started(max_array_size=4) as cluster:
        project = Project(tmp_path, cluster)
        project.complete(*SMALL)
        assert sorted(Counter(job.partition("_")[0] for job in project.jobs()).values()) == [2, 4]


def test_no_slurm_is_one_line(project: Project) -> None:
    empty = project.folder / "bin"
    empty.mkdir()
    (empty / "python").symlink_to(sys.executable)
    code, printed = project.sweep(*SMALL, PATH=str(empty))
    assert code == 1
    assert printed.splitlines()[-1].startswith("error: ")
    assert "SLURM" in printed


def test_a_refused_submission_is_one_line(project: Project) -> None:
    code, printed = project.sweep(*SMALL, "hydra.launcher.partition=nowhere")
    assert code == 1
    assert printed.splitlines()[-1].startswith("error: sbatch failed")
    assert "invalid partition" in printed


def test_hydras_own_sweeper_and_launcher(project: Project) -> None:
    stock = ("hydra/sweeper=basic", "hydra/launcher=submitit_slurm", f"hydra.sweep.dir={project.folder / 'stock'}")
    project.complete("C=0.1,1", *stock)
    statuses = [json.loads(path.read_text()) for path in (project.folder / "stock").glob("*/status.json")]
    assert [status["state"] for status in statuses] == ["done"] * 2


def sbatch(project: Project, script: str, *arguments: str) -> str:
    """Submit a script of ops/ as a user does, wait for its end; returns what it printed."""
    data = ["data=fvc", f"data.root={project.folder}", f"outputs={project.folder / 'out'}", FAST]
    log = project.folder / "log"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["sbatch", "--parsable", f"--output={log}", f"ops/{script}", *data, *arguments]
    job = succeeded(run_process(*command, cwd=ROOT, env=project.cluster.env | {"PATH": path})).stdout.strip()
    project.cluster.wait_for(job, "COMPLETED", "FAILED", timeout=180)
    printed = log.read_text()
    assert project.cluster.squeue(job) == {job: "COMPLETED"}, printed
    return printed


def test_a_sweep_controlled_from_the_cluster(project: Project) -> None:
    printed = sbatch(project, "sweep.sbatch", "penalty=l1,l2", "C=0.1,1", "hydra.launcher.mem_gb=null")
    assert "4 requested: 0 invalid, 0 duplicates, 0 already done, 4 to run" in printed
    assert len(set(project.jobs())) == 4
    assert project.attempts() == {1: 4}
    assert (project.path / "results.parquet").exists()


def test_the_documented_single_job(project: Project) -> None:
    printed = sbatch(project, "slurm_stage5alpha.sh", "penalty=elasticnet", "C=0.1")
    (folder,) = (project.folder / "out" / "runs").iterdir()
    assert json.loads((folder / "status.json").read_text())["state"] == "done"
    assert str(folder) in printed
