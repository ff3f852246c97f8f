"""``fvc``: read what runs and sweeps left, and act on it. Each command names a folder and gives a useful exit code."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from enum import IntEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from fvc_exp.config import EXPERIMENT
from fvc_exp.console import frame_table, make_console
from fvc_exp.errors import ConfigError, FvcError
from fvc_exp.runfolder import plain, write_atomic

if TYPE_CHECKING:
    from fvc_exp.sweep.folder import Plan

P = ParamSpec("P")
SweepArgument = Annotated[Path, typer.Argument(metavar="SWEEP", help="folder of a sweep, below outputs/sweeps")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
_WATCH_SECONDS = 2.0

app = typer.Typer(
    name="fvc",
    help="Read and act on what runs left. Runs are made by run.py.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Exit(IntEnum):
    """What a script learns from an exit code."""

    OK = 0
    FAILED = 1  # something failed or was lost
    MISTAKE = 2  # the command cannot be carried out
    UNFINISHED = 3  # nothing failed so far, but not all is done


@app.callback()
def _main() -> None:
    """Keep ``fvc`` a group of commands."""


def command(function: Callable[P, Exit]) -> Callable[P, None]:
    """Make a command of a function: its result is the exit code, and a mistake of the user is one line."""

    @app.command()
    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs)
        except FvcError as error:
            typer.echo(f"error: {error}", err=True)
            code = Exit.MISTAKE
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            code = Exit.FAILED
        raise typer.Exit(code)

    return run


@command
def status(
    sweep: SweepArgument,
    watch: Annotated[bool, typer.Option("--watch", help="until everything is at rest")] = False,
    as_json: JsonOption = False,
) -> Exit:
    """Show what became of each configuration: done, running, pending, failed or lost, and why.

    Exit code 0 if all are done, 1 if any failed or was lost, 3 if some are still on their way.
    """
    from fvc_exp.sweep.folder import SweepFolder
    from fvc_exp.sweep.show import state_table, states_json
    from fvc_exp.sweep.states import AT_REST, inspect

    folder = SweepFolder(sweep)
    plan = folder.read_plan()
    states = inspect(folder, plan)
    if watch:
        from rich.live import Live

        with Live(state_table(states), console=make_console(stderr=as_json), refresh_per_second=1) as live:
            while not all(each.state in AT_REST for each in states):
                time.sleep(_WATCH_SECONDS)
                states = inspect(folder, plan)
                live.update(state_table(states))
    elif not as_json:
        make_console().print(state_table(states))
    if as_json:
        _print_json({"sweep": str(sweep), "members": states_json(states)})
    return _exit_code([each.state.value for each in states])


@command
def retry(
    sweep: SweepArgument,
    wait: Annotated[bool, typer.Option(help="wait for the jobs and write the results")] = True,
) -> Exit:
    """Run the failed and lost configurations again, with the launcher that the sweep was started with.

    Exit code 0 if everything is done (or submitted, with --no-wait), else 1; 3 if only tracking failed.
    """
    from fvc_exp.sweep.drive import drive
    from fvc_exp.sweep.folder import SweepFolder

    folder = SweepFolder(sweep)
    plan = folder.read_plan()
    complete = drive(folder, plan, leave=not wait)
    tracked = not wait or _track_at_end(sweep, plan)
    return Exit.FAILED if not complete else Exit.OK if tracked else Exit.UNFINISHED


@command
def collect(sweep: SweepArgument) -> Exit:
    """Write the results of all runs so far, refit the best one and show the leaderboard. Any number of times.

    Exit codes as those of status; 3 also if only tracking failed.
    """
    from fvc_exp.sweep.drive import finish
    from fvc_exp.sweep.folder import SweepFolder
    from fvc_exp.sweep.states import inspect

    folder = SweepFolder(sweep)
    plan = folder.read_plan()
    states = inspect(folder, plan)
    finish(folder, plan, states)
    code = _exit_code([each.state.value for each in states])
    tracked = _track_at_end(sweep, plan)
    return Exit.UNFINISHED if code is Exit.OK and not tracked else code


@command
def leaderboard(sweep: SweepArgument, as_json: JsonOption = False) -> Exit:
    """Rank the finished runs by their mean AUC in cross-validation, beside what they had to beat. Writes nothing.

    Exit code 0, or 3 if there is nothing to rank.
    """
    from fvc_exp.sweep import leaderboard as board
    from fvc_exp.sweep.folder import SweepFolder
    from fvc_exp.sweep.results import table_of
    from fvc_exp.sweep.states import inspect

    folder = SweepFolder(sweep)
    plan = folder.read_plan()
    states = inspect(folder, plan)
    results = table_of(folder, states)
    if as_json:
        _print_json(board.as_json(plan, states, results))
    else:
        board.show(make_console(), plan, states, results)
        if len(ranked := board.rank(results)):
            board.show_ties(make_console(), board.ties(folder, ranked))
    return Exit.OK if len(board.rank(results)) else Exit.UNFINISHED


def _track_at_end(sweep: Path, plan: Plan) -> bool:
    from fvc_exp.tracking.track import track_at_end

    return track_at_end(sweep, plan.members[0].typed())


def _exit_code(states: list[str]) -> Exit:
    if any(state in ("failed", "lost") for state in states):
        return Exit.FAILED
    return Exit.OK if all(state == "done" for state in states) else Exit.UNFINISHED


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, indent=2)
    print()


@command
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a run, below outputs/runs")],
    videos: Annotated[list[str], typer.Argument(metavar="VIDEO...", help="files, folders or patterns")],
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV")] = False,
) -> Exit:
    """Give each video its probability of being fake, by the model of a run.

    Exit code 0 if all videos could be measured, else 1.
    """
    from fvc_exp.console import progress_bar
    from fvc_exp.predict import as_csv as to_csv
    from fvc_exp.predict import predict as predict_videos

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other: choose one")
    with progress_bar("videos") as on_progress:
        found = predict_videos(run, videos, on_progress)
    if as_json:
        _print_json([asdict(each) for each in found])
    elif as_csv:
        typer.echo(to_csv(found), nl=False)
    else:
        for each in found:
            typer.echo(str(each))
    return Exit.FAILED if any(each.error for each in found) else Exit.OK


@command
def audit(
    ids: Annotated[Path, typer.Option(help="table: video_path[, label, group, content_sha256]")],
    folds: Annotated[Path, typer.Option(help="table: video_path, fold[, repeat, split]")],
    as_json: JsonOption = False,
) -> Exit:
    """Judge a split that anybody made: does anything link its training and test videos?

    Exit code 0 if it passes, else 1.
    """
    from fvc_exp.console import print_certificate
    from fvc_exp.foreign import audit_files

    found, notes = audit_files(ids, folds)
    if as_json:
        _print_json({**found.to_json(), "notes": notes})
    else:
        for note in notes:
            typer.echo(f"note: {note}")
        print_certificate(make_console(), found)
    return Exit.OK if found.verdict == "PASS" else Exit.FAILED


@command
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="one SELECT over runs, folds, predictions, coefficients")],
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="where runs lie, at any depth")] = Path("outputs"),
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV")] = False,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="write parquet instead of printing")] = None,
) -> Exit:
    """Query all runs of a folder with SQL. Needs the extra analytics.

    Example: fvc query "SELECT run, C, cv_auc_mean FROM runs ORDER BY cv_auc_mean DESC LIMIT 5"
    """
    from fvc_exp.views import query_runs

    if sum((as_json, as_csv, parquet is not None)) > 1:
        raise ConfigError("--json, --csv and --parquet exclude each other: choose one")
    found = query_runs(sql, folder)
    if parquet is not None:
        write_atomic(parquet, found.write_parquet)
    elif as_json:
        typer.echo(found.write_json())
    elif as_csv:
        typer.echo(found.write_csv(), nl=False)
    else:
        make_console().print(frame_table(found))
    return Exit.OK


@command
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a finished run")], as_json: JsonOption = False
) -> Exit:
    """Run again from the stored configuration and compare data, folds, coefficients and metrics bit by bit.

    Exit code 0 if nothing differs, else 1; the first differences and the packages that changed are named.
    """
    from fvc_exp.verify import verify as verify_run

    found = verify_run(run)
    if as_json:
        _print_json(asdict(found))
    else:
        typer.echo(str(found))
    return Exit.OK if found.identical else Exit.FAILED


@command
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN|SWEEP...", help="folders of finished runs or sweeps")],
    metric: Annotated[str, typer.Option(help="which metric of the folds to compare")] = "auc",
    as_json: JsonOption = False,
) -> Exit:
    """Say which configurations tie with the best, which tied one is the simplest, and which beat the floor.

    Only runs with equal data, cv and seed can be compared.
    """
    from fvc_exp.compare import comparison
    from fvc_exp.compare.runs import find_runs

    found = comparison.compare(find_runs(folders), metric)
    if as_json:
        _print_json(plain(found.to_json()))
    else:
        comparison.show(make_console(), found)
    return Exit.OK


@command
def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a finished run")],
    replicates: Annotated[int, typer.Option(min=20, help="fits to resampled groups")] = 200,
    as_json: JsonOption = False,
) -> Exit:
    """Find out what a run has learned: intervals, stable coefficients, importance, slices and the path over C.

    Trains it again from its stored configuration, and writes tables and a plot into RUN/insight.
    """
    from fvc_exp.console import progress_bar
    from fvc_exp.insight import folder, show

    with progress_bar("explain") as on_progress:
        found = folder.explain(run, replicates=replicates, on_progress=on_progress)
    if as_json:
        _print_json(plain(show.as_json(found)))
    else:
        show.show(make_console(), found)
    return Exit.OK


@command
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN|SWEEP", help="folder of a finished run, or of a sweep")],
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="where to; default: report.html there")] = None,
) -> Exit:
    """Write one HTML file that says all about a run or sweep, and MODEL_CARD.md beside the model.

    Exit code 0. The page needs no network and no other file; a sweep's card is that of its best/.
    """
    from fvc_exp.report.render import write_report

    for path in write_report(folder, output):
        typer.echo(path)
    return Exit.OK


@command
def track(
    folder: Annotated[Path, typer.Argument(metavar="RUN|SWEEP", help="folder of a run that has ended, or of a sweep")],
    uri: Annotated[
        str | None,
        typer.Option(
            help="sqlite:///PATH or http://HOST:PORT; default: $MLFLOW_TRACKING_URI, outputs/mlflow/mlflow.db"
        ),
    ] = None,
    experiment: Annotated[str, typer.Option(metavar="NAME", help="of MLflow; made if it is not there")] = EXPERIMENT,
    as_json: JsonOption = False,
) -> Exit:
    """Import a run, or all runs of a sweep that have ended, into MLflow. Needs the extra tracking.

    Any number of times: each attempt stands there once. Exit code 0, or 3 if some of a sweep have not ended yet.
    """
    from fvc_exp.tracking.track import track as track_folder

    found = track_folder(folder, uri, experiment)
    if as_json:
        _print_json(asdict(found))
    else:
        typer.echo(found)
    return Exit.UNFINISHED if found.unfinished else Exit.OK


if __name__ == "__main__":
    app()
