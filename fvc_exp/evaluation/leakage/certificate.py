"""The leakage certificate: does anything but skill link the two sides of a split?

A split fails if one group, one file or copies of one row are on both sides, if labels can be looked up in the group, or
if random labels can be learned under it. What else is worth knowing is a warning beside the verdict.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from fvc_exp._typing import Array, Indices, Labels, Mask
from fvc_exp.config.schema import AuditConfig
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.folds import Split
from fvc_exp.evaluation import floors, metrics
from fvc_exp.evaluation.leakage.codes import CODES, GROUPS_UNKNOWN
from fvc_exp.evaluation.leakage.copies import FEWEST_GROUPS, blank_rows, find_near_copies
from fvc_exp.evaluation.leakage.permutation import Null, null_distribution

# Of the numbers in audit.json.
_KEYS = dict(zip(CODES, ("groups", "files", "vectors", "probes", "null", "single_feature", "blank_rows"), strict=True))
LOOKUP_MARGIN = 0.01  # of accuracy
_EXAMPLES = 3  # pairs of videos that are named
SINGLE_AUC = 0.99  # of one feature, above which it is warned of
_SCREENED = 2000  # rows that each feature is first tried on
_LIKELY = 0.98  # AUC there, above which it is tried on all rows


Outcome = Literal["passed", "failed", "warned", "unchecked"]


@dataclass(frozen=True)
class AuditedRows:
    """What the checks look at, one value per row; None where it is not known."""

    ids: pl.Series
    groups: Indices | None = None
    y: Labels | None = None
    X: Array | None = None
    feature_names: Sequence[str] = ()
    content_sha256: pl.Series | None = None


@dataclass(frozen=True)
class Check:
    """One of ``CODES``: how it ended, and its plain numbers for ``audit.json``; None if it was not possible.

    ``message`` is its code and why it failed, warns or was not possible; it is empty if it passed.
    """

    code: str
    outcome: Outcome
    message: str
    numbers: dict[str, Any] | None = None


@dataclass(frozen=True)
class Certificate:
    """All checks of a split, in the order of ``CODES``; the verdict follows from them."""

    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """FAIL if one check failed, else UNCHECKED if groups are not known, else PASS."""
        if self.messages("failed"):
            return "FAIL"
        return "UNCHECKED" if GROUPS_UNKNOWN in self.messages("unchecked") else "PASS"

    def messages(self, outcome: Outcome) -> list[str]:
        """What the checks that ended so have to say: a code, and a sentence with the numbers."""
        return [check.message for check in self.checks if check.outcome == outcome]

    def summary(self) -> dict[str, Any]:
        """Verdict, why it fails, what to know beside it, and which checks were not possible."""
        outcomes: dict[str, Outcome] = {"reasons": "failed", "warnings": "warned", "not_checked": "unchecked"}
        return {"verdict": self.verdict, **{name: self.messages(outcome) for name, outcome in outcomes.items()}}

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``audit.json``."""
        return {**self.summary(), "checks": {_KEYS[check.code]: check.numbers for check in self.checks}}


def number_lines(checks: Mapping[str, Any]) -> Iterator[str]:
    """What the checks of ``audit.json`` have measured, in words."""
    for part, found in (checks.get("probes") or {}).items():
        numbers = f"accuracy {found['accuracy']:.3f}, base rate {found['base_rate']:.3f}"
        yield f"labels looked up in the group ({part}): {numbers}"
    if null := checks.get("null"):
        p_text = "" if null["p_value"] is None else f", p = {null['p_value']:.3f}"
        scores = f"AUC {null['mean']:.3f} ± {null['std']:.3f}; real labels: {null['observed']:.3f}{p_text}"
        sample = f" of {null['sampled_rows']} videos" if null.get("sampled_rows") else ""  # older runs do not say
        yield f"random labels ({null['scorer']}, {null['permutations']} permutations{sample}): {scores}"
    if copies := checks.get("vectors"):
        seen = [
            f"{'never' if share is None else f'from {100 * share:.1f} %'} (noise of {noise} sd)"
            for noise, share in copies["smallest_share"].items()
        ]
        pairs = f"{copies['pairs']} pairs among {copies['searched']} rows"
        yield f"near-copies: {pairs}; a share of copies would show {', '.join(seen)}"


