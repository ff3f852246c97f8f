"""The configuration of a run as ``config.yaml``: written with the run, read back by whoever looks at it later."""

from dataclasses import asdict
from pathlib import Path

import yaml
from omegaconf import DictConfig

from fvc_exp.config.schema import Config
from fvc_exp.config.validate import to_typed
from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import plain, write_bytes

_YAML = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the same text, where there is a compiler for it much sooner


def write_config(path: Path, config: Config) -> None:
    """Write the typed configuration as YAML that any YAML reader takes."""
    text = yaml.dump(plain(asdict(config)), Dumper=_YAML, sort_keys=False)
    write_bytes(path, text.encode())


def read_config(path: Path) -> Config:
    """Read what ``write_config`` wrote, checked like any configuration.

    Raises:
        ArtifactError: the file is missing or not YAML.
        ConfigError: it does not fit this version's configuration.
    """
    try:
        content = dict(yaml.safe_load(path.read_bytes()))
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    return to_typed(DictConfig(content))
