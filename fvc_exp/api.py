"""The Python entry: run a configuration, or the documented grid on feature tables, without a command line."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from fvc_exp.config import canonical, hints, hydra_app, schema, validate
from fvc_exp.errors import ArtifactError, ConfigError
from fvc_exp.evaluation.claims import Selection
from fvc_exp.io import console, files, run_folder
from fvc_exp.runs.execute import load_split, prepared_dataset, run_on_one_thread, write_artifacts
from fvc_exp.training import experiment, notes, split_dataset

_PARAMETERS = ("penalty", "C", "l1_ratio", "solver")
ScoredConfig = tuple[schema.Config, experiment.CrossValidation]  # of the grid, and how it did


def run(
    overrides: Sequence[str] = (), *, output_dir: str | Path | None = None, delete_existing: bool = False
) -> experiment.RunResult:
    """Train and judge one configuration, composed of ``conf/`` and overrides as ``python run.py`` does.

    ``overrides`` are the arguments of ``run.py`` at the shell; relative paths in them are relative to the
    working directory. Only tables that the data set lacks (the demo corpus is made on first use) are written, below
    ``outputs`` or ``data.root``. With ``output_dir`` the run is written there as ``run.py hydra.run.dir=...`` would,
    but for Hydra's own files and ``run.log``; a run that fails leaves no file.

    >>> found = run(["data=fvc", "data.root=.", "penalty=elasticnet", "C=0.1"])
    >>> found.summary["auc"]["mean"] > found.floors["prior"]["auc"]
    True

    Raises:
        ConfigError: an override is unknown or not allowed, or ``stage`` is one that trains nothing.
        IncompatibleError: two of them do not go together.
        DataError: the data is missing, broken or cannot be split.
        ArtifactError: ``output_dir`` holds a run and ``delete_existing`` is False, or cannot be written.
    """
    if isinstance(overrides, str):
        raise ConfigError(f"overrides={overrides!r} is one text; allowed is a list, such as ['penalty=l1', 'C=0.1']")
    [config] = hydra_app.compose_configs([overrides])
    if config.stage is not schema.Stage.train:
        raise ConfigError(f"stage={config.stage.name} is not allowed here, only train: start the others by run.py")
    started = datetime.now(UTC)
    data = split_dataset.SplitDataset.of(config, prepared_dataset(config))
    if output_dir is None:
        return run_on_one_thread(config, data)
    folder = run_folder.RunFolder(Path(output_dir))
    _make_room(folder, delete_existing=delete_existing)
    result = run_on_one_thread(config, data)
    _write_run(folder, result, started)
    return result


def train_sklearn_logreg(
    project_root: str | Path = ".",
    scaled_metadata_path: str | Path = "scaled_metadata",
    features_stage2_path: str | Path = "features_stage2",
    features_stage4_path: str | Path | None = None,
    output_dir: str | Path = "outputs/sklearn_logreg",
    n_splits: int = 5,
    delete_existing: bool = False,
    class_weight: Mapping[Any, float] | str | None = None,
) -> dict[str, Any]:
    """Search the documented grid of 28 configurations by grouped cross-validation and save the best one.

    Paths are relative to ``project_root`` unless absolute; tables may be parquet, Arrow or CSV, with or without their
    extension. ``output_dir`` then holds ``model.joblib``, ``scaler.joblib``, ``metrics.json``, ``roc_pr_curves.png``,
    ``results.json`` and everything else a run folder holds. ``class_weight`` is None, ``balanced``, or
    a number for each class, such as ``{0: 1, 1: 2}`` (1 = fake).

    Returns:
        The content of ``results.json``: ``parameters`` of the best configuration, ``cv`` (mean and standard deviation
        of each metric), ``test`` (held-out groups), ``floors``, ``selection`` (how it was chosen, and its p-value after
        that), and ``search`` with one record per configuration. Also the keys of the original: ``best_params``,
        ``cv_val_f1``, ``test_f1``, ``test_auc``, and ``grid_results`` with ``params`` and ``val_f1`` of each.

    Raises:
        ConfigError: ``n_splits`` is out of range, or ``class_weight`` not known.
        DataError: a table is missing, broken or cannot be split.
        ArtifactError: ``output_dir`` holds a finished run and ``delete_existing`` is False, or cannot be written.
    """
    root = Path(project_root)
    folder = run_folder.RunFolder(root / output_dir)
    shared = [
        "data=fvc",
        hints.setting("data.root", root.resolve()),
        hints.setting("data.scaled_metadata", scaled_metadata_path),
        hints.setting("data.features_stage2", features_stage2_path),
        f"features={'stage2' if features_stage4_path is None else 'all'}",
        f"cv.n_splits={n_splits}",
        f"class_weight={'null' if class_weight is None else class_weight}",
    ]
    if features_stage4_path is not None:
        shared.append(hints.setting("data.features_stage4", features_stage4_path))
    configs = _documented_grid(shared)
    started = datetime.now(UTC)
    data = load_split(configs[0])
    _make_room(folder, delete_existing=delete_existing)
    candidates, best = search(configs, data)
    found = _write_run(folder, best, started, candidates)
    output = console.make_console()
    console.print_text(output, f"{found['selection']['sentence']} {found['claim']['sentence']}", wrap=False)
    if found["price"]:
        console.print_text(output, f"leak price: {found['price']['sentence']}", wrap=False)
    return found


def _documented_grid(overrides: Sequence[str]) -> list[schema.Config]:
    """The 28 distinct legal configurations of ``conf/experiment/grid_5alpha.yaml``, all with these overrides."""
    grid_file = hydra_app.conf_folder() / "experiment" / "grid_5alpha.yaml"
    params = yaml.safe_load(grid_file.read_text())["hydra"]["sweeper"]["params"]
    axes = {key: str(values).split(",") for key, values in params.items()}
    pairs = [
        [f"penalty={penalty}", f"solver={solver}"]
        for penalty, solver in product(axes["penalty"], axes["solver"])
        if solver in validate.LEGAL_SOLVERS[schema.Penalty[penalty]]
    ]
    grid = []
    for c, config in product(axes["C"], hydra_app.compose_configs([[*overrides, *pair] for pair in pairs])):
        is_mixed = config.penalty.name is schema.Penalty.elasticnet
        ratios = map(float, axes["penalty.l1_ratio"]) if is_mixed else [config.penalty.l1_ratio]
        grid += [replace(config, C=float(c), penalty=replace(config.penalty, l1_ratio=ratio)) for ratio in ratios]
    return grid


def search(
    configs: Sequence[schema.Config], data: split_dataset.SplitDataset
) -> tuple[list[ScoredConfig], experiment.RunResult]:
    """Cross-validate every configuration on the folds of ``data``; run the one with the best mean AUC.

    Equal scores go to the earlier configuration. The winner's cross-validated score is optimistic, since it was chosen
    by it; its held-out test score is not.
    """
    scored = [(config, experiment.cross_validate(config, data)) for config in configs]
    best, _ = max(scored, key=lambda each: each[1].summary["auc"]["mean"])
    return scored, experiment.run_experiment(best, data)


def _write_run(
    folder: run_folder.RunFolder,
    result: experiment.RunResult,
    started: datetime,
    candidates: Sequence[ScoredConfig] = (),
) -> dict[str, Any]:
    """Write all artifacts, the status last; returns the content of ``results.json``.

    ``candidates`` are what the configuration was chosen from.
    """
    canonical.write_config(folder.config, result.config)
    write_artifacts(folder, result)
    found: dict[str, Any] = files.read_json(folder.results)
    if candidates:
        found = _with_search(found, result, candidates)
        files.write_json(folder.results, found)
    run_folder.write_status(folder, "done", started, name=found["name"], tags=found["tags"])
    return found


def _make_room(folder: run_folder.RunFolder, *, delete_existing: bool) -> None:
    old = [path for path in (*folder.files(), *folder.beside()) if path.exists()]
    if old and not delete_existing:
        raise ArtifactError(
            f"{folder.path}: already holds a run ({old[0].name}); "
            "choose another output_dir or pass delete_existing=True"
        )
    files.make_folder(folder.path)
    folder.clear()
    for path in old:  # the log and Hydra's files of a run that was started at the shell, too
        path.unlink(missing_ok=True)


def _with_search(found: dict[str, Any], best: experiment.RunResult, scored: Sequence[ScoredConfig]) -> dict[str, Any]:
    """With the search, and what ``train_sklearn_logreg`` of the original repository returned, by the same names."""
    tried = [config.C for config, _ in scored if replace(config, C=best.config.C) == best.config]
    selection = Selection(len(scored), notes.edge_of_grid(best.config.C, tried))
    return selection.applied(found, best.predictions()) | {
        "search": [_record(*each) for each in scored],
        "best_params": _with_effect(best.config),
        "cv_val_f1": found["cv"]["f1"]["mean"],
        "test_f1": found["test"]["f1"],
        "test_auc": found["test"]["auc"],
        "grid_results": [
            {"params": _with_effect(config), "val_f1": found.summary["f1"]["mean"]} for config, found in scored
        ],
    }


def _with_effect(config: schema.Config) -> dict[str, Any]:
    """The parameters of the grid, without ``l1_ratio`` where it has no effect."""
    return {name: value for name, value in canonical.canonical(config).items() if name in _PARAMETERS}


def _record(config: schema.Config, found: experiment.CrossValidation) -> dict[str, Any]:
    means = {f"{name}_{key}": value for name in ("auc", "f1") for key, value in found.summary[name].items()}
    flags = list(notes.raised_flags(found.flags, {}))
    return {**dict.fromkeys(_PARAMETERS), **_with_effect(config), **means, "flags": flags}
