"""``model.json``: a fitted model as plain numbers, and its predictions, which need numpy alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta

from fvc_exp._typing import Array
from fvc_exp.config.schema import Config
from fvc_exp.data.columns import CLASSES, few
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.io import files
from fvc_exp.training.calibration import IsotonicMap

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Feature:
    """One input of the model: how a missing value is filled, how it is standardised, its weight, its training range.

    ``coefficient`` is in log odds of fake per standard deviation; ``low`` and ``high`` are NaN, or None in a file,
    where training had no value.
    """

    name: str
    fill: float
    mean: float
    scale: Annotated[float, Meta(gt=0)]
    coefficient: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class PortableModel:
    """A linear model of named features, in the order of the columns of X; its fields are those of ``model.json``."""

    format: Literal[1] = 1
    features: Annotated[tuple[Feature, ...], Meta(min_length=1)]
    intercept: float
    threshold: Annotated[float, Meta(ge=0, le=1)]
    classes: tuple[str, str]
    run_id: str
    data_sha256: str
    feature_versions: tuple[str, ...]
    calibration: IsotonicMap | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(feature.name for feature in self.features)

    @classmethod
    def from_json(cls, content: bytes, where: object) -> "PortableModel":
        """Read the content of ``model.json``; ``where`` is named in errors.

        Raises:
            ArtifactError: another format, a key is missing, or a value is not what a model may hold.
        """
        model: PortableModel = files.decode_json(content, where, cls)
        if model.classes != CLASSES:
            raise ArtifactError(f"{where}: classes {model.classes!r}; they must be {CLASSES!r}")
        if len(set(model.names)) < len(model.names):
            raise ArtifactError(f"{where}: two features have the same name")
        if (knots := model.calibration) and not (len(knots.x) == len(knots.y) > 0 and list(knots.x) == sorted(knots.x)):
            raise ArtifactError(f"{where}: calibration: x and y must be of equal length, and x must not fall")
        return model

    def row(self, values: Mapping[str, float | None]) -> Array:
        """The values of the model's features in its order, shape (p,); NaN for None, other values are left out.

        Raises:
            DataError: a feature of the model is not among the values.
        """
        if missing := [name for name in self.names if name not in values]:
            raise DataError(
                f"the model was trained on {len(missing)} features that are not measured here: {few(missing)}; "
                "it can only be applied to tables that hold them"
            )
        return np.array([np.nan if (value := values[name]) is None else value for name in self.names])

    def probability(self, X: Array) -> Array:
        """Probability of fake for features (n, p), shape (n,); NaN is filled as in training."""
        fill, mean, scale, weight = (self._column(name) for name in ("fill", "mean", "scale", "coefficient"))
        log_odds = (np.where(np.isnan(X), fill, X) - mean) / scale @ weight + self.intercept
        probability = 0.5 * (1.0 + np.tanh(0.5 * log_odds))  # the logistic function, without overflow
        return self.calibration(probability) if self.calibration else probability

    def outside(self, row: Array) -> list[str]:
        """Names of the features of one row (p,) that lie outside the range of the training rows."""
        return [
            feature.name
            for feature, value in zip(self.features, row, strict=True)
            if not np.isnan(value)
            and (feature.low is None or feature.high is None or not feature.low <= value <= feature.high)
        ]

    def to_pipeline(self, config: Config) -> "Pipeline":
        """The model as scikit-learn's Pipeline, as if fitted with this configuration; without isotonic calibration."""
        from fvc_exp.training.pipeline import build_pipeline, fitted_classifier

        pipeline = build_pipeline(config)
        pipeline.set_params(classifier=fitted_classifier(config, self._column("coefficient"), self.intercept))
        imputer, scaler = pipeline.named_steps["imputer"], pipeline.named_steps["scaler"]
        imputer.fit([self._column("fill")])  # the median of one row is that row
        imputer.feature_names_in_ = np.array(self.names, dtype=object)
        scaler.mean_, scaler.scale_ = self._column("mean"), self._column("scale")
        scaler.var_, scaler.n_features_in_ = scaler.scale_**2, len(self.features)
        return pipeline

    def _column(self, name: str) -> Array:
        return np.array([getattr(feature, name) for feature in self.features])
