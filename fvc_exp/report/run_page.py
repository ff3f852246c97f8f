"""Everything that the page of one run shows, ready for the template: text, numbers and pictures."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import polars as pl
from markupsafe import Markup
from matplotlib.figure import Figure

from fvc_exp.config.schema import Table
from fvc_exp.data.columns import KEY, LABEL
from fvc_exp.evaluation import bootstrap, metrics, resampled
from fvc_exp.evaluation.claims import FloorClaim, Floors
from fvc_exp.evaluation.leakage.certificate import number_lines
from fvc_exp.features.extract import COLUMNS
from fvc_exp.io.files import read_bytes
from fvc_exp.runs import curves, load, plots, show
from fvc_exp.runs.explain.explain import Insight, read_insight
from fvc_exp.training.notes import FLAGS, columns_line

Facts = tuple[tuple[str, str], ...]
JUDGED = ("auc", "average_precision", "log_loss", "brier", "balanced_accuracy", "mcc")  # against floors in words
_GRADES = {True: "good", False: "bad", None: "open"}
_MOST_MISTAKES = 10
_COLOURS = {colour: f"var(--{name})" for name, colour in plots.PALETTE.items()}
_FONT = ("font-family", "fill")  # of text; the style sheet gives them
_NUMBER = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True)
class MetricRow:
    """One metric: mean over the folds, its interval, the held-out test, and the score of each floor.

    ``claim`` compares it with the best floor on the same rows, None if that cannot be made. ``relation`` is what it
    found, in words: ``above`` or ``below`` the best floor, or ``around`` it. Above means better, also where lower
    values are. It is None for metrics that one can have in full without any skill, such as recall.
    """

    name: str
    title: str
    mean: float
    std: float | None
    interval: bootstrap.Interval | None
    test: float | None
    test_interval: bootstrap.Interval | None
    floors: dict[str, float]
    lower_is_better: bool
    claim: FloorClaim | None

    @property
    def best_floor(self) -> str:
        """The floor that is hardest to beat."""
        return (min if self.lower_is_better else max)(self.floors, key=self.floors.__getitem__)

    @property
    def relation(self) -> str | None:
        """What the comparison with the best floor found."""
        if self.claim is None:
            return None
        return "above" if self.claim.beats else "below" if self.claim.high < 0 else "around"


def run_content(files: load.LoadedRun, command: str | None = None) -> dict[str, Any]:
    """What the templates show of a run; ``command`` is the line to type for it, if not its own.

    A picture or table that is None could not be made, and the page tells why.

    Raises:
        ArtifactError: a file of its insight is missing or broken.
    """
    insight, uses = read_insight(files.path), count_test_uses(files)
    predictions = files.predictions if files.has("predictions") else None
    coefficients = files.coefficients if files.has("coefficients") else None
    rows = metric_rows(files)
    return {
        "files": files,
        "parameters": _parameters(files.results["parameters"]),
        "verdict": verdict_of(files),
        "headline": rows[0],
        "metrics": rows,
        "feature_kinds": _feature_kinds(files.results["data"]["features"]),
        "curves": () if predictions is None else _curves(predictions, files.results),
        "calibration": picture("calibration", plots.draw_calibration, files.results["calibration"]),
        "coefficients": None if coefficients is None else _coefficients(coefficients),
        "coefficient_rows": None if coefficients is None else _coefficient_rows(coefficients, insight),
        "mistakes": None if predictions is None else _mistakes(predictions),
        "insight": insight,
        "path": tuple(_path(insight)) if insight else (),
        "slices": tuple(_slices(insight.slices)) if insight else (),
        "test_uses": uses,
        "data": _data(files, uses),
        "provenance": _provenance(files),
        "commands": _commands(files, command or files.command),
    }


def metric_rows(files: load.LoadedRun) -> list[MetricRow]:
    """All metrics of a run, the headline first."""
    results, predictions = files.results, files.predictions if files.has("predictions") else None
    held_out: dict[str, float] = results["test"] or {}
    cv, test, claims = dict[str, bootstrap.Interval](), dict[str, bootstrap.Interval](), dict[str, FloorClaim]()
    if predictions is not None:
        cv = bootstrap.intervals(predictions, "cv", results["fold_dependence"], metrics=show.SHOWN)
        test = bootstrap.intervals(predictions, "test", 0.0, metrics=show.SHOWN) if held_out else {}
        scored = resampled.Scored.from_predictions(predictions, "cv")
        claims = Floors(scored, JUDGED).claims(scored, selected_from=files.selected_from)
    return [
        MetricRow(
            name=name,
            title=metrics.TITLES[name],
            mean=results["cv"][name]["mean"],
            std=results["cv"][name]["std"],
            interval=cv.get(name),
            test=held_out.get(name),
            test_interval=test.get(name),
            floors={rule: scores[name] for rule, scores in results["floors"]["cv"].items()},
            lower_is_better=metrics.direction(name) < 0,
            claim=claims.get(name),
        )
        for name in show.SHOWN
    ]


def verdict_of(files: load.LoadedRun) -> dict[str, Any]:
    """What may be claimed of a run, and how sure one can be: the ``grade`` good, bad or open.

    ``numbers`` says what the checks have measured. ``flags`` has for each code what it means and which models raise it.
    """
    results = files.results
    audit, claim, selection = results["audit"], results["claim"], results["selection"]
    details = dict.fromkeys(results["flags"], "") | results["flag_details"]
    checks = files.audit["checks"] if files.has("audit") else {}
    return {
        "numbers": tuple(number_lines(checks)),
        "grade": "bad" if audit["verdict"] == "FAIL" else _GRADES[claim["beats"]],
        "claim": f"{selection['sentence']} {claim['sentence']}" if selection else claim["sentence"],
        "flags": {code: f"{FLAGS[code]} {models and f'({models})'}".strip() for code, models in details.items()},
    }


def _parameters(known: Mapping[str, Any]) -> str:
    """The model in a few words."""
    shown = ("penalty", "C", "l1_ratio", "solver", "class_weight")
    return ", ".join(f"{name}={known[name]}" for name in shown if known.get(name) is not None)


def _feature_kinds(features: Sequence[str]) -> tuple[int, int, int]:
    """How many features are documented, forensic, and columns of the user's own tables; known by their names."""
    tables = {f"{table.prefix}{name}": table for table, names in COLUMNS.items() for name in names}
    known = [tables[name] for name in features if name in tables]
    forensic = known.count(Table.forensic)
    return len(known) - forensic, forensic, len(features) - len(known)


