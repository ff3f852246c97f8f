"""Every kind of file of a run and of a sweep, broken in every way, under every command: one line, or the answer."""

import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

from fvc_exp.errors import ArtifactError
from fvc_exp.io.run_folder import RunFolder
from tests.conftest import reseal, signal_dataset
from tests.report.folders import make_config, make_run, make_sweep
from tests.shell import fvc

LIMIT_SECONDS = 5
COMMANDS: dict[str, tuple[str, ...]] = {
    "predict": ("predict", "RUN", "no.mp4"), "report": ("report", "RUN"), "compare": ("compare", "RUN"),
    "verify": ("verify", "RUN"), "explain": ("explain", "RUN"), "export": ("export", "RUN", "--to", "skops"),
    "runs": ("query", "SELECT count(*) FROM runs", "RUN"), "folds": ("query", "SELECT count(*) FROM folds", "RUN"),
    "rows": ("query", "SELECT count(*) FROM predictions", "RUN"),
}  # fmt: skip
OF_A_SWEEP = {name: (name, "RUN") for name in ("status", "leaderboard", "collect", "retry")}
FILES = ("status.json", "results.json", "metrics.json", "audit.json", "provenance.json", "model.json",
         "config.yaml", "predictions.parquet", "folds.parquet", "coefficients.csv")  # fmt: skip


def a_link(path: Path) -> None:
    path.rename(path.parent.parent / "victim")
    path.symlink_to(path.parent.parent / "victim")


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def change_values(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        content = json.loads(path.read_bytes()) if path.suffix == ".json" else {}
        one = content[0] if isinstance(content, list) and content else content
        change(one if isinstance(one, dict) else {})
        path.write_text(json.dumps(content))

    return changed


MUTATIONS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: os.truncate(path, 0),
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "list": lambda path: path.write_text("[]"),
    "null": lambda path: path.write_text("null"),
    "number": lambda path: path.write_text("1e999"),
    "deep": lambda path: path.write_text("[" * 50_000),
    "surrogate": lambda path: path.write_text('{"a": "\\ud800"}'),
    "no UTF-8": lambda path: path.write_bytes(b'{"a": "\xff"}'),
    "resolved": lambda path: path.write_text("a: ${oc.env:HOME}\nb: &x [1]\nc: *x\n"),
    "missing key": change_values(lambda one: one.pop(random.Random(len(one)).choice(list(one) or [""]), None)),
    "other types": change_values(lambda one: one.update({key: [key] for key in one})),
    "nulls": change_values(lambda one: one.update(dict.fromkeys(one))),
    "link": a_link,
    "pipe": a_pipe,
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "missing": lambda path: path.unlink(),
}


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    def give_up(*_: object) -> NoReturn:
        raise AssertionError(f"it took more than {LIMIT_SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refused(folder: Path, command: tuple[str, ...]) -> bool:
    """Whether a command refuses the folder, with one line, soon."""
    words = [str(folder) if word == "RUN" else word for word in command]
    signal.alarm(LIMIT_SECONDS * int(os.environ.get("FVC_SLOWNESS", "1")))
    done = fvc(*words, cwd=folder.parent)
    signal.alarm(0)
    last = (done.stderr.strip() or "\n").splitlines()
    if done.returncode == 2:
        assert last[-1].startswith("error: "), (words, done.stderr)
    assert len(last) <= 3, (words, done.stderr)
    return done.returncode != 0


def names_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("is_sealed", [False, True], ids=["changed", "listed"])
@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_of_a_run(finished_run: Path, tmp_path: Path, name: str, is_sealed: bool) -> None:
    """``listed``: by one who wants to deceive, and lists the file as it is then. 144 cases per file."""
    for number, (mutation, mutate) in enumerate(MUTATIONS.items()):
        place = tmp_path / str(number)
        folder = Path(shutil.copytree(finished_run, place / "run"))
        mutate(folder / name)
        if is_sealed and name != "status.json":
            with suppress(ArtifactError):  # a link or pipe is listed by nobody
                reseal(folder)
        before = names_of(place)
        found = {command for command, words in COMMANDS.items() if refused(folder, words)}
        assert names_of(place) == before
        if not is_sealed and name != "status.json":
            assert found >= {"predict", "report", "compare", "verify", "explain", "export"}, mutation


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sweep that is done."""

    folder, config = tmp_path_factory.mktemp("swept"), make_config("audit.permutations=0")
    return make_sweep(folder / "sweep", make_run(folder / "run", config, signal_dataset()), config, 2)


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_broken_plan(swept: Path, tmp_path: Path, mutation: str) -> None:
    folder = Path(shutil.copytree(swept, tmp_path / "sweep"))
    MUTATIONS[mutation](folder / "plan.json")
    before = names_of(tmp_path)
    assert [name for name, words in OF_A_SWEEP.items() if not refused(folder, words)] == []
    assert names_of(tmp_path) == before


def test_no_link_in_a_sweep_reaches_its_victim(swept: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    for name in (".lock", "runs", "best", "submissions"):
        folder = Path(shutil.copytree(swept, tmp_path / f"sweep{name}"))
        place = folder / name
        (shutil.rmtree if place.is_dir() else Path.unlink)(place) if place.exists() else None
        victim.write_text("precious")
        place.symlink_to(victim if name == ".lock" else tmp_path)
        assert refused(folder, OF_A_SWEEP["collect"])
        assert victim.read_text() == "precious"
    member = json.loads((swept / "plan.json").read_text())
    member["members"][0]["run_id"] = "../../x"
    (tmp_path / "sweeprenamed").mkdir()
    (tmp_path / "sweeprenamed" / "plan.json").write_text(json.dumps(member))
    assert refused(tmp_path / "sweeprenamed", OF_A_SWEEP["retry"])
    assert not (tmp_path / "x").exists()


def test_a_plan_of_another_user_starts_nothing(swept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = shutil.copytree(swept, tmp_path / "sweep")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    for command in ("retry", "collect", "cancel"):
        done = fvc(command, folder)
        assert (done.returncode, "belongs to another user" in done.stderr) == (2, True)
        assert "--trust" in done.stderr
    assert fvc("collect", folder, "--trust").returncode == 0


def test_a_foreign_run_reads_and_makes_nothing_elsewhere(copied_run: Path, tmp_path: Path) -> None:
    """Its data lies where it says; nobody else said so."""
    (tmp_path / "here").mkdir()
    folder = tmp_path / "here" / "in" / "run"
    shutil.copytree(copied_run, folder)
    for command in ("verify", "explain"):
        done = fvc(command, folder, cwd=tmp_path / "here")
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
    text = RunFolder(folder).config.read_text()
    RunFolder(folder).config.write_text(text.replace("root: .", f"root: {tmp_path}", 1))
    reseal(folder)
    done = fvc("verify", folder, cwd=tmp_path / "here")
    assert (done.returncode, "--data-root FOLDER" in done.stderr) == (2, True), done.stderr
    assert fvc("verify", folder, "--data-root", tmp_path, cwd=tmp_path / "here").returncode == 0
    assert names_of(tmp_path / "here") == {"in"}
