"""``fvc run``, word for word what ``run.py`` does; configs of one's own; sweepers of others."""

import json
from pathlib import Path

import pytest
import yaml

from fvc_exp import __version__
from tests.shell import ROOT, fvc, run_py, run_py_process, succeeded

QUICK = ("data=fvc", "data.root=.", "debug=quick")


@pytest.mark.parametrize(
    "words",
    [("--cfg", "job", "penalty=l1", "C=0.1"), ("penalty=l3",), ("C",), ("-m", "C=-1"), ("-sc", "query=bash")],
    ids=" ".join,
)
def test_both_say_the_same(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", "fvc penalty=el")
    mine, theirs = fvc("run", *words), run_py(*words)
    assert (mine.returncode, mine.stdout, mine.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    assert mine.stdout + mine.stderr


def test_help_and_version_are_ours() -> None:
    text = succeeded(fvc("run", "--help")).stdout
    assert text == run_py("--help").stdout
    groups = [path.name for path in (ROOT / "conf").iterdir() if path.is_dir() and path.name != "hydra"]
    for group in (*groups, "hydra/launcher", "hydra/sweeper"):
        assert f"\n  {group} " in text
    assert max(map(len, text.partition("Choices")[0].splitlines())) <= 80
    assert fvc("run", "--version").stdout == run_py("--version").stdout == f"fvc-exp {__version__}\n"


def test_configs_of_ones_own(tables: Path) -> None:
    for folder, ratio in (("conf", 0.15), ("mine", 0.25)):
        (tables / folder / "penalty").mkdir(parents=True)
        (tables / folder / "penalty" / f"of_{folder}.yaml").write_text(f"name: elasticnet\nl1_ratio: {ratio}\n")
    words = ("--config-dir", "mine", "-m", *QUICK, "penalty=of_conf,of_mine", "sweep.name=s")
    succeeded(run_py(*words, cwd=tables))
    plan = json.loads((tables / "outputs" / "sweeps" / "s" / "plan.json").read_text())
    assert [member["parameters"]["l1_ratio"] for member in plan["members"]] == [0.15, 0.25]
    (tables / "conf" / "penalty" / "l2.yaml").write_text("name: l2\nl1_ratio: 0.3\n")
    refused = run_py(*QUICK, cwd=tables)
    assert refused.returncode == 1
    assert f"error: {tables / 'conf/penalty/l2.yaml'}: give it another name" in refused.stderr
    assert not (tables / "outputs" / "runs").exists()


def test_name_and_tags_arrive_and_change_no_number(tables: Path) -> None:
    for words in (("hydra.run.dir=plain",), ("hydra.run.dir=named", "name=pilot", "tags=[a,b]")):
        succeeded(fvc("run", *QUICK, *words, cwd=tables))
    names = ("plain/results.json", "named/results.json", "named/status.json")
    plain, results, status = (json.loads((tables / name).read_text()) for name in names)
    assert [(each["name"], each["tags"]) for each in (results, status)] == [("pilot", ["a", "b"])] * 2
    assert (plain["name"], plain["tags"]) == (None, [])
    assert {**results, "name": None, "tags": []} == plain
    swept = succeeded(fvc("run", "-m", *QUICK, "name=pilot", "tags=[a,b]", "C=1,10", cwd=tables))
    assert "pilot; a+b; ranked by the mean AUC" in swept.stdout


@pytest.mark.parametrize("sweeper", ["basic", pytest.param("optuna", marks=pytest.mark.slow)])
def test_a_run_returns_its_score_to_another_sweeper(tables: Path, sweeper: str) -> None:
    words = ["-m", *QUICK, f"hydra/sweeper={sweeper}", "hydra.sweep.dir=s", "C=0.1,1"]
    if sweeper == "optuna":
        pytest.importorskip("optuna", reason="pip install 'fvc-exp[optuna]'")
        assert "add hydra.sweeper.direction=maximize" in fvc("run", *words, cwd=tables).stderr
        words += ["sweep.objective=brier", "hydra.sweeper.n_trials=3", "hydra.sweeper.sampler.seed=0"]
        refused = fvc("run", *words, "hydra.sweeper.direction=maximize", cwd=tables)
        assert "a run returns its brier: with this sweeper add hydra.sweeper.direction=minimize" in refused.stderr
    run = run_py_process if sweeper == "optuna" else run_py  # since optuna warns of its own code
    succeeded(run(*words, cwd=tables))
    scores = [json.loads(path.read_text())["cv"]["brier"]["mean"] for path in tables.glob("s/*/results.json")]
    assert len(scores) == {"basic": 2, "optuna": 3}[sweeper]
    if sweeper == "optuna":
        assert yaml.safe_load((tables / "s/optimization_results.yaml").read_text())["best_value"] == min(scores)
    failed = run(*words, "cv.n_splits=99", cwd=tables)
    assert failed.returncode == 1
    assert "error: DataError: cv.n_splits=99 needs" in failed.stderr
