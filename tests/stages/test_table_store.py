import os
from pathlib import Path

import polars as pl
import pytest

from fvc_exp.errors import DataError
from fvc_exp.stages.table_store import TableStore, states
from fvc_exp.video.sources import Source, find_source
from fvc_exp.video.worker_pool import Failed
from tests.stages.videos import LIMITS

SOURCES = {name: Source(Path(name), 10, 1) for name in ("a", "b", "c")}
CURRENT = states(SOURCES)
KEYS = CURRENT.select("video_path")
BAD = Failed("timeout", "too slow")


def make(tmp_path: Path, settings: str = "s", **options: object) -> TableStore:
    return TableStore(tmp_path / "table", {"value": pl.Float64}, settings, LIMITS, **options)


def fill(store: TableStore, **values: float | Failed) -> None:
    with store.writing():
        for key, value in values.items():
            store.add(key, SOURCES[key], value if isinstance(value, Failed) else {"value": value})


def merge(tmp_path: Path, videos: pl.DataFrame = KEYS) -> bool:
    with make(tmp_path).writing() as store:
        return store.merge(CURRENT, videos)


def finished(store: TableStore) -> dict[str, float | str]:
    rows = store.finished(CURRENT)
    return {row["video_path"]: row["error_class"] or row["value"] for row in rows.iter_rows(named=True)}


def test_rows_are_kept_and_merged_when_all_are_there(tmp_path: Path) -> None:
    fill(make(tmp_path), c=3.0, a=1.0)
    assert finished(make(tmp_path)) == {"a": 1.0, "c": 3.0}
    assert not merge(tmp_path)
    assert not make(tmp_path).path.exists()
    fill(make(tmp_path), b=BAD)
    assert merge(tmp_path)
    table = pl.read_parquet(tmp_path / "table.parquet")
    assert table.columns == ["video_path", "value", "error", "error_class", "settings", "file_size", "file_mtime_ns"]
    assert table.select("video_path", "value", "error", "error_class").rows() == [
        ("a", 1.0, None, None),
        ("b", None, "too slow", "timeout"),
        ("c", 3.0, None, None),
    ]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [(BAD, 2.0, 2.0), (2.0, BAD, 2.0), (1.0, 2.0, 2.0), (Failed("worker_died", ""), BAD, "timeout")],
    ids=["retry succeeds", "late failure", "both good", "fails again"],
)
@pytest.mark.parametrize("is_merged", [False, True])
def test_the_better_then_the_later_row_counts(
    tmp_path: Path, first: float | Failed, second: float | Failed, kept: object, is_merged: bool
) -> None:
    fill(make(tmp_path), a=first, b=0.0, c=0.0)
    if is_merged:
        assert merge(tmp_path)
    fill(make(tmp_path), a=second)
    assert finished(make(tmp_path))["a"] == kept
    assert merge(tmp_path)
    assert finished(make(tmp_path))["a"] == kept


def test_rows_of_other_settings_or_files_do_not_count(tmp_path: Path) -> None:
    fill(make(tmp_path), a=1.0, b=2.0, c=3.0)
    assert finished(make(tmp_path, settings="other")) == {}
    changed = states(SOURCES | {"a": Source(Path("a"), 11, 1), "b": Source(Path("b"), 10, 2)})
    assert make(tmp_path).finished(changed)["video_path"].to_list() == ["c"]
    assert set(make(tmp_path).finished(states(SOURCES | {"a": Source(None)}))["video_path"]) == {"b", "c"}


def test_a_missing_file_keeps_its_row_while_it_is_missing(tmp_path: Path) -> None:
    missing = Source(None, failed=Failed("missing", "gone"))
    with make(tmp_path).writing() as store:
        store.add("a", missing, Failed("missing", "gone"))
    assert len(make(tmp_path).finished(states({"a": missing}))) == 1
    assert len(make(tmp_path).finished(states({"a": SOURCES["a"]}))) == 0


def test_merged_table_repeats_the_present_input_columns(tmp_path: Path) -> None:
    fill(make(tmp_path), a=1.0, b=2.0, c=3.0)
    assert merge(tmp_path, KEYS.with_columns(label=pl.lit("real")))
    assert merge(tmp_path, KEYS.with_columns(label=pl.lit("fake")))
    assert set(pl.read_parquet(tmp_path / "table.parquet")["label"]) == {"fake"}
    inode = make(tmp_path).path.stat().st_ino
    assert merge(tmp_path, KEYS.with_columns(label=pl.lit("fake")))
    assert make(tmp_path).path.stat().st_ino == inode, "an unchanged table is not written again"


def test_rows_survive_a_merge_that_died_before_it_removed_the_parts(tmp_path: Path) -> None:
    fill(make(tmp_path), a=1.0, b=2.0, c=3.0)
    parts = {path: path.read_bytes() for path in (tmp_path / "table.parts").glob("*.parquet")}
    assert merge(tmp_path)
    for path, content in parts.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    assert finished(make(tmp_path)) == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert merge(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def test_a_part_that_another_process_merges_is_found_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(make(tmp_path), a=1.0, b=2.0, c=3.0)
    read = pl.read_parquet

    def read_after_the_other(path: Path, **options: bool) -> pl.DataFrame:
        monkeypatch.setattr(pl, "read_parquet", read)
        assert merge(tmp_path)
        return read(path, **options)

    monkeypatch.setattr(pl, "read_parquet", read_after_the_other)
    assert finished(make(tmp_path)) == {"a": 1.0, "b": 2.0, "c": 3.0}


def test_a_foreign_table_is_not_overwritten(tmp_path: Path) -> None:
    pl.DataFrame({"video_path": ["a"], "value": [1.0]}).write_parquet(tmp_path / "table.parquet")
    with pytest.raises(DataError, match=r"table\.parquet: was not written by this stage .* move it away"):
        make(tmp_path).finished(CURRENT)


def test_rows_whose_file_is_gone_or_changed_do_not_count(tmp_path: Path) -> None:
    def store() -> TableStore:
        return make(tmp_path, output="video_path")

    for name, size in (("a", 5), ("b", 6)):
        (tmp_path / name).write_bytes(b"x" * size)
    with store().writing() as opened:
        for name in ("a", "b", "c"):
            opened.add(name, SOURCES[name], {"value": 1.0, "output_size": 5})
    assert set(finished(store())) == {"a"}


@pytest.mark.parametrize("length", [0, 100])
def test_the_rows_of_a_torn_part_are_measured_again(tmp_path: Path, length: int) -> None:
    fill(make(tmp_path), a=1.0)
    fill(make(tmp_path), b=2.0, c=3.0)
    os.truncate(min(make(tmp_path).parts.glob("*.parquet")), length)
    assert finished(make(tmp_path)) == {"b": 2.0, "c": 3.0}
    fill(make(tmp_path), a=1.0)
    assert merge(tmp_path)
    assert not make(tmp_path).parts.exists()


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
