"""The leakage certificate: does anything but skill link the two sides of a split?

A split fails if it deals one group, one file or one feature vector to both sides, if labels can be looked up in the
group, or if random labels can be learned under it. ``CODES`` lists the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from fvc_exp._typing import Indices
from fvc_exp.config.schema import AuditConfig
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.splits import Split
from fvc_exp.evaluation.floors import lookup
from fvc_exp.evaluation.leakage.overlap import Crossing, crossing_keys, crossing_vectors
from fvc_exp.evaluation.leakage.permutation import Null, null_distribution, ridge_scorer


def print_certificate(console: Console, certificate: Certificate) -> None:
    """The verdict of the leakage certificate with its reasons, and what it could not check."""
    console.print(f"audit: {certificate.verdict}", style="green" if certificate.verdict == "PASS" else "bold red")
    for reason in certificate.reasons:
        console.print(f"  {reason}", style="red", soft_wrap=True, markup=False)
    for part, probe in (certificate.probes or {}).items():
        numbers = f"{probe.accuracy:.3f}, base rate {probe.base_rate:.3f}"
        console.print(f"  labels looked up in the group ({part}): accuracy {numbers}")
    if (null := certificate.null) is not None:
        console.print(
            f"  random labels ({null.scorer}, {null.permutations} permutations): AUC {null.mean:.3f} ± {null.std:.3f}; "
            f"real labels: {null.observed:.3f}, p = {null.p_value:.3f}",
            soft_wrap=True,
        )
    for what in certificate.not_checked:
        console.print(f"  not checked: {what}", style="yellow", soft_wrap=True, markup=False)


CODES = {
    "group_crossing": "videos of one group stand in training and test",
    "same_file": "one file's content stands in training and test under two names",
    "near_identical": "videos in training and test have the same features within audit.tolerance",
    "label_lookup": "looking up the label of the same group in training beats the base rate",
    "leaky_null": "labels permuted between groups are learned better than by guessing",
}


PROBE_MARGIN = 0.01  # of accuracy


@dataclass(frozen=True)
class Rows:
    """What the checks look at, one value a row; None where it is not known."""

    ids: Sequence[str]
    groups: NDArray[np.int64] | None = None
    y: NDArray[np.int64] | None = None
    X: NDArray[np.float64] | None = None
    content_sha256: Sequence[str | None] | None = None


@dataclass(frozen=True)
class Probe:
    """Accuracy of the majority label of the same group in training (else of all), and of the majority label alone."""

    accuracy: float
    base_rate: float


@dataclass(frozen=True)
class Certificate:
    """What the checks found; None where one was not possible, with the reason in ``not_checked``.

    ``probes`` are of the folds (``cv``) and of the held-out rows (``test``).
    """

    groups: Crossing | None
    files: Crossing | None
    vectors: Crossing | None
    probes: dict[str, Probe] | None
    null: Null | None
    not_checked: tuple[str, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it fails: a code, and a sentence with the numbers."""
        crossings = {"group_crossing": self.groups, "same_file": self.files, "near_identical": self.vectors}
        found = {
            code: f"in {each.rows} of the tests ({each.share:.1%}), e.g. {each.examples[0]}"
            for code, each in crossings.items()
            if each and each.rows
        }
        better = [
            f"{part} accuracy {probe.accuracy:.3f}, base rate {probe.base_rate:.3f}"
            for part, probe in (self.probes or {}).items()
            if probe.accuracy > probe.base_rate + PROBE_MARGIN
        ]
        if better:
            found["label_lookup"] = "; ".join(better)
        if self.null and self.null.leaks:
            found["leaky_null"] = f"AUC {self.null.mean:.3f} ± {self.null.std:.3f}"
        return tuple(f"{code}: {CODES[code]}: {numbers}" for code, numbers in found.items())

    @property
    def verdict(self) -> str:
        """PASS or FAIL."""
        return "FAIL" if self.reasons else "PASS"

    def summary(self) -> dict[str, Any]:
        """Verdict, reasons, and what was not checked."""
        return {"verdict": self.verdict, "reasons": list(self.reasons), "not_checked": list(self.not_checked)}

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``audit.json``."""
        checks = {key: value for key, value in asdict(self).items() if key != "not_checked"}
        return {**self.summary(), "checks": checks}


def certify(rows: Rows, split: Split, tolerance: float, null: Null | None, no_null: str) -> Certificate:
    """Check every part of a split; ``null`` is what permuted labels score under it, or ``no_null`` why that is missing.

    Two videos have the same features if none differs by more than ``tolerance`` standard deviations.
    """
    groups = files = vectors = probes = None
    not_checked = []
    if rows.groups is None:
        not_checked.append("groups: no column names them")
    else:
        groups = crossing_keys(rows.ids, rows.groups.tolist(), split)
    if rows.content_sha256 is None or not any(rows.content_sha256):
        not_checked.append("files: no column content_sha256")
    else:
        files = crossing_keys(rows.ids, rows.content_sha256, split)
    if rows.X is not None:
        vectors = crossing_vectors(rows.ids, rows.X, split, tolerance)
    if vectors is None:
        not_checked.append("features: " + ("there are none" if rows.X is None else "too coarse to tell videos apart"))
    if rows.groups is None or rows.y is None:
        not_checked.append("label lookup: it needs labels and groups")
    else:
        probes = _probes(rows.groups, rows.y, split)
    if null is None:
        not_checked.append(f"random labels: {no_null}")
    return Certificate(groups, files, vectors, probes, null, tuple(not_checked))


def certify_run(dataset: Dataset, split: Split, audit: AuditConfig, seed: int) -> Certificate:
    """The certificate of a run, which depends on data, folds, seed and settings alone, not on its model."""
    null, why = None, "audit.permutations=0"
    if audit.permutations:
        scorer = ridge_scorer(dataset.X, split)
        null = null_distribution(dataset.y, dataset.groups, split, scorer, "ridge", audit.permutations, seed)
        why = "nearly every permutation leaves a fold without one of the classes"
    groups = dataset.groups if dataset.group_column else None
    rows = Rows(dataset.ids, groups, dataset.y, dataset.X, dataset.content_sha256)
    return certify(rows, split, audit.tolerance, null, why)


def _probes(groups: NDArray[np.int64], y: NDArray[np.int64], split: Split) -> dict[str, Probe]:
    parts = {"cv": [(fold.train, fold.test) for fold in split.folds], "test": []}
    if len(split.test):
        parts["test"].append((split.development, split.test))
    return {name: _probe(groups, y, sides) for name, sides in parts.items() if sides}


def _probe(groups: NDArray[np.int64], y: NDArray[np.int64], parts: Sequence[tuple[Indices, Indices]]) -> Probe:
    looked_up = [(lookup(groups, y, train, test) > 0.5) == y[test] for train, test in parts]
    guessed = [(y[train].mean() > 0.5) == y[test] for train, test in parts]
    return Probe(float(np.mean(np.concatenate(looked_up))), float(np.mean(np.concatenate(guessed))))