def _curves(*found: Any) -> tuple[Markup, Markup]:
    return picture("roc", curves.draw_roc, *found), picture("precision-recall", curves.draw_precision_recall, *found)


def _coefficients(coefficients: pl.DataFrame) -> Markup | None:
    nonzero = coefficients.filter(pl.col("feature") != plots.INTERCEPT, pl.col("coefficient") != 0)
    return picture("coefficients", plots.draw_coefficients, coefficients) if len(nonzero) else None


def _path(insight: Insight) -> Iterator[Markup]:
    if insight.path is not None:
        yield picture("path", plots.draw_path_coefficients, insight.path)
        yield picture("path-scores", plots.draw_path_scores, insight.path)


def _slices(slices: pl.DataFrame) -> Iterator[Markup]:
    scored = slices.filter(pl.col("split") == "cv", pl.col("auc").is_not_null())
    for number, rows in enumerate(scored.partition_by("slice", maintain_order=True)):
        yield picture(f"slice{number}", plots.draw_slices, rows)


def _coefficient_rows(coefficients: pl.DataFrame, insight: Insight | None) -> pl.DataFrame:
    """The table of coefficients; with insight also their group-bootstrap intervals, stability and importance."""
    table = plots.coefficient_table(coefficients)
    if insight is None:
        return table
    sampled = insight.coefficients.select("feature", "sign_stability", sampled_low="low", sampled_high="high")
    importance = insight.importance.select("feature", "importance")
    joined = table.join(sampled, on="feature", how="left", maintain_order="left")
    return joined.join(importance, on="feature", how="left", maintain_order="left")


def _mistakes(predictions: pl.DataFrame) -> pl.DataFrame:
    """The out-of-fold rows that were wrong with the most certain probability."""
    fake = pl.col(LABEL) == "fake"
    wrong = predictions.filter(pl.col("split") == "cv", (pl.col("predicted") == 1) != fake)
    error = pl.when(fake).then(1 - pl.col("probability")).otherwise("probability")
    worst = wrong.sort(error, KEY, descending=[True, False]).head(_MOST_MISTAKES)
    return worst.select(KEY, "group", LABEL, "probability")


