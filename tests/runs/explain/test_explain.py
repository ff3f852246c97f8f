from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from fvc_exp.cli.app import app
from fvc_exp.config.schema import Config
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.io.files import write_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.execute import execute
from fvc_exp.runs.explain.explain import InsightFolder, explain, read_insight
from tests.conftest import Compose


def trained(path: Path, config: Config) -> Path:
    path.mkdir()
    assert execute(config, path, show=False)["state"] == "done"
    return path


@pytest.fixture
def config(compose_config: Compose, tables: Path) -> Config:
    metadata = pl.read_csv(tables / "scaled_metadata.csv")
    platforms = pl.Series("platform", ["youtube", "facebook"] * (len(metadata) // 2))
    metadata.with_columns(platforms).write_csv(tables / "scaled_metadata.csv")
    return compose_config("data=fvc", f"data.root={tables}", "plots=false", "audit.permutations=0", "C=0.1")


def test_what_is_written_is_what_is_read(config: Config, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", config)
    assert read_insight(run) is None
    found = explain(run, replicates=20)
    again = read_insight(run)
    assert again is not None
    assert (again.run_id, again.cv, again.test) == (found.run_id, found.cv, found.test)
    for name in ("coefficients", "importance", "slices"):
        assert getattr(again, name).equals(getattr(found, name)), name
    assert again.path is not None
    assert found.path is not None
    assert again.path.C == found.path.C == 0.1
    assert again.path.scores.equals(found.path.scores)
    assert again.path.coefficients.equals(found.path.coefficients)
    assert InsightFolder(run).path_figure.read_text().startswith("<?xml")


def test_insight_is_into_the_run_as_it_stands_there(config: Config, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", config)
    results = json.loads((run / "results.json").read_text())
    found = explain(run, replicates=20)
    for metric, summary in results["cv"].items():
        assert found.cv[metric].estimate == pytest.approx(summary["mean"], abs=1e-12)
        assert found.test[metric].estimate == pytest.approx(results["test"][metric], abs=1e-12)
    stored = pl.read_csv(run / "coefficients.csv")
    np.testing.assert_array_equal(found.coefficients["coefficient"], stored["coefficient"])
    assert set(found.slices["value"]) == {"youtube", "facebook"}


def test_files_repeat_bitwise(config: Config, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", config)

    def content() -> dict[str, bytes]:
        explain(run, replicates=20)
        return {path.name: path.read_bytes() for path in InsightFolder(run).path.iterdir()}

    assert content() == content()


def test_insight_into_another_run_is_not_shown(config: Config, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", config)
    explain(run, replicates=20)
    results = json.loads((run / "results.json").read_text())
    write_json(run / "results.json", {**results, "run_id": "another"})
    assert read_insight(run) is None


def test_without_a_penalty_there_is_everything_but_the_path(
    compose_config: Compose, tables: Path, tmp_path: Path
) -> None:
    settings = ("data=fvc", f"data.root={tables}", "plots=false", "audit.permutations=0")
    run = trained(tmp_path / "run", compose_config(*settings, "penalty=none", "cv.test_size=0"))
    found = explain(run, replicates=20)
    assert found.path is None
    assert found.test == {}
    assert found.slices.is_empty()
    assert not InsightFolder(run).path_figure.exists()
    assert read_insight(run) is not None


def test_changed_data_is_refused(config: Config, tables: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", config)
    features = pl.read_parquet(tables / "features_stage2.parquet")
    features.with_columns(pl.col("f0") + 1).write_parquet(tables / "features_stage2.parquet")
    with pytest.raises(DataError, match="the data changed: sha256 was"):
        explain(run, replicates=20)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("results", {"run_id": "x"}, "'fold_dependence' is missing"),
        ("provenance", {"working_folder": "/nowhere/at/all"}, "/nowhere/at/all: the run was started there"),
    ],
    ids=["older version", "folder gone"],
)
def test_a_run_that_cannot_be_repeated(
    config: Config, tmp_path: Path, name: str, value: dict[str, str], message: str
) -> None:
    run = trained(tmp_path / "run", config)
    write_json(getattr(RunFolder(run), name), value)
    with pytest.raises(ArtifactError, match=message):
        explain(run, replicates=20)


def test_the_command(config: Config, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", config)
    done = CliRunner().invoke(app, ["explain", str(run), "--replicates", "20", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [each["feature"] for each in found["coefficients"]] == [*(f"stage2_f{n}" for n in range(5)), "(intercept)"]
    assert found["cv"]["auc"]["low"] < found["cv"]["auc"]["estimate"]
    shown = CliRunner().invoke(app, ["explain", str(run), "--replicates", "20"])
    for text in ("95 % intervals by groups", "stage2_f0", "youtube", "regularisation path"):
        assert text in shown.stdout
    assert CliRunner().invoke(app, ["explain", str(tmp_path / "nothing")]).exit_code == 2
