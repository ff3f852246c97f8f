"""A sweep's results as tables, rebuilt from the run folders any number of times, and the ranking of its runs.

A folder of plain run folders, as Hydra's own sweeper leaves it, is read like a sweep.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp.config.canonical import canonical
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.leakage.codes import audit_mark
from fvc_exp.io import files, tables
from fvc_exp.io.console import setting_text
from fvc_exp.io.run_folder import seconds_of
from fvc_exp.runs.compare.ties import TieSummary, compare_runs, ranking_key, simplicity
from fvc_exp.runs.load import LoadedRun
from fvc_exp.sweeps.folder import Member, Plan, SweepFolder
from fvc_exp.sweeps.states import MemberState, State, open_sweep

_LEAKS = (pl.col("audit") == "FAIL").fill_null(value=False) & ~pl.col("audit_allow_fail").fill_null(value=False)
_BESIDE_C = ("penalty", "l1_ratio", "solver", "features", "class_weight", "seed")
_SHORT = 12  # digits of a hash, which tell codes apart


def collect_results(sweep: SweepFolder, states: Sequence[MemberState]) -> pl.DataFrame:
    """Write ``results.parquet``, ``results.csv`` and ``results_folds.parquet``; returns the first: one row per member.

    Raises:
        ArtifactError: a file of a finished run is missing or broken, or the folder cannot be written.
    """
    table = table_of(states)
    done = [each.run for each in states if _has_scores(each)]
    folds = [{"run_id": run.name, **record} for run in done for record in run.fold_records]
    files.write_bytes(sweep.results_csv, tables.without_formulas(table).write_csv().encode())
    files.write_bytes(sweep.results, tables.parquet_bytes(table))
    files.write_bytes(sweep.folds, tables.parquet_bytes(pl.DataFrame(folds, infer_schema_length=None)))
    return table


def load_sweep(path: str | Path) -> pl.DataFrame:
    """One row per configuration of a sweep, now: ``state``, ``reason`` where it did not finish, parameters and scores.

    The same table that ``fvc collect`` writes as ``results.parquet``.

    Raises:
        ArtifactError: this is no folder of a sweep, or a file of a finished run is missing or broken.
    """
    return table_of(open_results(Path(path))[2])


def plain_runs(path: Path) -> list[LoadedRun]:
    """The runs directly below a folder, in Hydra's order of 0, 1, 2; none where it is one run or a sweep of ours."""
    ours = SweepFolder(path)
    if ours.plan.exists() or ours.runs.exists() or LoadedRun(path).has("config") or not path.is_dir():
        return []
    found = [run for each in path.iterdir() if (run := LoadedRun(each)).has("config")]
    return sorted(found, key=lambda run: (int(run.name) if run.name.isdecimal() else -1, run.name))


def open_results(path: Path) -> tuple[SweepFolder, Plan, list[MemberState]]:
    """``open_sweep``; of a folder of ``plain_runs``, each is a member by its name that no scheduler is asked about.

    Raises:
        ArtifactError: the folder holds neither a plan nor runs, or a file of it is broken.
        ConfigError: a run was made by another version.
    """
    states = [_plain_state(run) for run in plain_runs(path)]
    if not states:
        return open_sweep(path)
    members = [each.member for each in states]
    return SweepFolder(path), Plan([], [], "basic", {}, members[0].config, members, [], []), states


def _plain_state(run: LoadedRun) -> MemberState:
    parameters = canonical(run.config)
    words = [f"{key}={setting_text(parameters[key])}" for key in parameters if key in ("penalty", "C", "solver")]
    data = run.results["data"]["sha256"] if run.is_finished else None
    member = Member(run.name, words, parameters, data, run.config)
    status = run.status if run.has("status") else {"state": State.running}
    state = {"done": State.done, "running": State.running}.get(status["state"], State.failed)
    reason, message = (str(status.get(key) or "") for key in ("reason", "message"))
    return MemberState(member, run, state, reason, message, log=run.folder.log, status=status)


def table_of(states: Sequence[MemberState]) -> pl.DataFrame:
    """One row per member: state, parameters, and for a finished one its scores, floors and flags.

    Raises:
        ArtifactError: a file of a finished run is missing or broken.
    """
    return pl.DataFrame([_row(each) for each in states], infer_schema_length=None)


def _row(found: MemberState) -> dict[str, Any]:
    member, status = found.member, found.status or {}
    row: dict[str, Any] = {"run_id": member.run_id, "name": member.config.name, "tags": _cell(member.config.tags)}
    row |= {"state": found.state.value, "reason": found.reason or None}
    row |= flat_parameters(member.parameters)
    row |= {"overrides": " ".join(member.overrides), "data_sha256": member.data_sha256}
    row |= {"attempt": found.attempt, "host": found.host, "job": found.job}
    row |= {"started": status.get("started"), "ended": status.get("ended"), "seconds": seconds_of(status)}
    return row | _numbers(found.run) if _has_scores(found) else row


def _has_scores(found: MemberState) -> bool:
    return found.state is State.done and found.member.trains


