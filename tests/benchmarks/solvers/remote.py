"""A solver that runs in another interpreter (adelie), driven line by line; its own clock counts."""

from __future__ import annotations

import atexit
import json
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.solvers.competitor import Competitor
from tests.benchmarks.solvers.objective import Problem, Solution
from tests.benchmarks.solvers.timing import Cost, correct, now

WORKER = Path(__file__).with_name("adelie_worker.py")


class Remote:
    """One process of another interpreter; a table is sent when it changes."""

    def __init__(self, python: str, threads: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._threads = threads
        self._sent: object = None
        self._process = subprocess.Popen(
            [python, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # fmt: skip
        atexit.register(self.close)

    def close(self) -> None:
        """End the process."""
        if self._process.stdin:
            with suppress(BrokenPipeError):  # it has ended already, and what was not sent yet cannot be
                self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if not (self._process.stdin and self._process.stdout):
            raise OSError("the other interpreter has no pipes")
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise OSError(f"the other interpreter ended with code {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return dict(answer)

    def _send(self, problem: Problem) -> None:
        files = {name: str(Path(self._folder.name, f"{name}.npy")) for name in ("X", "y")}
        np.save(files["X"], problem.X)
        np.save(files["y"], problem.y)
        self._ask(files)
        self._sent = problem.X

    def path(self, problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
        """The path; this process's waiting and sending are taken off the cost, the other's work is added."""
        before = now()
        if self._sent is not problem.X:
            self._send(problem)
        answer = self._ask({"C": list(Cs), "l1_ratio": problem.l1_ratio, "tol": tol, "threads": self._threads})
        correct(Cost(answer["cpu"], answer["wall"]) - (now() - before))
        pairs = zip(np.array(answer["coef"]), answer["intercept"], strict=True)
        return [Solution(coef, intercept) for coef, intercept in pairs]


def adelie(python: str, threads: int) -> Competitor:
    """adelie, where its interpreter is given; else a row that says it is not installed."""
    if not python:
        return Competitor("adelie", "adelie_python_is_not_given", _absent)
    remote = Remote(python, threads)

    def fit(problem: Problem, tol: float) -> Solution:
        return remote.path(problem, [problem.C], tol)[0]

    return Competitor("adelie", "json", fit, remote.path, default_tol=1e-7)


def _absent(problem: Problem, tol: float) -> Solution:
    raise OSError("not installed")
