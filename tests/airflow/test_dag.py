"""The DAG in a real Airflow: parsing, params, the five stages on a small corpus, a retry."""

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fvc_exp.config.canonical import read_config
from fvc_exp.config.hydra_app import compose_configs
from fvc_exp.io.files import read_json
from fvc_exp.io.run_folder import RunFolder
from tests.airflow.conftest import DAG_FILE, SMALL, STAGES, Airflow
from tests.shell import ROOT, run_process, succeeded

pytestmark = pytest.mark.airflow
# Loads the file as Airflow does, but with warnings as errors; prints also the modules that it loaded.
FACTS = """
import json, sys, warnings
from airflow.dag_processing.dagbag import DagBag
import airflow.sdk, airflow.providers.standard.hooks.subprocess
warnings.simplefilter("error")
bag = DagBag(sys.argv[1], safe_mode=False)
(dag,) = bag.dags.values()
print(json.dumps({
    "errors": bag.import_errors,
    "modules": sorted({name.split(".")[0] for name in sys.modules}),
    "downstream": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
    "retries": {task.task_id: task.retries for task in dag.tasks},
    "limits": {task.task_id: task.execution_timeout.total_seconds() for task in dag.tasks},
    "templated": sorted({field for task in dag.tasks for field in task.template_fields}),
    "helpless": [name for name in dag.params if not dag.params.get_param(name).description],
    "defaults": dag.params.dump(),
    "schedule": getattr(dag.schedule, "expression", dag.schedule),
    "dag": [dag.catchup, dag.max_active_runs, bool(dag.doc_md)],
}))
"""
# Each of these would do harm, or name something else than it says, if it were taken for more than text.
ODD = ["it's", 'a "quoted" name', "$(touch pwned)", "`touch pwned`", "a; touch pwned", "{{ 1 + 1 }}", "x=y,z", "[a",
       "a\\b"]  # fmt: skip
BAD = {
    "C": ["0.1; touch pwned", 0, -1, "1"], "penalty": ["l2 stage=all", "l2\n", "$(touch pwned)", "../l2", ""],
    "data": ["demo;touch pwned", "a/b", "demo,videos"], "data_root": ["${oc.env:HOME}", "/a\n/b", "/a\n", ""],
    "outputs": ["a${hydra:runtime.cwd}", None], "features": ["stage5"], "n_splits": [1, 2.5], "seed": [-1, 2**32],
    "cv": ["grouped cv.n_splits=2", ""], "class_weight": ["balanced\n", "{0: 1}", "{0: 1, 1: x}", ""],
    "threshold": ["0.5; touch pwned", "f2", "-1", 0.5], "calibration": ["platt", None], "max_unmatched": [-0.1, 1.1],
    "test_size": [1, -0.2], "tracking": ["http://somewhere"], "demo_events": [1, "12"],
    "overrides": [["hydra.run.dir=x"], ["hydra/launcher=x"], ["+a=1"], ["-m"], ["seed=${oc.env:HOME}"], ["a=1\n"]],
}  # fmt: skip


