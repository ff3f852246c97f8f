"""What a run and a comparison of runs print in the terminal."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from fvc_exp.evaluation.leakage import certificate, codes
from fvc_exp.evaluation.metrics import calibration_lines
from fvc_exp.io.console import frame_table, mean_and_deviation, print_text, setting_text, short_path
from fvc_exp.runs.compare.comparison import Comparison
from fvc_exp.runs.load import DEMO_NOTICE, LoadedRun
from fvc_exp.training import notes

SHOWN = ("auc", "average_precision", "f1", "precision", "recall", "f1_real", "balanced_accuracy", "accuracy", "mcc",
         "log_loss", "brier")  # fmt: skip
_SETTINGS = ("C", "l1_ratio", "class_weight", "threshold", "calibration")
_WIDE = 100  # columns, from which on a comparison has room for all of its own
_CODE = re.compile(r"\s*(?:(?:flag|warning|not checked): )?(\w+):")
_EXPLAINED = (*codes.CODES, *notes.FLAGS, codes.GROUPS_UNKNOWN.partition(":")[0])  # in docs/checks.md
_STYLES = {"PASS": "green", "UNCHECKED": "yellow", "FAIL": "red", True: "green", False: "yellow", None: "yellow"}
# A label, a text and its style.
Fact = tuple[str, str, str]


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
    results, data, test = run.results, run.results["data"], run.results["test"]
    used, ignored = (len(data["columns"][name]) for name in ("used", "ignored"))
    counts = f"{data['rows']:,} videos in {data['groups']:,} groups"
    yield "data", f"{run.data_name}: {counts}; {used} features used, {ignored} columns ignored", ""
    folds, scheme = len(results["threshold"]["folds"]), results["parameters"]["cv"]["scheme"]
    sizes = f"{data['development_rows']:,} videos; {data['test_rows']:,} held out"
    yield "split", f"{folds} {scheme} folds of {sizes}", ""
    yield "model", _model_text(results["parameters"], results["final_model"], used), ""
    intervals, score = results["auc_intervals"], mean_and_deviation(**results["cv"]["auc"])
    yield "CV AUC", f"{score} (mean ± sd of the folds){_limits(intervals['cv'])}", "bold"
    if test:
        yield "held-out", f"AUC {test['auc']:.3f}{_limits(intervals['test'])}", "bold"
    if nested := results["nested"]:
        plain = f"plain cross-validation is optimistic by {nested['optimism']:.3f}"
        yield "nested", f"C is chosen inside each training part; {plain}, with C={nested['best']:g}", ""
    if results["selection"]:
        yield "choice", results["selection"]["sentence"], ""
    yield "claim", results["claim"]["sentence"], _STYLES[results["claim"]["beats"]]
    yield from audit_facts(results["audit"])
    if results["price"]:
        yield "leak price", results["price"]["sentence"], ""
    for flag in results["flags"]:
        models = results["flag_details"].get(flag)
        yield "flag", with_page(f"{flag}: {notes.FLAGS[flag]}{f' ({models})' if models else ''}"), "red"
    yield from (("note", note, "yellow") for note in results["notes"])
    if run.data_name == "demo":
        yield "note", DEMO_NOTICE, ""


def _model_text(parameters: Mapping[str, Any], final: Mapping[str, Any], features: int) -> str:
    settings = {**parameters, "C": final["C"]}
    shown = "".join(f", {name}={setting_text(settings[name])}" for name in _SETTINGS if settings.get(name))
    state = "converged" if final["converged"] else "not converged"
    nonzero = f"{final['nonzero']} of {features} coefficients not zero"
    return f"penalty={settings['penalty']}{shown}; {nonzero}; {final['solver']}, {state}"


def audit_facts(audit: Mapping[str, Any]) -> Iterator[Fact]:
    """The verdict, why it fails, its warnings, and what could not be checked, of ``audit`` in ``results.json``."""
    yield "audit", codes.audit_mark(audit), _STYLES[audit["verdict"]]
    yield from ((" ", with_page(text), "red") for text in audit["reasons"])
    yield from ((" ", with_page(f"warning: {text}"), "yellow") for text in audit["warnings"])
    yield from ((" ", with_page(f"not checked: {text}"), "yellow") for text in audit["not_checked"])


def _limits(interval: Mapping[str, Any] | None) -> str:
    if interval is None or interval["low"] is None:
        return "; too few groups for an interval"
    return f"; {100 * interval['level']:.0f} % interval {interval['low']:.2f} to {interval['high']:.2f}"


def print_details(console: Console, run: LoadedRun) -> None:
    """How the model was fitted, every metric with its floors, and the numbers of calibration and audit."""
    results, test = run.results, run.results["test"] or {}
    print_text(console, notes.columns_line(results["data"]["columns"]))
    print_text(console, results["final_model"]["sentence"])
    floors = {rule.replace("_", " "): scores for rule, scores in results["floors"]["cv"].items()}
    scores = {"held-out": test, **floors}
    rows = [
        {"metric": name, **results["cv"][name], **{column: found.get(name) for column, found in scores.items()}}
        for name in SHOWN
    ]
    title = "CV: mean of the folds; right of held-out: the floors, cross-validated"
    console.print(frame_table(pl.DataFrame(rows).rename({"mean": "CV", "std": "± sd"}), title, floats=".3f"))
    for line in (
        *calibration_lines(run.config.calibration.name, results["calibration"]["cv"]),
        *certificate.number_lines(run.audit["checks"]),
    ):
        print_text(console, line)
    console.print()


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print the table, then the conclusions; a narrow terminal gets fewer columns, and JSON has all of them."""
    titles = {"nonzero": "coefs", "p_value": "p", "tied": "ties", "within_one_se": "1 SE", "beats_floor": "> floor"}
    frame = comparison.to_frame().drop("difference", "floor", "floor_p_value").rename(titles)
    labels = [label.split() for label in frame["configuration"]]
    common = [word for word in labels[0] if len(labels) > 1 and all(word in words for words in labels)]
    shown = [" ".join(word.removeprefix("penalty=") for word in words if word not in common) for words in labels]
    frame = frame.with_columns(pl.Series("configuration", shown))
    if console.width < _WIDE:
        frame = frame.drop("rank", "p", "1 SE")
    title = f"{comparison.ties.metric}: mean of the folds with its 95 % interval (low to high)"
    title += f"; all have {' '.join(common)}" if common else ""
    console.print(frame_table(frame, title, floats=".3f"))
    for name in comparison.leaking:
        print_text(console, f"left out: {name}: its audit failed", "red")
    for sentence in comparison.sentences():
        print_text(console, sentence)
