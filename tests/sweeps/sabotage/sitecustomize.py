"""Python imports this at its start where this folder is on PYTHONPATH: it breaks jobs, told apart by their C."""

import os
import signal
import sys
import time
from typing import Any

RAISE, EXIT, KILL, HANG, MEMORY, TIME_LIMIT, NO_METRICS, SLOW = 0.011, 0.012, 0.013, 0.014, 0.015, 0.016, 0.017, 0.018


def sabotage() -> None:
    from fvc_exp.runs import execute

    run, write_result = execute.run_experiment, execute.write_result

    def broken_run(config: Any, *arguments: Any) -> Any:
        if config.C == RAISE:
            raise ValueError("boom")
        if config.C == EXIT:
            os._exit(7)
        if config.C == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        taken = b"x" * (600 * 2**20 if config.C == MEMORY else 0)
        while taken or config.C in (HANG, TIME_LIMIT):
            time.sleep(0.1)
        if config.C == SLOW or "ALL_SLOW" in os.environ:
            time.sleep(float(os.environ.get("ALL_SLOW", "5")))
        return run(config, *arguments)

    def broken_write_result(folder: Any, result: Any) -> None:
        if result.config.C != NO_METRICS:
            write_result(folder, result)

    execute.run_experiment, execute.write_result = broken_run, broken_write_result


if any("submitit.core._submit" in argument for argument in sys.orig_argv):
    sabotage()
