"""What a person reads in the terminal, or in the file it was piped to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from fvc_exp.experiment import Progress as OnProgress
    from fvc_exp.experiment import RunResult
    from fvc_exp.stages.drive import StageSummary

SHOWN = ("auc", "average_precision", "f1", "precision", "recall", "f1_real", "balanced_accuracy", "accuracy", "mcc",
         "log_loss", "brier")  # fmt: skip
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


def print_result(console: Console, result: RunResult, folder: Path) -> None:
    """The table of metrics with their floors, what to beware of, and where the files are."""
    for note in result.notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)
    for flag in result.flags:
        console.print(f"flag: {flag}", style="red", markup=False)
    console.print(_metric_table(result))
    if result.config.data.name == "demo":
        console.print("The demo corpus is synthetic: it shows the pipeline and leakage, not detection skill.")
    console.print(f"results in {folder}", soft_wrap=True, markup=False)


def print_stage(console: Console, name: str, summaries: Mapping[str, StageSummary]) -> None:
    """How many videos each table got, and why the others failed."""
    for table, summary in summaries.items():
        reasons = "".join(f", {count} {reason}" for reason, count in sorted(summary.failed.items()))
        failed = sum(summary.failed.values())
        where = str(summary.table) if summary.is_complete else "not complete: other shards are missing"
        console.print(
            f"{name} ({table}): {summary.done} done, {summary.skipped} skipped, {failed} failed{reasons}; {where}",
            soft_wrap=True,
            markup=False,
        )


def _metric_table(result: RunResult) -> Table:
    config, dataset, split = result.config, result.dataset, result.split
    title = (
        f"{config.data.name}: {len(dataset.y)} videos in {dataset.n_groups} groups, "
        f"{len(dataset.feature_names)} features; {len(split.folds)} {config.cv.scheme.name} folds, "
        f"{len(split.test)} videos held out"
    )
    table = Table(title=title, title_justify="left", title_style="")
    table.add_column("metric")
    table.add_column("CV mean ± sd", justify="right")
    table.add_column("held-out test", justify="right")
    for floor in result.floors:
        table.add_column(f"floor: {floor}", justify="right", style="dim")
    for name in SHOWN:
        summary = result.summary[name]
        deviation = f" ± {summary['std']:.3f}" if summary["std"] is not None else ""
        test = f"{result.test_scores[name]:.3f}" if result.test_scores else "-"
        floors = (f"{scores[name]:.3f}" for scores in result.floors.values())
        table.add_row(name, f"{summary['mean']:.3f}{deviation}", test, *floors)
    return table
