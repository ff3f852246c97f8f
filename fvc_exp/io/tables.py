"""Find and scan one table on disk: parquet (one file, or a folder of parts), Arrow IPC (feather) or CSV.

They are told apart by content. A CSV may have commas, semicolons, tabs or bars between its columns, and may be gzipped.
"""

import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, cast

import polars as pl

from fvc_exp.errors import ArtifactError, DataError

EXTENSIONS = (".parquet", ".arrow", ".feather", ".csv", ".tsv", ".csv.gz", ".tsv.gz")
NULL_WORDS = ("", "NA", "N/A", "nan", "NaN", "null", "None")  # in CSV; else one of them makes a whole column text
_HEAD_LENGTH = 2**16  # bytes; they hold the first lines of a CSV
_GZIP = b"\x1f\x8b"
_AS_CSV = "save it as parquet or as CSV in UTF-8"
_MAGIC = {
    **dict.fromkeys((b"\xff\xfe", b"\xfe\xff"), "is UTF-16 text; save it as CSV in UTF-8 (pandas: encoding='utf-8')"),
    b"PK\x03\x04": f"is an Excel workbook or a zip archive; unpack it, or {_AS_CSV} (pandas: read_excel, then to_csv)",
    b"\xd0\xcf\x11\xe0": f"is an Excel workbook; {_AS_CSV} (pandas: read_excel, then to_csv)",
    b"FEA1": "is a feather file of version 1; write it again as version 2, parquet or CSV",
    b"version https://git-lfs": "is a pointer of Git LFS and not the file; fetch it by: git lfs pull",
    **{bytes((0x80, version)): f"is a Python pickle, which is not opened as it may start programs; {_AS_CSV} "
       "(pandas: read_pickle, then to_parquet)" for version in range(2, 6)},
}  # fmt: skip
_FORMULA = r"^[=+\-@\t\r]"
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
        names = " and ".join(found.name for found in candidates)
        raise DataError(f"{path}: found as {names}; name one with its extension")
    if path.is_dir():
        if _parts(path):
            return path
        raise DataError(f"{path}: is a folder; a table is one file ({', '.join(EXTENSIONS)}), or a folder of .parquet")
    raise DataError(f"{path}: no such file, with or without one of {', '.join(EXTENSIONS)}")


def read_table(path: Path, is_text: Callable[[str], bool] | None = None) -> tuple[pl.DataFrame, Path]:
    """Read a table; returns it with the file it was found in.

    ``is_text`` says of a column's name whether a CSV's values are text there, even if they look like numbers.

    Raises:
        DataError: the file is missing, empty, broken, not what its content claims to be, or would take more than half
            of the memory: a small file may hold very long columns.
    """
    source = find_table(path)
    try:
        frame = _scan(source, is_text)
        width = sum(8 if kind in (pl.Float64, pl.Int64) else 1 for kind in frame.collect_schema().dtypes())
        refuse_bomb(source, frame.select(pl.len()).collect().item() * width)
        return frame.collect(), source
    except (pl.exceptions.PolarsError, OSError, ValueError, EOFError, zlib.error) as error:  # also of Arrow and gzip
        raise DataError(f"{source}: cannot be read: {str(error).splitlines()[0]}") from error


def refuse_bomb(source: Path, n_bytes: int) -> None:
    """Do nothing if so many bytes, into which a file unpacks, have room in half of this machine's memory.

    Raises:
        DataError: they have not.
    """
    if n_bytes > (most := os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2):
        raise DataError(f"{source}: has {n_bytes:,} bytes or more unpacked; at most {most:,} are read on this machine")


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


def csv_text(frame: pl.DataFrame, *, raw: bool = False) -> str:
    """The table as CSV; lists and structs, such as the flags of a run, are JSON in it.

    Unless ``raw``, a ``'`` stands before each text that a spreadsheet would take for a formula (OWASP, CSV injection).
    """
    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]

    def text(each: object) -> str | None:
        return None if each is None else json.dumps(each, default=str)

    texts = [pl.Series(name, [text(each) for each in frame[name].to_list()], dtype=pl.String) for name in nested]
    frame = frame.with_columns(texts)
    return (frame if raw else without_formulas(frame)).write_csv()


def without_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """The table with a ``'`` before each text and name that a spreadsheet would take for a formula."""
    texts = pl.col(pl.String).str.replace(_FORMULA, "'${0}")
    return frame.with_columns(texts).rename(lambda name: re.sub(_FORMULA, r"'\g<0>", name))


def read_run_table(path: Path, content: bytes) -> pl.DataFrame:
    """The ``content`` of a parquet or CSV file of a run folder.

    Raises:
        ArtifactError: it is broken.
        DataError: it would take more than half of the memory.
    """
    try:
        if path.suffix == ".csv":
            return pl.read_csv(io.BytesIO(content), infer_schema_length=None)
        _refuse_parquet_bomb(path, content)
        return pl.read_parquet(io.BytesIO(content))
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:  # also of Arrow
        raise ArtifactError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error


def _parts(folder: Path) -> list[Path]:
    """The parquet files of a folder at any depth; what starts with . or _ is no part, as elsewhere."""
    found = (path for path in sorted(folder.rglob("*.parquet")) if path.is_file())
    return [path for path in found if not any(name[0] in "._" for name in path.relative_to(folder).parts)]