def answer(airflow: Airflow, program: str, *arguments: str, **env: str) -> Any:
    command = [airflow.python, "-c", program, str(DAG_FILE), *arguments]
    return json.loads(succeeded(run_process(*command, env=airflow.env | env)).stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def facts(airflow: Airflow) -> Any:
    return answer(airflow, FACTS)


def test_file_loads_without_errors_and_without_the_project(facts: dict[str, Any]) -> None:
    assert facts["errors"] == {}
    assert not {"fvc_exp", "hydra", "omegaconf", "sklearn", "polars"} & set(facts["modules"])


def test_five_stages_in_their_order(facts: dict[str, Any]) -> None:
    following = {stage: [after] for stage, after in itertools.pairwise(STAGES)}
    assert facts["downstream"] == following | {"train": []}
    assert set(facts["retries"].values()) == {2}
    assert min(facts["limits"].values()) >= 3600
    assert (facts["schedule"], facts["dag"]) == (None, [False, 1, True])
    assert (facts["helpless"], facts["templated"]) == ([], []), "each param has a help text, and none is a template"


def test_variables_set_the_schedule_and_the_defaults(airflow: Airflow, facts: dict[str, Any]) -> None:
    changed = {"data": "videos", "data_root": "/videos", "overrides": ["audit.permutations=19"]}
    found = answer(airflow, FACTS, FVC_SCHEDULE="0 3 * * 1", FVC_PARAMS=json.dumps(changed))
    assert (found["errors"], found["schedule"]) == ({}, "0 3 * * 1")
    assert found["defaults"] == facts["defaults"] | changed


# The params as Airflow checks them, and the arguments of run.py that they become.
CHECK = """
import json, pathlib, runpy, sys
from airflow.sdk.exceptions import ParamValidationError
module = runpy.run_path(sys.argv[1])
answers = []
for name, value in json.loads(sys.argv[2]):
    try:
        module["PARAMS"][name].resolve(value)
        answers.append(module["arguments"]({"overrides": [], name: value}, "train", pathlib.Path("/a run")))
    except ParamValidationError:
        answers.append(None)
print(json.dumps(answers))
"""


def arguments(airflow: Airflow, values: list[tuple[str, Any]]) -> Any:
    """The list of arguments of run.py for each value; None where it is refused."""
    return answer(airflow, CHECK, json.dumps(values))


def test_values_out_of_range_are_refused(airflow: Airflow) -> None:
    values = [(name, value) for name, bad in BAD.items() for value in bad]
    accepted = [value for value, answer in zip(values, arguments(airflow, values), strict=True) if answer is not None]
    assert accepted == []


def test_paths_of_any_characters_arrive_as_they_are(airflow: Airflow) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    for text, answer in zip(ODD, arguments(airflow, [("data_root", f"/{text}") for text in ODD]), strict=True):
        found = OverridesParser.create().parse_overrides(answer)
        values = {each.get_key_element(): str(each.value()) for each in found}
        assert (values["data.root"], values["hydra.run.dir"]) == (f"/{text}", "/a run")


CHOSEN = {
    "data": "fvc", "cv": "nested", "class_weight": "{0: 1, 1: 2}", "threshold": "youden", "calibration": "sigmoid",
    "max_unmatched": 0.1, "test_size": 0.3, "tracking": "mlflow",
    "overrides": ["cv.c_grid=[0.1,1]", "audit.permutations=19", "features=stage2"],
}  # fmt: skip


def test_every_param_reaches_the_configuration(airflow: Airflow, facts: dict[str, Any]) -> None:
    given = [[name, value] for name, value in {**facts["defaults"], **CHOSEN}.items() if name != "overrides"]
    words = {word: None for found in arguments(airflow, [*given, ["overrides", CHOSEN["overrides"]]]) for word in found}
    (config,) = compose_configs([[word for word in words if not word.startswith("hydra.run.dir")]])
    assert (config.data.name, config.cv.c_grid, config.cv.test_size) == ("fvc", [0.1, 1], 0.3)
    assert (config.class_weight, config.threshold, config.calibration.name) == ({0: 1, 1: 2}, "youden", "sigmoid")
    assert (config.data.max_unmatched, config.tracking.name.name) == (0.1, "mlflow")
    assert (config.audit.permutations, config.features.name) == (19, "stage2")


def test_hostile_param_stops_the_run_before_its_first_task(airflow: Airflow, tmp_path: Path) -> None:
    done = airflow.test_dag({**SMALL, "C": "0.1; touch pwned", "outputs": str(tmp_path / "out")})
    assert done.returncode != 0
    assert "Invalid input for param C" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_bad_input_fails_at_once_with_its_reason_as_an_error(make_airflow: Callable[[str], Airflow]) -> None:
    airflow = make_airflow("refused")
    done = airflow.test_dag({"data": "videos", "data_root": "/no such folder", "outputs": str(airflow.home / "out")})
    assert done.returncode != 0
    assert airflow.tries()["augment"] == ("failed", 1)
    reasons = [line for line in done.stdout.splitlines() if "ERROR: /no such folder: no such folder" in line]
    assert [line for line in reasons if "[error" in line]
    assert list((airflow.home / "out").glob("runs")) == []


def write_failing_once(folder: Path, stage: str) -> Path:
    """An interpreter that exits with 7 at the first call of the stage."""
    wrapper = folder / "python.sh"
    marker = folder / "failed once"
    wrapper.write_text(
        "#!/bin/bash\n"
        f'if [[ " $* " == *" stage={stage} "* && ! -e "{marker}" ]]; then touch "{marker}"; exit 7; fi\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    wrapper.chmod(0o755)
    return wrapper


@pytest.fixture(scope="module")
def chain(
    make_airflow: Callable[[str], Airflow], small_demo: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Airflow, Path]:
    """A run of the DAG in which stage ``scale`` fails once, on own videos in a folder with an awkward name."""
    airflow, folder = make_airflow("chain"), tmp_path_factory.mktemp("chained")
    (corpus,) = (small_demo / "demo").glob("[!.]*")
    root = folder / """it's "mine" $(touch pwned); x"""
    for source in (corpus / "videos").glob("*.mp4"):
        place = root / ("fake" if "fake" in source.name else "real")
        place.mkdir(parents=True, exist_ok=True)
        (place / source.name).write_bytes(source.read_bytes())
    conf = {"data": "videos", "data_root": str(root), "outputs": str(folder / "out 'puts'"), "augmentations": 1}
    wrapper = write_failing_once(folder, "scale")
    done = airflow.test_dag(conf | {"n_splits": 2, "penalty": "l1", "C": 0.25}, FVC_PYTHON=str(wrapper))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "exit code 7" in done.stdout + done.stderr
    return airflow, folder


def test_failed_stage_is_tried_again_and_each_leaves_its_tables_or_a_run(chain: tuple[Airflow, Path]) -> None:
    airflow, folder = chain
    assert airflow.tries() == {stage: ("success", 2 if stage == "scale" else 1) for stage in STAGES}
    (made,) = (folder / "out 'puts'" / "data").glob("*/*")
    tables = ["augmented", "features_stage2", "scaled_metadata", "features_stage4"]
    assert {name: pl.read_parquet(made / f"{name}.parquet").height for name in tables} == dict.fromkeys(tables, 24)
    stages, runs = (
        [RunFolder(path) for path in (folder / "out 'puts'" / name).iterdir()] for name in ("stages", "runs")
    )
    assert {read_json(run.status)["state"] for run in stages} == {"done"}
    assert sorted(read_config(run.config).stage.name for run in stages) == sorted(STAGES[:-1])
    (trained,) = runs
    assert airflow.xcom("train") == str(trained.path)
    results = read_json(trained.results)
    assert (results["parameters"]["penalty"], results["parameters"]["C"]) == ("l1", 0.25)
    assert (results["data"]["rows"], results["data"]["groups"]) == (24, 12)
    names = results["data"]["features"] + results["data"]["constant_features"]
    assert any(name.startswith("stage4_") for name in names)
    assert not [path for place in (folder, airflow.home, ROOT) for path in place.glob("pwned*")], "no name was run"
