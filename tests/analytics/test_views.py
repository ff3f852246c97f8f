import json
import os
import re
import shutil
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from fvc_exp.analytics.views import VIEWS, query_runs
from fvc_exp.errors import ArtifactError, QueryError
from fvc_exp.io.files import read_json, write_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.load import load_run, runs_below
from tests.conftest import reseal
from tests.shell import fvc, succeeded

pytest.importorskip("duckdb")


@pytest.fixture
def outputs(finished_run: Path, tmp_path: Path) -> Path:
    """Two runs that finished and one that failed, in folders whose names look like columns."""
    for name in ("C=0.1/fold=0", "C=1.0/fold=1"):
        shutil.copytree(finished_run, tmp_path / name)
    results = tmp_path / "C=0.1" / "fold=0" / "results.json"
    results.write_text(results.read_text().replace('"C": 1.0', '"C": 0.1'))
    reseal(results.parent)
    (tmp_path / "failed").mkdir()
    write_json(RunFolder(tmp_path / "failed").status, {"state": "failed", "reason": "DataError"})
    return tmp_path


def test_copies_that_mlflow_made_do_not_count(outputs: Path) -> None:
    before = [run.path for run in runs_below(outputs)]
    first = outputs / "C=0.1" / "fold=0"
    for copy in (f"mlflow/artifacts/{'0a' * 16}/artifacts", f"mlflow/artifacts/{'1b' * 16}/artifacts/best"):
        shutil.copytree(first, outputs / copy)
    assert [run.path for run in runs_below(outputs)] == before
    shutil.copytree(first, outputs / "artifacts")
    assert len(runs_below(outputs)) == len(before) + 1


def test_views_over_all_runs(outputs: Path) -> None:
    views = {name: view(runs_below(outputs)) for name, view in VIEWS.items()}
    assert views["runs"].select("data", "stage", "audit").rows() == [("fvc", "train", "PASS")] * 2
    assert views["runs"]["C"].to_list() == [0.1, 1.0]
    assert views["other_runs"].select("state", "reason").rows() == [("failed", "DataError")]
    assert views["folds"].height == 10
    assert sorted(set(views["folds"]["fold"])) == [0, 1, 2, 3, 4]
    assert views["predictions"].height == 240
    assert set(views["coefficients"]["feature"]) >= {"stage2_f0", "(intercept)"}
    assert views["coefficients"].columns == ["feature", "coefficient", "mean", "scale", "run"]


def test_coefficients_of_folds_are_long(outputs: Path) -> None:
    found = query_runs("FROM fold_coefficients", outputs)
    assert found.columns == ["run", "run_id", "repeat", "fold", "feature", "value"]
    run = load_run(outputs / "C=0.1" / "fold=0")
    own = found.filter(run=str(run.path), run_id=run.results["run_id"], repeat=0, fold=3)
    assert own["value"].to_list() == run.coefficients["repeat0_fold3"].to_list()
    assert found.height == 2 * 5 * run.coefficients.height


def test_facts_of_a_run(outputs: Path) -> None:
    """Those of its sweep and its times; name and tags where the results hold them."""
    (outputs / "mine").mkdir()
    write_json(outputs / "mine" / "plan.json", {})
    run = (outputs / "C=0.1").rename(outputs / "mine" / "runs") / "fold=0"
    times = {"started": "2026-01-02T03:04:05.600000+00:00", "ended": "2026-01-02T03:05:05+00:00"}
    write_json(run / "status.json", {"state": "done", **times})
    write_json(run / "results.json", read_json(run / "results.json") | {"name": "first", "tags": ["a", "b"]})
    (found,) = query_runs("FROM runs WHERE sweep = 'mine'", outputs).to_dicts()
    expected = {"started": datetime(2026, 1, 2, 3, 4, 5), "seconds": 59.4, "name": "first", "tags": ["a", "b"]}
    assert found.items() >= expected.items()


def test_tables_are_there_without_any_training_run(outputs: Path) -> None:
    assert set(query_runs("SHOW TABLES", outputs / "failed")["name"]) == set(VIEWS)
    assert query_runs("FROM runs", outputs / "failed").height == 0


