"""What a sweep says in the terminal while it is planned, runs, and is asked for its state."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fvc_exp.io.run_folder import failure_text
from fvc_exp.sweeps.folder import Member, Plan
from fvc_exp.sweeps.states import AT_REST, TO_RUN, MemberState, State

_LINE_SECONDS = 30.0  # between two lines in a file or pipe


_STYLES = {State.done: "green", State.failed: "red", State.lost: "red", State.running: "yellow"}


def counts_line(plan: Plan, states: Sequence[MemberState]) -> str:
    """How a request breaks down, such as ``72 requested: 12 invalid, 32 duplicates, 0 already done, 28 to run``."""
    found = Counter(each.state for each in states)
    under_way = found[State.running] + found[State.pending]
    parts = [
        f"{len(plan.invalid)} invalid",
        f"{len(plan.duplicates)} duplicates",
        f"{found[State.done]} already done",
        *([f"{under_way} still queued or running"] if under_way else []),
        f"{sum(found[state] for state in TO_RUN)} to run",
    ]
    return f"{plan.requested} requested: {', '.join(parts)}"


def print_plan(console: Console, plan: Plan, members: Sequence[Member]) -> None:
    """What would run, and why the rest would not."""
    for member in members:
        console.print(f"run        {member.run_id}  {' '.join(member.overrides)}", markup=False, soft_wrap=True)
    for duplicate in plan.duplicates:
        text = f"duplicate  {duplicate.run_id}  {' '.join(duplicate.overrides)}"
        console.print(text, markup=False, soft_wrap=True, style="dim")
    for refused in plan.invalid:
        text = f"invalid    {' '.join(refused.overrides)}: {refused.reason}"
        console.print(text, markup=False, soft_wrap=True, style="dim")


def summary(states: Sequence[MemberState]) -> str:
    """Counts of states, such as ``26 done, 2 failed``."""
    found = Counter(each.state for each in states)
    return ", ".join(f"{found[state]} {state.value}" for state in State if found[state])


@contextmanager
def follow(console: Console, total: int) -> Iterator[Callable[[Sequence[MemberState]], None]]:
    """A bar while a sweep runs; in a pipe a line now and then. Yields what to call with each look."""
    if not console.is_terminal:
        yield _line_by_line(console)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)

        def look(states: Sequence[MemberState]) -> None:
            at_rest = sum(each.state in AT_REST and each.state is not State.waiting for each in states)
            progress.update(task, completed=at_rest, description=summary(states))

        yield look


def _line_by_line(console: Console) -> Callable[[Sequence[MemberState]], None]:
    said, when = "", -_LINE_SECONDS

    def look(states: Sequence[MemberState]) -> None:
        nonlocal said, when
        text = summary(states)
        if text != said and time.monotonic() - when > _LINE_SECONDS:
            console.print(text)
            said, when = text, time.monotonic()

    return look


def state_table(states: Sequence[MemberState]) -> Table:
    """One row a member."""
    table = Table(title=summary(states), title_justify="left", title_style="")
    for name in ("run", "configuration", "state", "reason", "attempt", "host", "job"):
        table.add_column(name, overflow="fold")
    for each in states:
        reason = failure_text(each.reason, each.message)
        facts = (str(each.attempt or ""), each.host or "", each.job or "")
        words = (each.member.run_id, " ".join(each.member.overrides), each.state.value, reason, *facts)
        table.add_row(*words, style=_STYLES.get(each.state))
    return table


def states_json(states: Sequence[MemberState]) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [
        {
            "run_id": each.member.run_id,
            "overrides": each.member.overrides,
            "state": each.state.value,
            "reason": each.reason or None,
            "message": each.message or None,
            "attempt": each.attempt,
            "host": each.host,
            "job": each.job,
            "log": str(each.log) if each.log else None,
        }
        for each in states
    ]
