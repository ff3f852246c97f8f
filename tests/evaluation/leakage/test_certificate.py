import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from fvc_exp.config.schema import AuditConfig, Scheme
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.folds import Split
from fvc_exp.data.splits import make_split
from fvc_exp.evaluation.leakage.certificate import Certificate, certify_run
from fvc_exp.evaluation.leakage.codes import CODES, audit_mark
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.artifacts import write_result
from fvc_exp.runs.show import audit_facts
from tests.conftest import Compose, make_cv, run, signal_dataset

AUDIT = AuditConfig(allow_fail=False, permutations=49)


def grouped(dataset: Dataset, seed: int = 0) -> Split:
    return make_split(dataset, make_cv(Scheme.grouped, 5, 1, 0.2), seed)


def codes(dataset: Dataset, split: Split, audit: AuditConfig = AUDIT) -> list[str]:
    """The failed checks."""
    found = certify_run(dataset, split, audit, 0)
    failed = [check for check in found.checks if check.outcome == "failed"]
    assert found.summary()["reasons"] == [check.message for check in failed]
    assert found.verdict == ("FAIL" if failed else "PASS" if dataset.group_column else "UNCHECKED")
    assert [check.code for check in found.checks] == list(CODES)
    return [check.code for check in failed]


def numbers(found: Certificate, code: str) -> dict[str, Any] | None:
    return next(check.numbers for check in found.checks if check.code == code)


def pair_across(split: Split, dataset: Dataset) -> tuple[int, int]:
    """A row of the first fold's test part, and one of its training part in another group."""
    return int(split.folds[0].test[0]), int(split.folds[0].train[0])


def test_a_stratified_split_fails_by_its_groups() -> None:
    dataset = signal_dataset()
    split = make_split(dataset, make_cv(Scheme.stratified, 5, 1, 0.2), 0)
    assert codes(dataset, split)[:2] == ["group_crossing", "label_lookup"]
    found = certify_run(dataset, split, AUDIT, 0)
    overlap = sum(np.isin(dataset.groups[test], dataset.groups[train]).sum() for _, train, test in split.parts())
    assert numbers(found, "group_crossing")["rows"] == overlap
    assert numbers(found, "group_crossing")["share"] == overlap / 120
    lookup = numbers(found, "label_lookup")
    assert lookup["cv"]["accuracy"] > 0.9
    assert lookup["test"]["accuracy"] == lookup["test"]["base_rate"]


@pytest.mark.parametrize(("noise", "fails"), [(0.0, True), (1e-6, True), (1e-3, True), (1.0, False)])
def test_near_copies_across_a_split(noise: float, fails: bool) -> None:
    dataset = signal_dataset()
    split = grouped(dataset)
    one, other = pair_across(split, dataset)
    dataset.X[one] = dataset.X[other] + noise * dataset.X.std(axis=0)
    assert codes(dataset, split) == ["near_copies"] * fails
    certificate = certify_run(dataset, split, AUDIT, 0)
    found = numbers(certificate, "near_copies")
    assert (found["pairs"], found["rows"]) == (fails, 2 * fails)  # each of the two is tested once
    if fails:
        assert {dataset.ids[one], dataset.ids[other]} == set(found["examples"][0].split(" and "))
        assert found["distance"] == pytest.approx([noise, noise], rel=0.01, abs=1e-12)
        assert certificate.messages("failed")[0].endswith(f"; 1 pairs, {noise:.2g} to {noise:.2g} sd per feature apart")


