import doctest
import io
import json
import re
import sys
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import joblib
import pytest

import fvc_exp
from fvc_exp.config.hints import setting
from fvc_exp.config.hydra_app import compose_configs
from fvc_exp.errors import ArtifactError, ConfigError, DataError
from fvc_exp.report.render import write_report
from fvc_exp.runs.verify import verify
from tests.conftest import write_tables
from tests.shell import ROOT, run_process, run_py, succeeded

PACKAGE = ROOT / "fvc_exp"
WITH_EXAMPLES = sorted(path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text())


Searched = tuple[Path, dict[str, Any], str]
SEARCH = {"output_dir": "out", "n_splits": 3, "class_weight": "balanced"}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """The documented search in a project folder whose name needs quoting, and what it prints."""
    project = tmp_path_factory.mktemp("searched") / "it's a, project=1"
    project.mkdir()
    write_tables(project)
    with redirect_stdout(io.StringIO()) as printed:
        found = fvc_exp.train_sklearn_logreg(project, **SEARCH)
    return project, found, printed.getvalue()


@pytest.mark.parametrize("path", ["a b", "it's", "a\\b", "a\\", "a\\'b", "\\\\", "é,{}[]=()", "'", "''"])
def test_a_path_may_hold_any_character(path: str) -> None:
    (config,) = compose_configs([["data=fvc", setting("data.root", path)]])
    assert config.data.root == path


def test_trains_and_writes_the_documented_files(searched: Searched) -> None:
    project, results, _ = searched
    written = {path.name for path in (project / "out").iterdir()}
    assert {"model.joblib", "scaler.joblib", "metrics.json", "roc_pr_curves.png", "results.json"} <= written
    assert json.loads((project / "out" / "results.json").read_text()) == results
    assert len(json.loads((project / "out" / "metrics.json").read_text())) == 3
    assert len(results["search"]) == 28
    best = max(results["search"], key=lambda record: record["auc_mean"])
    assert results["cv"]["auc"]["mean"] == best["auc_mean"]
    assert results["parameters"]["penalty"] == best["penalty"]
    assert joblib.load(project / "out" / "model.joblib").coef_.shape == (1, 5)
    before = (project / "out" / "results.json").stat().st_mtime_ns
    with pytest.raises(ArtifactError, match=r"already holds a run.*delete_existing=True"):
        fvc_exp.train_sklearn_logreg(project, **SEARCH)
    assert (project / "out" / "results.json").stat().st_mtime_ns == before


def test_returns_what_the_original_did_and_of_how_many(searched: Searched) -> None:
    project, found, printed = searched
    assert found["parameters"]["class_weight"] == "balanced"
    assert found["best_params"].items() <= {**found["parameters"]}.items()
    assert (found["cv_val_f1"], found["test_f1"]) == (found["cv"]["f1"]["mean"], found["test"]["f1"])
    assert found["test_auc"] == found["test"]["auc"]
    best = [each["val_f1"] for each in found["grid_results"] if each["params"] == found["best_params"]]
    assert (len(found["grid_results"]), best) == (28, [found["cv_val_f1"]])
    assert len({str(each["params"]) for each in found["grid_results"]}) == found["selection"]["of"] == 28
    lowest, highest = found["best_params"]["C"] == 0.01, found["best_params"]["C"] == 10
    assert found["selection"]["edge_of_grid"] == ("edge_of_grid" in found["flags"]) == (lowest or highest)
    (card,) = [path for path in write_report(project / "out") if path.suffix == ".md"]
    assert printed.count("\n") == 2
    assert f"leak price: {found['price']['sentence']}" in printed
    for text in (printed, card.read_text()):
        assert f"Held-out AUC {found['test_auc']:.3f}, not used for the choice. Best of 28 configurations" in text
        assert found["claim"]["sentence"] in text
    assert "one of 28 configurations" in found["claim"]["sentence"]
    with pytest.raises(ConfigError, match="class_weight"):
        fvc_exp.train_sklearn_logreg(project, output_dir="out2", class_weight={0: 1, 1: -1})


MISTAKES = {
    "metadata": ({"scaled_metadata_path": "nothing"}, DataError, "nothing: no such file"),
    "stage 4": ({"features_stage4_path": "nothing"}, DataError, "nothing: no such file"),
    "folds": ({"n_splits": 1}, ConfigError, "cv.n_splits=1 is not allowed"),
    "type": ({"n_splits": "many"}, ConfigError, "could not be converted to Integer"),
    "output": ({"output_dir": "scaled_metadata.csv/out"}, ArtifactError, "cannot be made: Not a directory"),
}


