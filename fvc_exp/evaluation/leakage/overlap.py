"""Test rows that have a counterpart in training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fvc_exp.data.folds import Split

_EXAMPLES = 3  # pairs of videos that are named


@dataclass(frozen=True)
class Overlap:
    """Test rows with a counterpart in training: how many, their share of all test rows, and a few pairs by name."""

    rows: int
    share: float
    examples: tuple[str, ...]


def key_overlap(ids: Sequence[str], keys: Sequence[object], split: Split) -> Overlap:
    """Rows with the same key, such as a group or a hash; a row without one (None) has no counterpart."""
    known = np.array([key is not None for key in keys])
    _, codes = np.unique([str(key) for key in keys], return_inverse=True)
    pairs: list[tuple[int, int]] = []
    for _, train, test in split.parts():
        keyed = train[known[train]]
        seen, first = np.unique(codes[keyed], return_index=True)
        found = test[known[test] & np.isin(codes[test], seen)]
        pairs += zip(found.tolist(), keyed[first[np.searchsorted(seen, codes[found])]].tolist(), strict=True)
    tested = sum(len(test) for _, _, test in split.parts())
    examples = tuple(f"{ids[one]} and {ids[other]}" for one, other in pairs[:_EXAMPLES])
    return Overlap(len(pairs), len(pairs) / tested, examples)
