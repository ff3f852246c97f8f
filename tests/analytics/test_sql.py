import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from fvc_exp.analytics.sql import DuckDBAnalytics, print_frame
from fvc_exp.errors import DataError, MissingExtraError, QueryError

pytest.importorskip("duckdb")
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


@pytest.fixture
def analytics() -> Iterator[DuckDBAnalytics]:
    """A database with one table, ``results``."""
    with DuckDBAnalytics() as made:
        made.register_dataframe("results", FRAME)
        yield made


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_documented_query_on_files(analytics: DuckDBAnalytics, tmp_path: Path, write: Callable[[Path], object]) -> None:
    write(tmp_path / "metrics.json")
    analytics.register_parquet("results", tmp_path / "metrics.json")
    assert analytics.query(DOCUMENTED)["avg_f1"].to_list() == [0.5, 0.75]


def test_a_pattern_with_folders_that_look_like_columns(analytics: DuckDBAnalytics, tmp_path: Path) -> None:
    for c, fold in (("0.1", 9), ("1", 8)):
        folder = tmp_path / f"C={c}" / f"fold={fold}"
        folder.mkdir(parents=True)
        FRAME.with_columns(**({"extra": pl.lit(1)} if fold == 9 else {})).write_parquet(folder / "metrics.parquet")
    analytics.register_parquet("results", tmp_path / "**" / "metrics.parquet")
    found = analytics.query("SELECT fold, count(*) AS n, count(extra) AS e FROM results GROUP BY fold ORDER BY fold")
    assert found.rows() == [(0, 2, 1), (1, 2, 1)]
    assert analytics.query("SELECT count(DISTINCT filename) FROM results").item() == 2


def test_a_name_with_pattern_signs_is_a_file(analytics: DuckDBAnalytics, tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "m[1]*'.parquet")
    analytics.register_parquet("one_file", tmp_path / "m[1]*'.parquet")
    assert len(analytics.query("FROM one_file")) == 2


def test_frames_arrow_and_parameters(analytics: DuckDBAnalytics) -> None:
    analytics.register_arrow("arrow", FRAME.to_arrow())
    assert analytics.query("SELECT * FROM results").equals(FRAME)
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
def test_sql_reaches_nothing_outside(analytics: DuckDBAnalytics, tmp_path: Path, sql: str) -> None:
    path = tmp_path / "secret.csv"
    path.write_text("a\n1\n")
    with pytest.raises(QueryError):
        analytics.query(sql.format(path=path))
    assert len(analytics.query("FROM results")) == 2
    assert [found.name for found in tmp_path.iterdir()] == ["secret.csv"]


@pytest.mark.parametrize("name", ["a b", "1a", 'x"; DROP TABLE y; --', "", "a-b"])
def test_table_names_are_plain(analytics: DuckDBAnalytics, name: str) -> None:
    with pytest.raises(QueryError, match="is not a table name"):
        analytics.register_dataframe(name, FRAME)


BAD_FILES = {
    "numbers": ("metrics.json", "[1, 2]", "record 1 is not an object"),
    "cut": ("metrics.json", '{"a": 1}\n{"a": ', "line 2: neither JSON"),
    "empty": ("metrics.json", "", "the file is empty"),
    "no match": ("*.json", None, "no such file, and no pattern"),
}


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(analytics: DuckDBAnalytics, tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / name}: {message}")):
        analytics.register_parquet("results", tmp_path / name)


@pytest.mark.parametrize("sql", ["CREATE TABLE x (a INT)", "DROP TABLE results", "SELECT 1; SELECT 2", ""])
def test_a_query_is_one_select(analytics: DuckDBAnalytics, sql: str) -> None:
    with pytest.raises(QueryError, match="a query is one SELECT"):
        analytics.query(sql)
    assert len(analytics.query("FROM results")) == 2


LONG = "SELECT sum(range) FROM range(10000000000000)"  # needs no memory, and hears at once that it is to end
ENDLESS = {
    "time": (LONG, "stopped after 0.2 s; allow more by --timeout SECONDS"),
    "result": ("FROM range(100000000000)", "the result takes more than 1,000,000 bytes"),
    "one value": ("SELECT repeat('x', 1000001)", "the result takes more than 1,000,000 bytes"),
}


@pytest.mark.parametrize(("sql", "message"), ENDLESS.values(), ids=ENDLESS)
def test_no_query_takes_all(
    analytics: DuckDBAnalytics, monkeypatch: pytest.MonkeyPatch, sql: str, message: str
) -> None:
    monkeypatch.setattr("fvc_exp.analytics.sql.MOST_BYTES", 1_000_000)
    with pytest.raises(QueryError, match=message):
        analytics.query(sql, timeout=0.2 if sql is LONG else None)
    assert len(analytics.query("FROM results")) == 2


def test_control_c_ends_a_query(analytics: DuckDBAnalytics) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a process in the background does not have
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            analytics.query(LONG, timeout=60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(analytics.query("FROM results")) == 2


def test_a_table_for_the_terminal_is_short_and_obeyed_by_none(capfd: pytest.CaptureFixture[str]) -> None:
    print_frame(pl.DataFrame({"\x1b[2Ja": ["\u202eb\n"] * 1001}), Console(width=80))
    printed = capfd.readouterr().out
    assert "1,000 of 1,001 rows; --csv, --json and --parquet FILE give all" in printed
    assert (printed.count(r"\u202eb\n"), "\x1b" in printed, r"\x1b[2Ja" in printed) == (1000, False, True)


def test_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fvc-exp\[analytics\]'"):
        DuckDBAnalytics()
