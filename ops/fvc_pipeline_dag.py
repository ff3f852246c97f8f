"""The five stages as an Airflow 3 DAG: link this file into the DAGs folder, see docs/ecosystem.md.

A stage is one call of ``run.py`` by the project's interpreter. This file imports Airflow alone, so that Airflow and
the project can live in two environments.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, BaseOperator, Context, Param, chain
from airflow.sdk.exceptions import AirflowException, AirflowFailException

# Who triggers a run must not choose the program, so these come from Airflow's environment and are no params.
HOME = Path(os.environ.get("FVC_HOME") or Path(__file__).resolve().parents[1])
PYTHON = os.environ.get("FVC_PYTHON") or str(HOME / ".venv" / "bin" / "python")
SCHEDULE = os.environ.get("FVC_SCHEDULE") or None
DEFAULTS = json.loads(os.environ.get("FVC_PARAMS") or "{}")

TIME_LIMITS = {
    "augment": timedelta(hours=12),
    "features": timedelta(hours=24),
    "scale": timedelta(hours=12),
    "scaled_features": timedelta(hours=24),
    "train": timedelta(hours=6),
}
# Of run.py: a wrong setting or unusable data; and a model that is there, but could not be imported into MLflow.
NOT_TRIED_AGAIN = {1: "wrong settings or data", 3: "trained, but not imported into MLflow"}

# Python's $ also stands before a last line break; these patterns must mean the same here and in the web form.
NAME = r"^[A-Za-z][A-Za-z0-9_-]*$(?!\n)"
# OmegaConf would replace ${...}, with variables of the environment, too.
PATH = r"^(?!.*\$\{)[^\x00-\x1f\x7f]+$(?!\n)"
NUMBER = r"[0-9]+(\.[0-9]+)?"
THRESHOLD = rf"^({NUMBER}|f1|youden)$(?!\n)"
WEIGHTS = rf"^(balanced|\{{0: ?{NUMBER}, ?1: ?{NUMBER}\}})$(?!\n)"
# Hydra's own settings can start programs, and need hydra/, hydra. or a sign in front of the key.
OVERRIDE = r"^(?!hydra)(?!.*\$\{)[A-Za-z_][A-Za-z0-9_.]*=[^\x00-\x1f\x7f]*$(?!\n)"

PARAMS = {
    "data": Param("demo", type="string", pattern=NAME, examples=["demo", "videos", "fvc"], description="data set"),
    "data_root": Param(
        None, type=["null", "string"], pattern=PATH, description="its folder, absolute; empty = that of the data set"
    ),
    "max_unmatched": Param(
        0.0, type="number", minimum=0, maximum=1, description="share of the videos that may fail to be measured"
    ),
    "outputs": Param("outputs", type="string", pattern=PATH, description="folder of the results; relative to FVC_HOME"),
    "features": Param(
        "all",
        type="string",
        enum=["all", "stage2", "stage4", "forensic", "original"],
        description="feature tables that the model is trained on; stage4 is measured on the scaled videos",
    ),
    "penalty": Param(
        "l2",
        type="string",
        pattern=NAME,
        examples=["l2", "l1", "elasticnet", "none"],
        description="norm that the coefficients are regularised with",
    ),
    "C": Param(1.0, type="number", exclusiveMinimum=0, maximum=1e12, description="small = strong regularisation"),
    "l1_ratio": Param(
        0.5, type="number", minimum=0, maximum=1, description="mix of penalty=elasticnet: 0 = l2, 1 = l1"
    ),
    "solver": Param(
        "auto",
        type="string",
        pattern=NAME,
        examples=["auto", "lbfgs", "liblinear", "saga"],
        description="optimiser; auto = the fastest that is exact for the penalty",
    ),
    "class_weight": Param(
        None,
        type=["null", "string"],
        pattern=WEIGHTS,
        examples=["balanced", "{0: 1, 1: 2}"],
        description="weights of real (0) and fake (1) in the loss; empty = one each",
    ),
    "cv": Param(
        "grouped",
        type="string",
        pattern=NAME,
        examples=["grouped", "repeated", "nested", "leave_platform_out", "stratified"],
        description="cross-validation; nested also chooses C, stratified ignores groups and leaks",
    ),
    "n_splits": Param(5, type="integer", minimum=2, maximum=100, description="number of folds"),
    "test_size": Param(
        0.2, type="number", minimum=0, exclusiveMaximum=1, description="share of the groups held out; 0 = none"
    ),
    "threshold": Param(
        "0.5",
        type="string",
        pattern=THRESHOLD,
        examples=["0.5", "f1", "youden"],
        description="probability above which a video is called fake: a number, or a rule",
    ),
    "calibration": Param(
        "none",
        type="string",
        enum=["none", "sigmoid", "isotonic"],
        description="correction of the probabilities",
    ),
    "augmentations": Param(
        10, type="integer", minimum=0, maximum=100, description="altered copies made of each video, as training data"
    ),
    "seed": Param(42, type="integer", minimum=0, maximum=2**32 - 1, description="of folds, solver and augmentation"),
    "tracking": Param(
        "none", type="string", enum=["none", "mlflow"], description="where the trained model is imported, too"
    ),
    "demo_events": Param(
        None, type=["null", "integer"], minimum=4, maximum=1000, description="groups of videos; only for data=demo"
    ),
    "demo_uploads": Param(
        None, type=["null", "integer"], minimum=1, maximum=100, description="copies per group; only for data=demo"
    ),
    "overrides": Param(
        [],
        type="array",
        items={"type": "string", "pattern": OVERRIDE},
        description="further settings of run.py, one per line: key=value, such as audit.permutations=999",
    ),
}
for _name, _value in DEFAULTS.items():
    PARAMS[_name].value = _value

KEYS = {
    "data_root": "data.root",
    "max_unmatched": "data.max_unmatched",
    "l1_ratio": "penalty.l1_ratio",
    "n_splits": "cv.n_splits",
    "test_size": "cv.test_size",
    "augmentations": "video.augmentations",
    "demo_events": "data.demo.events",
    "demo_uploads": "data.demo.uploads",
}
# As stage=all has it: every stage reads what the ones before it wrote, under the documented names.
TABLES = (
    "data.scaled_metadata=scaled_metadata",
    "data.features_stage2=features_stage2",
    "data.features_stage4=features_stage4",
    "data.features_forensic=features_forensic",
    "data.features_original_stage2=features_original_stage2",
    "data.features_original_stage4=features_original_stage4",
)


def hydra_quoted(value: object) -> str:
    """A text of any characters in Hydra's grammar: single quotes around it, backslashes before quotes doubled."""
    return "'" + re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), str(value)) + "'"


