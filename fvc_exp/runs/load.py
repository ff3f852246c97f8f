"""Runs below a folder, and a run read back from its folder, each file on first use. Nothing is written."""

import os
import re
import shlex
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvc_exp.config import canonical, schema
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.io import files, run_folder
from fvc_exp.runs import stored
from fvc_exp.runs.portable_model import PortableModel

if TYPE_CHECKING:
    import polars as pl
    from sklearn.pipeline import Pipeline

DEMO_NOTICE = "The demo corpus is synthetic: it shows the pipeline and leakage, not detection skill (docs/demo.md)."
_MLFLOW_RUN = re.compile("[0-9a-f]{32}")  # how MLflow names the folder of a run, which holds its artifacts
Records = tuple[dict[str, Any], ...]


def _json_file(name: str, kind: Any) -> "cached_property[dict[str, Any]]":
    return cached_property(lambda run: files.checked_json(run.content(name), getattr(run.folder, name), kind))


def _table_file(name: str) -> "cached_property[pl.DataFrame]":
    return cached_property(lambda run: run.table(name))


@dataclass(frozen=True)
class LoadedRun:
    """The folder of a run; each property reads its file on first use and keeps it.

    ``require_finished`` gives the run of a finished training run. A run that failed has a status and a configuration,
    and no results. All properties that read a file have the same error.

    Raises:
        ArtifactError: the file is missing, broken, or not written by fvc-exp.
    """

    path: Path
    is_checked: bool = field(default=False, compare=False)  # its files were looked at before, as by ``require_files``

    @property
    def folder(self) -> run_folder.RunFolder:
        """The paths of its files."""
        return run_folder.RunFolder(self.path)

    @cached_property
    def name(self) -> str:
        """The name of the folder; in a sweep that is the run id."""
        is_plain = self.path.name not in ("", "..") and not self.path.is_symlink()
        return (self.path if is_plain else self.path.resolve()).name  # to resolve one looks at all folders above

    @property
    def outputs(self) -> Path | None:
        """The folder that holds ``runs/`` or ``sweeps/`` with this run in it; None if it lies elsewhere."""
        holders = (each.parent for each in self.path.resolve().parents if each.name in ("runs", "sweeps"))
        # A sweep has a folder runs/ of its own, too.
        return next((each for each in holders if not (each / "plan.json").exists()), None)

    def has(self, *names: str) -> bool:
        """Whether the run has all of these files, by their names in ``RunFolder``; those that it lists may be lost."""
        return all(path.exists() or path.name in self.listed for path in [getattr(self.folder, name) for name in names])

    @cached_property
    def status(self) -> dict[str, Any]:
        """How it ended: ``state``, ``started``, ``ended``, and for a failed run ``reason`` and ``message``."""
        content = files.read_bytes(self.folder.status, most=files.MOST_JSON_BYTES)
        return files.checked_json(content, self.folder.status, run_folder.Status)

    @cached_property
    def listed(self) -> run_folder.Listing:
        """Size and hash of each file of the run; empty where it has not ended."""
        found: run_folder.Listing = self.status.get("files", {}) if self.folder.status.exists() else {}
        return found

    def content(self, name: str) -> bytes:
        """A file by its name in ``RunFolder``, as the run left it."""
        path: Path = getattr(self.folder, name)
        content = files.read_bytes(path)
        if self.listed:
            if path.name not in self.listed:
                raise ArtifactError(f"{path}: is not of this run: {self.folder.status.name} does not list it")
            self.folder.check(path.name, self.listed[path.name], content)
        return content

    def table(self, name: str) -> "pl.DataFrame":
        """``predictions``, ``folds`` or ``coefficients``, read now and not kept."""
        from fvc_exp.io import tables  # polars, which a model without tables does not need

        path: Path = getattr(self.folder, name)
        return stored.check_table(tables.read_run_table(path, self.content(name)), name, path)

    def require_files(self) -> None:
        """Check that each file of the run is there with its size; its content is checked when it is read.

        Raises:
            ArtifactError: one is not.
        """
        for name, facts in () if self.is_checked else self.listed.items():
            self.folder.check(name, facts)

    @property
    def is_finished(self) -> bool:
        """Whether it is a training run that is done."""
        return self.has("status", "results") and self.status["state"] == "done"

    @cached_property
    def config(self) -> schema.Config:
        """The configuration, checked as that of a new run.

        Raises:
            ConfigError: it is that of another version.
        """
        return canonical.read_config(self.folder.config, self.content("config"))

    @cached_property
    def config_text(self) -> str:
        """The text of ``config.yaml``."""
        try:
            return self.content("config").decode()
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{self.folder.config}: cannot be read: {error}") from error

    # Parameters, scores, floors, audit, flags: ``results.json``.
    results = _json_file("results", stored.RESULTS)

    @property
    def selected_from(self) -> int:
        """How many configurations it was chosen from by its cross-validated score."""
        return int((self.results["selection"] or {"of": 1})["of"])

    # Code, packages, machine and command: ``provenance.json``.
    provenance = _json_file("provenance", stored.PROVENANCE)

    # The leakage certificate: ``audit.json``.
    audit = _json_file("audit", stored.AUDIT)

    @cached_property
    def fold_records(self) -> Records:
        """One record per fold, as in ``metrics.json``, sorted by repeat and fold."""
        content, path = self.content("metrics"), self.folder.metrics
        files.decode_json(content, path, stored.FOLD_RECORDS)
        records: list[dict[str, Any]] = files.decode_json(content, path, stored.FLAT_RECORDS)
        return tuple(sorted(records, key=lambda each: (each.get("repeat", 0), each.get("fold", 0))))

    @cached_property
    def metrics(self) -> "pl.DataFrame":
        """``fold_records`` as a table."""
        import polars as pl

        return pl.DataFrame(self.fold_records, infer_schema_length=None)

    # One row per video and split it was scored in.
    predictions = _table_file("predictions")

    # One row per video and fold that tested it.
    folds = _table_file("folds")

    # One row per feature, and the intercept.
    coefficients = _table_file("coefficients")

    @cached_property
    def model(self) -> PortableModel:
        """The final model as plain numbers: ``model.json``, which must be that of the results."""
        model = PortableModel.from_json(self.content("portable_model"), self.folder.portable_model)
        run_id, data = self.results["run_id"], self.results["data"]
        if (model.run_id, model.data_sha256, list(model.names)) != (run_id, data["sha256"], data["features"]):
            raise ArtifactError(f"{self.folder.portable_model}: is not the model of {self.folder.results}")
        return model

    @cached_property
    def pipeline(self) -> "Pipeline":
        """The final model as scikit-learn's Pipeline of imputer, scaler and classifier, made from ``model.json``.

        It takes tables with the columns ``feature_names_in_``. An isotonic calibration is not in it.
        """
        nested = self.results["nested"]  # of a search for C: which one was taken
        return self.model.to_pipeline(replace(self.config, C=nested["final"]) if nested else self.config)

    @property
    def command(self) -> str | None:
        """The line to type for this run; None if it was not made by ``fvc run`` or ``run.py``."""
        return shell_command(self.provenance["command"])

    @property
    def data_name(self) -> str:
        """The name of its data set, also where the rest of the configuration is of another version."""
        return self._setting(r"^data:\n(?:  .*\n)*?  name: (\S+)", "data")

    @property
    def stage(self) -> str:
        """Which stage of the pipeline it was, also where the rest of the configuration is of another version."""
        return self._setting(r"^stage: (\S+)", "stage")

    def _setting(self, pattern: str, what: str) -> str:
        """A value of ``config.yaml``; to parse all of it takes a hundred times as long."""
        if found := re.search(pattern, self.config_text, re.MULTILINE):
            return found[1]
        raise ArtifactError(f"{self.folder.config}: names no {what}")


