"""What tests of more than one folder need: small real data, configurations from conf/, the command line, Chromium."""

import copy
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import polars as pl
import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from numpy.typing import NDArray
from omegaconf import DictConfig
from threadpoolctl import threadpool_limits

from fvc_exp._typing import Progress, no_progress
from fvc_exp.config.hydra_app import register
from fvc_exp.config.schema import Config, CVConfig, DataConfig, Scheme
from fvc_exp.config.validate import to_typed
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.layouts import DUPLICATES, SEEDS
from fvc_exp.io.files import exclusive_lock, write_json
from fvc_exp.io.run_folder import RunFolder, seal
from fvc_exp.training.experiment import RunResult, run_experiment
from fvc_exp.training.split_dataset import SplitDataset
from tests.shell import ROOT, run_py, succeeded

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


def data_config(root: Path, **settings: object) -> DataConfig:
    """A data set below ``root`` that has nothing but what these settings give."""
    nothing: dict[str, Any] = dict.fromkeys(each.name for each in fields(DataConfig))
    nothing |= {"name": "fvc", "root": str(root), "columns": [], "group": [], "positive": []}
    return DataConfig(**(nothing | settings))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The test processes take the cores already: threads of BLAS beside them only wait, at full cost."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def composed_groups() -> dict[tuple[str, ...], DictConfig]:
    """What choices of groups compose to: Hydra takes a tenth of a second for each."""
    return {}


@pytest.fixture
def compose_config(composed_groups: dict[tuple[str, ...], DictConfig]) -> Iterator[Compose]:
    """Compose conf/ with overrides into a typed configuration."""
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):

        def compose_one(*overrides: str) -> Config:
            choices = tuple(each for each in overrides if (ROOT / "conf" / each.partition("=")[0]).is_dir())
            if choices not in composed_groups:
                composed_groups[choices] = compose("config", overrides=list(choices))
            values = OverridesParser.create().parse_overrides([each for each in overrides if each not in choices])
            config = copy.deepcopy(composed_groups[choices])
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
            return to_typed(config)

        yield compose_one


def make_dataset(
    X: NDArray[np.float64], y: NDArray[np.int64], groups: NDArray[np.int64], group_column: str | None = "group"
) -> Dataset:
    """A data set in memory with made-up names."""
    return Dataset(
        X=X,
        y=y,
        groups=groups,
        ids=pl.Series([f"video{row:05d}.mp4" for row in range(len(y))]),
        group_names=pl.Series([f"group{code:05d}" for code in groups]),
        feature_names=tuple(f"stage2_f{column}" for column in range(X.shape[1])),
        group_column=group_column,
    )


def make_cv(scheme: Scheme = Scheme.grouped, n_splits: int = 5, n_repeats: int = 1, test_size: float = 0.0) -> CVConfig:
    """Cross-validation in which nothing is chosen inside a training part."""
    return CVConfig(scheme, n_splits, n_repeats, test_size, inner_splits=5, c_grid=[], folds=None)


def signal_dataset(
    n_groups: int = 40, copies: int = 3, n_features: int = 5, seed: int = 0,
    *, shift: float | tuple[float, ...] = 0.6, between: float = 1.0, shuffled: bool = False,
) -> Dataset:  # fmt: skip
    """Groups of near-copies; ``shift`` is added to the features of fakes, ``between`` is what copies of one share."""
    random = np.random.default_rng(seed)
    groups, labels = np.repeat(np.arange(n_groups), copies), np.arange(n_groups) % 2
    y = (random.permutation(labels) if shuffled else labels)[groups]
    centres = between * random.normal(size=(n_groups, n_features))
    X = centres[groups] + 0.3 * random.normal(size=(len(y), n_features)) + y[:, None] * np.asarray(shift)
    return make_dataset(X, y, groups)


def noise_dataset(n_groups: int, copies: int, n_features: int, seed: int) -> Dataset:
    """Groups of near-copies with labels that mean nothing."""
    return signal_dataset(n_groups, copies, n_features, seed, shift=0.0, shuffled=True)


def edit_json(path: Path, **changes: object) -> None:
    """Change values of a JSON file; the run that holds it lists it as it is then."""
    write_json(path, {**json.loads(path.read_text()), **changes})
    reseal(path.parent)


def reseal(folder: Path) -> None:
    """List the files of a changed run as they are now, as one who wants to deceive would."""
    run = RunFolder(folder)
    if run.status.exists() and "files" in (status := json.loads(run.status.read_text())):
        seal(run, status)


def run(config: Config, dataset: Dataset, on_progress: Progress = no_progress) -> RunResult:
    """Split, cross-validate, refit and judge."""
    return run_experiment(config, SplitDataset.of(config, dataset), on_progress)


def write_tables(folder: Path, dataset: Dataset | None = None) -> None:
    """Metadata as CSV and stage-2 features as parquet, as data=fvc reads them."""
    dataset = dataset or signal_dataset()
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
    succeeded(run_py("data=fvc", "data.root=.", "plots=false", "hydra.run.dir=run", cwd=folder))
    return folder / "run"


@pytest.fixture
def copied_run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run with its tables, named relative to where it was started."""
    shutil.copytree(finished_run.parent, tmp_path, dirs_exist_ok=True)
    edit_json(tmp_path / "run" / "provenance.json", working_folder=str(tmp_path))
    return tmp_path / "run"


# One worker: to start a process costs more than to measure a small clip.
SMALL_DEMO = ("data.demo.events=12", "data.demo.uploads=1", "cv.n_splits=2", "plots=false", "video.workers=1")


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of one run on a demo corpus of 12 videos. All test processes share them; nobody may change them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small_demo"
    with exclusive_lock(folder.with_suffix(".lock")):
        if not folder.exists():
            made = folder.with_suffix(".tmp")
            succeeded(run_py(*SMALL_DEMO, f"outputs={made}"))
            made.rename(folder)
    return folder


def skip_or_fail(missing: str) -> NoReturn:
    """Skip a test for what this machine lacks, or fail where CI=true, which must have it all."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A browser with a profile of its own; without chromium the tests are skipped, but not where CI=true."""
    if missing := _missing():
        skip_or_fail(missing)
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
