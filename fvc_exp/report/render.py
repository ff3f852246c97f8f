"""The report of a run or sweep: one HTML file that needs nothing else, and the model card."""

import base64
import hashlib
import os
import re
import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fvc_exp.data import columns, folds
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation import bootstrap, claims, metrics
from fvc_exp.evaluation.leakage.codes import GROUPS_UNKNOWN, audit_mark
from fvc_exp.io import console, files, run_folder
from fvc_exp.report import run_page, sweep_page
from fvc_exp.runs import load, plots, show
from fvc_exp.sweeps.folder import SweepFolder
from fvc_exp.sweeps.results import plain_runs

_MARKDOWN = re.compile(r"[\\`*_\[\]|#~]")
_MISSING = "–"
_HEADING = re.compile(r'<h2 id="([^"]+)">([^<]+)</h2>')


def write_report(path: Path, output: Path | None = None, *, checklist: bool = False) -> list[Path]:
    """Write ``report.html`` of a run or sweep, there or to ``output``, and the card of its model; returns the files.

    With ``checklist`` also ``checklist.md`` beside the report: the REFORMS items (Kapoor et al. 2024) with the evidence
    of the run, or that the author must write.

    Raises:
        ArtifactError: the folder is neither, is not finished, or a file of it is broken or cannot be written; or the
            checklist is asked for a sweep without a best run.
    """
    run: dict[str, Any] | None
    if SweepFolder(path).plan.exists() or plain_runs(path):
        sweep = sweep_page.sweep_content(path)
        run, title = sweep["best"], f"Sweep {path.resolve().name}"
    elif run_folder.RunFolder(path).status.exists():
        sweep, run = None, run_page.run_content(load.require_finished(path))
        title = f"Run {run['files'].name}"
    else:
        raise ArtifactError(f"{path}: is neither a run nor a sweep: it holds no status.json, no plan.json and no runs")
    if checklist and run is None:
        raise ArtifactError(f"{path}: has no best run yet, so there is nothing to fill the checklist with")
    report = output or run_folder.RunFolder(path).report
    # What has no value is nothing in HTML, and stands last where a column is sorted.
    environment = _environment(autoescape=True, finalize=lambda value: "" if value is None else value)
    base = os.path.relpath(path, report.parent)  # the folder in links
    html = environment.get_template("report.html.j2").render(title=title, run=run, sweep=sweep, base=base)
    files.write_bytes(report, html.encode())
    if run is None:
        return [report]
    written = [report, run_folder.RunFolder(run["files"].path).card]
    _write_markdown(written[1], "model_card.md.j2", run=run)
    if checklist:
        written.append(run_folder.RunFolder(report.parent).checklist)
        held_out = run["files"].folds.filter(split=folds.TEST)[columns.LABEL].value_counts().sort(columns.LABEL)
        _write_markdown(written[2], "checklist.md.j2", run=run, held_out=dict(held_out.iter_rows()))
    return written


def _write_markdown(path: Path, template: str, **content: Any) -> None:
    """Every value is escaped where it is put out, as in HTML."""
    environment = _environment(autoescape=False, finalize=_escaped, keep_trailing_newline=True)
    files.write_bytes(path, environment.get_template(template).render(**content).encode())


def _environment(**settings: Any) -> Environment:
    environment = Environment(loader=PackageLoader("fvc_exp.report"), undefined=StrictUndefined, **settings)
    environment.globals |= {
        "smallest_bin": plots.SMALLEST_BIN,
        "questions": claims.QUESTIONS,
        "synthetic": load.DEMO_NOTICE,
        "calibration_lines": metrics.calibration_lines,
        "groups_unknown": GROUPS_UNKNOWN,
    }
    environment.filters |= {
        "score": _score,
        "span": _span,
        # By which a content security policy allows exactly this inline text.
        "source_hash": lambda text: f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}",
        "setting": _setting,
        "sentence": _sentence,
        "with_page": show.with_page,
        "audit_mark": audit_mark,
        "indented": lambda text: Markup("    " + " ".join(text.split())),  # a line of code, without markup
        "headings": _HEADING.findall,
        "shell": lambda words: shlex.join(map(str, words)),
    }
    return environment


def _score(value: float | None) -> str:
    return _MISSING if value is None else f"{value:z.3f}"


def _setting(value: object) -> str:
    return _MISSING if value is None else console.setting_text(value)


def _span(interval: bootstrap.Interval | None) -> str:
    return (
        _MISSING if interval is None or interval.low is None else f"{_score(interval.low)} to {_score(interval.high)}"
    )


def _sentence(text: str) -> str:
    text = text.strip().removesuffix(".")
    return f"{text[:1].upper()}{text[1:]}."


def _escaped(value: Any) -> Any:
    """Text on one line in which Markdown, and HTML inside it, finds no markup."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    plain = _MARKDOWN.sub(r"\\\g<0>", " ".join(value.split()))
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
