"""Run a finished run again from what it stored, and name the first thing that differs."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fvc_exp.data.dataset import Dataset
from fvc_exp.runs.execute import dataset_of, train_and_write
from fvc_exp.runs.load import LoadedRun, require_finished
from fvc_exp.runs.provenance import provenance
from fvc_exp.training.split_dataset import SplitDataset, read_points

_MOST_DIFFERENCES = 10


_COMPARED = ("folds", "metrics", "coefficients", "predictions")


@dataclass(frozen=True)
class Verification:
    """What a second run gave: nothing different, or the differences in the order of the work, the first few."""

    identical: bool
    differences: tuple[str, ...]
    packages: tuple[str, ...]

    def __str__(self) -> str:
        if self.identical:
            return "identical: data, folds, coefficients, predictions and metrics, bit for bit"
        changed = "; ".join(self.packages) or "none"
        return "\n".join(("different:", *(f"  {each}" for each in self.differences), f"  changed since: {changed}"))


def verify(path: Path) -> Verification:
    """Train again in a clean folder from the stored configuration, and compare with the run bit by bit.

    Raises:
        ArtifactError: the folder holds no finished training run.
        DataError: the data of the run is not there any more, or cannot be used.
    """
    run = require_finished(path)
    differences = list(islice(_differences(run, dataset_of(run)), _MOST_DIFFERENCES))
    now = provenance(run.provenance["data_sha256"], run.config.seed)
    changed = _changed(run.provenance, now) if differences else ()
    return Verification(not differences, tuple(differences), tuple(changed))


def _differences(run: LoadedRun, dataset: Dataset) -> Iterator[str]:
    fitted_with, before = read_points(run.provenance.get("fitted_with", ())), run.provenance["data_sha256"]
    data = SplitDataset.of(run.config, dataset).refitted(run.config, fitted_with)
    if data.data_sha256 != before:
        yield f"data: sha256 was {before}, is {data.data_sha256}"
    with tempfile.TemporaryDirectory(prefix="fvc-verify-") as clean:
        again = LoadedRun(Path(clean))
        train_and_write(run.config, again.folder, data, show=False, plots=False)
        for name in _COMPARED:
            file = getattr(run.folder, name).name
            for difference in _record_differences(_records(run, name), _records(again, name)):
                yield f"{file}: {difference}"


def _records(run: LoadedRun, name: str) -> Sequence[Mapping[str, Any]]:
    return run.fold_records if name == "metrics" else getattr(run, name).to_dicts()


def _record_differences(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(before) != len(after):
        yield f"had {len(before)} records, has {len(after)}"
    for number, (old, new) in enumerate(zip(before, after, strict=False), start=1):
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                yield f"record {number}, {key}: was {old.get(key)!r}, is {new.get(key)!r}"


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Packages, Python, code and machine that are not what they were, each with both values."""
    for name in sorted(before["packages"] | after["packages"]):
        if (old := before["packages"].get(name)) != (new := after["packages"].get(name)):
            yield f"{name} {old} -> {new}"
    for name in ("python", "platform", "git", "threads", "cpu_count"):
        if before.get(name) != after.get(name):
            yield f"{name} {before.get(name)} -> {after.get(name)}"