def flat_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters as columns: those of the folds with a prefix, a list as text, null where one has no effect."""
    row: dict[str, Any] = dict.fromkeys(("penalty", "C", "l1_ratio", "solver"))
    for key, value in parameters.items():
        if isinstance(value, dict):
            row |= {f"{key}_{name}": _cell(item) for name, item in value.items()}
        else:
            row[key] = _cell(value)
    return row


def _cell(value: Any) -> Any:
    """The value, or a list as text, since CSV has no lists."""
    return "+".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _numbers(run: LoadedRun) -> dict[str, Any]:
    results = run.results
    audit, final = results["audit"], results["final_model"]
    row: dict[str, Any] = {"flags": " ".join(results["flags"]), "audit": audit["verdict"]}
    row |= {"audit_allow_fail": audit["allow_fail"], "audit_reasons": " ".join(audit["reasons"])}
    row |= {"audit_mark": audit_mark(audit), "n_iter": final["n_iter"], "converged": final["converged"]}
    row |= {"final_C": final["C"], "nonzero": final["nonzero"]}
    for metric, summary in results["cv"].items():
        row |= {f"{metric}_mean": summary["mean"], f"{metric}_std": summary["std"]}
    row |= {f"test_{metric}": value for metric, value in (results["test"] or {}).items()}
    for floor, scores in results["floors"]["cv"].items():
        row |= {f"floor_{floor}_{metric}": value for metric, value in scores.items()}
    return row | {"made_by": "; ".join(_made_by(run.provenance))}


def _made_by(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Everything in the code of a run that could explain a different number."""
    yield f"code {provenance['code_hash'][:_SHORT]}"
    if git := provenance["git"]:
        yield f"commit {git['commit'][:_SHORT]}{' with changes' if git['dirty'] else ''}"
    yield f"Python {provenance['python']}"
    yield from (f"{name} {version}" for name, version in provenance["packages"].items() if version)


def code_warning(ranked: pl.DataFrame) -> str | None:
    """What differs in code, commit or package versions between the ranked runs; None if nothing does."""
    counts = Counter(fact for text in ranked["made_by"] for fact in text.split("; ")) if len(ranked) else Counter[str]()
    differing = [f"{fact} ({count})" for fact, count in sorted(counts.items()) if count < len(ranked)]
    if not differing:
        return None
    return (
        f"these {len(ranked)} runs were not made by the same code, so a difference between two of them may be that of "
        f"the code: {', '.join(differing)}"
    )


def rank(results: pl.DataFrame) -> pl.DataFrame:
    """Finished runs in the order of ``fvc compare``: by mean AUC of the folds, of equal ones the simplest first.

    Runs whose audit found leaks are left out, unless ``audit.allow_fail`` was set. The held-out test rows take no
    part, so that the winner's test score stays an honest one.
    """
    if "auc_mean" not in results.columns:
        return results.clear()
    trusted = results.filter(pl.col("auc_mean").is_not_null() & ~_LEAKS)
    keys = [
        ranking_key(row["auc_mean"], simplicity(row["nonzero"], row["final_C"], row["penalty"], row["run_id"]))
        for row in trusted.iter_rows(named=True)
    ]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    ranked = trusted.select(pl.int_range(1, pl.len() + 1).alias("rank"), pl.all().gather(order))
    if len(ranked) and at_edge(ranked, ranked["run_id"][0]):
        first, *others = ranked["flags"]
        ranked = ranked.with_columns(flags=pl.Series([f"{first} edge_of_grid".strip(), *others]))
    return ranked


def at_edge(ranked: pl.DataFrame, run_id: str) -> bool:
    """Whether a smaller or larger C than that of this run was not tried beside it."""
    from fvc_exp.training.notes import edge_of_grid

    own = ranked.row(by_predicate=pl.col("run_id") == run_id, named=True)
    beside = ranked.filter(pl.all_horizontal(pl.col(name).eq_missing(own[name]) for name in _BESIDE_C))
    return own["C"] is not None and edge_of_grid(own["C"], beside["C"].drop_nulls().to_list())


def leaking(results: pl.DataFrame) -> pl.DataFrame:
    """Finished runs that are not ranked, because their audit found leaks."""
    return results.filter(_LEAKS) if "audit" in results.columns else results.clear()


def floors(ranked: pl.DataFrame) -> dict[str, dict[str, float]]:
    """AUC and F1 that the best run had to beat, by rule: the scores of rules that look at no feature."""
    if not len(ranked):
        return {}
    columns = [name for name in ranked.columns if name.startswith("floor_") and name.endswith("_auc")]
    rules = [name.removeprefix("floor_").removesuffix("_auc") for name in columns]
    return {rule: {metric: ranked[f"floor_{rule}_{metric}"][0] for metric in ("auc", "f1")} for rule in rules}


def ranked_runs(states: Sequence[MemberState], ranked: pl.DataFrame) -> list[LoadedRun]:
    """The runs in the order of their ranking."""
    runs = {each.member.run_id: each.run for each in states}
    return [runs[run_id] for run_id in ranked["run_id"]]


def ties(states: Sequence[MemberState], ranked: pl.DataFrame) -> TieSummary | str:
    """Which runs tie with the best one, or why that cannot be tested."""
    try:
        return compare_runs(ranked_runs(states, ranked))
    except ArtifactError as error:
        return f"the ranking cannot be tested: {error}"
