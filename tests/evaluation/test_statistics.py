import numpy as np
import pytest
from scipy import stats

from fvc_exp.evaluation.statistics import corrected_t_test, difference_test, holm, standard_error

DIFFERENCES = np.array([0.02, -0.01, 0.03, 0.015, 0.04])


def test_without_correction_it_is_the_paired_t_test_and_with_one_as_by_hand() -> None:
    assert corrected_t_test(DIFFERENCES, 0.0) == pytest.approx(stats.ttest_1samp(DIFFERENCES, 0.0).pvalue)
    # mean .019, sample variance .000355, (1/5 + 1/4) * variance = .00015975, t = .019 / .012639 = 1.50327
    assert corrected_t_test(DIFFERENCES, 0.25) == pytest.approx(2 * stats.t.sf(1.50327, 4), abs=1e-5)


@pytest.mark.parametrize(("values", "expected"), [(np.zeros(5), 1.0), (np.full(5, 0.25), 0.0)], ids=["equal", "shift"])
def test_differences_that_do_not_vary(values: np.ndarray, expected: float) -> None:
    assert corrected_t_test(values, 0.25) == expected


ADJUSTED = {
    "four": ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
    "capped": ([0.5, 0.9], [1.0, 1.0]),
    "one": ([0.02], [0.02]),
    "none": ([], []),
}


@pytest.mark.parametrize(("raw", "adjusted"), ADJUSTED.values(), ids=ADJUSTED)
def test_holm(raw: list[float], adjusted: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(raw)), adjusted)


def test_repeats_do_not_shrink_the_standard_error() -> None:
    once = np.array([0.6, 0.7, 0.65, 0.8, 0.75])
    assert standard_error(once, 5) == pytest.approx(stats.sem(once))
    assert standard_error(np.tile(once, 4), 5) == pytest.approx(stats.sem(once), rel=0.11)


@pytest.mark.parametrize("family", [1, 28])
@pytest.mark.parametrize("difference", [-0.3, 0.05, 0.1, 0.2])
def test_p_value_and_interval_of_a_difference_agree(difference: float, family: int) -> None:
    low, high, p_value = difference_test(difference, 0.05, 12, family)
    assert p_value == pytest.approx(min(1.0, family * stats.t.sf(difference / 0.05, 12)))
    assert (low > 0) == (p_value < 0.05)
    assert (low, high) == pytest.approx(stats.t.interval(1 - 0.1 / family, 12, difference, 0.05))
    assert difference_test(difference, 0.0, 10) == (difference, difference, 1.0), "where nothing varies"


def test_equal_repeats_count_once() -> None:
    """Five differences with p = .130 by themselves have p = .016 if five times the same folds count as 25."""
    once = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    once += stats.t.isf(0.065, 4) * np.sqrt(0.45 * once.var(ddof=1))
    assert corrected_t_test(once, 0.25) == pytest.approx(0.130)
    assert corrected_t_test(np.tile(once, 5), 0.25, distinct=5) == pytest.approx(0.130)
    assert corrected_t_test(np.tile(once, 5), 0.25) == pytest.approx(0.016, abs=0.0005)
