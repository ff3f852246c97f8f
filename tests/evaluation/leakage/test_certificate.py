from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fvc_exp.config.schema import AuditConfig, CVConfig, NullScorer, Scheme
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.splits import Split, make_split
from fvc_exp.errors import ConfigError
from fvc_exp.evaluation.leakage.certificate import CODES, certify_run, print_certificate
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.artifacts import write_result
from tests.conftest import Compose, make_dataset, run, signal_dataset

AUDIT = AuditConfig(allow_fail=False, tolerance=1e-6, permutations=49, scorer=NullScorer.ridge)


def grouped(dataset: Dataset, seed: int = 0) -> Split:
    return make_split(dataset, CVConfig("grouped", Scheme.grouped, 5, 1, 0.2), seed)


def codes(dataset: Dataset, split: Split, audit: AuditConfig = AUDIT) -> list[str]:
    found = certify_run(dataset, split, audit, 0)
    assert (found.verdict == "FAIL") == bool(found.reasons)
    names = [reason.split(":")[0] for reason in found.reasons]
    assert set(names) <= set(CODES)
    return names


def pair_across(split: Split, dataset: Dataset) -> tuple[int, int]:
    """A row of the first fold's test part, and one of its training part in another group."""
    return int(split.folds[0].test[0]), int(split.folds[0].train[0])


def test_a_grouped_split_passes() -> None:
    dataset = signal_dataset()
    assert codes(dataset, grouped(dataset)) == []


def test_a_stratified_split_fails_by_its_groups() -> None:
    dataset = signal_dataset()
    split = make_split(dataset, CVConfig("stratified", Scheme.stratified, 5, 1, 0.2), 0)
    found = certify_run(dataset, split, AUDIT, 0)
    names = [reason.split(":")[0] for reason in found.reasons]
    assert names[:2] == ["group_crossing", "label_lookup"]
    crossing = sum(np.isin(dataset.groups[test], dataset.groups[train]).sum() for _, train, test in split.parts())
    assert found.groups.rows == crossing
    assert found.groups.share == crossing / 120
    assert found.probes["cv"].accuracy > 0.9
    assert found.probes["test"].accuracy == found.probes["test"].base_rate


@pytest.mark.parametrize(("distance", "fails"), [(0.0, True), (5e-7, True), (5e-6, False)])
def test_near_identical_features_across_a_split(distance: float, fails: bool) -> None:
    dataset = signal_dataset()
    split = grouped(dataset)
    one, other = pair_across(split, dataset)
    dataset.X[one] = dataset.X[other] + distance * dataset.X.std(axis=0)
    assert codes(dataset, split) == ["near_identical"] * fails
    found = certify_run(dataset, split, AUDIT, 0).vectors
    assert found.rows == 2 * fails  # each of the two is tested once
    if fails:
        assert {dataset.ids[one], dataset.ids[other]} == set(found.examples[0].split(" and "))


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
    assert certify_run(dataset, split, AUDIT, 0).vectors.rows == expected


def test_coarse_features_do_not_tell_videos_apart() -> None:
    dataset = signal_dataset()
    coarse = make_dataset(np.sign(dataset.X[:, :3]), dataset.y, dataset.groups)
    found = certify_run(coarse, grouped(coarse), AUDIT, 0)
    assert found.vectors is None
    assert "features: too coarse to tell videos apart" in found.not_checked
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


def test_without_groups_it_says_what_it_cannot_see() -> None:
    dataset = signal_dataset()
    alone = make_dataset(dataset.X, dataset.y, np.arange(120), group_column=None)
    found = certify_run(alone, grouped(alone), AUDIT, 0)
    assert found.groups is None
    assert found.probes is None
    assert {each.split(":")[0] for each in found.not_checked} == {"groups", "files", "label lookup"}


def test_the_held_out_part_is_checked_too() -> None:
    dataset = signal_dataset()
    split = grouped(dataset)
    leaking = replace(split, test=np.r_[split.test, split.development[:1]], development=split.development[1:])
    assert codes(dataset, leaking)[0] == "group_crossing"


def test_no_permutations() -> None:
    dataset = signal_dataset()
    found = certify_run(dataset, grouped(dataset), replace(AUDIT, permutations=0), 0)
    assert found.null is None
    assert "random labels: audit.permutations=0" in found.not_checked


def test_audit_json_and_verdict_in_results(compose_config: Compose, tmp_path: Path) -> None:
    config = compose_config("cv=stratified", "audit.allow_fail=true")
    write_result(RunFolder(tmp_path), run(config, signal_dataset()))
    audit, results = (json.loads((tmp_path / name).read_text()) for name in ("audit.json", "results.json"))
    assert results["audit"]["verdict"] == audit["verdict"] == "FAIL"
    assert results["audit"]["allow_fail"] is True
    assert results["audit"]["reasons"] == audit["reasons"]
    assert audit["reasons"][0].startswith("group_crossing: ")
    assert audit["checks"]["probes"]["cv"]["accuracy"] > audit["checks"]["probes"]["cv"]["base_rate"]
    assert set(audit["checks"]) == {"groups", "files", "vectors", "probes", "null"}
    assert results["calibration"]["cv"]["brier"] == pytest.approx(results["cv"]["brier"]["mean"], abs=0.02)


def test_console_shows_verdict_reasons_and_gaps(compose_config: Compose) -> None:
    console = Console(record=True, width=200)
    print_certificate(console, run(compose_config("cv=stratified"), signal_dataset()).certificate)
    text = console.export_text()
    assert text.startswith("audit: FAIL\n  group_crossing: videos of one group stand in training and test: in ")
    assert "labels looked up in the group (cv): accuracy " in text
    assert "random labels (ridge, 99 permutations): AUC " in text
    assert "not checked: files: no column content_sha256" in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("audit.permutations=5", r"audit\.permutations=5 is not allowed.*at least 19"),
        ("audit.tolerance=0", r"audit\.tolerance=0\.0 is not allowed"),
    ],
)
def test_wrong_settings_are_refused(compose_config: Compose, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose_config(override)
