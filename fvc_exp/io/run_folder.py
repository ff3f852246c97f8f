"""The names of a run folder's files, its status, and the hash of the code. Needs no scientific library."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from fvc_exp.errors import ArtifactError
from fvc_exp.io import files

RunId = Annotated[str, Meta(pattern="^[0-9a-f]{12}$")]
Count = Annotated[int, Meta(ge=0)]


class FileFacts(TypedDict):
    """A file as the run left it."""

    size: Count
    sha256: Annotated[str, Meta(min_length=64, max_length=64)]  # a pattern would take most of the time of reading


_InRun = Annotated[str, Meta(pattern=r"^(\.hydra/|insight/)?[\w.-]+$")]
# The files of a run by their paths in its folder.
Listing = dict[_InRun, FileFacts]


class Status(TypedDict):
    """The keys of ``status.json`` that are read; ``files`` lists every other file of the run."""

    state: str
    started: NotRequired[datetime]
    ended: NotRequired[datetime]
    reason: NotRequired[str]
    message: NotRequired[str]
    attempt: NotRequired[Count]
    host: NotRequired[str]
    job: NotRequired[str]
    code_hash: NotRequired[str]
    files: NotRequired[Annotated[Listing, Meta(max_length=1000)]]


class FileName:
    """A file of a run folder: on a folder, its path, made when asked for since analytics reads thousands of folders."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: RunFolder, _owner: type[RunFolder]) -> Path:
        return folder.path / self.name


class RunFolder:
    """Names of all files of one run. ``status.json`` comes last: without it a run is not finished."""

    config = FileName("config.yaml")
    metrics = FileName("metrics.json")
    results = FileName("results.json")
    predictions = FileName("predictions.parquet")
    folds = FileName("folds.parquet")
    audit = FileName("audit.json")
    model = FileName("model.joblib")
    scaler = FileName("scaler.joblib")
    feature_names = FileName("feature_names.json")
    portable_model = FileName("model.json")
    plot = FileName("roc_pr_curves.png")
    plot_svg = FileName("roc_pr_curves.svg")
    coefficients = FileName("coefficients.csv")
    provenance = FileName("provenance.json")
    report = FileName("report.html")  # this and the next three on demand
    card = FileName("MODEL_CARD.md")
    checklist = FileName("checklist.md")
    skops = FileName("model.skops")
    log = FileName("run.log")
    status = FileName("status.json")

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> list[Path]:
        """Every file of a run, status first: deleting in this order never leaves a folder that looks finished."""
        kinds = reversed(type(self).__mro__)
        named = [self.path / each.name for kind in kinds for each in vars(kind).values() if isinstance(each, FileName)]
        return sorted(named, key=lambda path: path != self.status)

    def beside(self) -> list[Path]:
        """The other files of the run: Hydra's files, and what ``fvc explain`` found."""
        folders = [folder for name in (".hydra", "insight") if not (folder := self.path / name).is_symlink()]
        return [path for folder in folders for path in sorted(folder.glob("*")) if stat.S_ISREG(path.lstat().st_mode)]

    def clear(self) -> None:
        """Remove all of an earlier run, its status first, but not the log and Hydra's files, which a run begins with.

        Raises:
            ArtifactError: a file cannot be removed.
        """
        files.remove_abandoned(self.path)
        begun = (self.log, *self.path.glob(".hydra/*"))
        try:
            for path in (*self.files(), *self.beside()):
                if path not in begun:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise ArtifactError(f"{self.path}: an earlier run cannot be removed: {error}") from error

    def listing(self) -> Listing:
        """Size and hash of each file but the status."""
        found: Listing = {}
        for path in (*self.files(), *self.beside()):
            if path != self.status and path.is_file():
                content = files.read_bytes(path, inside=self.path)
                found[str(path.relative_to(self.path))] = {"size": len(content), "sha256": files.sha256(content)}
        return found

    def check(self, name: str, facts: FileFacts, content: bytes | None = None) -> None:
        """Compare a file with what the run wrote: its size, and its ``content`` where that is given.

        The log may have grown since.

        Raises:
            ArtifactError: it is missing, no file, or another one.
        """
        path, size = f"{self.path}/{name}", facts["size"]  # a Path takes longer than the look at the file
        try:
            mode, found = (now := os.lstat(path)).st_mode, now.st_size if content is None else len(content)
        except OSError as error:
            raise ArtifactError(f"{path}: is missing; without it the run is not complete") from error
        if not stat.S_ISREG(mode):
            raise ArtifactError(f"{path}: is no regular file")
        if found < size or (found > size and path != str(self.log)):
            said = f"has {found:,} bytes, but {self.status.name} says {size:,}"
            raise ArtifactError(f"{path}: is torn, or of another run: it {said}")
        if content is not None and files.sha256(content[:size]) != facts["sha256"]:
            raise ArtifactError(f"{path}: was changed after the run: {self.status.name} has another sha256")


def write_status(folder: RunFolder, state: str, started: datetime, **facts: object) -> dict[str, Any]:
    """Write how the run ended, and its files; returns the content."""
    ended = datetime.now(UTC).isoformat()
    return seal(folder, {"state": state, "started": started.isoformat(), "ended": ended, **facts})


def seal(folder: RunFolder, status: Mapping[str, Any]) -> dict[str, Any]:
    """Write a status with the list of the files that are there; they reach the disk before it."""
    sealed = {**status, "files": folder.listing()}
    files.sync_folder(folder.path)
    files.write_json(folder.status, sealed)
    files.sync_folder(folder.path)
    files.sync_folder(folder.path.parent)
    return sealed


def seconds_of(status: Mapping[str, Any]) -> float | None:
    """How long a run took; None if its status does not tell."""
    if "started" not in status or "ended" not in status:
        return None
    return (datetime.fromisoformat(status["ended"]) - datetime.fromisoformat(status["started"])).total_seconds()


@cache  # what was imported stays what runs, whatever happens to the files
def code_hash() -> str:
    """SHA-256 of this program: the files of the package and of ``conf``, also outside a git checkout."""
    package, found = Path(__file__).resolve().parents[1], hashlib.sha256()
    for path in sorted([*package.rglob("*.*"), *(package.parent / "conf").rglob("*.*")]):  # or inside, where installed
        if path.suffix in (".py", ".yaml") and path.is_file():
            found.update(str(path.relative_to(package.parent)).encode() + path.read_bytes())
    return found.hexdigest()


def failure_text(reason: str, message: str) -> str:
    """Why a run failed, in one line."""
    return f"{reason}: {message.splitlines()[0]}" if message else reason
