"""What a person reads in the terminal, or in the file it was piped to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl

    from fvc_exp.certificate import Certificate
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
    from fvc_exp.audit import FLAGS

    for note in result.notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)
    for flag in result.flags:
        console.print(f"flag: {flag}: {FLAGS[flag]}", style="red", markup=False, soft_wrap=True)
    console.print(_metric_table(result))
    _print_honesty(console, result)
    if result.config.data.name == "demo":
        console.print("The demo corpus is synthetic: it shows the pipeline and leakage, not detection skill.")
    console.print(f"results in {folder}", soft_wrap=True, markup=False)


def print_certificate(console: Console, certificate: Certificate) -> None:
    """The verdict of the leakage certificate with its reasons, and what it could not check."""
    console.print(f"audit: {certificate.verdict}", style="green" if certificate.verdict == "PASS" else "bold red")
    for reason in certificate.reasons:
        console.print(f"  {reason}", style="red", soft_wrap=True, markup=False)
    for part, probe in (certificate.probes or {}).items():
        numbers = f"{probe.accuracy:.3f}, base rate {probe.base_rate:.3f}"
        console.print(f"  labels looked up in the group ({part}): accuracy {numbers}")
    if (null := certificate.null) is not None:
        console.print(
            f"  random labels ({null.scorer}, {null.permutations} permutations): AUC {null.mean:.3f} ± {null.std:.3f}; "
            f"real labels: {null.observed:.3f}, p = {null.p_value:.3f}",
            soft_wrap=True,
        )
    for what in certificate.not_checked:
        console.print(f"  not checked: {what}", style="yellow", soft_wrap=True, markup=False)


def _print_honesty(console: Console, result: RunResult) -> None:
    print_certificate(console, result.certificate)
    calibration = result.reliability
    console.print(
        f"calibration ({result.config.calibration.name}): ECE {calibration.ece:.3f}; Brier {calibration.brier:.3f} = "
        f"reliability {calibration.reliability:.3f} - resolution {calibration.resolution:.3f} + uncertainty "
        f"{calibration.uncertainty:.3f} + within bins {calibration.within_bins:.3f}",
        soft_wrap=True,
    )
    if (nested := result.nested) is not None:
        console.print(
            f"nested: AUC {nested.auc:.3f}; the best C by plain cross-validation, {nested.best:g}, has "
            f"{nested.plain[nested.best]:.3f}, so it is optimistic by {nested.optimism:.3f}",
            soft_wrap=True,
        )


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
        table.add_column(f"floor:\n{floor}", justify="right", style="dim")
    for name in SHOWN:
        summary = result.summary[name]
        deviation = f" ± {summary['std']:.3f}" if summary["std"] is not None else ""
        test = f"{result.test_scores[name]:.3f}" if result.test_scores else "-"
        floors = (f"{scores[name]:.3f}" for scores in result.floors.values())
        table.add_row(name, f"{summary['mean']:.3f}{deviation}", test, *floors)
    return table


def frame_table(frame: pl.DataFrame) -> Table:
    """Any frame as a table; numbers to the right, floats short."""
    table = Table()
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(f"{value:.6g}" if isinstance(value, float) else escape(str(value)) for value in row))
    return table
