"""``search=grid``: the same sweep as ``-m`` with the same solver, its fits made all at once."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fvc_exp.errors import ConfigError
from fvc_exp.sweeps.driver import drive_sweep
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.multirun import Grid
from fvc_exp.sweeps.plan import sweep_path
from fvc_exp.training import split_dataset
from tests.conftest import write_tables
from tests.processes import until
from tests.shell import ROOT, run_py, succeeded
from tests.sweeps.conftest import FAST, MakePlan, maker

AXES = ("penalty=l2,l1,elasticnet", "C=0.1,1", "penalty.l1_ratio=0.5", "plots=false")
FEW = (*AXES, "C=0.3")
TOLERANCE = 1e-4  # of a coefficient, where the objective is certain to a share of 1e-9


def finished(path: Path, plan: Plan) -> SweepFolder:
    sweep = SweepFolder(path)
    assert drive_sweep(sweep, plan)
    return sweep


def alone(plan: Plan) -> Plan:
    """The same plan, whose members are fitted one by one."""
    return replace(plan, config=plan.members[0].config)


@pytest.fixture(scope="module")
def tried(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, SweepFolder]:
    """A finished grid of six; no test may change it."""
    folder = tmp_path_factory.mktemp("tried")
    write_tables(folder)
    plan = maker(grid, folder)("search=grid", *AXES)
    return plan, finished(folder / "sweep", plan)


def with_missing_values(tables: Path) -> tuple[str, ...]:
    path = tables / "features_stage2.parquet"
    rows = pl.int_range(pl.len())
    pl.read_parquet(path).with_columns(f1=pl.when(rows % 7 > 0).then("f1"), f2=pl.when(rows % 5 > 1).then("f2")
        ).write_parquet(path)  # fmt: skip
    return ()


Arrange = Callable[[Path], tuple[str, ...]]
CASES: dict[str, Arrange] = {
    "grouped folds": lambda _: (),
    "missing values": with_missing_values,
    "balanced": lambda _: ("class_weight=balanced",),
    "repeated": lambda _: ("cv=repeated", "cv.n_repeats=2", "cv.n_splits=3"),
    "threshold and calibration": lambda _: ("threshold=f1", "calibration=sigmoid", "cv.n_splits=3"),
    "no penalty": lambda _: ("penalty=none,l1",),
    "nested": lambda _: ("cv=nested", "cv.n_splits=3", "cv.inner_splits=3", "cv.c_grid=[0.1,1]"),
}


@pytest.mark.parametrize("arrange", CASES.values(), ids=CASES)
def test_equals_single_fits(make: MakePlan, tables: Path, tmp_path: Path, arrange: Arrange) -> None:
    more = arrange(tables)
    plan = make("search=grid", *FEW, *more)
    one, other = finished(tmp_path / "together", plan), finished(tmp_path / "alone", alone(plan))
    for member in plan.members:
        ours, theirs = one.member(member.run_id), other.member(member.run_id)
        assert json.loads(ours.provenance.read_text())["fitted_with"]
        assert not json.loads(theirs.provenance.read_text())["fitted_with"]
        for name in ("coefficients", "predictions", "folds"):
            read = pl.read_csv if name == "coefficients" else pl.read_parquet
            found, expected = read(getattr(ours, name)), read(getattr(theirs, name))
            assert_frame_equal(found, expected, abs_tol=TOLERANCE, rel_tol=TOLERANCE)
        assert {path.name for path in ours.path.iterdir()} == {path.name for path in theirs.path.iterdir()}
    found, expected = (pl.read_csv(sweep.leaderboard) for sweep in (one, other))
    scores = [name for name in expected.columns if name.endswith(("_mean", "_std")) or name.startswith("test_")]
    columns = ["rank", "run_id", "flags", "audit", *scores]
    assert_frame_equal(found[columns], expected[columns], abs_tol=TOLERANCE, rel_tol=TOLERANCE)


def test_asks_for_what_a_multirun_would(make: MakePlan) -> None:
    together, single = make("search=grid", *AXES), make("solver=prox-newton", *AXES)
    assert [each.parameters for each in together.members] == [each.parameters for each in single.members]
    assert [each.run_id for each in together.members] == [each.run_id for each in single.members]
    assert sweep_path(together) == sweep_path(single)
    assert (together.config.search.name.name, single.config.search.name.name) == ("grid", "none")


def contents(sweep: SweepFolder, names: tuple[str, ...] = ("metrics.json", "coefficients.csv")) -> dict[str, bytes]:
    paths = [path for name in names for path in sweep.runs.glob(f"*/{name}")]
    return {str(path.relative_to(sweep.path)): path.read_bytes() for path in paths}


def times(sweep: SweepFolder) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [*sweep.runs.rglob("*"), *sweep.best.iterdir()]}


def test_again_fits_and_writes_nothing(tried: tuple[Plan, SweepFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    plan, sweep = tried
    written = times(sweep)
    monkeypatch.setattr(split_dataset, "fit_grid", lambda *_, **__: pytest.fail("fitted again"))
    assert drive_sweep(sweep, plan)
    assert times(sweep) == written


def test_one_that_began_without_the_grid_is_finished_with_it(tried: tuple[Plan, SweepFolder], tmp_path: Path) -> None:
    """What other jobs finished stays theirs; the rest has the numbers of the whole grid."""
    plan, sweep = tried
    whole = contents(sweep)
    begun = replace(alone(plan), members=plan.members[:2])
    before = contents(finished(tmp_path / "begun", begun))
    assert len(before) == 4
    assert contents(finished(tmp_path / "begun", plan)) == whole | before


def test_data_that_cannot_be_used_is_the_reason_of_each_member(make: MakePlan, tables: Path, tmp_path: Path) -> None:
    plan = make("search=grid", *FEW)
    features = pl.read_parquet(tables / "features_stage2.parquet")
    features.with_columns(pl.col("f0") * 2).write_parquet(tables / "features_stage2.parquet")
    sweep = SweepFolder(tmp_path / "sweep")
    assert not drive_sweep(sweep, plan)
    statuses = [json.loads(sweep.member(member.run_id).status.read_text()) for member in plan.members]
    assert {each["reason"] for each in statuses} == {"DataError"}
    assert all("the data changed after the sweep was planned" in each["message"] for each in statuses)


def test_seeds_are_grids_of_their_own(make: MakePlan, tmp_path: Path) -> None:
    both = contents(finished(tmp_path / "both", make("search=grid", *FEW, "seed=1,2")))
    one = contents(finished(tmp_path / "one", make("search=grid", *FEW, "seed=2")))
    assert len(both) == 2 * len(one)
    assert {name: both[name] for name in one} == one


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stage=features",), "search=grid cannot use stage=features: it needs stage=train"),
        (("solver=saga",), r"search=grid cannot use solver=saga: only solver=prox-newton shares its fits"),
    ],
)
def test_what_cannot_be_searched_is_refused(make: MakePlan, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make("search=grid", *arguments)


def test_the_next_driver_after_a_killed_one_ends_the_same(tried: tuple[Plan, SweepFolder], tables: Path) -> None:
    words = ["search=grid", "data=fvc", f"data.root={tables}", f"outputs={tables / 'out'}", FAST, *AXES]
    with subprocess.Popen([sys.executable, str(ROOT / "run.py"), *words], stderr=subprocess.DEVNULL) as driver:
        until(lambda: any(tables.glob("out/sweeps/*/runs/*/status.json")), every=0.01)
        driver.kill()
    (path,) = (tables / "out" / "sweeps").iterdir()
    sweep = SweepFolder(path)
    written = {status: status.stat().st_mtime_ns for status in sweep.runs.glob("*/status.json")}
    assert not sweep.results.exists()
    done = succeeded(run_py(*words))
    assert f"{len(written)} already done, {6 - len(written)} to run" in done.stderr
    assert {status: status.stat().st_mtime_ns for status in written} == written
    assert contents(sweep) == contents(tried[1])


def test_two_at_once(tables: Path) -> None:
    where = ["data=fvc", f"data.root={tables}", f"outputs={tables / 'out'}", "plots=false", FAST]
    words = [sys.executable, str(ROOT / "run.py"), "search=grid", *where, "C=0.1,1", "penalty=l1,l2"]
    first, second = (subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "12")
    for process in (first, second):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    (path,) = (tables / "out" / "sweeps").iterdir()
    sweep = SweepFolder(path)
    assert pl.read_parquet(sweep.results)["state"].to_list() == ["done"] * 4
    assert not [path for path in sweep.path.rglob("*") if path.name.startswith(".best") or path.suffix == ".tmp"]
    assert {path.name for path in (tables / "out").iterdir()} == {"sweeps"}  # no run folder of Hydra's
