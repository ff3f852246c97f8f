"""What a run and a comparison of runs print in the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from fvc_exp.evaluation import claims
from fvc_exp.evaluation.leakage.certificate import Certificate, CheckOutcome
from fvc_exp.evaluation.leakage.codes import CODES
from fvc_exp.io.console import frame_table
from fvc_exp.runs.compare.comparison import Comparison
from fvc_exp.training import experiment, notes

SHOWN = ("auc", "average_precision", "f1", "precision", "recall", "f1_real", "balanced_accuracy", "accuracy", "mcc",
         "log_loss", "brier")  # fmt: skip
_STYLES = {
    CheckOutcome.passed: "green",
    CheckOutcome.failed: "red",
    CheckOutcome.unchecked: "yellow",
    CheckOutcome.warned: "yellow",
    None: "",
}


def print_certificate(console: Console, certificate: Certificate) -> None:
    """The verdict of the leakage certificate with its reasons, and what it could not check."""
    for line, outcome in certificate.lines():
        console.print(with_page(line), style=_STYLES[outcome], soft_wrap=True, markup=False)


def with_page(text: str) -> str:
    """A sentence that begins with the code of a check or flag, followed by where the code is explained."""
    code = text.strip().removeprefix("flag: ").removeprefix("not checked: ").partition(":")[0]
    return f"{text} (docs/checks.md#{code})" if code in CODES or code in notes.FLAGS else text


def print_result(console: Console, result: experiment.RunResult, folder: Path) -> None:
    """Print warnings, the metrics with their floors, the audit and the calibration, and where the files are."""
    for note in result.notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)
    for flag, models in result.flag_details.items():
        text = with_page(f"flag: {flag}: {notes.FLAGS[flag]} ({models})")
        console.print(text, style="red", markup=False, soft_wrap=True)
    console.print(notes.columns_line(result.data.data_facts["columns"]), soft_wrap=True, markup=False)
    console.print(result.final.solver_line(), soft_wrap=True, markup=False)
    console.print(_metric_table(result))
    print_certificate(console, result.certificate)
    calibration = result.reliability
    slope, intercept = ("-" if each is None else f"{each:.3f}" for each in (calibration.slope, calibration.intercept))
    console.print(
        f"calibration ({result.config.calibration.name}): ECE {calibration.ece:.3f} "
        f"({calibration.ece_floor:.3f} if it were calibrated perfectly); slope {slope}, intercept {intercept} (ideal: "
        f"1, 0); Brier {calibration.brier:.3f} = "
        f"reliability {calibration.reliability:.3f} - resolution {calibration.resolution:.3f} + uncertainty "
        f"{calibration.uncertainty:.3f} + within bins {calibration.within_bins:.3f}",
        soft_wrap=True,
    )
    console.print(f"{claims.sentence_of(result.claim)} {claims.QUESTIONS}", soft_wrap=True, markup=False)
    if (nested := result.nested) is not None:
        console.print(
            f"nested: AUC {nested.auc:.3f}; the best C by plain cross-validation, {nested.best:g}, has "
            f"{nested.plain[nested.best]:.3f}, so it is optimistic by {nested.optimism:.3f}",
            soft_wrap=True,
        )
    if result.price is not None:
        console.print(f"price of a leak: {result.price.sentence}", soft_wrap=True)
    if result.config.data.name == "demo":
        console.print("The demo corpus is synthetic: it shows the pipeline and leakage, not detection skill.")
    console.print(f"results in {folder}", soft_wrap=True, markup=False)


def print_selection(console: Console, results: Mapping[str, Any]) -> None:
    """What a run is worth that was chosen from several, the held-out score first; nothing for another run."""
    if found := results["selection"]:
        claim = results["claim"] or {"sentence": "There are too few groups for a claim."}
        console.print(f"{found['sentence']} {claim['sentence']}", markup=False, soft_wrap=True)


def _metric_table(result: experiment.RunResult) -> Table:
    config, dataset, split = result.config, result.dataset, result.split
    title = (
        f"{config.data.name}: {len(dataset.y)} videos in {dataset.n_groups} groups, "
        f"{len(dataset.feature_names)} features; {len(split.folds)} {config.cv.scheme.name} folds, "
        f"{len(split.test)} videos held out"
    )
    rows = [
        {
            "metric": name,
            "CV mean ± sd": _mean_and_deviation(**result.summary[name]),
            "held-out test": result.test_scores[name] if result.test_scores else None,
            **{f"floor:\n{floor}": scores[name] for floor, scores in result.floors.items()},
        }
        for name in SHOWN
    ]
    return frame_table(pl.DataFrame(rows), title, floats=".3f", right=("CV mean ± sd", "held-out test"))


def _mean_and_deviation(mean: float, std: float | None) -> str:
    return f"{mean:.3f}" + ("" if std is None else f" ± {std:.3f}")


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print the table, then the conclusions."""
    titles = {"nonzero": "coefs", "p_value": "p", "tied": "ties", "within_one_se": "1 SE", "beats_floor": "> floor"}
    frame = comparison.to_frame().drop("difference", "floor", "floor_p_value").rename(titles)
    title = (
        f"{comparison.ties.metric}: mean of the folds with its 95 % interval (low to high); "
        "p: no different from the best (Holm)"
    )
    console.print(frame_table(frame, title, floats=".3f"))
    for name in comparison.leaking:
        console.print(f"left out: {name}: its audit failed", style="red", markup=False, soft_wrap=True)
    for sentence in comparison.sentences():
        console.print(sentence, markup=False, soft_wrap=True)
