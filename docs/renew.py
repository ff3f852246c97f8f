"""What README.md and docs/ show of commands. ``python -m docs.renew`` writes what they print now.

The lines below ``$ COMMAND`` are its standard output. In a table whose first cell is a ``python run.py`` command, the
next two cells are the cross-validated AUC and the verdict of that run.
"""

import re
import shlex
import shutil
import tempfile
from contextlib import chdir
from pathlib import Path

import fvc_exp
from docs.reference import reference
from tests.conftest import write_tables
from tests.shell import ROOT, fvc, run_process, run_py, succeeded

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = re.compile(r"(?<=^\$ )(.+)\n(?:(?!```|\$ ).*\n)*", re.MULTILINE)
SCORES = re.compile(r"(?<=^\| `python run.py )(.+?)` \| [^|]+ \| [A-Z]+ \|", re.MULTILINE)
NAME = re.compile(r"\b(?:\d{4}-\d\d-\d\d_[\d-]+|[0-9a-f]{12})\b")  # of a run or sweep
REFERENCE = re.compile(r"(?<=<!-- python -m docs.reference -->\n).*", re.DOTALL)


def renewed(text: str, folder: Path) -> str:
    """A page with what its commands print when they are typed in a folder."""
    text = SHOWN.sub(lambda found: f"{found[1]}\n{_printed(found[1], folder)}", text)
    text = SCORES.sub(lambda found: f"{found[1]}` | {_scored(found[1], folder)} |", text)
    return REFERENCE.sub(lambda _: f"{reference()}\n", text)


def _printed(command: str, folder: Path) -> str:
    typed, _, shortened = command.partition(" | ")
    program, *words = shlex.split(typed)
    done = fvc(*words, cwd=folder) if program == "fvc" else run_py(*words[1:], cwd=folder)
    text = re.sub(
        r" +\n", "\n", NAME.sub(lambda found: "<run>" if "_" in found[0] else "<hash>", succeeded(done).stdout)
    )
    return succeeded(run_process("sh", "-c", shortened or "cat", input=text.replace(f"{folder}/", ""))).stdout


def _scored(words: str, folder: Path) -> str:
    with chdir(folder):
        found = fvc_exp.run(words.split())
    return "{mean:.3f} ± {std:.3f} | ".format(**found.summary["auc"]) + found.data.certificate.verdict


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    write_tables(folder)
    for page in PAGES:
        page.write_text(renewed(page.read_text(), folder))
    shutil.copy(min(folder.glob("outputs/runs/*/*.png")), ROOT / "docs")  # of the README's first command
    shutil.rmtree(folder)
