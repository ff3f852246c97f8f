import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from fvc_exp.config.schema import AuditConfig, Scheme
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.splits import Split, make_split
from fvc_exp.evaluation.leakage.certificate import CheckOutcome, certify_run
from fvc_exp.evaluation.leakage.codes import CODES
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.artifacts import write_result
from fvc_exp.runs.show import print_certificate
from tests.conftest import Compose, make_cv, run, signal_dataset

AUDIT = AuditConfig(allow_fail=False, permutations=49)


def grouped(dataset: Dataset, seed: int = 0) -> Split:
    return make_split(dataset, make_cv(Scheme.grouped, 5, 1, 0.2), seed)


def codes(dataset: Dataset, split: Split, audit: AuditConfig = AUDIT) -> list[str]:
    """The failed checks."""
    found = certify_run(dataset, split, audit, 0)
    failed = [check for check in found.checks if check.outcome is CheckOutcome.failed]
    assert found.reasons == tuple(check.message for check in failed)
    assert found.verdict == ("FAIL" if failed else "PASS")
    assert [check.code for check in found.checks] == list(CODES)
    return [check.code for check in failed]


def pair_across(split: Split, dataset: Dataset) -> tuple[int, int]:
    """A row of the first fold's test part, and one of its training part in another group."""
    return int(split.folds[0].test[0]), int(split.folds[0].train[0])


def test_a_grouped_split_passes() -> None:
    dataset = signal_dataset()
    assert codes(dataset, grouped(dataset)) == []


def test_a_stratified_split_fails_by_its_groups() -> None:
    dataset = signal_dataset()
    split = make_split(dataset, make_cv(Scheme.stratified, 5, 1, 0.2), 0)
    assert codes(dataset, split)[:2] == ["group_crossing", "label_lookup"]
    found = certify_run(dataset, split, AUDIT, 0)
    overlap = sum(np.isin(dataset.groups[test], dataset.groups[train]).sum() for _, train, test in split.parts())
    assert found.numbers("group_crossing")["rows"] == overlap
    assert found.numbers("group_crossing")["share"] == overlap / 120
    lookup = found.numbers("label_lookup")
    assert lookup["cv"]["accuracy"] > 0.9
    assert lookup["test"]["accuracy"] == lookup["test"]["base_rate"]


@pytest.mark.parametrize(("distance", "fails"), [(0.0, True), (5e-7, True), (5e-6, False)])
def test_near_identical_features_across_a_split(distance: float, fails: bool) -> None:
    dataset = signal_dataset()
    split = grouped(dataset)
    one, other = pair_across(split, dataset)
    dataset.X[one] = dataset.X[other] + distance * dataset.X.std(axis=0)
    assert codes(dataset, split) == ["near_identical"] * fails
    found = certify_run(dataset, split, AUDIT, 0).numbers("near_identical")
    assert found["rows"] == 2 * fails  # each of the two is tested once
    if fails:
        assert {dataset.ids[one], dataset.ids[other]} == set(found["examples"][0].split(" and "))


def test_twins_are_found_as_by_comparing_all_pairs() -> None:
    dataset = signal_dataset()
    rng = np.random.default_rng(0)
    for one, other in rng.choice(120, size=(30, 2), replace=False):
        dataset.X[one] = dataset.X[other]
    dataset.X[::9, 0] = np.nan
    split = grouped(dataset)
    filled = np.where(np.isnan(dataset.X), np.nanmedian(dataset.X, axis=0), dataset.X) / dataset.X[:, 1:].std()
    distance = np.abs(filled[:, None] - filled[None]).max(axis=2)
    expected = sum((distance[np.ix_(test, train)].min(axis=1) < 1e-9).sum() for _, train, test in split.parts())
    assert expected > 5
    assert certify_run(dataset, split, AUDIT, 0).numbers("near_identical")["rows"] == expected


NO_HASHES = "files: no column content_sha256"
UNCHECKED: dict[str, tuple[dict[str, Any], int, dict[str, str]]] = {
    "coarse features": (
        {"X": np.sign(signal_dataset().X[:, :3])}, 49,
        {"same_file": NO_HASHES, "near_identical": "features: too coarse to tell videos apart"},
    ),
    "no groups": (
        {"group_column": None, "groups": np.arange(120)}, 49,
        {"group_crossing": "groups: no column names them", "same_file": NO_HASHES,
         "label_lookup": "label lookup: it needs labels and groups"},
    ),
    "no permutations": ({}, 0, {"same_file": NO_HASHES, "leaky_null": "random labels: audit.permutations=0"}),
}  # fmt: skip


