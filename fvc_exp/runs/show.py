"""What a run and a comparison of runs print in the terminal."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from fvc_exp.evaluation import claims
from fvc_exp.evaluation.leakage.certificate import Certificate, CheckOutcome
from fvc_exp.evaluation.leakage.codes import CODES, GROUPS_UNKNOWN, audit_mark
from fvc_exp.io.console import frame_table, mean_and_deviation, print_text, setting_text, short_path
from fvc_exp.runs.compare.comparison import Comparison
from fvc_exp.runs.load import LoadedRun
from fvc_exp.training import experiment, notes

SHOWN = ("auc", "average_precision", "f1", "precision", "recall", "f1_real", "balanced_accuracy", "accuracy", "mcc",
         "log_loss", "brier")  # fmt: skip
_WIDE = 90  # columns, from which on the names of floors fit into one line
_VERY_WIDE = 100  # columns, from which on a comparison has room for all of its own
_CODE = re.compile(r"\s*(?:(?:flag|warning|not checked): )?(\w+):")
_EXPLAINED = (*CODES, *notes.FLAGS, GROUPS_UNKNOWN.partition(":")[0])  # in docs/checks.md
Fact = tuple[str, str, str]
"""A label, a text and its style."""
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
        print_text(console, with_page(line), _STYLES[outcome])


def with_page(text: str) -> str:
    """A sentence that begins with the code of a check or flag, followed by where the code is explained."""
    code = _CODE.match(text)
    return f"{text} (docs/checks.md#{code[1]})" if code and code[1] in _EXPLAINED else text


def print_summary(console: Console, run: LoadedRun, start: Iterable[Fact] = (), *, of: Path | None = None) -> None:
    """What a reader must know of a finished run, in lines of at most 80 columns, and the next command to type.

    ``start`` is printed first. ``of`` is the sweep that the run is the best of.
    """
    for label, text, style in (*start, *_facts(run)):
        print_text(console, text, style, label=label)
    folder = short_path(of or run.path)
    print_text(console, folder, label="folder", wrap=False)
    print_text(console, shlex.join(["fvc", "report", folder]), label="next", wrap=False)


def _facts(run: LoadedRun) -> Iterator[Fact]:
    """Label, text and style of each line of the summary."""
    results = run.results
    data, parameters, claim = results["data"], results["parameters"], results["claim"]
    columns, folds = data["columns"], len(results["threshold"]["folds"])
    yield (
        "data",
        (
            f"{run.data_name}: {_count(data['rows'], 'video')} in {_count(data['groups'], 'group')}; "
            f"{_count(len(columns['used']), 'feature')} used, {_count(len(columns['ignored']), 'column')} ignored"
        ),
        "",
    )
    held_out = f"{_count(data['test_rows'], 'video')} held out" if data["test_rows"] else "no video held out"
    scheme = parameters["cv"]["scheme"]
    yield "split", f"{_count(folds, f'{scheme} fold')} of {_count(data['development_rows'], 'video')}; {held_out}", ""
    yield "model", _model_text(parameters, results["final_model"], len(columns["used"])), ""
    intervals = results.get("auc_intervals", {})
    yield (
        "CV AUC",
        f"{mean_and_deviation(**results['cv']['auc'])} (mean ± sd of the folds)" + _limits(intervals.get("cv")),
        "bold",
    )
    if results["test"]:
        yield "held-out", f"AUC {results['test']['auc']:.3f}" + _limits(intervals.get("test")), "bold"
    if (nested := results["nested"]) is not None:
        yield (
            "nested",
            (
                f"the best C by plain cross-validation, {nested['best']:g}, has AUC {nested['auc'] + nested['optimism']:.3f}, "
                f"so it is optimistic by {nested['optimism']:.3f}"
            ),
            "",
        )
    if results["selection"]:
        yield "choice", results["selection"]["sentence"], ""
    yield "claim", claim["sentence"], {True: "green", False: "yellow", None: "red"}[claim["beats"]]
    yield from _audit_facts(results["audit"])
    if results["price"]:
        yield "leak price", results["price"]["sentence"], ""
    for flag in results["flags"]:
        models = results["flag_details"].get(flag)
        yield "flag", with_page(f"{flag}: {notes.FLAGS[flag]}{(models and f' ({models})') or ''}"), "red"
    for note in results["notes"]:
        yield "note", note, "yellow"
    if run.data_name == "demo":
        yield "note", "The demo corpus is synthetic: it shows the pipeline and leakage, not detection skill.", ""


def _model_text(parameters: Mapping[str, Any], final: Mapping[str, Any], features: int) -> str:
    settings = parameters | {"C": final["C"]}
    names = [name for name in ("C", "l1_ratio", "class_weight", "threshold", "calibration") if settings.get(name)]
    shown = "".join(f", {name}={setting_text(settings[name])}" for name in names)
    state = "converged" if final["converged"] else "not converged"
    penalty = "no penalty" if settings["penalty"] == "none" else settings["penalty"]
    return f"{penalty}{shown}; {final['nonzero']} of {features} coefficients not zero; {final['solver']}, {state}"


def _audit_facts(audit: Mapping[str, Any]) -> Iterator[Fact]:
    """The verdict, why it fails, its warnings and, in short, what could not be checked."""
    yield "audit", audit_mark(audit), {"PASS": "green", "FAIL": "red"}.get(audit["verdict"], "yellow")
    yield from (("", with_page(text), "red") for text in audit["reasons"])
    yield from (("", with_page(f"warning: {text}"), "yellow") for text in audit["warnings"])
    missing = [text for text in audit["not_checked"] if text != GROUPS_UNKNOWN]
    yield from (("", with_page(text), "yellow") for text in audit["not_checked"] if text == GROUPS_UNKNOWN)
    if missing:
        yield (
            "",
            f"not checked: {', '.join(text.partition(':')[0] for text in missing)}; verbose=true says why",
            "yellow",
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _limits(interval: Mapping[str, Any] | None) -> str:
    if interval is None or interval["low"] is None:
        return "; too few groups for an interval"
    return f"; {100 * interval['level']:.0f} % interval {interval['low']:.2f} to {interval['high']:.2f}"


def print_details(console: Console, result: experiment.RunResult) -> None:
    """Every metric with its floors, the numbers of the audit, the calibration, and how the model was fitted."""
    print_text(console, notes.columns_line(result.data.data_facts["columns"]))
    print_text(console, result.final.solver_line())
    console.print(_metric_table(result, "" if console.width >= _WIDE else "\n"))
    print_certificate(console, result.certificate)
    for text in _calibration_lines(result):
        print_text(console, text)
    print_text(console, claims.QUESTIONS)
    console.print()


def _calibration_lines(result: experiment.RunResult) -> Iterator[str]:
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
    """Print the table, then the conclusions; a narrow terminal gets fewer columns, and JSON has all of them."""
    titles = {"nonzero": "coefs", "p_value": "p", "tied": "ties", "within_one_se": "1 SE", "beats_floor": "> floor"}
    frame = comparison.to_frame().drop("difference", "floor", "floor_p_value").rename(titles)
    labels = [label.split() for label in frame["configuration"]]
    common = [word for word in labels[0] if len(labels) > 1 and all(word in words for words in labels)]
    shown = [" ".join(word.removeprefix("penalty=") for word in words if word not in common) for words in labels]
    frame = frame.with_columns(pl.Series("configuration", shown))
    if console.width < _VERY_WIDE:
        frame = frame.drop("rank", "p", "1 SE")
    title = f"{comparison.ties.metric}: mean of the folds with its 95 % interval (low to high)"
    title += f"; all have {' '.join(common)}" if common else ""
    console.print(frame_table(frame, title, floats=".3f"))
    for name in comparison.leaking:
        print_text(console, f"left out: {name}: its audit failed", "red")
    for sentence in comparison.sentences():
        print_text(console, sentence)
