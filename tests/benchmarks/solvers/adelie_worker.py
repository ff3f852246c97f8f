"""adelie in an interpreter of its own, as it wants an older numpy: requests and answers are lines of JSON.

It imports nothing of this package. A request is {"X": file, "y": file} or {"C": [...], "l1_ratio": r, "tol": t}.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from importlib import import_module
from typing import Any


def fit(data: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    import adelie as ad
    import numpy as np

    X, y = data["X"], data["y"]
    wall, cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        state = ad.grpnet(
            X, ad.glm.binomial(y), alpha=request["l1_ratio"], lmda_path=[1 / (C * len(y)) for C in request["C"]],
            tol=request["tol"], irls_tol=request["tol"], early_exit=False, adev_tol=1.0, progress_bar=False,
            n_threads=request["threads"],
        )  # fmt: skip
        coef, intercept = np.asarray(state.betas.todense()), np.ravel(state.intercepts)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"coef": coef.tolist(), "intercept": intercept.tolist(), "wall": wall, "cpu": cpu}


def main() -> None:
    import numpy as np

    import_module("adelie")  # its import is no part of a fit

    data: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "X" in request:
            data = {"X": np.asfortranarray(np.load(request["X"])), "y": np.load(request["y"]).astype(float)}
            answer: dict[str, Any] = {}
        else:
            try:
                answer = fit(data, request)
            except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
