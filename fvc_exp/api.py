"""The Python entry: train from feature tables without a command line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fvc_exp.artifacts import write_result
from fvc_exp.data import load_dataset
from fvc_exp.errors import ArtifactError
from fvc_exp.identity import canonical
from fvc_exp.plots import roc_pr_figure, write_png
from fvc_exp.runfolder import RunFolder, read_json, write_atomic, write_config, write_json, write_status
from fvc_exp.search import Candidate, documented_grid, search


def train_sklearn_logreg(
    project_root: str | Path = ".",
    scaled_metadata_path: str | Path = "scaled_metadata",
    features_stage2_path: str | Path = "features_stage2",
    features_stage4_path: str | Path | None = None,
    output_dir: str | Path = "outputs/sklearn_logreg",
    n_splits: int = 5,
    delete_existing: bool = False,
) -> dict[str, Any]:
    """Search the documented grid of 28 configurations by grouped cross-validation and save the best one.

    Paths are relative to ``project_root`` unless absolute; tables may be parquet, Arrow or CSV, with or without their
    extension. ``output_dir`` then holds ``model.joblib``, ``scaler.joblib``, ``metrics.json``, ``roc_pr_curves.png``,
    ``results.json`` and everything else a run folder holds.

    Returns:
        The content of ``results.json``: ``parameters`` of the best configuration, ``cv`` (mean and standard deviation
        of each metric), ``test`` (held-out groups), ``floors``, and ``search`` with one record a configuration.

    Raises:
        ConfigError: ``n_splits`` is out of range.
        DataError: a table is missing, broken or cannot be split.
        ArtifactError: ``output_dir`` holds a finished run and ``delete_existing`` is False, or cannot be written.
    """
    root = Path(project_root)
    folder = RunFolder(root / output_dir)
    tables = ["stage2"] if features_stage4_path is None else ["stage2", "stage4"]
    shared = [
        "data=fvc",
        *_setting("data.root", root.resolve()),
        *_setting("data.scaled_metadata", scaled_metadata_path),
        *_setting("data.features_stage2", features_stage2_path),
        *(_setting("data.features_stage4", features_stage4_path) if features_stage4_path is not None else ()),
        f"features={'all' if len(tables) > 1 else 'stage2'}",
        f"cv.n_splits={n_splits}",
    ]
    configs = documented_grid(shared)
    started = datetime.now(UTC)
    dataset = load_dataset(configs[0].data, configs[0].features)
    _make_room(folder, delete_existing=delete_existing)
    candidates, best = search(configs, dataset)
    write_config(folder.config, best.config)
    write_result(folder, best)
    write_atomic(folder.plot, lambda file: write_png(roc_pr_figure(best), file))
    found: dict[str, Any] = {**read_json(folder.results), "search": [_record(each) for each in candidates]}
    write_json(folder.results, found)
    write_status(folder, "done", started)
    return found


def _setting(key: str, value: object) -> tuple[str]:
    """An override whose value may hold any character."""
    quoted = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return (f"{key}='{quoted}'",)


def _make_room(folder: RunFolder, *, delete_existing: bool) -> None:
    old = [path for path in folder.files() if path.exists()]
    if old and not delete_existing:
        raise ArtifactError(
            f"{folder.path}: already holds a run ({old[0].name}); "
            "choose another output_dir or pass delete_existing=True"
        )
    for path in old:
        path.unlink()
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{folder.path}: cannot be made: {error.strerror}") from error


def _record(candidate: Candidate) -> dict[str, Any]:
    auc = candidate.summary["auc"]
    f1 = candidate.summary["f1"]
    return {
        **{name: canonical(candidate.config).get(name) for name in ("penalty", "C", "l1_ratio", "solver")},
        **{"auc_mean": auc["mean"], "auc_std": auc["std"], "f1_mean": f1["mean"], "f1_std": f1["std"]},
        "flags": list(candidate.flags),
    }
