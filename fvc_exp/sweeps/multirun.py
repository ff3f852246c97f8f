"""From Hydra's multirun to a sweep that is driven: the only part that reads Hydra's own configuration."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from fvc_exp.config.schema import Config, Search, Tracker
from fvc_exp.config.validate import PROX_NEWTON
from fvc_exp.errors import ConfigError
from fvc_exp.io.console import make_console
from fvc_exp.io.optional import require_mlflow
from fvc_exp.sweeps.driver import drive, print_advice
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.launchers import cluster_of
from fvc_exp.sweeps.plan import TrainingData, make_plan, sweep_path
from fvc_exp.sweeps.show import counts_line, print_plan
from fvc_exp.sweeps.states import TO_RUN, inspect
from fvc_exp.sweeps.submissions import Cluster


@dataclass(frozen=True)
class Swept:
    """``complete`` if all is done, or was only to be shown or submitted; ``ended`` where a driver has seen its end."""

    complete: bool
    ended: tuple[SweepFolder, Config] | None = None


def sweep(loader: ConfigLoader, master: DictConfig, arguments: list[str]) -> Swept:
    """Plan and run what a multirun asks for.

    Raises:
        HydraException: an override is wrong.
        FvcError: nothing can run, or not with this launcher.
    """
    option = str(master.hydra.runtime.choices["hydra/launcher"])
    cluster = cluster_of(option, master.hydra.launcher)  # refuse an unknown launcher before any work
    if master.search.name is Search.grid and cluster is not None:
        raise ConfigError(
            f"search=grid makes its fits in one process: leave out hydra/launcher={option}, or use -m "
            f"solver={PROX_NEWTON} without search; as one job: sbatch ops/slurm_stage5alpha.sh search=grid"
        )
    if master.tracking.name == Tracker.mlflow:
        require_mlflow()
    grid = Grid(loader, master)
    points = grid.points(arguments)
    requested = ((point, grid.compose(point)) for point in points)
    dry = bool(master.sweep.dry)
    data, common = TrainingData(prepare=not dry), shared(points)
    plan, first = make_plan(requested, data, command=sys.argv, common=common, launcher=option)
    folder = SweepFolder(sweep_path(first, plan))
    plan = replace(plan, launcher_settings=_settings(master, folder))
    if dry:
        _show(folder, plan)
        return Swept(complete=True)
    complete = drive(folder, plan, leave=not first.sweep.wait)
    return Swept(complete, (folder, first) if first.sweep.wait else None)


def _settings(master: DictConfig, folder: SweepFolder) -> dict[str, Any]:
    """The launcher node, resolved as if Hydra had made the sweep's folder."""
    with open_dict(master):
        master.hydra.sweep.dir = str(folder.path.resolve())
    return cast("dict[str, Any]", OmegaConf.to_container(master.hydra.launcher, resolve=True))


def _show(folder: SweepFolder, plan: Plan) -> None:
    console = make_console()
    states = inspect(folder, plan)
    print_plan(console, plan, [each.member for each in states if each.state in TO_RUN])
    console.print(counts_line(plan, states))
    if any(member.trains and member.data_sha256 is None for member in plan.members):
        console.print("the data are made when the sweep begins; what is done already is not known before that")
    else:
        console.print(f"the sweep would be {folder.path}", soft_wrap=True, markup=False)
        if cluster_of(plan.launcher, plan.launcher_settings) is Cluster.slurm:
            print_advice(console, plan.members, plan.pack)
    console.print("nothing was submitted")


class Grid:
    """Expands and composes the points of a multirun."""

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        self._parser = OverridesParser.create(config_loader=loader)
        self._parsed: dict[str, Override] = {}
        self._is_group: dict[str, bool] = {}
        self._bases: dict[tuple[str, ...], DictConfig] = {}

    def points(self, arguments: Sequence[str]) -> list[list[str]]:
        """The Cartesian product of all choices, ranges and globs, as Hydra's own sweeper makes it.

        Raises:
            HydraException: an argument does not follow the grammar, or asks for a continuous interval.
        """
        (points,) = BasicSweeper.split_arguments(self._parser.parse_overrides(list(arguments)), None)
        return points

    def compose(self, point: Sequence[str]) -> DictConfig:
        """The configuration of one point, without Hydra's own node.

        Config groups are composed once for each combination of them. Plain values are then set on a copy, which is
        what Hydra does with them after it composed the groups; anything else goes all the way through Hydra.

        Raises:
            HydraException: an unknown option or key, or a value of the wrong type.
        """
        overrides = [self._parse(text) for text in point]
        values = [override for override in overrides if self._is_value(override)]
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
            return self._compose_by_hydra(point)  # fails, too, and says why in Hydra's words
        return composed

    def _compose_by_hydra(self, point: Sequence[str]) -> DictConfig:
        composed = self._loader.load_sweep_config(self._master, list(point))
        with read_write(composed), open_dict(composed):
            del composed["hydra"]
        return composed

    def _parse(self, text: str) -> Override:
        if text not in self._parsed:
            (self._parsed[text],) = self._parser.parse_overrides([text])
        return self._parsed[text]

    def _is_value(self, override: Override) -> bool:
        name = override.key_or_group
        if name not in self._is_group:
            self._is_group[name] = bool(self._loader.get_group_options(name))
        return override.package is None and not self._is_group[name]


def shared(points: Sequence[Sequence[str]]) -> list[str]:
    """The overrides that stand in every one of several points."""
    return [text for text in points[0] if all(text in point for point in points)] if len(points) > 1 else []
