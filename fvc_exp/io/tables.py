"""Find and scan one table on disk: parquet, Arrow IPC (feather) or CSV, told apart by content."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from fvc_exp.errors import DataError
from fvc_exp.io import foreign

EXTENSIONS = (".parquet", ".arrow", ".feather", ".csv")
NULL_WORDS = ("", "NA", "N/A", "nan", "NaN", "null", "None")  # in CSV; else one of them makes a whole column text
_HEAD_LENGTH = 2**16  # bytes; they hold the first lines of a CSV


def find_table(path: Path) -> Path:
    """The file itself, or the one file that has this name and a known extension.

    Raises:
        DataError: no such file, a folder, or several extensions to choose from.
    """
    if path.is_file():
        return path
    # A dot inside the name is not an extension: "features.v2" may mean features.v2.parquet.
    candidates = [found for extension in EXTENSIONS if (found := path.with_name(path.name + extension)).is_file()]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise DataError(
            f"{path}: found as {' and '.join(found.name for found in candidates)}; name one with its extension"
        )
    if path.is_dir():
        raise DataError(f"{path}: is a folder; a table is one file ({', '.join(EXTENSIONS)})")
    raise DataError(f"{path}: no such file, with or without one of {', '.join(EXTENSIONS)}")


def scan_table(path: Path) -> tuple[pl.LazyFrame, Path]:
    """Scan a table lazily; returns it with the file it was found in.

    Raises:
        DataError: the file is missing, empty, or not what its content claims to be.
    """
    source = find_table(path)
    with _reading(source):
        frame = _scan(source)
        frame.collect_schema()
    return frame, source


def collect(frame: pl.LazyFrame, source: Path) -> pl.DataFrame:
    """Read a scanned table into memory.

    Raises:
        DataError: the content is broken behind a good header.
    """
    with _reading(source):
        return frame.collect()


def pandas_index(source: Path) -> list[str]:
    """The columns of a parquet file that pandas wrote its index to; empty for other files."""
    try:
        index = json.loads(pl.read_parquet_metadata(source)["pandas"])["index_columns"]
        return [name for name in index if isinstance(name, str)]
    except (pl.exceptions.PolarsError, KeyError, TypeError, ValueError):  # no parquet, or not as pandas writes it
        return []


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """The content of a parquet file of this table."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def csv_text(frame: pl.DataFrame) -> str:
    """The table as CSV; lists and structs, such as the flags of a run, are JSON in it."""
    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]

    def text(each: object) -> str | None:
        return None if each is None else json.dumps(each, default=str)

    texts = [pl.Series(name, [text(each) for each in frame[name].to_list()], dtype=pl.String) for name in nested]
    return frame.with_columns(texts).write_csv()


def read_run_table(path: Path) -> pl.DataFrame:
    """A parquet or CSV file of a run folder; ``[`` and ``*`` in its path are no pattern."""
    if path.suffix == ".csv":
        return pl.read_csv(path, glob=False, infer_schema_length=None)
    return pl.read_parquet(path, glob=False, hive_partitioning=False)


@contextmanager
def _reading(source: Path) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{source}: cannot be read: {str(error).splitlines()[0]}") from error


def _scan(source: Path) -> pl.LazyFrame:
    with source.open("rb") as file:
        head = file.read(_HEAD_LENGTH)
    if not head:
        raise DataError(f"{source}: the file is empty")
    if head.startswith(b"PAR1"):
        return pl.scan_parquet(source, glob=False, hive_partitioning=False)
    if head.startswith(b"ARROW1"):
        return pl.scan_ipc(source, glob=False, hive_partitioning=False)
    if head.startswith(b"\xff\xff\xff\xff"):
        return pl.read_ipc_stream(source).lazy()
    foreign.refuse_foreign(source, head)
    with source.open("rb") as lines:
        foreign.refuse_broken_lines(source, lines)
    return pl.scan_csv(source, glob=False, infer_schema_length=None, null_values=list(NULL_WORDS))
