from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import fvc_exp
from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import write_json
from fvc_exp.sweeps.folder import SweepFolder
from fvc_exp.sweeps.job import run_members
from fvc_exp.sweeps.results import collect_results
from fvc_exp.sweeps.states import inspect
from tests.sweeps.conftest import MakePlan


def test_the_table_is_that_of_collect_and_nothing_is_written(make: MakePlan, sweep: SweepFolder) -> None:
    plan = make("penalty=l2", "C=0.1,1,10")
    sweep.write_plan(plan)
    run_members(sweep, plan.members[:2], "1")
    failed = sweep.member(plan.members[1].run_id)
    failed.results.unlink()
    write_json(failed.status, {"state": "failed", "reason": "DataError", "attempt": 1, "job": "1"})
    before = sorted(sweep.path.rglob("*"))
    table = fvc_exp.load_sweep(sweep.path)
    assert sorted(sweep.path.rglob("*")) == before
    assert table["state"].to_list() == ["done", "failed", "waiting"]
    assert table["reason"].to_list() == [None, "DataError", None]
    assert table["C"].to_list() == [0.1, 1.0, 10.0]
    assert table["auc_mean"].null_count() == 2
    collect_results(sweep, inspect(sweep, plan))
    assert_frame_equal(table, pl.read_parquet(sweep.results))


def test_a_folder_that_is_no_sweep(tmp_path: object) -> None:
    with pytest.raises(ArtifactError, match=r"is no sweep: it holds no plan\.json"):
        fvc_exp.load_sweep(str(tmp_path))
