"""What SQL over many runs costs beside reading their files: ``python -m tests.benchmarks.analytics``.

Writes 5,000 run folders, then prints for each view the median CPU seconds of a query over it, of the least
that any reader could do (``json.load`` of the same files in a loop), and their ratio; rounds are interleaved.
"""

import json
import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from fvc_exp.analytics.views import query_runs
from fvc_exp.api import run
from tests.benchmarks.solvers.measure import measure
from tests.conftest import write_tables

RUNS, ROUNDS = 5000, 3
QUERIES = {
    "runs": ("SELECT count(*) FROM runs WHERE cv_auc_mean > 0.5", "results.json"),
    "folds": ("SELECT avg(test_f1) FROM folds GROUP BY fold", "metrics.json"),
    "predictions": ("SELECT avg(probability) FROM predictions", "metrics.json"),
    "coefficients": ("SELECT avg(coefficient) FROM coefficients GROUP BY feature", "metrics.json"),
}


def write_runs(folder: Path, count: int) -> None:
    """One real run, and copies of the files that views read."""
    write_tables(folder)
    first = folder / "first"
    run(["data=fvc", f"data.root='{folder}'", "plots=false", "audit.permutations=0"], output_dir=first)
    names = ("status.json", "results.json", "metrics.json", "predictions.parquet", "coefficients.csv")
    for number in range(count):
        copy = folder / "runs" / f"C={number}"
        copy.mkdir(parents=True)
        for name in names:
            shutil.copyfile(first / name, copy / name)


def read_all(folder: Path, name: str) -> list[object]:
    """The least that any reader does."""
    return [json.loads(path.read_bytes()) for path in folder.rglob(name)]


def main() -> None:
    """Print one line per view."""
    with tempfile.TemporaryDirectory(prefix="fvc-bench-") as name:
        folder = Path(name)
        write_runs(folder, RUNS)
        for view, (sql, file) in QUERIES.items():
            query = partial(query_runs, sql, folder / "runs")
            loop = partial(read_all, folder / "runs", file)
            rounds = [(*measure(query)[1], *measure(loop)[1]) for _ in range(ROUNDS)]
            cpu, wall, plain, _ = np.median(rounds, axis=0)
            ratio = f"{cpu / plain:.1f} times json.load of {file}"
            print(f"{view:13} {RUNS} runs: {cpu:.2f} CPU s, {wall:.2f} s; {ratio} ({plain:.2f} CPU s)")


if __name__ == "__main__":
    main()
