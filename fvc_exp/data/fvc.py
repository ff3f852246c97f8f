"""The files of the Fake Video Corpus (MKLab-ITI/fake-video-corpus): labels, and cascades merged into groups.

FVC.csv holds the first video of every cascade, FVC_dup.csv its near-duplicates, FVC_text_queries.csv the event titles.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fvc_exp.data.columns import CLASSES
from fvc_exp.errors import DataError

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
class CorpusRow:
    """One line of FVC.csv or FVC_dup.csv; ``video_id`` is the platform's own id of the video."""

    cascade_id: str
    video_url: str
    video_id: str
    label: str


@dataclass(frozen=True)
class CorpusVideo:
    """A video that carries one label, fake or real; ``group`` names its merged cascades."""

    video_id: str
    video_url: str
    label: str
    group: str
    cascade_id: str


@dataclass(frozen=True)
class Corpus:
    """The binary-labelled videos of the corpus, in file order, and what was found on the way to them.

    ``rows`` counts lines, ``labels`` lines a label, ``repeated_rows`` lines about a video that an earlier line
    names, ``conflicting`` the ids of videos with several labels (left out), ``cascades`` the distinct cascade ids,
    ``groups`` the merged ones, and ``single_label_groups`` those whose binary lines are all fake or all real.
    """

    videos: tuple[CorpusVideo, ...]
    rows: int
    labels: dict[str, int]
    repeated_rows: int
    conflicting: tuple[str, ...]
    cascades: int
    groups: int
    single_label_groups: int
    merged_by_title: bool

    @property
    def binary_rows(self) -> int:
        """Lines labelled fake or real."""
        return sum(self.labels[label] for label in CLASSES)


def read_corpus(folder: Path) -> Corpus:
    """Read the corpus files of a folder.

    Cascades that share a video, or an event title where FVC_text_queries.csv is there, become one group.

    Raises:
        DataError: a file or column is missing, or a line has an unknown label or a URL without a video id.
    """
    rows = [row for name in (SEEDS, DUPLICATES) for row in _read_rows(folder / name)]
    titles = folder / TEXT_QUERIES
    group_of = _merge_cascades(rows, _read_titles(titles) if titles.is_file() else ())
    labels_of: dict[str, set[str]] = defaultdict(set)
    labels_in: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        labels_of[row.video_id].add(row.label)
        labels_in[group_of[row.cascade_id]].update({row.label} & set(CLASSES))
    videos = {
        row.video_id: CorpusVideo(row.video_id, row.video_url, row.label, group_of[row.cascade_id], row.cascade_id)
        for row in reversed(rows)  # of a video that stands in several cascades the first line is kept
        if row.label in CLASSES and len(labels_of[row.video_id]) == 1
    }
    return Corpus(
        videos=tuple(reversed(videos.values())),
        rows=len(rows),
        labels=dict(Counter(row.label for row in rows)),
        repeated_rows=len(rows) - len(labels_of),
        conflicting=tuple(sorted(name for name, labels in labels_of.items() if len(labels) > 1)),
        cascades=len(group_of),
        groups=len(set(group_of.values())),
        single_label_groups=sum(len(labels) == 1 for labels in labels_in.values()),
        merged_by_title=titles.is_file(),
    )


def _read_rows(path: Path) -> Iterator[CorpusRow]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for column in _COLUMNS:
                if column not in (reader.fieldnames or ()):
                    raise DataError(
                        f"{path}: column {column!r} is missing; the table has {', '.join(reader.fieldnames or ())}"
                    )
            for number, fields in enumerate(reader, start=1):
                yield _checked(path, number, fields)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _checked(path: Path, number: int, fields: dict[str, str]) -> CorpusRow:
    values = {column: (fields[column] or "").strip() for column in _COLUMNS}
    if not values["cascade_id"]:
        raise DataError(f"{path}: column 'cascade_id', row {number}: the value is missing")
    if values["label"] not in (*CLASSES, *OTHER_LABELS):
        allowed = ", ".join((*CLASSES, *OTHER_LABELS))
        raise DataError(
            f"{path}: column 'label', row {number}: {values['label']!r} is not a label; allowed are {allowed}"
        )
    if not (match := _VIDEO_ID.search(values["video_url"])):
        raise DataError(
            f"{path}: column 'video_url', row {number}: {values['video_url']!r} holds no video id; "
            "allowed are addresses of YouTube, Facebook and Twitter videos"
        )
    return CorpusRow(values["cascade_id"], values["video_url"], str(match[match.lastgroup or 0]), values["label"])


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


def _merge_cascades(rows: Iterable[CorpusRow], titles: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The group of each cascade: the name of the first cascade that it is connected to."""
    links: dict[str, list[str]] = defaultdict(list)
    group_of: dict[str, str] = {}
    for row in rows:
        links[f"video {row.video_id}"].append(row.cascade_id)
        group_of.setdefault(row.cascade_id, row.cascade_id)
    for cascade, title in titles:
        if cascade in group_of and title:
            links[f"title {title}"].append(cascade)

    def first(cascade: str) -> str:
        while group_of[cascade] != cascade:
            cascade = group_of[cascade]
        return cascade

    for linked in links.values():
        earliest, *others = sorted({first(cascade) for cascade in linked}, key=_natural)
        group_of.update(dict.fromkeys(others, earliest))
    return {cascade: first(cascade) for cascade in group_of}


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key that puts f9 before f10."""
    return tuple((int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", name))
