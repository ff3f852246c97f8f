from pathlib import Path

import pytest

from tests.report.folders import hostile_dataset, make_config, make_run, make_sweep


@pytest.fixture(scope="session")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with insight; read only."""
    return make_run(tmp_path_factory.mktemp("explained") / "run", make_config(), hostile_dataset(), insight=True)


@pytest.fixture(scope="session")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose audit fails; read only."""
    return make_run(tmp_path_factory.mktemp("leaking") / "run", make_config("cv=stratified"), hostile_dataset())


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory, explained: Path) -> Path:
    """A sweep of 6 configurations; read only."""
    return make_sweep(tmp_path_factory.mktemp("swept") / "sweep", explained, make_config(), 6)
