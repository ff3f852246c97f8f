"""What SQL over many runs costs beside reading their files: ``python -m tests.benchmarks.analytics``.

Prints for each view, over a sweep of 5,000 members, the cost of a query and of the least that any reader could do
(``json.load`` of the same files in a loop).
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from fvc_exp.analytics.views import query_runs
from tests.benchmarks.harness import Cost, Row, markdown, take_turns
from tests.benchmarks.many_runs import write_sweep
from tests.benchmarks.solvers.measure import measure

RUNS, ROUNDS = 5000, 3
QUERIES = {
    "runs": ("SELECT count(*) FROM runs WHERE cv_auc_mean > 0.5", "results.json"),
    "folds": ("SELECT avg(test_f1) FROM folds GROUP BY fold", "metrics.json"),
    "predictions": ("SELECT avg(probability) FROM predictions", "metrics.json"),
    "coefficients": ("SELECT avg(coefficient) FROM coefficients GROUP BY feature", "metrics.json"),
}


def cost(call: Callable[[], object]) -> Cost:
    """Of a function in this process."""
    return Cost(*measure(call)[1])


def main() -> None:
    """Print the table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="fvc-bench-") as name:
        runs = write_sweep(Path(name), RUNS).runs
        for view, (sql, file) in QUERIES.items():
            ways = {
                "ours": lambda sql=sql: cost(lambda: query_runs(sql, runs)),
                "least": lambda file=file: cost(lambda: [json.loads(path.read_bytes()) for path in runs.rglob(file)]),
            }
            costs = take_turns(ways, ROUNDS)
            rows.append(Row(f"{view}, against json.load of {file}", costs["ours"], costs["least"], ""))
    print("\n".join(markdown(rows)))


if __name__ == "__main__":
    main()