def arguments(params: Mapping[str, Any], stage: str, folder: Path) -> list[str]:
    """The arguments of ``run.py`` for a stage that runs in this folder; a param that is null is none."""
    settings = {
        KEYS.get(name, name): hydra_quoted(value) if name in ("data_root", "outputs") else value
        for name, value in params.items()
        if name != "overrides" and value is not None
    }
    settings |= {"stage": stage, "hydra.run.dir": hydra_quoted(folder)}
    return [*TABLES, *(f"{key}={value}" for key, value in settings.items()), *params["overrides"]]


class RunStage(BaseOperator):
    """One stage as a call of ``run.py``, without a shell: no value is ever part of a command. Its XCom is its folder.

    A wrong setting or unusable data would fail again, so it is not tried again; all else is.
    """

    @cached_property
    def process(self) -> SubprocessHook:
        """The one process of this try."""
        return SubprocessHook()

    def execute(self, context: Context) -> str:
        """Run the stage; the last line that it prints is the reason where it fails."""
        params = context["params"]
        started = context["dag_run"].run_after.strftime("%Y-%m-%d_%H-%M-%S-%f")
        name = f"airflow-{started}-{self.task_id}-{context['ti'].try_number}"
        # runs/ is for models: the folder of another stage holds its log and how it ended.
        folder = HOME / params["outputs"] / ("runs" if self.task_id == "train" else "stages") / name
        command = [PYTHON, "run.py", *arguments(params, self.task_id, folder)]
        done = self.process.run_command(command, cwd=str(HOME))
        if done.exit_code == 0:
            return str(folder)
        self.log.error("%s", done.output)
        if done.exit_code in NOT_TRIED_AGAIN:
            why = NOT_TRIED_AGAIN[done.exit_code]
            raise AirflowFailException(f"exit code {done.exit_code}: {why}; not tried again")
        raise AirflowException(f"exit code {done.exit_code}")

    def on_kill(self) -> None:
        """End the process with the task."""
        self.process.send_sigterm()


with DAG(
    dag_id="fvc_pipeline",
    description="Videos labelled real or fake: augment, measure, scale, measure again, train.",
    doc_md="""
### From videos to a judged model

`augment` → `features` → `scale` → `scaled_features` → `train`, each one call of `python run.py stage=...`.

Every stage skips the videos it has finished, so a retry goes on where the last try stopped. Wrong settings and unusable
data are not tried again; the reason stands in the log at level ERROR. Tables land in the data set's folder. The XCom of
`train` is the run folder, in `outputs/runs`; the other stages leave their logs in `outputs/stages`.

Airflow's environment names `FVC_HOME` (the checkout), `FVC_PYTHON` (its interpreter), `FVC_SCHEDULE` (cron, such as
`0 3 * * 1`; without it the DAG runs when it is triggered) and `FVC_PARAMS` (other defaults of the params, as JSON).
""",
    schedule=SCHEDULE,
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    tags=["fvc"],
) as dag:
    chain(*(RunStage(task_id=stage, execution_timeout=limit) for stage, limit in TIME_LIMITS.items()))
