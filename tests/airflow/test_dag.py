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
from fvc_exp.io.files import read_json
from fvc_exp.io.run_folder import RunFolder
from tests.airflow.conftest import DAG_FILE, SMALL, STAGES, Airflow
from tests.shell import ROOT, run_process, run_py, succeeded

pytestmark = pytest.mark.airflow
# Loads the file as Airflow does, but with warnings as errors; prints also the modules that it loaded.
FACTS = """
import json, sys, warnings
from airflow.dag_processing.dagbag import DagBag
import airflow.sdk, airflow.providers.standard.operators.bash
warnings.simplefilter("error")
bag = DagBag(sys.argv[1], safe_mode=False)
(dag,) = bag.dags.values()
print(json.dumps({
    "errors": bag.import_errors,
    "modules": sorted({name.split(".")[0] for name in sys.modules}),
    "order": [task.task_id for task in dag.topological_sort()],
    "downstream": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
    "retries": {task.task_id: task.retries for task in dag.tasks},
    "limits": {task.task_id: task.execution_timeout.total_seconds() for task in dag.tasks},
    "commands": sorted({task.bash_command for task in dag.tasks}),
    "dag": [type(dag.timetable).__name__, dag.catchup, dag.max_active_runs, bool(dag.doc_md)],
}))
"""
# Each of these would do harm, or name something else than it says, if it were taken for more than text.
ODD = [
    "it's",
    'a "quoted" name',
    "$(touch pwned)",
    "`touch pwned`",
    "a; touch pwned",
    "{{ 1 + 1 }}",
    "x=y,z",
    "[a",
    "a\\b",
]
BAD = {
    "C": ["0.1; touch pwned", 0, -1, "1"],
    "penalty": ["l2 stage=all", "l2\n", "$(touch pwned)", "../l2", ""],
    "data": ["demo;touch pwned", "a/b", "demo,videos"],
    "data_root": ["${oc.env:HOME}", "/a\n/b", "/a\n", ""],
    "outputs": ["a${hydra:runtime.cwd}", None],
    "features": ["stage5"],
    "n_splits": [1, 2.5],
    "seed": [-1, 2**32],
    "demo_events": [1, "12"],
}


@pytest.fixture(scope="module")
def facts(airflow: Airflow) -> dict[str, Any]:
    done = succeeded(run_process(airflow.python, "-c", FACTS, str(DAG_FILE), env=airflow.env))
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_file_loads_without_errors_and_without_the_project(facts: dict[str, Any]) -> None:
    assert facts["errors"] == {}
    assert not {"fvc_exp", "hydra", "omegaconf", "sklearn", "polars"} & set(facts["modules"])


def test_five_stages_in_their_order(facts: dict[str, Any]) -> None:
    assert facts["order"] == STAGES
    following = {stage: [after] for stage, after in itertools.pairwise(STAGES)}
    assert facts["downstream"] == following | {"train": []}
    assert set(facts["retries"].values()) == {2}
    assert min(facts["limits"].values()) >= 3600
    assert facts["dag"] == ["NullTimetable", False, 1, True]


def test_no_value_is_part_of_a_command(facts: dict[str, Any]) -> None:
    (command,) = facts["commands"]
    assert "{{" not in command
    assert "{%" not in command


# The params and the template of an override, as Airflow renders them; bash and Hydra then read what came out.
CHECK = """
import json, runpy, sys
from airflow.sdk.exceptions import ParamValidationError
module = runpy.run_path(sys.argv[1])
answers = []
for name, value in json.loads(sys.argv[2]):
    try:
        module["PARAMS"][name].resolve(value)
        environment = module["dag"].get_template_env()
        answers.append(environment.from_string(module["override"](name)).render(params={name: value}))
    except ParamValidationError:
        answers.append(None)
print(json.dumps(answers))
"""


def overrides(airflow: Airflow, values: list[tuple[str, Any]]) -> list[str | None]:
    """What each value becomes for run.py; None where it is refused."""
    command = [airflow.python, "-c", CHECK, str(DAG_FILE), json.dumps(values)]
    done = succeeded(run_process(*command, env=airflow.env))
    answers: list[str | None] = json.loads(done.stdout.splitlines()[-1])
    return answers


def test_values_out_of_range_are_refused(airflow: Airflow) -> None:
    values = [(name, value) for name, bad in BAD.items() for value in bad]
    accepted = [value for value, answer in zip(values, overrides(airflow, values), strict=True) if answer is not None]
    assert accepted == []


def test_paths_of_any_characters_arrive_as_they_are(airflow: Airflow) -> None:
    answers = overrides(airflow, [("data_root", f"/{text}") for text in ODD])
    rendered = [str(answer) for answer in answers]
    composed = run_hydra(rendered)
    assert composed == [f"/{text}" for text in ODD]


def run_hydra(rendered: list[str]) -> list[str]:
    """The value that Hydra's own parser finds in each override."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    found = OverridesParser.create().parse_overrides(rendered)
    assert [each.get_key_element() for each in found] == ["data.root"] * len(rendered)
    return [str(each.value()) for each in found]


def test_hostile_param_stops_the_run_before_its_first_task(airflow: Airflow, tmp_path: Path) -> None:
    done = airflow.test_dag({**SMALL, "C": "0.1; touch pwned", "outputs": str(tmp_path / "out")})
    assert done.returncode != 0
    assert "Invalid input for param C" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


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
def chain(make_airflow: Callable[[str], Airflow], tmp_path_factory: pytest.TempPathFactory) -> tuple[Airflow, Path]:
    """A run of the DAG in which stage ``scale`` fails once, on own videos in a folder with an awkward name."""
    airflow, folder = make_airflow("chain"), tmp_path_factory.mktemp("chained")
    demo = run_py("data.demo.events=12", "data.demo.uploads=1", "stage=features", f"outputs={folder / 'made'}")
    assert demo.returncode == 0, demo.stderr
    (corpus,) = (folder / "made" / "demo").iterdir()
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


def test_failed_stage_is_tried_again_and_only_that(chain: tuple[Airflow, Path]) -> None:
    airflow, _ = chain
    assert airflow.tries() == {stage: ("success", 2 if stage == "scale" else 1) for stage in STAGES}


def test_stages_leave_their_tables_and_a_run(chain: tuple[Airflow, Path]) -> None:
    _, folder = chain
    (made,) = (folder / "out 'puts'" / "data").glob("*/*")
    tables = ["augmented", "features_stage2", "scaled_metadata", "features_stage4"]
    assert {name: pl.read_parquet(made / f"{name}.parquet").height for name in tables} == dict.fromkeys(tables, 24)
    runs = [RunFolder(path) for path in (folder / "out 'puts'" / "runs").iterdir()]
    assert {read_json(run.status)["state"] for run in runs} == {"done"}
    assert sorted(read_config(run.config).stage.name for run in runs) == sorted(STAGES)
    (trained,) = [run for run in runs if run.results.exists()]
    results = read_json(trained.results)
    assert (results["parameters"]["penalty"], results["parameters"]["C"]) == ("l1", 0.25)
    assert (results["data"]["rows"], results["data"]["groups"]) == (24, 12)
    names = results["data"]["features"] + results["data"]["constant_features"]
    assert any(name.startswith("stage4_") for name in names)


def test_nothing_in_a_name_was_run(chain: tuple[Airflow, Path]) -> None:
    airflow, folder = chain
    assert [path for place in (folder, airflow.home, ROOT) for path in place.glob("pwned*")] == []
