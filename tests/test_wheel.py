"""What somebody has who installs the wheel, without the checkout: data, commands, types."""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.shell import ROOT, run_process, succeeded

pytest.importorskip("hatchling", reason="pip install 'fvc-exp[test]'")
SCRIPT = """
from pathlib import Path

import polars as pl

import fvc_exp
from fvc_exp import DuckDBAnalytics, LoadedRun, RunResult, load_run, load_sweep, run, train_sklearn_logreg
from fvc_exp.errors import FvcError


def one(folder: Path) -> float:
    trained: RunResult = run(["data=fvc", "data.root=.", "audit.permutations=0", "plots=false"], output_dir=folder)
    loaded: LoadedRun = load_run(folder)
    state: str = loaded.status["state"]
    scores: pl.Series = loaded.metrics["test_auc"]
    print(state, loaded.config.seed, len(scores), trained.summary["auc"]["mean"])
    return trained.floors["prior"]["auc"]


def asked(folder: Path) -> pl.DataFrame:
    with DuckDBAnalytics() as analytics:
        analytics.register_parquet("folds", folder / "metrics.json")
        analytics.register_dataframe("names", pl.DataFrame({"fold": [0]}))
        return analytics.query("SELECT avg(test_auc) AS auc FROM folds WHERE fold > ?", [0])


def many(sweep: str) -> list[str]:
    states = load_sweep(sweep)["state"].to_list()
    return [*states, *train_sklearn_logreg(Path("."), output_dir="grid", n_splits=3)["cv"]]


if __name__ == "__main__":
    print(Path(fvc_exp.__file__).parent)
    print(one(Path("mine")) == 0.5, asked(Path("mine")).height)
    try:
        many("nothing")
    except FvcError as error:
        print(error)
"""
WRONG = """
from fvc_exp import load_run, run

run(1)
load_run("mine").results.append(1)
load_run("mine").metric
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, unpacked as an installer would; to build it needs no network."""
    folder = tmp_path_factory.mktemp("wheel")
    succeeded(python("-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder), cwd=ROOT))
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def python(*arguments: str, cwd: Path, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Python, with an unpacked wheel in front of whatever is installed."""
    environment = os.environ | ({"PYTHONPATH": str(site)} if site else {})
    return run_process(sys.executable, *arguments, cwd=cwd, env=environment)


def test_it_holds_all_that_is_no_code(site: Path) -> None:
    def data(package: Path) -> set[str]:
        files = (path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
        return {str(path.relative_to(package)) for path in files}

    conf = {f"conf/{name}" for name in data(ROOT / "conf")}
    assert data(site / "fvc_exp") == data(ROOT / "fvc_exp") | conf
    assert {"py.typed", "conf/config.yaml", "report/templates/report.html.j2"} <= data(site / "fvc_exp")


def test_the_command_works(site: Path, tmp_path: Path) -> None:
    (found,) = distributions(name="fvc-exp", path=[str(site)])
    assert (found.metadata["License-Expression"], found.metadata["License-File"]) == ("MIT", "LICENSE")
    assert (site / f"fvc_exp-{found.version}.dist-info" / "licenses" / "LICENSE").read_text().startswith("MIT License")
    assert [(each.name, each.value) for each in found.entry_points] == [("fvc", "fvc_exp.__main__:app")]
    done = python("-m", "fvc_exp", "--version", cwd=tmp_path, site=site)
    assert (done.returncode, done.stdout) == (0, f"fvc-exp {found.version}\n"), done.stderr


@pytest.mark.slow
def test_it_runs_and_sweeps_away_from_the_checkout(site: Path, tables: Path) -> None:
    words = ("data=fvc", "data.root=.", "debug=quick", "penalty=elasticnet", "C=0.1,1", "hydra/launcher=local")
    succeeded(python("-m", "fvc_exp", "run", "-m", *words, "sweep.name=s", cwd=tables, site=site))
    assert len(list(tables.glob("outputs/sweeps/s/runs/*/results.json"))) == 2


def test_a_script_runs_away_from_the_checkout(site: Path, tables: Path) -> None:
    (tables / "mine.py").write_text(SCRIPT)
    done = python("mine.py", cwd=tables, site=site)
    package, trained, asked, *_, refused = done.stdout.splitlines()
    assert package == str(site / "fvc_exp")
    assert trained.startswith("done 42 5 0.")
    assert (asked, refused) == ("True 1", "nothing: no such folder")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_script_is_type_checked(site: Path, tmp_path: Path) -> None:
    """A quarter of a minute: mypy reads polars and all else without a cache."""
    (tmp_path / "mine.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text(WRONG)
    options = ("-m", "mypy", "--strict", "--no-error-summary", "--config-file=", "--cache-dir", "cache")
    done = python(*options, "mine.py", cwd=tmp_path, site=site)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = python(*options, "wrong.py", cwd=tmp_path, site=site)
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == ["wrong.py:4", "wrong.py:5", "wrong.py:6"]
