import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from fvc_exp.cli.app import app
from fvc_exp.runs.verify import verify


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run with its tables, named relative to where it was started."""
    shutil.copytree(finished_run.parent, tmp_path, dirs_exist_ok=True)
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    provenance["working_folder"] = str(tmp_path)
    (tmp_path / "run" / "provenance.json").write_text(json.dumps(provenance))
    return tmp_path / "run"


def test_a_run_repeats_bit_for_bit(run: Path) -> None:
    found = verify(run)
    assert found.identical, found
    done = CliRunner().invoke(app, ["verify", str(run)])
    assert (done.exit_code, done.stdout.split(":")[0]) == (0, "identical")


def test_one_changed_byte_of_data_is_named_first(run: Path) -> None:
    path = run.parent / "features_stage2.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(
        f3=pl.when(pl.col("video_path") == frame["video_path"][7]).then(0.0).otherwise("f3")
    ).write_parquet(path)
    found = verify(run)
    assert found.differences[0].startswith("data: sha256 was ")
    assert (
        any(each.startswith("metrics.json: record 1, ") for each in found.differences) or len(found.differences) == 10
    )


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.yaml", ("seed: 42", "seed: 43"), r"folds\.parquet: record 1, "),
        ("metrics.json", ('"n_iter": ', '"n_iter": 9'), r"metrics\.json: record 1, n_iter: was "),
        ("coefficients.csv", ("(intercept)", "(Intercept)"), r"coefficients\.csv: record 6, feature: was "),
    ],
    ids=["seed", "metrics", "coefficients"],
)
def test_what_differs_is_named(run: Path, name: str, change: tuple[str, str], message: str) -> None:
    (run / name).write_text((run / name).read_text().replace(*change, 1))
    found = verify(run)
    assert not found.identical
    assert re.match(message, found.differences[0]), found


def test_a_changed_package_is_named(run: Path) -> None:
    content = json.loads((run / "provenance.json").read_text())
    content["packages"]["scikit-learn"] = "0.1"
    (run / "provenance.json").write_text(json.dumps(content))
    assert verify(run).identical
    (run / "metrics.json").write_text("[]")
    assert verify(run).packages[0].startswith("scikit-learn 0.1 -> ")
