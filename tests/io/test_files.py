import json
import math
from pathlib import Path

import pytest

from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import atomic_file, write_json


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
    write_json(tmp_path / "x.json", {"a": math.nan, "b": math.inf, "c": [1, (2.5, None)]})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None, "b": None, "c": [1, [2.5, None]]}