def load_run(path: str | Path) -> LoadedRun:
    """Read the folder of a finished training run: all of its files, so that a broken one is named here.

    >>> _ = run(["data=fvc", "data.root=.", "C=0.1"], output_dir="mine")
    >>> loaded = load_run("mine")
    >>> loaded.results["parameters"]["C"], loaded.metrics["fold"].to_list()
    (0.1, [0, 1, 2, 3, 4])

    Raises:
        ArtifactError: there is no such folder, it holds no run, an unfinished or failed one, or a broken file.
        ConfigError: the configuration is of another version.
    """
    run = require_finished(Path(path))
    for name in ("config", "results", "metrics", "predictions", "folds", "coefficients"):
        getattr(run, name)
    return run


def require_finished(path: Path) -> LoadedRun:
    """The training run in a folder, which must be done. Reads its status alone.

    Raises:
        ArtifactError: there is no such folder, or it holds no run, or one that is unfinished, failed or trained
            nothing.
    """
    run = LoadedRun(path)
    files.require_folder(path)
    if not run.has("status"):
        if run.has("config"):
            raise ArtifactError(f"{path}: the run is not finished: it holds no {run.folder.status.name} yet")
        if (path / "plan.json").exists():
            raise ArtifactError(f"{path}: is a sweep: name a run below its runs/, or read it with load_sweep")
        raise ArtifactError(f"{path}: is no run: it holds no {run.folder.status.name}")
    if (state := run.status["state"]) != "done":
        reason, message = (run.status.get(key, "") for key in ("reason", "message"))
        why = f" ({run_folder.failure_text(reason, message)})" if reason else ""
        raise ArtifactError(f"{path}: the run is {state}{why}; only a finished one can be used")
    if not run.has("results"):
        raise ArtifactError(f"{path}: the run trained nothing: it holds no {run.folder.results.name}")
    run.require_files()
    return run


