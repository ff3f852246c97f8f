"""A sweep of thousands of members, made from one real run: what reads many runs is measured with it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from fvc_exp.io.files import write_json
from fvc_exp.io.run_folder import seal
from fvc_exp.sweeps.folder import Member, SweepFolder
from tests.benchmarks.harness import run_python
from tests.conftest import signal_dataset, write_tables


def write_sweep(folder: Path, count: int, *, groups: int = 40, copies: int = 3, columns: int = 5) -> SweepFolder:
    """A sweep with as many members, each with probabilities of its own, over a table of groups of copies.

    Its files are those of a real sweep of one configuration; ids, C and probabilities differ.
    """
    write_tables(folder, signal_dataset(groups, copies, columns))
    where = ["data=fvc", f"data.root={folder}", f"outputs={folder / 'out'}", "sweep.name=one"]
    run_python("run.py", "-m", *where, "C=0.1", "penalty=l1")
    first, sweep = SweepFolder(folder / "out" / "sweeps" / "one"), SweepFolder(folder / "out" / "sweeps" / "many")
    plan = first.read_plan()
    sweep.make()
    members = list(_members(first, sweep, plan.members[0], count))
    sweep.write_plan(replace(plan, members=members))
    record = json.loads(next(first.submissions.glob("*.json")).read_bytes())
    write_json(sweep.submissions / "1.json", record | {"members": [[each.run_id] for each in members],
                                                       "jobs": record["jobs"] * count})  # fmt: skip
    return sweep


def _members(first: SweepFolder, sweep: SweepFolder, member: Member, count: int) -> Iterator[Member]:
    random, source = np.random.default_rng(0), first.member(member.run_id)
    predictions = pl.read_parquet(source.predictions)
    odds = np.log(predictions["probability"].to_numpy() / (1 - predictions["probability"].to_numpy()))
    results, metrics = source.results.read_text(), json.loads(source.metrics.read_bytes())
    for number in range(count):
        run_id, c, noise = f"{number:012x}", 0.001 * 1.002**number, random.normal(size=len(odds))
        folder = sweep.member(run_id)
        shutil.copytree(source.path, folder.path)
        probability = 1 / (1 + np.exp(-odds - 0.1 * noise))
        predictions.with_columns(probability=probability).write_parquet(folder.predictions)
        folder.results.write_text(results.replace(member.run_id, run_id).replace('"C": 0.1', f'"C": {c!r}'))
        folder.metrics.write_text(json.dumps([{**each, "test_auc": each["test_auc"] + 1e-3 * noise[0]}
                                              for each in metrics]))  # fmt: skip
        seal(folder, json.loads(source.status.read_bytes()))
        yield replace(member, run_id=run_id, overrides=[f"C={c!r}"], parameters={**member.parameters, "C": c})
