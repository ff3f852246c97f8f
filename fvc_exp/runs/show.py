"""The result of a run in the terminal."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from fvc_exp.evaluation.leakage.certificate import Certificate, CheckOutcome
from fvc_exp.training.experiment import RunResult
from fvc_exp.training.notes import FLAGS

SHOWN = ("auc", "average_precision", "f1", "precision", "recall", "f1_real", "balanced_accuracy", "accuracy", "mcc",
         "log_loss", "brier")  # fmt: skip


_STYLES = {CheckOutcome.passed: "green", CheckOutcome.failed: "red", CheckOutcome.unchecked: "yellow", None: ""}


def print_certificate(console: Console, certificate: Certificate) -> None:
    """The verdict of the leakage certificate with its reasons, and what it could not check."""
    for line, outcome in certificate.lines():
        console.print(line, style=_STYLES[outcome], soft_wrap=True, markup=False)


def print_result(console: Console, result: RunResult, folder: Path) -> None:
    """The table of metrics with their floors, what to beware of, and where the files are."""
    for note in result.notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)
    for flag in result.flags:
        console.print(f"flag: {flag}: {FLAGS[flag]}", style="red", markup=False, soft_wrap=True)
    console.print(_metric_table(result))
    _print_honesty(console, result)
    if result.config.data.name == "demo":
        console.print("The demo corpus is synthetic: it shows the pipeline and leakage, not detection skill.")
    console.print(f"results in {folder}", soft_wrap=True, markup=False)


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
