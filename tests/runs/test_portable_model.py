from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.runs.portable_model import Bundle, make_bundle
from fvc_exp.training.experiment import RunResult
from tests.conftest import Compose, run, signal_dataset


@pytest.fixture(params=["penalty=l2", "penalty=l1 C=0.1", "penalty=none", "penalty=elasticnet class_weight=balanced"])
def result(request: pytest.FixtureRequest, compose_config: Compose) -> RunResult:
    dataset = signal_dataset()
    dataset.X[::9, 2] = np.nan
    return run(compose_config(*request.param.split()), dataset)


def read_back(result: RunResult) -> Bundle:
    return Bundle.from_json(json.loads(json.dumps(make_bundle(result, "id", "hash").to_json())), "model.json")


def test_predicts_as_scikit_learn(result: RunResult) -> None:
    X = np.vstack([result.dataset.X, 100 * result.dataset.X, np.full((1, result.dataset.X.shape[1]), np.nan)])
    np.testing.assert_allclose(read_back(result).probability(X), result.final.probability(X), rtol=0, atol=1e-12)


def test_survives_json(result: RunResult) -> None:
    assert read_back(result) == make_bundle(result, "id", "hash")


def test_names_what_training_has_not_seen(result: RunResult) -> None:
    bundle = read_back(result)
    row = np.nanmean(result.dataset.X[result.split.development], axis=0)
    assert bundle.outside(row) == []
    row[1], row[3] = 1e6, np.nan
    assert bundle.outside(row) == [bundle.names[1]]


def test_rows_need_exactly_the_features_of_the_model(result: RunResult) -> None:
    bundle = read_back(result)
    row: dict[str, float | None] = dict.fromkeys(bundle.names, 1.0)
    np.testing.assert_array_equal(bundle.matrix([row, {**row, bundle.names[0]: None}])[:, 0], [1.0, np.nan])
    with pytest.raises(DataError, match=r"row 2: .*missing: stage2_f4; unknown: extra"):
        bundle.matrix([row, {**{name: 1.0 for name in bundle.names[:-1]}, "extra": 2.0}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "model format 99 is not known"),
        ({"features": [{"name": "x"}]}, "is not a model of ours"),
        ({"surprise": 1}, "is not a model of ours.*surprise"),
    ],
    ids=["format", "feature", "key"],
)
def test_other_files_are_refused(compose_config: Compose, change: dict[str, object], message: str) -> None:
    content = make_bundle(run(compose_config(), signal_dataset()), "id", "hash").to_json() | change
    with pytest.raises(ArtifactError, match=message):
        Bundle.from_json(content, Path("model.json"))
