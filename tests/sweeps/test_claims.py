import json
import os
import socket
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from fvc_exp.sweeps import claims
from fvc_exp.sweeps.claims import Claim, heartbeat, try_claim
from fvc_exp.sweeps.folder import MemberFolder
from tests.processes import ended_process
from tests.sweeps.conftest import write_claim
from tests.sweeps.contend import contend


@pytest.fixture
def folder(tmp_path: Path) -> MemberFolder:
    return MemberFolder(tmp_path / "member")


def test_only_one_of_many_processes_gets_it(folder: MemberFolder) -> None:
    spawn = get_context("spawn")
    everybody = spawn.Barrier(3)
    processes = [spawn.Process(target=contend, args=(folder.path, everybody)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert sorted(process.exitcode for process in processes) == [0, 0, 1]


@pytest.mark.parametrize("owner", [ended_process, lambda: (os.getpid(), "1")], ids=["dead", "a reused pid"])
def test_a_dead_owner_on_this_machine_is_followed_at_once(
    folder: MemberFolder, owner: Callable[[], tuple[int, str]]
) -> None:
    pid, start = owner()
    write_claim(folder, 3, host=socket.gethostname(), pid=pid, process_start=start)
    taken = try_claim(folder, "8")
    assert taken is not None
    assert taken.number == 4


@pytest.mark.parametrize(("age", "follows"), [(5, False), (500, True)], ids=["beating", "silent"])
def test_an_owner_elsewhere_is_alive_while_its_heart_beats(folder: MemberFolder, age: float, follows: bool) -> None:
    write_claim(folder, 1, age=age)
    assert (try_claim(folder, "8") is not None) is follows


def test_a_claim_cut_short_counts_as_one_for_a_while(folder: MemberFolder) -> None:
    path = write_claim(folder, 1)
    path.write_text("")
    assert try_claim(folder, "8") is None
    os.utime(path, (0, 0))
    assert try_claim(folder, "8") is not None


def test_an_ended_attempt_is_followed_though_its_owner_lives(folder: MemberFolder) -> None:
    first = try_claim(folder, "8")
    assert first is not None
    assert try_claim(folder, "8") is None
    folder.status.write_text(json.dumps({"state": "failed", "attempt": first.number}))
    second = try_claim(folder, "8")
    assert second is not None
    assert second.number == 2


def test_the_heart_beats_while_the_work_lasts(folder: MemberFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.05)
    path = write_claim(folder, 1, age=1000)
    with heartbeat(Claim(1, path, None)):
        deadline = time.monotonic() + 10
        while time.time() - path.stat().st_mtime > 100:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    os.utime(path, (0, 0))
    time.sleep(0.2)
    assert path.stat().st_mtime == 0
