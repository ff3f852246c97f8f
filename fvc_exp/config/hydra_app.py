"""Hydra: what it must know before it composes ``conf/``, at the shell or from Python."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fvc_exp.config import hints, schema, validate
from fvc_exp.errors import ConfigError, FvcError
from fvc_exp.io import console, signals

# Exit codes beside 0, and 1 for wrong settings or data.
NOT_TRACKED = 3  # everything is done and lies in its folder, but it was not imported as configured
UNEXPECTED = 4  # an error of the machine or of this program; the run folder holds a traceback
_SECRET = re.compile("PASS|SECRET|TOKEN|KEY|CREDENTIAL|URI|URL", re.IGNORECASE)  # in the name of a variable
_MAY_SET_MODE = re.compile(r"-c|--config|\+*(search|experiment|hydra\.mode)\b")
_PACKAGE = Path(__file__).resolve().parents[1]
_PLUGINS = str(_PACKAGE / "plugins")


def register() -> None:
    """Give Hydra the schema, the process id for folder names that never collide, configs of one's own, the sweeper.

    Hydra looks for plugins in the namespace package ``hydra_plugins`` all over the path; ours lies inside this package,
    so that it is also found in a checkout that is not installed.
    """
    if _PLUGINS not in sys.path:
        sys.path.append(_PLUGINS)
    ConfigStore.instance().store(name="base_config", node=schema.Config)
    any_key = OmegaConf.create({}, flags={"struct": False})
    ConfigStore.instance().store(group="hydra/sbatch", name="options", node={"additional_parameters": any_key})
    OmegaConf.register_new_resolver("pid", os.getpid, replace=True)
    OmegaConf.register_new_resolver("own_conf", own_conf, replace=True)


def run_shell(main: Callable[[], object]) -> None:
    """Call Hydra's main; a user's error ends the process with one message on stderr and exit code 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises what it would otherwise print as a traceback
    modes = {(): None, ("search=grid",): RunMode.MULTIRUN}  # what words say of hydra.mode: as in conf/search/grid.yaml
    if not own_conf() and (said := tuple(filter(_MAY_SET_MODE.match, sys.argv[1:]))) in modes:
        # Hydra composes twice, the first time for hydra.mode alone.
        Hydra.get_mode = lambda *_, **__: modes[said]  # type: ignore[method-assign]  # it has no other switch for that
    try:
        hints.refuse_other_than_one_choice(sys.argv[1:], conf_folder())
        with signals.raise_when_stopped(), refuse_keys_below_null():
            main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except (FvcError, HydraException, OmegaConfBaseException) as error:
        sys.exit(console.error_text(f"error: {hints.message_of(error)}"))
    except OSError as error:
        sys.exit(console.error_text(f"error: {error.filename or ''}: {error.strerror or error}"))


@contextmanager
def refuse_keys_below_null() -> Iterator[None]:
    """Explain the error of an override such as data.demo.seed=1 with data=fvc, where OmegaConf only asserts.

    Raises:
        ConfigError: an override names a key below one that is null.
    """
    try:
        yield
    except AssertionError as error:
        if "Unexpected type for root" not in str(error):
            raise
        message = "an override names a key below one that is null: data.demo.* exists in data=demo only"
        raise ConfigError(message) from error


