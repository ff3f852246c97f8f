from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from fvc_exp.analytics.sql import DuckDBAnalytics
from fvc_exp.analytics.views import VIEWS, query_runs
from fvc_exp.cli.app import app
from fvc_exp.errors import ArtifactError, DataError, MissingExtraError, QueryError
from fvc_exp.io.files import write_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.artifacts import write_result
from fvc_exp.runs.load import runs_below
from tests.conftest import ROOT, Compose, run, signal_dataset

duckdb = pytest.importorskip("duckdb")
RECORDS = [{"fold": 0, "test_f1": 0.5}, {"fold": 1, "test_f1": 0.75}]
FRAME = pl.DataFrame(RECORDS)
WRITERS: dict[str, Callable[[Path], object]] = {
    "json": lambda path: path.write_text(json.dumps(RECORDS)),
    "json with a mark": lambda path: path.write_bytes(b"\xef\xbb\xbf " + json.dumps(RECORDS).encode()),
    "json lines": lambda path: path.write_text("\n".join(map(json.dumps, RECORDS)) + "\n"),
    "parquet": FRAME.write_parquet,
    "arrow": FRAME.write_ipc,
    "csv": FRAME.write_csv,
}
DOCUMENTED = "SELECT fold, AVG(test_f1) as avg_f1, STDDEV(test_f1) as std_f1 FROM results GROUP BY fold ORDER BY fold"


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_documented_query_on_every_kind_of_file(tmp_path: Path, write: Callable[[Path], object]) -> None:
    write(tmp_path / "metrics.json")
    with DuckDBAnalytics() as analytics:
        analytics.register_parquet("results", tmp_path / "metrics.json")
        found = analytics.query(DOCUMENTED)
    assert found["avg_f1"].to_list() == [0.5, 0.75]


def test_a_pattern_with_folders_that_look_like_columns(tmp_path: Path) -> None:
    for c, fold in (("0.1", 9), ("1", 8)):
        folder = tmp_path / f"C={c}" / f"fold={fold}"
        folder.mkdir(parents=True)
        FRAME.with_columns(**({"extra": pl.lit(1)} if fold == 9 else {})).write_parquet(folder / "metrics.parquet")
    with DuckDBAnalytics() as analytics:
        analytics.register_parquet("results", tmp_path / "**" / "metrics.parquet")
        found = analytics.query(
            "SELECT fold, count(*) AS n, count(extra) AS e FROM results GROUP BY fold ORDER BY fold"
        )
        assert found.rows() == [(0, 2, 1), (1, 2, 1)]
        assert analytics.query("SELECT count(DISTINCT filename) FROM results").item() == 2


def test_a_name_with_pattern_signs_is_a_file(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "m[1]*'.parquet")
    with DuckDBAnalytics() as analytics:
        analytics.register_parquet("results", tmp_path / "m[1]*'.parquet")
        assert len(analytics.query("FROM results")) == 2


def test_frames_arrow_and_parameters() -> None:
    with DuckDBAnalytics() as analytics:
        analytics.register_dataframe("frame", FRAME)
        analytics.register_arrow("arrow", FRAME.to_arrow())
        assert analytics.query("SELECT * FROM frame").equals(FRAME)
        assert analytics.query("SELECT test_f1 FROM arrow WHERE fold = $fold", {"fold": 1}).item() == 0.75
        assert analytics.query("SELECT test_f1 FROM arrow WHERE fold = ?", [0]).item() == 0.5


FORBIDDEN = {
    "read": "SELECT * FROM read_csv('{path}')",
    "read by name": "SELECT * FROM '{path}'",
    "write": "COPY results TO '{path}.out'",
    "attach": "ATTACH '{path}.db'",
    "install": "INSTALL httpfs",
    "load": "LOAD httpfs",
    "unlock": "SET enable_external_access = true",
    "python variable": "SELECT * FROM FRAME",
    "export": "EXPORT DATABASE '{path}.export'",
}


