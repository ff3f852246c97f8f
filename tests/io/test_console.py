import re
import time
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from fvc_exp.io import console
from tests.shell import run_py

FRAME = pl.DataFrame({"name [b]": ["[red]x", None], "value": [0.123456, 2.0], "ok": [True, False], "n": ["9", "10"]})


def test_a_frame_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = console.frame_table(FRAME, "all [b]", floats=".2f", right=("n",), styles=["dim", None])
    Console(width=80).print(table)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == "all [b]"
    assert [line.split() for line in lines[1:] if "──" not in line] == [
        ["name", "[b]", "value", "ok", "n"], ["[red]x", "0.12", "yes", "9"], ["-", "2.00", "no", "10"]]  # fmt: skip
    assert lines[-1].index("10") + 1 == lines[-2].index("9")


def test_progress_in_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line at the start, then at most one per interval."""
    assert console.LINE_SECONDS == 10.0
    monkeypatch.setattr(console, "LINE_SECONDS", 0.4)
    with console.progress_bar("videos") as on_progress:
        time.sleep(0.6)
        on_progress(3, 4, "1 failed")
        on_progress(4, 4)
    first, last = capsys.readouterr().err.splitlines()
    assert first == "videos ..."
    assert re.fullmatch(r"videos: 3 of 4, 1 failed, \d s so far, about \d s left", last)


TERMINAL = {"FORCE_COLOR": "1", "COLUMNS": "70", "TERM": "xterm"}
ENVIRONMENTS: dict[str, tuple[dict[str, str], int, bool]] = {
    "terminal": (TERMINAL, 70, True),
    "no colour": (TERMINAL | {"NO_COLOR": "1"}, 70, False),
    "dumb": (TERMINAL | {"TERM": "dumb"}, 70, False),
    "dumb without columns": ({"FORCE_COLOR": "1", "TERM": "dumb"}, 80, False),
    "pipe with columns": ({"COLUMNS": "70"}, 70, False),
    "pipe": ({}, 1000, False),
}


@pytest.mark.parametrize(("environment", "width", "has_colour"), ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_the_environment_is_respected(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    width: int,
    has_colour: bool,
) -> None:
    for name in TERMINAL | {"NO_COLOR": ""}:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = console.make_console()
    console.print_text(made, "word " * 30 + "o" * 90, "red", label="label")
    printed = capsys.readouterr().out
    assert (made.width, "\x1b[31m" in printed) == (width, has_colour)
    first, *more = re.sub(r"\x1b\[\d*m", "", printed).splitlines()
    assert first.startswith("label        word word")
    assert len(first) <= min(width, 80)
    assert {line[:14] for line in more} == {" " * 13 + "w", " " * 13 + "o"}, "under the text, and no word is cut"
    assert ("\n" in console.error_text("a word " * 90)) == ("FORCE_COLOR" in environment)


NAMES = {
    "clip é 動画.mp4": "clip é 動画.mp4",
    "\x1b[2Jx\x9b": r"\x1b[2Jx\x9b",
    "a\nb\r\tc\u2028": r"a\nb\r\tc\u2028",
    "gpj\u202e.mp4\u2066": r"gpj\u202e.mp4\u2066",
}


@pytest.mark.parametrize(("name", "shown"), NAMES.items(), ids=map(ascii, NAMES))
def test_a_terminal_obeys_no_name(capsys: pytest.CaptureFixture[str], name: str, shown: str) -> None:
    assert (console.printable(name), console.printable("\udcff")) == (shown, r"\udcff")
    made = Console(width=200)
    made.print(console.frame_table(pl.DataFrame({name: ["x"], "y": [name]}), name))
    console.print_text(made, name, label="label")
    printed = capsys.readouterr().out
    assert printed.count(shown) == 4
    assert all(sign.isprintable() for sign in printed.replace("\n", ""))
    assert console.error_text(f"{name}: wrong\nsecond") == "\n".join(
        (*map(console.printable, f"{name}: wrong".split("\n")), "second")
    )


@pytest.mark.parametrize("password", ["pw", "p:w", "p%40w", "p@w"])
def test_passwords_of_addresses_are_not_shown(password: str) -> None:
    assert console.without_passwords(f"at http://me:{password}@host:50/x, ok") == "at http://***@host:50/x, ok"
    assert console.without_passwords("http://host:50/x sqlite:///a@b:c") == "http://host:50/x sqlite:///a@b:c"


def test_a_full_disk_costs_the_log_and_one_line(tables: Path) -> None:
    words = ("data=fvc", "data.root=.", "plots=false", "hydra.run.dir=run", "audit.permutations=0")
    done = run_py(*words, "hydra.job_logging.handlers.file.filename=/dev/full", cwd=tables)
    assert (done.returncode, (tables / "run" / "results.json").exists()) == (0, True)
    line = "/dev/full: the log ends here: [Errno 28] No space left on device"
    assert done.stderr.splitlines().count(line) == 1
    assert "Traceback" not in done.stderr
