"""What tests of more than one folder need: small real data, configurations from conf/, the command line, Chromium."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray

from fvc_exp._typing import Progress
from fvc_exp.config.hydra_app import register
from fvc_exp.config.schema import Config
from fvc_exp.config.validate import to_typed
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.fvc import DUPLICATES, SEEDS
from fvc_exp.training.experiment import RunResult, run_experiment
from fvc_exp.training.split_dataset import SplitDataset

ROOT = Path(__file__).resolve().parents[1]
Compose = Callable[..., Config]
# The published id files are under a licence that does not let them be copied here.
CORPUS = Path(os.environ.get("FVC_IDS", ROOT.parent / "shared" / "data" / "fvc"))
needs_corpus = pytest.mark.skipif(
    not (CORPUS / SEEDS).is_file(),
    reason=f"the corpus' own files are not here: FVC_IDS=FOLDER with {SEEDS}, {DUPLICATES}",
)
CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture
def compose_config() -> Iterator[Compose]:
    """Compose conf/ with overrides into a typed configuration."""
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield lambda *overrides: to_typed(compose("config", overrides=list(overrides)))


def make_dataset(
    X: NDArray[np.float64], y: NDArray[np.int64], groups: NDArray[np.int64], group_column: str | None = "group"
) -> Dataset:
    """A data set in memory with made-up names."""
    return Dataset(
        X=X,
        y=y,
        groups=groups,
        ids=tuple(f"video{row:05d}.mp4" for row in range(len(y))),
        group_names=tuple(f"group{code:05d}" for code in groups),
        feature_names=tuple(f"stage2_f{column}" for column in range(X.shape[1])),
        group_column=group_column,
    )


def signal_dataset(n_groups: int = 40, copies: int = 3, n_features: int = 5, seed: int = 0) -> Dataset:
    """Groups of near-copies with some signal in every feature."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), copies)
    y = groups % 2
    centres = random.normal(size=(n_groups, n_features))
    X = centres[groups] + 0.3 * random.normal(size=(len(y), n_features)) + 0.6 * y[:, None]
    return make_dataset(X, y, groups)


def run(config: Config, dataset: Dataset, on_progress: Progress | None = None) -> RunResult:
    """One configuration on rows in memory."""
    return run_experiment(config, SplitDataset.of(config, dataset), on_progress)


def write_tables(folder: Path) -> None:
    """Metadata as CSV and stage-2 features as parquet, as data=fvc reads them."""
    dataset = signal_dataset()
    metadata = {"video_path": dataset.ids, "label": ["fake" if label else "real" for label in dataset.y]}
    pl.DataFrame({**metadata, "group": dataset.group_names}).write_csv(folder / "scaled_metadata.csv")
    features = {f"f{column}": dataset.X[:, column] for column in range(dataset.X.shape[1])}
    pl.DataFrame({"video_path": dataset.ids, **features}).write_parquet(folder / "features_stage2.parquet")


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A folder with tables of its own."""
    write_tables(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody may change, started in the folder above it, where its tables lie."""
    folder = tmp_path_factory.mktemp("finished")
    write_tables(folder)
    done = run_py("data=fvc", "data.root=.", "plots=false", "hydra.run.dir=run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def run_py(*arguments: str, cwd: Path | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    """The real command line, as a user would type it."""
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, **options)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A browser with a profile of its own; without chromium the tests are skipped, but not where CI=true."""
    if missing := _missing():
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


def _missing() -> str | None:
    absent = [str(path) for path in (CHROMIUM, DRIVER) if not path.exists()]
    if absent:
        return f"{', '.join(absent)} missing: apt-get install chromium chromium-driver"
    if importlib.util.find_spec("selenium") is None:
        return "selenium is not installed: pip install 'fvc-exp[browser]'"
    return None
