import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fvc_exp.config.schema import LimitsConfig
from fvc_exp.errors import FvcError
from fvc_exp.video import worker_pool
from fvc_exp.video.worker_pool import Failed, run_in_workers
from tests.conftest import ROOT
from tests.processes import is_alive, until
from tests.video.worker_functions import SHORT, work

LIMITS = LimitsConfig(max_pixels=8_847_360, cpu_seconds=60, wall_seconds=60, memory_mb=2048)


def results(items: list[tuple[str, Any]], limits: LimitsConfig = LIMITS, workers: int = 1) -> dict[Any, Any]:
    return dict(run_in_workers(work, items, limits=limits, workers=workers))


def test_every_item_has_its_own_result() -> None:
    assert results([("square", n) for n in range(40)], workers=3) == {("square", n): n**2 for n in range(40)}
    assert results([]) == {}


BAD = {
    "sigkill": (("kill", signal.SIGKILL), "worker_died", "the worker process ended with signal SIGKILL"),
    "segfault": (("segfault", None), "worker_died", "the worker process ended with signal SIGSEGV"),
    "exit-0": (("exit", 0), "worker_died", "the worker process ended with exit code 0"),
    "exit-3": (("exit", 3), "worker_died", "the worker process ended with exit code 3"),
    "hang": (("hang", None), "timeout", "it took longer than limits.wall_seconds=3"),
    "cpu": (("burn", 30.0), "cpu_limit", "it took more processor time than limits.cpu_seconds=1"),
    "memory": (("allocate", 4096), "out_of_memory", "it needed more than limits.memory_mb=2048 of address space"),
    "opencv-memory": (("allocate_image", 60_000), "out_of_memory", "it needed more than limits.memory_mb=2048 of"),
    "video-error": (("refuse", "a.mp4: 8K"), "too_large", "a.mp4: 8K"),
    "bug": (("bug", 0), "internal_error", "ZeroDivisionError at worker_functions.py:"),
    "unpicklable": (("unpicklable", None), "worker_died", "the worker process ended with exit code 1"),
}


# The item after each bad one shows that the stage goes on.
@pytest.mark.parametrize(("bad", "error_class", "message"), BAD.values(), ids=BAD)
def test_a_bad_item_fails_alone(bad: tuple[str, Any], error_class: str, message: str) -> None:
    wall = 3 if error_class == "timeout" else 30
    limits = replace(LIMITS, wall_seconds=wall, cpu_seconds=1 if error_class == "cpu_limit" else 30)
    found = results([("square", 2), bad, ("square", 3)], limits)
    assert (found[("square", 2)], found[("square", 3)]) == (4, 9)
    assert isinstance(found[bad], Failed)
    assert found[bad].error_class == error_class
    assert found[bad].message.startswith(message)


def test_processor_time_is_counted_per_item() -> None:
    items = [("burn", 0.4 + n / 1000) for n in range(2)]
    assert results(items, replace(LIMITS, cpu_seconds=0.6)) == {item: item[1] for item in items}


def test_processor_time_grows_with_what_is_decoded() -> None:
    twice = 2 * worker_pool.PIXELS_PER_LIMIT
    fits, too_long, too_flat = (twice, 10**9, 1.0), (twice, 10**9, 5.0), (twice, 1000, 5.1)
    found = results([("burn_as_decoder", each) for each in (fits, too_long, too_flat)], SHORT)
    assert found[("burn_as_decoder", fits)] == 1.0
    assert found[("burn_as_decoder", too_long)] == found[("burn_as_decoder", too_flat)]
    assert found[("burn_as_decoder", too_flat)].error_class == "cpu_limit"
    assert "limits.cpu_seconds=0.5 and what its pixels allow" in found[("burn_as_decoder", too_flat)].message
    worker_pool.allow_more(SHORT, twice, 10**9)
    assert signal.getitimer(signal.ITIMER_PROF) == signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_the_clock_ends_a_hang_after_ten_times_the_processor_time() -> None:
    found = results([("hang", None)], replace(SHORT, cpu_seconds=0.2))
    assert found[("hang", None)].error_class == "timeout"
    assert "limits.wall_seconds=2 " in found[("hang", None)].message


def test_a_worker_that_dies_between_items_is_replaced() -> None:
    outcomes = run_in_workers(work, [("pid", 1), ("pid", 2), ("pid", 3)], limits=LIMITS, workers=1)
    _, first = next(outcomes)
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_alive(first))
    second, third = (result for _, result in outcomes)
    assert second == third != first


def test_workers_use_one_thread_each_and_no_polars() -> None:
    found = results([("threads", None), ("polars", None)])
    pools, opencv = found[("threads", None)]
    assert pools
    assert set(pools) == {1}
    assert opencv == 1
    assert found[("polars", None)] is False


def test_closing_the_iterator_ends_the_workers() -> None:
    outcomes = run_in_workers(work, [("pid", 1), ("hang", None)], limits=LIMITS, workers=1)
    _, pid = next(outcomes)
    outcomes.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_full_disk_stops_the_work() -> None:
    with pytest.raises(FvcError, match=r"nothing more can be written: .*No space left on device"):
        results([("square", 1), ("fill_disk", None), ("square", 2)])


def test_workers_that_cannot_start_are_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FvcError, match=r"ended with exit code 1 before its first item.*limits\.memory_mb=2048"):
        list(run_in_workers(_not_importable(), [1], limits=LIMITS, workers=1))
    assert "ModuleNotFoundError" in capfd.readouterr().err


def _not_importable() -> Any:
    """A function of a module that only this process has."""
    from types import ModuleType

    module = ModuleType("only_here")
    exec("def function(item): return item", module.__dict__)
    sys.modules["only_here"] = module
    return module.__dict__["function"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_no_worker_outlives_its_parent(number: signal.Signals, tmp_path: Path) -> None:
    script, noted = tmp_path / "parent.py", tmp_path / "pid"
    script.write_text(
        # No worker imports the script, which would start workers again.
        "from tests.video.test_worker_pool import LIMITS, run_in_workers, work\n"
        f"list(run_in_workers(work, [('hang', {str(noted)!r})], limits=LIMITS, workers=1))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        pid = int(until(lambda: noted.is_file() and noted.read_text()))
        assert os.getpgid(pid) != parent.pid, "Ctrl-C goes to the parent alone"
        if number is signal.SIGINT:
            os.killpg(parent.pid, number)  # as a terminal does it
        else:
            parent.send_signal(number)
        errors = parent.communicate(timeout=60)[1]
    assert parent.returncode == -number
    assert errors.count("KeyboardInterrupt") == (number is signal.SIGINT)
    until(lambda: not is_alive(pid))