@pytest.mark.parametrize(("arguments", "error", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named(tables: Path, arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fvc_exp.train_sklearn_logreg(tables, **{"output_dir": "out"} | arguments)
    assert not (tables / "out").exists()


def test_run_is_run_py_to_the_byte(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished_run.parent)
    before, folder = sorted(finished_run.parent.rglob("*")), tmp_path / "it's, a run=1"
    found = fvc_exp.run(["data=fvc", "data.root=.", "plots=false"])
    assert sorted(finished_run.parent.rglob("*")) == before
    written = fvc_exp.run(["data=fvc", "data.root=.", "plots=false"], output_dir=folder)
    assert found.test_scores == written.test_scores
    for name in ("metrics.json", "results.json", "config.yaml", "coefficients.csv", "audit.json", "model.json"):
        assert (folder / name).read_bytes() == (finished_run / name).read_bytes(), name
    there = {name for name in names_in(finished_run) if name not in ("run.log", ".track.lock") and name[:6] != ".hydra"}
    assert names_in(folder) == there
    assert verify(folder).identical


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_delete_existing_takes_all_of_the_old_run(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tables)
    words = ["data=fvc", "data.root=.", "plots=false", "audit.permutations=0"]
    fvc_exp.run(words, output_dir="out")
    old = ("insight/insight.json", ".hydra/overrides.yaml", "run.log")
    for name in (*old, "notes/mine.txt", "mine.txt"):
        Path("out", name).parent.mkdir(exist_ok=True)
        Path("out", name).write_text("{}")
    fvc_exp.run(words, output_dir="out", delete_existing=True)
    assert {"notes/mine.txt", "mine.txt"} <= names_in(Path("out"))
    assert not names_in(Path("out")) & {*old}


RUN_MISTAKES = {
    "text": ("penalty=l1", "is one text; allowed is a list"),
    "stage": (["stage=features"], "stage=features is not allowed here, only train"),
}


@pytest.mark.parametrize(("overrides", "message"), RUN_MISTAKES.values(), ids=RUN_MISTAKES)
def test_run_names_mistakes(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        fvc_exp.run(overrides, output_dir=tmp_path / "out")
    assert not list(tmp_path.iterdir())


APPLICATION = """
import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.version import getbase

import fvc_exp

ConfigStore.instance().store("base_config", {"mine": 1})

@hydra.main(version_base="1.2", config_name="base_config", config_path=None)
def main(config):
    found = fvc_exp.run(["data=fvc", "data.root=.", "audit.permutations=0", "C=0.1"])
    try:
        fvc_exp.run(["C=lots"])
    except fvc_exp.errors.ConfigError as error:
        print(error)
    assert found.config.C == 0.1 and config.mine == 1
    assert GlobalHydra.instance().is_initialized() and str(getbase()) == "1.2"
    assert hydra.compose("base_config", overrides=["mine=2"]).mine == 2
    print("kept")

main()
"""


@pytest.mark.slow
def test_inside_another_hydra_application(tables: Path) -> None:
    (tables / "application.py").write_text(APPLICATION)
    command = [sys.executable, "application.py", "hydra.run.dir=.", "hydra.output_subdir=null"]
    done = run_process(*command, cwd=tables)
    assert done.stdout.splitlines()[-1:] == ["kept"], done.stderr


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=[str(path.relative_to(PACKAGE)) for path in WITH_EXAMPLES])
def test_examples_in_docstrings(path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tables)
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found = doctest.testmod(module, extraglobs={"run": fvc_exp.run})
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.slow
def test_examples_in_the_guides(tables: Path) -> None:
    """One after the other, as a reader would, with tables in data/ and a sweep as the example names it."""
    (tables / "data").mkdir()
    for name in ("scaled_metadata.csv", "features_stage2.parquet"):
        (tables / name).rename(tables / "data" / name)
    words = ("data=fvc", "data.root=data", "penalty=l1,l2", "sweep.name=penalties", "plots=false")
    succeeded(run_py("-m", *words, cwd=tables))
    text = "\n".join(page.read_text() for page in (ROOT / "docs" / name for name in ("python.md", "ecosystem.md")))
    examples = re.findall(r"^```python\n(.+?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(examples) >= 3
    done = succeeded(run_process(sys.executable, "-", input="\n".join(examples), cwd=tables))
    assert "(2, " in done.stdout
