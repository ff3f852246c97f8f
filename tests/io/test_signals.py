import importlib
import json
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest

from fvc_exp.io.signals import Stopped, raise_when_stopped
from tests.processes import until
from tests.shell import ROOT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_an_exception_and_the_next_ones_do_not_disturb_the_end(number: signal.Signals) -> None:
    own = signal.signal(number, signal.default_int_handler)  # nohup may have this one ignored
    before = signal.getsignal(number)

    def end_twice() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)

    with raise_when_stopped(), pytest.raises(Stopped, match=number.name):
        end_twice()
    assert signal.getsignal(number) is before
    signal.signal(number, own)


def test_a_signal_in_a_callback_that_drops_exceptions_is_not_lost() -> None:
    held = [{1}]
    reference = weakref.ref(held[0], lambda _: signal.raise_signal(signal.SIGTERM))

    def drop_and_go_on() -> None:
        held.clear()
        time.sleep(5)

    with raise_when_stopped(), pytest.raises(Stopped, match="SIGTERM"):
        drop_and_go_on()
    assert reference() is None


def test_a_signal_waits_for_the_end_of_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signals = "import signal, time\nsignal.raise_signal(signal.SIGTERM)\ntime.sleep(0.1)"
    (tmp_path / "signals_itself.py").write_text(signals)
    monkeypatch.syspath_prepend(tmp_path)

    def use() -> None:
        importlib.import_module("signals_itself")
        time.sleep(5)

    with raise_when_stopped(), pytest.raises(Stopped, match="SIGTERM"):
        use()
    assert "signals_itself" in sys.modules


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raise_when_stopped():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_single_run_says_which_signal_ended_it(tables: Path) -> None:
    words = ["data=fvc", f"data.root={tables}", f"hydra.run.dir={tables / 'run'}", "cv.n_repeats=5000"]
    with subprocess.Popen([sys.executable, "run.py", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        until((tables / "run" / "config.yaml").exists)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.splitlines()[-1]) == (1, "interrupted")
    status = json.loads((tables / "run" / "status.json").read_text())
    assert (status["state"], status["signal"]) == ("interrupted", "SIGTERM")
