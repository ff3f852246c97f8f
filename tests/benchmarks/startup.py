"""Where the time of one run goes: ``python -m tests.benchmarks.startup``.

A table of 3,278 rows by 26 features in 298 groups of 11 is written, and trained on with the default settings, all
artifacts but the picture. Every part is CPU seconds (of children too, such as git) and its share, within one process:
cold is its first run, with all imports; warm its second, as in a sweep whose data are resident. ``run.py`` and a member
of a sweep differ in who composes the configuration and in the claim of the folder.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("numpy", "scipy.stats", "sklearn.linear_model", "polars", "rich")
ROUNDS = 3
Seconds = dict[str, float]


def cpu() -> float:
    """CPU seconds of this process and the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@contextmanager
def timed(parts: Seconds, name: str) -> Iterator[None]:
    """Add what the block, or each call of a function, takes to a part."""
    began = cpu()
    yield
    parts[name] = parts.get(name, 0.0) + cpu() - began


def write_data(folder: Path) -> None:
    """The data set of the measurement; its imports are none of what a child measures."""
    from tests.conftest import signal_dataset, write_tables

    write_tables(folder, signal_dataset(n_groups=298, copies=11, n_features=26))


def in_this_process(folder: Path, way: str) -> None:
    """Import, compose and run twice; prints the parts of both runs as JSON."""
    imports: Seconds = {}
    with timed(imports, "Hydra and schema"):
        from fvc_exp.config.hydra_app import compose_configs
    with timed(imports, "compose"):
        (config,) = compose_configs([["data=fvc", f"data.root={folder}", "plots=false", f"outputs={folder / 'out'}"]])
    for library in LIBRARIES:
        with timed(imports, f"import {library}"):
            __import__(library)
    with timed(imports, "import the rest"):
        from fvc_exp.evaluation import claims
        from fvc_exp.runs import execute
        from fvc_exp.training import experiment, split_dataset
    places = [(execute, "load_dataset", "load"), (split_dataset, "split_or_advise", "split"),
              (experiment, "fit_configuration", "fits"),
              (split_dataset, "certify_run", "audit"), (claims, "floors_of", "floors"),
              (execute, "write_result", "artifacts")]  # fmt: skip
    originals = [getattr(module, name) for module, name, _ in places]
    found = {}
    for temperature in ("cold", "warm"):
        parts = dict(imports) if temperature == "cold" else {}
        for (module, name, part), original in zip(places, originals, strict=True):
            setattr(module, name, timed(parts, part)(original))
        began = cpu()
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            run_once(config, folder / f"{way} {temperature}", way)
        inside = cpu() - began
        needed = {"fits", "artifacts"} | ({"load", "split", "audit"} if way == "run.py" else set())
        assert needed <= parts.keys(), parts
        named = sum(parts.get(part, 0.0) for _, _, part in places)
        parts["rest of the run"] = inside - named
        parts["run without imports"] = inside
        parts["total"] = inside + (sum(imports.values()) if temperature == "cold" else 0.0)
        found[temperature] = parts
    print(json.dumps(found))


def run_once(config: Any, path: Path, way: str) -> None:
    """One configuration, as run.py runs it or as a job of a sweep does."""
    from fvc_exp.runs import execute
    from fvc_exp.sweeps import job

    if way == "run.py":
        path.mkdir()
        status = execute.execute(config, path)
    else:
        from fvc_exp.sweeps.folder import Member, MemberFolder

        each = Member("0" * 12, [], {}, None, config)
        status = job.run_member(MemberFolder(path), each, "1")
    assert status["state"] == "done", status


def main() -> None:
    """Measure each way in a process of its own, several times, and print medians with shares of the total."""
    if sys.argv[1:]:
        in_this_process(Path(sys.argv[1]), sys.argv[2])
        return
    seen: dict[str, list[Seconds]] = {}
    for _, way in product(range(ROUNDS), ("run.py", "member")):
        with tempfile.TemporaryDirectory() as name:
            write_data(Path(name))
            command = [sys.executable, "-m", "tests.benchmarks.startup", name, way]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        seen.setdefault(f"{way}, cold", []).append(found["cold"])
        seen.setdefault(f"{way}, warm", []).append(found["warm"])
    for title, rounds in seen.items():
        middle = {part: statistics.median(each[part] for each in rounds) for part in rounds[0]}
        print(title)
        for part, seconds in middle.items():
            print(f"  {part:28}{seconds:7.3f} s {seconds / middle['total']:6.1%}")


if __name__ == "__main__":
    main()
