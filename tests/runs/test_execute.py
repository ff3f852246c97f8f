from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fvc_exp.runs import execute
from tests.conftest import Compose


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info()}


def test_a_run_takes_one_thread_of_the_numerical_libraries(
    compose_config: Compose, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers of a sweep, one a core, must not start a thread a core each."""
    inside, run, write = [], execute.run_experiment, execute.write_result

    def seen_run(*arguments: Any) -> Any:
        inside.append(threads())
        return run(*arguments)

    def seen_write(*arguments: Any) -> None:
        inside.append(threads())
        write(*arguments)

    monkeypatch.setattr(execute, "run_experiment", seen_run)
    monkeypatch.setattr(execute, "write_result", seen_write)
    (tables / "run").mkdir()
    config = compose_config("data=fvc", f"data.root={tables}", "plots=false")
    with threadpool_limits(limits=2):
        before = threads()
        assert execute.execute(config, tables / "run", show=False)["state"] == "done"
        assert threads() == before == {2}
    assert inside == [{1}, {1}]
