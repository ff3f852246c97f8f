import math
import warnings
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from sklearn.linear_model import LogisticRegression

from fvc_exp.config import validate
from fvc_exp.config.canonical import canonical, run_id, write_config
from fvc_exp.config.schema import Penalty, Solver
from fvc_exp.errors import ConfigError, IncompatibleError
from fvc_exp.training.solvers.estimator import ProxNewtonLogisticRegression
from tests.conftest import ROOT, Compose

CONF = ROOT / "conf"
CHOICES = [
    (path.parent.name, path.stem)
    for path in sorted(CONF.glob("*/*.yaml"))
    if path.parent.name not in ("hydra", "experiment", "debug")
]


@pytest.mark.parametrize(("group", "choice"), CHOICES, ids=["=".join(choice) for choice in CHOICES])
def test_every_choice_composes(compose_config: Compose, group: str, choice: str) -> None:
    table = ["data=table", "data.path=x"] if choice == "table" else []  # which only go together
    config = compose_config(*table, f"{group}={choice}")
    name = getattr(getattr(config, group), "name", choice)
    assert (name.name if isinstance(name, Enum) else name) == choice


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["C=-1", "cv.n_splits=1"], r"C=-1\.0 is not allowed.*above 0.*cv\.n_splits=1"),
        (["C=0"], r"C=0\.0 is not allowed.*penalty=none"),
        (["C=nan"], r"C=nan is not allowed"),
        (["penalty.l1_ratio=2"], r"penalty\.l1_ratio=2\.0 is not allowed.*from 0 to 1"),
        (["data.columns=[dct_*,'']"], r"data\.columns=.*none of them empty"),
        (["cv.n_splits=1"], r"cv\.n_splits=1 is not allowed.*at least 2"),
        (["audit.permutations=5"], r"audit\.permutations=5 is not allowed.*at least 19"),
        (["cv.test_size=0.9"], r"cv\.test_size=0\.9 is not allowed.*0\.5"),
        (["seed=-1"], r"seed=-1 is not allowed"),
        (["solver.tol=0"], r"solver\.tol=0\.0 is not allowed"),
        (["data.max_unmatched=1"], r"data\.max_unmatched=1\.0 is not allowed"),
        (["data.shard=3", "data.num_shards=3"], r"data\.shard=3 is not allowed.*num_shards - 1 = 2"),
        (
            ["video.sampling.min_frames=9", "video.sampling.max_frames=5"],
            r"min_frames=9 is not .* video.sampling.max_frames=5",
        ),
        (["video.limits.cpu_seconds=0"], r"video\.limits\.cpu_seconds=0\.0 is not allowed"),
        (["video.max_size=31"], r"video\.max_size=31 is not allowed"),
        (["cv=nested", "cv.c_grid=[1,-2]"], r"cv\.c_grid=\[1\.0, -2\.0\] is not allowed: -2\.0 must be"),
        (["cv=nested", "penalty=none"], r"cv\.c_grid=.* cannot be searched with penalty=none"),
        (["cv.folds=x.csv"], r"cv\.scheme=.* and cv\.folds=.* do not fit"),
        (["cv=predefined", "cv.folds=null"], r"cv\.scheme=.* and cv\.folds=.* do not fit"),
        (["~seed"], r"missing mandatory value: seed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_values_are_refused(compose_config: Compose, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose_config(*overrides)


def test_schema_checks_group_files_too(tmp_path: Path) -> None:
    (tmp_path / "penalty").mkdir()
    (tmp_path / "penalty" / "odd.yaml").write_text("name: l2\nl1_ratio: 0\nCC: 1\n")
    overrides = ["penalty=odd", f"hydra.searchpath=[file://{tmp_path}]"]
    with (
        initialize_config_dir(str(CONF), version_base="1.3"),
        pytest.raises(ConfigCompositionException, match="penalty/odd"),
    ):
        compose("config", overrides=overrides)


def test_schema_stands_first_and_holds_no_values() -> None:
    assert yaml.safe_load((CONF / "config.yaml").read_text())["defaults"][0] == "base_config"
    with pytest.raises(ConfigError, match="missing mandatory value"):
        validate.to_typed(OmegaConf.create({}))


def test_saved_configuration_is_plain_yaml_and_composes_again(compose_config: Compose, tmp_path: Path) -> None:
    config = compose_config("solver=saga", "threshold=0.3", "class_weight={0:1,1:2}")
    write_config(tmp_path / "config.yaml", config)
    assert validate.to_typed(OmegaConf.create(yaml.safe_load((tmp_path / "config.yaml").read_text()))) == config


PAIRS = [(penalty, solver) for penalty in Penalty for solver in Solver if solver.name != "auto"]


@pytest.mark.parametrize(("penalty", "solver"), PAIRS, ids=[f"{p.name}-{s.name}" for p, s in PAIRS])
def test_legal_pairs_are_those_of_scikit_learn(compose_config: Compose, penalty: Penalty, solver: Solver) -> None:
    X = np.random.default_rng(0).normal(size=(40, 3))
    ratio = {"l1": 1.0, "l2": 0.0, "none": 0.0, "elasticnet": 0.5}[penalty.name]
    C = math.inf if penalty is Penalty.none else 1
    if solver.name == validate.PROX_NEWTON:
        model = ProxNewtonLogisticRegression(C=C, l1_ratio=ratio)
    else:
        model = LogisticRegression(C=C, l1_ratio=ratio, solver=solver.name)
    overrides = (f"penalty={penalty.name}", f"solver={solver.name}")
    if solver.name in validate.LEGAL_SOLVERS[penalty]:
        with warnings.catch_warnings(action="ignore"):
            model.fit(X, np.arange(40) % 2)
        assert validate.resolved_solver(penalty, compose_config(*overrides).solver.name) == solver.name
    else:
        with pytest.raises(ValueError, match="support"):
            model.fit(X, np.arange(40) % 2)
        with pytest.raises(IncompatibleError, match=f"penalty={penalty.name} .*solver={solver.name}"):
            compose_config(*overrides)


def test_inert_parameters_do_nothing(compose_config: Compose) -> None:
    assert validate.effective_l1_ratio(compose_config("penalty=l1", "penalty.l1_ratio=0.3")) == 1.0
    assert validate.effective_l1_ratio(compose_config("penalty=l2", "penalty.l1_ratio=0.3")) == 0.0
    assert validate.effective_l1_ratio(compose_config("penalty=elasticnet", "penalty.l1_ratio=0.3")) == 0.3
    assert validate.effective_c(compose_config("penalty=none", "C=3")) == math.inf


SAME = [
    (("penalty=l1", "penalty.l1_ratio=0.3"), ("penalty=l1",)),
    (("penalty=none", "C=7"), ("penalty=none",)),
    (("penalty=elasticnet", "penalty.l1_ratio=1"), ("penalty=l1",)),
    (("penalty=elasticnet", "penalty.l1_ratio=0", "solver=saga"), ("penalty=l2", "solver=saga")),
    (("solver=prox-newton",), ()),
    (("threshold=.50",), ()),
    (("threshold=0.3", "cv.inner_splits=3"), ("threshold=0.30",)),
    (("class_weight={0:1,1:1.0}",), ()),
    (("class_weight={fake:2,real:1}",), ("class_weight={0:1,1:2}",)),
    (("audit.allow_fail=true", "audit.permutations=0", "cv.inner_splits=3"), ()),
    (("cv=nested", "C=3"), ("cv=nested",)),
    (("outputs=elsewhere", "plots=false", "video.workers=1", "data.root=other"), ()),
]
DIFFERENT = ["C=0.5", "penalty=l1", "seed=7", "cv=stratified", "cv.n_splits=3", "class_weight=balanced", "solver=saga",
             "class_weight={0:1,1:2}", "threshold=0.3", "threshold=f1", "calibration=sigmoid", "cv=nested",
             "cv=leave_platform_out", "features=forensic", "solver.tol=1e-6"]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME, ids=[" ".join(one) for one, _ in SAME])
def test_equal_experiments_have_equal_ids(compose_config: Compose, one: tuple[str], other: tuple[str]) -> None:
    assert canonical(compose_config(*one)) == canonical(compose_config(*other))


@pytest.mark.parametrize("override", DIFFERENT)
def test_different_experiments_have_different_ids(compose_config: Compose, override: str) -> None:
    assert run_id(compose_config(override), "data") != run_id(compose_config(), "data")


@pytest.mark.parametrize("chosen", ["threshold=f1", "calibration=sigmoid", "cv=nested"])
@pytest.mark.parametrize("inside", ["cv.inner_splits=3", "cv.c_grid=[1,2]"])
def test_what_is_decided_inside_follows_the_inner_folds(compose_config: Compose, chosen: str, inside: str) -> None:
    assert canonical(compose_config(chosen, inside)) != canonical(compose_config(chosen))


def test_other_data_are_another_experiment(compose_config: Compose) -> None:
    assert run_id(compose_config(), "data") != run_id(compose_config(), "other data")
