"""Find and scan one table on disk: parquet (one file, or a folder of parts), Arrow IPC (feather) or CSV.

They are told apart by content. A CSV may have commas, semicolons, tabs or bars between its columns, and may be gzipped.
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import polars as pl

from fvc_exp.errors import DataError
from fvc_exp.io import foreign

EXTENSIONS = (".parquet", ".arrow", ".feather", ".csv", ".tsv", ".csv.gz", ".tsv.gz")
NULL_WORDS = ("", "NA", "N/A", "nan", "NaN", "null", "None")  # in CSV; else one of them makes a whole column text
_HEAD_LENGTH = 2**16  # bytes; they hold the first lines of a CSV
_GZIP = b"\x1f\x8b"
_SEPARATORS = (",", ";", "\t", "|")
_DECIMAL_COMMA = re.compile(r'(^|;)\s*"?-?\d*,\d+"?\s*(;|$)', re.MULTILINE)


def find_table(path: Path) -> Path:
    """The file itself, or the one file that has this name and a known extension, or a folder of parquet files.

    Raises:
        DataError: no such file, a folder without parquet files, or several extensions to choose from.
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
        if _parts(path):
            return path
        raise DataError(f"{path}: is a folder; a table is one file ({', '.join(EXTENSIONS)}), or a folder of .parquet")
    raise DataError(f"{path}: no such file, with or without one of {', '.join(EXTENSIONS)}")


def scan_table(path: Path, is_text: Callable[[str], bool] | None = None) -> tuple[pl.LazyFrame, Path]:
    """Scan a table lazily; returns it with the file it was found in.

    ``is_text`` says of a column's name whether a CSV's values are text there, even if they look like numbers.

    Raises:
        DataError: the file is missing, empty, or not what its content claims to be.
    """
    source = find_table(path)
    with _reading(source):
        frame = _scan(source, is_text)
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
        file = _parts(source)[0] if source.is_dir() else source
        index = json.loads(pl.read_parquet_metadata(file)["pandas"])["index_columns"]
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
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error) as error:  # the last two: of a broken .gz
        raise DataError(f"{source}: cannot be read: {str(error).splitlines()[0]}") from error


def _parts(folder: Path) -> list[Path]:
    """The parquet files of a folder at any depth; what starts with . or _ is no part, as elsewhere."""
    found = (path for path in sorted(folder.rglob("*.parquet")) if path.is_file())
    return [path for path in found if not any(name[0] in "._" for name in path.relative_to(folder).parts)]


def _scan(source: Path, is_text: Callable[[str], bool] | None) -> pl.LazyFrame:
    if source.is_dir():
        parts = _parts(source)
        is_partitioned = any("=" in str(path.parent.relative_to(source)) for path in parts)
        return pl.scan_parquet(parts, glob=False, hive_partitioning=is_partitioned)
    head = _head(source)
    if not head:
        raise DataError(f"{source}: the file is empty")
    if head.startswith(b"PAR1"):
        return pl.scan_parquet(source, glob=False, hive_partitioning=False)
    if head.startswith(b"ARROW1"):
        return pl.scan_ipc(source, glob=False, hive_partitioning=False)
    if head.startswith(b"\xff\xff\xff\xff"):
        return pl.read_ipc_stream(source).lazy()
    foreign.refuse_foreign(source, head)
    return _scan_csv(source, head.decode(errors="replace"), is_text)


def _head(source: Path) -> bytes:
    with _opened(source) as file:
        return file.read(_HEAD_LENGTH)


def _opened(source: Path) -> IO[bytes]:
    with source.open("rb") as file:
        is_gzipped = file.read(len(_GZIP)) == _GZIP
    return cast("IO[bytes]", gzip.open(source)) if is_gzipped else source.open("rb")


def _scan_csv(source: Path, head: str, is_text: Callable[[str], bool] | None) -> pl.LazyFrame:
    header, _, rows = head.partition("\n")
    unquoted = re.sub(r'"[^"]*"', "", header)
    separator = max(_SEPARATORS, key=unquoted.count)  # the comma where there is none at all
    decimal_comma = separator == ";" and _DECIMAL_COMMA.search(rows) is not None
    with _opened(source) as lines:
        foreign.refuse_broken_lines(source, lines, separator.encode())
    options: dict[str, Any] = {"separator": separator, "decimal_comma": decimal_comma, "null_values": list(NULL_WORDS)}
    names = pl.scan_csv(source, infer_schema_length=0, glob=False, **options).collect_schema().names()
    texts = {name: pl.String for name in names if is_text and is_text(name)}
    # Read once: to know the types is to read every cell, and each later look at a column would do so again.
    return pl.scan_csv(source, infer_schema_length=None, glob=False, schema_overrides=texts, **options).collect().lazy()
