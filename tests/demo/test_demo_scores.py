"""What the demo corpus is for: a clear signal, a leak that shows, and features that see more (``docs/demo.md``)."""

import json
from pathlib import Path

import pytest

from tests.shell import run_py, succeeded


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_demo_teaches(tmp_path: Path, seed: int) -> None:
    found = {}
    for words in ("cv=grouped", "cv=stratified", "features=forensic"):
        folder = tmp_path / words.replace("=", "-")
        outputs = (f"outputs={tmp_path / 'outputs'}", f"hydra.run.dir={folder}", "plots=false")
        succeeded(run_py("penalty=elasticnet", "C=0.1", f"data.demo.seed={seed}", words, *outputs))
        found[words] = json.loads((folder / "results.json").read_text())
    grouped, stratified, forensic = found.values()
    auc = grouped["cv"]["auc"]["mean"]
    assert 0.7 < auc < 0.88
    assert grouped["auc_intervals"]["cv"]["low"] > 0.5
    assert json.loads((tmp_path / "cv-grouped" / "audit.json").read_text())["checks"]["null"]["p_value"] < 0.05
    assert (grouped["audit"]["verdict"], grouped["claim"]["beats"], grouped["flags"]) == ("PASS", True, [])
    assert grouped["data"]["test_rows"] >= 12 * 5, "twelve groups of five"
    assert stratified["audit"]["verdict"] == "FAIL"
    assert stratified["cv"]["auc"]["mean"] > auc + 0.02
    assert forensic["audit"]["verdict"] == "PASS"
    assert forensic["cv"]["auc"]["mean"] > auc + 0.05