def _data(files: load.LoadedRun, uses: int | None) -> Facts:
    data = files.results["data"]
    counts = ", ".join(f"{count} {name}" for name, count in data["class_counts"].items())
    column = data["group_column"]
    repeats = files.results["repeats"]
    cv = ", ".join(f"{name}={value}" for name, value in files.results["parameters"]["cv"].items())
    scored = f", scored by {uses} finished runs below {files.outputs}, this one included" if uses else ""
    return (
        *([("collection", data["corpus"])] if data["corpus"] else []),
        ("videos", f"{data['rows']} ({counts})"),
        ("groups", f"{data['groups']}, by the column {column!r}" if column else "none: no column names them"),
        ("columns", columns_line(data["columns"]).removeprefix("columns: ")),
        ("cross-validation", f"{len(files.fold_records)} folds on {data['development_rows']} videos, {cv}"),
        *([("repeats", f"{repeats['asked']}, {repeats['distinct']} of them distinct")] if repeats["asked"] > 1 else []),
        ("held-out test", f"{data['test_rows']} videos{scored}" if data["test_rows"] else "none"),
        ("missing values", str(sum(data["missing_values"].values()))),
        ("left out", f"{len(data['unmatched'])} videos without features"),
        ("sha256", data["sha256"]),
    )


def count_test_uses(files: load.LoadedRun) -> int | None:
    """How many finished runs below ``outputs/`` scored the same held-out videos: equal names, labels and groups.

    A sweep's copy of its best member does not count. None where nothing was held out, or the run lies elsewhere.
    """
    wanted, outputs = files.results["data"].get("test_sha256"), files.outputs
    if not wanted or outputs is None:
        return None
    runs = load.runs_below(outputs)
    # To look for the hash in the text takes a tenth of the time of parsing it.
    return sum(run.is_finished and wanted.encode() in read_bytes(run.folder.results) for run in runs)


def _provenance(files: load.LoadedRun) -> Facts:
    found, git = files.provenance, files.provenance["git"]
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items() if version)
    dirty = " with uncommitted changes" if git and git["dirty"] else ""
    return (
        ("run id", files.results["run_id"]),
        ("started", files.status.get("started", "")),
        ("ended", files.status.get("ended", "")),
        ("code", f"commit {git['commit']}{dirty}" if git else "not in a git checkout"),
        ("packages", packages),
        ("Python", found["python"]),
        ("machine", f"{found['host']}, {found['platform']}, {found['cpu_count']} cores"),
        ("working folder", found["working_folder"]),
        ("seed", str(found["seed"])),
    )


def _commands(files: load.LoadedRun, command: str | None) -> tuple[str, ...]:
    """The commands that make the run again, and compare the result bit by bit."""
    git = files.provenance["git"]
    return (
        *([f"git checkout {git['commit']}"] if git else []),
        *([command] if command else []),
        shlex.join(["fvc", "verify", str(files.path)]),
    )


def picture(name: str, draw: Callable[..., None], *args: Any, **kwargs: Any) -> Markup:
    """SVG for inside HTML of what ``draw`` draws with these arguments; ``name`` is unique in the page."""
    figure = Figure(figsize=(4.1, 4.2), layout="constrained")
    axes = figure.add_subplot()
    draw(axes, *args, **kwargs)
    plots.add_legend(figure, loc="outside lower left")
    root = ElementTree.fromstring(plots.svg_bytes(figure, name, transparent=True))
    for defs in root.findall("{*}defs"):
        for style in defs.findall("{*}style"):
            defs.remove(style)
    for element in root.iter():
        _adapt(element)
    for size in ("width", "height", "version"):
        del root.attrib[size]
    root.attrib |= {"role": "img", "aria-label": axes.get_title(loc="left")}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _adapt(element: ElementTree.Element) -> None:
    """Plain names, attributes in place of styles (which the page's policy forbids), and short numbers."""
    element.tag = element.tag.partition("}")[2]
    element.text, element.tail = element.text if element.tag == "text" else None, None
    attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    for declaration in attributes.pop("style", "").split(";"):
        key, _, value = declaration.partition(":")
        if value and not (element.tag == "text" and key.strip() in _FONT):
            attributes[key.strip()] = _COLOURS.get(value.strip(), value.strip())
    if element.tag == "g":
        attributes.pop("id", None)  # the same in every picture, and nothing refers to it
    for key in {"d", "x", "y", "transform"} & attributes.keys():
        attributes[key] = _NUMBER.sub(lambda number: f"{float(number[0]):.1f}", " ".join(attributes[key].split()))
    element.attrib.clear()
    element.attrib.update(attributes)
