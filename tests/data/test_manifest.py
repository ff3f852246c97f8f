import os
from pathlib import Path

import polars as pl
import pytest

from fvc_exp.data.layouts import read_corpus
from fvc_exp.data.manifest import Manifest, read_manifest
from fvc_exp.errors import DataError
from tests.conftest import CORPUS, data_config, needs_corpus


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def rows(manifest: Manifest, *columns: str) -> list[tuple[str, ...]]:
    return manifest.videos.select(columns or manifest.videos.columns).rows()


# Tables


@pytest.mark.parametrize("write", ["write_csv", "write_parquet", "write_ipc"])
def test_table_of_any_format(tmp_path: Path, write: str) -> None:
    columns = {"note": list("xyz"), "label": ["Fake", " real", "1"], "group": [7, 7, 8]}
    table = pl.DataFrame({**columns, "video_path": ["b.mp4", "a/./c.mp4", str(tmp_path / "d.mp4")]})
    getattr(table, write)(tmp_path / "videos.data")
    manifest = read_manifest(data_config(tmp_path, videos="videos.data"))
    assert manifest.videos.columns == ["video_path", "label", "group", "note"]
    assert rows(manifest) == [("a/c.mp4", "real", "7", "y"), ("b.mp4", "fake", "7", "x"), ("d.mp4", "fake", "8", "z")]


def test_odd_names_and_paths_that_leave_the_root_are_kept_and_no_group_column_is_added(tmp_path: Path) -> None:
    names = ["../up.mp4", "/etc/passwd", "comma, 'and' $more.mp4", 'say "hi".mp4', "two\nlines.mp4"]
    pl.DataFrame({"video_path": names, "label": ["real"] * 5}).write_csv(tmp_path / "videos.csv")
    videos = read_manifest(data_config(tmp_path, videos="videos")).videos
    assert (videos.columns, videos["video_path"].to_list()) == (["video_path", "label"], names)


# Folders


def test_folders_give_labels(tmp_path: Path) -> None:
    touch(tmp_path, "v/fake/x/b.MP4", "v/fake/a.webm", "v/real/c.Mov", "v/real/.hidden.mp4", "v/real/.git/d.mp4")
    touch(tmp_path, "v/real/notes.txt", "v/other/e.mp4")
    manifest = read_manifest(data_config(tmp_path, videos="v"))
    assert rows(manifest) == [("v/fake/a.webm", "fake"), ("v/fake/x/b.MP4", "fake"), ("v/real/c.Mov", "real")]
    assert manifest.counts == {"not_a_video_name": 1, "without_label": 1}


def test_folders_below_a_relative_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "data/real/a.mp4", "data/fake/b.mp4")
    monkeypatch.chdir(tmp_path)
    for videos in (".", str(tmp_path / "data")):
        manifest = read_manifest(data_config(Path("data"), videos=videos))
        assert rows(manifest, "video_path") == [("fake/b.mp4",), ("real/a.mp4",)]


def test_a_table_is_preferred_to_the_folder_of_its_files(tmp_path: Path) -> None:
    touch(tmp_path, "augmented/a_aug0.mp4")
    (tmp_path / "augmented.csv").write_text("video_path,label\naugmented/a_aug0.mp4,real\n")
    assert rows(read_manifest(data_config(tmp_path, videos="augmented")), "video_path") == [("augmented/a_aug0.mp4",)]


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "v/real/a.txt", "v/fake/b.txt")
    with pytest.raises(DataError, match="no video below real or fake"):
        read_manifest(data_config(tmp_path, videos="v"))


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "v/real/a.mp4", "v/fake/b.mp4", os.fsdecode(b"v/fake/\xff.mp4"))
    with pytest.raises(DataError, match="the file name is not UTF-8"):
        read_manifest(data_config(tmp_path, videos="v"))


# The Fake Video Corpus

