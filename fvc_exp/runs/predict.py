"""A finished run and videos: probabilities for new videos with warnings, and the videos that the run was made of."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fvc_exp._typing import Frame, Progress, no_progress
from fvc_exp.config.schema import Config, Table
from fvc_exp.data import columns
from fvc_exp.errors import DataError
from fvc_exp.features import FEATURE_VERSION
from fvc_exp.io.console import printable
from fvc_exp.io.files import plain, temporary_folder
from fvc_exp.runs import load, portable_model
from fvc_exp.video import sources, worker_pool

if TYPE_CHECKING:
    import polars as pl

_MEASURE = "fvc_exp.stages.tasks:measure_video"  # decoders, which only the workers need
_Measured = Mapping[str, float | None] | worker_pool.Failed


@dataclass(frozen=True)
class Prediction:
    """One video: the probability of fake and the decision, or why there is none."""

    video: str
    probability: float | None = None
    decision: str | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    error_class: str | None = None

    def __str__(self) -> str:
        if self.probability is None:
            return printable(f"{self.video}: no prediction, {self.error_class}: {self.error}")
        text = printable(f"{self.video}: {self.decision}, probability of fake {self.probability:.3f}")
        return text + "".join(f"\n  warning: {warning}" for warning in self.warnings)


def as_csv(predictions: Sequence[Prediction], *, raw: bool = False) -> str:
    """One line per video, with a header; several warnings are joined by semicolons in one field; see ``csv_text``."""
    import polars as pl

    from fvc_exp.io.tables import csv_text

    rows = [plain({**vars(each), "warnings": "; ".join(each.warnings)}) for each in predictions]
    return csv_text(pl.DataFrame(rows, infer_schema_length=None), raw=raw)


def predict(run_folder: Path, videos: Sequence[str], on_progress: Progress = no_progress) -> list[Prediction]:
    """Measure the videos as the run's training videos were measured, and apply its ``model.json``.

    ``videos`` are files, folders (searched at any depth) or patterns. A video that cannot be measured, or a name that
    matches nothing, gets a ``Prediction`` with its error; the others are not held up.

    Raises:
        ArtifactError: the folder holds no finished training run, or its model cannot be read.
        DataError: the model was trained on features that no video gives.
    """
    run = load.require_finished(run_folder)
    if Table.table in run.config.features.tables:
        raise DataError(f"{run_folder}: the model was trained on columns of a user's table, which no video gives")
    model, found = run.model, dict[Path, str | None]()
    for name in videos:
        found |= _expand(name)
    rows = _measured(run.config, [file for file, error in found.items() if error is None], on_progress)
    rows |= {file: worker_pool.Failed("missing", error) for file, error in found.items() if error}
    return [_judge(str(file), rows[file], model) for file in found]


def _expand(name: str) -> dict[Path, str | None]:
    """The files that a name stands for; if there are none, the name itself with the reason."""
    path = Path(name)
    try:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in columns.VIDEO_EXTENSIONS)
        else:
            found = [path] if path.exists() else sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    except (OSError, ValueError, NotImplementedError) as error:  # too long a name, no right to look, no pattern
        return {path: f"cannot be looked for: {error}"}
    if not found:
        kinds = ", ".join(sorted(columns.VIDEO_EXTENSIONS))
        return {path: f"no such file, no folder with videos ({kinds}), and no pattern that matches one"}
    return dict.fromkeys(found)


def _measured(config: Config, files: Sequence[Path], on_progress: Progress) -> dict[Path, _Measured]:
    """Prefixed features of each file, from worker processes."""
    # The user named them: any place will do.
    found = {file: sources.find_source(Path("/"), str(file.absolute())) for file in files}
    paths, measured = list(dict.fromkeys(each.path for each in found.values() if each.path)), dict[Path, _Measured]()
    with temporary_folder("predict") as scratch:
        function = partial(worker_pool.call, _MEASURE, config.video, scratch, config.features.tables)
        outcomes = worker_pool.run_in_workers(function, paths, limits=config.video.limits, workers=config.video.workers)
        with closing(outcomes):
            for path, result in outcomes:
                measured[path] = result
                on_progress(len(measured), len(paths))
    failed = {file: each.failed for file, each in found.items() if each.failed}
    return {file: measured[each.path] for file, each in found.items() if each.path} | failed


def _judge(name: str, row: _Measured, model: portable_model.PortableModel) -> Prediction:
    if isinstance(row, worker_pool.Failed):
        return Prediction(name, error=row.message, error_class=row.error_class)
    x = model.row(row)
    probability = float(model.probability(x[None, :])[0])
    warnings = []
    if model.feature_versions != (FEATURE_VERSION,):
        trained = ", ".join(model.feature_versions) or "unknown"
        warnings.append(f"feature version of the training data: {trained}; of this program: {FEATURE_VERSION}")
    if outside := model.outside(x):
        warnings.append(f"{len(outside)} of {len(x)} features outside the training range: {columns.few(outside)}")
    if missing := [feature for feature, value in zip(model.names, x, strict=True) if np.isnan(value)]:
        warnings.append(f"{len(missing)} features filled with training medians: {columns.few(missing)}")
    return Prediction(name, probability, model.classes[probability > model.threshold], tuple(warnings))


def run_videos(run_folder: Path) -> "pl.DataFrame":
    """``predictions.parquet`` with the absolute path of each video as ``file``, and whether it ``exists``.

    Raises:
        ArtifactError: the folder holds no finished training run.
    """
    import polars as pl

    from fvc_exp.demo.corpus import corpus_folder

    run = load.LoadedRun(run_folder)
    predictions, data = run.predictions, run.config.data
    root = Path(run.provenance["working_folder"]) / data.root  # relative to where the run was started
    if data.demo is not None:
        root = corpus_folder(root, data.demo)
    files = [root / name for name in predictions[columns.KEY]]
    return predictions.with_columns(
        file=pl.Series([str(file) for file in files], dtype=pl.String),
        exists=pl.Series([file.is_file() for file in files], dtype=pl.Boolean),
    )


def measured_frames(run_folder: Path, video: Path) -> list[Frame]:
    """The frames of a video that a run's features are measured on, upright; height x width x red, green, blue.

    Raises:
        ArtifactError: the run folder has no configuration.
        VideoError: the video cannot be decoded.
    """
    from fvc_exp.video import decode

    config = load.LoadedRun(run_folder).config.video
    frames = decode.SampledFrames(video, config.sampling, config.limits)
    found = frames.read(lambda samples: [sample.rgb.copy() for sample in samples if sample.is_sampled])
    turns, _ = frames.probe.display
    return [np.rot90(frame, turns) for frame in found]
