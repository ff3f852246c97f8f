"""The leakage certificate: does anything but skill link the two sides of a split?

A split fails if one group, one file or one feature vector is on both sides, if labels can be looked up in the group, or
if random labels can be learned under it. ``CODES`` lists these checks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from fvc_exp._typing import Array, Indices, Labels
from fvc_exp.config.schema import AuditConfig
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.splits import Split
from fvc_exp.evaluation.floors import fake_share_by_key
from fvc_exp.evaluation.leakage.permutation import Null, impute_and_standardise, null_distribution

CODES = {
    "group_crossing": "videos of one group are in both training and test",
    "same_file": "the same file is in both training and test, under two names",
    "near_identical": "videos in training and test have the same features within audit.tolerance",
    "label_lookup": "looking up the label of the same group in training beats the base rate",
    "leaky_null": "labels permuted between groups are learned better than by guessing",
}

_KEYS = dict(zip(CODES, ("groups", "files", "vectors", "probes", "null"), strict=True))  # of the numbers in audit.json

LOOKUP_MARGIN = 0.01  # of accuracy
_CHANCE = 0.01  # features that agree by chance more often than this do not tell videos apart
_EXAMPLES = 3  # pairs of videos that are named

Pairs = list[tuple[int, int]]


@dataclass(frozen=True)
class AuditedRows:
    """What the checks look at, one value per row; None where it is not known."""

    ids: Sequence[str]
    groups: Indices | None = None
    y: Labels | None = None
    X: Array | None = None
    content_sha256: Sequence[str | None] | None = None


@dataclass(frozen=True)
class Overlap:
    """Test rows with a counterpart in training: how many, their share of all test rows, and a few pairs by name."""

    rows: int
    share: float
    examples: tuple[str, ...]


class CheckOutcome(Enum):
    """How a check ended."""

    passed = "passed"
    failed = "failed"
    unchecked = "unchecked"


@dataclass(frozen=True)
class Check:
    """One of ``CODES``: how it ended, and its plain numbers for ``audit.json``; None if it was not possible.

    ``message`` says why it failed or was not possible; it is empty if it passed.
    """

    code: str
    outcome: CheckOutcome
    message: str
    numbers: dict[str, Any] | None = None


@dataclass(frozen=True)
class Certificate:
    """All checks of a split, in the order of ``CODES``; the verdict follows from them."""

    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """PASS, or FAIL if one check failed."""
        return "FAIL" if self.reasons else "PASS"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it fails: a code, and a sentence with the numbers."""
        return self._messages(CheckOutcome.failed)

    @property
    def not_checked(self) -> tuple[str, ...]:
        """Which checks were not possible, and why."""
        return self._messages(CheckOutcome.unchecked)

    def numbers(self, code: str) -> dict[str, Any] | None:
        """Those of one check; None if it was not possible."""
        return next(check.numbers for check in self.checks if check.code == code)

    def summary(self) -> dict[str, Any]:
        """Verdict, reasons, and what was not checked."""
        return {"verdict": self.verdict, "reasons": list(self.reasons), "not_checked": list(self.not_checked)}

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``audit.json``."""
        return {**self.summary(), "checks": {_KEYS[check.code]: check.numbers for check in self.checks}}

    def lines(self) -> Iterator[tuple[str, CheckOutcome | None]]:
        """The text for the console: each line with the outcome that it reports, None for a line of numbers."""
        yield f"audit: {self.verdict}", CheckOutcome.failed if self.reasons else CheckOutcome.passed
        yield from ((f"  {reason}", CheckOutcome.failed) for reason in self.reasons)
        for part, found in (self.numbers("label_lookup") or {}).items():
            numbers = f"accuracy {found['accuracy']:.3f}, base rate {found['base_rate']:.3f}"
            yield f"  labels looked up in the group ({part}): {numbers}", None
        if (null := self.numbers("leaky_null")) is not None:
            yield (
                (
                    f"  random labels ({null['scorer']}, {null['permutations']} permutations): "
                    f"AUC {null['mean']:.3f} ± {null['std']:.3f}; real labels: {null['observed']:.3f}, "
                    f"p = {null['p_value']:.3f}"
                ),
                None,
            )
        yield from ((f"  not checked: {reason}", CheckOutcome.unchecked) for reason in self.not_checked)

    def _messages(self, outcome: CheckOutcome) -> tuple[str, ...]:
        return tuple(check.message for check in self.checks if check.outcome is outcome)


def certify(rows: AuditedRows, split: Split, tolerance: float, null: Null | str) -> Certificate:
    """Check every part of a split; ``null`` is what permuted labels score under it, or a text: why that is not known.

    Two videos have the same features if none differs by more than ``tolerance`` standard deviations.
    """
    return Certificate(
        (
            _check_groups(rows, split),
            _check_files(rows, split),
            _check_features(rows, split, tolerance),
            _check_lookup(rows, split),
            _check_null(null),
        )
    )


def certify_run(dataset: Dataset, split: Split, audit: AuditConfig, seed: int) -> Certificate:
    """The certificate of a run, which depends on data, folds, seed and settings alone, not on its model."""
    null: Null | str = "audit.permutations=0"
    if audit.permutations:
        found = null_distribution(dataset, split, audit.permutations, seed)
        null = found or "nearly every permutation leaves a fold without one of the classes"
    groups = dataset.groups if dataset.group_column else None
    rows = AuditedRows(dataset.ids, groups, dataset.y, dataset.X, dataset.content_sha256)
    return certify(rows, split, audit.tolerance, null)


def _check_groups(rows: AuditedRows, split: Split) -> Check:
    if rows.groups is None:
        return Check("group_crossing", CheckOutcome.unchecked, "groups: no column names them")
    return _judge_overlap("group_crossing", key_overlap(rows.ids, rows.groups.tolist(), split))


def _check_files(rows: AuditedRows, split: Split) -> Check:
    if rows.content_sha256 is None or not any(rows.content_sha256):
        return Check("same_file", CheckOutcome.unchecked, "files: no column content_sha256")
    return _judge_overlap("same_file", key_overlap(rows.ids, rows.content_sha256, split))


def _check_features(rows: AuditedRows, split: Split, tolerance: float) -> Check:
    if rows.X is None:
        return Check("near_identical", CheckOutcome.unchecked, "features: there are none")
    if (overlap := feature_overlap(rows.ids, rows.X, split, tolerance)) is None:
        return Check("near_identical", CheckOutcome.unchecked, "features: too coarse to tell videos apart")
    return _judge_overlap("near_identical", overlap)


def _check_lookup(rows: AuditedRows, split: Split) -> Check:
    """Accuracy of the majority label of the same group in training (else of all), and of the majority label alone.

    One pair per part of the split: the folds (``cv``) and the held-out rows (``test``).
    """
    if rows.groups is None or rows.y is None:
        return Check("label_lookup", CheckOutcome.unchecked, "label lookup: it needs labels and groups")
    parts = {"cv": [(fold.train, fold.test) for fold in split.folds], "test": []}
    if len(split.test):
        parts["test"].append((split.development, split.test))
    found = {name: _lookup_accuracy(rows.groups, rows.y, sides) for name, sides in parts.items() if sides}
    better = [
        f"{part} accuracy {each['accuracy']:.3f}, base rate {each['base_rate']:.3f}"
        for part, each in found.items()
        if each["accuracy"] > each["base_rate"] + LOOKUP_MARGIN
    ]
    return _judge("label_lookup", "; ".join(better), found)


def _check_null(null: Null | str) -> Check:
    if isinstance(null, str):
        return Check("leaky_null", CheckOutcome.unchecked, f"random labels: {null}")
    trouble = f"AUC {null.mean:.3f} ± {null.std:.3f}" if null.leaks else ""
    return _judge("leaky_null", trouble, {"scorer": "ridge", **asdict(null)})


def _judge_overlap(code: str, overlap: Overlap) -> Check:
    trouble = ""
    if overlap.rows:
        trouble = f"in {overlap.rows} of the tests ({overlap.share:.1%}), e.g. {overlap.examples[0]}"
    return _judge(code, trouble, asdict(overlap))


def _judge(code: str, trouble: str, numbers: dict[str, Any]) -> Check:
    """Failed if there is trouble to report, else passed."""
    if not trouble:
        return Check(code, CheckOutcome.passed, "", numbers)
    return Check(code, CheckOutcome.failed, f"{code}: {CODES[code]}: {trouble}", numbers)


def _lookup_accuracy(groups: Indices, y: Labels, parts: Sequence[tuple[Indices, Indices]]) -> dict[str, float]:
    looked_up = [(fake_share_by_key(groups, y, train, test) > 0.5) == y[test] for train, test in parts]
    guessed = [(y[train].mean() > 0.5) == y[test] for train, test in parts]
    return {"accuracy": float(np.mean(np.concatenate(looked_up))), "base_rate": float(np.mean(np.concatenate(guessed)))}


def key_overlap(ids: Sequence[str], keys: Sequence[object], split: Split) -> Overlap:
    """Rows with the same key, such as a group or a hash; a row without one (None) has no counterpart."""
    known = np.array([key is not None for key in keys])
    _, codes = np.unique([str(key) for key in keys], return_inverse=True)
    pairs: Pairs = []
    for _, train, test in split.parts():
        seen, first = np.unique(codes[train[known[train]]], return_index=True)
        found = test[known[test] & np.isin(codes[test], seen)]
        place = np.searchsorted(seen, codes[found])
        pairs += zip(found.tolist(), train[known[train]][first[place]].tolist(), strict=True)
    return _overlap(ids, split, pairs)


def feature_overlap(ids: Sequence[str], X: Array, split: Split, tolerance: float) -> Overlap | None:
    """Rows of which no feature differs by more than ``tolerance`` standard deviations; X is (n, p), NaN where missing.

    Missing values are imputed by medians over all rows. None if the features are so coarse that, if they were
    independent, more than one row in a hundred would have such a counterpart by chance.
    """
    standard, _ = impute_and_standardise(X, X[:0])
    if _agree_by_chance(standard, tolerance):
        return None
    pairs: Pairs = []
    for _, train, test in split.parts():
        near = nearest_within(standard[train], standard[test], tolerance)
        pairs += zip(test[near >= 0].tolist(), train[near[near >= 0]].tolist(), strict=True)
    return _overlap(ids, split, pairs)


def nearest_within(train: Array, test: Array, tolerance: float) -> Indices:
    """For each test row its nearest training row, no feature of which is farther than the tolerance; -1 without one."""
    # A balanced tree would sort equal values again and again where a feature has few different ones.
    tree = cKDTree(train, balanced_tree=False, compact_nodes=False)
    # The bound itself is excluded.
    distance, nearest = tree.query(test, p=np.inf, distance_upper_bound=np.nextafter(tolerance, np.inf))
    return np.where(np.isfinite(distance), nearest, -1)


def _overlap(ids: Sequence[str], split: Split, pairs: Pairs) -> Overlap:
    tested = sum(len(test) for _, _, test in split.parts())
    examples = tuple(f"{ids[one]} and {ids[other]}" for one, other in pairs[:_EXAMPLES])
    return Overlap(len(pairs), len(pairs) / tested, examples)


def _agree_by_chance(X: Array, tolerance: float) -> bool:
    neighbours = [
        np.searchsorted(column, column + tolerance, "right") - np.searchsorted(column, column - tolerance) - 1
        for column in np.sort(X, axis=0).T
    ]
    chances = np.mean(neighbours, axis=1) / max(len(X) - 1, 1)
    with np.errstate(divide="ignore"):  # where all values of a feature differ, no two rows agree by chance
        return bool(np.sum(np.log(chances)) + np.log(len(X)) > np.log(_CHANCE))
