"""The application that commands join: exit codes, mistakes as one line, JSON on stdout."""

from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from fvc_exp import __version__
from fvc_exp.errors import FvcError
from fvc_exp.io import console, files, signals

P = ParamSpec("P")
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
app = typer.Typer(
    name="fvc",
    help="Train and judge, sweep, and read and act on what runs left.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)


class Exit(IntEnum):
    """What a script learns from an exit code."""

    OK = 0
    FAILED = 1  # something failed or was lost
    USAGE_ERROR = 2  # the command cannot be carried out
    UNFINISHED = 3  # nothing failed so far, but not all is done


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fvc-exp {__version__}")
        raise typer.Exit


_NORMAL_DAY = """\
fvc doctor --run                         find out whether everything works on this machine
fvc run penalty=elasticnet C=0.1         train and judge a model; -m penalty=l1,l2 C=0.1,1 runs and ranks each
fvc status outputs/sweeps/NAME           see what became of the runs of a sweep
fvc report outputs/runs/NAME             write one HTML page about a run or a sweep
fvc predict outputs/runs/NAME clip.mp4   give each video its probability of being fake

fvc run --help lists the settings, fvc --help every command."""


@app.callback()
def _main(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="show the version and exit")
    ] = False,
) -> None:
    """Show the commands of a normal day if none is named."""
    if context.invoked_subcommand is None:
        typer.echo(_NORMAL_DAY)


def command(function: Callable[P, Exit]) -> Callable[P, None]:
    """Make a command of a function: its result is the exit code, and a mistake of the user is one line."""

    @app.command()
    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with signals.raise_when_stopped():
                code = function(*args, **kwargs)
        except FvcError as error:
            typer.echo(console.error_text(f"error: {error}"), err=True)
            code = Exit.USAGE_ERROR
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            code = Exit.FAILED
        raise typer.Exit(code)

    return run


def a_folder(text: str) -> Path:
    """A path from the command line; ``""``, as an unset variable of the shell gives it, is not the working folder."""
    if not str(text):
        raise typer.BadParameter("'' is empty; name a folder")
    return Path(text)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print(files.json_bytes(value).decode(), end="")
