from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from joblib import cpu_count

from fvc_exp.training.fit import fit_rows
from fvc_exp.training.shared_fits import SharedFits, points_of, read_points, write_point
from fvc_exp.training.solvers.grid import Point
from fvc_exp.training.split_dataset import make_basis
from tests.conftest import Compose, signal_dataset


@pytest.mark.parametrize("point", [Point(0.1, 1 / 3), Point(math.inf, 0.0), Point(1e-300, 1.0)])
def test_points_lose_no_digit_as_text(point: Point) -> None:
    assert read_points([write_point(point)]) == (point,)


def test_what_the_grid_does_not_hold_is_fitted_alone(compose_config: Compose) -> None:
    config = compose_config("penalty=l1", "C=0.3", "solver.tol=1e-13")
    dataset = signal_dataset()
    dataset.X[::7, 1] = np.nan
    basis = make_basis(config, dataset)
    shared = SharedFits(basis, config, points_of(config))
    rows = basis.split.folds[0].train
    cases = [(config, rows), (replace(config, C=5.0), rows), (config, rows[::-1])]
    for each, part in cases:
        found, expected = shared(each, dataset, part), fit_rows(each, dataset, part)
        np.testing.assert_allclose(found.classifier.coef_, expected.classifier.coef_, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.log_odds(dataset.X), found.pipeline.decision_function(dataset.X), atol=1e-12)
        for step, name in (("imputer", "statistics_"), ("scaler", "mean_"), ("scaler", "scale_")):
            ours, theirs = (getattr(model.pipeline.named_steps[step], name) for model in (found, expected))
            np.testing.assert_allclose(ours, theirs, rtol=1e-13)
        assert type(found.classifier) is type(expected.classifier)
        assert found.classifier.get_params() == expected.classifier.get_params()
        assert found.fitted_with == (write_point(Point(0.3, 1.0)),)


def test_what_the_grid_did_not_bring_to_the_tolerance_is_fitted_alone(compose_config: Compose) -> None:
    config, dataset = compose_config("penalty=elasticnet"), signal_dataset()
    basis = make_basis(config, dataset)
    shared = SharedFits(basis, config, points_of(config))
    shared.make()
    vars(shared)["_grid"] = replace(shared._grid, converged=np.zeros_like(shared._grid.converged))
    found = shared(config, dataset, basis.split.development)
    alone = fit_rows(config, dataset, basis.split.development)
    np.testing.assert_array_equal(found.classifier.coef_, alone.classifier.coef_)
    assert (found.converged, found.warnings) == (alone.converged, alone.warnings)


def test_no_digit_hangs_on_threads(compose_config: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    config, dataset = compose_config("penalty=elasticnet"), signal_dataset()
    basis = make_basis(config, dataset)
    found, threads = [], []
    for limit in (0, dataset.X.nbytes):
        monkeypatch.setattr("fvc_exp.training.shared_fits.THREADS_PAY", limit)
        shared = SharedFits(basis, config, [Point(C, ratio) for C in (0.01, 0.1, 1.0) for ratio in (0.0, 0.5, 1.0)])
        shared.make()
        found.append(shared._grid.coef)
        threads.append(shared._threads)
    assert threads == [min(cpu_count(), len(shared._parts)), 1]
    np.testing.assert_array_equal(*found)
