import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fvc_exp.data.dataset import Dataset
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.claims import claim_against_floor
from fvc_exp.evaluation.statistics import corrected_t_test, holm
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.compare.comparison import compare
from fvc_exp.runs.compare.ties import candidate, compare_runs, runs_of
from tests.conftest import edit_json, reseal, signal_dataset
from tests.report.folders import make_config, make_run
from tests.shell import fvc, succeeded

GRID = {
    "weak": ["penalty=l2", "C=0.0001"],
    "strong": ["penalty=l2", "C=1"],
    "sparse": ["penalty=l1", "C=0.3"],
    "null": ["penalty=l1", "C=0.0001"],
}


def train_into(path: Path, dataset: Dataset, *overrides: str) -> None:
    make_run(path, make_config("audit.permutations=0", *overrides), dataset)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of four configurations, and beside it runs that cannot be compared with it."""
    path = tmp_path_factory.mktemp("compared")
    dataset = signal_dataset(n_groups=120)
    for name, overrides in GRID.items():
        train_into(path / "sweep" / "runs" / name, dataset, *overrides)
    train_into(path / "reseeded", dataset, "seed=7")
    train_into(path / "leaking", dataset, "cv=stratified")
    return path


@pytest.fixture
def sweep(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained / "sweep", tmp_path / "sweep"))


def test_a_sweep_is_its_finished_runs(sweep: Path) -> None:
    edit_json(sweep / "runs" / "weak" / "status.json", state="failed")
    found = runs_of([sweep, sweep / "runs" / "strong"])
    assert [each.name for each in found] == ["null", "sparse", "strong"]


def test_candidates_hold_what_the_run_wrote(sweep: Path) -> None:
    found = {each.name: candidate(each, "auc") for each in runs_of([sweep])}
    assert (found["weak"].nonzero, found["strong"].nonzero, found["null"].nonzero) == (5, 5, 0)
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
    files = [sweep / "runs" / name / "predictions.parquet" for name in table["run"]]
    claims = [claim_against_floor(pl.read_parquet(file)) for file in files]
    assert table["floor_p_value"].to_list() == holm(np.array([each.p_value for each in claims])).tolist()
    assert found.sentences()[1].startswith("3 of 4 configurations are better than the floor")


def test_nothing_is_better_where_groups_are_unknown(sweep: Path) -> None:
    for path in (sweep / "runs").glob("*/results.json"):
        edit_json(path, audit={**json.loads(path.read_text())["audit"], "verdict": "UNCHECKED"})
    found = compare(runs_of([sweep]), replicates=50)
    assert found.to_frame()["beats_floor"].null_count() == len(GRID)
    assert found.sentences()[1] == "no claim against the floor is made: groups are unknown"


def test_two_copies_never_differ_whatever_the_order_of_rows(sweep: Path) -> None:
    copied = RunFolder(Path(shutil.copytree(sweep / "runs" / "strong", sweep / "runs" / "strong_again")))
    for path in (copied.predictions, copied.folds):
        pl.read_parquet(path).reverse().write_parquet(path)
    reseal(copied.path)
    found = compare(runs_of([sweep / "runs" / "strong", copied.path]), replicates=50)
    rows = found.to_frame().drop("rank", "run")
    assert_frame_equal(rows[:1], rows[1:], rel_tol=1e-12)
    assert found.ties.n_tied == 2


def test_runs_of_other_folds_are_refused(trained: Path) -> None:
    with pytest.raises(ArtifactError, match=r"weak and .*reseeded were scored on different folds \(video 'video"):
        compare(runs_of([trained / "sweep" / "runs" / "weak", trained / "reseeded"]))


def test_a_run_whose_audit_failed_is_left_out_unless_it_may_fail(trained: Path, sweep: Path) -> None:
    shutil.copytree(trained / "leaking", sweep / "runs" / "leaking")
    found = compare(runs_of([sweep]), replicates=50)
    assert found.leaking == ("leaking",)
    assert "leaking" not in set(found.to_frame()["run"])
    with pytest.raises(ArtifactError, match=r"the audit of every run failed \(leaking\)"):
        compare(runs_of([trained / "leaking"]))
    results = sweep / "runs" / "leaking" / "results.json"
    edit_json(results, audit={**json.loads(results.read_text())["audit"], "allow_fail": True})
    assert compare(runs_of([results.parent]), replicates=50).leaking == ()


def test_what_differs_between_the_runs_is_in_the_label(sweep: Path) -> None:
    results = sweep / "runs" / "weak" / "results.json"
    parameters = json.loads(results.read_text())["parameters"]
    edit_json(results, parameters={**parameters, "class_weight": "balanced"})
    labels = [each.candidate.label for each in compare_runs(runs_of([sweep])).ranking]
    assert "penalty=l2 C=0.0001 solver=prox-newton class_weight=balanced" in labels


def test_equal_repeats_make_no_difference_significant(tmp_path: Path) -> None:
    """Two ways to pair four groups: ten folds that are four, so the p-value is that of four."""
    dataset = signal_dataset(n_groups=4, copies=20)
    for name, overrides in {"one": ["C=1"], "other": ["C=0.0001"]}.items():
        train_into(tmp_path / name, dataset, "cv=repeated", "cv.n_splits=2", "cv.test_size=0", *overrides)
    runs = runs_of([tmp_path / "one", tmp_path / "other"])
    assert runs[0].results["repeats"] == {"asked": 5, "distinct": 2}
    scores = [candidate(run, "log_loss").scores for run in runs]
    found = compare_runs(runs, "log_loss").ranking[1].p_value
    assert found == pytest.approx(corrected_t_test(scores[0] - scores[1], 1.0, distinct=4))
    assert found > corrected_t_test(scores[0] - scores[1], 1.0)


def test_an_unknown_metric_and_an_unfinished_sweep(sweep: Path) -> None:
    with pytest.raises(ArtifactError, match="metric 'roc' is not known; it must be one of accuracy,"):
        compare(runs_of([sweep]), "roc")
    for status in sweep.glob("runs/*/status.json"):
        edit_json(status, state="failed")
    with pytest.raises(ArtifactError, match="there is no finished run to compare"):
        compare([])
    with pytest.raises(ArtifactError, match="none of the 4 runs of this sweep is finished"):
        runs_of([sweep])


def test_the_command(sweep: Path) -> None:
    found = json.loads(succeeded(fvc("compare", sweep, "--json")).stdout)
    assert {each["run"] for each in found["configurations"]} == set(GRID)
    assert found["simplest_tied"] in GRID
    assert "configurations tie with the best" in fvc("compare", sweep).stdout
    assert fvc("compare", sweep / "nothing").returncode == 2
