"""Whether a probability of 0.7 is right seven times in ten: reliability curve, its error, Brier decomposition."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fvc_exp._typing import Array, Labels

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Rows of neighbouring probabilities: their number, mean probability of fake and share of fakes."""

    count: int
    probability: float
    fakes: float


@dataclass(frozen=True)
class Reliability:
    """Calibration of probabilities, from bins of about equal numbers of rows.

    ``ece`` is the expected calibration error, the mean distance of a bin's probability from its share of fakes (Naeini
    et al. 2015). ``brier = reliability - resolution + uncertainty + within_bins`` (Murphy 1973; the last term, from
    Stephenson et al. 2008, is what rows of one bin differ in). Small reliability and large resolution are good.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float
    ece: float
    curve: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``results.json``."""
        return asdict(self)


def reliability(y: Labels, probability: Array, bins: int = BINS) -> Reliability:
    """Compare probabilities of fake (n,) with labels (n,); equal probabilities share a bin, so there may be fewer."""
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    number = np.searchsorted(edges, probability, side="left")
    counts = np.bincount(number)
    filled = counts > 0
    counts = counts[filled]
    predicted = np.bincount(number, weights=probability)[filled] / counts
    observed = np.bincount(number, weights=y)[filled] / counts
    share, base = counts / len(y), float(np.mean(y))
    brier = float(np.mean((probability - y) ** 2))
    distance = float(np.sum(share * (predicted - observed) ** 2))
    resolution = float(np.sum(share * (observed - base) ** 2))
    uncertainty = base * (1 - base)
    return Reliability(
        brier=brier,
        reliability=distance,
        resolution=resolution,
        uncertainty=uncertainty,
        within_bins=brier - (distance - resolution + uncertainty),
        ece=float(np.sum(share * np.abs(predicted - observed))),
        curve=tuple(
            Bin(int(count), float(mean), float(fakes))
            for count, mean, fakes in zip(counts, predicted, observed, strict=True)
        ),
    )
