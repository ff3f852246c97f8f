"""The files of the Fake Video Corpus (MKLab-ITI/fake-video-corpus): labels, and cascades merged into groups.

FVC.csv has the first video of every cascade, FVC_dup.csv its near-duplicates, FVC_text_queries.csv the event titles.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fvc_exp.data import columns, grouping
from fvc_exp.errors import DataError
from fvc_exp.io import tables

NAME = "Fake Video Corpus"

SEEDS = "FVC.csv"

DUPLICATES = "FVC_dup.csv"

TEXT_QUERIES = "FVC_text_queries.csv"

OTHER_LABELS = ("uncertain", "debunked", "parody")

_COLUMNS = ("cascade_id", "video_url", "label")

_TITLE_FIELD = 3

_VIDEO_ID = re.compile(
    r"(?:youtube\.com/watch\?(?:.*&)?v=|youtu\.be/)(?P<youtube>[\w-]{11})(?![\w-])"
    r"|facebook\.com/.*?videos/(?:[^/]+/)?(?P<facebook>\d+)"
    r"|twitter\.com/[^/]+/status/(?P<twitter>\d+)"
)


@dataclass(frozen=True)
class Corpus:
    """The lines of the corpus files, and the videos that carry one label, fake or real, both in file order.

    Both have ``cascade_id``, ``video_url``, ``label``, ``video_id`` (the platform's own) and ``group`` (the name of the
    merged cascades). ``conflicting`` are the ids of videos with several labels, which are left out.
    """

    lines: pl.DataFrame
    videos: pl.DataFrame
    conflicting: tuple[str, ...]


def folder_of_id_lists(source: Path) -> Path | None:
    """The folder with the corpus files, where ``source`` is that or one of them."""
    folder = source.parent if source.name in (SEEDS, DUPLICATES) else source
    return folder if (folder / SEEDS).is_file() else None


def read_corpus(folder: Path) -> Corpus:
    """Read the corpus files of a folder.

    Cascades that share a video, or an event title where FVC_text_queries.csv is there, become one group.

    Raises:
        DataError: a file or column is missing, or a line has an unknown label or a URL without a video id.
    """
    lines = pl.concat([_read_lines(folder / name) for name in (SEEDS, DUPLICATES)])
    links = [(cascade, f"video {video}") for cascade, video in lines.select("cascade_id", "video_id").iter_rows()]
    if (titles := folder / TEXT_QUERIES).is_file():
        known = set(lines["cascade_id"])
        links += [(cascade, f"title {title}") for cascade, title in _read_titles(titles) if cascade in known and title]
    group_of = grouping.merge_groups(links)  # the name of the first cascade that it is connected to
    lines = lines.with_columns(group=pl.col("cascade_id").replace_strict(group_of, return_dtype=pl.String))
    has_one_label = pl.col("label").n_unique().over("video_id") == 1
    videos = lines.filter(has_one_label, pl.col("label").is_in(columns.CLASSES))
    return Corpus(
        lines=lines,
        videos=videos.unique("video_id", keep="first", maintain_order=True),
        conflicting=tuple(lines.filter(~has_one_label)["video_id"].unique().sort()),
    )


def _read_lines(path: Path) -> pl.DataFrame:
    frame, source = tables.read_table(path)
    columns.require_columns(_COLUMNS, frame.columns, source)
    lines = frame.select(pl.col(_COLUMNS).cast(pl.String).str.strip_chars().fill_null(""))
    columns.require_values(lines["cascade_id"], source)
    allowed = (*columns.CLASSES, *OTHER_LABELS)
    wrong = ~lines["label"].is_in(allowed)
    columns.refuse_values(wrong, lines["label"], source, f"is not a label; allowed are {', '.join(allowed)}")
    matches = [_VIDEO_ID.search(url) for url in lines["video_url"]]
    ids = pl.Series("video_id", [match and match[match.lastgroup or 0] for match in matches], pl.String)
    why = "has no video id; allowed are addresses of YouTube, Facebook and Twitter videos"
    columns.refuse_values(ids.is_null(), lines["video_url"], source, why)
    return lines.with_columns(ids)


def _read_titles(path: Path) -> Iterator[tuple[str, str]]:
    """Cascade and event title; titles hold unquoted commas, so one may be cut short, which only merges more."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()[1:]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        fields = line.split(",")
        if len(fields) <= _TITLE_FIELD:
            raise DataError(f"{path}: column 'event_title', row {number}: the value is missing")
        yield fields[0], fields[_TITLE_FIELD].strip().casefold()
