import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from fvc_exp.data.standard import Standard


def test_scales_are_those_of_scikit_learn_whatever_the_column() -> None:
    X = np.random.default_rng(1).normal(size=(9000, 7)) + 3
    X[:, 0], X[:, 1], X[:, 2] = 0.1, 0.0, np.where(np.arange(9000) < 4500, 1.7e9, np.nan)  # constant
    X[:, 3] = 1e8 + 1e-9 * X[:, 3]  # constant to rounding
    X[:, 4], X[:, 5] = 1e6 + 1e-3 * X[:, 4], 1e-200 * X[:, 5]
    rows = np.arange(1, 9000)
    standard, others = Standard.of(X[rows]), np.where(np.arange(9000)[:, None] % 7, X, np.nan)
    Z = standard.apply(X[rows])
    imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(X[rows])
    filled = imputer.transform(X[rows])
    scaler = StandardScaler().fit(filled)
    assert scaler.scale_[:4].tolist() == [1.0] * 4
    np.testing.assert_allclose(filled - Z * scaler.scale_, np.tile(scaler.mean_, (len(Z), 1)), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(np.ptp(filled[:, 4:], axis=0) / np.ptp(Z[:, 4:], axis=0), scaler.scale_[4:], rtol=1e-9)
    np.testing.assert_array_equal(standard.fill, imputer.statistics_)
    coef = 1 / np.arange(1.0, 8.0)
    expected = scaler.transform(imputer.transform(others))[:, [4, 5, 6]] @ coef[4:]
    np.testing.assert_allclose(standard.product(others, np.r_[np.zeros(4), coef[4:]]), expected, atol=1e-6)


def test_medians_are_those_asked_for_and_of_columns_with_gaps() -> None:
    X = np.array([[1.0, 5.0, np.nan], [3.0, 7.0, 4.0], [8.0, 6.0, 2.0]])
    np.testing.assert_array_equal(Standard.of(X, np.array([True, False, False])).fill, [3.0, np.nan, 3.0])
