"""The price of a leak against scikit-learn by hand, and where nothing is recognised."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fvc_exp.config.canonical import run_id
from fvc_exp.data.dataset import Dataset
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.artifacts import write_result
from fvc_exp.training import price
from fvc_exp.training.experiment import cross_validate, leak_price
from fvc_exp.training.split_dataset import SplitDataset
from tests.conftest import Compose, run, signal_dataset


def test_equals_scikit_learn_by_hand(compose_config: Compose) -> None:
    dataset = signal_dataset()
    config = compose_config("solver=newton-cholesky", "cv=repeated")
    found = run(config, dataset)
    assert found.price is not None
    rows = found.split.development
    X, y = dataset.X[rows], dataset.y[rows]
    scores = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=config.seed).split(X, y):
        model = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky"))
        scores.append(roc_auc_score(y[test], model.fit(X[train], y[train]).predict_proba(X[test])[:, 1]))
    assert found.price.auc_rows == pytest.approx(np.mean(scores), abs=1e-3)
    first = [record["test_auc"] for record in found.fold_records if record["repeat"] == 0]
    assert found.price.auc_groups == pytest.approx(np.mean(first), abs=1e-12)
    assert found.price.difference == pytest.approx(found.price.auc_rows - found.price.auc_groups, abs=1e-12)
    assert (found.price.rows, found.price.of_rows) == (len(rows), len(rows))


@pytest.mark.parametrize(("between", "claim"), [(1.0, "of it is recognition"), (0.0, "no recognition shown")])
def test_recognition_is_claimed_where_copies_agree(compose_config: Compose, between: float, claim: str) -> None:
    found = run(compose_config(), signal_dataset(60, 5, 26, shift=0.0, between=between)).price
    assert found is not None
    assert (found.low > 0) == (between > 0)
    assert found.low < found.difference < found.high
    assert claim in found.sentence


def test_four_groups_are_enough(compose_config: Compose) -> None:
    found = run(compose_config("cv.n_splits=2", "cv.test_size=0"), signal_dataset(4, 5, 26, shift=0.0)).price
    assert found is not None
    assert np.isfinite([found.low, found.high]).all()


def test_a_huge_table_is_sampled_in_whole_groups(compose_config: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price, "MOST_ROWS", 150)
    found = run(compose_config(), signal_dataset(60, 5, 26, shift=0.0)).price
    assert found is not None
    assert (found.rows, found.of_rows) == (150, 240)
    assert "on 150 of 240 videos" in found.sentence


NONE = {
    "turned off": ("audit.price=false", signal_dataset()),
    "not grouped": ("cv=stratified", signal_dataset()),
    "no groups": ("seed=1", replace(signal_dataset(), group_column=None)),
    "every group is one row": ("seed=1", signal_dataset(copies=1)),
}


@pytest.mark.parametrize(("override", "dataset"), NONE.values(), ids=NONE)
def test_no_price_without_groups_of_several_rows(compose_config: Compose, override: str, dataset: Dataset) -> None:
    assert run(compose_config(override), dataset).price is None


def test_nothing_else_depends_on_it(compose_config: Compose, tmp_path: Path) -> None:
    folders = {}
    for price_is in ("true", "false"):
        config = compose_config(f"audit.price={price_is}", "cv=nested", "cv.c_grid=[0.1,1]", "threshold=f1")
        folder = folders[price_is] = RunFolder(tmp_path / price_is)
        folder.path.mkdir()
        write_result(folder, run(config, signal_dataset()))
    assert run_id(config, "") == run_id(replace(config, audit=replace(config.audit, price=True)), "")
    for name in ("metrics", "folds", "audit", "predictions", "coefficients", "portable_model"):
        one, other = (getattr(folder, name).read_bytes() for folder in folders.values())
        assert one == other, name
    one, other = (json.loads(folder.results.read_text()) for folder in folders.values())
    assert one.pop("price")["auc_rows"] > 0.5
    assert other.pop("price") is None
    assert one == other


@pytest.mark.slow
def test_nothing_shared_is_no_recognition(compose_config: Compose) -> None:
    """At most 2.5 % of claims are false; with 300 data sets as many as 13 may be by chance."""
    config = compose_config("cv.test_size=0", "audit.permutations=0")
    claims = 0
    for seed in range(300):
        data = SplitDataset.of(config, signal_dataset(60, 5, 26, seed, shift=0.0, between=0.0))
        found = leak_price(config, data, np.concatenate(cross_validate(config, data).probabilities))
        claims += found is not None and found.low > 0
    assert claims <= 13
