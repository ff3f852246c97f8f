"""What a sweep on SLURM costs beside its fits: ``python -m tests.benchmarks.sweep_overhead [28 100 300]``.

On a SLURM of this machine, with our sweeper and with Hydra's own launcher. Per number of configurations it prints CPU
seconds of the driver, from the command to its last sbatch (noted by a program of that name before the real one) and in
all, and the median of its jobs.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

from tests.benchmarks.harness import ROOT
from tests.conftest import signal_dataset, write_tables
from tests.slurm.local_slurm import LocalSlurm

SIZES = (28, 100, 300)
SBATCH = """#!/bin/sh
cut -d ")" -f 2 /proc/$PPID/stat | cut -d " " -f 13,14 > "$0.ticks"
PATH="${PATH#*:}" exec sbatch "$@"
"""
NOTE_CPU = """
import atexit, os, sys
if any("submitit.core._submit" in word for word in sys.orig_argv):
    atexit.register(lambda: print(sum(os.times()[:4]), file=open(os.path.join({folder!r}, str(os.getpid())), "w")))
"""
WAYS = {
    "ours": ["hydra/launcher=slurm"],
    "ours, leaving": ["hydra/launcher=slurm", "sweep.wait=false"],
    "stock": ["hydra/sweeper=basic", "hydra/launcher=submitit_slurm"],
}


def main() -> None:
    """Measure each way with each number of configurations."""
    sizes = [int(word) for word in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as name, LocalSlurm(Path(name, "c")) as cluster:
        folder = Path(name)
        write_tables(folder, signal_dataset(n_groups=298, copies=11, n_features=26))
        programs, jobs = folder / "programs", folder / "jobs"
        programs.mkdir()
        (programs / "sitecustomize.py").write_text(NOTE_CPU.format(folder=str(jobs)))
        sbatch = programs / "sbatch"
        sbatch.write_text(SBATCH)
        sbatch.chmod(0o755)
        path = f"{programs}{os.pathsep}"
        env = cluster.env | {"PATH": path + cluster.env["PATH"], "PYTHONPATH": path + str(ROOT)}
        for size, (way, words) in product(sizes, WAYS.items()):
            shutil.rmtree(jobs, ignore_errors=True)
            jobs.mkdir()
            seconds = _command(folder / f"{way} {size}", folder, env, size, words)
            ticks = sum(map(int, Path(f"{sbatch}.ticks").read_text().split())) / os.sysconf("SC_CLK_TCK")
            each = [float(path.read_text()) for path in jobs.iterdir()]
            told = f", a job {statistics.median(each):5.2f} s" if len(each) == size else ""
            print(f"{size:4} {way:14} to sbatch {ticks:6.2f} s, whole {seconds:6.2f} s{told}", flush=True)
            subprocess.run(["scancel", f"--user={os.geteuid()}"], env=env, check=True)


def _command(out: Path, data: Path, env: dict[str, str], size: int, words: list[str]) -> float:
    """CPU seconds of a whole command."""
    grid = f"C={','.join(str(0.01 * number) for number in range(1, size + 1))}"
    common = ["data=fvc", f"data.root={data}", "plots=false", "audit.permutations=0", "audit.price=false"]
    own = [f"hydra.sweep.dir='{out}'", "hydra.launcher.mem_gb=null"]
    began = os.times()
    command = [sys.executable, "run.py", "-m", *common, grid, *own, *words]
    subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True)
    return sum(os.times()[2:4]) - sum(began[2:4])


if __name__ == "__main__":
    main()
