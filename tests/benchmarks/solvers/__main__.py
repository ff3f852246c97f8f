"""The solvers and the grid against other libraries: ``python -m tests.benchmarks.solvers``.

Synthetic tables of four shapes; see ``data.py``. All methods are judged by one objective (``objective.py``) and by
reference minima that no code of this package computes, each certified by its duality gap (``reference.py``). A method
gets the loosest tolerance, in steps of ten, that reaches the target (``ladder.py``); in the grid the others keep their
default tolerances and ours keeps 1e-9. Methods take turns; a ratio is the median over rounds of the ratio in a round.
Competitors: ``pip install -e '.[bench]'``. adelie wants numpy < 2: give ``--adelie`` the python of its own environment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.benchmarks.solvers import plan
from tests.benchmarks.solvers.tables import write

ROOT = Path(__file__).parents[3]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
LIBRARIES = ("numpy", "scikit-learn", "glum", "skglm", "celer", "python-glmnet", "glmnet-rs")


def run_job(job: dict[str, Any], seconds: float) -> list[dict[str, Any]]:
    """The rows of a job; one that dies or takes too long keeps the rows that it had, and says so in one more."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = folder / "rows.jsonl"
        rows.touch()
        (folder / "job.json").write_text(json.dumps(job))
        command = [sys.executable, "-m", "tests.benchmarks.solvers.worker", str(folder / "job.json"), str(rows)]
        environment = os.environ | dict.fromkeys(THREADS, str(job["threads"]))
        reason = ""
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, timeout=seconds, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                reason = f"exit code {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1]}"
        except subprocess.TimeoutExpired:
            reason = f"stopped after {seconds:.0f} s"
        found = [json.loads(row) for row in rows.read_text().splitlines()]
    return [*found, plan.broken(job, reason)] if reason else found


def title(arguments: argparse.Namespace) -> str:
    """What ran, on what."""
    versions = []
    for library in LIBRARIES:
        try:
            versions.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            versions.append(f"{library} not installed")
    kind = "quick" if arguments.quick else "with large shapes" if arguments.large else "default"
    return f"# Solvers and grid ({kind})\n\n{os.cpu_count()} cores; {', '.join(versions)}"


def main() -> None:
    """Run all jobs one after the other, and write the tables after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="20,000 x 500 and 1,000,000 x 50 too; needs hours")
    parser.add_argument("--quick", action="store_true", help="only 3,278 x 26, few cells")
    parser.add_argument("--only", choices=["grid", "single", "once"], help="one part")
    parser.add_argument("--adelie", default="", metavar="PYTHON", help="an interpreter that has adelie")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "benchmarks" / "solvers")
    arguments = parser.parse_args()
    jobs = plan.jobs(quick=arguments.quick, large=arguments.large, adelie=arguments.adelie)
    jobs = [job for job in jobs if arguments.only in (None, job["part"])]
    rows: list[dict[str, Any]] = []
    text = ""
    for number, job in enumerate(jobs, start=1):
        began = time.monotonic()
        rows += run_job(job, plan.seconds(job))
        text = write(rows, arguments.output, title(arguments))
        took = f"{time.monotonic() - began:.0f} s"
        print(f"{number}/{len(jobs)} {job['part']} {job['what']} {took}", file=sys.stderr, flush=True)
    print(text)


if __name__ == "__main__":
    main()
