"""Answers on the console."""

import polars as pl
from rich.console import Console

from fvc_exp.io.console import frame_table

_COLUMN_WIDTH = 11  # characters that a column takes on average
_UNLIMITED = 100_000


def print_answer(console: Console, answer: pl.DataFrame) -> None:
    """Print a table as the duckdb shell does: of more columns than fit, those in the middle are left out."""
    table, side, names = frame_table(answer, null="NULL"), console.width // (2 * _COLUMN_WIDTH), answer.columns
    wanted = console.measure(table, options=console.options.update(width=_UNLIMITED)).maximum
    if wanted <= console.width or len(names) <= 2 * side:
        console.print(table)
        return
    shown = answer.select(*names[:side], pl.lit("…").alias("…"), *names[-side:])
    console.print(frame_table(shown, null="NULL"))
    console.print(f"{2 * side} of {len(names)} columns: name those you need, or print all with --json or --csv")
