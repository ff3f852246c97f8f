"""What a sweep prints in the terminal: its plan, progress, states and ranking."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from fvc_exp.io.console import MOST_ROWS, frame_table, mean_and_deviation, print_text, setting_text, short_path
from fvc_exp.sweeps import folder, results
from fvc_exp.sweeps.queues import Usage
from fvc_exp.sweeps.states import TO_RUN, MemberState, State, States

_STYLES = {State.done: "green", State.failed: "red", State.lost: "red", State.running: "yellow"}
TOP = 10  # rows of a leaderboard that the end of a sweep shows
_TITLES = {"run_id": "run", "overrides": "configuration", "seconds": "elapsed", "cpu": "CPU", "memory_mb": "peak MB"}
_NUMBERS = ("rank", "C", "l1_ratio", "seed", "AUC", "F1")


def counts_line(plan: folder.Plan, states: Sequence[MemberState], again: int) -> str:
    """The requested configurations: ``72 requested: 12 invalid, 32 duplicates, 0 already done, 28 to run``.

    ``again`` of those that are done count as to run.
    """
    found = Counter(each.state for each in states)
    older = sum(each.is_of_other_code for each in states) - again
    remark = f" ({older} by other code; sweep.rerun=code runs them again)" if older > 0 else ""
    under_way = found[State.running] + found[State.pending]
    parts = [
        f"{len(plan.invalid)} invalid",
        f"{len(plan.duplicates)} duplicates",
        f"{found[State.done] - again} already done{remark}",
        *([f"{under_way} still queued or running"] if under_way else []),
        f"{again + sum(found[state] for state in TO_RUN)} to run",
    ]
    return f"{plan.requested} requested: {', '.join(parts)}"


def print_plan(console: Console, plan: folder.Plan, members: Sequence[folder.Member]) -> None:
    """What would run, and why the rest would not."""
    for member in members:
        print_text(console, f"{member.run_id}  {' '.join(member.overrides)}", label="run")
    for duplicate in plan.duplicates:
        print_text(console, f"{duplicate.run_id}  {' '.join(duplicate.overrides)}", "dim", label="duplicate")
    for refused in plan.invalid:
        print_text(console, f"{' '.join(refused.overrides)}: {refused.reason}", "dim", label="invalid")


def summary(states: Sequence[MemberState]) -> str:
    """Counts of states, such as ``26 done, 2 failed``."""
    found = Counter(each.state for each in states)
    return ", ".join(f"{found[state]} {state.value}" for state in State if found[state])


def state_table(states: Sequence[MemberState], used: Mapping[str, Usage] | None = None) -> Table:
    """One row per member, of very many those first that are not done; ``used`` is what each job took."""
    if len(states) > MOST_ROWS:
        states = sorted(states, key=lambda each: each.state is State.done)
    rows = [
        {
            **row,
            "overrides": " ".join(each.member.overrides),
            "reason": each.why,
            "attempt": each.attempt if each.attempt > 1 else None,
            "seconds": None if each.seconds is None else str(timedelta(seconds=round(each.seconds))),
        }
        for each, row in zip(states, states_json(states, used), strict=True)
    ]
    frame = pl.DataFrame(rows, infer_schema_length=None).drop("message", "log").rename(_TITLES)
    told = [column.name for column in frame if any(column)]
    return frame_table(frame.select(told), summary(states), styles=[_STYLES.get(each.state) for each in states])


def states_json(states: Sequence[MemberState], used: Mapping[str, Usage] | None = None) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [
        {
            **{"run_id": each.member.run_id, "overrides": each.member.overrides, "state": each.state.value},
            **{"reason": each.reason or None, "message": each.message or None},
            **{"attempt": each.attempt, "host": each.host, "job": each.job},
            "log": str(each.log) if each.log else None,
            **{"seconds": each.seconds, "cpu": took.cpu or None, "memory_mb": took.memory or None},
        }
        for each in states
        for took in [(used or {}).get(each.job or "", Usage())]
    ]


def failures(states: Sequence[MemberState]) -> list[MemberState]:
    """The members that ended without a result."""
    return [each for each in states if each.state in (State.failed, State.lost)]


def print_failure(console: Console, failed: MemberState) -> None:
    """Which member failed, why, and where its log is."""
    print_text(console, failed.failure, "red")
    if failed.log and failed.log.exists():
        print_text(console, short_path(failed.log), "red", label="  log", wrap=False)


def leaderboard_json(plan: folder.Plan, states: States, table: pl.DataFrame, ranked: pl.DataFrame) -> dict[str, Any]:
    """The leaderboard of collected results, and of these ``ranked``, as plain data."""
    return {
        "requested": plan.requested,
        "invalid": len(plan.invalid),
        "duplicates": len(plan.duplicates),
        "ranking": ranked.to_dicts(),
        "code_warning": results.code_warning(ranked),
        "floors": results.floors(ranked),
        "leaking": results.leaking(table).to_dicts(),
        "failures": states_json([each for each in states if each.state is not State.done]),
    }


def print_leaderboard(
    console: Console, plan: folder.Plan, states: States, table: pl.DataFrame, ranked: pl.DataFrame, most: int = 0
) -> None:
    """Print the ranking (``most`` of its rows, or all), its floors, what failed and why, and what was never run."""
    if len(ranked):
        console.print(_ranking_table(ranked, min(most or len(ranked), MOST_ROWS - 1)))  # and the floor
    if warning := results.code_warning(ranked):
        print_text(console, warning, "yellow", label="warning")
    for row in results.leaking(table).iter_rows(named=True):
        text = f"not ranked: {row['run_id']} {row['overrides']}: its audit failed: {row['audit_reasons']}"
        print_text(console, text, "red")
    for each in failures(states):
        print_failure(console, each)
    if plan.invalid:
        console.print(f"{len(plan.invalid)} invalid configurations were not run:")
        for why, count in Counter(refused.reason for refused in plan.invalid).most_common():
            print_text(console, f"  {count} x {why}")


def _ranking_table(ranked: pl.DataFrame, most: int) -> Table:
    """The first rows with the settings that differ, and the best floor."""
    names = ("name", "tags", "penalty", "C", "l1_ratio", "solver", "features", "class_weight", "seed")
    settings = [name for name in names if ranked[name].n_unique() > 1]
    rows = [
        {
            "rank": str(row["rank"]),
            **{name: None if row[name] is None else setting_text(row[name]) for name in settings},
            "AUC": mean_and_deviation(row["auc_mean"], row["auc_std"]),
            "F1": f"{row['f1_mean']:.3f}",
            "audit": row["audit_mark"],
            **({"flags": row["flags"]} if any(ranked["flags"][:most]) else {}),
        }
        for row in ranked.head(most).iter_rows(named=True)
    ]
    floors = results.floors(ranked).values()
    best = {title: f"{max(scores[title.lower()] for scores in floors):.3f}" for title in ("AUC", "F1")}
    rows.append(dict.fromkeys(rows[0], "") | {"rank": "floor"} | best)
    shared = [ranked[key][0] for key in ("name", "tags") if ranked[key].n_unique() == 1]
    called = "".join(f"{text}; " for text in shared if text)
    shown = f"the first {most} of {len(ranked)}, " if most < len(ranked) else ""
    return frame_table(
        pl.DataFrame(rows, infer_schema_length=None),
        f"{called}{shown}ranked by the mean AUC of the folds (± sd); "
        "floor: best score of the rules that use no feature",
        right=_NUMBERS,
        styles=[None] * (len(rows) - 1) + ["dim"],
    )
