"""An Airflow with an environment and a home of its own, for the tests in this folder."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, skip_or_fail
from tests.shell import run_process, succeeded

DAG_FILE = ROOT / "ops" / "fvc_pipeline_dag.py"
DAG_ID = "fvc_pipeline"
STAGES = ["augment", "features", "scale", "scaled_features", "train"]
SMALL = {"demo_events": 12, "demo_uploads": 1, "augmentations": 1, "n_splits": 2}


@dataclass(frozen=True)
class Airflow:
    """An Airflow with a home and a database of its own; ``home`` must not be shared by runs at the same time."""

    python: str
    home: Path

    @property
    def env(self) -> dict[str, str]:
        """The environment of its programs; nothing of this project is on their path."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON", "FVC_"))}
        return kept | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAG_FILE.parent),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "FVC_PYTHON": sys.executable,
        }

    def command(self, *arguments: str) -> list[str]:
        """The command line of one of its programs."""
        return [self.python, "-m", "airflow", *arguments]

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs to the end."""
        return run_process(*self.command(*arguments), env=self.env | env, cwd=self.home)

    def test_dag(self, conf: dict[str, Any], **env: str) -> subprocess.CompletedProcess[str]:
        """Run the DAG in one process, with the params of ``conf``."""
        return self.run("dags", "test", DAG_ID, "-f", str(DAG_FILE), "-c", json.dumps(conf), **env)

    def tries(self) -> dict[str, tuple[str, int]]:
        """State and number of tries of each task of the newest run."""
        rows = self._of_newest_run("task_id, state, try_number FROM task_instance")
        return {task: (state, tries) for task, state, tries in rows}

    def xcom(self, task: str) -> str:
        """What a task of the newest run returned."""
        return str(json.loads(dict(self._of_newest_run("task_id, value FROM xcom"))[task]))

    def _of_newest_run(self, columns: str) -> list[tuple[Any, ...]]:
        where = "WHERE run_id = (SELECT run_id FROM dag_run ORDER BY id DESC LIMIT 1)"
        with contextlib.closing(sqlite3.connect(self.home / "airflow.db")) as connection:
            return connection.execute(f"SELECT {columns} {where}").fetchall()


@pytest.fixture(scope="session")
def airflow_python() -> str:
    """The interpreter named by AIRFLOW_PYTHON; without it the tests are skipped, but not where CI=true."""
    python = os.environ.get("AIRFLOW_PYTHON", "")
    if not Path(python).is_file():
        skip_or_fail("AIRFLOW_PYTHON names no interpreter; make an environment from ops/requirements-airflow.txt")
    return python


@pytest.fixture(scope="session")
def make_airflow(airflow_python: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Airflow]:
    """Make an Airflow with an empty database."""

    def make(name: str) -> Airflow:
        airflow = Airflow(airflow_python, tmp_path_factory.mktemp(name))
        succeeded(airflow.run("db", "migrate"))
        return airflow

    return make


@pytest.fixture(scope="session")
def airflow(make_airflow: Callable[[str], Airflow]) -> Airflow:
    """The session's Airflow."""
    return make_airflow("airflow")
