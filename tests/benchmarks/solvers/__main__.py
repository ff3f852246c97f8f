"""The solvers and the grid against other libraries: ``python -m tests.benchmarks.solvers``.

Synthetic tables of four shapes; see ``data.py``. All methods are judged by one objective and by the best dual bound of
the cell, in plain numpy (``objective.py``). For single fits a method gets the loosest tolerance, in steps of ten, that
reaches the target; in the grid the others keep their default tolerances and ours keeps 1e-9. Methods take turns; a
ratio is the median over rounds of the ratio in a round. Competitors: ``pip install -e '.[bench]'``. adelie wants
numpy < 2: it takes part where this runs in an environment that has it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.benchmarks.solvers import grid, plan, single
from tests.benchmarks.solvers.tables import write

ROOT = Path(__file__).parents[3]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
LIBRARIES = ("numpy", "scikit-learn", "glum", "skglm", "celer", "python-glmnet", "glmnet-rs", "adelie")


def run_job(job: plan.Job, seconds: float) -> list[dict[str, Any]]:
    """The rows of a job in a process of its own; one that dies or takes too long adds a row that says so."""
    reason = ""
    with tempfile.NamedTemporaryFile("r") as rows:
        command = [sys.executable, "-m", "tests.benchmarks.solvers", "--job", json.dumps(asdict(job)), rows.name]
        environment = os.environ | dict.fromkeys(THREADS, str(job.threads))
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, timeout=seconds, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                reason = f"exit code {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1]}"
        except subprocess.TimeoutExpired:
            reason = f"stopped after {seconds:.0f} s"
        found = [json.loads(row) for row in rows]
    broken = {"method": "the whole job", "family": "", "outcome": "stopped", "reason": reason, "rounds": []}
    return [*found, asdict(job) | broken] if reason else found


def in_this_process(job: plan.Job, path: Path) -> None:
    """Run a job; its rows go to a file, line by line, as they are ready."""
    part = {"single": single.run, "grid": grid.run}[job.part]
    with path.open("a") as file:
        for row in part(job):
            print(json.dumps(asdict(job) | row, default=float), file=file, flush=True)


def title(kind: str) -> str:
    """What ran, on what."""
    versions = []
    for library in LIBRARIES:
        try:
            versions.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            versions.append(f"{library} not installed")
    return f"# Solvers and grid ({kind})\n\n{os.cpu_count()} cores; {', '.join(versions)}"


def main() -> None:
    """Run all jobs one after the other, and write the tables after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="20,000 x 500 and 1,000,000 x 50 too; needs hours")
    parser.add_argument("--quick", action="store_true", help="only 3,278 x 26, few cells")
    parser.add_argument("--only", choices=["grid", "single"], help="one part")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "benchmarks" / "solvers")
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        in_this_process(plan.Job(**json.loads(arguments.job[0])), Path(arguments.job[1]))
        return
    kind = "quick" if arguments.quick else "with large shapes" if arguments.large else "default"
    jobs = [job for job in plan.jobs(quick=arguments.quick, large=arguments.large)
            if arguments.only in (None, job.part)]  # fmt: skip
    rows: list[dict[str, Any]] = []
    text = ""
    for number, job in enumerate(jobs, start=1):
        began = time.monotonic()
        rows += run_job(job, job.seconds)
        text = write(rows, arguments.output, title(kind))
        took = f"{time.monotonic() - began:.0f} s"
        print(f"{number}/{len(jobs)} {job.part} {job.shape} {job.signal} {took}", file=sys.stderr, flush=True)
    print(text)


if __name__ == "__main__":
    main()
