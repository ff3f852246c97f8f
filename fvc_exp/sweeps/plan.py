"""Turn requested points into a plan: refuse illegal ones with a reason, drop duplicates in effect, hash the data."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import DictConfig

from fvc_exp.config import canonical, schema, validate
from fvc_exp.data.dataset import load_dataset
from fvc_exp.errors import ConfigError, DataError
from fvc_exp.io import files
from fvc_exp.sweeps.folder import Duplicate, Member, Plan, Refused, SweepFolder

_INERT = ("search", "sweep", "plots", "tracking", "name", "tags")  # these change nothing that a stage writes
Prepared = tuple[schema.DataConfig, str | None]  # where the rows are now, and their content hash


class TrainingData:
    """Makes and reads the rows of each distinct data set once, so that the jobs of a sweep need not.

    With ``prepare`` off nothing is made, and the hash of rows that are not there yet is None.
    """

    def __init__(self, *, prepare: bool) -> None:
        self._prepare = prepare
        self._known: dict[str, Prepared] = {}

    def of(self, config: schema.Config) -> Prepared:
        """Place and content hash of what this configuration trains on.

        Raises:
            DataError: it cannot be made or read.
        """
        key = repr((config.data, config.features, config.video))
        if key not in self._known:
            self._known[key] = self._find(config)
        return self._known[key]

    def _find(self, config: schema.Config) -> Prepared:
        data = config.data
        try:
            data = self._place(config) if data.prepare else data
            return data, load_dataset(data, config.features).content_hash
        except DataError:
            if self._prepare or not data.prepare:
                raise
            return data, None

    def _place(self, config: schema.Config) -> schema.DataConfig:
        """Where the rows that are made from videos are now, or will be."""
        from fvc_exp.demo.corpus import corpus_folder  # decoders, which training on ready tables has no need of
        from fvc_exp.stages import pipeline

        data = config.data
        if self._prepare:
            return pipeline.prepare_training(config).data
        if data.demo is not None:
            return replace(data, root=str(corpus_folder(Path(data.root), data.demo)))
        return pipeline.with_place(config).data


def make_plan(
    requested: Iterable[tuple[list[str], DictConfig]],
    data: TrainingData,
    *,
    command: Sequence[str],
    common: Sequence[str],
    launcher: str,
) -> Plan:
    """Sort what was requested.

    Raises:
        ConfigError: none of them can run.
        DataError: none of them can run, and the first for its data.
    """
    members: dict[str, Member] = {}
    invalid: list[Refused] = []
    duplicates: list[Duplicate] = []
    errors: list[ConfigError | DataError] = []
    first: schema.Config | None = None
    for point, composed in requested:
        overrides = [text for text in point if text not in common]
        try:
            config = validate.to_typed(composed)
            member = _member(config, overrides, data)
        except (ConfigError, DataError) as error:
            invalid.append(Refused(overrides, str(error)))
            errors.append(error)
            continue
        first = first or config
        if member.run_id in members:
            duplicates.append(Duplicate(overrides, member.run_id))
        else:
            members[member.run_id] = member
    if first is None:
        raise type(errors[0])(f"none of {len(errors)} configurations can run, the first because {errors[0]}")
    return Plan(list(command), list(common), launcher, {}, first, list(members.values()), invalid, duplicates)


def common_overrides(points: Sequence[Sequence[str]]) -> list[str]:
    """The overrides that all of several points share."""
    return [text for text in points[0] if all(text in point for point in points)] if len(points) > 1 else []


def grown_plan(sweep: SweepFolder, new: Plan) -> Plan:
    """The new plan, with the members that earlier commands planned in the same folder.

    Raises:
        ArtifactError: the plan of before cannot be read, so that its members would be lost.
    """
    if not sweep.plan.exists():
        return new
    now, before = _entries(new), _entries(sweep.read_plan())
    ids = {each.run_id for each in now if isinstance(each, Member)}
    common = common_overrides(list(dict.fromkeys(tuple(each.overrides) for each in (*now, *before))))
    kept = [each for each in before if isinstance(each, Member) and each.run_id not in ids]
    found = [replace(each, overrides=[text for text in each.overrides if text not in common]) for each in (*now, *kept)]
    return replace(
        new,
        common=common,
        members=[each for each in found if isinstance(each, Member)],
        invalid=[each for each in found if isinstance(each, Refused)],
        duplicates=[each for each in found if isinstance(each, Duplicate)],
    )


def _entries(plan: Plan) -> list[Member | Refused | Duplicate]:
    """Everything that was requested, with all of its overrides."""
    requested: list[Member | Refused | Duplicate] = [*plan.members, *plan.invalid, *plan.duplicates]
    return [replace(each, overrides=[*plan.common, *each.overrides]) for each in requested]


def sweep_path(plan: Plan, own: Path | None = None) -> Path:
    """``own``, the user's hydra.sweep.dir, or ``outputs/sweeps/NAME``.

    A sweep without a name is named by what it runs, so that the same command resumes it.

    Raises:
        ConfigError: the name cannot be a folder's name, or both are given.
    """
    name = plan.config.sweep.name
    if own and name is not None:
        raise ConfigError(f"hydra.sweep.dir={own} and sweep.name={name} both name the folder: give one of them")
    if name is not None and not re.fullmatch(r"\w[\w.+-]*", name):
        raise ConfigError(f"sweep.name={name} is not allowed: it must be a folder's name of letters, digits and _.+-")
    folder = name or files.digest(sorted(each.run_id for each in plan.members))
    return own or Path(plan.config.outputs) / "sweeps" / folder


def _member(config: schema.Config, overrides: list[str], data: TrainingData) -> Member:
    place, data_hash = data.of(config) if config.stage is schema.Stage.train else (config.data, None)
    ready = replace(
        config,
        plots=False,  # the best configuration gets its pictures at the end
        search=schema.SearchConfig(schema.Search.none),  # that of the sweep, not of its members
        data=replace(place, root=str(Path(place.root).resolve()), prepare=place.prepare and data_hash is None),
    )
    return Member(_member_id(config, data_hash), overrides, canonical.canonical(config), data_hash, ready)


def _member_id(config: schema.Config, data_hash: str | None) -> str:
    """The run's id; for a stage that trains nothing, a hash of all that could change what it writes."""
    if config.stage is schema.Stage.train:
        # Rows that are not made yet have no hash; such a plan is shown, never run.
        return canonical.run_id(config, data_hash or "")
    return files.digest({key: value for key, value in files.plain(asdict(config)).items() if key not in _INERT})
