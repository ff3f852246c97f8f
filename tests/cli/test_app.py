import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from fvc_exp import __version__
from fvc_exp.cli.app import app
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


def test_version() -> None:
    done = fvc("--version")
    assert (done.returncode, done.stdout) == (0, f"fvc-exp {__version__}\n")


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


def test_bash_completes_commands_of_the_installed_fvc() -> None:
    source = 'eval "$(_FVC_COMPLETE=source_bash fvc)"'
    assert completed("fvc le", source, "_fvc_completion") == {"leaderboard"}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("penalty = el", {"elasticnet"}),
        ("penalty =", {"elasticnet", "l1", "l2", "none"}),
        ("penalty=el", {"penalty=elasticnet"}),
        ("-m pen", {"penalty.", "penalty="}),
        ("x=[ pen", set()),
    ],
)
def test_bash_completes_the_words_of_fvc_run(words: str, found: set[str]) -> None:
    assert completed(f"fvc run {words}", 'eval "$(_FVC_COMPLETE=source_bash fvc)"', "_fvc_completion") == found


def test_without_a_command_it_shows_those_of_a_normal_day() -> None:
    shown = succeeded(fvc()).stdout
    assert re.findall(r"^fvc (\w+) ", shown, re.MULTILINE)[:5] == ["doctor", "run", "status", "report", "predict"]


def test_bash_completes_groups_and_their_choices() -> None:
    source = 'eval "$(python run.py -sc install=bash)"'
    assert completed("python run.py penalty=el", source, "hydra_bash_completion") == {"penalty=elasticnet"}
