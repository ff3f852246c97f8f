"""A command's overrides -> the configurations it asks for, each composed as Hydra would, but most of them faster."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException


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