def test_saved_tables_need_no_other_file(outputs: Path, tmp_path: Path) -> None:
    import duckdb

    succeeded(fvc("query", "SHOW TABLES", str(outputs), "--save", str(tmp_path / "all.duckdb")))
    shutil.rmtree(outputs / "C=1.0")
    with duckdb.connect(tmp_path / "all.duckdb", read_only=True) as saved:
        assert {name for (name,) in saved.sql("SHOW TABLES").fetchall()} == set(VIEWS)
        assert saved.sql("SELECT C FROM runs ORDER BY C").fetchall() == [(0.1,), (1.0,)]
        assert saved.sql("SELECT count(*) FROM predictions").fetchall() == [(240,)]
        assert saved.sql("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchall() == [(0,)]


def test_files_of_all_versions_are_one_table(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a relative folder with odd names. The versions differ in the columns and their order."""
    monkeypatch.chdir(outputs)
    odd = Path("a b[1]%20*")
    (outputs / "C=1.0" / "fold=1").rename(outputs / odd)
    coefficients, predictions = (odd / name for name in ("coefficients.csv", "predictions.parquet"))
    wide = pl.read_csv(coefficients.read_bytes())
    wide.select("scale", pl.exclude("scale", "repeat0_fold4"), new=1).write_csv(coefficients)
    pl.read_parquet(predictions.read_bytes()).with_columns(new=1).write_parquet(predictions)
    reseal(outputs / odd)
    runs = runs_below(Path())
    for name, rows in (("coefficients", len(wide)), ("predictions", 240 // 2), ("fold_coefficients", None)):
        found = VIEWS[name](runs)
        counts = found.group_by("run").len().sort("run").rows()
        assert counts == [("C=0.1/fold=0", rows or 5 * len(wide)), (str(odd), rows or 4 * len(wide))]
        assert rows is None or found.filter(run=str(odd))["new"].to_list() == [1] * rows
        assert rows is None or found["new"].null_count() == rows


def test_command_prints_a_table_json_csv_and_parquet(outputs: Path, tmp_path: Path) -> None:
    sql = "SELECT C, round(cv_auc_mean, 3) AS auc, NULL AS x FROM runs WHERE state = 'done' ORDER BY C"
    table, as_json, as_csv = (fvc("query", sql, str(outputs), *option) for option in ((), ("--json",), ("--csv",)))
    assert re.search(r" 0\.1 │ +0\.\d+ │ NULL ", table.stdout)
    everything = fvc("query", "FROM runs", ".", cwd=outputs, env={**os.environ, "COLUMNS": "80"}).stdout
    assert re.search(r" run +│ +data .*│ … │.* audit (.*\n)+.*=0 │ fvc .* PASS ", everything), everything
    assert [row["C"] for row in json.loads(as_json.stdout)] == [0.1, 1.0]
    assert as_csv.stdout.splitlines()[0] == "C,auc,x"
    succeeded(fvc("query", sql, str(outputs), "--parquet", str(tmp_path / "out.parquet")))
    assert pl.read_parquet(tmp_path / "out.parquet")["C"].to_list() == [0.1, 1.0]


def test_nested_columns_are_json_in_csv(outputs: Path) -> None:
    done = fvc("query", "SELECT ['x'] AS flags, {'a': [1, 2]} AS s, NULL::INT[] AS n", str(outputs), "--csv")
    assert done.stdout.splitlines() == ["flags,s,n", '"[""x""]","{""a"": [1, 2]}",'], done.stderr


def test_a_broken_file_of_a_run_is_named(outputs: Path) -> None:
    broken = outputs / "C=1.0" / "fold=1" / "coefficients.csv"
    broken.write_bytes(b"feature,mean\n\xff,1")
    reseal(broken.parent)
    with pytest.raises(ArtifactError, match=re.escape(f"{broken}: cannot be read: invalid utf-8")):
        query_runs("FROM coefficients", outputs)


SQL_MISTAKES = {
    "word": ("SELEC 1", r'syntax error at or near "SELEC".*LINE 1'),
    "column": ("SELECT nonsense FROM runs", r'"nonsense" not found.*Candidate bindings'),
    "table": ("SELECT 1 FROM nonsense", "nonsense does not exist.*; tables are runs, other_runs, folds, "),
}


@pytest.mark.parametrize(("sql", "message"), SQL_MISTAKES.values(), ids=SQL_MISTAKES)
def test_a_mistake_in_sql_is_one_line(outputs: Path, sql: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as raised:
        query_runs(sql, outputs)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("command", [("query", "SELECT 1", ""), ("track", ""), ("doctor", "--outputs", "")])
def test_an_empty_path_is_not_the_working_folder(command: tuple[str, ...]) -> None:
    done = fvc(*command)
    assert done.returncode == 2
    assert "'' is empty; name a folder" in done.stderr


def test_command_names_a_folder_without_runs(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = fvc("query", "SELECT 1", str(tmp_path / "empty"))
    assert (done.returncode, "no run in it" in done.stderr) == (2, True)
