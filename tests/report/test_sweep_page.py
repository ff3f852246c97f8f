import shutil
from pathlib import Path
from typing import Any

import pytest

from fvc_exp.io.files import read_json, write_json
from fvc_exp.report.render import write_report
from fvc_exp.report.sweep_page import sweep_content
from tests.conftest import edit_json, reseal
from tests.report.folders import SCRIPT, make_config, make_sweep
from tests.report.test_render import Page


@pytest.fixture(scope="session")
def content(sweep: Path) -> dict[str, Any]:
    return sweep_content(sweep)


@pytest.mark.slow
def test_300_configurations_fit_in_a_megabyte(explained: Path, tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "sweep", explained, make_config(), 300)
    report, card = write_report(sweep, tmp_path / "page.html")
    assert report.stat().st_size < 1_000_000
    assert card == sweep / "best" / "MODEL_CARD.md"
    page = Page(report.read_text())
    assert "301 configurations requested, 1 not allowed, 0 duplicates, 300 to run: 300 done" in page.words()
    assert f"C=-1 is not allowed {SCRIPT}" in page.words()
    assert sum(tag == "script" for tag, _ in page.elements) == 1


def test_the_ranking_is_that_of_the_runs(sweep: Path, content: dict[str, Any]) -> None:
    assert content["rows"]["rank"].to_list() == list(range(1, 7))
    for row in content["rows"][::2].iter_rows(named=True):
        results = read_json(sweep / "runs" / row["run_id"] / "results.json")
        assert row["auc_mean"] == results["cv"]["auc"]["mean"]
        assert (row["penalty"], row["C"]) == ("elasticnet", results["parameters"]["C"])
    assert content["rows"]["tied"][0] is True


def test_the_claim_is_that_of_the_whole_comparison_and_the_run_can_be_typed_again(content: dict[str, Any]) -> None:
    assert content["best"]["verdict"]["claim"].startswith("Held-out AUC 0.")
    assert "Best of 6 configurations" in content["best"]["verdict"]["claim"]
    assert "as one of 6 configurations" in content["best"]["verdict"]["claim"]
    assert "6 configurations" in content["sentences"][0]
    assert "python run.py data=fvc C=0.01" in content["best"]["commands"]


def small(sweep: Path, target: Path, keep: int) -> Path:
    """The sweep with its first members alone."""
    plan = read_json(sweep / "plan.json")
    plan["members"] = plan["members"][:keep]
    target.mkdir()
    (target / "submissions").mkdir()
    write_json(target / "plan.json", plan)
    for member in plan["members"]:
        shutil.copytree(sweep / "runs" / member["run_id"], target / "runs" / member["run_id"])
    return target


def test_a_sweep_that_was_not_collected_has_no_best_run(sweep: Path, tmp_path: Path) -> None:
    folder = small(sweep, tmp_path / "sweep", 3)
    (report,) = write_report(folder)
    words = Page(report.read_text()).words()
    assert f"There is no best run yet: run fvc collect {folder} when" in words
    assert "Leaderboard" in words
    assert "Audit: " not in words
    shutil.rmtree(folder / "runs")
    (report,) = write_report(folder)
    assert "No configuration can be ranked yet." in Page(report.read_text()).words()


def test_failed_leaking_uncomparable_and_unchecked_runs_are_named(sweep: Path, tmp_path: Path) -> None:
    folder = small(sweep, tmp_path / "sweep", 4)
    first, failed, leaking, other = (f"{number:012x}" for number in range(4))
    write_json(folder / "runs" / failed / "status.json",
               {"state": "failed", "reason": "DataError", "message": f"bad {SCRIPT}\nmore"})  # fmt: skip
    for name, verdict in {
        leaking: {"verdict": "FAIL", "reasons": ["label_lookup: x"]},
        first: {"verdict": "UNCHECKED", "warnings": ["blank_rows: x"]},
    }.items():
        results = read_json(folder / "runs" / name / "results.json")
        edit_json(folder / "runs" / name / "results.json", audit=results["audit"] | verdict)
    (folder / "runs" / other / "folds.parquet").unlink()
    reseal(folder / "runs" / other)
    found = sweep_content(folder)
    assert found["rows"]["run_id"].to_list() == [first, other]
    assert found["failures"] == (f"failed: {failed} C=0.0102: DataError: bad {SCRIPT}",)
    assert found["leaking"] == (f"{leaking} C=0.010404: label_lookup: x",)
    assert found["sentences"][0].startswith("The configurations are not compared: ")
    assert found["rows"]["tied"].to_list() == [None, None]
    words = Page(write_report(folder)[0].read_text()).words()
    assert words.count("UNCHECKED, 1 warning") == 1
    assert "(docs/checks.md#groups_unknown)" in words
