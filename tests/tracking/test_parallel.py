"""The whole grid at once, and a real server: minutes."""

import signal
import time
from pathlib import Path

import pytest

from fvc_exp.tracking.import_runs import track
from tests.conftest import write_tables
from tests.shell import run_py_process
from tests.sweeps.conftest import sweep_arguments
from tests.tracking.conftest import family, fvc_track, runs_of, track_twice_at_once
from tests.tracking.servers import mlflow_command
from tests.tracking.test_import_runs import MLFLOW_WARNINGS, identities, sql

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_mlflow"), *MLFLOW_WARNINGS]


def statuses(database: Path) -> list[str]:
    """Of all runs, as they are in the file now; none while it is not there."""
    rows = sql(database, "SELECT status FROM runs WHERE lifecycle_stage = 'active'") if database.exists() else []
    return [row[0] for row in rows]


@pytest.fixture(scope="module")
def grid_of_28(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """l1 and l2 with 7 C each, the elastic net with 7 C and 2 mixes: a job each, as many at once as there are cores."""
    folder = tmp_path_factory.mktemp("grid")
    write_tables(folder)
    grid = ("penalty=l1,l2,elasticnet", "C=0.01,0.1,1,10,100,1000,10000", "penalty.l1_ratio=0.3,0.6")
    done = run_py_process(*sweep_arguments(folder, *grid, "hydra/launcher=local", "plots=false", "sweep.name=grid"))
    assert done.returncode == 0, done.stderr
    assert "42 requested: 0 invalid, 14 duplicates, 0 already done, 28 to run" in done.stderr
    return folder / "out" / "sweeps" / "grid"


def test_28_parallel_jobs_are_28_runs_however_they_are_imported(grid_of_28: Path) -> None:
    """Killed in the middle on a store that is not there, taken up by two at once, then once more."""
    database = grid_of_28.parents[1] / "mlflow" / "mlflow.db"
    importer = fvc_track(grid_of_28)
    while statuses(database).count("FINISHED") < 14:
        assert importer.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    importer.send_signal(signal.SIGKILL)
    importer.communicate()
    assert 14 <= statuses(database).count("FINISHED") < 28

    assert max(each["present"] for each in track_twice_at_once(grid_of_28)) == 28
    uri = f"sqlite:///{database}"
    before = identities(runs_of(uri))
    assert track(grid_of_28).imported == 0
    assert identities(runs_of(uri)) == before
    parent, children = family(runs_of(uri))
    assert parent.info.status == "FINISHED"
    assert [each.info.status for each in children] == ["FINISHED"] * 28
    assert len({each.data.tags["fvc.run_id"] for each in children}) == 28
    assert all(len(each.data.metrics) > 60 for each in children)
    assert len(sql(database, "SELECT 1 FROM logged_models WHERE lifecycle_stage = 'active'")) == 28


def test_a_server_takes_the_same(sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.artifacts import download_artifacts

    (tmp_path / "server").mkdir()
    store = ("--backend-store-uri", "sqlite:///server.db", "--artifacts-destination", "artifacts", "--workers", "1")
    with mlflow_command("server", *store, cwd=tmp_path / "server") as url:
        assert sorted(each["imported"] for each in track_twice_at_once(sweep, "--uri", url)) == [0, 3]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        assert (track(sweep).imported, track(sweep).uri) == (0, url)
        _, children = family(runs_of(url))
        assert sorted(each.info.status for each in children) == ["FAILED", "FINISHED", "FINISHED"]
        (three,) = [each for each in children if each.info.run_name == "cv.n_splits=3"]
        (member,) = [path for path in (sweep / "runs").iterdir() if path.name == three.data.tags["fvc.run_id"]]
        fetched = download_artifacts(run_id=three.info.run_id, artifact_path="metrics.json", dst_path=str(tmp_path))
        assert Path(fetched).read_bytes() == (member / "metrics.json").read_bytes()
    assert not (sweep.parents[1] / "mlflow").exists()
