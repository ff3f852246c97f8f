"""The solvers and the grid against other libraries: ``python -m tests.benchmarks.solvers``.

Synthetic tables of four shapes; see ``data.py``. All methods are judged by one objective and by the best dual bound of
the cell, in plain numpy (``objective.py``). For single fits a method gets the loosest tolerance, in steps of ten, that
reaches the target; in the grid the others keep their default tolerances and ours keeps 1e-9. Methods take turns; a
ratio is the median over rounds of the ratio in a round. Competitors: ``pip install -e '.[bench]'``. adelie wants
numpy < 2: it takes part where this runs in an environment that has it.
"""

import argparse
import os
import sys
import time
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from tests.benchmarks.solvers import jobs, tables
from tests.benchmarks.solvers.data import LARGE

OUTPUT = Path(__file__).parents[3] / "outputs" / "benchmarks" / "solvers"
LIBRARIES = ("numpy", "scikit-learn", "glum", "skglm", "celer", "python_glmnet", "glmnet-rs", "adelie")


def main() -> None:
    """Run all jobs one after the other, and write the tables after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="20,000 x 500 and 1,000,000 x 50 too; needs hours")
    parser.add_argument("--quick", action="store_true", help="only 3,278 x 26, few cells")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: %(default)s")
    given = parser.parse_args()
    versions = [f"{each.name} {each.version}" for each in distributions() if each.name in LIBRARIES]
    title = f"# Solvers and grid {' '.join(sys.argv[1:])}\n\n{os.cpu_count()} cores; {', '.join(versions)}"
    chosen = list(jobs.jobs(quick=given.quick, large=given.large))
    rows: list[dict[str, Any]] = []
    for number, job in enumerate(chosen, start=1):
        began = time.monotonic()
        rows += jobs.run_job(job, 4 * 3600 if job.shape in LARGE else 1800)
        text = tables.write(rows, given.output, title)
        progress = f"{number}/{len(chosen)} {job.part} {job.shape} {job.signal} {time.monotonic() - began:.0f} s"
        print(progress, file=sys.stderr, flush=True)
    print(text)


if __name__ == "__main__":
    main()
