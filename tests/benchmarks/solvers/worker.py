"""One job in a process of its own, with its number of threads: rows go to a file, line by line, as they are ready."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.solvers import once, ours, peers, race, scikit, single
from tests.benchmarks.solvers.competitor import Competitor
from tests.benchmarks.solvers.remote import adelie


def competitors(python: str, threads: int) -> list[Competitor]:
    """Ours first, then scikit-learn's, then the other libraries."""
    return [*ours.competitors(threads), *scikit.competitors(), *peers.competitors(), adelie(python, threads)]


def rows(job: dict[str, Any]) -> Iterator[dict[str, object]]:
    """The rows of a job."""
    found = competitors(job["adelie"], job["threads"])
    match job["part"]:
        case "single":
            yield from single.run(single.Cells(**job["what"]), found)
        case "grid":
            yield from race.run(race.Race(**job["what"]), found)
        case "once":
            who = next(each for each in found if each.name == job["what"]["method"])
            yield once.run(who, job["what"]["shape"])


def main() -> None:
    """``worker JOB.json ROWS.jsonl``."""
    job = json.loads(Path(sys.argv[1]).read_text())
    with Path(sys.argv[2]).open("a") as file:
        for row in rows(job):
            print(json.dumps(row | {"threads": job["threads"]}, default=float), file=file, flush=True)


if __name__ == "__main__":
    main()
