"""The command line, as a user types it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from fvc_exp.data.layouts import SEEDS
from fvc_exp.runs.show import SHOWN
from tests.processes import until
from tests.shell import ROOT, fvc, one_line, run_py, succeeded

ARTIFACTS = {
    "audit.json",
    *(".hydra", "config.yaml", "metrics.json", "results.json", "predictions.parquet", "folds.parquet"),
    *("model.joblib", "scaler.joblib", "feature_names.json", "model.json", "coefficients.csv"),
    *("roc_pr_curves.png", "roc_pr_curves.svg"),
    *("provenance.json", "status.json", "run.log"),
}


def folders(outputs: Path) -> list[Path]:
    return sorted(outputs.glob("runs/*"))


def trained(tables: Path, *words: str, **options: Any) -> tuple[str, dict[str, Any]]:
    """What a run on these tables prints, and its ``results.json``."""
    done = succeeded(run_py("data=fvc", f"outputs={tables / 'out'}", "plots=false", *words, **options))
    return done.stdout, json.loads((folders(tables / "out")[-1] / "results.json").read_text())


def test_one_run_writes_every_artifact_and_prints_the_table(tables: Path, tmp_path: Path) -> None:
    done = run_py("data=fvc", f"data.root={tables}", "penalty=elasticnet", "C=0.1", f"outputs={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    (folder,) = folders(tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == ARTIFACTS
    assert json.loads((folder / "status.json").read_text())["state"] == "done"
    assert yaml.safe_load((folder / "config.yaml").read_text())["penalty"] == {"name": "elasticnet", "l1_ratio": 0.5}
    log = (folder / "run.log").read_text()
    for step in LOGGED:
        assert re.search(rf"^\[[-\d]+ [:,\d]+\]\[[\w.]+\]\[INFO\] {step}", log, re.MULTILINE), step


LOGGED = (
    *(r"stage train: .*run\.py data=fvc", r"read \d+ rows in", r"fold 5 of 5: AUC 0\.\d{3}; solver: prox"),
    *("final model: ", "audit: PASS", r"wrote .*results\.json: \d+ bytes", r"done after 0:00:\d"),
)
FACTS = (
    r"^data +fvc: \d+ videos in \d+ groups; 5 features used, 0 columns ignored$",
    r"^split +5 grouped folds of \d+ videos; \d+ held out$",
    r"^model +penalty=elasticnet, C=0\.1, l1_ratio=0\.5; \d of 5 coefficients not",
    r"^CV AUC +0\.\d{3} ± 0\.\d{3} \(mean ± sd of the folds\); 95 % interval 0\.\d\d to [01]\.\d\d$",
    r"^held-out +AUC [01]\.\d{3}; (95 % interval 0|too few groups)",
    "^claim +.*etter than rules that use no",
    "^audit +PASS$",
    r"^leak price +AUC with rows dealt at random 0\.\d{3}, groups kept",
    "^folder +out/runs/",
    "^next +fvc report out/runs/",
)


@pytest.mark.parametrize("environment", [{}, {"COLUMNS": "60"}, {"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": "60"}])
def test_the_summary_is_one_screen(tables: Path, environment: dict[str, str]) -> None:
    words = ("data=fvc", f"data.root={tables}", "penalty=elasticnet", "C=0.1", "plots=false", "outputs=out")
    done = succeeded(run_py(*words, cwd=tables, env={**os.environ, **environment}))
    lines, width = done.stdout.splitlines(), int(environment.get("COLUMNS", 80))
    assert len(lines) <= (15 if width == 80 else 20)
    assert max(len(line) for line in lines if "out/runs" not in line) <= width
    assert [fact for fact in FACTS if width == 80 and not re.search(fact, done.stdout, re.MULTILINE)] == []
    assert "\x1b" not in done.stdout


def test_all_is_printed_with_verbose_and_what_a_run_learned_from_is_kept(tables: Path) -> None:
    metadata = pl.read_csv(tables / "scaled_metadata.csv")
    features = pl.read_parquet(tables / "features_stage2.parquet")
    labelled = features.join(metadata.drop("group"), on="video_path").sort("label")  # with its index, as pandas writes
    labelled.with_columns(y=pl.col("label") == "fake", width="f0").with_row_index("").write_csv(tables / "f.csv")
    words = (f"data.root={tables}", "data.features_stage2=f")
    text, first = trained(tables, *words, "verbose=true")
    columns = "columns: 6 used, 3 ignored ('': index; label: is the label; y: equals the label), 0 constant; all"
    assert columns in one_line(text)
    assert f"note {first['notes'][0]}" in one_line(text)
    for name in SHOWN:
        assert re.search(rf"^{name} +{first['cv'][name]['mean']:.3f} +{first['cv'][name]['std']:.3f} ", text, re.M)
    for numbers in (
        r"solver: prox-newton, \d+ iterations, converged, bound \d\.\de-\d+ on the",
        r"calibration \(none\): ECE 0\.\d+ ",
        r"labels looked up in the group \(cv\): accuracy 0\.",
        r"random labels \(ridge, 99 permutations\): AUC 0\.",
    ):
        assert re.search(f"^{numbers}", text, re.MULTILINE)
    second = trained(tables, *words, "data.columns=[width,f1]")[1]
    assert first["data"]["columns"]["ignored"] == {"": "index", "label": "is the label", "y": "equals the label"}
    assert first["notes"][0] == "f.csv: not learned from: '' (index), 'y' (equals the label)"
    assert second["data"]["columns"]["used"] == ["stage2_f1", "stage2_width"]
    assert first["cv"]["auc"]["mean"] < 0.95


def test_without_groups_every_table_says_unchecked(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    videos, labels = [f"v{row:02}" for row in range(60)], np.arange(60) % 2
    features = {"f0": labels * 1.0} | {f"f{i}": rng.normal(size=60) for i in range(1, 6)}
    pl.DataFrame({"video_path": videos, "label": labels}).write_csv(tmp_path / "scaled_metadata.csv")
    pl.DataFrame({"video_path": videos, **features}).write_parquet(tmp_path / "features_stage2.parquet")
    data = ("data=fvc", "data.root=.", "plots=false")
    single = run_py(*data, "hydra.run.dir=single", cwd=tmp_path)
    audit = json.loads((tmp_path / "single" / "results.json").read_text())["audit"]
    assert "audit UNCHECKED, 1 warning warning: single_feature: " in one_line(single.stdout)
    assert "(docs/checks.md#single_feature)" in single.stdout
    assert "(docs/checks.md#groups_unknown)" in single.stdout
    assert one_line(single.stdout).count("claim No claim is made about its scores: groups are unknown.") == 1
    assert [text.partition(":")[0] for text in audit["warnings"]] == ["single_feature"]
    assert json.loads((tmp_path / "single" / "audit.json").read_text())["checks"]["null"]["p_value"] is None
    swept = run_py("-m", *data, "C=0.1,1", "sweep.name=s", cwd=tmp_path)
    claim = "optimistic. claim No claim is made about its scores: groups are unknown. audit UNCHECKED, 1 warning "
    assert claim in one_line(swept.stdout)
    for command in (["leaderboard", "outputs/sweeps/s"], ["compare", "outputs/sweeps/s"], ["report", "single"]):
        done = succeeded(fvc(*command, cwd=tmp_path))
        shown = (tmp_path / "single" / "report.html").read_text() if command[0] == "report" else done.stdout
        assert "UNCHECKED" in shown
        assert not re.search("[Bb]etter than (rules|the floor)", shown)


def test_separation_and_its_models_are_printed(tables: Path) -> None:
    features, path = pl.read_parquet(tables / "features_stage2.parquet"), tables / "features_stage2.parquet"
    is_fake = pl.read_csv(tables / "scaled_metadata.csv")["label"] == "fake"
    features.with_columns(f0=(is_fake & (features["f0"] > 0)).cast(pl.Float64)).write_parquet(path)
    words = ("penalty=none", "solver=lbfgs", "audit.permutations=0")
    printed, results = trained(tables, f"data.root={tables}", *words)
    printed = one_line(printed)
    assert re.search(r"flag not_converged: .* \(the final model and 5 of 5 fold models: a plane separates", printed)
    assert "coefficients not zero; lbfgs, not converged CV AUC" in printed
    assert results["flag_details"]["not_converged"].startswith("the final model and 5 of 5 fold models: a plane")


@pytest.mark.parametrize("words", [[], ["data.videos=."], ["data.videos=FVC.csv"]], ids=str)
def test_data_of_the_environment_are_the_corpus_beside_its_id_lists(tables: Path, words: list[str]) -> None:
    if words:
        (tables / SEEDS).touch()
    _, results = trained(tables, *words, env={**os.environ, "FVC_DATA": str(tables)})
    assert not list(tables.glob("out/runs/*/roc_pr_curves.*"))
    assert results["data"]["corpus"] == ("Fake Video Corpus" if words else None)


def test_equal_runs_started_together_never_collide_and_agree(tables: Path, tmp_path: Path) -> None:
    words = ("data=fvc", f"data.root={tables}", "plots=false", f"outputs={tmp_path / 'out'}")
    command = [sys.executable, "run.py", *words]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    found = folders(tmp_path / "out")
    assert len(found) == 2
    names = ("metrics.json", "coefficients.csv", "results.json", "predictions.parquet", "folds.parquet", "model.json")
    for name in (*names, "model.joblib", "scaler.joblib"):
        assert len({(folder / name).read_bytes() for folder in found}) == 1
    succeeded(run_py("-m", *words, "C=1"))
    run_id = json.loads((found[0] / "results.json").read_text())["run_id"]
    (member,) = (tmp_path / "out").glob(f"sweeps/*/runs/{run_id}")
    assert (member / "metrics.json").read_bytes() == (found[0] / "metrics.json").read_bytes()


def test_bad_data_is_one_line_and_a_status(tables: Path, tmp_path: Path) -> None:
    done = run_py("data=fvc", f"data.root={tables}", f"outputs={tmp_path / 'out'}", "cv.n_splits=50")
    message = "cv.n_splits=50 needs at least 50 groups"
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert any(line.startswith("ERROR: ") and message in line for line in done.stderr.splitlines()), done.stderr
    (folder,) = folders(tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == {".hydra", "run.log", "config.yaml", "status.json"}
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["reason"]) == ("failed", "DataError")
    assert message in status["message"]


def test_an_error_of_the_machine_has_an_exit_code_of_its_own(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvc_exp.runs.execute.load_dataset", lambda *_: (tables / "gone").read_text())
    done = run_py("data=fvc", f"data.root={tables}", cwd=tables)
    assert (done.returncode, "unexpected FileNotFoundError" in done.stderr) == (4, True)


def test_output_that_is_no_folder(tables: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run_py("data=fvc", f"data.root={tables}", f"outputs={tmp_path / 'file'}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'file'}")


def test_interrupt_is_printed_and_recorded(tables: Path, tmp_path: Path) -> None:
    """Ten thousand fits, stopped with Ctrl-C: one word, exit code 1, and a status that says so."""
    arguments = ["data=fvc", f"data.root={tables}", "solver=saga", "cv=repeated", "cv.n_repeats=2000"]
    command = [sys.executable, "run.py", *arguments, f"outputs={tmp_path / 'out'}"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    logs = tmp_path / "out" / "runs"
    until(lambda: any("fold 2 of" in path.read_text() for path in logs.glob("*/run.log")), 60, "a second fold")
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 1
    assert printed.strip().endswith("interrupted")
    (folder,) = folders(tmp_path / "out")
    assert json.loads((folder / "status.json").read_text())["state"] == "interrupted"
    assert not list(folder.glob("*.tmp"))
