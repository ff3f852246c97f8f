"""Labels and groups of videos as public data sets give them: by where the videos lie, or by lists of their ids.

Of each video a layout gives ``label``, and what is known of it: ``folder``, ``original`` (the name of the video that it
was made from), or ``target`` and ``source`` (whose video it is, and whose face is in it), ``manipulation``.

The Fake Video Corpus (MKLab-ITI/fake-video-corpus) gives labels, and cascades, which are merged into groups. FVC.csv
has the first video of every cascade, FVC_dup.csv its near-duplicates, FVC_text_queries.csv the event titles.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import polars as pl

from fvc_exp.data import columns, grouping
from fvc_exp.errors import DataError
from fvc_exp.io import tables

FOLDER, ORIGINAL, TARGET, SOURCE = "folder", "original", "target", "source"

_REAL, _FAKE = columns.CLASSES
_FACE_FORENSICS = {"original_sequences": _REAL, "manipulated_sequences": _FAKE}
_MASKS = "masks"  # videos of where a face was changed
_CELEB_DF = {"celeb-real": _REAL, "youtube-real": _REAL, "celeb-synthesis": _FAKE}

CORPUS_NAME = "Fake Video Corpus"

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

Facts = dict[str, str | None]


@dataclass(frozen=True)
class Layout:
    """The facts of each labelled video by its path below the folder, and the facts that group them by default."""

    name: str
    videos: Mapping[PurePath, Facts]
    groups: tuple[str, ...] = ()


def read_layout(folder: Path, files: Sequence[PurePath], videos: Sequence[PurePath]) -> Layout:
    """The layout of a folder from its files, and the videos among them, by paths below it.

    Raises:
        DataError: no layout is known that has both classes here, or ``metadata.json`` is not as in DFDC.
    """
    tops = {file.parts[0].lower() for file in files if len(file.parts) > 1}
    if tops & _FACE_FORENSICS.keys():
        layout = Layout("FaceForensics++", _by_top(videos, _FACE_FORENSICS, _face_forensics), (TARGET, SOURCE))
    elif tops & _CELEB_DF.keys():
        layout = Layout("Celeb-DF", _by_top(videos, _CELEB_DF, _celeb_df), (TARGET, SOURCE))
    elif found := _by_folders(videos):
        layout = Layout("folders real and fake", found)
    elif lists := [file for file in files if file.name == "metadata.json"]:
        layout = Layout("DFDC", _dfdc(folder, lists, set(videos)), (ORIGINAL,))
    else:
        layout = Layout("videos with real or fake in their names", _by_names(videos))
    _require_classes(folder, layout, has_videos=bool(videos))
    return layout


def _require_classes(folder: Path, layout: Layout, *, has_videos: bool) -> None:
    there = {facts[columns.LABEL] for facts in layout.videos.values()}
    if not there:
        why = "of the videos none" if has_videos else "no video below real or fake; none"
        raise DataError(
            f"{folder}: {why} is labelled: move them into folders real and fake, or have the word real or fake in each "
            "name, or write a table with video_path,label and name it: data.videos=TABLE"
        )
    empty = {part.name.lower() for part in folder.iterdir() if part.is_dir()} & columns.LABEL_WORDS.keys()
    there_or_empty = there | {columns.CLASSES[columns.LABEL_WORDS[word]] for word in empty}
    if absent := set(columns.CLASSES) - there_or_empty:
        raise DataError(
            f"{folder}: taken as {layout.name}, it has {len(layout.videos)} videos, all {there.pop()!r}; "
            f"{absent.pop()!r} is missing"
        )


def _dfdc(folder: Path, lists: Sequence[PurePath], videos: set[PurePath]) -> dict[PurePath, Facts]:
    found: dict[PurePath, Facts] = {}
    for file in lists:
        try:
            entries = json.loads((folder / file).read_bytes())
            rows = [(name, str(entry["label"]), entry.get("original")) for name, entry in entries.items()]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"{folder / file}: is not like the list of DFDC, {{NAME: {{'label': 'FAKE', 'original': NAME}}}}"
            ) from error
        for name, label, original in rows:
            if label.lower() not in columns.CLASSES:
                raise DataError(f"{folder / file}: {name!r}: {label!r} is not a label; allowed are REAL and FAKE")
            if (video := file.parent / name) in videos:
                found[video] = {columns.LABEL: label.lower(), ORIGINAL: original, FOLDER: str(file.parent)}
    return found


def _by_top(
    videos: Sequence[PurePath], labels: Mapping[str, str], facts_of: Callable[[PurePath], Facts]
) -> dict[PurePath, Facts]:
    return {
        video: {columns.LABEL: labels[top], FOLDER: str(video.parent), **facts_of(video)}
        for video in videos
        if (top := video.parts[0].lower()) in labels and _MASKS not in video.parts
    }


def _face_forensics(video: PurePath) -> Facts:
    """Pairs ``a_b`` are a's video with the face of b; the actors' videos begin with their numbers in the same way."""
    method = video.parts[1] if _FACE_FORENSICS[video.parts[0].lower()] == _FAKE and len(video.parts) > 2 else None
    numbers = re.match(r"(\d+)(?:_(\d+))?(?=_|$)", video.stem)
    target, source = numbers.groups() if numbers else (None, None)
    return {TARGET: target, SOURCE: source, columns.MANIPULATION: method}


def _celeb_df(video: PurePath) -> Facts:
    people = re.findall(r"id\d+", video.stem)
    return {TARGET: people[0] if people else None, SOURCE: people[1] if len(people) > 1 else None}


def _by_folders(videos: Sequence[PurePath]) -> dict[PurePath, Facts]:
    """By the first folder that is called like a label; the folder below it is ``folder``."""
    found: dict[PurePath, Facts] = {}
    for video in videos:
        for depth, part in enumerate(video.parts[:-1]):
            if (code := columns.LABEL_WORDS.get(part.lower())) is not None:
                below = video.parts[depth + 1 : -1]
                found[video] = {columns.LABEL: columns.CLASSES[code], FOLDER: below[0] if below else None}
                break
    return found


def _by_names(videos: Sequence[PurePath]) -> dict[PurePath, Facts]:
    """By the one word in the name that is a label, of videos that lie in no folder below."""
    found: dict[PurePath, Facts] = {}
    for video in videos:
        words = columns.LABEL_WORDS.keys() & re.split(r"[^a-z]+", video.stem.lower())
        codes = {columns.LABEL_WORDS[word] for word in words}
        if len(codes) == len(video.parts) == 1:
            found[video] = {columns.LABEL: columns.CLASSES[codes.pop()]}
    return found


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
