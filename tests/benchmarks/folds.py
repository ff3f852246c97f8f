"""Dealing groups into folds, ours and scikit-learn's in turn: ``python -m tests.benchmarks.folds``.

Rows lie in groups of 11 with labels that are constant in a group, or in groups as unequal as the cascades of the Fake
Video Corpus (median 7, largest 223) with mixed labels. Printed are CPU seconds, their ratio, and how even the folds
are: the deviation over folds of the share of each class's rows (the mean of both classes), and of the size of a fold.
"""

import json
import time
from collections.abc import Callable

import numpy as np

from fvc_exp._typing import Indices
from fvc_exp.data.group_folds import stratified_group_folds
from tests.data.test_group_folds import class_counts, sklearn_folds, spreads

FOLDS = 5
ROUNDS = {60_000: 3, 1_000_000: 1}


def rows_of(kind: str, n: int, random: np.random.Generator) -> tuple[Indices, Indices]:
    """Labels and groups of about n rows."""
    if kind == "groups of 11":
        groups = np.arange(n) // 11
        return (random.random(groups[-1] + 1) < 0.4).astype(np.int64)[groups], groups
    sizes = np.clip(np.round(np.exp(random.normal(np.log(7), 1.1, n // 12))).astype(np.int64), 1, 223)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return (random.random(len(groups)) < 0.4).astype(np.int64), groups


def main() -> None:
    """Measure and print JSON."""
    found = []
    for n, rounds in ROUNDS.items():
        for kind in ("groups of 11", "cascades"):
            y, groups = rows_of(kind, n, np.random.default_rng(0))
            dealers: dict[str, Callable[..., list[Indices]]] = {
                "ours": stratified_group_folds,
                "scikit-learn": sklearn_folds,
            }
            seconds: dict[str, list[float]] = {who: [] for who in dealers}
            even = {}
            for seed in range(rounds):
                for who, deal in dealers.items():
                    began = time.process_time()
                    folds = deal(y, groups, FOLDS, seed)
                    seconds[who].append(time.process_time() - began)
                    even[who] = dict(zip(("classes", "size"), spreads(class_counts(y, folds)), strict=True))
            median = {who: float(np.median(each)) for who, each in seconds.items()}
            ratio = median["scikit-learn"] / median["ours"]
            facts = {"rows": len(y), "groups": int(groups[-1]) + 1, "kind": kind}
            found.append({**facts, "cpu_seconds": median, "ratio": ratio, "spread": even})
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
