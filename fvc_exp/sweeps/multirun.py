"""Turn Hydra's multirun into a sweep and run it; the only module that reads Hydra's own configuration."""

import copy
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from fvc_exp.config import schema, validate
from fvc_exp.errors import ConfigError
from fvc_exp.io.console import make_console, print_text, short_path
from fvc_exp.sweeps import driver, launchers, states
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.plan import TrainingData, common_overrides, make_plan, sweep_path

# What conf/ says about hydra.sweep; another value is the user's.
_SWEEP_DIR = "${outputs}/sweeps/${now:%Y-%m-%d_%H-%M-%S-%f}-${pid:}"
_SUBDIR = "${hydra.job.num}"


def run_multirun(loader: ConfigLoader, master: DictConfig, arguments: list[str]) -> tuple[bool, SweepFolder | None]:
    """Plan and run what a multirun asks for.

    Returns whether all is done, or only a plan or a submission was asked for; and the folder if results were written.

    Raises:
        HydraException: an override is wrong.
        FvcError: nothing can run, or not with this launcher.
    """
    option = str(master.hydra.runtime.choices["hydra/launcher"])
    own_dir = _checked(master, option)
    grid = Grid(loader, master)
    points = grid.points(arguments)
    requested = ((point, grid.compose(point)) for point in points)
    dry = bool(master.sweep.dry)
    data, common = TrainingData(prepare=not dry), common_overrides(points)
    plan = make_plan(requested, data, command=sys.argv, common=common, launcher=option)
    folder = SweepFolder(sweep_path(plan, own_dir))
    with open_dict(master):  # the launcher's node is resolved as if Hydra had made the folder
        master.hydra.sweep.dir = str(folder.path.resolve())
    settings = cast("dict[str, Any]", OmegaConf.to_container(master.hydra.launcher, resolve=True))
    plan = replace(plan, launcher_settings=settings)
    if dry:
        _show(folder, plan)
        return True, None
    wait = plan.config.sweep.wait
    return driver.drive_sweep(folder, plan, leave=not wait), folder if wait else None


def _checked(master: DictConfig, option: str) -> Path | None:
    """The user's hydra.sweep.dir, if any, after refusing what this sweeper cannot honour, before any work."""
    cluster = launchers.cluster_of(option, master.hydra.launcher)
    said = cast("dict[str, str]", OmegaConf.to_container(master.hydra.sweep, resolve=False))
    if said["subdir"] != _SUBDIR:
        raise ConfigError(
            f"hydra.sweep.subdir={said['subdir']} is not allowed: runs of a sweep lie in folders named by their id, "
            "by which the same configuration is found again; hydra.sweep.dir names the folder of the sweep"
        )
    if (objective := master.sweep.objective) is not schema.Metric.auc:
        raise ConfigError(f"sweep.objective={objective.name} is for hydra/sweeper=optuna: this sweeper ranks by auc")
    if master.search.name is schema.Search.grid and cluster is not None:
        raise ConfigError(
            f"search=grid makes its fits in one process: leave out hydra/launcher={option}, or use -m "
            f"solver={validate.PROX_NEWTON} without search; as one job: sbatch ops/slurm_stage5alpha.sh search=grid"
        )
    return Path(master.hydra.sweep.dir) if said["dir"] != _SWEEP_DIR else None


def _show(folder: SweepFolder, plan: Plan) -> None:
    console = make_console()
    driver.tell_work(console, plan, states.member_states(folder, plan))
    if any(member.trains and member.data_sha256 is None for member in plan.members):
        print_text(console, "the data are made when the sweep begins; what is done already is not known before that")
    else:
        print_text(console, f"the sweep would be {short_path(folder.path)}")
    console.print("nothing was submitted")


class Grid:
    """Expands and composes the points of a multirun."""

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        self._parser = OverridesParser.create(config_loader=loader)
        self._parse = cache(lambda text: self._parser.parse_overrides([text])[0])
        self._is_group = cache(lambda name: bool(loader.get_group_options(name)))
        self._bases: dict[tuple[str, ...], DictConfig] = {}

    def points(self, arguments: Sequence[str]) -> list[list[str]]:
        """The Cartesian product of all choices, ranges and globs, as Hydra's own sweeper makes it.

        Raises:
            HydraException: an argument does not follow the grammar, or asks for a continuous interval.
        """
        return BasicSweeper.split_arguments(self._parser.parse_overrides(list(arguments)), None)[0]

    def compose(self, point: Sequence[str]) -> DictConfig:
        """The configuration of one point, without Hydra's own node.

        Config groups are composed once for each combination of them. Plain values are then set on a copy, which is
        what Hydra does with them after it composed the groups; any other point is composed by Hydra as a whole.

        Raises:
            HydraException: an unknown option or key, or a value of the wrong type.
        """
        overrides = [self._parse(text) for text in point]
        values = [each for each in overrides if each.package is None and not self._is_group(each.key_or_group)]
        if any(override.type is not OverrideType.CHANGE for override in overrides):
            return self._compose_by_hydra(point)
        groups = tuple(text for text, override in zip(point, overrides, strict=True) if override not in values)
        if groups not in self._bases:
            self._bases[groups] = self._compose_by_hydra(groups)
        composed = copy.deepcopy(self._bases[groups])
        try:
            for override in values:
                OmegaConf.update(composed, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:
            return self._compose_by_hydra(point)  # fails as well, with Hydra's own message
        return composed

    def _compose_by_hydra(self, point: Sequence[str]) -> DictConfig:
        composed = self._loader.load_sweep_config(self._master, list(point))
        with read_write(composed), open_dict(composed):
            del composed["hydra"]
        return composed
