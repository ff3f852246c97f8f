"""What a sweep costs beside its fits, and what Hydra's own sweeper does: ``python -m tests.benchmarks.sweep_overhead``.

1. Seconds from the start of the driver to ``sbatch``, for 300 configurations. sbatch is a script here
   that notes its call and ends the driver, so this needs no SLURM.
2. CPU seconds of the in-process launcher for each configuration beyond those of its fits: the difference of two grids,
   so that start-up and the final table drop out, less the fits measured alone. Resident data and pictures are left out
   on both sides.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fvc_exp.data.splits import make_split
from fvc_exp.runs.execute import load_rows
from fvc_exp.sweeps.folder import SweepFolder
from fvc_exp.training.pipeline import fit_pipeline
from tests.conftest import ROOT, write_tables

POINTS = 300
STOCK = ("hydra/sweeper=basic",)
SBATCH = """#!/bin/sh
date +%s.%N > "$NOTE"
kill -9 "$(cat "$DRIVER")"
"""


def command(folder: Path, points: int, name: str, *more: str) -> list[str]:
    """A grid of this many points: half l1, half l2."""
    values = ",".join(f"{0.01 * 1.1**number:.6g}" for number in range(points // 2))
    data = ["data=fvc", f"data.root={folder}", f"outputs={folder / name}", "plots=false"]
    return [sys.executable, "run.py", "-m", *data, "penalty=l1,l2", "solver=liblinear", f"C={values}", *more]


def seconds_to_sbatch(folder: Path, points: int, name: str, *more: str) -> float:
    """From the start of the driver to its call of sbatch."""
    programs, note, driver = folder / "bin", folder / f"{name}.note", folder / f"{name}.pid"
    programs.mkdir(exist_ok=True)
    for program, text in {"sbatch": SBATCH, "srun": "#!/bin/sh\n", "squeue": "#!/bin/sh\n",
                          "scontrol": "#!/bin/sh\necho 'MaxArraySize = 1001'\n"}.items():  # fmt: skip
        (programs / program).write_text(text)
        (programs / program).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "NOTE": str(note), "DRIVER": str(driver),
    }  # fmt: skip
    began = time.time()
    process = subprocess.Popen(
        command(folder, points, name, "hydra/launcher=submitit_slurm", *more),
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    driver.write_text(str(process.pid))
    process.wait()
    return float(note.read_text()) - began


def cpu_seconds(folder: Path, points: int, name: str, *more: str) -> float:
    """All CPU of a sweep in one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command(folder, points, f"{name}{points}", *more), cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def fit_seconds(sweep: Path) -> float:
    """CPU seconds of one configuration's fits alone."""
    configs = [member.config for member in SweepFolder(sweep).read_plan().members]
    dataset = load_rows(configs[0])
    split = make_split(dataset, configs[0].cv, configs[0].seed)
    parts = [fold.train for fold in split.folds] + [split.development]
    began = time.process_time()
    for config in configs:
        for rows in parts:
            fit_pipeline(config, dataset.X[rows], dataset.y[rows])
    return (time.process_time() - began) / len(configs)


def overhead(folder: Path, small: int, large: int, name: str, *more: str) -> float:
    """CPU seconds a configuration, everything."""
    return (cpu_seconds(folder, large, name, *more) - cpu_seconds(folder, small, name, *more)) / (large - small)


def main() -> None:
    """Measure both, print them and their ratios as JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tables(folder)
        submit = {
            "ours": seconds_to_sbatch(folder, POINTS, "ours"),
            "hydra": seconds_to_sbatch(folder, POINTS, "hydra", *STOCK),
        }
        each = {"ours": overhead(folder, 10, 50, "each"), "hydra": overhead(folder, 10, 50, "stock", *STOCK)}
        (sweep,) = (folder / "each50" / "sweeps").iterdir()
        fits = fit_seconds(sweep)
    beyond = {who: seconds - fits for who, seconds in each.items()}
    print(json.dumps({
        "points": POINTS,
        "seconds_to_sbatch": submit, "hydra_to_ours_sbatch": submit["hydra"] / submit["ours"],
        "cpu_seconds_of_fits": fits,
        "cpu_seconds_beyond_fits": beyond, "hydra_to_ours_beyond_fits": beyond["hydra"] / beyond["ours"],
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
