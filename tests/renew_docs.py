"""What README.md and docs/ show of commands. ``python -m tests.renew_docs`` writes what they print now.

In a block of ```` ```console ```` each line after a command is its standard output. In a table whose first cell is a
``python run.py`` command, the next two cells are the cross-validated AUC and the verdict of that run.
"""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from contextlib import chdir
from pathlib import Path

import polars as pl

import fvc_exp
from fvc_exp.config.reference import reference
from fvc_exp.io import files
from tests.conftest import signal_dataset
from tests.shell import ROOT, fvc, run_py, succeeded

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```)", re.DOTALL | re.MULTILINE)
SCORES = re.compile(r"\| `python run.py (.+?)` \| \d\.\d+ ± \d\.\d+ \| [A-Z]+ \|")
REFERENCE = re.compile(r"(?<=<!-- python -m fvc_exp.config.reference -->\n).*", re.DOTALL)
RUN_NAME = re.compile(r"\d{4}-\d\d-\d\d_[\d-]+")


def renewed(text: str, folder: Path) -> str:
    """A page with what its commands print when they are typed in this folder."""
    text = CONSOLE.sub(lambda found: _block(found[0], folder), text)
    return REFERENCE.sub(lambda _: f"{reference()}\n", SCORES.sub(lambda found: _row(found[1], folder), text))


def _block(shown: str, folder: Path) -> str:
    commands = [line.removeprefix("$ ") for line in shown.splitlines() if line.startswith("$ ")]
    return "".join(f"$ {command}\n{_output(command, folder)}" for command in commands)


def _output(command: str, folder: Path) -> str:
    typed, _, shortened = command.partition(" | ")
    newest = max((path.name for path in folder.glob("outputs/runs/*")), default="")
    words = shlex.split(typed.replace("<run>", newest))
    call = {"python": run_py, "fvc": fvc}[words[0]]
    printed = succeeded(call(*words[2 if call is run_py else 1 :], cwd=folder, env={**os.environ, "COLUMNS": "80"}))
    short = subprocess.run(["sh", "-c", shortened or "cat"], input=printed.stdout, capture_output=True, text=True)
    return re.sub(r" +\n", "\n", RUN_NAME.sub("<run>", short.stdout.replace(f"{folder}/", "")))


def _row(words: str, folder: Path) -> str:
    with chdir(folder):
        found = fvc_exp.run(words.split())
    auc, verdict = found.summary["auc"], found.certificate.verdict
    return f"| `python run.py {words}` | {auc['mean']:.3f} ± {auc['std']:.3f} | {verdict} |"


def write_mine(folder: Path) -> None:
    """The table of one's own that examples name, ``features.csv``, as pandas writes one."""
    data = signal_dataset()
    labels = {"file": data.ids, "label": ["fake" if label else "real" for label in data.y], "event": data.group_names}
    features = {f"f{column}": values for column, values in enumerate(data.X.T)}
    pl.DataFrame({**labels, **features}).with_row_index("").write_csv(folder / "features.csv")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        write_mine(folder)
        for page in PAGES:
            files.write_bytes(page, renewed(page.read_text(), folder).encode())
        picture = min(folder.glob("outputs/runs/*/roc_pr_curves.png"))  # of the README's first command
        shutil.copy(picture, ROOT / "docs" / picture.name)
