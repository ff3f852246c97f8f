"""How well kinds of videos are told apart: platform, manipulation, resolution."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from fvc_exp._typing import Array, Mask
from fvc_exp.data.columns import KEY
from fvc_exp.evaluation.bootstrap import LEVEL, REPLICATES, Scored, auc_parts, cluster_weights
from fvc_exp.evaluation.metrics import confusion

_NUMBERS = ("accuracy", "recall", "recall_real", "mean_probability", "auc", "auc_low", "auc_high")
SCHEMA = {
    **dict.fromkeys(("slice", "value", "split"), pl.String),
    **dict.fromkeys(("rows", "groups", "fakes"), pl.Int64),
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "auc_against": pl.String,
}


def slice_scores(
    predictions: pl.DataFrame,
    ids: Sequence[str],
    slices: Mapping[str, Sequence[str | None]],
    dependence: float,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pl.DataFrame:
    """Scores per value of each slice, out-of-fold (split cv) and held out (test), where it has rows.

    ``slices`` has a value, or None, for each of ``ids``. Where a value has rows of both classes, its AUC is that of
    these rows; else (a kind of manipulation has fakes only) it is against all rows of the other class, as
    ``auc_against`` says. A pair of rows counts if the same model scored both. ``auc_low`` and ``auc_high`` are a 95 %
    interval by resampling groups, widened for the folds' ``dependence`` (see ``bootstrap``). With repeats, a row counts
    once per repeat.
    """
    known = pl.DataFrame({KEY: list(ids), **{name: list(values) for name, values in slices.items()}})
    table = predictions.join(known, on=KEY, how="left", maintain_order="left")
    records = []
    for split in ("cv", "test"):
        rows = table.filter(split=split)
        if rows.is_empty():
            continue
        scored = Scored.from_predictions(rows, split)
        weights = cluster_weights(scored.strata, replicates, np.random.default_rng(seed))
        widening = np.sqrt(1 + dependence) if split == "cv" else 1.0
        for name in slices:
            for value in sorted(set(rows[name].drop_nulls())):
                here = (rows[name] == value).fill_null(value=False).to_numpy()
                scores = _scores(scored, here, weights, widening)
                records.append({"slice": name, "value": value, "split": split, **scores})
    return pl.DataFrame(records, SCHEMA)


def _scores(scored: Scored, here: Mask, weights: Array, widening: float) -> dict[str, object]:
    y, predicted = scored.y[here], scored.predicted[here]
    count = confusion(y, predicted.astype(np.float64))  # decisions as probabilities 0 and 1
    fakes, reals = count["tp"] + count["fn"], count["tn"] + count["fp"]
    return {
        "rows": len(y),
        "groups": len(np.unique(scored.groups[here])),
        "fakes": fakes,
        "accuracy": (count["tp"] + count["tn"]) / len(y),
        "recall": count["tp"] / fakes if fakes else None,
        "recall_real": count["tn"] / reals if reals else None,
        "mean_probability": float(scored.probability[here].mean()),
        **_auc(scored, here, weights, widening),
    }


def _auc(scored: Scored, here: Mask, weights: Array, widening: float) -> dict[str, object]:
    against, rows, labels = "own rows", here, np.unique(scored.y[here])
    if len(labels) == 1:
        against = "all real" if labels[0] else "all fake"
        rows = here | (scored.y != labels[0])
    exact = _within_parts(scored, rows, np.ones((len(weights), 1)))
    if np.isnan(exact[0]):
        return {"auc_against": against}
    widened = exact[0] + widening * (_within_parts(scored, rows, weights) - exact[0])
    tail = (1 - LEVEL) / 2
    low, high = np.clip(np.nanquantile(widened, [tail, 1 - tail]), 0.0, 1.0)
    return {"auc": float(exact[0]), "auc_low": float(low), "auc_high": float(high), "auc_against": against}


def _within_parts(scored: Scored, here: Mask, weights: Array) -> Array:
    """Share of the pairs of the same part that are in order, of all such pairs (replicates,); NaN without a pair."""
    won, pairs = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
    for part in np.unique(scored.parts[here]):
        rows = here & (scored.parts == part)
        known, codes = np.unique(scored.groups[rows], return_inverse=True)
        found = auc_parts(scored.y[rows], scored.probability[rows], codes, weights[known])
        won, pairs = won + found[0], pairs + found[1]
    return np.divide(won, pairs, out=np.full_like(won, np.nan), where=pairs != 0)
