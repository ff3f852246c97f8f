"""Commands about a sweep: the state of its configurations, running them again, the best one; and ``fvc track``."""

import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from fvc_exp.cli.app import Exit, JsonOption, a_folder, command, print_json
from fvc_exp.config.schema import EXPERIMENT
from fvc_exp.errors import ArtifactError, ConfigError
from fvc_exp.io import files
from fvc_exp.io.console import make_console, print_text, printable, short_path
from fvc_exp.sweeps.folder import Plan, SweepFolder

TrustOption = Annotated[bool, typer.Option("--trust", help="also where another user wrote what starts or ends")]
SweepArgument = Annotated[Path, typer.Argument(metavar="SWEEP", help="folder of a sweep, below outputs/sweeps")]
_MEMBER_HELP = "run id, or the beginning of it"
MembersArgument = Annotated[list[str] | None, typer.Argument(metavar="[MEMBER]...", help=_MEMBER_HELP)]
_ENDED_HELP = "folders of runs that have ended, or of sweeps"
_URI_HELP = "sqlite:///PATH or http://HOST:PORT; default: $MLFLOW_TRACKING_URI, outputs/mlflow/mlflow.db"
_REGISTER_HELP = "make the best model of each a version of this registered model"


@command
def status(
    sweep: SweepArgument,
    watch: Annotated[bool, typer.Option("--watch", help="until no configuration is running or waiting")] = False,
    as_json: JsonOption = False,
) -> Exit:
    """Show what became of each configuration: done, running, pending, failed or lost, and why.

    Exit code 0 if all are done, 1 if any failed or was lost, 3 if some are not finished yet.

    Example: fvc status outputs/sweeps/penalties --watch
    """
    from fvc_exp.sweeps import queues, show, states

    _, _, members = states.open_sweep(sweep)
    if watch:
        from rich.live import Live

        with Live(show.state_table(members), console=make_console(stderr=as_json), refresh_per_second=1) as live:
            while not all(each.state in states.AT_REST for each in members):
                time.sleep(2.0)
                _, _, members = states.open_sweep(sweep)
                live.update(show.state_table(members))
    used = queues.usage([each.job for each in members if each.job])
    if as_json:
        print_json({"sweep": str(sweep), "members": show.states_json(members, used)})
    elif not watch:
        make_console().print(show.state_table(members, used))
        for folder in dict.fromkeys(each.log.parent for each in members if each.log):
            print_text(make_console(), f"{short_path(folder)}/JOB_0_log.err", label="log", wrap=False)
    return _exit_code({each.state.value for each in members})


@command
def cancel(sweep: SweepArgument, members: MembersArgument = None, trust: TrustOption = False) -> Exit:
    """Cancel the jobs of a sweep that wait or run, or of some of its members. What is finished stays finished.

    Exit code 0, also if there was nothing to cancel.

    Example: fvc cancel outputs/sweeps/penalties 3f2a
    """
    from fvc_exp.sweeps import queues, schedulers

    folder, _ = _own_sweep(sweep, trust=trust)
    jobs = schedulers.jobs_of(folder, members or [])
    if members and any(job.id.endswith(queues.QUEUED) for job in jobs):
        raise ConfigError("a member that waits in a local driver cannot be cancelled by itself: leave out its name")
    cancelled = schedulers.cancel(jobs)
    print_text(make_console(), " ".join(cancelled) or "nothing waits or runs", label="cancelled" if cancelled else "")
    return Exit.OK


@command
def logs(sweep: SweepArgument, member: Annotated[str, typer.Argument(metavar="MEMBER", help=_MEMBER_HELP)]) -> Exit:
    """Print what the newest job of a member wrote: its stdout, then its stderr.

    Exit code 0, or 3 if there is no log yet.

    Example: fvc logs outputs/sweeps/penalties 3f2a
    """
    from fvc_exp.sweeps import schedulers

    jobs = schedulers.jobs_of(SweepFolder(sweep), [member])
    written = [path for job in jobs for path in (job.log.with_suffix(".out"), job.log)]
    found = [path for path in written if path.exists()]
    for path in found:
        print_text(make_console(stderr=True), short_path(path), "bold", wrap=False)
        for line in files.read_bytes(path).decode(errors="replace").splitlines():
            typer.echo(printable(line))
    if not found:
        print_text(make_console(stderr=True), "no log: the job has not begun, or ran in the process of its command")
    return Exit.OK if found else Exit.UNFINISHED


