"""SQL over results: tables in memory, from files of any kind, in a database that can touch nothing else."""

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from rich.console import Console

from fvc_exp.errors import DataError, MissingExtraError, QueryError
from fvc_exp.io.console import print_text, printable
from fvc_exp.io.tables import read_table

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SNIFFED_BYTES = 256
MOST_BYTES = 2 * 10**9  # of memory for a query, and again for its result
_MOST_ROWS = 1000  # that are printed
_BATCH_ROWS = 100_000
_STEP_SECONDS = 0.1
_CELL_WIDTH = 80  # characters; what is longer is cut


# Set when the database is opened, so that no statement can read or write another file, attach, install or unlock.
_SETTINGS = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": f"{MOST_BYTES}B",
    "storage_compatibility_version": "v1.0.0",  # a file that every tool since then can open
    "lock_configuration": "true",
}


class DuckDBAnalytics(AbstractContextManager["DuckDBAnalytics"]):
    """Register tables, then query them with SQL; results are polars frames. Use as a context manager, or ``close``.

    The tables lie in memory, or in ``database``, a DuckDB file that is made if it is not there.

    >>> with DuckDBAnalytics() as analytics:
    ...     analytics.register_dataframe("results", pl.DataFrame({"fold": [0, 1], "test_f1": [0.5, 0.7]}))
    ...     analytics.query("SELECT AVG(test_f1) AS f1 FROM results").item()
    0.6
    """

    def __init__(self, database: str | Path = ":memory:") -> None:
        try:
            import duckdb

            self._connection = duckdb.connect(database, config=dict(_SETTINGS))
        except ModuleNotFoundError as error:
            raise MissingExtraError("analytics", "duckdb") from error
        except duckdb.Error as error:
            raise QueryError(f"{database}: cannot be written: {error}") from error
        self._duckdb = duckdb

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget all tables in memory."""
        self._connection.close()

    def register_parquet(self, name: str, path: str | Path) -> None:
        """Make a table of one file or of all that match a pattern, told apart by content, not by name.

        Parquet, Arrow IPC, CSV, JSON (a list of records, or one) and JSON lines. Of several files the table has all
        columns of all, empty where a file has none, and ``filename``. Names of folders never become columns.

        Raises:
            DataError: nothing matches, or a file cannot be read.
            QueryError: ``name`` is not a plain name.
        """
        files = _matches(str(path))
        frames = [_read(file) for file in files]
        if len(files) > 1:
            frames = [frame.with_columns(filename=pl.lit(str(file))) for frame, file in zip(frames, files, strict=True)]
        self.register_dataframe(name, pl.concat(frames, how="diagonal_relaxed"))

    def register_dataframe(self, name: str, frame: pl.DataFrame) -> None:
        """Make a table of a polars frame."""
        self.register_arrow(name, frame.rechunk().to_arrow())  # DuckDB takes one long piece six times sooner than 5,000

    def register_arrow(self, name: str, table: pa.Table) -> None:
        """Make a table of an Arrow table; one of that name is replaced.

        Raises:
            QueryError: ``name`` is not a plain name.
        """
        if not _NAME.fullmatch(name):
            raise QueryError(f"{name!r} is not a table name: allowed are letters, digits and _, not a digit first")
        self._connection.register("_incoming", table)
        try:
            self._connection.execute(f'CREATE OR REPLACE TABLE "{name}" AS SELECT * FROM _incoming')
        finally:
            self._connection.unregister("_incoming")

    def query(
        self, sql: str, params: Mapping[str, object] | Sequence[object] | None = None, timeout: float | None = None
    ) -> pl.DataFrame:
        """Run one SELECT, ``SHOW TABLES`` or ``DESCRIBE``; ``params`` fill ``?`` or ``$name``.

        Raises:
            QueryError: the database refuses the statement; the message is its own. Or it takes longer than ``timeout``
                seconds, or its result more memory than the limit.
        """
        try:
            statements = self._connection.extract_statements(sql)
            if [each.type for each in statements] != [self._duckdb.StatementType.SELECT]:
                raise QueryError(f"a query is one SELECT, not {len(statements)} statements or one of another kind")
            # In a thread, since the main one would not hear of Ctrl-C before the database answers. The wait is in short
            # steps, since polars' handler of that signal wakes no wait.
            with ThreadPoolExecutor(1) as thread:
                answer = thread.submit(self._read, sql, params)
                ends = time.monotonic() + (math.inf if timeout is None else timeout)
                try:
                    while not wait([answer], _STEP_SECONDS).done and time.monotonic() < ends:
                        pass
                    return answer.result(0)
                finally:
                    if not answer.done():
                        self._connection.interrupt()
        except TimeoutError as error:
            raise QueryError(f"stopped after {timeout:g} s; allow more by --timeout SECONDS") from error
        except self._duckdb.Error as error:
            lines = [line.strip() for line in str(error).splitlines()]
            raise QueryError("; ".join(line for line in lines if line.strip("^"))) from error

    def _read(self, sql: str, params: Mapping[str, object] | Sequence[object] | None) -> pl.DataFrame:
        batches, size = list[pa.RecordBatch](), 0
        with self._connection.sql(sql, params=params).to_arrow_reader(_BATCH_ROWS) as reader:
            for batch in reader:
                if (size := size + batch.nbytes) > MOST_BYTES:
                    raise QueryError(f"the result takes more than {MOST_BYTES:,} bytes; add a LIMIT, or aggregate")
                batches.append(batch)
            return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches, reader.schema)))


def _matches(pattern: str) -> list[Path]:
    path = Path(pattern)
    # A file whose name holds pattern signs is that file.
    found = [path] if path.is_file() else sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    files = [each for each in found if each.is_file()]
    if not files:
        raise DataError(f"{pattern}: no such file, and no pattern that matches one")
    return files


def _read(path: Path) -> pl.DataFrame:
    with path.open("rb") as file:
        head = file.read(_SNIFFED_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n")
    return records_frame(_read_json(path)) if head[:1] in (b"{", b"[") else read_table(path)[0]


def _read_json(path: Path) -> list[dict[str, Any]]:
    """The records of one list, or of values one after the other, such as JSON lines."""
    text, place, records = path.read_text(encoding="utf-8-sig").strip(), 0, list[Any]()
    while place < len(text):
        try:
            value, place = json.JSONDecoder().raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}: line {error.lineno}: neither JSON nor JSON lines: {error}") from error
        records += value if isinstance(value, list) else [value]
        while text[place : place + 1].isspace():
            place += 1
    if wrong := next((number for number, each in enumerate(records, 1) if not isinstance(each, dict)), None):
        raise DataError(f"{path}: record {wrong} is not an object; a table needs a list of objects")
    return records


def records_frame(records: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """One row per record, with the columns of all; what is nested stays nested. A column without any value is text."""
    frame = pl.DataFrame(list(records), infer_schema_length=None, strict=False)
    return frame.cast({pl.Null: pl.String, pl.List(pl.Null): pl.List(pl.String)})


def print_frame(frame: pl.DataFrame, console: Console) -> None:
    """Print the first 1,000 rows as the duckdb shell does: of more columns than fit, those in the middle are left out.

    What a terminal would obey is escaped.
    """
    import duckdb

    texts = pl.col(pl.String).map_elements(printable, return_dtype=pl.String)
    shown = frame.head(_MOST_ROWS).with_columns(texts).rename(printable)
    duckdb.from_arrow(shown.to_arrow()).show(max_width=console.width, max_rows=_MOST_ROWS, max_col_width=_CELL_WIDTH)
    if len(frame) > _MOST_ROWS:
        print_text(console, f"{_MOST_ROWS:,} of {len(frame):,} rows; --csv, --json and --parquet FILE give all")
