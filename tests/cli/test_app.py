import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from fvc_exp.__main__ import app
from tests.shell import ROOT, fvc, run_process, succeeded

COMMANDS = get_command(app).commands
SWEEP_COMMANDS = ["status", "retry", "collect", "leaderboard"]


@pytest.mark.parametrize("name", SWEEP_COMMANDS)
def test_a_folder_that_is_no_sweep_is_one_line_and_help_tells_the_exit_code(tmp_path: Path, name: str) -> None:
    done = fvc(name, tmp_path / "nothing")
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'nothing'}: no such folder\n"
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())
    assert "Exit code" in succeeded(fvc(name, "--help")).stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_that_parses(name: str) -> None:
    examples = re.findall(r"Example: fvc (.+)", COMMANDS[name].help or "")
    assert examples
    for example in examples:
        called, *arguments = shlex.split(example)
        assert called == name
        COMMANDS[name].make_context(name, arguments)


OURS = ('eval "$(_FVC_COMPLETE=source_bash fvc)"', "_fvc_completion")
HYDRAS = ('eval "$(python run.py -sc install=bash)"', "hydra_bash_completion")


def completed(words: str, source: str, function: str) -> set[str]:
    """What a real bash would offer for the last word, after it has read this completion script."""
    script = f"""
        {source}
        read -ra COMP_WORDS <<< {shlex.quote(words)}
        COMP_LINE={shlex.quote(words)} COMP_POINT=${{#COMP_LINE}} COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        {function} "${{COMP_WORDS[0]}}" "${{COMP_WORDS[COMP_CWORD]}}" "" || exit
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    folder = Path(sys.executable).parent
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": "/nonexistent"}
    done = succeeded(run_process("bash", "--norc", "-c", script, cwd=ROOT, env=environment))
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("fvc le", {"leaderboard"}),
        ("fvc run penalty = el", {"elasticnet"}),
        ("fvc run penalty =", {"elasticnet", "l1", "l2", "none"}),
        ("fvc run penalty=el", {"penalty=elasticnet"}),
        ("fvc run -m pen", {"penalty.", "penalty="}),
        ("fvc run x=[ pen", set()),
        ("python run.py penalty=el", {"penalty=elasticnet"}),
    ],
)
def test_bash_completes(words: str, found: set[str]) -> None:
    assert completed(words, *(OURS if words.startswith("fvc") else HYDRAS)) == found


def test_without_a_command_it_shows_those_of_a_normal_day() -> None:
    shown = succeeded(fvc()).stdout
    assert re.findall(r"^fvc (\w+) ", shown, re.MULTILINE)[:5] == ["doctor", "run", "status", "report", "predict"]
