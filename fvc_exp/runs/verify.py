"""``verify``: check the files of a finished run, run it again, and name what differs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from fvc_exp.data.dataset import Dataset
from fvc_exp.errors import ArtifactError
from fvc_exp.io import files
from fvc_exp.runs import artifacts, execute, load
from fvc_exp.training.split_dataset import SplitDataset, read_points

MOST_DIFFERENCES = 10  # that are named
_WHAT = "data, folds, coefficients, predictions and metrics"
_COMPARED = ("folds", "metrics", "coefficients", "predictions", "results")
_SAME_BYTES = ("portable_model", "feature_names", "scaler", "model")
_FACTS = ("python", "platform", "git", "threads", "cpu_count")
_OF_BEST = ("price", "selection")  # what best/ of a sweep has beside the member's results
_OF_A_CHOICE = (*_OF_BEST, "claim", "flags")


@dataclass(frozen=True)
class Verification:
    """Whether ``what`` came out again, and the first differences in the order of the work.

    It was compared within ``tolerance``: 0 is bit for bit, and ``largest`` the largest difference within it. Packages
    and facts of the machine that are not those of the run are ``changed``.
    """

    identical: bool
    what: str
    differences: tuple[str, ...]
    changed: tuple[str, ...]
    tolerance: float = 0.0
    largest: float = 0.0

    def __str__(self) -> str:
        how = f"within {self.tolerance:g} (largest {self.largest:.1g})" if self.tolerance else "bit for bit"
        changed = [f"  changed since: {'; '.join(self.changed)}"] if self.changed else []
        if self.identical:
            return "\n".join((f"identical: {self.what}, {how}", *changed))
        return "\n".join((f"different, compared {how}:", *(f"  {each}" for each in self.differences), *changed))


def verify(path: Path, data_root: Path | None = None) -> Verification:
    """Check the hash of each file, train again from the stored configuration, and compare with the run bit by bit.

    ``data_root`` is that of ``dataset_of``.

    Raises:
        ArtifactError: the folder holds no finished training run.
        DataError: the data of the run is not there any more, or cannot be used.
    """
    if changed_files := list(_changed_files(load.LoadedRun(path))):
        return Verification(False, _WHAT, tuple(changed_files), ())
    run = load.require_finished(path)
    differences = list(islice(_differences(run, execute.dataset_of(run, data_root)), MOST_DIFFERENCES))
    return Verification(not differences, _WHAT, tuple(differences), changes(run, _FACTS) if differences else ())


def _changed_files(run: load.LoadedRun) -> Iterator[str]:
    for name, facts in run.listed.items():
        try:
            run.folder.check(name, facts)
            run.folder.check(name, facts, files.read_bytes(run.path / name, inside=run.path))
        except ArtifactError as error:
            yield str(error)


def _differences(run: load.LoadedRun, dataset: Dataset) -> Iterator[str]:
    fitted_with, data_before = read_points(run.provenance["fitted_with"]), run.provenance["data_sha256"]
    data = SplitDataset.of(run.config, dataset).without_price().refitted(run.config, fitted_with)
    if data.dataset.content_hash != data_before:
        yield f"data: sha256 was {data_before}, is {data.dataset.content_hash}"
    with files.temporary_folder("verify") as clean:
        again = load.LoadedRun(clean)
        left_out = _OF_A_CHOICE if run.results["selection"] else _OF_BEST
        execute.train_and_write(replace(run.config, plots=False), again.folder, data, show=False)
        for name in _COMPARED:
            before, after = (_records(each, name, left_out) for each in (run, again))
            for place, old, new in pairs(before, after, getattr(run.folder, name).name):
                if old != new:
                    yield f"{place}: was {old!r}, is {new!r}"
        for name in _SAME_BYTES:
            if run.content(name) != again.content(name):
                yield f"{getattr(run.folder, name).name}: has other content than the same run leaves now"


def _records(run: load.LoadedRun, name: str, left_out: Sequence[str]) -> Any:
    if name == "results":
        return {key: value for key, value in run.results.items() if key not in left_out}
    return run.fold_records if name == "metrics" else getattr(run, name).to_dicts()


def pairs(old: object, new: object, name: str) -> Iterator[tuple[str, object, object]]:
    """The values in nested objects and lists with their places, in both; None where one has nothing there."""
    old, new = (dict(enumerate(each, start=1)) if isinstance(each, (list, tuple)) else each for each in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old | new:
            yield from pairs(old.get(key), new.get(key), f"{name}, {key}")
    else:
        yield name, old, new


def changes(run: load.LoadedRun, facts: Sequence[str]) -> tuple[str, ...]:
    """Packages and these facts of ``provenance.json`` that are not what they were, each with both values."""
    made_by = run.provenance
    now = artifacts.provenance(made_by["data_sha256"], made_by["seed"])
    before, after = (each["packages"] | {name: each.get(name) for name in facts} for each in (made_by, now))
    names = sorted(name for name in before | after if before.get(name) != after.get(name))
    return tuple(f"{name} {before.get(name)} -> {after.get(name)}" for name in names)
