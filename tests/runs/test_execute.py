import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fvc_exp.config.canonical import read_config
from fvc_exp.errors import ArtifactError
from fvc_exp.runs import execute
from fvc_exp.runs.verify import verify
from tests.conftest import Compose, edit_json, reseal
from tests.shell import fvc, run_py


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info()}


def test_a_run_takes_one_thread(compose_config: Compose, tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers of a sweep, one a core, must not start a thread a core each."""
    inside, run, write = [], execute.run_experiment, execute.write_result

    def seen_run(*arguments: Any) -> Any:
        inside.append(threads())
        return run(*arguments)

    def seen_write(*arguments: Any) -> None:
        inside.append(threads())
        write(*arguments)

    monkeypatch.setattr(execute, "run_experiment", seen_run)
    monkeypatch.setattr(execute, "write_result", seen_write)
    (tables / "run").mkdir()
    config = compose_config("data=fvc", f"data.root={tables}", "plots=false")
    with threadpool_limits(limits=2):
        before = threads()
        assert execute.execute(config, tables / "run", show=False)["state"] == "done"
        assert threads() == before == {2}
    assert inside == [{1}, {1}]


def test_a_run_repeats_bit_for_bit(copied_run: Path) -> None:
    done = fvc("verify", copied_run)
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "identical"), done.stdout


def test_one_changed_byte_of_data_is_named_first(copied_run: Path) -> None:
    path = copied_run.parent / "features_stage2.parquet"
    frame = pl.read_parquet(path)
    changed = pl.when(pl.col("video_path") == frame["video_path"][7]).then(0.0).otherwise("f3")
    frame.with_columns(f3=changed).write_parquet(path)
    found = verify(copied_run)
    assert found.differences[0].startswith("data: sha256 was ")
    assert len(found.differences) == 10 or any(one.startswith("metrics.json, 1, ") for one in found.differences)


CHANGES = {
    "seed": ("config.yaml", ("seed: 42", "seed: 43"), r"folds\.parquet, 1, "),
    "metrics": ("metrics.json", ('"n_iter": ', '"n_iter": 9'), r"metrics\.json, 1, n_iter: was "),
    "AUC": ("results.json", ('"mean": 0.', '"mean": 0.99'), r"results\.json, cv, \w+, mean: was "),
    "model": ("model.json", ('"coefficient": ', '"coefficient": 1'), r"model\.json: has other content"),
    "coefficients": ("coefficients.csv", ("(intercept)", "(Intercept)"), r"coefficients\.csv, 6, feature: was "),
}


@pytest.mark.parametrize(("name", "change", "message"), CHANGES.values(), ids=CHANGES)
def test_what_differs_is_named(copied_run: Path, name: str, change: tuple[str, str], message: str) -> None:
    (copied_run / name).write_text((copied_run / name).read_text().replace(*change, 1))
    found = verify(copied_run)
    assert (found.identical, len(found.differences)) == (False, 1)
    assert f"{name}: " in found.differences[0]
    reseal(copied_run)
    found = verify(copied_run)
    assert not found.identical
    assert re.match(message, found.differences[0]), found


def test_a_changed_package_is_named(copied_run: Path) -> None:
    content = json.loads((copied_run / "provenance.json").read_text())
    content["packages"]["scikit-learn"] = "0.1"
    edit_json(copied_run / "provenance.json", **content)
    assert verify(copied_run).identical
    records = json.loads((copied_run / "metrics.json").read_text())
    (copied_run / "metrics.json").write_text(json.dumps(records[:-1]))
    reseal(copied_run)
    assert verify(copied_run).changed[0].startswith("scikit-learn 0.1 -> ")


def test_a_run_that_fails_in_a_used_folder_leaves_nothing_of_the_first(copied_run: Path) -> None:
    done = run_py("data=fvc", "data.root=missing", "hydra.run.dir=run", cwd=copied_run.parent)
    assert done.returncode != 0
    assert {path.name for path in copied_run.iterdir()} == {".hydra", "config.yaml", "run.log", "status.json"}
    assert json.loads((copied_run / "status.json").read_text())["state"] == "failed"


def test_a_huge_configuration_is_refused(copied_run: Path) -> None:
    path = copied_run / "config.yaml"
    path.write_text(path.read_text() + "#" * 2**20)
    with pytest.raises(ArtifactError, match=r"has 1,\d+,\d+ bytes; a configuration has at most 1,048,576"):
        read_config(path)
