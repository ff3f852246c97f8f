"""What a person reads in the terminal, or in the file it was piped to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fvc_exp._typing import Progress as OnProgress

if TYPE_CHECKING:
    import polars as pl


_PIPED_WIDTH = 110


def make_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for every table where there is none."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=_PIPED_WIDTH)


@contextmanager
def progress_bar(title: str) -> Iterator[OnProgress]:
    """A bar on stderr while something long runs; in a pipe one line when it starts and none after."""
    console = make_console(stderr=True)
    if not console.is_terminal:
        console.print(f"{title} ...")
        yield lambda _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def frame_table(frame: pl.DataFrame) -> Table:
    """Any frame as a table; numbers to the right, floats short."""
    table = Table()
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(f"{value:.6g}" if isinstance(value, float) else escape(str(value)) for value in row))
    return table
