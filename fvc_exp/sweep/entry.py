"""From Hydra's multirun to a sweep that is driven: the only part that reads Hydra's own configuration."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict

from fvc_exp.config import PROX_NEWTON, Config, Search, Tracker
from fvc_exp.console import make_console
from fvc_exp.errors import ConfigError
from fvc_exp.extras import require_mlflow
from fvc_exp.sweep.drive import drive, print_advice
from fvc_exp.sweep.folder import Plan, SweepFolder
from fvc_exp.sweep.grid import Grid, shared
from fvc_exp.sweep.launch import cluster_of
from fvc_exp.sweep.plan import TrainingData, make_plan, sweep_path
from fvc_exp.sweep.show import counts_line, print_plan
from fvc_exp.sweep.states import TO_RUN, inspect
from fvc_exp.sweep.submissions import Cluster


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