def shell_command(arguments: list[str]) -> str | None:
    """The line to type for the arguments of a process, or None if that process made no runs."""
    program = Path(arguments[0]).name if arguments else ""
    words = {"run.py": ["python", "run.py"], "fvc run": ["fvc", "run"]}.get(program)
    return shlex.join([*words, *arguments[1:]]) if words else None


def newest_run(folder: Path) -> Path:
    """The training run below a folder that ended last.

    Raises:
        DataError: no training run below it is done.
    """
    runs = runs_below(folder)
    done = [run for run in runs if run.is_finished]
    if not done:
        raise DataError(f"{folder}: {len(runs)} runs in it, but no training run that is done")
    return max(done, key=lambda run: (run.status.get("ended", ""), run.path)).path


def runs_below(folder: Path) -> list[LoadedRun]:
    """Every run folder at any depth, sorted by path; a run is where a ``status.json`` lies.

    The copies in an MLflow store below the folder do not count as runs, nor does the ``best/`` of a sweep. Hidden
    folders are left out: a killed process may leave an unfinished one.

    Raises:
        DataError: there is none.
        ArtifactError: it is no folder.
    """
    found = []
    # rglob would look for the file in every folder that it has just listed, which takes four times as long.
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and not _is_copy(path, names, name)]
        if "status.json" in names and (run := LoadedRun(Path(path))).folder.status.is_file():
            found.append(run)
    if not found:
        files.require_folder(folder)
        raise DataError(f"{folder}: no run in it; fvc run writes them below outputs/")
    return sorted(found, key=lambda run: run.path)


def _is_copy(parent: str, beside: list[str], name: str) -> bool:
    """Whether a folder beside these files holds MLflow's copies, or a sweep's copy of its best member."""
    if name == "best":
        return "plan.json" in beside
    return name == "artifacts" and _MLFLOW_RUN.fullmatch(Path(parent).name) is not None
