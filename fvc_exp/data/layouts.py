"""Labels and groups of videos from where they lie: the layouts of public data sets, and folders named real and fake.

Of each video a layout gives ``label``, and what is known of it: ``folder``, ``original`` (the name of the video that it
was made from), or ``target`` and ``source`` (whose video it is, and whose face is in it), ``manipulation``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from fvc_exp.data import columns
from fvc_exp.errors import DataError

FOLDER, ORIGINAL, TARGET, SOURCE = "folder", "original", "target", "source"

_REAL, _FAKE = columns.CLASSES
_DFDC = "metadata.json"
_FACE_FORENSICS = {"original_sequences": _REAL, "manipulated_sequences": _FAKE}
_MASKS = "masks"  # videos of where a face was changed
_CELEB_DF = {"celeb-real": _REAL, "youtube-real": _REAL, "celeb-synthesis": _FAKE}

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
    elif lists := [file for file in files if file.name == _DFDC]:
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
    labelled = ((video, labels.get(video.parts[0].lower())) for video in videos if _MASKS not in video.parts)
    return {
        video: {columns.LABEL: label, FOLDER: str(video.parent), **facts_of(video)}
        for video, label in labelled
        if label
    }


def _face_forensics(video: PurePath) -> Facts:
    """Pairs ``a_b`` are a's video with the face of b; the actors' videos begin with their numbers in the same way."""
    is_fake = _FACE_FORENSICS[video.parts[0].lower()] == _FAKE
    method = video.parts[1] if is_fake and len(video.parts) > 2 else None
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
