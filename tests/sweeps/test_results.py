from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import fvc_exp
from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import write_json
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.results import collect_results
from fvc_exp.sweeps.states import member_states


def test_tables_hold_what_the_run_folders_hold_each_time(copied: tuple[SweepFolder, Plan]) -> None:
    sweep, plan = copied
    table = collect_results(sweep, member_states(sweep, plan))
    before = {path: path.read_bytes() for path in (sweep.results, sweep.results_csv, sweep.folds)}
    for path in before:
        path.unlink()
    collect_results(sweep, member_states(sweep, plan))
    assert {path: path.read_bytes() for path in before} == before
    assert table.equals(pl.read_parquet(sweep.results))
    assert pl.read_csv(sweep.results_csv)["run_id"].to_list() == [member.run_id for member in plan.members]
    for row in table.iter_rows(named=True):
        folder = sweep.member(row["run_id"])
        aucs = [record["test_auc"] for record in json.loads(folder.metrics.read_text())]
        assert row["auc_mean"] == pytest.approx(np.mean(aucs))
        assert row["auc_std"] == pytest.approx(np.std(aucs, ddof=1))
        assert row["test_auc"] == json.loads(folder.results.read_text())["test"]["auc"]
        assert (row["state"], row["final_C"]) == ("done", row["C"])
        assert row["seconds"] > 0
        weights = pl.read_csv(folder.coefficients)["coefficient"][:-1]
        assert row["nonzero"] == (weights != 0).sum()
    assert pl.read_parquet(sweep.folds).group_by("run_id").len()["len"].to_list() == [5] * 6


def test_broken_failed_and_missing_runs_keep_their_rows(copied: tuple[SweepFolder, Plan]) -> None:
    """``load_sweep`` gives the table of ``fvc collect`` and writes nothing."""
    sweep, plan = copied
    broken, failed, missing = (sweep.member(member.run_id) for member in plan.members[:3])
    broken.results.write_text("{")
    failed.results.unlink()
    write_json(failed.status, {"state": "failed", "reason": "DataError", "attempt": 1, "job": "1"})
    shutil.rmtree(missing.path)
    before = sorted(sweep.path.rglob("*"))
    table = fvc_exp.load_sweep(sweep.path)
    assert sorted(sweep.path.rglob("*")) == before
    assert table["state"].to_list() == ["failed", "failed", "waiting", "done", "done", "done"]
    assert table["reason"].to_list()[1:] == ["DataError", *[None] * 4]
    assert table["C"].to_list() == [0.001, 0.1, 10.0] * 2
    assert table["auc_mean"].count() == 3
    collect_results(sweep, member_states(sweep, plan))
    assert_frame_equal(table, pl.read_parquet(sweep.results))


def test_a_folder_that_is_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is no sweep: it holds no plan\.json"):
        fvc_exp.load_sweep(str(tmp_path))
