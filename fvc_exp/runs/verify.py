"""``verify``: check the files of a finished run, run it again, and name what differs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from fvc_exp.data.dataset import Dataset
from fvc_exp.errors import ArtifactError
from fvc_exp.io import files
from fvc_exp.runs import execute
from fvc_exp.runs.artifacts import provenance
from fvc_exp.runs.load import LoadedRun, require_finished
from fvc_exp.training.shared_fits import read_points
from fvc_exp.training.split_dataset import SplitDataset

_MOST_DIFFERENCES = 10
_COMPARED = ("folds", "metrics", "coefficients", "predictions", "results")
_SAME_BYTES = ("portable_model", "feature_names", "scaler", "model")
_FACTS = ("python", "platform", "git", "threads", "cpu_count")
_OF_BEST = ("price", "selection")  # what best/ of a sweep has beside the member's results
_OF_A_CHOICE = (*_OF_BEST, "claim", "flags")


@dataclass(frozen=True)
class Verification:
    """The result of a second run: identical, or the first differences in the order of the work."""

    identical: bool
    differences: tuple[str, ...]
    packages: tuple[str, ...]

    def __str__(self) -> str:
        if self.identical:
            return "identical: data, folds, coefficients, predictions and metrics, bit for bit"
        changed = "; ".join(self.packages) or "none"
        return "\n".join(("different:", *(f"  {each}" for each in self.differences), f"  changed since: {changed}"))


def verify(path: Path, data_root: Path | None = None) -> Verification:
    """Check the hash of each file, train again from the stored configuration, and compare with the run bit by bit.

    ``data_root`` is that of ``dataset_of``.

    Raises:
        ArtifactError: the folder holds no finished training run.
        DataError: the data of the run is not there any more, or cannot be used.
    """
    if changed_files := list(_changed_files(LoadedRun(path))):
        return Verification(False, tuple(changed_files), ())
    run = require_finished(path)
    differences = list(islice(_differences(run, execute.dataset_of(run, data_root)), _MOST_DIFFERENCES))
    now = provenance(run.provenance["data_sha256"], run.config.seed)
    before, after = (facts["packages"] | {name: facts.get(name) for name in _FACTS} for facts in (run.provenance, now))
    return Verification(not differences, tuple(differences), tuple(changes(before, after)) if differences else ())


def _changed_files(run: LoadedRun) -> Iterator[str]:
    for name, facts in run.listed.items():
        try:
            run.folder.check(name, facts)
            run.folder.check(name, facts, files.read_bytes(run.path / name, inside=run.path))
        except ArtifactError as error:
            yield str(error)


def _differences(run: LoadedRun, dataset: Dataset) -> Iterator[str]:
    fitted_with, before = read_points(run.provenance["fitted_with"]), run.provenance["data_sha256"]
    data = SplitDataset.of(run.config, dataset).without_price().refitted(run.config, fitted_with)
    if data.dataset.content_hash != before:
        yield f"data: sha256 was {before}, is {data.dataset.content_hash}"
    with files.temporary_folder("verify") as clean:
        again = LoadedRun(clean)
        left_out = _OF_A_CHOICE if run.results["selection"] else _OF_BEST
        execute.train_and_write(replace(run.config, plots=False), again.folder, data, show=False)
        for name in _COMPARED:
            file = getattr(run.folder, name).name
            for difference in _record_differences(_records(run, name, left_out), _records(again, name, left_out)):
                yield f"{file}: {difference}"
        for name in _SAME_BYTES:
            if run.content(name) != again.content(name):
                yield f"{getattr(run.folder, name).name}: has other content than the same run leaves now"


def _records(run: LoadedRun, name: str, left_out: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    if name == "results":
        return [{key: value for key, value in run.results.items() if key not in left_out}]
    return run.fold_records if name == "metrics" else getattr(run, name).to_dicts()


def _record_differences(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(before) != len(after):
        yield f"had {len(before)} records, has {len(after)}"
    for number, (old, new) in enumerate(zip(before, after, strict=False), start=1):
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                yield f"record {number}, {key}: was {old.get(key)!r}, is {new.get(key)!r}"


def changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Packages and facts of code and machine that are not what they were, each with both values."""
    for name in sorted(before | after):
        if before.get(name) != after.get(name):
            yield f"{name} {before.get(name)} -> {after.get(name)}"
