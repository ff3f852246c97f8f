"""``run.py`` and ``fvc`` as a user types them, in this process: start-up costs ten times what most tests look at.

Tests whose subject is the process itself (signals, kills, what it imports) start a real one.
"""

import io
import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from hydra._internal.hydra import Hydra
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton

from fvc_exp.__main__ import app
from fvc_exp.config import hydra_app

ROOT = Path(__file__).resolve().parents[1]


def run_py(*arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """``python run.py arguments``: its exit code, and what it prints."""
    command = [str(ROOT / "run.py"), *arguments]
    return _called(command, lambda: runpy.run_path(command[0], run_name="__main__"), cwd, env)


def run_py_process(*arguments: str, **options: object) -> CompletedProcess[str]:
    """``python run.py arguments`` in a process of its own, for what starts processes itself."""
    return run_process(sys.executable, str(ROOT / "run.py"), *arguments, **options)


def run_process(*command: str, **options: object) -> CompletedProcess[str]:
    """Any command in a process of its own: its exit code, and what it prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def modules_of(*command: str) -> set[str]:
    """The packages that ``python command`` and the processes it starts load."""
    done = succeeded(run_process(sys.executable, "-X", "importtime", *command, cwd=ROOT))
    return {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}


def succeeded(done: CompletedProcess[str]) -> CompletedProcess[str]:
    """What a command printed, which must have ended well."""
    assert done.returncode == 0, done.stderr
    return done


def one_line(printed: str) -> str:
    """What was printed without its line breaks, whose places depend on the texts."""
    return " ".join(printed.split())


def fvc(*arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """``fvc arguments``: its exit code, and what it prints."""
    command = ["fvc", *map(str, arguments)]
    return _called(command, lambda: app(prog_name="fvc"), cwd, env)


def _called(
    command: list[str], main: Callable[[], object], cwd: Path | None, env: Mapping[str, str] | None
) -> CompletedProcess[str]:
    out, err = io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        for context in (
            *(redirect_stdout(out), redirect_stderr(err), chdir(cwd or ROOT), patch.object(sys, "argv", command)),
            *(patch.dict(os.environ, env or {}, clear=env is not None), _own_logging(), _own_hydra()),
            patch.object(Hydra, "get_mode", Hydra.get_mode),
        ):
            stack.enter_context(context)
        code = _exit_code(main)
    return CompletedProcess(command, code, out.getvalue(), err.getvalue())


def _exit_code(main: Callable[[], object]) -> int:
    """What the interpreter would end with; an exception that nobody caught is the test's failure."""
    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
            return 1
        return int(ended.code or 0)
    return 0


@contextmanager
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:], root.level = handlers, level
        for logger in logging.root.manager.loggerDict.values():
            if isinstance(logger, logging.Logger):
                logger.disabled = False  # as Hydra leaves those that were there before it


@contextmanager
def _own_hydra() -> Iterator[None]:
    hydra_app.register()  # with our own plugin among them
    plugins, state = Plugins.instance(), Singleton.get_state()
    try:
        yield
    finally:
        state["instances"][Plugins] = plugins  # to look for all plugins again takes longer than most commands
        Singleton.set_state(state)