WATCH = "https://www.youtube.com/watch?v="
SEEDS = f"""cascade_id,video_url,label
f9,{WATCH}AAAAAAAAAAA,fake
f10,https://www.facebook.com/some.page/videos/123456/,fake
r0,{WATCH}-BBB_BBBBBB,real
r1,{WATCH}CCCCCCCCCCC,real
f11,{WATCH}EEEEEEEEEEE,fake
"""
DUPLICATES = f"""cascade_id,video_url,label
f9,https://twitter.com/someone/status/777,fake
f10,https://twitter.com/someone/status/777,fake
f9,{WATCH}DDDDDDDDDDD,parody
r0,{WATCH}CCCCCCCCCCC,real
f11,{WATCH}EEEEEEEEEEE,debunked
f11,{WATCH}FFFFFFFFFFF,real
""".replace("\n", "\r\n")
TITLES = """cascade_id,video_url,label,event_title,french
f9,u,fake,Sharks, in town,x
f10,u,fake,Other,x
f11,u,fake,"sharks,x
r1,u,real, sharks ,x"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "FVC.csv").write_bytes(SEEDS.encode())
    (tmp_path / "FVC_dup.csv").write_bytes(DUPLICATES.encode())
    (tmp_path / "videos").mkdir()
    return tmp_path


def test_corpus_groups_labels_and_files(corpus: Path) -> None:
    touch(corpus, "videos/AAAAAAAAAAA.mp4", "videos/new/AAAAAAAAAAA.webm", "videos/page_123456_hd.mp4")
    touch(corpus, "videos/A title--BBB_BBBBBB.mp4", "videos/777.mp4.part", "videos/EEEEEEEEEEE.mp4", "videos/xx.mp4")
    manifest = read_manifest(data_config(corpus, videos="."))
    assert rows(manifest, "video_path", "label", "group", "cascade_id") == [
        ("videos/A title--BBB_BBBBBB.mp4", "real", "r0", "r0"),
        ("videos/AAAAAAAAAAA.mp4", "fake", "f9", "f9"),
        ("videos/page_123456_hd.mp4", "fake", "f9", "f10"),
    ]
    assert manifest.counts == {"conflicting_videos": 1, "videos_without_file": 3, "extra_files": 1}


def test_equal_titles_merge_cascades(corpus: Path) -> None:
    touch(corpus, "videos/CCCCCCCCCCC.mp4", "videos/AAAAAAAAAAA.mp4")
    (corpus / "FVC_text_queries.csv").write_text(TITLES)
    assert set(read_manifest(data_config(corpus, videos="FVC.csv")).videos["group"]) == {"f9"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("FVC.csv", "cascade_id,label\nf0,fake\n", r"FVC\.csv: column 'video_url' is missing"),
        ("FVC_dup.csv", f"cascade_id,video_url,label\nf0,{WATCH}AAAAAAAAAAA,wrong\n", "row 1: 'wrong' is not a label"),
        ("FVC_dup.csv", "cascade_id,video_url,label\nf0,https://example.org/v,fake\n", "row 1: .* has no video id"),
        ("FVC_dup.csv", f"cascade_id,video_url,label\n,{WATCH}AAAAAAAAAAA,fake\n", "'cascade_id', row 1: the value is"),
        ("FVC_text_queries.csv", "cascade_id,video_url,label,event_title\nf0,u,fake\n", "'event_title', row 1"),
    ],
    ids=["column", "label", "address", "cascade", "title"],
)
def test_wrong_corpus_files_are_refused(corpus: Path, name: str, text: str, message: str) -> None:
    (corpus / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_manifest(data_config(corpus, videos="."))


WRONG_NAMES = {
    "nothing": "no video file is named after one of the 6 videos",
    "AAAAAAAAAAA CCCCCCCCCCC": "the name holds several video ids",
    "AAAAAAAAAAAB": "no video file is named",
}


@pytest.mark.parametrize(("name", "message"), WRONG_NAMES.items(), ids=WRONG_NAMES)
def test_corpus_needs_files_that_can_be_told_apart(corpus: Path, name: str, message: str) -> None:
    touch(corpus, f"videos/{name}.mp4")
    with pytest.raises(DataError, match=message):
        read_manifest(data_config(corpus, videos="."))


def test_corpus_needs_its_folder_of_videos(corpus: Path) -> None:
    (corpus / "videos").rmdir()
    with pytest.raises(DataError, match="videos: no such folder; the videos of the corpus are looked for there"):
        read_manifest(data_config(corpus, videos="."))


@needs_corpus
def test_published_corpus_has_its_known_counts() -> None:
    corpus = read_corpus(CORPUS)
    assert len(corpus.lines) == 5579
    assert (corpus.lines["cascade_id"].n_unique(), corpus.lines["group"].n_unique()) == (380, 367)
    labels = dict(corpus.lines["label"].value_counts().iter_rows())
    assert labels == {"fake": 2920, "real": 2164, "uncertain": 340, "debunked": 89, "parody": 66}
    assert corpus.conflicting == ("cyiHil6lUlY", "u8RuDS18R_E")
    # No group mixes cascades that start from a fake with those that start from a real video.
    kinds = corpus.videos.group_by("group").agg(pl.col("cascade_id").str.head(1).n_unique())
    assert (kinds["cascade_id"] == 1).all()


@needs_corpus
def test_published_corpus_without_titles_merges_shared_videos_only(tmp_path: Path) -> None:
    for name in ("FVC.csv", "FVC_dup.csv"):
        (tmp_path / name).symlink_to(CORPUS / name)
    assert read_corpus(tmp_path).lines["group"].n_unique() == 376
