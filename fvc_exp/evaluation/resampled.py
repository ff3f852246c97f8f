"""Scored rows, and their metrics under many weights of groups at once; ``metrics.score`` gives the same one by one.

Rows of one group are near-copies, so the group is the unit that varies. Groups are resampled within strata of equal
labels, with the rescaled weights of Rao and Wu (J. Amer. Statist. Assoc. 83, 1988), which keep the variance right where
a stratum is small.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl

from fvc_exp._typing import Array, Indices, Labels, Mask
from fvc_exp.data.columns import KEY, LABEL
from fvc_exp.data.group_folds import dense_codes
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.floors import COLUMN
from fvc_exp.evaluation.metrics import divide, is_fake, log_losses, metrics_from_counts

FEWEST_GROUPS = 6  # of each class, for an interval
_ROW = (KEY, "group", LABEL, "repeat", "fold")
_RANKED = frozenset(("auc", "average_precision"))


@dataclass(frozen=True)
class GroupCounts:
    """How many groups have rows of each class, and of how many groups of equal size the information is worth.

    ``effective`` is the number of Kish (1965), (sum of sizes)^2 / sum of sizes^2, of all rows; ``effective_class`` the
    smaller one of the two classes.
    """

    reals: int
    fakes: int
    effective: float
    effective_class: float

    @classmethod
    def of(cls, y: Labels, groups: Indices) -> Self:
        """Count those of labels and group codes, both (n,)."""
        sizes = np.array([np.bincount(groups[y == label], minlength=groups.max() + 1) for label in (0, 1)], dtype=float)
        reals, fakes = np.count_nonzero(sizes, axis=1).tolist()
        return cls(reals, fakes, _kish(sizes.sum(axis=0)), min(_kish(sizes[0]), _kish(sizes[1])))

    @property
    def reason(self) -> str | None:
        """Why there is no interval; None where there is one."""
        if min(self.reals, self.fakes) >= FEWEST_GROUPS:
            return None
        return f"{self.fakes} groups of fakes and {self.reals} of reals: an interval needs {FEWEST_GROUPS} of each"


@dataclass(frozen=True)
class Scored:
    """The rows of one split of ``predictions.parquet``, each (n,).

    ``groups`` are codes from 0 on and ``strata`` (groups,) codes of the labels that a group has; ``parts`` number the
    folds (of all repeats) that a score is the mean of, ``folds`` is how many each repeat has. ``rows`` names each row,
    and has the probabilities of the floors.
    """

    y: Labels
    probability: Array
    predicted: Labels
    groups: Indices
    strata: Indices
    parts: Indices
    folds: int
    rows: pl.DataFrame

    @classmethod
    def from_predictions(cls, predictions: pl.DataFrame, split: str) -> Self:
        """The rows of ``split`` (cv or test).

        Raises:
            ArtifactError: there are none.
        """
        rows = predictions.filter(split=split)
        if rows.is_empty():
            raise ArtifactError(f"the predictions hold no row of split {split!r}")
        codes = rows.select(
            (pl.col(LABEL) == "fake").cast(pl.Int64).alias("y"),
            (pl.col("group").rank("dense").cast(pl.Int64) - 1).alias("group"),
            (pl.struct("repeat", "fold").rank("dense").cast(pl.Int64) - 1).alias("part"),
        )
        labels = codes.group_by("group").agg((pl.col("y").min() + pl.col("y").max()).alias("stratum")).sort("group")
        return cls(
            y=codes["y"].to_numpy(),
            probability=rows["probability"].to_numpy(),
            predicted=rows["predicted"].to_numpy(),
            groups=codes["group"].to_numpy(),
            strata=labels["stratum"].to_numpy(),
            parts=codes["part"].to_numpy(),
            folds=rows["fold"].n_unique(),
            rows=rows.select(*_ROW, pl.selectors.starts_with(COLUMN)),
        )

    def by_rules(self) -> dict[str, Self]:
        """The same rows with the probabilities of each floor.

        Raises:
            ArtifactError: there are none.
        """
        floors = self.rows.select(pl.selectors.starts_with(COLUMN)).to_dict()
        if not floors:
            raise ArtifactError("the predictions hold no floors; another version wrote them, run again")
        found = ((name.removeprefix(COLUMN), column.to_numpy()) for name, column in floors.items())
        return {rule: replace(self, probability=p, predicted=is_fake(p).astype(np.int64)) for rule, p in found}

    @property
    def masks(self) -> list[Mask]:
        """The rows (n,) of each part."""
        return [self.parts == part for part in range(int(self.parts.max()) + 1)]

    @property
    def group_counts(self) -> GroupCounts:
        """How many groups the rows come from."""
        return GroupCounts.of(self.y, self.groups)

    def of_model(self, predictions: pl.DataFrame, split: str) -> Self:
        """The same rows as another model scored them, by its ``predictions.parquet``.

        Raises:
            ArtifactError: it scored other rows.
        """
        own = predictions["split"] == split
        rows = {name: predictions[name].filter(own) for name in (*_ROW, "probability", "predicted")}
        if not all(rows[name].equals(self.rows[name]) for name in _ROW):
            keys, found = self.rows.select(_ROW), pl.DataFrame(rows)
            rows = keys.join(found, on=_ROW, how="left", nulls_equal=True, maintain_order="left").to_dict()
        if rows["probability"].null_count() or len(rows["probability"]) != len(self.rows):
            raise ArtifactError("predictions.parquet holds other rows than that of a run with equal folds")
        return replace(self, probability=rows["probability"].to_numpy(), predicted=rows["predicted"].to_numpy())


class Draws:
    """Scores models of equal rows under the same group ``weights`` (groups, replicates).

    What no model changes is made once.
    """

    def __init__(self, scored: Scored, weights: Array) -> None:
        self._parts = [(mask, ResampledRows(scored.y[mask], scored.groups[mask], weights)) for mask in scored.masks]

    def scores(self, scored: Scored, metrics: Sequence[str]) -> dict[str, Array]:
        """Each metric of one of the models, as the mean over the parts, under each column of the weights.

        A part without any weight of a class is left out of the mean; where no part is left, the score is NaN.
        """
        found = [rows.scores(scored.probability[mask], scored.predicted[mask], metrics) for mask, rows in self._parts]
        return {name: mean_of_parts([each[name] for each in found]) for name in metrics}


def cluster_weights(strata: Indices, replicates: int, random: np.random.Generator) -> Array:
    """Weights of groups, shape (groups, 1 + replicates); ``strata`` (groups,) names the stratum of each group.

    All weights of the first column are 1, so that it gives the score of the rows themselves; those of each other one
    have the mean 1. In a stratum of m groups, m - 1 are drawn with replacement and each draw weighs m / (m - 1). A
    stratum of one group keeps weight 1: nothing shows how it varies.
    """
    weights = np.ones((len(strata), 1 + replicates))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        size = len(members)
        if size == 1:
            continue
        cells = random.integers(size, size=(size - 1, replicates)) * replicates + np.arange(replicates)
        drawn = np.bincount(cells.ravel(), minlength=size * replicates).reshape(size, replicates)
        weights[members, 1:] = drawn * (size / (size - 1))
    return weights


def replicate_error(scores: Array) -> float:
    """Standard deviation of the scores (1 + replicates,) under ``cluster_weights``, but for the first."""
    return float(np.nanstd(scores[1:], ddof=1))


def _kish(sizes: Array) -> float:
    return float(divide(sizes.sum() ** 2, sizes @ sizes))


class ResampledRows:
    """Rows with labels and group codes, both (n,), whose groups have ``weights`` (groups, replicates)."""

    def __init__(self, y: Labels, groups: Indices, weights: Array) -> None:
        known, self._codes = dense_codes(groups)
        self._y, self._weights = y, weights[known]
        by_group = np.argsort(self._codes, kind="stable")
        self._fake, self._real = by_group[y[by_group] == 1], by_group[y[by_group] == 0]

    def scores(self, probability: Array, predicted: Labels, metrics: Sequence[str]) -> dict[str, Array]:
        """Metrics of probabilities and decisions (n,), each (replicates,).

        NaN where a metric needs a class that has no weight; another empty ratio is 0.
        """
        found: dict[str, Array] = {}
        if not _RANKED.issuperset(metrics):
            found |= _threshold_scores(self._y, probability, predicted, self._codes, self._weights)
        if "auc" in metrics:
            found["auc"] = divide(self.won(probability), self.pairs, np.nan)
        if "average_precision" in metrics:
            found["average_precision"] = _average_precision(self._y, probability, self._weights[self._codes])
        return {name: found[name] for name in metrics}

    @cached_property
    def pairs(self) -> Array:
        """Weights of all (fake, real) pairs (replicates,)."""
        counts = (np.bincount(self._codes[rows], minlength=len(self._weights)) for rows in (self._fake, self._real))
        fakes, reals = (count @ self._weights for count in counts)
        return np.asarray(fakes * reals)

    @cached_property
    def _by_class(self) -> tuple[Indices, Array, Indices, Array]:
        """Where the groups of fakes start, and their weights; the codes of the groups of reals, and their weights."""
        fakes, starts = np.unique(self._codes[self._fake], return_index=True)
        reals, codes = np.unique(self._codes[self._real], return_inverse=True)
        return starts, self._weights[fakes], codes, self._weights[reals]

    def won(self, probability: Array) -> Array:
        """Weights of the (fake, real) pairs in which the fake has the higher probability, ties half (replicates,)."""
        if np.ptp(probability) == 0:
            return self.pairs / 2
        order, fake = np.argsort(probability[self._real], kind="stable"), self._fake
        real, is_by_replicate = self._real[order], self._weights.shape[1] < len(self._weights)  # the smaller matrix
        if is_by_replicate:
            fake = fake[np.argsort(probability[fake])]  # what is looked up one after the other then lies side by side
        first, last = (np.searchsorted(probability[real], probability[fake], side) for side in ("left", "right"))
        if is_by_replicate:
            won, rows = [], np.zeros(len(real) + 1)
            for weights in np.ascontiguousarray(self._weights.T):
                np.cumsum(weights[self._codes[real]], out=rows[1:])
                won.append(weights[self._codes[fake]] @ (rows[first] + rows[last]) / 2)
            return np.array(won)
        fake_starts, fake_weights, real_codes, real_weights = self._by_class
        below = np.zeros((len(real) + 1, len(real_weights)))
        below[np.arange(1, len(real) + 1), real_codes[order]] = 1
        np.cumsum(below, axis=0, out=below)
        pairs = np.add.reduceat(below[first] + below[last], fake_starts, axis=0) / 2
        return np.asarray(np.einsum("gb,gb->b", fake_weights, pairs @ real_weights))


def mean_of_parts(parts: Sequence[Array]) -> Array:
    """Mean over the parts (replicates,) that are not NaN; NaN where all are."""
    table = np.stack(parts)
    known = ~np.isnan(table)
    return divide(np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64), np.nan)


def _average_precision(y: Labels, probability: Array, weights: Array) -> Array:
    """From the weights of fakes and of reals at each distinct probability, from the highest down."""
    order = np.argsort(-probability, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(probability[order]) != 0])
    ordered, is_fake_row = weights[order], y[order][:, None]
    fake, real = (np.add.reduceat(ordered * share, starts, axis=0) for share in (is_fake_row, 1 - is_fake_row))
    fake_above = np.cumsum(fake, axis=0)
    precision = divide(fake_above, fake_above + np.cumsum(real, axis=0))
    return divide((fake * precision).sum(axis=0), fake_above[-1], np.nan)


def _threshold_scores(
    y: Labels, probability: Array, predicted: Labels, codes: Labels, weights: Array
) -> dict[str, Array]:
    def total(values: Array | Mask) -> Array:
        return np.asarray(np.bincount(codes, weights=values, minlength=len(weights)) @ weights)

    counts = np.stack([total(2 * y + predicted == cell) for cell in range(4)])
    everything = counts.sum(axis=0)
    return {
        **metrics_from_counts(counts),
        "log_loss": divide(total(log_losses(y, probability)), everything, np.nan),
        "brier": divide(total((probability - y) ** 2), everything, np.nan),
    }
