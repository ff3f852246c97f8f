from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from fvc_exp.cli.app import app
from fvc_exp.data.dataset import Dataset
from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import write_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.artifacts import write_result
from fvc_exp.runs.compare.comparison import compare
from fvc_exp.runs.compare.scored_run import compare_runs, read_run
from fvc_exp.runs.find import runs_of
from tests.conftest import Compose, run, signal_dataset

GRID = {"weak": ["C=0.0001"], "strong": ["C=1"], "sparse": ["penalty=l1", "C=0.3"], "null": ["penalty=l1", "C=0.0001"]}


def train_into(path: Path, compose: Compose, dataset: Dataset, *overrides: str) -> RunFolder:
    folder = RunFolder(path)
    path.mkdir(parents=True)
    write_result(folder, run(compose("audit.permutations=0", *overrides), dataset))
    write_json(folder.status, {"state": "done"})
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of four configurations, and beside it runs that do not fit to it."""
    from hydra import compose, initialize_config_dir

    from fvc_exp.config.hydra_app import register
    from fvc_exp.config.validate import to_typed
    from tests.conftest import ROOT

    register()
    path = tmp_path_factory.mktemp("compared")
    dataset = signal_dataset(n_groups=120)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):

        def typed(*overrides: str) -> object:
            return to_typed(compose("config", overrides=list(overrides)))

        for name, overrides in GRID.items():
            train_into(path / "sweep" / "runs" / name, typed, dataset, *overrides)
        train_into(path / "reseeded", typed, dataset, "seed=7")
        train_into(path / "leaking", typed, dataset, "cv=stratified")
    return path


@pytest.fixture
def sweep(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained / "sweep", tmp_path / "sweep"))


def edit(path: Path, **changes: object) -> None:
    write_json(path, {**json.loads(path.read_text()), **changes})


def test_a_sweep_is_its_finished_runs(sweep: Path) -> None:
    edit(sweep / "runs" / "weak" / "status.json", state="failed")
    found = runs_of([sweep, sweep / "runs" / "strong"])
    assert [each.name for each in found] == ["null", "sparse", "strong"]


def test_contenders_hold_what_the_run_wrote(sweep: Path) -> None:
    found = {each.name: each.contender("auc") for each in runs_of([sweep])}
    assert {name: each.nonzero for name, each in found.items()} | {"sparse": 0} == {
        "weak": 5, "strong": 5, "sparse": 0, "null": 0}  # fmt: skip
    assert 0 < found["sparse"].nonzero <= 5
    assert found["sparse"].label == "penalty=l1 C=0.3 solver=prox-newton"
    records = json.loads((sweep / "runs" / "weak" / "metrics.json").read_text())
    assert found["weak"].scores.tolist() == [record["test_auc"] for record in records]


def test_the_comparison_of_a_sweep(sweep: Path) -> None:
    found = compare(runs_of([sweep]), replicates=300)
    table = found.to_frame()
    assert set(table["run"]) == set(GRID)
    assert table["mean"].to_list() == sorted(table["mean"], reverse=True)
    for row in table.iter_rows(named=True):
        results = json.loads((sweep / "runs" / row["run"] / "results.json").read_text())
        assert row["mean"] == pytest.approx(results["cv"]["auc"]["mean"], abs=1e-12)
        assert row["low"] <= row["mean"] <= row["high"]
        assert row["floor"] == 0.5
    beats = dict(zip(table["run"], table["beats_floor"], strict=True))
    assert beats == {"weak": True, "strong": True, "sparse": True, "null": False}
    assert found.sentences()[1].startswith("3 of 4 configurations are better than the floor")


def test_two_copies_never_differ(sweep: Path) -> None:
    shutil.copytree(sweep / "runs" / "strong", sweep / "runs" / "strong_again")
    found = compare(runs_of([sweep / "runs" / "strong", sweep / "runs" / "strong_again"]), replicates=50)
    rows = found.to_frame().drop("rank", "run").rows()
    assert rows[0] == rows[1]
    assert found.ties.n_tied == 2


def test_runs_of_other_folds_are_refused(trained: Path) -> None:
    with pytest.raises(ArtifactError, match=r"weak and .*reseeded were scored on different folds \(video 'video"):
        compare(runs_of([trained / "sweep" / "runs" / "weak", trained / "reseeded"]))


def test_a_run_whose_audit_failed_is_left_out(trained: Path, sweep: Path) -> None:
    shutil.copytree(trained / "leaking", sweep / "runs" / "leaking")
    found = compare(runs_of([sweep]), replicates=50)
    assert found.leaking == ("leaking",)
    assert "leaking" not in set(found.to_frame()["run"])
    with pytest.raises(ArtifactError, match=r"the audit of every run failed \(leaking\)"):
        compare(runs_of([trained / "leaking"]))


def test_an_audit_that_may_fail_does_not_exclude(trained: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(trained / "leaking", tmp_path / "leaking"))
    audit = json.loads((copied / "results.json").read_text())["audit"]
    edit(copied / "results.json", audit={**audit, "allow_fail": True})
    assert compare(runs_of([copied]), replicates=50).leaking == ()


def test_what_differs_between_the_runs_is_in_the_label(sweep: Path) -> None:
    results = sweep / "runs" / "weak" / "results.json"
    parameters = json.loads(results.read_text())["parameters"]
    edit(results, parameters={**parameters, "class_weight": "balanced"})
    labels = [each.contender.label for each in compare_runs(runs_of([sweep])).standings]
    assert "penalty=l2 C=0.0001 solver=prox-newton class_weight=balanced" in labels


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: (path / "status.json").unlink(), r"status\.json: cannot be read"),
        (lambda path: edit(path / "status.json", state="failed"), "is 'failed' and has metrics; only finished"),
        (lambda path: (path / "metrics.json").unlink(), "is 'done' and has no metrics; only finished"),
        (lambda path: write_json(path / "results.json", {"audit": {}}), "'fold_dependence' is missing"),
        (lambda path: (path / "folds.parquet").unlink(), r"folds\.parquet: is missing"),
        (lambda path: (path / "predictions.parquet").unlink(), r"predictions\.parquet: is missing"),
    ],
    ids=["no status", "failed", "no metrics", "old", "no folds", "no predictions"],
)
def test_what_cannot_be_compared_is_named(sweep: Path, break_it: object, message: str) -> None:
    path = sweep / "runs" / "weak"
    break_it(path)
    with pytest.raises(ArtifactError, match=message):
        compare([read_run(path)])


def test_an_unknown_metric_and_an_unfinished_sweep(sweep: Path) -> None:
    with pytest.raises(ArtifactError, match="metric 'roc' is not known; it must be one of accuracy,"):
        compare(runs_of([sweep]), "roc")
    for status in sweep.glob("runs/*/status.json"):
        edit(status, state="failed")
    with pytest.raises(ArtifactError, match="none of the 4 runs of this sweep is finished"):
        runs_of([sweep])


def test_the_command(sweep: Path) -> None:
    done = CliRunner().invoke(app, ["compare", str(sweep), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {each["run"] for each in found["configurations"]} == set(GRID)
    assert found["simplest_tied"] in GRID
    shown = CliRunner().invoke(app, ["compare", str(sweep)])
    assert "configurations tie with the best" in shown.stdout
    wrong = CliRunner().invoke(app, ["compare", str(sweep / "nothing")])
    assert wrong.exit_code == 2


def test_equal_predictions_are_equal_whatever_the_order_of_rows(sweep: Path) -> None:
    before = compare(runs_of([sweep]), replicates=50).to_frame()
    folder = RunFolder(sweep / "runs" / "weak")
    for path in (folder.predictions, folder.folds):
        pl.read_parquet(path).reverse().write_parquet(path)
    after = compare(runs_of([sweep]), replicates=50).to_frame()
    assert before.drop("low", "high", "floor_p_value").equals(after.drop("low", "high", "floor_p_value"))
    np.testing.assert_allclose(before["low"], after["low"], rtol=1e-12)
