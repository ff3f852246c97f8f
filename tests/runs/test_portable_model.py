import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from fvc_exp.config.hydra_app import compose_configs
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.runs.artifacts import portable_model
from fvc_exp.runs.portable_model import PortableModel
from fvc_exp.training.experiment import RunResult
from tests.conftest import run, signal_dataset

FEATURE = {"name": "x", "fill": 0.0, "mean": 0.0, "scale": 1.0, "coefficient": 1.0, "low": 0.0, "high": 1.0}
CONTENT = {
    **{"format": 1, "features": [FEATURE], "intercept": 0.0, "threshold": 0.5, "classes": ["real", "fake"]},
    **{"run_id": "id", "data_sha256": "hash", "feature_versions": ["1"], "calibration": None},
}


FITTED = ("penalty=l2", "penalty=l1 C=0.1", "penalty=none", "penalty=elasticnet class_weight=balanced",
          "calibration=sigmoid threshold=f1", "calibration=isotonic threshold=youden", "threshold=f1")  # fmt: skip


@pytest.fixture(params=FITTED, scope="module")
def result(request: pytest.FixtureRequest) -> RunResult:
    dataset = signal_dataset()
    dataset.X[::9, 2] = np.nan
    (config,) = compose_configs([["audit.permutations=0", *request.param.split()]])
    return run(config, dataset)


def from_plain(content: dict[str, object]) -> PortableModel:
    return PortableModel.from_json(json.dumps(content).encode(), "model.json")


def read_back(result: RunResult) -> PortableModel:
    return from_plain(asdict(portable_model(result)))


def test_predicts_as_scikit_learn(result: RunResult) -> None:
    X = np.vstack([result.dataset.X, 100 * result.dataset.X, np.full((1, result.dataset.X.shape[1]), np.nan)])
    np.testing.assert_allclose(read_back(result).probability(X), result.final.probability(X), rtol=0, atol=1e-12)
    assert read_back(result).threshold == result.final.threshold
    assert read_back(result) == portable_model(result)


def test_names_what_training_has_not_seen(result: RunResult) -> None:
    model = read_back(result)
    row = np.nanmean(result.dataset.X[result.split.development], axis=0)
    assert model.outside(row) == []
    row[1], row[3] = 1e6, np.nan
    assert model.outside(row) == [model.names[1]]


def test_a_feature_without_any_value_in_training_has_no_range() -> None:
    model = from_plain({**CONTENT, "features": [{**FEATURE, "low": None, "high": None}]})
    assert model.outside(np.zeros(1)) == ["x"]
    assert model.outside(np.array([np.nan])) == []


def test_a_row_needs_all_features_of_the_model() -> None:
    model = from_plain({**CONTENT, "features": [FEATURE, {**FEATURE, "name": "y"}]})
    np.testing.assert_array_equal(model.row({"extra": 2.0, "y": None, "x": 1.0}), [1.0, np.nan])
    with pytest.raises(DataError, match="trained on 1 features that are not measured here: y;"):
        model.row({"x": 1.0})


WRONG = [
    ({"format": 99}, r"Invalid enum value 99 - at \$\.format"),
    ({"features": [{"name": "x"}]}, r"missing required field fill - at \$\.features\[0\]"),
    ({"features": []}, r"length >= 1 - at \$\.features"),
    ({"features": 3}, "Expected array, got int"),
    ({"features": [{**FEATURE, "coefficient": "1"}]}, r"Expected float, got str - at \$\.features\[0\]\.coefficient"),
    ({"features": [{**FEATURE, "fill": None}]}, "Expected float, got null"),
    ({"features": [{**FEATURE, "scale": 0.0}]}, r"> 0.0 - at \$\.features\[0\]\.scale"),
    ({"features": [{**FEATURE, "name": 3}]}, "Expected str, got int"),
    ({"features": [FEATURE, FEATURE]}, "two features have the same name"),
    ({"intercept": math.inf}, "malformed"),
    ({"threshold": [0.5]}, "Expected float, got array"),
    ({"threshold": 1.5}, r"<= 1.0 - at \$\.threshold"),
    ({"classes": ["fake", "real"]}, "they must be"),
    ({"calibration": {"x": [0.1], "y": []}}, "x and y must be of equal length"),
    ({"calibration": {"x": [0.2, 0.1], "y": [0.5, 0.6]}}, "x must not fall"),
    ({"calibration": {"x": ["a"], "y": [0.5]}}, r"Expected float, got str - at \$\.calibration\.x\[0\]"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_other_files_are_refused(change: dict[str, object], message: str) -> None:
    assert from_plain(CONTENT).names == ("x",)
    with pytest.raises(ArtifactError, match=f"model.json: .*{message}"):
        from_plain(CONTENT | change)
