from __future__ import annotations

import os
from pathlib import Path

import pytest

from fvc_exp.stages.source_files import find_source


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.mp4").write_bytes(b"1234")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (root / "inside.mp4").symlink_to("sub/a.mp4")
    (root / "outside.mp4").symlink_to(tmp_path / "secret.mp4")
    (root / "linked").symlink_to(tmp_path)
    (root / "loop.mp4").symlink_to("loop.mp4")
    os.mkfifo(root / "pipe.mp4")
    return root


@pytest.mark.parametrize("name", ["sub/a.mp4", "inside.mp4", "sub/../sub/a.mp4"])
def test_files_below_the_root_may_be_opened(root: Path, name: str) -> None:
    source = find_source(root, name)
    assert source.path == root / "sub" / "a.mp4"
    assert (source.size, source.failed) == (4, None)
    assert source.mtime_ns == (root / "sub" / "a.mp4").stat().st_mtime_ns


def test_a_root_that_is_a_link_holds_its_files(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(root)
    assert find_source(tmp_path / "other", "sub/a.mp4").path == root / "sub" / "a.mp4"


@pytest.mark.parametrize(
    ("name", "error_class", "message"),
    [
        ("../secret.mp4", "outside_root", "only files below data.root"),
        ("outside.mp4", "outside_root", "only files below data.root"),
        ("linked/secret.mp4", "outside_root", "only files below data.root"),
        ("/etc/hostname", "outside_root", "only files below data.root"),
        ("../root-and-more/a.mp4", "outside_root", "only files below data.root"),
        ("gone.mp4", "missing", "No such file"),
        ("sub/a.mp4/b.mp4", "missing", "Not a directory"),
        ("loop.mp4", "missing", "Too many levels"),
        ("x" * 300 + ".mp4", "missing", "File name too long"),
        ("a\0b.mp4", "missing", "NUL"),
        ("sub", "not_a_video", "is a folder"),
        ("pipe.mp4", "not_a_video", "is no regular file"),
    ],
)
def test_what_must_not_be_opened_is_named(root: Path, name: str, error_class: str, message: str) -> None:
    source = find_source(root, name)
    assert source.path is None
    assert (source.size, source.mtime_ns) == (None, None)
    assert source.failed is not None
    assert source.failed.error_class == error_class
    assert message in source.failed.message
