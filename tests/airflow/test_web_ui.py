"""A run as a user sees it: scheduler, DAG processor and web server as docs/ecosystem.md starts them, and Chromium."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow.conftest import DAG_ID, SMALL, STAGES, Airflow
from tests.processes import free_port, is_alive, until
from tests.shell import run_process, succeeded

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = [pytest.mark.airflow, pytest.mark.browser]
PATIENCE = 600  # seconds; the five stages start Python ten times


@dataclass(frozen=True)
class WebUI:
    """The three programs at work."""

    airflow: Airflow
    env: dict[str, str]
    url: str
    pids: list[int]

    def get(self, path: str) -> Any:
        """What the REST API answers."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
            return json.load(answer)


def with_descendants(pids: list[int]) -> set[int]:
    """The processes, and all that they started."""
    found = set(pids)
    for pid in pids:
        with contextlib.suppress(OSError):
            children = (path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children"))
            found |= with_descendants([int(child) for each in children for child in each])
    return found


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """End the three and what they started, each by its number."""
    started = with_descendants([process.pid for process in processes])
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in filter(is_alive, started):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + 20
        while any(map(is_alive, started)) and time.monotonic() < deadline:
            time.sleep(0.2)
            for process in processes:
                process.poll()


@pytest.fixture(scope="module")
def web_ui(make_airflow: Callable[[str], Airflow]) -> Iterator[WebUI]:
    """Airflow on a free port of the loopback interface."""
    airflow = make_airflow("web")
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    env = airflow.env | {
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # 5 s are too few where other tests keep all cores busy
    }
    programs = [
        ("api-server", "--host", "127.0.0.1", "--port", port, "--workers", "1"),
        ("scheduler", "--skip-serve-logs"),
        ("dag-processor",),
    ]
    processes = []
    try:
        for program in programs:
            with (airflow.home / f"{program[0]}.log").open("wb") as log:
                command = airflow.command(*program)
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=airflow.home))
        yield WebUI(airflow, env, url, [process.pid for process in processes])
    finally:
        stop(processes)


@pytest.fixture(scope="module")
def finished(web_ui: WebUI, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of the DAG, triggered from the command line and done by the scheduler; its id."""
    until(lambda: web_ui.get(f"/api/v2/dags/{DAG_ID}"), PATIENCE, "the DAG to be found", every=0.5)
    conf = SMALL | {"outputs": str(tmp_path_factory.mktemp("outputs")), "augmentations": 0}
    command = web_ui.airflow.command("dags", "trigger", DAG_ID, "--run-id", "seen", "--conf", json.dumps(conf))
    succeeded(run_process(*command, env=web_ui.env, cwd=web_ui.airflow.home))

    def state() -> str | None:
        found: str = web_ui.get(f"/api/v2/dags/{DAG_ID}/dagRuns/seen")["state"]
        return found if found in ("success", "failed") else None

    assert until(state, PATIENCE, "the run to end", every=0.5) == "success", web_ui.airflow.tries()
    return "seen"


def test_run_and_its_five_tasks_are_shown(web_ui: WebUI, finished: str, browser: WebDriver) -> None:
    browser.set_window_size(1400, 900)
    browser.get(f"{web_ui.url}/dags/{DAG_ID}/runs/{finished}")

    def text() -> str:
        return str(browser.execute_script("return document.body.innerText"))

    until(
        lambda: all(re.search(rf"^{stage}$", text(), re.MULTILINE) for stage in STAGES),
        PATIENCE,
        "five tasks on the page",
    )
    assert "Success" in text()
    tasks = web_ui.get(f"/api/v2/dags/{DAG_ID}/dagRuns/{finished}/taskInstances")["task_instances"]
    assert {task["task_id"]: task["state"] for task in tasks} == dict.fromkeys(STAGES, "success")


def test_nothing_listens_beyond_the_loopback_interface(web_ui: WebUI, finished: str) -> None:
    ours = with_descendants(web_ui.pids)
    lines = succeeded(run_process("ss", "-ltnpH")).stdout.splitlines()
    addresses = [line.split()[3] for line in lines if ours & {int(pid) for pid in re.findall(r"pid=(\d+)", line)}]
    assert f"{web_ui.url.removeprefix('http://')}" in addresses
    assert [address for address in addresses if not address.startswith(("127.", "[::1]"))] == []
