"""Commands about a sweep: the state of its configurations, running them again, the best one; and ``fvc track``."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from fvc_exp.cli.app import Exit, JsonOption, a_folder, command, print_json
from fvc_exp.config.schema import EXPERIMENT
from fvc_exp.io.console import make_console, print_text
from fvc_exp.sweeps.folder import SweepFolder

TrustOption = Annotated[bool, typer.Option("--trust", help="also start what another user's plan says")]
SweepArgument = Annotated[Path, typer.Argument(metavar="SWEEP", help="folder of a sweep, below outputs/sweeps")]
_WATCH_SECONDS = 2.0


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
    from fvc_exp.sweeps import show, states

    _, _, members = states.open_sweep(sweep)
    if watch:
        with Live(show.state_table(members), console=make_console(stderr=as_json), refresh_per_second=1) as live:
            while not all(each.state in states.AT_REST for each in members):
                time.sleep(_WATCH_SECONDS)
                _, _, members = states.open_sweep(sweep)
                live.update(show.state_table(members))
    elif not as_json:
        make_console().print(show.state_table(members))
    if as_json:
        print_json({"sweep": str(sweep), "members": show.states_json(members)})
    return _exit_code({each.state.value for each in members})


@command
def retry(
    sweep: SweepArgument,
    wait: Annotated[bool, typer.Option(help="wait for the jobs and write the results")] = True,
    trust: TrustOption = False,
) -> Exit:
    """Run the failed and lost configurations again, with the launcher that the sweep was started with.

    Exit code 0 if everything is done (or submitted, with --no-wait), else 1; 3 if only tracking failed.

    Example: fvc retry outputs/sweeps/penalties --no-wait
    """
    from fvc_exp.config.validate import require_tracker
    from fvc_exp.sweeps.driver import drive_sweep
    from fvc_exp.tracking.import_runs import track_at_end

    folder = SweepFolder(sweep)
    plan = folder.read_plan()
    if not trust:
        folder.require_own(plan)
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

    folder = SweepFolder(sweep)
    if not trust:
        folder.require_own(folder.read_plan())
    members = driver.finish(folder)
    code = _exit_code({each.state.value for each in members})
    tracked = track_at_end(sweep, folder.read_plan().config)
    return Exit.UNFINISHED if code is Exit.OK and not tracked else code


@command
def leaderboard(sweep: SweepArgument, as_json: JsonOption = False) -> Exit:
    """Rank the finished runs by their mean AUC in cross-validation, beside what they had to beat. Writes nothing.

    Also of a folder of runs that Hydra's own sweeper made.

    Exit code 0, or 3 if there is nothing to rank.

    Example: fvc leaderboard outputs/sweeps/penalties --json
    """
    from fvc_exp.sweeps import results, show

    folder, plan, members = results.open_results(sweep)
    table = results.table_of(folder, members)
    ranked = results.rank(table)
    if as_json:
        print_json(show.leaderboard_json(plan, members, table))
    else:
        show.print_leaderboard(make_console(), plan, members, table)
        if len(ranked):
            print_text(make_console(), str(results.ties(folder, ranked)))
    return Exit.OK if len(ranked) else Exit.UNFINISHED


def _exit_code(states: set[str]) -> Exit:
    if states & {"failed", "lost"}:
        return Exit.FAILED
    return Exit.OK if states <= {"done"} else Exit.UNFINISHED


@command
def track(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUN|SWEEP...", parser=a_folder, help="folders of runs that have ended, or of sweeps"),
    ],
    uri: Annotated[
        str | None,
        typer.Option(
            help="sqlite:///PATH or http://HOST:PORT; default: $MLFLOW_TRACKING_URI, outputs/mlflow/mlflow.db"
        ),
    ] = None,
    experiment: Annotated[str, typer.Option(metavar="NAME", help="of MLflow; made if it is not there")] = EXPERIMENT,
    register: Annotated[
        str | None, typer.Option(metavar="NAME", help="make the best model of each a version of this registered model")
    ] = None,
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
