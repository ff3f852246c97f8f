"""The notebook of ops/, executed without a browser on a run of its own."""

import base64
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from fvc_exp.config.hydra_app import compose_configs
from tests.conftest import SMALL_DEMO, skip_or_fail
from tests.shell import ROOT, run_process, run_py, succeeded

pytestmark = pytest.mark.slow
Notebook = dict[str, Any]
SOURCE = ROOT / "ops" / "sklearn_logreg.py"
# In a process of its own, for the sockets that the client leaves open; by Unix sockets, as nobody else may join.
EXECUTE = """
import sys, jupytext, nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
notebook = jupytext.read(sys.argv[1])
kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip="kernel")
NotebookClient(notebook, km=kernel, timeout=300).execute()
nbformat.write(notebook, sys.argv[2])
"""
NEEDED = ("jupytext", "nbclient", "ipykernel", "duckdb")
# What the cell draws, by the first line that only it has; four videos have one picture each.
PICTURES = {
    "videos = run_videos(RUN)": 4,
    "curves = [": 1,
    "ConfusionMatrixDisplay.from_predictions(": 1,
    'calibration = results["calibration"]': 1,
    "coefficients = coefficient_table(": 1,
    'shown = ["auc"': 1,
    "axes.hist(": 1,
}


@pytest.fixture(scope="module")
def demo_run(small_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with videos, started in the folder above it with paths relative to that."""
    folder = tmp_path_factory.mktemp("notebook")
    shutil.copytree(small_demo, folder, dirs_exist_ok=True)
    succeeded(run_py(*SMALL_DEMO, "outputs=.", "hydra.run.dir=run", cwd=folder))
    return folder / "run"


def beside_it() -> set[str]:
    return {path.name for path in SOURCE.parent.iterdir()} - {"__pycache__"}


BEFORE = beside_it()


@pytest.fixture(scope="module")
def executed(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Notebook:
    """The notebook with its outputs; a cell that raises or warns fails the tests."""
    if absent := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        skip_or_fail(f"not installed: {', '.join(absent)}; pip install 'fvc-exp[notebook,analytics]'")
    folder = tmp_path_factory.mktemp("kernel")
    environment = os.environ | {
        "FVC_RUN": str(demo_run),
        "PYTHONWARNINGS": "error",
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
    }
    command = [sys.executable, "-W", "default", "-c", EXECUTE, str(SOURCE), "executed.ipynb"]
    succeeded(run_process(*command, cwd=folder, env=environment))
    notebook: dict[str, Any] = json.loads((folder / "executed.ipynb").read_text())
    return notebook


def outputs_of(notebook: Notebook, marker: str = "") -> list[dict[str, Any]]:
    """What the cells say that hold the marker."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and marker in "".join(cell["source"])]
    assert len(cells) == 1 or not marker
    return [output for cell in cells for output in cell["outputs"]]


def text_of(notebook: Notebook, marker: str = "") -> str:
    """What the cells print, with the text of the tables that they show; as a script prints both."""
    texts = (each.get("text", each.get("data", {})) for each in outputs_of(notebook, marker))
    told = (each["text/plain"] + ["\n"] if "text/html" in each else each for each in texts)
    return "".join(line for each in told if isinstance(each, list) for line in each)


def rows_of(notebook: Notebook, marker: str) -> dict[str, list[str]]:
    """The cells of a table by their first one."""
    lines = [re.split(r"\s*[│┆]\s*", line)[1:-1] for line in text_of(notebook, marker).splitlines() if line[0] == "│"]
    return {cells[0]: cells[1:] for cells in lines}


def test_it_says_how_to_train_what_it_shows_and_what_it_cannot(executed: Notebook) -> None:
    told = "".join("".join(cell["source"]) for cell in executed["cells"] if cell["cell_type"] == "markdown")
    assert all(f"## {title}\n" in told for title in ("Overview", "How to train", "Limits"))
    commands = re.findall(r"^    python run\.py ([^#\n]+)", told, re.MULTILINE)
    assert len(compose_configs([command.split() for command in commands])) == 2
    assert "Video(samples" in told


def test_pictures_stand_where_they_are_expected(executed: Notebook) -> None:
    found = {}
    for marker in PICTURES:
        data = [each.get("data", {}) for each in outputs_of(executed, marker)]
        coded = [each["image/png"] for each in data if "image/png" in each]
        images = [cv2.imdecode(np.frombuffer(base64.b64decode(each), np.uint8), cv2.IMREAD_COLOR) for each in coded]
        assert all(image.std() > 1 for image in images), f"a blank picture: {marker}"
        found[marker] = len(images)
    assert found == PICTURES


def test_nothing_warns_and_nothing_is_left_beside_it(executed: Notebook) -> None:
    assert [each for each in outputs_of(executed) if each.get("name") == "stderr"] == []
    assert beside_it() == BEFORE


def test_numbers_are_those_of_the_files(executed: Notebook, demo_run: Path) -> None:
    results = json.loads((demo_run / "results.json").read_text())
    rows = rows_of(executed, 'floors = results["floors"]["cv"]')
    for metric, found in results["cv"].items():
        floors = [scores[metric] for scores in results["floors"]["cv"].values()]
        numbers = [float(each) for each in rows[metric]]
        assert numbers == pytest.approx([found["mean"], found["std"], results["test"][metric], *floors], abs=5.1e-4)
    assert results["audit"]["verdict"] in text_of(executed, 'audit["verdict"]')
    folds = json.loads((demo_run / "metrics.json").read_text())
    assert f"{np.mean([fold['test_auc'] for fold in folds]):.3f}" in text_of(executed, "DuckDBAnalytics()")


def test_saved_models_agree(executed: Notebook) -> None:
    (line,) = [line for line in text_of(executed, "run.pipeline").splitlines() if line.startswith("largest")]
    assert float(line.split(": ")[1]) < 1e-12


def test_held_out_videos_are_predicted_as_in_the_run(executed: Notebook, demo_run: Path) -> None:
    rows = rows_of(executed, "videos = run_videos(RUN)")
    rows.pop("video")
    assert (len(rows), len({group for group, *_ in rows.values()})) == (4, 4)
    found = {Path(file).name: decision for file, (*_, decision, _) in rows.items()}
    assert not any(map(os.path.isabs, rows))
    test = pl.read_parquet(demo_run / "predictions.parquet").filter(split="test")
    stored = {Path(path).name: ("real", "fake")[code] for path, code in test.select("video_path", "predicted").rows()}
    held_out = set(found) & set(stored)
    assert held_out
    assert {name: found[name] for name in held_out} == {name: stored[name] for name in held_out}


# Runs a script as if these modules were not installed.
WITHOUT = """
import runpy, sys
script, *hidden = sys.argv[1:]
sys.modules.update(dict.fromkeys(hidden))
runpy.run_path(script, run_name="__main__")
"""


def as_script(folder: Path, run: Path, *hidden: str) -> subprocess.CompletedProcess[str]:
    without = ("-c", WITHOUT) if hidden else ()
    command = [sys.executable, "-W", "error", *without, str(SOURCE), *hidden]
    environment = os.environ | {"FVC_RUN": str(run), "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    return run_process(*command, cwd=folder, env=environment)


def test_the_same_file_runs_as_a_script(executed: Notebook, demo_run: Path, tmp_path: Path) -> None:
    done = as_script(tmp_path, demo_run)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == text_of(executed)
    assert list(tmp_path.iterdir()) == []


def test_without_its_extras_all_but_sql_is_there(demo_run: Path, tmp_path: Path) -> None:
    done = as_script(tmp_path, demo_run, "jupytext", "nbclient", "ipykernel", "IPython", "duckdb")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = [line for line in done.stdout.splitlines() if "not installed" in line]
    assert line.startswith("left out: duckdb is not installed: pip install 'fvc-exp[analytics]'")
    assert line == done.stdout.splitlines()[-1]


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    done = as_script(tmp_path, tmp_path / "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    message = f"error: {tmp_path / 'nothing'}: no such folder; a training run is made by run.py and named by FVC_RUN\n"
    assert done.stderr == message
