"""The reference of every key in ``docs/configuration.md``: ``python -m docs.reference`` prints it.

Types come from the schema, ranges from its checks, defaults and meanings from ``conf/`` and the comments in it.
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import yaml

from fvc_exp.config.hints import field_types, key_types
from fvc_exp.config.hydra_app import compose_configs, conf_folder
from fvc_exp.config.schema import Config
from fvc_exp.config.validate import range_rules

_LINE = re.compile(r"(?P<indent> *)(?P<name>\w+):(?: +(?P<value>[^#\s].*?))??(?: +# *(?P<comment>.*))?")
_COLUMNS = "| key | type | default | allowed | meaning |\n|---|---|---|---|---|"
_BAR = r"\|"  # a bar inside a cell
_LAUNCHER = "hydra/launcher"
Described = dict[str, tuple[str, str]]  # by key: its value and the comment beside it


def reference() -> str:
    """The whole reference as Markdown: the keys without a group, then each group with its choices and keys."""
    conf = conf_folder()
    keys = {key: kind for key, kind in key_types(Config).items() if not field_types(kind)}
    groups = [*sorted(path.name for path in conf.iterdir() if path.is_dir() and path.name != "hydra"), _LAUNCHER]
    own = {key: kind for key, kind in keys.items() if key.partition(".")[0] not in groups}
    defaults = yaml.safe_load((conf / "config.yaml").read_text())["defaults"]
    parts = ["## Keys without a group", *_table(own, _described([conf / "config.yaml"]))]
    for group in groups:
        files = sorted((conf / group).glob("*.yaml"), key=lambda file: _order(file, {group: file.stem} in defaults))
        described = _described(files, group.replace("/", "."))
        of_group = {key: kind for key, kind in keys.items() if key.startswith(f"{group}.") and key != f"{group}.name"}
        of_launcher = dict.fromkeys(described, Any) if group == _LAUNCHER else {}
        choices = [f"- `{group}={file.stem}`: {_meaning(file)}" for file in files]
        parts += ["", f"## {group}", "", *choices, *_table(of_group or of_launcher, described)]
    return "\n".join(parts)


def _order(file: Path, is_default: bool) -> tuple[bool, bool, str]:
    """The base of the other choices of a group comes first, then the default."""
    return "defaults: [" in file.read_text(), not is_default, file.stem


def _described(files: Iterable[Path], group: str = "") -> Described:
    """The keys that files of ``conf/`` set: the first value and the first comment of each."""
    found: Described = {}
    for file in files:
        names = [group] if group else []
        for line in filter(None, map(_LINE.fullmatch, file.read_text().splitlines())):
            names[len(line["indent"]) // 2 + bool(group) :] = [line["name"]]
            value, comment = found.get(".".join(names), (line["value"] or "", ""))
            found[".".join(names)] = value, comment or line["comment"] or ""
    return {key: text for key, text in found.items() if not key.endswith("defaults")}


def _meaning(file: Path) -> str:
    """The first comment of a choice that is not for Hydra."""
    comment = re.search(r"(?:^| )# (?!@)(.*)", file.read_text(), re.MULTILINE)
    return comment[1] if comment else ""


def _table(keys: dict[str, Any], described: Described) -> Iterator[str]:
    ranges = {key: meaning for key, _, _, meaning in range_rules(compose_configs([[]])[0])}
    yield from ("", _COLUMNS) if keys else ()
    for key, kind in keys.items():
        value, comment = described.get(key, ("", ""))
        options = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, Enum)]
        allowed = " ".join(f"`{name}`" for option in options for name in option.__members__) or ranges.get(key, "")
        cells = (f"`{key}`", _name_of(kind), f"`{value}`" if value else "", allowed, comment)
        yield f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |"


def _name_of(kind: Any) -> str:
    """As the schema writes it, without modules; a choice names its values in the next column."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "choice"
    return getattr(kind, "__name__", "") if isinstance(kind, type) else re.sub(r"\w+\.", "", str(kind))


if __name__ == "__main__":
    print(reference())
