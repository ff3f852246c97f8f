"""Consoles, progress bars and tables, for the terminal or for a file that the output goes to."""

from __future__ import annotations

import logging
import os
import re
import sys
import textwrap
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console
    from rich.table import Table

_TEXT_WIDTH = 80  # columns, in which texts are wrapped
_PIPED_WIDTH = 1000  # columns: no table is cut in a file
_LABEL_WIDTH = 13
MOST_ROWS = 200  # of a table; nobody reads thousands, and to lay them out takes seconds
_PASSWORD = re.compile(r"(?<=://)[^/\s@]*:[^/\s]*(?=@)")
LINE_SECONDS = 10.0  # between two lines about the progress in a file or pipe


def make_console(*, stderr: bool = False) -> Console:
    """A console as wide as ``COLUMNS`` or else the terminal says; in a file or pipe as wide as its widest table."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return console
    columns, default = os.environ.get("COLUMNS", ""), _TEXT_WIDTH if console.is_terminal else _PIPED_WIDTH
    width = int(columns) if columns.isdecimal() else default
    return Console(stderr=stderr, highlight=False, width=width, height=25)  # rich has 80 columns for TERM=dumb


def without_passwords(text: str) -> str:
    """The text with ``***`` for the user and password of an address such as ``http://USER:PASSWORD@HOST``."""
    return _PASSWORD.sub("***", text)


def printable(text: str) -> str:
    """The text in one line without passwords or what a terminal obeys: control signs and marks of direction."""
    text = without_passwords(text)
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def print_text(console: Console, text: str, style: str = "", *, label: str = "", wrap: bool = True) -> None:
    """Print a text in lines of at most 80 columns, broken between words; its label stands left of all of them.

    A command or path stays in one piece without ``wrap``.
    """
    start = label.ljust(_LABEL_WIDTH) if label else ""
    width = min(console.width, _TEXT_WIDTH) if wrap else len(start + text)
    lines = _wrapped(start + printable(text), width, " " * (len(start) or 2))
    console.print(lines, style=style, markup=False, soft_wrap=True)


def _wrapped(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def short_path(path: Path) -> str:
    """The path relative to the working folder where that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


def error_text(text: str) -> str:
    """A message on stderr, wrapped between words at a terminal; one line in a file, where one looks for it."""
    console, lines = make_console(stderr=True), [printable(line) for line in text.split("\n")]
    return "\n".join(_wrapped(line, console.width) if console.is_terminal else line for line in lines)


class RunLog(logging.FileHandler):
    """The log of a run in its folder; if it cannot be written, one line says so, and the run goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging calls it so
        """Say why once, on stderr, and write no more."""
        print(error_text(f"{self.baseFilename}: the log ends here: {sys.exc_info()[1]}"), file=sys.stderr)
        logging.getLogger().removeHandler(self)
        with suppress(OSError):  # what it holds cannot be written either
            self.close()


class WrappedFormatter(logging.Formatter):
    """The log on the console, wrapped as ``error_text``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return error_text(super().format(record))


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[..., None]]:
    """A bar on stderr while something long runs.

    Yields a function of (done, total, status=""). In a file, a pipe or a dumb terminal there is one line at the start,
    and then at most one per 10 seconds with what is done and an estimate of the rest.
    """
    may_have_bar = sys.stderr.isatty() or os.environ.keys() & {"FORCE_COLOR", "TTY_COMPATIBLE"}  # as rich asks
    if may_have_bar and (console := make_console(stderr=True)).is_terminal and not console.is_dumb_terminal:
        with _bar(console, title) as update:
            yield update
        return
    started = told = time.monotonic()

    def tell(done: int, total: int, status: str = "") -> None:
        nonlocal told
        if (now := time.monotonic()) - told > LINE_SECONDS:
            told = now
            print(_progress_line(title, done, total, status, now - started), file=sys.stderr)

    print(f"{title} ...", file=sys.stderr)
    yield tell


@contextmanager
def _bar(console: Console, title: str) -> Iterator[Callable[..., None]]:
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=20),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[status]}"),
    )
    with progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, status="")
        yield lambda done, total, status="": bar.update(task, completed=done, total=total, status=status)


def _progress_line(title: str, done: int, total: int, status: str, seconds: float) -> str:
    left = f"about {seconds * (total - done) / done:.0f} s left" if total and done else ""
    parts = (f"{done} of {total}" if total else "", status, f"{seconds:.0f} s so far", left)
    return f"{title}: {', '.join(filter(None, parts))}"


def frame_table(
    frame: pl.DataFrame,
    title: str = "",
    *,
    floats: str = ".6g",
    right: Collection[str] = (),
    styles: Sequence[str | None] | None = None,
) -> Table:
    """A frame as a table: floats by their format, null as ``-``, numbers and the columns in ``right`` to the right.

    ``styles`` holds one style of rich per row. Of a tall frame the first ``MOST_ROWS`` are shown, as the title says.
    """
    from rich import box, markup
    from rich.table import Table

    if len(frame) > MOST_ROWS:
        title = f"{title}{title and '; '}the first {MOST_ROWS} of {len(frame)} rows, --json prints all"
        frame, styles = frame.head(MOST_ROWS), styles and styles[:MOST_ROWS]
    table = Table(
        title=markup.escape(printable(title)),
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        show_edge=False,
        pad_edge=False,
    )
    for name, dtype in frame.schema.items():
        is_number = dtype.is_numeric() or name in right
        table.add_column(markup.escape(printable(name)), justify="right" if is_number else "left", overflow="fold")
    for row, style in zip(frame.iter_rows(), styles or [None] * len(frame), strict=True):
        table.add_row(*(markup.escape(_cell(value, floats)) for value in row), style=style)
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
    return format(value, floats) if isinstance(value, float) else printable(str(value))