@command
def retry(
    sweep: SweepArgument,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[hydra.launcher.KEY=VALUE]...", help="other settings of its launcher")
    ] = None,
    wait: Annotated[bool, typer.Option(help="wait for the jobs and write the results")] = True,
    trust: TrustOption = False,
) -> Exit:
    """Run the failed and lost configurations again, with the launcher that the sweep was started with.

    Exit code 0 if everything is done (or submitted, with --no-wait), else 1; 3 if only tracking failed.

    Example: fvc retry outputs/sweeps/penalties hydra.launcher.mem_gb=8
    """
    from fvc_exp.config.hydra_app import changed_settings
    from fvc_exp.config.validate import require_tracker
    from fvc_exp.sweeps.driver import drive_sweep
    from fvc_exp.tracking.import_runs import track_at_end

    folder, plan = _own_sweep(sweep, trust=trust)
    plan = replace(plan, launcher_settings=changed_settings(plan.launcher_settings, overrides or []))
    if wait:
        require_tracker(plan.config.tracking.name)
    complete = drive_sweep(folder, plan, leave=not wait)
    tracked = not wait or track_at_end(sweep, plan.config)
    return Exit.FAILED if not complete else Exit.OK if tracked else Exit.UNFINISHED


@command
def collect(sweep: SweepArgument, trust: TrustOption = False) -> Exit:
    """Write the results of all runs so far, copy the best one to best/ and show the leaderboard. Any number of times.

    Exit codes as those of status; 3 also if only tracking failed.

    Example: fvc collect outputs/sweeps/penalties
    """
    from fvc_exp.sweeps import driver
    from fvc_exp.tracking.import_runs import track_at_end

    folder, plan = _own_sweep(sweep, trust=trust)
    code = _exit_code({each.state.value for each in driver.finish(folder)})
    tracked = track_at_end(sweep, plan.config)
    return Exit.UNFINISHED if code is Exit.OK and not tracked else code


@command
def leaderboard(sweep: SweepArgument, as_json: JsonOption = False) -> Exit:
    """Rank the finished runs by their mean AUC in cross-validation, beside what they had to beat. Writes nothing.

    Also of a folder of runs that Hydra's own sweeper made.

    Exit code 0, or 3 if there is nothing to rank.

    Example: fvc leaderboard outputs/sweeps/penalties --json
    """
    from fvc_exp.sweeps import results, show

    _, plan, members = results.open_results(sweep)
    table = results.table_of(members)
    ranked = results.rank(table)
    if as_json:
        print_json(show.leaderboard_json(plan, members, table, ranked))
    else:
        show.print_leaderboard(make_console(), plan, members, table, ranked)
        if len(ranked):
            print_text(make_console(), str(results.ties(members, ranked)))
    return Exit.OK if len(ranked) else Exit.UNFINISHED


def _exit_code(states: set[str]) -> Exit:
    if states & {"failed", "lost"}:
        return Exit.FAILED
    return Exit.OK if states <= {"done"} else Exit.UNFINISHED


@command
def track(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN|SWEEP...", parser=a_folder, help=_ENDED_HELP)],
    uri: Annotated[str | None, typer.Option(help=_URI_HELP)] = None,
    experiment: Annotated[str, typer.Option(metavar="NAME", help="of MLflow; made if it is not there")] = EXPERIMENT,
    register: Annotated[str | None, typer.Option(metavar="NAME", help=_REGISTER_HELP)] = None,
    as_json: JsonOption = False,
) -> Exit:
    """Import runs, and all runs of sweeps that have ended, into MLflow. Needs the extra tracking.

    It can be repeated: each attempt is imported once, and files that came since, such as a report, are added. Exit
    code 0, or 3 if some of a sweep have not ended yet. --json prints one object for one folder, a list for several.

    Example: fvc track outputs/sweeps/penalties --experiment corpus --register deepfakes
    """
    from fvc_exp.tracking.import_runs import track as track_folder

    found = [track_folder(each, uri, experiment, register) for each in folders]
    if as_json:
        print_json([asdict(each) for each in found] if len(found) > 1 else asdict(found[0]))
    else:
        typer.echo("\n".join(map(str, found)))
    return Exit.UNFINISHED if any(each.unfinished for each in found) else Exit.OK


def _own_sweep(path: Path, *, trust: bool) -> tuple[SweepFolder, Plan]:
    """A sweep whose jobs may be started and ended, since the calling user wrote what says which, or trusts it."""
    folder = SweepFolder(path)
    plan = folder.read_plan()
    for place in () if trust else (folder.path, folder.plan):
        if place.stat().st_uid != os.getuid():
            programs = ", ".join(f"{name}={value}" for name, value in plan.launcher_settings.items() if value)
            raise ArtifactError(
                f"{place}: belongs to another user, and {plan.launcher} would start programs with {programs}; "
                "if that is what you want, add --trust"
            )
    return folder, plan
