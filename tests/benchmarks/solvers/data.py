"""Synthetic tables with the shape and the conditioning of video features.

A factor model gives correlated columns; every fifth column nearly repeats its neighbour, every seventh is nearly a sum
of two, every third is skewed, and each video has eleven rows that differ a little (its variants). The condition number
of X'X is about 3e2 with 26 columns and 4e3 with 50.
"""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.solvers.objective import Array, Labels

ROWS_PER_VIDEO = 11
CHUNK = 100_000
LARGE = ("20000x500", "1000000x50")
# The standard deviation of the log odds: training AUC about .64 to .79, and above .95.
SIGNAL = {"weak": 0.55, "strong": 7.0}


@dataclass(frozen=True)
class Table:
    """``X`` (n, p) as measured, not scaled; ``y`` (n,) 0 or 1; ``group`` (n,) the number of the video."""

    X: Array
    y: Labels
    group: Labels


def _loadings(columns: int, random: np.random.Generator) -> Array:
    size = max(4, columns // 5), columns
    return np.asarray(random.normal(size=size) * (random.random(size) < 0.5))


def _videos(videos: int, columns: int, random: np.random.Generator) -> Array:
    loadings = _loadings(columns, random)
    base = random.normal(size=(videos, len(loadings))) @ loadings + 0.5 * random.normal(size=(videos, columns))
    base /= base.std(axis=0)
    for column in range(4, columns, 5):
        base[:, column] = base[:, column - 1] + 0.06 * random.normal(size=videos)
    for column in range(6, columns, 7):
        both = 0.7 * base[:, column - 1] + 0.7 * base[:, column - 2]
        base[:, column] = both + 0.08 * random.normal(size=videos)
    return np.asarray(base)


EMBEDDINGS = "embeddings"
"""The signal of independent normal columns, eight of which tell something; each row is a video of its own."""


def _embeddings(rows: int, columns: int, random: np.random.Generator) -> Table:
    X = random.normal(size=(rows, columns))
    odds = X[:, :8] @ random.normal(size=8)
    return Table(X, (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int64), np.arange(rows))


def make_table(shape: str, signal: str = "weak", seed: int = 0, *, outlier: bool = False) -> Table:
    """A table of a shape as "3278x26"; ``outlier`` makes one value a million standard deviations large."""
    rows, columns = map(int, shape.split("x"))
    random = np.random.default_rng(seed)
    if signal == EMBEDDINGS:
        return _embeddings(rows, columns, random)
    base = _videos(-(-rows // ROWS_PER_VIDEO), columns, random)
    log_odds = base @ (random.normal(size=columns) * (random.random(columns) < 0.4))
    log_odds = SIGNAL[signal] * (log_odds - log_odds.mean()) / log_odds.std() - 0.3
    label = (random.random(len(base)) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
    group = np.repeat(np.arange(len(base)), ROWS_PER_VIDEO)[:rows]
    X = base[group]
    shared = _loadings(columns, random)
    shared /= np.sqrt((shared**2).sum(axis=0)) + 1e-9
    shared[:, 4::5] = shared[:, 3:-1:5]
    for start in range(0, rows, CHUNK):
        part = X[start : start + CHUNK]
        part += 0.35 * random.normal(size=(len(part), len(shared))) @ shared + 0.03 * random.normal(size=part.shape)
    X[:, ::3] = np.exp(0.4 * X[:, ::3])
    if outlier:
        X[rows // 2, 1] = 1e6 * X[:, 1].std()
    return Table(X, label[group], group)


def scaled(X: Array, rows: Labels | slice = slice(None), fitted_to: Labels | slice = slice(None)) -> Array:
    """Rows in C order, each column with the mean 0 and the deviation 1 of the rows that the scaler is fitted to."""
    return np.ascontiguousarray((X[rows] - X[fitted_to].mean(axis=0)) / X[fitted_to].std(axis=0))


def grouped_folds(table: Table, folds: int = 5) -> list[tuple[Labels, Labels]]:
    """(train, test) rows; all rows of a video are on one side, and each part has both classes."""
    from sklearn.model_selection import StratifiedGroupKFold

    return list(StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(table.X, table.y, table.group))
