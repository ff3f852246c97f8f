"""Which videos there are, with their labels and groups: from a table, from folders, or from the Fake Video Corpus."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import polars as pl

from fvc_exp.config.schema import DataConfig
from fvc_exp.data import columns, grouping, layouts, roles
from fvc_exp.errors import DataError
from fvc_exp.io import tables

GROUP = "group"

SKIPPED = "not_a_video_name"  # the count of the files that end in none of these

_FOLDER_OF_VIDEOS = "videos"  # below the folder that holds the corpus files

# A letter or digit next to it would make it a part of a longer word; - and _ also stand between words.
_YOUTUBE_ID = re.compile(r"(?<![^\W_])(?=(.{11})(?![^\W_]))", re.DOTALL)


@dataclass(frozen=True)
class Manifest:
    """The input videos, sorted by ``video_path``.

    ``videos`` has ``video_path`` (relative to the data root, / between folders), ``label`` (real or fake), ``group``
    where the source names one, and every further column of the source. ``counts`` says what was left out, and why.
    """

    videos: pl.DataFrame
    source: Path
    counts: Mapping[str, int] = field(default_factory=dict)


def read_manifest(data: DataConfig) -> Manifest:
    """Read the input videos from ``data.videos``, a path below ``data.root`` (or an absolute one).

    It is a table (parquet, Arrow, CSV) with ``video_path`` and ``label``, a folder of videos in a known layout (see
    ``layouts``), or a folder with the corpus files FVC.csv and FVC_dup.csv. Of the corpus the videos with a local file
    are taken; the files lie at any depth below ``videos`` beside the corpus files, with the platform's video id in
    their names. ``data`` names columns that are not called as usual; ``data.group`` may also be what a layout tells of
    a video, such as ``folder``.

    Raises:
        DataError: nothing usable is there, or a value is not allowed; names file, column, row, value.
    """
    if data.videos is None:
        raise DataError(f"data={data.name} names no videos: set data.videos to a table or folder in data.root")
    root = Path(data.root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; set data.root=FOLDER, the folder of the videos")
    source = root / data.videos
    if (corpus := layouts.folder_of_id_lists(source)) is not None:
        return _from_corpus(root, corpus)
    # A stage writes the folder "augmented" and the table "augmented.parquet": that name means the table.
    if source.is_dir() and not _has_table(source):
        return _from_folders(root, source, data.group)
    return _from_table(root, source, data)


def _from_table(root: Path, path: Path, data: DataConfig) -> Manifest:
    table, source = tables.read_table(path, roles.text_columns(data.key, *data.group))
    table, found = roles.name_rows(table, source, data, root)
    codes = columns.label_codes(table[found.label], source, data.positive).alias(columns.LABEL)
    words = codes.replace_strict(dict(enumerate(columns.CLASSES)), return_dtype=pl.String)
    table = table.drop(found.label).with_columns(words)
    column, groups, _ = grouping.find_groups(table, source, found.usual, found.named)
    return _manifest(table.with_columns(groups.alias(GROUP)) if column else table, source, {})


def _has_table(folder: Path) -> bool:
    is_folder_of_videos = any((folder / label).is_dir() for label in columns.CLASSES)
    return not is_folder_of_videos and any(folder.with_name(folder.name + end).is_file() for end in tables.EXTENSIONS)


def _from_folders(root: Path, folder: Path, wanted: Sequence[str]) -> Manifest:
    files = [path.relative_to(folder) for path in _files(folder)]
    videos = [file for file in files if _is_video(file)]
    layout = layouts.read_layout(folder, files, videos)
    rows = [{columns.KEY: _below(root, folder / video), **facts} for video, facts in layout.videos.items()]
    table = pl.DataFrame(rows, {name: pl.String for row in rows for name in row})
    named = [str(roles.named_column(name, table.columns, "data.group", folder)) for name in wanted]
    if groups := named or list(layout.groups):
        # A video about which nothing is known is its own group; what no video was made from is found by its name.
        own = [pl.coalesce(groups[0], columns.KEY)] if groups[0] != layouts.ORIGINAL else []
        table = table.with_columns(grouping.join_columns(table.with_columns(own), groups, folder).alias(GROUP))
    counts = {SKIPPED: len(files) - len(videos), "without_label": len(videos) - len(rows)}
    return _manifest(table.drop(layouts.FOLDER, layouts.ORIGINAL, strict=False), folder, counts)


def _from_corpus(root: Path, folder: Path) -> Manifest:
    corpus, place = layouts.read_corpus(folder), folder / _FOLDER_OF_VIDEOS
    found = _local_files(place, set(corpus.videos["video_id"]))
    if not found:
        raise DataError(
            f"{place}: no video file is named after one of the {len(corpus.videos)} "
            f"videos of {folder / layouts.SEEDS} (a YouTube, Facebook or Twitter id in the file name)"
        )
    files = pl.DataFrame({"video_id": list(found), columns.KEY: [_below(root, paths[0]) for paths in found.values()]})
    chosen = (columns.KEY, columns.LABEL, GROUP, "cascade_id", "video_url")
    videos = corpus.videos.join(files, on="video_id").select(chosen)
    counts = {
        "conflicting_videos": len(corpus.conflicting),
        "videos_without_file": len(corpus.videos) - len(videos),
        "extra_files": sum(len(paths) - 1 for paths in found.values()),
    }
    return _manifest(videos, folder, counts)


def _local_files(folder: Path, wanted: set[str]) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; the videos of the corpus are looked for there")
    found: dict[str, list[Path]] = {}
    for path in filter(_is_video, _files(folder)):
        # What may be an id: a whole number, or 11 characters between other signs.
        parts = {*_YOUTUBE_ID.findall(path.stem), *re.findall(r"(?<!\d)\d+(?!\d)", path.stem)}
        ids = [path.stem] if path.stem in wanted else sorted(parts & wanted)
        if len(ids) > 1:
            raise DataError(f"{path}: the name holds several video ids ({', '.join(ids)}); rename it after one")
        for video_id in ids:
            found.setdefault(video_id, []).append(path)
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Files at any depth, in one order everywhere; hidden ones are left out and linked folders not entered."""
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _is_video(path: PurePath) -> bool:
    return path.suffix.lower() in columns.VIDEO_EXTENSIONS


def _below(root: Path, path: Path) -> str:
    """The path as stored: relative to the root where it lies below it, else unchanged, and refused once opened."""
    base = next((base for base in (root, root.absolute()) if path.is_relative_to(base)), None)
    text = str(path.relative_to(base) if base else path)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{text!r}: the file name is not UTF-8; rename the file") from error
    return text


def _manifest(table: pl.DataFrame, source: Path, counts: dict[str, int]) -> Manifest:
    first = [name for name in (columns.KEY, columns.LABEL, GROUP) if name in table.columns]
    return Manifest(table.select(*first, pl.exclude(first)).sort(columns.KEY), source, counts)
