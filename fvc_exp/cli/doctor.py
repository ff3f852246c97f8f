"""``fvc doctor``: whether this machine can run experiments, and what to do about what it lacks."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fvc_exp.cli.app import Exit, JsonOption, a_folder, command, print_json
from fvc_exp.errors import ConfigError
from fvc_exp.io.console import make_console, print_text

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "fvc-exp"
DECODERS = ("h264", "hevc", "vp8", "vp9", "av1")
ENCODER = "libx264"
FREE_GIB = 2.0  # the corpora of a few hundred videos, their scaled copies and a sweep
STEPS = {
    "features": "run debug=quick stage=features hydra.run.dir=run",
    "training": "run debug=quick hydra.run.dir=run",
    "report": "report run",
    "prediction": "predict run outputs/demo",
    "two jobs": "run -m debug=quick C=0.1,1 hydra/launcher=local",
}
OutputsOption = Annotated[Path, typer.Option(metavar="FOLDER", parser=a_folder, help="where results shall land")]
_REINSTALL = "pip install --force-reinstall av"


# A problem would break runs, a note would not.
Severity = StrEnum("Severity", "ok note problem")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, what was found, and what to do if it is not ok."""

    subject: str
    verdict: Severity
    found: str
    advice: str = ""


def examine(outputs: Path) -> list[Finding]:
    """Look at everything, in the order in which problems should be solved; writes nothing that stays."""
    places = {"outputs": outputs, "temporary files": Path(tempfile.gettempdir())}
    folders = [folder_finding(name, path) for name, path in places.items()]
    return [*package_findings(), *extra_findings(), codec_finding(), *folders, slurm_finding()]


def package_findings() -> Iterator[Finding]:
    """Python and each required package against the range that was tested."""
    yield Finding("python", Severity.ok, platform.python_version())
    needed = _requirements()
    if not needed:
        yield Finding(DISTRIBUTION, Severity.note, "not installed, so its ranges are unknown", "pip install -e .")
    yield from (_package(requirement) for requirement in needed if requirement.marker is None)


def extra_findings() -> Iterator[Finding]:
    """Optional parts; a missing one is a note, and so is one of another version."""
    needed = _requirements()
    for extra in ("analytics", "tracking", "notebook") if needed else ():
        packages = [each for each in needed if each.marker and each.marker.evaluate({"extra": extra})]
        wrong = [each for each in map(_package, packages) if each.verdict is not Severity.ok]
        found = ", ".join(f"{each.subject} {each.found}" for each in wrong) or "installed"
        advice = f"for this part: pip install 'fvc-exp[{extra}]'" if wrong else ""
        yield Finding(f"extra {extra}", Severity.note if wrong else Severity.ok, found, advice)