def _scan(source: Path, is_text: Callable[[str], bool] | None) -> pl.LazyFrame:
    str(source).encode()  # polars opens no path that is no UTF-8
    if source.is_dir():
        parts = _parts(source)
        is_partitioned = any("=" in str(path.parent.relative_to(source)) for path in parts)
        return pl.scan_parquet(parts, glob=False, hive_partitioning=is_partitioned)
    with _opened(source) as file:
        head = file.read(_HEAD_LENGTH)
    if not head:
        raise DataError(f"{source}: the file is empty")
    if head.startswith(b"PAR1"):
        _refuse_parquet_bomb(source)
        return pl.scan_parquet(source, glob=False, hive_partitioning=False)
    if head.startswith(b"ARROW1"):
        return pl.scan_ipc(source, glob=False, hive_partitioning=False)
    if head.startswith(b"\xff\xff\xff\xff"):
        return pl.read_ipc_stream(source).lazy()
    _refuse_foreign(source, head)
    return _scan_csv(source, head.decode(errors="replace"), is_text)


def _refuse_parquet_bomb(source: Path, content: bytes | None = None) -> None:
    from pyarrow.parquet import read_metadata  # polars does not tell the sizes

    found = read_metadata(source if content is None else io.BytesIO(content))
    refuse_bomb(source, sum(found.row_group(number).total_byte_size for number in range(found.num_row_groups)))


def _refuse_gzip_bomb(source: Path) -> None:
    """Unpack it once in pieces, before lines are read, of which one may be as long as the file."""
    size = 0
    with _opened(source) as file:
        while isinstance(file, gzip.GzipFile) and (piece := file.read(_HEAD_LENGTH)):
            refuse_bomb(source, size := size + len(piece))


def _opened(source: Path) -> IO[bytes]:
    with source.open("rb") as file:
        is_gzipped = file.read(len(_GZIP)) == _GZIP
    return cast("IO[bytes]", gzip.open(source)) if is_gzipped else source.open("rb")


def _scan_csv(source: Path, head: str, is_text: Callable[[str], bool] | None) -> pl.LazyFrame:
    header, _, rows = head.partition("\n")
    separator = max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", header).count)  # the comma where there is none at all
    decimal_comma = separator == ";" and _DECIMAL_COMMA.search(rows) is not None
    _refuse_gzip_bomb(source)
    with _opened(source) as lines:
        _refuse_broken_lines(source, lines, separator.encode())
    options: dict[str, Any] = {"separator": separator, "decimal_comma": decimal_comma, "null_values": list(NULL_WORDS)}
    names = pl.scan_csv(source, infer_schema_length=0, glob=False, **options).collect_schema().names()
    texts = {name: pl.String for name in names if is_text and is_text(name)}
    # Read once: to know the types is to read every cell, and each later look at a column would do so again.
    return pl.scan_csv(source, infer_schema_length=None, glob=False, schema_overrides=texts, **options).collect().lazy()


def _refuse_foreign(source: Path, head: bytes) -> None:
    """Do nothing if a file may be CSV, as far as its first bytes tell; parquet and Arrow are told apart before.

    Raises:
        DataError: it is something else, named with what to do.
    """
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise DataError(f"{source}: {what}")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        raise DataError(f"{source}: is a web page (HTML) or XML, often sent in place of a file; download it again")
    if text.startswith((b"{", b"[")):
        raise DataError(f"{source}: is JSON; {_AS_CSV} (pandas: read_json, then to_parquet)")
    if b"\0" in head:
        raise DataError(f"{source}: is neither parquet, Arrow IPC (feather) nor CSV in UTF-8")


def _refuse_broken_lines(source: Path, lines: Iterable[bytes], separator: bytes) -> None:
    """Do nothing if all rows of a CSV have as many fields as its header, of which there are several.

    From the first line on that ends inside quotes nothing is counted.

    Raises:
        DataError: its columns are separated by something else, or a row has too few or too many fields.
    """
    filled = (line for line in lines if line.strip())
    header = _unquoted(next(filled, b""))
    if separator not in header:
        _refuse_separator(source, header, next(filled, b""))
        return
    expected = header.count(separator)
    for row, line in enumerate(filled, start=1):
        if line.count(b'"') % 2:
            return
        if (found := (_unquoted(line) if b'"' in line else line).count(separator)) != expected:
            raise DataError(
                f"{source}: row {row} has {found + 1} field{'s' * (found > 0)}, but the header names {expected + 1}; "
                f"a value that is not known still needs its separator {separator.decode()!r}"
            )


def _unquoted(line: bytes) -> bytes:
    return re.sub(b'"[^"]*"', b"", line)


def _refuse_separator(source: Path, header: bytes, first: bytes) -> None:
    counts = {sign: header.strip().count(sign) for sign in (b";", b"\t", b"|", b":", b"^", b"~", b" ")}
    likely = [sign.decode() for sign, count in counts.items() if 0 < count == _unquoted(first).strip().count(sign)]
    if likely:
        raise DataError(
            f"{source}: its columns are separated by {likely[0]!r}; save it with commas "
            f"(pandas: read_csv(..., sep={likely[0]!r}), then to_csv)"
        )
