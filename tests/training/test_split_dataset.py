import math
from dataclasses import replace

import numpy as np
import pytest

from fvc_exp.training.pipeline import fit_pipeline
from fvc_exp.training.solvers.grid import Point, numerical_libraries
from fvc_exp.training.split_dataset import SplitDataset, grid_key, points_of, read_points, write_point
from tests.conftest import Compose, signal_dataset


@pytest.mark.parametrize("point", [Point(0.1, 1 / 3), Point(math.inf, 0.0), Point(1e-300, 1.0)])
def test_points_lose_no_digit_as_text(point: Point) -> None:
    assert read_points([write_point(point)]) == (point,)


def test_fits_that_are_shared_equal_those_alone(compose_config: Compose) -> None:
    """The second and third case are not in the grid: another C, and rows in another order."""
    config = compose_config("penalty=l1", "C=0.3", "solver.tol=1e-13")
    dataset = signal_dataset()
    dataset.X[::7, 1] = np.nan
    alone, shared = SplitDataset.of(config, dataset), SplitDataset.of(config, dataset)
    shared.fit_together(config, points_of(config))
    rows = shared.split.folds[0].train
    for each, part in [(config, rows), (replace(config, C=5.0), rows), (config, rows[::-1])]:
        found, expected = shared.fit(each, part), alone.fit(each, part)
        np.testing.assert_allclose(found.classifier.coef_, expected.classifier.coef_, rtol=0, atol=1e-6)
        for ours, theirs in zip(found.standard, expected.standard, strict=True):
            known = ~np.isnan(theirs)  # no value of other columns is missing, so that no fold needs their medians
            assert known[1]
            np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-13)
        assert type(found.classifier) is type(expected.classifier)
        assert found.classifier.get_params() == expected.classifier.get_params()
        assert (found.fitted_with, expected.fitted_with) == ((Point(0.3, 1.0),), ())


def test_folds_of_a_large_table_share_passes_and_fit_again_to_the_last_digit(compose_config: Compose) -> None:
    config, dataset = compose_config("penalty=l1"), signal_dataset(3_500, 3, 125, between=3.0, shift=0.1)
    data = SplitDataset.of(config, dataset)
    for rows in (data.split.folds[1].train, data.split.development):
        with numerical_libraries().limit(limits=1):  # as in a run
            found, expected = data.fit(config, rows), fit_pipeline(config, dataset.X[rows], dataset.y[rows])
        assert (found.fitted_with, found.is_shared, found.rows) == (points_of(config), False, len(rows))
        np.testing.assert_allclose(found.weights, expected.weights, rtol=0, atol=1e-4)
        np.testing.assert_allclose(found.standard[1:], expected.standard[1:], rtol=1e-10, atol=1e-14)
        with numerical_libraries().limit(limits=2):
            again = SplitDataset.of(config, dataset).refitted(config, found.fitted_with).fit(config, rows)
        np.testing.assert_array_equal(again.weights, found.weights)


def test_what_did_not_reach_the_tolerance_together_is_fitted_alone(compose_config: Compose) -> None:
    config, dataset = compose_config("penalty=elasticnet"), signal_dataset()
    data = SplitDataset.of(config, dataset)
    alone = data.fit(config, data.split.development)
    data.fit_together(config, points_of(config))
    for part in data.shared_fits[grid_key(config)].parts.values():
        part.fits.update({point: replace(fit, converged=False) for point, fit in part.fits.items()})
    found = data.fit(config, data.split.development)
    np.testing.assert_array_equal(found.classifier.coef_, alone.classifier.coef_)
    assert (found.converged, found.warnings) == (alone.converged, alone.warnings)


def test_held_out_rows_are_known_by_name_and_missing_values_by_class(compose_config: Compose) -> None:
    dataset = signal_dataset()
    dataset.X[:3, 0] = np.nan  # the first group, whose label is real
    facts = SplitDataset.of(compose_config(), dataset).data_facts
    assert facts["missing_by_class"] == {"real": 3, "fake": 0}
    others = replace(dataset, X=dataset.X[:, :2], feature_names=dataset.feature_names[:2])
    found = [SplitDataset.of(compose_config(seed), others).data_facts["test_sha256"] for seed in ("seed=42", "seed=1")]
    assert found[0] == facts["test_sha256"] != found[1]
    assert SplitDataset.of(compose_config("cv.test_size=0"), dataset).data_facts["test_sha256"] is None
