import gzip
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from fvc_exp.errors import DataError
from fvc_exp.io.tables import csv_text, find_table, read_table

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
    frame, source = read_table(tmp_path / asked.format(kind=kind))
    assert frame.equals(FRAME)
    assert source.name == f"table.{kind}"


@pytest.mark.parametrize("write", (WRITERS | STREAM).values(), ids=WRITERS | STREAM)
def test_content_decides_not_the_name(tmp_path: Path, write: Callable[[pl.DataFrame, Path], object]) -> None:
    write(FRAME, tmp_path / "table.v2")
    assert read_table(tmp_path / "table.v2")[0].equals(FRAME)


@pytest.mark.parametrize("word", ["", "NA", "nan", "null"])
def test_csv_words_for_missing(tmp_path: Path, word: str) -> None:
    (tmp_path / "table.csv").write_text(f"video_path,value\na,1.5\nb,{word}\n")
    assert read_table(tmp_path / "table")[0].equals(FRAME)


def test_folder_names_are_not_columns(tmp_path: Path) -> None:
    folder = tmp_path / "value=9"
    folder.mkdir()
    FRAME.write_parquet(folder / "t*[1].parquet")
    assert read_table(folder / "t*[1]")[0].equals(FRAME)


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
        read_table(tmp_path / "table")


def test_a_path_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    (path := tmp_path / "table\udcff.csv").write_text("a\n1")
    with pytest.raises(DataError, match=r"table.*: cannot be read: 'utf-8' codec"):
        read_table(path)


def test_content_broken_behind_the_header(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "table.parquet", compression="uncompressed")
    content = bytearray((tmp_path / "table.parquet").read_bytes())
    content[4:30] = b"\xff" * 26
    (tmp_path / "table.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"table\.parquet: cannot be read"):
        read_table(tmp_path / "table")


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


BOMBS: dict[str, Callable[[Path], object]] = {
    "one line of gzip": lambda path: path.write_bytes(gzip.compress(b"x" * 5_000_000)),
    "one text": lambda path: pl.DataFrame({"a": ["x" * 5_000_000]}).write_parquet(path),
    "equal numbers": lambda path: pl.DataFrame({"a": [1.5] * 1_000_000}).write_parquet(path),
    "equal numbers of Arrow": lambda path: pl.DataFrame({"a": [1.5] * 1_000_000}).write_ipc(path, compression="zstd"),
}


@pytest.mark.parametrize("write", BOMBS.values(), ids=BOMBS)
def test_a_file_that_unpacks_into_too_much_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], object]
) -> None:
    write(tmp_path / "bomb")
    assert (tmp_path / "bomb").stat().st_size < 100_000
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2000}.__getitem__)
    with pytest.raises(DataError, match="unpacked; at most 4,096,000 are read on this machine"):
        read_table(tmp_path / "bomb")


def test_a_spreadsheet_computes_no_name() -> None:
    frame = pl.DataFrame({"=x": ["=cmd()", "+1", "-1", "@a", "\tb", "a=b", None], "n": range(-1, 6)})
    cells = [line.rsplit(",", 1)[0] for line in csv_text(frame).splitlines()]
    assert cells == ["'=x", "'=cmd()", "'+1", "'-1", "'@a", "'\tb", "a=b", ""]
    assert "'" not in csv_text(frame, raw=True)
