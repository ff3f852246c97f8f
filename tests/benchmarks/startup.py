"""What a user waits for beside the work: ``python -m tests.benchmarks.startup [--quick]``.

CPU seconds of whole processes (of their children too), ours and plain side by side, median of five rounds (one with
``--quick``). Plain is one process that imports what a run cannot do without, or decodes the clip. The table has 3,278
rows by 26 features in 298 groups of 11; the clip is 10 s of 720p. What a round does not need again is made before: the
table, bytecode, a model, the pickle that a job of the local launcher or of SLURM gets. A member of a sweep is one of
twenty in one process, without the CPU time of its fits.
"""

import os
import pickle
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.benchmarks.harness import Cost, Row, markdown, run_python, take_turns

ROUNDS = 5
IMPORTS = "import hydra, polars, sklearn.linear_model, sklearn.pipeline"
DECODE = "import av, cv2, numpy, sys\nfor frame in av.open(sys.argv[1]).decode(video=0): pass"
# As submitit starts a job of this machine.
SETTINGS = {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": "1", "SUBMITIT_LOCAL_GLOBALID": "0"}
JOB = f"""
import os, pickle, sys
os.environ |= {SETTINGS}
pickle.load(open(sys.argv[1], 'rb'))()
"""


def startup_rows(folder: Path, rounds: int) -> list[Row]:
    """The rows of the table, measured with files in this empty folder; all take turns in each round."""
    from tests.benchmarks.extraction import write_clip
    from tests.conftest import signal_dataset, write_tables

    clip = str(folder / "clip.mp4")
    write_tables(folder, signal_dataset(n_groups=298, copies=11, n_features=26))
    write_clip(Path(clip), 720, 1280, 23)
    table = ["data=fvc", f"data.root={folder}", f"outputs={folder / 'out'}"]
    run_python("run.py", "debug=quick", "features=stage2", f"outputs={folder / 'demo'}")  # features that videos have
    (model,) = (folder / "demo" / "runs").iterdir()
    many = folder / "many"
    many.mkdir()
    write_clip(many / "0.mp4", 96, 128, 30)
    for number in range(1, 500):
        (many / f"{number}.mp4").hardlink_to(many / "0.mp4")

    def job() -> Cost:
        return run_python("-c", JOB, write_job(table, folder))

    def members() -> Cost:
        run_python("-m", "tests.benchmarks.startup", "--members", str(folder / "seconds"), *table)
        return Cost(float((folder / "seconds").read_text()))

    ways: dict[str, Callable[[], Cost]] = {
        "imports": lambda: run_python("-c", IMPORTS),
        "imports, matplotlib": lambda: run_python("-c", f"{IMPORTS}, matplotlib.figure"),
        "decode": lambda: run_python("-c", DECODE, clip),
        "run": lambda: run_python("run.py", *table),
        "run, plots=false": lambda: run_python("run.py", *table, "plots=false"),
        "job": job,
        "predict": lambda: run_python("-m", "fvc_exp", "predict", str(model), clip),
        "predict 500": lambda: run_python("-m", "fvc_exp", "predict", str(model), many),
        "member": members,
    }
    for way in ways.values():
        way()  # writes bytecode
    found = take_turns(ways, rounds)
    return [
        Row("run.py, one configuration, against its imports", found["run"], found["imports, matplotlib"], "1.25 x CPU"),
        Row("run.py plots=false, against its imports", found["run, plots=false"], found["imports"], "1.25 x CPU"),
        Row("a job with one configuration, against its imports", found["job"], found["imports"], "1.25 x CPU"),
        Row("fvc predict of one clip, against decoding it", found["predict"], found["decode"], "1.3 x CPU"),
        Row("fvc predict of 500 clips of 10 s, 128 x 96", found["predict 500"], None, "wall = CPU / cores"),
        Row("-m in one process: a member beyond its fits", found["member"], None, "0.1 s"),
    ]


def write_job(words: list[str], folder: Path) -> Path:
    """What submitit gives to a process of its own, in a sweep folder that holds nothing yet."""
    from fvc_exp.config.hydra_app import compose_configs
    from fvc_exp.sweeps.folder import Member
    from fvc_exp.sweeps.job import MemberBatch

    (config,) = compose_configs([[*words, "plots=false"]])
    sweep = tempfile.mkdtemp(dir=folder)
    (Path(sweep) / "runs").mkdir()
    path = Path(sweep, "job.pkl")
    path.write_bytes(pickle.dumps(MemberBatch(sweep, (Member("0" * 12, [], {}, None, config),), 60.0)))
    return path


def measure_members(path: Path, words: list[str]) -> None:
    """Sweep in this process, and write the median CPU seconds of a member without those of its fits."""
    from fvc_exp.cli.main import main
    from fvc_exp.sweeps import launchers
    from fvc_exp.training import split_dataset

    fits: list[float] = []
    rest: list[float] = []

    def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            began, before = time.process_time(), sum(fits)
            value = function(*args)
            within = sum(fits) - before
            spent.append(time.process_time() - began - within)
            return value

        return call

    grid = f"C={','.join(str(0.01 * 2**number) for number in range(10))}"
    words = ["run.py", "-m", *words, "penalty=l1,l2", grid, f"sweep.name=sweep-{os.getpid()}"]
    with (
        patch.object(sys, "argv", words),
        patch.object(split_dataset, "fit_pipeline", timed(split_dataset.fit_pipeline, fits)),
        patch.object(launchers, "run_members", timed(launchers.run_members, rest)),
    ):
        main()
    path.write_text(str(statistics.median(rest)))


def main() -> None:
    """Measure, and print one line per row."""
    if sys.argv[1:2] == ["--members"]:
        measure_members(Path(sys.argv[2]), sys.argv[3:])
        return
    with tempfile.TemporaryDirectory() as name:
        print("\n".join(markdown(startup_rows(Path(name), 1 if "--quick" in sys.argv else ROUNDS))))


if __name__ == "__main__":
    main()
