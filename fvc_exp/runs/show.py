"""What a run and a comparison of runs print in the terminal."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from fvc_exp.config.schema import Table as Features
from fvc_exp.evaluation import claims
from fvc_exp.evaluation.leakage.certificate import Certificate, CheckOutcome
from fvc_exp.evaluation.leakage.codes import CODES, GROUPS_UNKNOWN
from fvc_exp.io.console import frame_table, mean_and_deviation
from fvc_exp.runs.compare.comparison import Comparison
from fvc_exp.training import experiment, notes

SHOWN = ("auc", "average_precision", "f1", "precision", "recall", "f1_real", "balanced_accuracy", "accuracy", "mcc",
         "log_loss", "brier")  # fmt: skip
_WIDE = 90  # columns, from which on the names of floors fit into one line
_CODE = re.compile(r"\s*(?:(?:flag|warning|not checked): )?(\w+):")
_EXPLAINED = (*CODES, *notes.FLAGS, GROUPS_UNKNOWN.partition(":")[0])  # in docs/checks.md
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
        _print_sentence(console, with_page(line), _STYLES[outcome])


def with_page(text: str) -> str:
    """A sentence that begins with the code of a check or flag, followed by where the code is explained."""
    code = _CODE.match(text)
    return f"{text} (docs/checks.md#{code[1]})" if code and code[1] in _EXPLAINED else text


def print_result(console: Console, result: experiment.RunResult, folder: Path) -> None:
    """Print warnings, the metrics with their floors, the audit, what follows from them, and where the files are."""
    for note in result.notes:
        _print_sentence(console, f"note: {note}", "yellow")
    for flag, models in result.flag_details.items():
        _print_sentence(console, with_page(f"flag: {flag}: {notes.FLAGS[flag]} ({models})"), "red")
    _print_sentence(console, notes.columns_line(result.data.data_facts["columns"]))
    _print_sentence(console, result.final.solver_line())
    console.print(_metric_table(result, "" if console.width >= _WIDE else "\n"))
    print_certificate(console, result.certificate)
    for text in _conclusions(result):
        _print_sentence(console, text)
    console.print(f"results in {folder}", soft_wrap=True, markup=False)


def _print_sentence(console: Console, text: str, style: str = "") -> None:
    """Broken between words at a terminal; one line in a file, where one looks for it."""
    console.print(text, style=style, markup=False, soft_wrap=not console.is_terminal)


def _conclusions(result: experiment.RunResult) -> Iterator[str]:
    found = result.reliability
    slope, intercept = ("-" if each is None else f"{each:.3f}" for each in (found.slope, found.intercept))
    yield (
        f"calibration ({result.config.calibration.name}): ECE {found.ece:.3f} ({found.ece_floor:.3f} if it were "
        f"calibrated perfectly); slope {slope}, intercept {intercept} (ideal: 1, 0)"
    )
    yield (
        f"  Brier {found.brier:.3f} = reliability {found.reliability:.3f} - resolution {found.resolution:.3f} + "
        f"uncertainty {found.uncertainty:.3f} + within bins {found.within_bins:.3f}"
    )
    if result.price is not None:
        yield f"price of a leak: {result.price.sentence}"
    if (nested := result.nested) is not None:
        yield (
            f"nested: AUC {nested.auc:.3f}; the best C by plain cross-validation, {nested.best:g}, has "
            f"{nested.plain[nested.best]:.3f}, so it is optimistic by {nested.optimism:.3f}"
        )
    claim = claims.claim_json(result.claim, result.certificate.verdict)
    yield claim["sentence"]
    if claim["beats"] is not None:
        yield claims.QUESTIONS
    if result.config.data.name == "demo":
        yield "The demo corpus is synthetic: it shows the pipeline and leakage, not detection skill (docs/demo.md)."
        if result.config.features.tables == [Features.stage2]:
            yield "These features see that its fakes are softer; features=forensic sees their edits as well."


def print_selection(console: Console, results: Mapping[str, Any]) -> None:
    """What a run is worth that was chosen from several, the held-out score first; nothing for another run."""
    if found := results["selection"]:
        console.print(f"{found['sentence']} {results['claim']['sentence']}", markup=False, soft_wrap=True)


def _metric_table(result: experiment.RunResult, after_underscore: str) -> Table:
    config, dataset, split = result.config, result.dataset, result.split
    title = (
        f"{config.data.name}: {len(dataset.y)} videos in {dataset.n_groups} groups, "
        f"{len(dataset.feature_names)} features; {len(split.folds)} {config.cv.scheme.name} folds, "
        f"{len(split.test)} videos held out"
    )
    rows = [
        {
            "metric": name,
            "CV mean ± sd": mean_and_deviation(**result.summary[name]),
            "held-out\ntest": result.test_scores[name] if result.test_scores else None,
            **{
                "floor:\n" + floor.replace("_", "_" + after_underscore): scores[name]
                for floor, scores in result.floors.items()
            },
        }
        for name in SHOWN
    ]
    return frame_table(pl.DataFrame(rows), title, floats=".3f", right=("CV mean ± sd", "held-out\ntest"))


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