def certify(rows: AuditedRows, split: Split, null: Null | str) -> Certificate:
    """Check every part of a split; ``null`` is what permuted labels score under it, or why that is not known."""
    blank = np.zeros(len(rows.ids), dtype=bool) if rows.X is None else blank_rows(rows.X)
    checks = (
        _check_groups(rows, split),
        _check_files(rows, split),
        _check_copies(rows, split, blank),
        _check_lookup(rows, split),
        _check_null(rows, null),
        _check_single_features(rows),
        _check_blank_rows(rows, blank),
    )
    return Certificate(checks)


def certify_run(dataset: Dataset, split: Split, audit: AuditConfig, seed: int) -> Certificate:
    """The certificate of a run, which depends on data, folds, seed and settings alone, not on its model."""
    null: Null | str = "audit.permutations=0"
    if audit.permutations:
        found = null_distribution(dataset, split, audit.permutations, seed)
        null = found or "nearly every permutation leaves a fold without one of the classes"
    groups = dataset.groups if dataset.group_column else None
    rows = AuditedRows(dataset.ids, groups, dataset.y, dataset.X, dataset.feature_names, dataset.content_sha256)
    return certify(rows, split, null)


def _check_groups(rows: AuditedRows, split: Split) -> Check:
    if rows.groups is None:
        return Check("group_crossing", "unchecked", GROUPS_UNKNOWN)
    return _judge_overlap("group_crossing", _find_overlap(rows.ids, rows.groups, split))


def _check_files(rows: AuditedRows, split: Split) -> Check:
    if rows.content_sha256 is None or not rows.content_sha256.count():
        return _not_possible("same_file", "no column content_sha256")
    files = rows.content_sha256.rank("dense").cast(pl.Int64).fill_null(-1)
    return _judge_overlap("same_file", _find_overlap(rows.ids, files.to_numpy(), split))


def _check_copies(rows: AuditedRows, split: Split, blank: Mask) -> Check:
    """Copies among rows of different groups, or among all rows where groups are not known."""
    if rows.X is None:
        return _not_possible("near_copies", "there are no features")
    told = np.flatnonzero(~blank)
    groups = told if rows.groups is None else rows.groups[told]
    found = find_near_copies(rows.X[told] if blank.any() else rows.X, groups)
    families = np.full(len(rows.ids), -1)
    families[told] = found.families
    overlap = _find_overlap(rows.ids, families, split)
    if not overlap["rows"] and not any(found.smallest_share.values()):
        too_few = len(np.unique(groups)) < FEWEST_GROUPS
        why = "the rows are too few, too coarse or nearly all copies of others"
        why = f"there are fewer than {FEWEST_GROUPS} groups" if too_few else why
        return _not_possible("near_copies", f"{why} to tell copies from chance; exact ones were looked for")
    pairs = len(found.distances)
    distance = [float(found.distances.min()), float(found.distances.max())] if pairs else None
    overlap |= {"pairs": pairs, "searched": found.searched, "smallest_share": found.smallest_share}
    apart = f"; {pairs} pairs, {distance[0]:.2g} to {distance[1]:.2g} sd per feature apart" if distance else ""
    return _judge_overlap("near_copies", overlap | {"distance": distance}, apart)


def _check_lookup(rows: AuditedRows, split: Split) -> Check:
    """Accuracy, in folds and held-out rows, of the majority label of the same group in training, and of all labels."""
    if rows.groups is None or rows.y is None:
        return _not_possible("label_lookup", "it needs labels and groups")
    test = [(split.development, split.test)] if len(split.test) else []
    parts = {"cv": [(fold.train, fold.test) for fold in split.folds], "test": test}
    found = {name: _lookup_accuracy(rows.groups, rows.y, sides) for name, sides in parts.items() if sides}
    better = [
        f"{part} accuracy {each['accuracy']:.3f}, base rate {each['base_rate']:.3f}"
        for part, each in found.items()
        if each["accuracy"] > each["base_rate"] + LOOKUP_MARGIN
    ]
    return _judge("label_lookup", "; ".join(better), found)


