"""``model.json``: a fitted model as plain numbers, and a predictor that needs numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvc_exp.data.columns import CLASSES
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.training.calibration import IsotonicMap
from fvc_exp.training.experiment import RunResult

FORMAT = 1


@dataclass(frozen=True)
class Feature:
    """One input of the model: how a missing value is filled, how it is standardised, its weight, its training range."""

    name: str
    fill: float
    mean: float
    scale: float
    coefficient: float
    low: float
    high: float


@dataclass(frozen=True)
class Bundle:
    """A linear model of named features; ``coefficient`` is in log odds of fake a standard deviation."""

    features: tuple[Feature, ...]
    intercept: float
    threshold: float
    classes: tuple[str, ...]
    run_id: str
    data_sha256: str
    feature_versions: tuple[str, ...]
    calibration: IsotonicMap | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs in the order of the columns of X."""
        return tuple(feature.name for feature in self.features)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``model.json``."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: object) -> Bundle:
        """Read what ``to_json`` wrote.

        Raises:
            ArtifactError: another format, or a key is missing or unknown.
        """
        values = dict(content)
        if (found := values.pop("format", None)) != FORMAT:
            raise ArtifactError(f"{where}: model format {found!r} is not known; this version reads {FORMAT}")
        try:
            values["features"] = tuple(Feature(**each) for each in values["features"])
            for name in ("classes", "feature_versions"):
                values[name] = tuple(values[name])
            if values.get("calibration") is not None:
                values["calibration"] = IsotonicMap(
                    **{axis: tuple(knots) for axis, knots in values["calibration"].items()}
                )
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{where}: is not a model of ours: {error}") from error

    def matrix(self, rows: Sequence[Mapping[str, float | None]]) -> NDArray[np.float64]:
        """The named values of each row in the order of the model, NaN where a value is None; shape (n, p).

        Raises:
            DataError: a row lacks a feature, or has one that the model does not know.
        """
        for number, row in enumerate(rows, start=1):
            missing, unknown = set(self.names) - set(row), set(row) - set(self.names)
            if missing or unknown:
                raise DataError(
                    f"row {number}: the model needs exactly its {len(self.names)} features; "
                    f"missing: {', '.join(sorted(missing)) or 'none'}; unknown: {', '.join(sorted(unknown)) or 'none'}"
                )
        values = [[np.nan if (value := row[name]) is None else value for name in self.names] for row in rows]
        return np.array(values, dtype=np.float64).reshape(len(rows), len(self.names))

    def probability(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of fake for features (n, p); NaN is filled as in training."""
        fill, mean, scale, weight = (
            np.array([getattr(feature, name) for feature in self.features])
            for name in ("fill", "mean", "scale", "coefficient")
        )
        log_odds = (np.where(np.isnan(X), fill, X) - mean) / scale @ weight + self.intercept
        return self.calibrated(0.5 * (1.0 + np.tanh(0.5 * log_odds)))  # the logistic function, without overflow

    def calibrated(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """The pipeline's probabilities after isotonic calibration, or as they are where the model has none."""
        return self.calibration(probability) if self.calibration else probability

    def outside(self, row: NDArray[np.float64]) -> list[str]:
        """Names of the features of one row (p,) that lie outside what training has seen."""
        return [
            feature.name
            for feature, value in zip(self.features, row, strict=True)
            if not (np.isnan(value) or feature.low <= value <= feature.high)
        ]


def make_bundle(result: RunResult, run_id: str, data_sha256: str) -> Bundle:
    """The final model of a run."""
    final, (low, high) = result.final, result.data.ranges
    columns = zip(
        result.dataset.feature_names,
        *(
            values.tolist()
            for values in (
                final.pipeline.named_steps["imputer"].statistics_,
                final.scaler.mean_,
                final.scaler.scale_,
                final.classifier.coef_[0],
                low,
                high,
            )
        ),
        strict=True,
    )
    return Bundle(
        features=tuple(Feature(*column) for column in columns),
        intercept=float(final.classifier.intercept_[0]),
        threshold=final.threshold,
        classes=CLASSES,
        run_id=run_id,
        data_sha256=data_sha256,
        feature_versions=result.dataset.feature_versions,
        calibration=final.isotonic,
    )
