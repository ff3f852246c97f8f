from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from fvc_exp.errors import DataError
from fvc_exp.io.tables import collect, find_table, scan_table

FRAME = pl.DataFrame({"video_path": ["a", "b"], "value": [1.5, None]})
WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "parquet": lambda frame, path: frame.write_parquet(path),
    "arrow": lambda frame, path: frame.write_ipc(path),
    "feather": lambda frame, path: frame.write_ipc(path, compression="lz4"),
    "csv": lambda frame, path: frame.write_csv(path),
}
STREAM = {"arrow stream": lambda frame, path: frame.write_ipc_stream(path)}  # which only its content tells


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("asked", ["table", "table.{kind}"], ids=["without extension", "with extension"])
def test_finds_and_reads_every_kind(tmp_path: Path, kind: str, asked: str) -> None:
    WRITERS[kind](FRAME, tmp_path / f"table.{kind}")
    frame, source = scan_table(tmp_path / asked.format(kind=kind))
    assert collect(frame, source).equals(FRAME)
    assert source.name == f"table.{kind}"


@pytest.mark.parametrize("write", (WRITERS | STREAM).values(), ids=WRITERS | STREAM)
def test_content_decides_not_the_name(tmp_path: Path, write: Callable[[pl.DataFrame, Path], object]) -> None:
    write(FRAME, tmp_path / "table.v2")
    frame, source = scan_table(tmp_path / "table.v2")
    assert collect(frame, source).equals(FRAME)


@pytest.mark.parametrize("word", ["", "NA", "nan", "null"])
def test_csv_words_for_missing(tmp_path: Path, word: str) -> None:
    (tmp_path / "table.csv").write_text(f"video_path,value\na,1.5\nb,{word}\n")
    frame, source = scan_table(tmp_path / "table")
    assert collect(frame, source).equals(FRAME)


def test_folder_names_are_not_columns(tmp_path: Path) -> None:
    folder = tmp_path / "value=9"
    folder.mkdir()
    FRAME.write_parquet(folder / "t*[1].parquet")
    frame, source = scan_table(folder / "t*[1]")
    assert collect(frame, source).equals(FRAME)


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "binary": (b"\0\1\2\3\4\5\6", "neither parquet"),
    "feather 1": (b"FEA1abcdef", "feather file of version 1"),
    "cut parquet": (b"PAR1 and then nothing", "cannot be read"),
    "cut arrow": (b"ARROW1 and then nothing", "cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "table").write_bytes(content)
    with pytest.raises(DataError, match=rf"table.*{message}"):
        scan_table(tmp_path / "table")


def test_content_broken_behind_the_header(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "table.parquet", compression="uncompressed")
    content = bytearray((tmp_path / "table.parquet").read_bytes())
    content[4:30] = b"\xff" * 26
    (tmp_path / "table.parquet").write_bytes(content)
    frame, source = scan_table(tmp_path / "table")
    with pytest.raises(DataError, match=r"table\.parquet: cannot be read"):
        collect(frame, source)


def test_what_is_no_single_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    FRAME.write_csv(tmp_path / "table.csv")
    FRAME.write_parquet(tmp_path / "table.parquet")
    for name, message in {
        "nothing": r"nothing: no such file.*\.parquet.*\.csv",
        "folder": "is a folder",
        "table": r"table\.parquet and table\.csv",
    }.items():
        with pytest.raises(DataError, match=message):
            find_table(tmp_path / name)
