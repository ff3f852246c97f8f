"""``model.json``: a fitted model as plain numbers, and its predictions, which need numpy alone."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fvc_exp._typing import Array
from fvc_exp.config.schema import Config
from fvc_exp.data.columns import CLASSES, few
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.training.calibration import IsotonicMap

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

FORMAT = 1


@dataclass(frozen=True)
class Feature:
    """One input of the model: how a missing value is filled, how it is standardised, its weight, its training range.

    ``coefficient`` is in log odds of fake per standard deviation; ``low`` and ``high`` are NaN where training had no
    value.
    """

    name: str
    fill: float
    mean: float
    scale: float
    coefficient: float
    low: float
    high: float


@dataclass(frozen=True)
class PortableModel:
    """A linear model of named features, in the order of the columns of X."""

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
        """The names of the features."""
        return tuple(feature.name for feature in self.features)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``model.json``."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: object) -> Self:
        """Read what ``to_json`` wrote; ``where`` is named in errors.

        Raises:
            ArtifactError: another format, a key is missing or unknown, or a value is not what a model may hold.
        """
        values = dict(content)
        if (found := values.pop("format", None)) != FORMAT:
            raise ArtifactError(f"{where}: model format {found!r} is not known; this version reads {FORMAT}")
        try:
            values["features"] = tuple(_feature(each) for each in values["features"])
            for name in ("classes", "feature_versions"):
                values[name] = tuple(values[name])
            if (knots := values.get("calibration")) is not None:
                values["calibration"] = IsotonicMap(**{axis: tuple(each) for axis, each in knots.items()})
            model = cls(**values)
            _check(model)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{where}: is not a model of ours: {error}") from error
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
            if not (np.isnan(value) or feature.low <= value <= feature.high)
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


def _feature(content: Mapping[str, Any]) -> Feature:
    """A range that is not known is NaN, which JSON writes as null."""
    unknown = {name: math.nan for name in ("low", "high") if content[name] is None}
    return Feature(**{**content, **unknown})


def _check(model: PortableModel) -> None:
    """Name the first value that no model of ours has."""
    if model.classes != CLASSES:
        raise ValueError(f"classes {model.classes!r}; they must be {CLASSES!r}")
    if not model.features or not all(isinstance(name, str) for name in model.names):
        raise ValueError("features must be one or more, each with its name as text")
    if len(set(model.names)) < len(model.names):
        raise ValueError("two features have the same name")
    numbers = {"intercept": model.intercept, "threshold": model.threshold}
    for feature in model.features:
        numbers |= {f"{feature.name}: {key}": value for key, value in vars(feature).items() if key != "name"}
    if model.calibration:
        x, y = model.calibration.x, model.calibration.y
        if len(x) != len(y):
            raise ValueError("calibration: x and y must be of equal length")
        numbers |= {f"calibration: knot {number}": value for number, value in enumerate((*x, *y))}
    for name, value in numbers.items():
        may_be_unknown = name.endswith((": low", ": high"))
        if type(value) not in (int, float) or not (math.isfinite(value) or may_be_unknown):
            raise ValueError(f"{name}={value!r} is no number")
        if name.endswith(": scale") and value <= 0:
            raise ValueError(f"{name}={value!r} must be above 0")
