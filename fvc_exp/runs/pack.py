"""A run in one file that proves its numbers on any machine, and the proof. Such a file may come from a stranger.

It is a zip archive of files of the run and of the rows that it was trained on; nothing in it is a pickle, names a path
that is read, or starts a program.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fvc_exp.data.columns import CLASSES, PLATFORM
from fvc_exp.data.dataset import Dataset
from fvc_exp.errors import ArtifactError
from fvc_exp.io import files, tables
from fvc_exp.runs import artifacts, execute, load, verify
from fvc_exp.training.experiment import RunResult
from fvc_exp.training.split_dataset import SplitDataset, read_points

MOST_BYTES = 2**28  # of all files in a pack, unpacked
TOLERANCE = 1e-6  # of values of about 1; a solver that stops sooner is allowed its own tolerance
_PARTS = {  # files of a run, and their names in RunFolder
    **{f"{name}.json": name for name in ("results", "metrics", "provenance")},
    **{"config.yaml": "config", "coefficients.csv": "coefficients", "folds.parquet": "folds"},
}
_ROWS, _FEATURE = "rows.parquet", "feature "  # the latter stands before the names of columns
_OF_THE_MACHINE = ("n_iter", "converged")  # how the solver came to its end may depend on the last digit


def write_pack(run: load.LoadedRun, output: Path | None = None, data_root: Path | None = None) -> Path:
    """Write a finished run and the rows that it used into one file, by default beside its folder; returns that.

    ``data_root`` is that of ``dataset_of``.

    Raises:
        ArtifactError, DataError: the rows are not there any more or have changed, or the file cannot be written.
    """
    contents = {file: run.content(name) for file, name in _PARTS.items()}
    contents[_ROWS] = tables.parquet_bytes(_rows_of(execute.same_rows(run, data_root).dataset))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():  # without times: packs of equal runs are equal
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)
    path = output or run.path.resolve().parent / f"{run.name}.fvcpack"
    files.write_bytes(path, buffer.getvalue())
    return path


def verify_pack(path: Path) -> verify.Verification:
    """Derive coefficients and metrics of a pack again, from what is in it alone.

    Raises:
        ArtifactError: it is no pack, is larger than ``MOST_BYTES``, or one of its files is broken.
        FvcError: its rows cannot be trained on as it says.
    """
    with files.temporary_folder("verify-pack") as place:
        for name, content in _unpacked(path).items():
            (place / name).write_bytes(content)
        run = load.LoadedRun(place)
        try:
            dataset = _read_rows(place / _ROWS)
            values = list(_values(run, _derived(run, dataset)))
        except (ValueError, ArithmeticError, TypeError, KeyError, AttributeError, pl.exceptions.PolarsError) as error:
            raise ArtifactError(f"{path}: cannot be derived again: {str(error).splitlines()[0]}") from error
        changed = verify.changes(run, ("python", "processor"))
    tolerance = max(TOLERANCE, run.config.solver.tol) if changed else 0.0
    free = _OF_THE_MACHINE if changed else ()
    compared = [(_distance(old, new), name, old, new) for name, old, new in values if not name.endswith(free)]
    wrong = (f"{name}: was {old!r}, is {new!r}" for distance, name, old, new in compared if distance > tolerance)
    differences = tuple(islice(wrong, verify.MOST_DIFFERENCES))
    largest = max((distance for distance, *_ in compared if distance <= tolerance), default=0.0)
    what = f"coefficients and metrics by the packed rows (sha256 {dataset.content_hash}), folds and configuration"
    return verify.Verification(not differences, what, differences, changed, tolerance, largest)


def _unpacked(path: Path) -> dict[str, bytes]:
    content = files.read_bytes(path.resolve(), most=MOST_BYTES)
    wanted = (*_PARTS, _ROWS)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            if sorted(info.filename for info in infos) != sorted(wanted):
                raise ArtifactError(f"{path}: is no pack: it must hold {', '.join(wanted)} and nothing else")
            if (size := sum(info.file_size for info in infos)) > MOST_BYTES:
                raise ArtifactError(f"{path}: has {size:,} bytes unpacked; at most {MOST_BYTES:,} are read")
            return {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ArtifactError(f"{path}: is no pack, or a broken one: {error}; fvc pack RUN writes one") from error


def _rows_of(dataset: Dataset) -> pl.DataFrame:
    """All of a data set that decides scores, folds and baselines: text, labels, then features by their names."""
    columns = {"id": dataset.ids, "group": dataset.group_names, "label": dataset.y.tolist()}
    columns |= {name: values for name, values in dataset.slices.items() if name == PLATFORM}
    features = zip(dataset.feature_names, dataset.X.T, strict=True)
    return pl.DataFrame(columns).with_columns(pl.Series(_FEATURE + name, column) for name, column in features)


def _read_rows(path: Path) -> Dataset:
    frame, _ = tables.read_table(path)
    features = [name for name in frame.columns if name.startswith(_FEATURE)]
    X = frame.select(features).to_numpy().astype(np.float64)
    if frame["id", "group"].null_count().sum_horizontal().item() or np.isinf(X).any():
        raise ArtifactError(f"{_ROWS}: every row has a name and a group, and no value is infinite")
    if set(labels := frame["label"].to_list()) != set(range(len(CLASSES))):
        raise ArtifactError(f"{_ROWS}: labels must be 0 and 1, and both be there")
    return Dataset(
        X=np.ascontiguousarray(X),
        y=np.array(labels, dtype=np.int64),
        groups=(frame["group"].rank("dense").cast(pl.Int64) - 1).to_numpy(),
        ids=frame["id"].cast(pl.String),
        group_names=frame["group"].cast(pl.String),
        feature_names=tuple(name.removeprefix(_FEATURE) for name in features),
        group_column=None,
        slices={PLATFORM: tuple(frame[PLATFORM])} if PLATFORM in frame.columns else {},
    )


def _derived(run: load.LoadedRun, dataset: Dataset) -> RunResult:
    """The result of the packed configuration on the packed rows; predefined folds are those in the pack."""
    config = run.config
    cv = replace(config.cv, folds=str(run.folder.folds) if config.cv.folds else None)
    config = replace(config, cv=cv, audit=replace(config.audit, permutations=0, price=False))
    data = SplitDataset.of(config, dataset).refitted(config, read_points(run.provenance["fitted_with"]))
    return execute.run_on_one_thread(config, data)


def _values(run: load.LoadedRun, result: RunResult) -> Iterator[tuple[str, object, object]]:
    """Name, packed value and derived value of everything that is compared."""
    hashes = (run.provenance["data_sha256"], run.results["data"]["sha256"])
    yield from (("data sha256", each, result.dataset.content_hash) for each in hashes)
    yield "folds.parquet", True, run.folds.equals(result.data.folds)
    scores = artifacts.scores(result)
    compared: tuple[tuple[str, Any, Any], ...] = (
        ("metrics.json", run.fold_records, result.fold_records),
        ("coefficients.csv", run.coefficients.to_dicts(), artifacts.coefficients(result).to_dicts()),
        ("results.json", {name: run.results[name] for name in scores}, scores),
    )
    for name, packed, derived in compared:
        yield from verify.pairs(files.plain(packed), files.plain(derived), name)


def _distance(old: object, new: object) -> float:
    """0 if two values are equal; of two numbers their difference, relative where they exceed 1; else infinite."""
    if old == new:
        return 0.0
    if isinstance(old, (int, float)) and isinstance(new, (int, float)):
        return abs(old - new) / max(1.0, abs(old))
    return np.inf
