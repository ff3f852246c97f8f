from pathlib import Path

import polars as pl
import pytest

from fvc_exp.config.canonical import canonical, run_id
from fvc_exp.config.validate import to_typed
from fvc_exp.errors import ArtifactError, ConfigError, DataError
from fvc_exp.sweeps.folder import SweepFolder
from fvc_exp.sweeps.multirun import Grid
from fvc_exp.sweeps.plan import grown_plan, sweep_path
from tests.sweeps.conftest import MakePlan


def test_members_are_what_the_run_will_be(make: MakePlan, grid: Grid) -> None:
    plan = make("penalty=elasticnet,l2", "C=0.1")
    for member in plan.members:
        config = member.config
        assert canonical(config) == canonical(to_typed(grid.compose([*plan.common, *member.overrides])))
        assert member.run_id == run_id(config, member.data_sha256 or "")
        assert not config.plots


POINTS = {  # and whether they are the sweep of penalty=l1,l2 C=0.1,1
    "order": (("C=1,0.1", "penalty=l1,l2"), True),
    "launcher settings": (("penalty=l1,l2", "C=0.1,1", "outputs=out", "plots=false", "video.workers=3"), True),
    "packing": (("penalty=l1,l2", "C=0.1,1", "sweep.pack=3"), True),
    "an inert parameter": (("penalty=l1,l2", "C=0.1,1", "penalty.l1_ratio=0.3"), True),
    "seed": (("penalty=l1,l2", "C=0.1,1", "seed=1"), False),
    "folds": (("penalty=l1,l2", "C=0.1,1", "cv.n_splits=4"), False),
    "one more": (("penalty=l1,l2", "C=0.1,1,10"), False),
}


@pytest.mark.parametrize(("arguments", "is_same"), POINTS.values(), ids=POINTS)
def test_same_sweep(make: MakePlan, arguments: tuple[str, ...], is_same: bool) -> None:
    assert (sweep_path(make(*arguments)).name == sweep_path(make("penalty=l1,l2", "C=0.1,1")).name) == is_same


def test_changed_data_are_another_sweep(make: MakePlan, tables: Path) -> None:
    before = make("C=0.1,1")
    features = pl.read_parquet(tables / "features_stage2.parquet")
    features.with_columns(pl.col("f0") + 1).write_parquet(tables / "features_stage2.parquet")
    after = make("C=0.1,1")
    assert not {member.run_id for member in before.members} & {member.run_id for member in after.members}
    assert sweep_path(before) != sweep_path(after)


def test_values_out_of_range_and_missing_tables_are_invalid(make: MakePlan) -> None:
    plan = make("C=1,-1", "features=stage2,stage4")
    reasons = sorted(refused.reason for refused in plan.invalid)
    assert len(plan.members) == 1
    assert [reason.split(" ")[0] for reason in reasons] == ["C=-1.0", "C=-1.0", "features=stage4"]


NOTHING = {
    "values": (("C=-1,0",), ConfigError, r"none of 2 configurations can run, the first because C=-1\.0 is not allowed"),
    "data": (("data.root=/nowhere", "C=1,2"), DataError, "none of 2 .* /nowhere: no such folder"),
}


@pytest.mark.parametrize(("arguments", "error", "message"), NOTHING.values(), ids=NOTHING)
def test_nothing_can_run(make: MakePlan, arguments: tuple[str, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(*arguments)


@pytest.mark.parametrize("name", ["a/b", "..", "", "-x"])
def test_a_name_that_is_no_folder(make: MakePlan, name: str) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.name=.* is not allowed"):
        sweep_path(make(f"sweep.name='{name}'"))


def test_a_plan_grows(make: MakePlan, sweep: SweepFolder) -> None:
    first, second = make("penalty=l2", "solver=lbfgs", "C=0.1,1"), make("penalty=l1,l2", "solver=lbfgs", "C=1,-1")
    assert grown_plan(sweep, first) == first
    sweep.write_plan(first)
    grown = grown_plan(sweep, second)
    assert grown.common == second.common
    assert [each.overrides for each in grown.members] == [["penalty=l2", "C=1"], ["penalty=l2", "C=0.1"]]
    assert grown.invalid == second.invalid
    sweep.write_plan(grown)
    assert grown_plan(sweep, second) == grown
    single = grown_plan(sweep, make("penalty=l2", "solver=lbfgs", "C=10"))
    assert [each.overrides for each in single.members] == [["penalty=l2", f"C={c}"] for c in ("10", "1", "0.1")]
    sweep.plan.write_text("{}")
    with pytest.raises(ArtifactError, match="missing required field"):
        grown_plan(sweep, first)


def test_a_folder_without_a_plan(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is no sweep: it holds no plan\.json"):
        SweepFolder(tmp_path).read_plan()
