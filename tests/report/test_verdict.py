import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fvc_exp.evaluation.bootstrap import Interval
from fvc_exp.io.files import write_json
from fvc_exp.report.verdict import MetricRow, claim_of, metric_rows, verdict_of
from fvc_exp.runs.load import LoadedRun, require_finished, shell_command
from fvc_exp.runs.show import SHOWN


def metric_row(low: float, high: float, *, lower_is_better: bool) -> MetricRow:
    interval = Interval((low + high) / 2, low, high, 0.1, 0.95)
    floors = {"prior": 0.5, "all_fake": 0.4}
    return MetricRow("m", "m", 0.0, None, interval, None, None, floors, lower_is_better)


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "floor", "relation"),
    [
        (0.51, 0.7, False, "prior", "above"),
        (0.45, 0.7, False, "prior", "around"),
        (0.5, 0.7, False, "prior", "around"),
        (0.3, 0.49, False, "prior", "below"),
        (0.3, 0.39, True, "all_fake", "above"),
        (0.39, 0.6, True, "all_fake", "around"),
        (0.41, 0.6, True, "all_fake", "below"),
    ],
)
def test_interval_beside_the_best_floor(
    low: float, high: float, lower_is_better: bool, floor: str, relation: str
) -> None:
    row = metric_row(low, high, lower_is_better=lower_is_better)
    assert (row.best_floor, row.relation) == (floor, relation)


def test_without_an_interval_there_is_no_comparison_with_the_floor() -> None:
    assert replace(metric_row(0.6, 0.7, lower_is_better=False), interval=None).relation is None


@pytest.fixture
def files(explained: Path) -> LoadedRun:
    return require_finished(explained)


def test_every_metric_has_its_interval_around_its_mean(files: LoadedRun) -> None:
    rows = metric_rows(files)
    assert [row.name for row in rows] == list(SHOWN)
    for row in rows:
        assert row.interval is not None
        assert row.mean == pytest.approx(row.interval.estimate, abs=1e-9)
        assert row.interval.low < row.mean < row.interval.high
        assert row.test == files.results["test"][row.name]
        assert row.floors["prior"] == files.results["floors"]["cv"]["prior"][row.name]


def test_skill_is_claimed_with_its_p_value(files: LoadedRun) -> None:
    found = verdict_of(files)
    assert (found.audit, found.grade) == ("PASS", "good")
    assert found.claim.startswith("Better than rules that use no feature (AUC 0.")


def test_a_failed_audit_claims_nothing(leaking: Path) -> None:
    found = verdict_of(require_finished(leaking))
    assert (found.audit, found.grade) == ("FAIL", "bad")
    assert "prove nothing" in found.claim
    assert found.reasons[0].startswith("group_crossing: ")


def test_without_predictions_nothing_is_claimed(explained: Path, tmp_path: Path) -> None:
    run = LoadedRun(Path(shutil.copytree(explained, tmp_path / "run")))
    run.folder.predictions.unlink()
    found = verdict_of(run)
    assert (found.grade, found.claim) == (
        "open",
        "No claim is made about its scores: it has a single fold, or files are missing.",
    )
    assert all(row.interval is None for row in metric_rows(run))


def test_without_a_test_set_there_are_no_test_scores(explained: Path, tmp_path: Path) -> None:
    run = LoadedRun(Path(shutil.copytree(explained, tmp_path / "run")))
    write_json(run.folder.results, {**require_finished(explained).results, "test": None})
    assert all(row.test is None and row.test_interval is None for row in metric_rows(run))


@pytest.mark.parametrize(
    ("p_value", "beats", "grade", "text"),
    [(0.0123, True, "good", "Better than"), (0.00001, True, "good", "p < 0.001 as one of 9)"),
     (0.4, False, "bad", "Not shown to be better")],
)  # fmt: skip
def test_claims(p_value: float, beats: bool, grade: str, text: str) -> None:
    found, claim = claim_of(0.7, 0.5, p_value, beats=beats, note=" as one of 9")
    assert found == grade
    assert text in claim
    assert "AUC 0.700 against 0.500" in claim


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["/a b/run.py", "C=1", "data.root='x y'"], "python run.py C=1 'data.root='\"'\"'x y'\"'\"''"),
        (["-c"], None),
        ([], None),
    ],
    ids=["run.py", "another process", "nothing"],
)
def test_only_a_command_that_can_be_typed_again_is_shown(arguments: list[str], line: str | None) -> None:
    assert shell_command(arguments) == line