class CheckConfig(Callback):
    """Refuses a wrong configuration, or one whose tracker is not installed, before Hydra makes a folder for it.

    Hydra turns other exceptions in a callback into warnings, so it raises SystemExit.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check a single run."""
        task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        with _exit_on_error():
            _check_own_settings(config)
            validate.require_tracker(validate.to_typed(task).tracking.name)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check what all runs of a sweep share; the sweeper checks each configuration."""
        with _exit_on_error():
            _check_own_settings(config)
            validate.require_tracker(config.tracking.name)
            objective = config.sweep.objective.name
            better = "minimize" if objective in schema.LOWER_IS_BETTER else "maximize"
            direction = str(OmegaConf.select(config, "hydra.sweeper.direction"))
            if "imize" in direction and better not in direction:
                remedy = f"with this sweeper add hydra.sweeper.direction={better}"
                raise ConfigError(f"a run returns its {objective}: {remedy}")

    def on_run_end(self, *_: Any, **kwargs: Any) -> None:
        """Set the exit code of a run that is not done, or was not imported."""
        job_return: JobReturn = kwargs["job_return"]
        if job_return.status is not JobStatus.COMPLETED:
            return
        if job_return.return_value["state"] != "done":
            raise SystemExit(UNEXPECTED if "traceback" in job_return.return_value else 1)
        if not job_return.return_value["tracked"]:
            raise SystemExit(NOT_TRACKED)


@contextmanager
def _exit_on_error() -> Iterator[None]:
    try:
        yield
    except FvcError as error:
        raise SystemExit(console.error_text(f"error: {error}")) from error


def conf_folder() -> Path:
    """``conf/`` beside the package in a checkout, inside it when it was installed from a wheel."""
    inside = _PACKAGE / "conf"
    return inside if inside.is_dir() else _PACKAGE.parent / "conf"


def own_conf() -> list[str]:
    """Where Hydra looks for configs behind those of the project: in ``./conf``, if there is one."""
    own = Path("conf").absolute()
    return [f"file://{own}"] if own.is_dir() and not own.samefile(conf_folder()) else []


def _check_own_settings(config: DictConfig) -> None:
    """Refuse a config of one's own that would not be used, since the project's of the same name comes first.

    And a secret for the environment of a run, since Hydra stores its settings in the run's folder.
    """
    main = conf_folder()
    for source in config.hydra.runtime.config_sources:
        folder = Path(source.path)
        for own in folder.rglob("*.yaml") if source.schema == "file" and folder != main else ():
            used = main / own.relative_to(folder)
            if used.is_file() and used.read_bytes() != own.read_bytes():
                raise ConfigError(f"{own}: give it another name: fvc-exp has a file of this name, and takes that")
    for name in config.hydra.job.env_set:
        if _SECRET.search(name):
            raise ConfigError(f"hydra.job.env_set.{name} would be stored with the run: export {name} before you start")


def compose_configs(overrides: Sequence[Sequence[str]]) -> list[schema.Config]:
    """One typed configuration for each list of overrides, such as ``["penalty=l1", "C=0.1"]``.

    Raises:
        ConfigError: an override names an unknown key or option, or a value that is not allowed.
    """
    with _composing(word for each in overrides for word in each):
        return [validate.to_typed(compose("config", overrides=list(each))) for each in overrides]


def launcher_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """The node of hydra/launcher=slurm with these overrides, as for a sweep.

    Raises:
        ConfigError: an override names an unknown key or option.
    """
    with _composing(overrides):
        composed = compose("config", overrides=["hydra/launcher=slurm", *overrides], return_hydra_config=True)
        return cast("dict[str, Any]", OmegaConf.to_container(composed.hydra.launcher, resolve=True))


def changed_settings(settings: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A launcher's node after overrides such as ``hydra.launcher.mem_gb=8``.

    Raises:
        ConfigError: an override is about something else, or does not follow the grammar.
    """
    changed = OmegaConf.create({"hydra": {"launcher": dict(settings)}}, flags={"struct": True})
    try:
        for override in OverridesParser.create().parse_overrides(list(overrides)):
            OmegaConf.update(changed, override.key_or_group, override.value(), merge=False)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(hints.message_of(error)) from error
    return cast("dict[str, Any]", OmegaConf.to_container(changed.hydra.launcher))


@contextmanager
def _composing(overrides: Iterable[str]) -> Iterator[None]:
    """Hydra on ``conf/``, named as at the shell; its errors become ConfigError."""
    hints.refuse_other_than_one_choice(overrides, conf_folder())
    theirs = Singleton.get_state()  # a process has one Hydra; the calling application keeps its own
    GlobalHydra.instance().clear()
    try:
        register()
        with refuse_keys_below_null(), initialize_config_dir(str(conf_folder()), "run", version_base="1.3"):
            yield
    except HydraException as error:
        raise ConfigError(hints.message_of(error)) from error
    finally:
        Singleton.set_state(theirs)