@pytest.mark.parametrize("sql", FORBIDDEN.values(), ids=FORBIDDEN)
def test_sql_reaches_nothing_outside(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "secret.csv"
    path.write_text("a\n1\n")
    with DuckDBAnalytics() as analytics:
        analytics.register_dataframe("results", FRAME)
        with pytest.raises(QueryError):
            analytics.query(sql.format(path=path))
        assert len(analytics.query("FROM results")) == 2
    assert [found.name for found in tmp_path.iterdir()] == ["secret.csv"]


@pytest.mark.parametrize("name", ["a b", "1a", 'x"; DROP TABLE y; --', "", "a-b"])
def test_table_names_are_plain(name: str) -> None:
    with DuckDBAnalytics() as analytics, pytest.raises(QueryError, match="is not a table name"):
        analytics.register_dataframe(name, FRAME)


@pytest.mark.parametrize(
    ("content", "message"),
    [("[1, 2]", "record 1 is not an object"), ('{"a": 1}\n{"a": ', "line 2: neither JSON"), ("", "the file is empty")],
    ids=["numbers", "cut", "empty"],
)
def test_bad_files_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with DuckDBAnalytics() as analytics, pytest.raises(DataError, match=f"metrics.json: {message}"):
        analytics.register_parquet("results", tmp_path / "metrics.json")


def test_nothing_matches(tmp_path: Path) -> None:
    with DuckDBAnalytics() as analytics, pytest.raises(DataError, match="no such file, and no pattern"):
        analytics.register_parquet("results", tmp_path / "*.json")


@pytest.mark.parametrize("sql", ["CREATE TABLE x (a INT)", "DROP TABLE results", "SELECT 1; SELECT 2", ""])
def test_a_query_is_one_select(sql: str) -> None:
    with DuckDBAnalytics() as analytics:
        analytics.register_dataframe("results", FRAME)
        with pytest.raises(QueryError, match="a query is one SELECT"):
            analytics.query(sql)
        assert len(analytics.query("FROM results")) == 2


def test_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fvc-exp\[analytics\]'"):
        DuckDBAnalytics()


@pytest.fixture
def outputs(compose_config: Compose, tmp_path: Path) -> Path:
    for number, c in enumerate((0.1, 1.0)):
        folder = RunFolder(tmp_path / f"C={c}" / f"fold={number}")
        folder.path.mkdir(parents=True)
        write_result(folder, run(compose_config(f"C={c}"), signal_dataset()))
        write_json(folder.status, {"state": "done"})
    failed = RunFolder(tmp_path / "failed")
    failed.path.mkdir()
    write_json(failed.status, {"state": "failed", "reason": "DataError"})
    return tmp_path


def test_what_mlflow_took_does_not_count(outputs: Path) -> None:
    before = [run.path for run in runs_below(outputs)]
    first = outputs / "C=0.1" / "fold=0"
    for copy in (f"mlflow/artifacts/{'0a' * 16}/artifacts", f"mlflow/artifacts/{'1b' * 16}/artifacts/best"):
        shutil.copytree(first, outputs / copy)
    assert [run.path for run in runs_below(outputs)] == before
    shutil.copytree(first, outputs / "artifacts")
    assert len(runs_below(outputs)) == len(before) + 1


def test_views_over_all_runs(outputs: Path) -> None:
    views = {name: view(runs_below(outputs)) for name, view in VIEWS.items()}
    assert views["runs"].sort("state")["state"].to_list() == ["done", "done", "failed"]
    assert set(views["runs"]["C"].drop_nulls()) == {0.1, 1.0}
    assert views["folds"].height == 10
    assert sorted(set(views["folds"]["fold"])) == [0, 1, 2, 3, 4]
    assert views["predictions"].height == 240
    assert set(views["coefficients"]["feature"]) >= {"stage2_f0", "(intercept)"}


def test_tables_of_all_versions_lie_below_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a relative folder with odd names, since the paths of the files say whose rows they are."""
    monkeypatch.chdir(tmp_path)
    for name, folds in (("a b[1]%20*", 2), ("C=1,é", 3), ("c", 2)):
        run_folder = RunFolder(Path("out") / name)
        run_folder.path.mkdir(parents=True)
        write_json(run_folder.status, {"state": "done"})
        columns = {f"repeat0_fold{fold}": [0.5, 0.0] for fold in range(folds)}
        frame = pl.DataFrame({"feature": ["x", "y"], **columns})
        frame.write_csv(run_folder.coefficients)
        frame.write_parquet(run_folder.predictions)
    runs = runs_below(Path("out"))
    for view in (VIEWS["coefficients"], VIEWS["predictions"]):
        found = view(runs)
        assert found.group_by("run").len().sort("run").rows() == [(str(run.path), 2) for run in runs]
        assert found["repeat0_fold2"].count() == 2


def fvc_query(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fvc_exp.cli", "query", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_command_prints_a_table_json_csv_and_parquet(outputs: Path, tmp_path: Path) -> None:
    sql = "SELECT C, round(cv_auc_mean, 3) AS auc FROM runs WHERE state = 'done' ORDER BY C"
    table, as_json, as_csv = (fvc_query(sql, str(outputs), *option) for option in ((), ("--json",), ("--csv",)))
    assert "0.1" in table.stdout
    assert [row["C"] for row in json.loads(as_json.stdout)] == [0.1, 1.0]
    assert as_csv.stdout.splitlines()[0] == "C,auc"
    done = fvc_query(sql, str(outputs), "--parquet", str(tmp_path / "out.parquet"))
    assert done.returncode == 0, done.stderr
    assert pl.read_parquet(tmp_path / "out.parquet")["C"].to_list() == [0.1, 1.0]


def test_nested_columns_are_json_in_csv(outputs: Path) -> None:
    done = fvc_query("SELECT ['x'] AS flags, {'a': [1, 2]} AS s, NULL::INT[] AS n", str(outputs), "--csv")
    assert done.stdout.splitlines() == ["flags,s,n", '"[""x""]","{""a"": [1, 2]}",'], done.stderr


BROKEN = {
    "status": ("status.json", b"{", "runs", "cannot be read: Expecting"),
    "status list": ("status.json", b"[]", "runs", "was not written by fvc-exp: it is no object"),
    "results": ("results.json", b"", "runs", "cannot be read: Expecting"),
    "metrics": ("metrics.json", b"[1]", "folds", "was not written by fvc-exp: it is no list of objects"),
    "predictions": ("predictions.parquet", b"x", "predictions", "cannot be read: "),
    "coefficients": ("coefficients.csv", b"\0\0", "coefficients", "is neither parquet, Arrow IPC"),
}


@pytest.mark.parametrize(("name", "content", "view", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_of_a_run_is_named(outputs: Path, name: str, content: bytes, view: str, message: str) -> None:
    broken = outputs / "C=1.0" / "fold=1" / name
    broken.write_bytes(content)
    with pytest.raises((ArtifactError, DataError), match=re.escape(f"{broken}: {message}")):
        query_runs(f"FROM {view}", outputs)


SQL_MISTAKES = {
    "word": ("SELEC 1", r'syntax error at or near "SELEC".*LINE 1'),
    "column": ("SELECT nonsense FROM runs", r'"nonsense" not found.*Candidate bindings'),
    "table": ("SELECT 1 FROM nonsense", "nonsense does not exist.*; tables are runs, folds, predictions, coefficients"),
}


@pytest.mark.parametrize(("sql", "message"), SQL_MISTAKES.values(), ids=SQL_MISTAKES)
def test_a_mistake_in_sql_is_one_line(outputs: Path, sql: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as raised:
        query_runs(sql, outputs)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("command", [("query", "SELECT 1", ""), ("track", ""), ("doctor", "--outputs", "")])
def test_an_empty_path_is_not_the_working_folder(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert "'' is empty; name a folder" in done.stderr


def test_command_names_mistakes(outputs: Path, tmp_path: Path) -> None:
    assert "nonsense" in fvc_query("SELECT nonsense FROM runs", str(outputs)).stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    done = fvc_query("SELECT 1", str(empty))
    assert (done.returncode, "no run in it" in done.stderr) == (2, True)
