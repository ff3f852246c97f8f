"""What the members of a sweep share within one process: rows, folds and floors, and with ``search=grid`` their fits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, TypeVar

from fvc_exp._typing import Progress
from fvc_exp.config.schema import Config
from fvc_exp.errors import DataError
from fvc_exp.sweeps.folder import Member

if TYPE_CHECKING:
    from fvc_exp.data.dataset import Dataset
    from fvc_exp.training.shared_fits import SharedFits
    from fvc_exp.training.split_dataset import SplitDataset


log = logging.getLogger(__name__)


_KEPT = 8  # data sets, and splits: a sweep over seeds has folds for each


Value = TypeVar("Value")


class SweepCache:
    """Rows by what they are made of, and their splits by folds, audit and seed; each is made once for many members.

    One object serves the members that one process runs. A single run works without it.
    """

    def __init__(self) -> None:
        self._datasets: dict[str, Dataset] = {}
        self._splits: dict[str, SplitDataset] = {}
        self._fits: dict[str, SharedFits] = {}

    def split_dataset(self, config: Config, planned_sha256: str | None) -> SplitDataset:
        """Rows and folds of a member, with the fits that its grid shares; the rows must be those of the plan.

        Raises:
            DataError: they are not there, are others by now, or cannot be split so.
        """
        from fvc_exp.data.dataset import load_dataset
        from fvc_exp.data.splits import make_split
        from fvc_exp.training.split_dataset import SplitDataset

        rows = repr((config.data, config.features))
        dataset = _once(self._datasets, rows, lambda: load_dataset(config.data, config.features))
        if planned_sha256 not in (None, found := dataset.content_hash()):
            raise DataError(
                f"{config.data.root}: the data changed after the sweep was planned (sha256 {found[:12]}, "
                f"planned {planned_sha256[:12]}); give the command again for a sweep of the new data"
            )
        cv, audit, seed = config.cv, config.audit, config.seed
        return _once(
            self._splits,
            repr((found, rows, cv, audit, seed)),
            lambda: SplitDataset(dataset, make_split(dataset, cv, seed), audit, seed, self._fits),
        )

    def fit_together(
        self, members: Sequence[Member], wanted: Collection[Member], on_progress: Progress | None = None
    ) -> None:
        """Fit the grids that the wanted members belong to, for the split data sets of this cache to give.

        A grid is always fitted as a whole, so that its numbers do not depend on what was finished before. Members whose
        data cannot be used are left out: each finds that out when it is run, and keeps it as its reason.
        """
        from fvc_exp.training.shared_fits import grid_key, points_of

        grids: dict[str, list[Member]] = {}
        for member in members:
            grids.setdefault(grid_key(member.config), []).append(member)
        for grid in grids.values():
            points = dict.fromkeys(point for member in grid for point in points_of(member.config))
            if not points or not any(member in wanted for member in grid):
                continue
            config, planned = grid[0].config, grid[0].data_sha256
            try:
                self.split_dataset(config, planned).fit_together(config, points, on_progress)
            except DataError as error:
                log.info("no fits to share: %s", error)


def _once(known: dict[str, Value], key: str, make: Callable[[], Value]) -> Value:
    """The value of this key, made where it is not known; the oldest ones are forgotten."""
    if key not in known:
        value = make()
        while len(known) >= _KEPT:
            del known[next(iter(known))]
        known[key] = value
    return known[key]
