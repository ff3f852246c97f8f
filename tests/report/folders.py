"""Finished runs and sweeps as folders, with names that would be markup if they were not escaped."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from fvc_exp.config.canonical import canonical, write_config
from fvc_exp.config.hydra_app import compose_configs
from fvc_exp.config.schema import Config
from fvc_exp.data.dataset import Dataset
from fvc_exp.evaluation.claims import Selection
from fvc_exp.io.files import read_json, write_json
from fvc_exp.io.run_folder import RunFolder, seal, write_status
from fvc_exp.runs.artifacts import write_result
from fvc_exp.runs.explain.explain import insight_of, write_insight
from fvc_exp.sweeps.driver import copy_best
from fvc_exp.sweeps.folder import Member, Plan, Refused, SweepFolder
from tests.conftest import run, signal_dataset

SCRIPT = "<script>document.title='owned'</script>"
FEATURE = f"f|0`{SCRIPT}"
VIDEO = f'<img src=x onerror="{SCRIPT}">.mp4'
PLATFORM = "tube</svg></title><b>"


def make_config(*overrides: str) -> Config:
    """The elastic net of conf/, changed as told."""
    (config,) = compose_configs([["penalty=elasticnet", "C=0.1", *overrides]])
    return config


def hostile_dataset(n_groups: int = 40) -> Dataset:
    """Learnable rows; a feature, every video and a platform are named like an attack."""
    dataset = signal_dataset(n_groups)
    return replace(
        dataset,
        feature_names=(FEATURE, *dataset.feature_names[1:]),
        ids=dataset.ids + VIDEO,
        slices={"platform": tuple(PLATFORM if row % 3 else "twitter" for row in range(len(dataset.y)))},
    )


def make_run(path: Path, config: Config, dataset: Dataset, *, insight: bool = False) -> Path:
    """What ``run.py``, and with ``insight`` also ``fvc explain``, leave."""
    folder = RunFolder(path)
    path.mkdir(parents=True)
    started = datetime.now(UTC)
    result = run(config, dataset)
    write_config(folder.config, config)
    write_result(folder, result)
    write_status(folder, "done", started)
    if insight:
        write_insight(path, insight_of(result, read_json(folder.results), 20))
    return path


def make_sweep(path: Path, source: Path, config: Config, size: int) -> Path:
    """A sweep over C and all else that a leaderboard shows; its runs are copies of one, each with scores of its own.

    The first is refitted as ``best``.
    """
    sweep = SweepFolder(path)
    sweep.make()
    words = "solver=saga threshold=youden calibration=isotonic seed=1000000 features=all"
    other = make_config("class_weight={0: 1, 1: 2}", *words.split())
    members = [
        _copy(sweep, RunFolder(source), replace((config, other)[number % 2], C=round(0.01 * 1.02**number, 6)), number)
        for number in range(size)
    ]
    refused = [Refused(["C=-1"], f"C=-1 is not allowed {SCRIPT}")]
    plan = Plan(["run.py", "-m", "C=..."], ["data=fvc"], launcher="basic", launcher_settings={},
                config=members[0].config, members=members, invalid=refused, duplicates=[])  # fmt: skip
    sweep.write_plan(plan)
    copy_best(sweep, members[0].run_id, Selection(size), plots=False)
    return path


def _copy(sweep: SweepFolder, source: RunFolder, config: Config, number: int) -> Member:
    run_id = f"{number:012x}"
    folder = sweep.member(run_id)
    folder.path.mkdir()
    for name in ("predictions", "folds", "coefficients", "config", "provenance", "audit"):
        os.link(getattr(source, name), getattr(folder, name))
    results, folds = read_json(source.results), read_json(source.metrics)
    lost = number / 2000
    results["run_id"], results["parameters"] = run_id, canonical(config)
    results["cv"]["auc"]["mean"] -= lost
    results["flags"] = ["null_model", "one_class_predicted"] if number % 3 == 1 else []
    for record in folds:
        record["test_auc"] -= lost
    write_json(folder.results, results)
    write_json(folder.metrics, folds)
    seal(folder, read_json(source.status))
    return Member(run_id, [f"C={config.C}"], canonical(config), results["data"]["sha256"], config)