def _check_null(rows: AuditedRows, null: Null | str) -> Check:
    """The p-value is withheld where groups are not known: copies of one video would make it small."""
    if isinstance(null, str):
        return _not_possible("leaky_null", null)
    trouble = f"AUC {null.mean:.3f} ± {null.std:.3f}" if null.leaks else ""
    withheld = {"p_value": None} if rows.groups is None else {}
    return _judge("leaky_null", trouble, {"scorer": "ridge", **asdict(null), **withheld})


def _check_single_features(rows: AuditedRows) -> Check:
    """Which features alone have an AUC above 0.99, over the rows where each is known."""
    X, y = rows.X, rows.y
    if X is None or y is None:
        return _not_possible("single_feature", "it needs labels and features")
    few = np.random.default_rng(0).permutation(len(y))[:_SCREENED]
    likely = [number for number, column in enumerate(X[few].T) if _separation(column, y[few]) > _LIKELY]
    areas = {rows.feature_names[number]: _separation(X[:, number], y) for number in likely}
    found = {name: area for name, area in areas.items() if area > SINGLE_AUC}
    listed = [f"{name} (AUC {area:.3f})" for name, area in list(found.items())[:_EXAMPLES]]
    more = f" and {len(found) - _EXAMPLES} more" if len(found) > _EXAMPLES else ""
    return _judge("single_feature", ", ".join(listed) + more, {"features": found}, "warned")


def _check_blank_rows(rows: AuditedRows, blank: Mask) -> Check:
    if rows.X is None:
        return _not_possible("blank_rows", "there are no features")
    names = rows.ids.filter(blank)
    trouble = f"{len(names)} videos, e.g. {', '.join(names[:_EXAMPLES])}" if len(names) > 1 else ""
    return _judge("blank_rows", trouble, {"rows": len(names)}, "warned")


def _not_possible(code: str, why: str) -> Check:
    return Check(code, "unchecked", f"{code}: {why}")


def _find_overlap(ids: pl.Series, codes: Indices, split: Split) -> dict[str, Any]:
    """Test rows with a counterpart in training: how many, their share of all test rows, and a few pairs by name.

    Such rows have the same code (n,), such as that of a group; a row with a negative one has no counterpart.
    """
    pairs: list[tuple[int, int]] = []
    tested = rows = 0
    for _, train, test in split.parts():
        seen = np.full(codes.max() + 2, -1)  # the last place is that of rows without a code, -1
        seen[codes[train[::-1]]] = train[::-1]  # the first training row of each code
        found = test[(codes[test] >= 0) & (seen[codes[test]] >= 0)]
        tested, rows = tested + len(test), rows + len(found)
        pairs += zip(found[:_EXAMPLES].tolist(), seen[codes[found[:_EXAMPLES]]].tolist(), strict=True)
    examples = tuple(f"{ids[one]} and {ids[other]}" for one, other in pairs[:_EXAMPLES])
    return {"rows": rows, "share": rows / tested, "examples": examples}


def _judge_overlap(code: str, overlap: dict[str, Any], end: str = "") -> Check:
    trouble = ""
    if overlap["rows"]:
        trouble = f"in {overlap['rows']} of the tests ({overlap['share']:.1%}), e.g. {overlap['examples'][0]}{end}"
    return _judge(code, trouble, overlap)


def _judge(code: str, trouble: str, numbers: dict[str, Any], bad: Outcome = "failed") -> Check:
    """``bad`` if there is trouble to report, else passed."""
    if not trouble:
        return Check(code, "passed", "", numbers)
    return Check(code, bad, f"{code}: {CODES[code]}: {trouble}", numbers)


def _lookup_accuracy(groups: Indices, y: Labels, parts: Sequence[tuple[Indices, Indices]]) -> dict[str, float]:
    looked_up = [(floors.fake_share_by_key(groups, y, train, test) > 0.5) == y[test] for train, test in parts]
    guessed = [(y[train].mean() > 0.5) == y[test] for train, test in parts]
    return {"accuracy": float(np.mean(np.concatenate(looked_up))), "base_rate": float(np.mean(np.concatenate(guessed)))}


def _separation(column: Array, y: Labels) -> float:
    """0.5 where only one class is known."""
    known = ~np.isnan(column)
    if not 0 < y[known].sum() < known.sum():
        return 0.5
    area = metrics.auc(y[known], column[known])
    return max(area, 1 - area)
