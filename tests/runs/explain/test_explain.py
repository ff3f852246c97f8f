import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fvc_exp.config.hydra_app import compose_configs
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.runs.execute import execute
from fvc_exp.runs.explain.explain import PATH_FIGURE, Insight, explain, read_insight
from tests.conftest import edit_json, write_tables
from tests.shell import fvc, one_line, succeeded


def trained(path: Path, tables: Path, *overrides: str) -> Path:
    common = ["data=fvc", f"data.root={tables}", "plots=false", "audit.permutations=0"]
    (config,) = compose_configs([[*common, *overrides]])
    path.mkdir()
    assert execute(config, path, show=False)["state"] == "done"
    return path


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Insight]:
    """A run on videos of two platforms, and the insight into it."""
    folder = tmp_path_factory.mktemp("explained")
    write_tables(folder)
    metadata = pl.read_csv(folder / "scaled_metadata.csv")
    platforms = pl.Series("platform", ["youtube", "facebook"] * (len(metadata) // 2))
    metadata.with_columns(platforms).write_csv(folder / "scaled_metadata.csv")
    run = trained(folder / "run", folder, "C=0.1")
    assert read_insight(run) is None
    return run, explain(run, replicates=20)


@pytest.fixture
def run(explained: tuple[Path, Insight], tmp_path: Path) -> Path:
    """A copy of the explained run."""
    return Path(shutil.copytree(explained[0], tmp_path / "run"))


def test_what_is_written_is_what_is_read(explained: tuple[Path, Insight]) -> None:
    run, found = explained
    again = read_insight(run)
    assert again is not None
    assert again.to_json() == found.to_json()
    assert found.path is not None
    assert found.path.C == 0.1
    assert (run / "insight" / PATH_FIGURE).read_text().startswith("<?xml")


def test_insight_is_into_the_run_as_it_stands_there(explained: tuple[Path, Insight]) -> None:
    run, found = explained
    results = json.loads((run / "results.json").read_text())
    for metric, summary in results["cv"].items():
        assert found.cv[metric].estimate == pytest.approx(summary["mean"], abs=1e-12)
        assert found.test[metric].estimate == pytest.approx(results["test"][metric], abs=1e-12)
    stored = pl.read_csv(run / "coefficients.csv")
    np.testing.assert_array_equal(found.coefficients["coefficient"], stored["coefficient"])
    assert set(found.slices["value"]) == {"youtube", "facebook"}


def test_insight_into_another_run_is_not_shown(run: Path) -> None:
    edit_json(run / "results.json", run_id="0" * 12)
    assert read_insight(run) is None


def test_without_a_penalty_there_is_everything_but_the_path(tables: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", tables, "penalty=none", "cv.test_size=0")
    found = explain(run, replicates=20)
    assert found.path is None
    assert found.test == {}
    assert found.slices.is_empty()
    assert not (run / "insight" / PATH_FIGURE).exists()
    assert read_insight(run) is not None


CHANGED = {
    "folder gone": ({"working_folder": "/gone"}, ArtifactError, "not below .*, and the run was started in /gone"),
    "other data": ({"data_sha256": "0a"}, DataError, "the data changed: sha256 was 0a, is "),
}


@pytest.mark.parametrize(("changes", "error", "message"), CHANGED.values(), ids=CHANGED)
def test_a_run_that_is_not_repeatable(run: Path, changes: dict[str, str], error: type[Exception], message: str) -> None:
    edit_json(run / "provenance.json", **changes)
    with pytest.raises(error, match=message):
        explain(run, replicates=20)


def test_the_command_writes_the_same_files_again(explained: tuple[Path, Insight], run: Path) -> None:
    before = {path.name: path.read_bytes() for path in (run / "insight").iterdir()}
    shutil.rmtree(run / "insight")
    done = succeeded(fvc("explain", run, "--replicates", "20", "--json"))
    assert {path.name: path.read_bytes() for path in (run / "insight").iterdir()} == before
    found = json.loads(done.stdout)
    assert [each["feature"] for each in found["coefficients"]] == [*(f"stage2_f{n}" for n in range(5)), "(intercept)"]
    assert found["cv"]["auc"]["low"] < found["cv"]["auc"]["estimate"]
    shown = fvc("explain", run, "--replicates", "20")
    for text in ("95 % intervals by groups", "stage2_f0", "youtube", "regularisation path"):
        assert text in one_line(shown.stdout)
    assert fvc("explain", run / "nothing").returncode == 2
