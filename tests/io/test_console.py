import polars as pl
import pytest
from rich.console import Console

from fvc_exp.io.console import frame_table, progress_bar

FRAME = pl.DataFrame({"name [b]": ["[red]x", None], "value": [0.123456, 2.0], "ok": [True, False], "n": ["9", "10"]})


def test_a_frame_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = frame_table(FRAME, "all [b]", floats=".2f", right=("n",), styles=["dim", None])
    Console(width=80).print(table)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == "all [b]"
    assert [line.split() for line in lines[1:] if "──" not in line] == [
        ["name", "[b]", "value", "ok", "n"], ["[red]x", "0.12", "yes", "9"], ["-", "2.00", "no", "10"]]  # fmt: skip
    assert lines[-1].index("10") + 1 == lines[-2].index("9")


def test_progress_in_a_pipe_is_seldom(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 0.0, 10.0, 31.0, 31.0])  # each line that is due asks for the time twice
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    with progress_bar("videos") as on_progress:
        for done, status in enumerate(["1 done", "1 done", "2 done", "3 done"]):
            on_progress(done, 4, status)
        on_progress(4, 4)
    assert capsys.readouterr().err.splitlines() == ["videos ...", "1 done", "3 done"]
