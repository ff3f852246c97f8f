from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fvc_exp.errors import IncompatibleError
from fvc_exp.runs.explain.path import C_VALUES, regularisation_path
from tests.conftest import Compose, run, signal_dataset


def test_the_default_values_are_two_a_decade() -> None:
    np.testing.assert_allclose(np.diff(np.log10(C_VALUES)), 0.5, atol=1e-3)
    assert (C_VALUES[0], C_VALUES[-1]) == (0.0001, 100.0)


def test_the_point_of_the_run_is_the_run(compose_config: Compose) -> None:
    result = run(compose_config("audit.permutations=0", "C=0.2"), signal_dataset())
    path = regularisation_path(result, [0.01, 1.0])
    assert path.scores["C"].to_list() == [0.01, 0.2, 1.0]
    row = path.scores.row(1, named=True)
    assert (row["mean"], row["std"]) == pytest.approx(tuple(result.summary["auc"].values()), abs=1e-12)
    assert row["standard_error"] == pytest.approx(row["std"] / np.sqrt(5))
    np.testing.assert_array_equal(path.coefficients.filter(C=0.2)["coefficient"], result.final.classifier.coef_[0])


def test_l1_frees_one_feature_after_the_other(compose_config: Compose) -> None:
    result = run(compose_config("audit.permutations=0", "penalty=l1"), signal_dataset())
    path = regularisation_path(result, [0.0001, 0.03, 1.0, 100.0])
    counts = path.scores["nonzero"].to_list()
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[-1] == 5
    assert path.scores["mean"][0] == 0.5
    sizes = path.coefficients.group_by("C").agg(size=pl.col("coefficient").abs().sum()).sort("C")["size"].to_list()
    assert sizes == sorted(sizes)


def test_without_a_penalty_there_is_no_path(compose_config: Compose) -> None:
    result = run(compose_config("audit.permutations=0", "penalty=none"), signal_dataset())
    with pytest.raises(IncompatibleError, match="penalty=none has no path over C: choose a run with penalty=l1"):
        regularisation_path(result)
