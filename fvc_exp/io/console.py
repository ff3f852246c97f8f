"""Consoles, progress bars and tables, for the terminal or for a file that the output goes to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box, markup, progress
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl

_PIPED_WIDTH = 110
_LINE_SECONDS = 30.0  # between two lines about the progress in a file or pipe


def make_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for every table where there is none."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=_PIPED_WIDTH)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[..., None]]:
    """A bar on stderr while something long runs.

    Yields a function of (done, total, status=""). In a file or pipe there is one line at the start, and then one per
    30 seconds at most, when the status text has changed.
    """
    console = make_console(stderr=True)
    if not console.is_terminal:
        console.print(f"{title} ...")
        yield _status_lines(console)
        return
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[status]}"),
    )
    with progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, status="")

        def update(done: int, total: int, status: str = "") -> None:
            bar.update(task, completed=done, total=total, status=status)

        yield update


def _status_lines(console: Console) -> Callable[..., None]:
    printed, when = "", -math.inf

    def update(_done: int, _total: int, status: str = "") -> None:
        nonlocal printed, when
        if status not in ("", printed) and time.monotonic() - when > _LINE_SECONDS:
            console.print(status)
            printed, when = status, time.monotonic()

    return update


def frame_table(
    frame: pl.DataFrame,
    title: str = "",
    *,
    floats: str = ".6g",
    right: Collection[str] = (),
    styles: Sequence[str | None] | None = None,
) -> Table:
    """A frame as a table: floats by their format, null as ``-``, numbers and the columns in ``right`` to the right.

    ``styles`` holds one style of rich per row.
    """
    table = Table(
        title=markup.escape(title), title_justify="left", title_style="", box=box.SIMPLE_HEAD, collapse_padding=True
    )
    for name, dtype in frame.schema.items():
        is_number = dtype.is_numeric() or name in right
        table.add_column(markup.escape(name), justify="right" if is_number else "left", overflow="fold")
    for row, style in zip(frame.iter_rows(), styles or [None] * len(frame), strict=True):
        table.add_row(*(_cell(value, floats) for value in row), style=style)
    return table


def setting_text(value: object) -> str:
    """A parameter's value as it is shown: a number in short, a list joined by ``+``."""
    if isinstance(value, list):
        return "+".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def mean_and_deviation(mean: float, std: float | None) -> str:
    """A score over folds, such as ``0.713 ± 0.042``; a single fold has no deviation."""
    return f"{mean:.3f}" + ("" if std is None else f" ± {std:.3f}")


def _cell(value: object, floats: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, floats) if isinstance(value, float) else markup.escape(str(value))
