"""The REFORMS checklist of a run, and how often its held-out rows were scored."""

import re
import shutil
from pathlib import Path

import pytest

from fvc_exp.errors import ArtifactError
from fvc_exp.report.render import write_report
from fvc_exp.report.run_page import count_test_uses
from fvc_exp.runs.load import LoadedRun
from tests.conftest import edit_json, reseal
from tests.report.folders import SCRIPT
from tests.shell import fvc, succeeded

ITEMS = {1: "abc", 2: "abcde", 3: "abcdefg", 4: "abc", 5: "abcdef", 6: "abc", 7: "abc", 8: "ab"}
ALL = [f"{module}{letter}" for module, letters in ITEMS.items() for letter in letters]


@pytest.fixture(scope="module")
def items(explained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = shutil.copytree(explained, tmp_path_factory.mktemp("checked") / "copy")
    done = succeeded(fvc("report", folder, "--checklist"))
    assert done.stdout.split()[-1] == str(folder / "checklist.md")
    text = (folder / "checklist.md").read_text()
    assert "Science Advances" in text
    assert "<script>" not in text
    assert SCRIPT.replace("<", "&lt;").replace(">", "&gt;") in text, "names stay text"
    parts = re.split(r"^### (\d[a-g])\. .+$|^## \d\. .+$", text, flags=re.MULTILINE)[1:]
    return {number: body for number, body in zip(parts[::2], parts[1::2], strict=True) if number}


def test_each_item_has_evidence_or_says_that_the_author_must_write_it(items: dict[str, str]) -> None:
    assert list(items) == ALL
    assert not [number for number, body in items.items() if len(body.split()) < 4]


EVIDENCE = {
    "2a": r"sha256: [0-9a-f]{64}", "2b": r"fvc-exp \d", "2c": "scikit-learn \\d", "2e": "    fvc verify ",
    "3d": "60 real, 60 fake", "3e": r"\| 0 \| 4 \| \d+ \| \d+ \|", "3f": r"fake: 0 of 300 values \(0\.00 %\)",
    "4a": "0 videos without features", "5d": "no choice among configurations", "5e": "C is fixed at 0.1",
    "6b": r"\*\*PASS\*\*(.|\n)*Price of a leak: AUC with rows dealt at random 0\.\d{3}", "7a": r"slope \d\.\d{3}",
    "7b": "resampling whole groups", "8b": "what they measure, and what they cannot show",
    "1a": r"\*\*You must write this\*\*",
}  # fmt: skip


@pytest.mark.parametrize(("number", "pattern"), EVIDENCE.items(), ids=EVIDENCE)
def test_the_evidence_is_that_of_the_run(items: dict[str, str], number: str, pattern: str) -> None:
    assert re.search(pattern, items[number])


def test_runs_that_scored_the_same_held_out_rows_are_counted(explained: Path, tmp_path: Path) -> None:
    paths = [tmp_path / place for place in ("runs/one", "runs/two", "sweeps/s/runs/three", "sweeps/s/best", "runs/x")]
    for path in paths:
        shutil.copytree(explained, path, ignore=shutil.ignore_patterns("predictions.parquet"))
        reseal(path)
    (tmp_path / "sweeps" / "s" / "plan.json").touch()
    data = LoadedRun(paths[-1]).results["data"]
    edit_json(paths[-1] / "results.json", data={**data, "test_sha256": "0" * 64})
    assert [count_test_uses(LoadedRun(path)) for path in paths] == [3, 3, 3, 3, 1]
    assert count_test_uses(LoadedRun(explained)) is None, "it lies in no folder of runs"
    report, _, checklist = write_report(paths[0], checklist=True)
    assert f"scored by 3 finished runs below {tmp_path}" in report.read_text()
    assert "that scored the same held-out videos, this one included: 3" in checklist.read_text()


def test_no_best_run_no_checklist(sweep: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(sweep, tmp_path / "s", ignore=shutil.ignore_patterns("best", "runs"))
    (copy / "runs").mkdir()
    with pytest.raises(ArtifactError, match="has no best run yet"):
        write_report(copy, checklist=True)
