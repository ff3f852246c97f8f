"""What a user waits for, ours and plain side by side: ``python -m tests.benchmarks.end_to_end [--quick] [--renew]``.

Whole processes as typed at the shell: CPU seconds (of children too), wall seconds, and the largest memory of a process.
Plain is a script that a user would write with polars and scikit-learn, or the least that any program does: importing,
decoding, reading the JSON of all runs. Both take turns; a ratio is the median over rounds of the ratio in a round.

The tables are synthetic, in groups of eleven copies. The grid has the same 28 points in both: l2, l1 and elastic net
with five mixes, four C. (The 28 of ``experiment=grid_5alpha`` hold each l1 and l2 twice, for two solvers; for one that
reaches the minimum, 20 of them differ.) ``--quick`` takes smaller shapes once; ``--renew`` writes the table into
``docs/performance.md``, and four of its rows into the README.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from tests.benchmarks import extraction, startup
from tests.benchmarks.harness import ROOT, Cost, Row, markdown, run_python, take_turns
from tests.benchmarks.many_runs import write_sweep
from tests.benchmarks.solvers.jobs import run_job, wide_jobs

PLAIN = Path(__file__).with_name("plain_script.py")
BEGIN, END = "<!-- end_to_end -->\n", "<!-- end of end_to_end -->\n"
QUOTED = ("search=grid", "l2, 1,000,000", "elasticnet, 200,000", "stage2 features")  # in the README
MIXES = "penalty.l1_ratio=0.1,0.3,0.5,0.7,0.9"
# Rows, columns; the words of ours, the solver and mix of plain, and the goals in CPU time and memory.
TABLES = (
    (200_000, 50, "l2", "newton-cholesky", 0.0, 1.0),
    (1_000_000, 50, "l2", "newton-cholesky", 0.0, 1.0),
    (200_000, 50, "elasticnet", "saga", 0.5, 0.35),
)
CLOSE = 1e-3
READING = {"status": 3, "leaderboard": 5, "collect": 15, "compare": 20, "report": 25}
LEAST = "import glob, json, sys; [json.load(open(name)) for name in glob.glob(sys.argv[1] + '/runs/*/results.json')]"


def write_table(path: Path, rows: int, columns: int) -> None:
    """One table of rows in groups of eleven, label, key and group beside the columns."""
    random, groups = np.random.default_rng(0), np.arange(rows) // 11
    centres = random.normal(size=(groups[-1] + 1, columns)) + 0.1 * (np.arange(groups[-1] + 1) % 2)[:, None]
    values = pl.DataFrame(centres[groups] + random.normal(size=(rows, columns)), [f"x{n}" for n in range(columns)])
    names = pl.DataFrame({"video_path": groups, "group": groups}).cast(pl.String)
    keys = names["video_path"] + "-" + pl.Series(np.arange(rows)).cast(pl.String) + ".mp4"
    labels = pl.Series("label", np.where(groups % 2, "fake", "real"))
    names.with_columns(keys.alias("video_path"), labels).hstack(values).write_parquet(path)


def table_rows(folder: Path, *, quick: bool) -> Iterator[Row]:
    """One configuration from a table to all artifacts, beside five folds of a script."""
    for size, columns, penalty, solver, mix, goal in TABLES:
        rows = size // 10 if quick else size
        path = folder / f"{rows}.parquet"
        write_table(path, rows, columns)
        ours = ["run.py", "data=table", f"data.path={path}", f"outputs={folder / 'out'}", f"penalty={penalty}"]
        ways = {"ours": partial(run_python, *ours), "plain": partial(run_python, PLAIN, path, solver, str(mix))}
        costs = take_turns(ways, 1 if quick else 3)
        work = f"{penalty}, {rows:,} x {columns}, against {solver}"
        yield Row(work, costs["ours"], costs["plain"], f"{goal} x wall and CPU")
        path.unlink()


def grid_rows(folder: Path, *, quick: bool) -> Iterator[Row]:
    """``search=grid`` from nothing to ``best/``, beside ``GridSearchCV`` over the same 28 points in two processes."""
    write_table(folder / "one.parquet", 3278, 26)

    def ours() -> Cost:
        with tempfile.TemporaryDirectory(dir=folder) as outputs:
            path, where = folder / "one.parquet", f"outputs={outputs}"
            return run_python("run.py", "search=grid", MIXES, "data=table", f"data.path={path}", where)

    costs = take_turns({"ours": ours, "plain": partial(run_python, PLAIN, folder / "one.parquet")}, 1 if quick else 5)
    yield Row("search=grid, 28 points, 3,278 x 26, against GridSearchCV", costs["ours"], costs["plain"], "0.5 x wall")


def reading_rows(folder: Path, *, quick: bool) -> Iterator[Row]:
    """The commands that read a sweep; the goals are for 5,000 members."""
    count, rounds = (500, 1) if quick else (5000, 3)
    sweep = write_sweep(folder, count)
    commands = {name: partial(run_python, "-m", "fvc_exp", name, sweep.path, threads=1) for name in READING}
    costs = take_turns({**commands, "least": partial(run_python, "-c", LEAST, sweep.path)}, rounds)
    for name, goal in READING.items():
        yield Row(f"fvc {name}, {count:,} members", costs[name], costs["least"], f"{goal} s CPU" * (not quick))


def wide_rows(*, quick: bool) -> Iterator[Row]:
    """Wide tables: single fits to 1e-9 of the minimum, and grids of 20 points in five parts, beside the best library.

    In grids the others keep their own tolerances, and those that miss a minimum by more than ``CLOSE`` do not count.
    """
    for job in wide_jobs(quick=quick):
        cells: dict[str, dict[str, list[Cost]]] = {}
        for row in run_job(job, 1800):
            if row["cpu"] and row.get("target", 1e-9) == 1e-9 and row.get("suboptimality", 0) <= CLOSE:
                cell = f"{row['penalty']}, C={row['C']}, " if job.part == "single" else ""
                cells.setdefault(cell, {})[row["method"]] = [Cost(1e3 * cpu) for cpu in row["cpu"]]
        for cell, costs in cells.items():
            ours = costs.get("ours") or costs["ours: grid"]
            best = min((name for name in costs if not name.startswith("ours")), key=lambda name: min(costs[name]))
            work = f"wide {job.part}, {job.shape.replace('x', ' x ')}, {cell}against {best}"
            yield Row(work, ours, costs[best][: len(ours)], "1.0 x CPU", unit="ms")


def extraction_rows(folder: Path) -> Iterator[Row]:
    """Features of a clip of ten seconds, beside decoding all of its frames."""
    clip = folder / "720p.mp4"
    extraction.write_clip(clip, *extraction.CLIPS["720p"])
    names = {"stage2": 0.85, "forensic": 1.5}
    ways = {name: lambda name=name: Cost(float(extraction.apart(name, str(clip)))) for name in ("decode", *names)}
    costs = take_turns(ways, 3)
    for name, goal in names.items():
        yield Row(f"{name} features, 10 s of 720p, against plain decode", costs[name], costs["decode"], f"{goal} x CPU")


def all_rows(folder: Path, *, quick: bool) -> Iterator[Row]:
    """Every row, each part with files of its own."""
    parts = [folder / name for name in ("startup", "tables", "grid", "reading", "extraction")]
    for part in parts:
        part.mkdir()
    yield from startup.startup_rows(parts[0], 1 if quick else startup.ROUNDS)
    yield from table_rows(parts[1], quick=quick)
    yield from grid_rows(parts[2], quick=quick)
    yield from reading_rows(parts[3], quick=quick)
    yield from extraction_rows(parts[4])
    yield from extraction.workers(1 if quick else 3)
    yield from wide_rows(quick=quick)


def renew(page: Path, lines: Sequence[str]) -> None:
    """Write the table between its marks in a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text("\n".join([before + BEGIN, *lines, "", END]) + rest.partition(END)[2])


def main() -> None:
    """Measure all rows, and print each line of the table as it is ready."""
    lines = []
    with tempfile.TemporaryDirectory(prefix="fvc-bench-") as name:
        for line in markdown(all_rows(Path(name), quick="--quick" in sys.argv)):
            lines.append(line)
            print(line, flush=True)
    if "--renew" in sys.argv:
        renew(ROOT / "docs" / "performance.md", lines)
        quoted = [line for line in lines[2:] if line.removeprefix("| ").startswith(QUOTED)]
        renew(ROOT / "README.md", [*lines[:2], *quoted])


if __name__ == "__main__":
    main()
