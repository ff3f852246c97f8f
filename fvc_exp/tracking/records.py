"""What MLflow is told of a run or a sweep, read from its folder. Needs no MLflow."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fvc_exp.config.canonical import canonical
from fvc_exp.errors import ArtifactError, FvcError
from fvc_exp.io import console, files, run_folder
from fvc_exp.runs import load, stored
from fvc_exp.sweeps import claims, schedulers, show
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.results import flat_parameters
from fvc_exp.sweeps.states import MemberState, State, open_sweep

_PREFIX = "fvc."  # of our tags
KEY = f"{_PREFIX}key"  # the tag by which a run is found again
_RUN_ID, _BEST = f"{_PREFIX}run_id", f"{_PREFIX}best"  # of a run, and of a sweep
NOTE = "mlflow.note.content"  # the tag that is the description
_STATUS = {"done": "FINISHED", "interrupted": "KILLED", "lost": "KILLED"}  # in MLflow's words; others are FAILED
_RATIOS = {"l1": {"l1_ratio": 1}, "l2": {"l1_ratio": 0}}  # which elastic net these penalties are
_LONGEST = 1000  # characters of a tag or parameter; MLflow cuts at 6000, and so long a text helps nobody
_REFUSED = re.compile(r"[^\w./: -]")
Metric = tuple[str, float, int]  # name, value, and step: the fold, counted on over repeats


@dataclass(frozen=True)
class Record:
    """One run of MLflow: its key is the same whenever and from wherever the same attempt is imported.

    ``status`` is in MLflow's words; ``started`` is None if it never began. ``files`` are the artifacts by their names,
    ``model`` is the run whose model and data set are to be stored.
    """

    key: str
    name: str
    status: str
    started: datetime | None
    ended: datetime
    parameters: Mapping[str, str]
    metrics: Sequence[Metric]
    tags: Mapping[str, str]
    files: Mapping[str, Path]
    model: load.LoadedRun | None = None


@dataclass(frozen=True)
class Records:
    """Runs that have ended, and the best of them; of a sweep also its parent, and how many have not ended yet."""

    runs: Sequence[Record]
    best: Record | None
    parent: Record | None = None
    unfinished: int = 0


def read_records(path: Path) -> Records:
    """The records of a single run, whether it succeeded or not, or those of a sweep as it is now.

    Raises:
        ArtifactError: nothing of it has ended yet, or a file of it is broken.
    """
    if SweepFolder(path).plan.exists():
        return _read_sweep(path)
    run = load.LoadedRun(path)
    files.require_folder(path)
    if not run.has("status"):
        raise ArtifactError(f"{path}: is neither a sweep nor a run that has ended: it holds no status.json")
    if not {"started", "ended"} <= run.status.keys():
        raise ArtifactError(f"{run.folder.status}: is broken: it must hold a state, started and ended")
    record = _run_record(run.folder, run.status)
    return Records([record], record)


def _read_sweep(path: Path) -> Records:
    folder, plan, states = open_sweep(path)
    ended = [each for each in states if each.state in (State.done, State.failed, State.lost)]
    if not ended:
        raise ArtifactError(f"{path}: none of its {len(states)} configurations has ended yet")
    children = [_member_record(folder, plan, each) for each in ended]
    parent = _parent_record(folder, plan, states, children)
    best = next((each for each in children if each.model and each.tags[_RUN_ID] == parent.tags.get(_BEST)), None)
    return Records(children, best, parent, len(states) - len(children))


def metrics_of(results: Mapping[str, Any], folds: Sequence[Mapping[str, Any]] = ()) -> list[Metric]:
    """The scores of ``results.json`` and ``metrics.json``.

    First ``auc``, its 95 % interval and ``ece`` over the folds, which MLflow shows together. The others by their names
    in ``fvc query`` with a slash, so that MLflow groups them: ``cv/f1_mean``, ``test/f1``; of a fold, ``fold/test_f1``.
    """
    numbers, interval = dict(stored.flat_metrics(results)), (results.get("auc_intervals") or {}).get("cv") or {}
    headline = {"auc": numbers.get("cv_auc_mean"), "auc_low": interval.get("low"), "auc_high": interval.get("high")}
    headline["ece"] = (results.get("calibration") or {}).get("cv", {}).get("ece")
    found = [(name, value, 0) for name, value in headline.items()]
    found += [(name.replace("_", "/", 1), value, 0) for name, value in numbers.items()]
    per_repeat = max((fold["fold"] for fold in folds), default=0) + 1
    for fold in folds:
        step = fold["repeat"] * per_repeat + fold["fold"]
        found += [(f"fold/{name}", value, step) for name, value in fold.items() if name.startswith("test_")]
    return [
        (_REFUSED.sub("_", name), float(value), step)
        for name, value, step in found
        if isinstance(value, (int, float)) and math.isfinite(value)
    ]


def texts(values: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Names that MLflow takes, and short texts, numbers as one types them; what is None or empty is left out."""
    known = ((prefix + _REFUSED.sub("_", key), value) for key, value in values.items() if value not in (None, ""))
    found = {key: f"{value:.15g}" if isinstance(value, float) else str(value) for key, value in known}
    found = {key: "\n".join(map(console.printable, value.split("\n"))) for key, value in found.items()}
    return {key: value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…" for key, value in found.items()}


def _run_record(
    folder: run_folder.RunFolder, status: Mapping[str, Any], name: str = "", parameters: Any = None, **tags: object
) -> Record:
    """The record of one attempt, which ended as ``status.json`` tells.

    ``parameters`` are those of a run that left none, ``tags`` what its sweep knows.
    """
    run, state, attempt = load.LoadedRun(folder.path), _STATUS.get(status["state"], "FAILED"), status.get("attempt", 1)
    finished = state == "FINISHED" and run.has("results")
    results = load.require_finished(folder.path).results if finished else {}
    audit = results.get("audit", {})
    git = run.provenance["git"] if run.has("provenance") else None
    began = status["started"] or f"never/{tags['job']}"
    own_tags = {
        "attempt": attempt,
        **{name: status.get(name) for name in ("reason", "message")},
        **{name: results.get(name) for name in ("run_id", "name")},
        "tags": " ".join(results.get("tags") or []),
        "audit": audit.get("verdict"),
        **{f"audit_{name}": "; ".join(audit.get(name, [])) for name in ("reasons", "warnings")},
        "flags": " ".join(results.get("flags", [])),
        "data_sha256": results.get("data", {}).get("sha256"),
    }
    mlflow_tags = {NOTE: _description(run, results), "mlflow.source.git.commit": git and git["commit"]}
    flat = flat_parameters(dict(results.get("parameters") or parameters or _configured(run)))
    return Record(
        # Quoted, since MLflow's filters have no way to write the ' in the name of a folder.
        key=quote(f"{results.get('run_id') or run.name}/{attempt}/{began}", safe="/:+ "),
        name=name or results.get("name") or run.name,
        status=state,
        started=datetime.fromisoformat(status["started"]) if status["started"] else None,
        ended=datetime.fromisoformat(status["ended"]),
        parameters=texts(flat | _RATIOS.get(flat["penalty"], {})),
        metrics=metrics_of(results, run.fold_records) if finished else [],
        tags=texts(own_tags | tags, _PREFIX) | texts(mlflow_tags),
        files=_artifacts(folder),
        model=run if finished and run.has("portable_model") else None,
    )


def _description(run: load.LoadedRun, results: Mapping[str, Any]) -> str:
    """What one must know before one believes the numbers, one sentence per line."""
    if not results:
        return ""
    verdict = " ".join((f"Audit {results['audit']['verdict']}", *results["audit"]["reasons"]))
    demo = [load.DEMO_NOTICE] if run.data_name == "demo" else []
    return "\n".join(f"- {each}" for each in (verdict, *demo, results["claim"]["sentence"], *results["notes"]))


def _configured(run: load.LoadedRun) -> dict[str, Any]:
    """The canonical configuration, as far as a run that failed has one."""
    try:
        return canonical(run.config)
    except FvcError:  # why the run failed, such as a missing file of folds; its tags hold the message
        return {}


def _artifacts(folder: run_folder.RunFolder) -> dict[str, Path]:
    """The files of a run folder, by their names in it; what a link leads to elsewhere is none."""
    place = folder.path.resolve()
    found = (path for path in (*folder.files(), *folder.beside()) if path.resolve().is_relative_to(place))
    return {str(path.relative_to(folder.path)): path for path in found if path.is_file()}


def _member_record(folder: SweepFolder, plan: Plan, found: MemberState) -> Record:
    member = found.member
    name = " ".join(member.overrides) or member.run_id
    tags = {"sweep": folder.path.resolve().name, "host": found.host, "job": found.job, "common": " ".join(plan.common)}
    return _run_record(folder.member(member.run_id), _member_status(folder, found), name, member.parameters, **tags)


def _member_status(folder: SweepFolder, found: MemberState) -> dict[str, Any]:
    """The content of ``status.json``, which a lost member has not written."""
    status = found.status or {}
    if found.state is State.failed and status["state"] == "done":  # done by its status, but without metrics
        return {**status, "state": "failed", "reason": found.reason}
    if found.state is not State.lost:
        return {**status, "reason": found.reason}
    claim = claims.latest_claim(folder.member(found.member.run_id))
    started = None
    if claim and claim.owner and found.job and claim.owner.job == found.job.partition(".")[0]:
        started = claim.owner.started
    ended = status.get("noticed") or started or datetime.now(UTC).isoformat()
    facts = {"attempt": found.attempt, "reason": found.reason, "message": found.message}
    return {"state": "lost", "started": started, "ended": ended, **facts}


def _parent_record(folder: SweepFolder, plan: Plan, states: Sequence[MemberState], runs: Sequence[Record]) -> Record:
    """The sweep from its first start to its last end, running until every member has ended; without metrics."""
    worst = next(each for each in ("FAILED", "KILLED", "FINISHED") if each in {run.status for run in runs})
    status = worst if len(runs) == len(states) else "RUNNING"
    best = load.LoadedRun(folder.best)
    results = best.results if best.is_finished else {}
    own = (folder.plan, folder.results, folder.results_csv, folder.folds, folder.leaderboard)
    present = {path.name: path for path in (*own, folder.path / best.folder.report.name) if path.is_file()}
    name, common, axes = folder.path.resolve().name, " ".join(plan.common), _axes(plan)
    tags = {"sweep": name, "members": show.summary(states), "common": common, "best": results.get("run_id")}
    note = "\n".join(each for each in (f"- {axes}", _description(best, results)) if each)
    return Record(
        key=f"sweep/{schedulers.read_submissions(folder)[0].token}",  # the folder may be renamed
        name=results.get("name") or name,
        status=status,
        started=min(run.started or run.ended for run in runs),
        ended=max(run.ended for run in runs),
        parameters={},  # MLflow takes no second value, and a named sweep grows
        metrics=[],
        tags=texts(tags | {"axes": axes}, _PREFIX) | texts({NOTE: note}),
        files=present | {f"{best.path.name}/{inside}": path for inside, path in _artifacts(best.folder).items()},
    )


def _axes(plan: Plan) -> str:
    """What differs between the members, as it was typed: ``penalty=l1,l2 C=0.1,1``."""
    values: dict[str, dict[str, None]] = {}
    for name, _, value in (each.partition("=") for member in plan.members for each in member.overrides):
        values.setdefault(name, {})[value] = None
    return " ".join(f"{name}={','.join(found)}" for name, found in values.items())
