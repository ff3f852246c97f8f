"""Plans and sweep folders over small tables, without a shell."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from fvc_exp.config.hydra_app import register
from fvc_exp.sweeps.folder import MemberFolder, Plan, SweepFolder
from fvc_exp.sweeps.job import run_members
from fvc_exp.sweeps.multirun import Grid
from fvc_exp.sweeps.plan import TrainingData, common_overrides, make_plan
from tests.conftest import ROOT, write_tables

BASIC = {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}
FAST = "audit.permutations=0"  # the audit of a run costs more than its fits
MakePlan = Callable[..., Plan]


def sweep_arguments(tables: Path, *more: str) -> list[str]:
    """What run.py is called with for a sweep over the tables, beside ``more``."""
    return ["-m", "data=fvc", f"data.root={tables}", f"outputs={tables / 'out'}", FAST, *more]


@pytest.fixture(scope="session")
def loader() -> ConfigLoader:
    """Hydra's own loader of conf/."""
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return GlobalHydra.instance().config_loader()


@pytest.fixture(scope="session")
def master(loader: ConfigLoader) -> DictConfig:
    """What a multirun without any override composes."""
    return loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)


@pytest.fixture(scope="session")
def grid(loader: ConfigLoader, master: DictConfig) -> Grid:
    return Grid(loader, master)


def maker(grid: Grid, tables: Path) -> MakePlan:
    """Makes plans of overrides on the tables, to be run in this process."""

    def make_one(*arguments: str) -> Plan:
        points = grid.points(["data=fvc", f"data.root={tables}", f"outputs={tables / 'out'}", FAST, *arguments])
        requested = ((point, grid.compose(point)) for point in points)
        common = common_overrides(points)
        plan = make_plan(requested, TrainingData(prepare=False), command=["test"], common=common, launcher="basic")
        return replace(plan, launcher_settings=BASIC)

    return make_one


@pytest.fixture
def make(grid: Grid, tables: Path) -> MakePlan:
    """Plans on tables of this test's own."""
    return maker(grid, tables)


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    folder = SweepFolder(tmp_path / "sweep")
    folder.make()
    return folder


SLURM = """#!/bin/sh
case $0 in
*scontrol) echo "MaxArraySize = 2" ;;
*sbatch) mkdir "$0.called" 2>&- && echo Submitted batch job 5 || { echo "QOSLimit" >&2; exit 1; } ;;
esac
"""


@pytest.fixture
def _refusing_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SLURM for arrays of two that takes the first and no other."""
    for name in ("sbatch", "scontrol", "srun", "squeue"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(SLURM)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


def write_claim(folder: MemberFolder, number: int, *, age: float = 0.0, **owner: object) -> Path:
    """Leave what an owner on another machine leaves, ``age`` seconds ago."""
    folder.attempts.mkdir(parents=True, exist_ok=True)
    facts = {"host": "elsewhere", "pid": 1, "process_start": "1", "job": "7"}
    facts["started"] = datetime.now(UTC).isoformat()
    path = folder.attempts / f"{number}.claim"
    path.write_text(json.dumps(facts | owner))
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.fixture(scope="session")
def finished_sweep(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepFolder, Plan]:
    """A sweep of six configurations, all of them done. No test may change it."""
    folder = tmp_path_factory.mktemp("finished_sweep")
    write_tables(folder)
    plan = maker(grid, folder)("penalty=l1,l2", "C=0.001,0.1,10", "solver=liblinear")
    sweep = SweepFolder(folder / "sweep")
    sweep.make()
    sweep.write_plan(plan)
    run_members(sweep, plan.members, "1")
    return sweep, plan


@pytest.fixture
def copied(finished_sweep: tuple[SweepFolder, Plan], tmp_path: Path) -> tuple[SweepFolder, Plan]:
    """A finished sweep of this test's own."""
    return SweepFolder(shutil.copytree(finished_sweep[0].path, tmp_path / "copied")), finished_sweep[1]