@pytest.mark.parametrize(("change", "permutations", "expected"), UNCHECKED.values(), ids=UNCHECKED)
def test_what_cannot_be_checked_is_named(change: dict[str, Any], permutations: int, expected: dict[str, str]) -> None:
    dataset = replace(signal_dataset(), **change)
    found = certify_run(dataset, grouped(dataset), replace(AUDIT, permutations=permutations), 0)
    unchecked = [check for check in found.checks if check.outcome is CheckOutcome.unchecked]
    assert {check.code: check.message for check in unchecked} == expected
    assert all(found.numbers(check.code) is None for check in unchecked)
    assert found.not_checked == tuple(expected.values())
    assert found.verdict == "PASS"


@pytest.mark.parametrize("known", [True, False], ids=["known", "missing"])
def test_the_same_file_across_a_split(known: bool) -> None:
    dataset = signal_dataset()
    split = grouped(dataset)
    one, other = pair_across(split, dataset)
    hashes: list[str | None] = [f"hash{row}" for row in range(120)]
    hashes[one] = hashes[other] = "same" if known else None
    dataset = replace(dataset, content_sha256=tuple(hashes))
    assert codes(dataset, split) == ["same_file"] * known


def test_the_held_out_part_is_checked_too() -> None:
    dataset = signal_dataset()
    split = grouped(dataset)
    leaking = replace(split, test=np.r_[split.test, split.development[:1]], development=split.development[1:])
    assert codes(dataset, leaking)[0] == "group_crossing"


def test_console_audit_json_and_results_agree(compose_config: Compose, tmp_path: Path) -> None:
    result = run(compose_config("cv=stratified", "audit.allow_fail=true"), signal_dataset())
    write_result(RunFolder(tmp_path), result)
    audit, results = (json.loads((tmp_path / name).read_text()) for name in ("audit.json", "results.json"))
    assert results["audit"]["verdict"] == audit["verdict"] == "FAIL"
    assert results["audit"]["allow_fail"] is True
    assert results["audit"]["reasons"] == audit["reasons"]
    assert audit["reasons"][0].startswith("group_crossing: ")
    assert audit["checks"]["probes"]["cv"]["accuracy"] > audit["checks"]["probes"]["cv"]["base_rate"]
    assert set(audit["checks"]) == {"groups", "files", "vectors", "probes", "null"}
    assert results["calibration"]["cv"]["brier"] == pytest.approx(results["cv"]["brier"]["mean"], abs=0.02)
    console = Console(record=True, width=200)
    print_certificate(console, result.certificate)
    text = console.export_text()
    assert text.startswith("audit: FAIL\n  group_crossing: videos of one group are in both training and test: in ")
    for line in ("labels looked up in the group (cv): accuracy ", "random labels (ridge, 99 permutations): AUC ",
                 "not checked: files: no column content_sha256"):  # fmt: skip
        assert line in text


@pytest.mark.parametrize("tolerance", [0.0, 1e-6, 0.05, 0.3])
@pytest.mark.parametrize("columns", [2, 5, 26])
def test_nearest_rows_are_those_of_all_pairs(columns: int, tolerance: float) -> None:
    rng = np.random.default_rng(columns)
    train, test = rng.normal(size=(900, columns)), rng.normal(size=(200, columns))
    test[:20] = train[:20] + tolerance * rng.uniform(-1, 1, size=(20, columns))
    test[20:30] = train[20:30] + 2 * tolerance + 1e-5
    train[400:600] = train[400]  # many copies of one video
    test[30:40] = train[400]
    distance = np.abs(test[:, None] - train[None]).max(axis=2)
    found = nearest_within(train, test, tolerance)
    assert (found >= 0).tolist() == (distance.min(axis=1) <= tolerance).tolist()
    assert (distance[np.arange(200), found][found >= 0] <= tolerance).all()
    assert (found >= 0).sum() >= 30


def test_a_distance_equal_to_the_tolerance_is_near() -> None:
    assert nearest_within(np.zeros((3, 2)), np.array([[0.5, 0.25], [0.5000001, 0.0]]), 0.5)[1] == -1
    assert nearest_within(np.zeros((1, 2)), np.array([[0.5, 0.25]]), 0.5).tolist() == [0]
