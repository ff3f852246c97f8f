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
from fvc_exp.evaluation import bootstrap, claims
from fvc_exp.evaluation.leakage.codes import GROUPS_UNKNOWN, audit_mark
from fvc_exp.evaluation.metrics import calibration_lines
from fvc_exp.io import console, files, run_folder
from fvc_exp.report import run_page, sweep_page
from fvc_exp.runs import load, plots
from fvc_exp.runs.show import with_page
from fvc_exp.sweeps.folder import SweepFolder
from fvc_exp.sweeps.results import plain_runs

Content = dict[str, Any]
_MARKDOWN = re.compile(r"[\\`*_\[\]|#~]")
_MISSING = "–"
_HEADING = re.compile(r'<h2 id="([^"]+)">([^<]+)</h2>')


def write_report(path: Path, output: Path | None = None, *, checklist: bool = False) -> list[Path]:
    """Write ``report.html`` of a run or sweep, there or to ``output``, and the card of its model; returns the files.

    With ``checklist`` also ``checklist.md`` beside the report: the REFORMS items with the evidence of the run.

    Raises:
        ArtifactError: the folder is neither, is not finished, or a file of it is broken or cannot be written; or the
            checklist is asked for a sweep without a best run.
    """
    run: Content | None
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
    files.write_bytes(report, page(title, run, sweep, os.path.relpath(path, report.parent)).encode())
    if run is None:
        return [report]
    card = run_folder.RunFolder(run["files"].path).card
    files.write_bytes(card, model_card(run).encode())
    written = [report, card]
    if checklist:
        written.append(run_folder.RunFolder(report.parent).checklist)
        files.write_bytes(written[-1], reforms_checklist(run).encode())
    return written


def page(title: str, run: Content | None, sweep: Content | None, base: str) -> str:
    """The HTML of a run, or of a sweep with its best run where there is one; ``base`` is its folder in links."""
    template = _environment(autoescape=True, finalize=_shown).get_template("report.html.j2")
    style, script = Markup(_asset("style.css")), Markup(_asset("sort.js"))
    return template.render(title=title, run=run, sweep=sweep, base=base, style=style, script=script)


def model_card(run: Content) -> str:
    """The model card in Markdown; every value is escaped where it is put out, as in HTML."""
    return _markdown("model_card.md.j2", run=run)


def reforms_checklist(run: Content) -> str:
    """The REFORMS checklist (Kapoor et al. 2024) in Markdown: the evidence of the run, or that the author must write.

    Raises:
        ArtifactError: ``folds.parquet`` of the run is missing or broken.
    """
    held_out = run["files"].folds.filter(split=folds.TEST)[columns.LABEL].value_counts().sort(columns.LABEL)
    return _markdown("checklist.md.j2", run=run, held_out=dict(held_out.iter_rows()))


def _markdown(template: str, **content: Any) -> str:
    environment = _environment(autoescape=False, finalize=_escaped, keep_trailing_newline=True)
    return environment.get_template(template).render(**content)


def _environment(**settings: Any) -> Environment:
    environment = Environment(loader=PackageLoader("fvc_exp.report"), undefined=StrictUndefined, **settings)
    environment.globals |= {
        "smallest_bin": plots.SMALLEST_BIN,
        "questions": claims.QUESTIONS,
        "synthetic": load.DEMO_NOTICE,
        "calibration_lines": calibration_lines,
        "groups_unknown": GROUPS_UNKNOWN,
    }
    environment.filters |= {
        "score": _score,
        "span": _span,
        "source_hash": _source_hash,
        "setting": _setting,
        "sentence": _sentence,
        "with_page": with_page,
        "audit_mark": audit_mark,
        "indented": _indented,
        "headings": _HEADING.findall,
        "shell": lambda words: shlex.join(map(str, words)),
    }
    return environment


def _asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text()


def _source_hash(source: str) -> str:
    """The hash by which a content security policy allows exactly this inline text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def _score(value: float | None) -> str:
    return _MISSING if value is None else f"{value:z.3f}"


def _setting(value: object) -> str:
    return _MISSING if value is None else console.setting_text(value)


def _span(interval: bootstrap.Interval | None) -> str:
    if interval is None or interval.low is None:
        return _MISSING
    return f"{_score(interval.low)} to {_score(interval.high)}"


def _shown(value: object) -> object:
    """What has no value is nothing in HTML, and stands last where a column is sorted."""
    return "" if value is None else value


def _sentence(text: str) -> str:
    text = text.strip().removesuffix(".")
    return f"{text[:1].upper()}{text[1:]}."


def _escaped(value: Any) -> Any:
    """Text on one line in which Markdown, and HTML inside it, finds no markup."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    plain = _MARKDOWN.sub(r"\\\g<0>", " ".join(value.split()))
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _indented(command: str) -> Markup:
    """A line of code, where Markdown reads no markup."""
    return Markup("    " + " ".join(command.split()))
