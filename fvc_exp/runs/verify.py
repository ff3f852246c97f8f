"""Run a finished run again from what it stored, and name the first thing that differs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fvc_exp.config.schema import Config
from fvc_exp.config.store import read_config
from fvc_exp.data.dataset import Dataset
from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import read_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.io.tables import read_own
from fvc_exp.runs.execute import prepared_dataset, train
from fvc_exp.runs.provenance import provenance
from fvc_exp.training.shared_fits import read_points
from fvc_exp.training.split_dataset import SplitDataset

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
    folder = RunFolder(path)
    config, stored = read_config(folder.config), read_json(folder.provenance)
    if (state := read_json(folder.status).get("state")) != "done":
        raise ArtifactError(f"{folder.status}: the run is {state!r}; only a finished one can be verified")
    with _working_folder(Path(stored["working_folder"])):
        dataset = prepared_dataset(config)
    differences = list(islice(_differences(folder, config, dataset, stored), _MOST_DIFFERENCES))
    changed = _changed(stored, provenance(stored["data_sha256"], config.seed)) if differences else ()
    return Verification(not differences, tuple(differences), tuple(changed))


def _working_folder(path: Path) -> chdir[Path]:
    """Relative paths of a run are relative to where it was started."""
    if not path.is_dir():
        raise ArtifactError(f"{path}: the run was started there, and its paths are relative to it; it is gone")
    return chdir(path)


def _differences(folder: RunFolder, config: Config, dataset: Dataset, stored: Mapping[str, Any]) -> Iterator[str]:
    data = SplitDataset.of(config, dataset).refitted(config, read_points(stored.get("fitted_with", ())))
    if data.data_sha256 != stored["data_sha256"]:
        yield f"data: sha256 was {stored['data_sha256']}, is {data.data_sha256}"
    with tempfile.TemporaryDirectory(prefix="fvc-verify-") as clean:
        again = RunFolder(Path(clean))
        train(config, again, data, show=False, plots=False)
        for name in _COMPARED:
            yield from _file_differences(getattr(folder, name), getattr(again, name))


def _file_differences(before: Path, after: Path) -> Iterator[str]:
    one, two = _records(before), _records(after)
    if len(one) != len(two):
        yield f"{before.name}: had {len(one)} records, has {len(two)}"
    for number, (old, new) in enumerate(zip(one, two, strict=False), start=1):
        for key in old | new:
            if old.get(key) != new.get(key):
                yield f"{before.name}: record {number}, {key}: was {old.get(key)!r}, is {new.get(key)!r}"


def _records(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        raise ArtifactError(f"{path}: is missing; the run cannot be verified")
    if path.suffix == ".json":
        records: list[dict[str, Any]] = json.loads(path.read_bytes())
        return records
    frame = read_own(path)
    return frame.to_dicts()


def _changed(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Packages, Python, code and machine that are not what they were, each with both values."""
    for name in sorted(before["packages"] | after["packages"]):
        if (old := before["packages"].get(name)) != (new := after["packages"].get(name)):
            yield f"{name} {old} -> {new}"
    for name in ("python", "platform", "git", "threads", "cpu_count"):
        if before.get(name) != after.get(name):
            yield f"{name} {before.get(name)} -> {after.get(name)}"
