from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from fvc_exp.runs.explain.slice_scores import SCHEMA, slice_scores

RANDOM = np.random.default_rng(0)
N = 240
GROUPS = np.arange(N) // 4
Y = GROUPS % 2
FOLDS = GROUPS // 2 % 5
PROBABILITY = np.clip(0.3 * Y + 0.7 * RANDOM.random(N) + 0.02 * FOLDS, 0, 1)
IDS = [f"{row}.mp4" for row in range(N)]
PLATFORM = [("youtube", "facebook", None)[row % 3] for row in range(N)]
MANIPULATION = [("splice" if group % 4 == 1 else "blur") if y else "none" for group, y in zip(GROUPS, Y, strict=True)]
TABLE = pl.DataFrame(
    {
        "video_path": IDS,
        "group": [f"g{code}" for code in GROUPS],
        "label": np.where(Y == 1, "fake", "real"),
        "split": np.where(FOLDS == 4, "test", "cv"),
        "repeat": [None if fold == 4 else 0 for fold in FOLDS],
        "fold": [None if fold == 4 else fold for fold in FOLDS],
        "probability": PROBABILITY,
        "predicted": (PROBABILITY > 0.5).astype(np.int64),
    },
    schema_overrides={"repeat": pl.Int64, "fold": pl.Int64},
)
CV = FOLDS < 4


def scores(**slices: list[str | None]) -> dict[tuple[str, str], dict[str, object]]:
    found = slice_scores(TABLE, IDS, slices, 0.2, replicates=300)
    assert dict(found.schema) == SCHEMA
    return {(row["value"], row["split"]): row for row in found.to_dicts()}


def auc_within_folds(rows: np.ndarray) -> float:
    """By counting the pairs one by one."""
    won = pairs = 0.0
    for fake, real in itertools.product(np.flatnonzero(rows & (Y == 1)), np.flatnonzero(rows & (Y == 0))):
        if FOLDS[fake] == FOLDS[real]:
            pairs += 1
            won += (PROBABILITY[fake] > PROBABILITY[real]) + 0.5 * (PROBABILITY[fake] == PROBABILITY[real])
    return won / pairs


def test_a_slice_of_both_classes_is_scored_by_itself() -> None:
    found = scores(platform=PLATFORM)
    assert set(found) == {(value, split) for value in ("youtube", "facebook") for split in ("cv", "test")}
    rows = CV & (np.array(PLATFORM) == "youtube")
    row = found["youtube", "cv"]
    assert (row["rows"], row["groups"], row["fakes"]) == (rows.sum(), len(set(GROUPS[rows])), Y[rows].sum())
    assert row["accuracy"] == pytest.approx(np.mean((PROBABILITY[rows] > 0.5) == Y[rows]))
    assert row["recall"] == pytest.approx(np.mean(PROBABILITY[rows & (Y == 1)] > 0.5))
    assert row["recall_real"] == pytest.approx(np.mean(PROBABILITY[rows & (Y == 0)] <= 0.5))
    assert row["mean_probability"] == pytest.approx(PROBABILITY[rows].mean())
    assert row["auc"] == pytest.approx(auc_within_folds(rows))
    assert row["auc_against"] == "own rows"
    assert row["auc_low"] < row["auc"] < row["auc_high"]


def test_a_slice_of_one_class_is_scored_against_the_other_class() -> None:
    found = scores(manipulation=MANIPULATION)
    splice, none = found["splice", "cv"], found["none", "cv"]
    assert (splice["auc_against"], none["auc_against"]) == ("all real", "all fake")
    assert splice["auc"] == pytest.approx(auc_within_folds(CV & ((np.array(MANIPULATION) == "splice") | (Y == 0))))
    assert none["auc"] == pytest.approx(auc_within_folds(CV))
    assert splice["recall_real"] is None
    assert none["recall"] is None


def test_the_folds_dependence_widens_the_intervals_of_cv_alone() -> None:
    narrow, wide = (slice_scores(TABLE, IDS, {"p": PLATFORM}, dependence, replicates=300) for dependence in (0.0, 1.25))
    widths = (wide["auc_high"] - wide["auc_low"]) / (narrow["auc_high"] - narrow["auc_low"])
    by_split = dict(zip(zip(wide["split"], wide["value"], strict=True), widths, strict=True))
    assert by_split["cv", "youtube"] == pytest.approx(1.5)
    assert by_split["test", "youtube"] == pytest.approx(1.0)


def test_no_slices_give_an_empty_table() -> None:
    assert slice_scores(TABLE, IDS, {}, 0.0).is_empty()
