"""Commands about the machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fvc_exp.cli.base import Exit, JsonOption, a_folder, command, print_json


@command
def doctor(
    outputs: Annotated[Path, typer.Option(metavar="FOLDER", parser=a_folder, help="where results shall land")] = Path(
        "outputs"
    ),
    as_json: JsonOption = False,
) -> Exit:
    """Look at packages, threads, codecs, disks, SLURM and optional parts, and say what to do.

    Exit code 0 if runs would work, else 1.

    Example: fvc doctor --outputs /scratch/outputs
    """
    from fvc_exp.doctor import Verdict, examine

    found = examine(outputs)
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        for each in found:
            advice = f" -> {each.advice}" if each.advice else ""
            typer.echo(f"{each.verdict:8}{each.subject}: {each.found}{advice}")
    return Exit.FAILED if any(each.verdict is Verdict.problem for each in found) else Exit.OK
