"""The five stages as an Airflow 3 DAG: link this file into the DAGs folder, see docs/ecosystem.md.

A stage is one call of ``run.py`` by the project's interpreter. This file imports Airflow alone, so that Airflow and
the project can live in two environments.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param, chain

# Who triggers a run must not choose the program, so these come from Airflow's environment and are no params.
HOME = Path(os.environ.get("FVC_HOME") or Path(__file__).resolve().parents[1])
PYTHON = os.environ.get("FVC_PYTHON") or str(HOME / ".venv" / "bin" / "python")

TIME_LIMITS = {
    "augment": timedelta(hours=12),
    "features": timedelta(hours=24),
    "scale": timedelta(hours=12),
    "scaled_features": timedelta(hours=24),
    "train": timedelta(hours=6),
}
# Python's $ also stands before a last line break; these patterns must mean the same here and in the web form.
NAME = r"^[A-Za-z][A-Za-z0-9_-]*$(?!\n)"
# OmegaConf would replace ${...}, with variables of the environment, too.
PATH = r"^(?!.*\$\{)[^\x00-\x1f\x7f]+$(?!\n)"

PARAMS = {
    "data": Param("demo", type="string", pattern=NAME, examples=["demo", "videos", "fvc"], description="data set"),
    "data_root": Param(
        None, type=["null", "string"], pattern=PATH, description="its folder, absolute; empty = that of the data set"
    ),
    "outputs": Param("outputs", type="string", pattern=PATH, description="folder of the results; relative to FVC_HOME"),
    "features": Param("all", type="string", enum=["all", "stage2", "stage4", "forensic", "original"]),
    "penalty": Param("l2", type="string", pattern=NAME, examples=["l2", "l1", "elasticnet", "none"]),
    "C": Param(1.0, type="number", exclusiveMinimum=0, maximum=1e12, description="small = strong regularisation"),
    "l1_ratio": Param(0.5, type="number", minimum=0, maximum=1, description="mix of penalty=elasticnet"),
    "solver": Param("auto", type="string", pattern=NAME, examples=["auto", "lbfgs", "liblinear", "saga"]),
    "n_splits": Param(5, type="integer", minimum=2, maximum=100, description="folds"),
    "augmentations": Param(10, type="integer", minimum=0, maximum=100, description="variants of each video"),
    "seed": Param(42, type="integer", minimum=0, maximum=2**32 - 1),
    "demo_events": Param(None, type=["null", "integer"], minimum=4, maximum=1000, description="only for data=demo"),
    "demo_uploads": Param(None, type=["null", "integer"], minimum=1, maximum=100, description="only for data=demo"),
}
# As stage=all has it: every stage reads what the ones before it wrote, under the documented names.
TABLES = {
    "data.scaled_metadata": "scaled_metadata",
    "data.features_stage2": "features_stage2",
    "data.features_stage4": "features_stage4",
    "data.features_forensic": "features_forensic",
    "data.features_original_stage2": "features_original_stage2",
    "data.features_original_stage4": "features_original_stage4",
}
KEYS = {
    "data_root": "data.root",
    "l1_ratio": "penalty.l1_ratio",
    "n_splits": "cv.n_splits",
    "augmentations": "video.augmentations",
    "demo_events": "data.demo.events",
    "demo_uploads": "data.demo.uploads",
}
PATHS = ("data_root", "outputs")


def hydra_quoted(value: str) -> str:
    """A value of any characters in Hydra's grammar: single quotes around it, backslashes before quotes doubled."""
    return "'" + re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value) + "'"


def override(param: str) -> str:
    """The template of ``key=value``; empty where the param is null."""
    value = f"params.{param} | hydra_quoted" if param in PATHS else f"params.{param}"
    return f"{{% if params.{param} is not none %}}{KEYS.get(param, param)}={{{{ {value} }}}}{{% endif %}}"


OVERRIDES = {f"FVC_SET_{param.upper()}": override(param) for param in PARAMS}
# Values reach bash as variables, never as text of the command; an empty one is no argument at all.
COMMAND = " ".join(
    [
        'exec "$FVC_PYTHON" run.py "stage=$FVC_STAGE"',
        *(f"{key}={value}" for key, value in TABLES.items()),
        *(f'${{{name}:+"${name}"}}' for name in OVERRIDES),
    ]
)

with DAG(
    dag_id="fvc_pipeline",
    description="Videos labelled real or fake: augment, measure, scale, measure again, train.",
    doc_md="""
### From videos to a judged model

`augment` → `features` → `scale` → `scaled_features` → `train`, each one call of `python run.py stage=...`.

Every stage skips the videos it has finished, so a retry goes on where the last try stopped. Tables land in the data
set's folder, run folders in `outputs/runs`; the last line that a stage prints is its XCom, for `train` the run folder.

`FVC_HOME` (the checkout) and `FVC_PYTHON` (its interpreter) are read from Airflow's environment.
""",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    user_defined_filters={"hydra_quoted": hydra_quoted},
    # Airflow takes a plain value that ends in .sh for the name of a template file.
    user_defined_macros={"fvc_home": str(HOME), "fvc_python": PYTHON},
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    tags=["fvc"],
) as dag:
    chain(
        *(
            BashOperator(
                task_id=stage,
                bash_command=COMMAND,
                cwd="{{ fvc_home }}",
                env={"FVC_PYTHON": "{{ fvc_python }}", "FVC_STAGE": stage, **OVERRIDES},
                append_env=True,
                execution_timeout=limit,
            )
            for stage, limit in TIME_LIMITS.items()
        )
    )
