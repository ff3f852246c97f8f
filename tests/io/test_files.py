import json
import math
import os
import re
import time
from pathlib import Path
from typing import TypedDict

import pytest

from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import atomic_file, exclusive_lock, read_json, remove_abandoned, temporary_name, write_json
from tests.processes import ended_process


def test_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    usual = path.stat().st_mode
    with atomic_file(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
        assert [other.name.startswith(".") for other in tmp_path.iterdir() if other != path] == [True]
    assert (path.read_bytes(), path.stat().st_mode) == (b"new", usual)
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def write_half() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=r"file/status\.json: cannot be written: Not a directory"):
        write_json(tmp_path / "file" / "status.json", {})


def test_json_is_standard(tmp_path: Path) -> None:
    no_utf8 = os.fsdecode(b"\xc3\xa9\xff")
    write_json(tmp_path / "x.json", {"a": math.nan, "b": math.inf, "c": [1, (2.5, None)], no_utf8: Path(no_utf8)})
    expected = {"a": None, "b": None, "c": [1, [2.5, None]], r"é\udcff": r"é\udcff"}
    assert json.loads((tmp_path / "x.json").read_text()) == read_json(tmp_path / "x.json") == expected


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with things beside it and links, a pipe, and broken JSON in it."""
    folder = tmp_path / "foreign"
    (folder / "in").mkdir(parents=True)
    for place in (tmp_path, folder / "in"):
        (place / "x.json").write_text('{"n": 1}')
    (folder / "link.json").symlink_to(tmp_path / "x.json")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.json")
    deep = '{"n": 1, "x": ' + "[" * 100_000
    for name, text in {"deep": deep, "nan": '{"n": NaN}', "half": '{"n"', "kind": '{"n": "1"}'}.items():
        (folder / f"{name}.json").write_text(text)
    return folder


class Numbered(TypedDict):
    n: int


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("link", "a link leads there"), ("up/x", "a link leads there"), ("in/../../x", "lies outside"),
        ("pipe", "no regular file"), ("none", "is missing"),
        ("deep", "nested too deeply"), ("nan", "malformed"), ("half", "truncated"),
        ("kind", r"Expected int, got str - at \$\.n"),
    ],
)  # fmt: skip
def test_a_foreign_file_is_data_or_refused_in_one_line(foreign: Path, name: str, why: str) -> None:
    assert read_json(foreign / "in" / "x.json", Numbered, inside=foreign) == {"n": 1}
    with pytest.raises(ArtifactError, match=rf"^{re.escape(str(foreign / name))}\.json: .*{why}") as caught:
        read_json(foreign / f"{name}.json", Numbered, inside=foreign)
    assert "\n" not in str(caught.value)


def test_a_lock_is_neither_followed_nor_emptied(foreign: Path, tmp_path: Path) -> None:
    with exclusive_lock(foreign / "in" / "x.json"), exclusive_lock(foreign / "new"):
        assert (foreign / "in" / "x.json").read_text() == '{"n": 1}'
    for name in ("link.json", "pipe.json"):
        with pytest.raises(ArtifactError, match=name), exclusive_lock(foreign / name):
            pytest.fail("it was locked")
    assert (tmp_path / "x.json").read_text() == '{"n": 1}'


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    own, (pid, _) = temporary_name("x"), ended_process()
    dead = own.replace(f"-{os.getpid()}-", f"-{pid}-")
    for name in (own, dead, f"{dead}.txt", "other"):
        (tmp_path / name).touch()
    (tmp_path / dead.replace(".x.", ".y.")).mkdir()
    for name, hours in (("new", 0), ("old", 25)):  # of a host whose processes are not known here
        (tmp_path / f".{name}.elsewhere-{pid}-abcd1234.fvc-tmp").touch()
        os.utime(tmp_path / f".{name}.elsewhere-{pid}-abcd1234.fvc-tmp", (time.time() - hours * 3600,) * 2)
    remove_abandoned(tmp_path)
    kept = {own, f"{dead}.txt", "other", f".new.elsewhere-{pid}-abcd1234.fvc-tmp"}
    assert {path.name for path in tmp_path.iterdir()} == kept
