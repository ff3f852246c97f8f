"""What the members of a sweep share within one process: rows, folds and floors, and with ``search=grid`` their fits."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from fvc_exp._typing import Progress
from fvc_exp.config.schema import Config, Penalty, PenaltyConfig
from fvc_exp.errors import DataError
from fvc_exp.sweeps.folder import Member

if TYPE_CHECKING:
    from fvc_exp.data.dataset import Dataset
    from fvc_exp.training.fit import Fit
    from fvc_exp.training.shared_fits import SharedFits
    from fvc_exp.training.solvers.grid import Point
    from fvc_exp.training.split_dataset import Basis


log = logging.getLogger(__name__)


_KEPT = 8


_datasets: dict[str, Dataset] = {}


_bases: dict[str, Basis] = {}


_fits: dict[str, SharedFits] = {}


Value = TypeVar("Value")


def basis_of(config: Config, expected: str | None) -> Basis:
    """Rows and folds of a member, made once a process; the rows must be those that the sweep was planned for.

    Raises:
        DataError: they are not there, are others by now, or cannot be split so.
    """
    from fvc_exp.runs.execute import load_rows
    from fvc_exp.training.split_dataset import make_basis

    rows, split = repr((config.data, config.features)), repr((config.cv, config.audit, config.seed))
    if rows + split not in _bases:
        if rows not in _datasets:
            _keep(_datasets, rows, load_rows(config))
        _keep(_bases, rows + split, make_basis(config, _datasets[rows]))
    basis = _bases[rows + split]
    if expected is not None and basis.data_sha256 != expected:
        raise DataError(
            f"{config.data.root}: the data changed after the sweep was planned (sha256 {basis.data_sha256[:12]}, "
            f"planned {expected[:12]}); give the command again for a sweep of the new data"
        )
    return basis


def share_fits(
    members: Sequence[Member], wanted: Collection[Member], on_progress: Progress | None = None
) -> Mapping[str, Fit]:
    """Fit the grids that the wanted members belong to; returns the fits of each of these by its id.

    A grid is always fitted as a whole, so that its numbers do not depend on what was finished before. Members whose
    data cannot be used are left out: each finds that out when it is run, and keeps it as its reason.
    """
    from fvc_exp.training.shared_fits import points_of

    grids: dict[str, list[tuple[Member, Config]]] = {}
    for member in members:
        config = member.config
        grids.setdefault(_but_for_the_penalty(config), []).append((member, config))
    found: dict[str, Fit] = {}
    for grid in grids.values():
        ids = [member.run_id for member, _ in grid if member in wanted]
        points = dict.fromkeys(point for _, config in grid for point in points_of(config))
        if not ids or not points:
            continue
        member, config = grid[0]
        try:
            fits = _shared(config, basis_of(config, member.data_sha256), tuple(points))
            fits.make(on_progress)
        except DataError as error:
            log.info("no fits to share: %s", error)
            continue
        found |= dict.fromkeys(ids, fits)
    return found


def _shared(config: Config, basis: Basis, points: tuple[Point, ...]) -> SharedFits:
    from fvc_exp.training.shared_fits import SharedFits

    key = repr((_but_for_the_penalty(config), points))
    if key not in _fits:
        _keep(_fits, key, SharedFits(basis, config, points))
    return _fits[key]


def _but_for_the_penalty(config: Config) -> str:
    """What members of one grid have in common."""
    return repr(replace(config, C=0.0, penalty=PenaltyConfig(Penalty.none, 0.0), plots=False))


def _keep(known: dict[str, Value], key: str, value: Value) -> None:
    """Add a value, and forget the oldest ones: a sweep over seeds has folds for each."""
    while len(known) >= _KEPT:
        del known[next(iter(known))]
    known[key] = value