def _requirements() -> "list[Requirement]":
    """What the installed package needs, with its extras; empty where it is not installed."""
    from packaging.requirements import Requirement  # Hydra brings it

    try:
        return [Requirement(text) for text in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        return []


def _package(requirement: "Requirement") -> Finding:
    advice = f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Finding(requirement.name, Severity.problem, "not installed", advice)
    if not requirement.specifier.contains(found, prereleases=True):
        return Finding(requirement.name, Severity.problem, f"{found}, tested: {requirement.specifier}", advice)
    return Finding(requirement.name, Severity.ok, found)


def codec_finding() -> Finding:
    """What PyAV can decode and encode."""
    try:
        from av.codec import codecs_available
    except ImportError as error:
        return Finding("codecs", Severity.problem, f"PyAV cannot be loaded: {error}", _REINSTALL)
    names = {"av1": ("av1", "libdav1d", "libaom-av1")}
    lost = [name for name in DECODERS if not codecs_available & set(names.get(name, (name,)))]
    lost += [] if ENCODER in codecs_available else [ENCODER]
    if lost:
        return Finding("codecs", Severity.problem, f"without {', '.join(lost)}", _REINSTALL)
    return Finding("codecs", Severity.ok, f"{', '.join(DECODERS)}; encoder {ENCODER}")


def folder_finding(name: str, folder: Path) -> Finding:
    """Whether a folder, or the nearest one above it that exists, can be written, and what is free there."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        advice = "choose another: outputs=/elsewhere" if name == "outputs" else "export TMPDIR=/elsewhere"
        return Finding(name, Severity.problem, f"{there}: cannot be written: {error.strerror}", advice)
    free = shutil.disk_usage(there).free / 2**30
    if free < FREE_GIB:
        return Finding(name, Severity.note, f"{there}: {free:.1f} GiB free", f"a corpus needs {FREE_GIB:.0f} GiB")
    return Finding(name, Severity.ok, f"{there}: {free:.1f} GiB free")


def slurm_finding() -> Finding:
    """Whether SLURM's commands are there and answer in time; without them only hydra/launcher=slurm is lost."""
    from fvc_exp.sweeps import queues

    missing = [name for name in ("sbatch", "squeue", "sinfo") if shutil.which(name) is None]
    if missing:
        return Finding("slurm", Severity.note, f"no {', '.join(missing)}", "sweeps run here, or with launcher=local")
    try:
        done = queues.run_client("sinfo", "--noheader", "--format=%P")
    except (queues.SchedulerError, OSError) as error:
        return Finding("slurm", Severity.note, str(error), "ask the cluster's operators")
    if done.returncode:
        advice = "the controller cannot be reached from here: ask its operators"
        return Finding("slurm", Severity.note, queues.last_line(done.stderr), advice)
    return Finding("slurm", Severity.ok, f"partitions {', '.join(done.stdout.split())}")


def submission_finding(overrides: Sequence[str]) -> Finding:
    """Whether SLURM would take a job with the configured settings, and when it might start."""
    from fvc_exp.config.hydra_app import launcher_settings
    from fvc_exp.sweeps import launchers, queues

    settings = launcher_settings(overrides)
    asked = ", ".join(f"{key}={settings[key]}" for key in ("partition", "account", "mem_gb", "timeout_min"))
    advice = "try hydra.launcher.partition=NAME and others here, then in conf/hydra/launcher/slurm.yaml"
    with tempfile.TemporaryDirectory() as folder:
        script, executor = Path(folder, "job.sh"), launchers.make_executor(settings, folder)
        script.write_text(executor._executor._make_submission_file_text("true", "test"))
        try:
            done = queues.run_client("sbatch", "--test-only", str(script))
        except queues.SchedulerError as error:
            return Finding("job", Severity.problem, f"{asked}: {error}", advice)
    said = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in done.stderr.splitlines()]
    if done.returncode:
        return Finding("job", Severity.problem, f"{asked}: {'; '.join(said)}", advice)
    return Finding("job", Severity.ok, f"{asked}: {said[-1]}")


def run_steps() -> bool:
    """Do each step in a process of its own, and say how long it took; False if one failed, with what it printed."""
    from fvc_exp.sweeps.launchers import python_path

    environment = {**os.environ, "PYTHONPATH": python_path()}
    with tempfile.TemporaryDirectory(prefix="fvc-doctor-") as folder:
        for step, words in STEPS.items():
            command, started = [sys.executable, "-m", "fvc_exp", *shlex.split(words)], time.monotonic()
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                typer.echo(f"problem {step}: exit code {done.returncode} of fvc {words}")
                typer.echo("\n".join([*done.stdout.splitlines(), *done.stderr.splitlines()][-20:]))
                return False
            typer.echo(f"ok      {step}: {time.monotonic() - started:.1f} s")
    typer.echo("OK")
    return True


@command
def doctor(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[hydra.launcher.KEY=VALUE]...", help="for --submit")
    ] = None,
    outputs: OutputsOption = Path("outputs"),
    run: Annotated[bool, typer.Option("--run", help="also do everything once, in a temporary folder")] = False,
    submit: Annotated[bool, typer.Option("--submit", help="also ask SLURM whether it would take a job")] = False,
    as_json: JsonOption = False,
) -> Exit:
    """Look at packages, codecs, disks, SLURM and optional parts, and say what to do.

    With --run features, training, report, prediction and a sweep of two jobs are tried on a tiny corpus, which takes
    less than a minute and leaves nothing behind. With --submit SLURM says whether it would take a job of a sweep with
    the configured partition, account, memory and time, and when it might start. Exit code 0 if runs work, else 1.

    Example: fvc doctor --outputs /scratch/outputs
    """
    if run and as_json:
        raise ConfigError("--run and --json exclude each other: choose one")
    found = [*examine(outputs), *([submission_finding(overrides or [])] if submit else [])]
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        output = make_console()
        for each in found:
            advice = f" -> {each.advice}" if each.advice else ""
            print_text(output, f"{each.subject}: {each.found}{advice}", label=each.verdict)
    works = run_steps() if run else True
    return Exit.FAILED if not works or any(each.verdict is Severity.problem for each in found) else Exit.OK