NO_HASHES = "same_file: no column content_sha256"
UNKNOWN = "groups_unknown: no column names groups: copies of one video may stand on both sides"
UNCHECKED: dict[str, tuple[dict[str, Any], int, list[str]]] = {
    "coarse features": (
        {"X": np.sign(signal_dataset().X[:, :3])}, 49,
        [NO_HASHES, "near_copies: the rows are too few, too coarse or nearly all copies of others to tell "
         "copies from chance; exact ones were looked for"],
    ),
    "no groups": (
        {"group_column": None, "groups": np.arange(120), "X": np.random.default_rng(0).normal(size=(120, 5))}, 49,
        [UNKNOWN, NO_HASHES, "label_lookup: it needs labels and groups"],
    ),
    "no permutations": ({}, 0, [NO_HASHES, "leaky_null: audit.permutations=0"]),
}  # fmt: skip


@pytest.mark.parametrize(("change", "permutations", "expected"), UNCHECKED.values(), ids=UNCHECKED)
def test_what_cannot_be_checked_is_named(change: dict[str, Any], permutations: int, expected: list[str]) -> None:
    dataset = replace(signal_dataset(), **change)
    found = certify_run(dataset, grouped(dataset), replace(AUDIT, permutations=permutations), 0)
    unchecked = [check for check in found.checks if check.outcome == "unchecked"]
    assert all(numbers(found, check.code) is None for check in unchecked)
    assert found.messages("unchecked") == [check.message for check in unchecked] == expected
    assert found.verdict == ("UNCHECKED" if UNKNOWN in expected else "PASS")


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_blank_videos_are_named_and_fail_nothing(value: float) -> None:
    dataset = signal_dataset()
    split = grouped(dataset)
    blank = split.folds[0].test[:3].tolist() + split.folds[1].test[:3].tolist()
    dataset.X[blank] = 0.0
    dataset.X[blank, 1] = value
    assert codes(dataset, split) == []
    warnings = certify_run(dataset, split, AUDIT, 0).messages("warned")
    first = ", ".join(dataset.ids[row] for row in sorted(blank)[:3])
    assert warnings == [f"blank_rows: {CODES['blank_rows']}: 6 videos, e.g. {first}"]


@pytest.mark.parametrize(("noise", "warns"), [(0.0, True), (0.1, True), (0.6, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_that_is_the_label_is_warned_of(noise: float, warns: bool, sign: int) -> None:
    dataset = signal_dataset(n_groups=80)
    dataset.X[:, 3] = sign * dataset.y + noise * np.random.default_rng(0).normal(size=len(dataset.y))
    dataset.X[::7, 3] = np.nan
    found = certify_run(dataset, grouped(dataset), AUDIT, 0)
    known = ~np.isnan(dataset.X[:, 3])
    area = roc_auc_score(dataset.y[known], sign * dataset.X[known, 3])
    assert (area > 0.99) == warns
    expected = {dataset.feature_names[3]: pytest.approx(area)} if warns else {}
    assert numbers(found, "single_feature")["features"] == expected
    assert [text.partition(":")[0] for text in found.messages("warned")] == ["single_feature"] * warns
    assert audit_mark(found.summary()) == ("PASS, 1 warning" if warns else "PASS")


@pytest.mark.parametrize("known", [True, False], ids=["known", "missing"])
def test_the_same_file_across_a_split(known: bool) -> None:
    dataset = signal_dataset()
    split = grouped(dataset)
    one, other = pair_across(split, dataset)
    hashes: list[str | None] = [f"hash{row}" for row in range(120)]
    hashes[one] = hashes[other] = "same" if known else None
    dataset = replace(dataset, content_sha256=pl.Series(hashes, dtype=pl.String))
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
    assert audit["checks"]["probes"]["cv"]["accuracy"] > audit["checks"]["probes"]["cv"]["base_rate"]
    assert set(audit["checks"]) == {"groups", "files", "vectors", "probes", "null", "single_feature", "blank_rows"}
    (label, mark, style), *reasons = audit_facts(results["audit"])
    assert (label, mark, style) == ("audit", "FAIL", "red")
    assert reasons[0][1].startswith("group_crossing: videos of one group are in both training and test: in ")
    assert reasons[-1][1] == "not checked: same_file: no column content_sha256 (docs/checks.md#same_file)"
