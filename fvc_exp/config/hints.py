"""What to type instead: Hydra's and OmegaConf's errors as one line, and overrides that Hydra takes but cannot mean."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from fvc_exp.config.schema import Config, Table
from fvc_exp.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from hydra.errors import OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

_WORD = re.compile(r"\s*['\"$A-Za-z]")  # how the name of a choice begins, quoted or interpolated too
_PLAIN = re.compile(r"[\w/.:+@%-]*", re.ASCII)  # needs quotes neither in Hydra's grammar nor at the shell


def setting(key: str, value: object) -> str:
    """An override whose value may hold any character."""
    # In Hydra's grammar backslashes count only in front of a quote, the closing one too.
    quoted = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + (r"\'" if found[2] else ""), str(value))
    return f"{key}='{quoted}'"


def at_shell(override: str) -> str:
    """An override as one word of a POSIX shell, in double quotes where nothing in it has a meaning there."""
    return f'"{override}"' if not re.search(r'["$`\\!]', override) else shlex.quote(override)


def refuse_other_than_one_choice(overrides: Iterable[str], conf: Path) -> None:
    """Do nothing if each group of ``conf`` that is set in overrides gets the name of one of its choices.

    Hydra itself merges the choices of a list, and the last one wins without a word.

    Raises:
        ConfigError: a group gets a list, nothing, null or a number.
    """
    for override in overrides:
        group, equals, value = override.partition("=")
        words = [] if value.lstrip().startswith("[") else value.split(",")
        is_name = bool(words) and all(_WORD.match(word) and word.strip() != "null" for word in words)
        if is_name or not (equals and re.fullmatch(r"[\w/]+", group) and (conf / group).is_dir()):
            continue
        names = ", ".join(sorted(path.stem for path in (conf / group).glob("*.yaml")))
        raise ConfigError(f"{override} is not allowed: {group} is one of {names}, or left out{_instead(group, value)}")


def _instead(group: str, value: str) -> str:
    names = re.findall(r"[\w-]+", value)
    if len(names) < 2 or not value.startswith("["):
        return ""
    several = ",".join(names)
    of_tables = group == "features" and set(names) <= set(Table.__members__)
    one = f"; for one model on these tables: {at_shell(f'features.tables=[{several}]')}" if of_tables else ""
    return f"{one}; to run each of them: -m {group}={several}"


def message_of(error: BaseException) -> str:
    """Hydra's message on one line with what to type instead, without its search path and its advice to add the key."""
    from hydra.errors import OverrideParseException  # Hydra, which reading a configuration does not need
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, OverrideParseException):
        return _of_grammar(error)
    text = str(error).split("\nConfig search path:")[0]
    if found := re.match(r"Ambiguous value for argument '([^=]*)=(.*)'", text):
        return _of_several_values(*found.groups())
    if isinstance(error.__cause__, OmegaConfBaseException):
        cause = str(error.__cause__).splitlines()[0]
        text += "" if cause in text else f"\n{cause}"
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("To append to your config")]
    options = ", ".join(line.strip() for line in lines if line.startswith("\t"))
    sentences = [line.rstrip(" .") for line in lines if not line.startswith("\t")]
    told = " ".join(filter(None, ["; ".join(sentences), options]))
    return "; ".join(filter(None, [told, hint_of(error.__cause__ or error)]))


def hint_of(error: BaseException) -> str:
    """What is near to a key or value that is refused; empty where nothing is known of it."""
    from hydra.errors import MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, MissingConfigException):
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        is_extra = choice == "optuna"
        return "pip install 'fvc-exp[optuna]'" if is_extra else did_you_mean(choice, error.options or (), f"{group}=")
    if not isinstance(error, OmegaConfBaseException):
        return ""
    message, key = str(error.msg).partition("\n")[0], str(error.full_key)
    if options := re.search(r"expected one of \[(.*)\]", message):
        return did_you_mean(error.value, options[1].split(", "))
    if "is not a ListConfig" in message:
        return f"it is a list: {at_shell(f'{key}=[{error.value}]')}"
    if "is not Optional" in message:
        return f"null is not allowed for {key}: leave it out for its default"
    return _near_keys(error, key) if "not in" in message else ""


def _near_keys(error: "OmegaConfBaseException", key: str) -> str:
    kind: Any = error.object_type
    names = list(field_types(kind))
    above = key.rpartition(".")[0]
    near = did_you_mean(error.key, names, f"{above}." if above else "") or _near_anywhere(str(error.key))
    return "; ".join(filter(None, [f"keys{above and f' of {above}'}: {', '.join(names)}", near]))


def _near_anywhere(word: str) -> str:
    """The same for a key whose group was left out, or is another one."""
    keys = {key.rpartition(".")[2]: key for key in key_types(Config)}
    nearest = get_close_matches(word, keys, n=1)
    return f"did you mean {keys[nearest[0]]}?" if nearest else ""


def key_types(kind: Any, above: str = "") -> dict[str, Any]:
    """The type of every key of a dataclass and of those in it, by its name with dots."""
    found: dict[str, Any] = {}
    for name, hint in field_types(kind).items():
        found |= {above + name: hint, **key_types(hint, f"{above}{name}.")}
    return found


@cache
def field_types(kind: Any) -> dict[str, Any]:
    """The types of a dataclass by field, that of an optional dataclass too; none of another type."""
    dataclasses = [each for each in (kind, *get_args(kind)) if is_dataclass(each)]
    return get_type_hints(dataclasses[0]) if dataclasses else {}


def _of_several_values(key: str, values: str) -> str:
    kind, told = key_types(Config).get(key), f"{key}={values} holds several values"
    if get_origin(kind) is list:
        return f"{told}: as one list they stand in brackets: {at_shell(f'{key}=[{values}]')}"
    text = f"; for one text quote it: {at_shell(setting(key, values))}" if str in (kind, *get_args(kind)) else ""
    return f"{told}: to run each of them add -m (--multirun), or search=grid, which fits them together{text}"


def _of_grammar(error: "OverrideParseException") -> str:
    key, equals, value = error.override.partition("=")
    if not equals:
        return (
            f"{error.override!r} has no =: type KEY=VALUE; a value with blanks stands in quotes: "
            '''"data.root='my folder'"'''
        )
    if value.endswith(","):
        return f"{error.override} ends with a comma: leave no blank behind it, as in {key}={value}..."
    lines = [line for line in str(error.message).splitlines() if not line.startswith(("Lexer", " ", "See"))]
    meant = str(Path(value).expanduser()) if value.startswith("~/") else value
    plain = f"{key}={meant}" if _PLAIN.fullmatch(meant) else at_shell(setting(key, meant))
    rule = f"a value with other signs than letters, digits and / . _ - needs quotes: {plain}"
    return "; ".join([f"{error.override} cannot be read", *lines, rule])
