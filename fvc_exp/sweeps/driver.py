"""Run a sweep from its plan to its leaderboard, continuing where an earlier driver stopped."""

import shlex
from dataclasses import replace
from typing import Any

from rich.console import Console

from fvc_exp.config import schema
from fvc_exp.errors import ArtifactError, ConfigError, FvcError
from fvc_exp.evaluation.claims import Selection
from fvc_exp.io import files, run_folder, tables
from fvc_exp.io.console import make_console, print_text, progress_bar, short_path
from fvc_exp.runs.load import LoadedRun
from fvc_exp.sweeps import folder, launchers, results, schedulers, show
from fvc_exp.sweeps.plan import grown_plan
from fvc_exp.sweeps.states import AT_REST, TO_RUN, State, States, Watch, open_sweep, wait


def drive_sweep(sweep: folder.SweepFolder, plan: folder.Plan, *, leave: bool = False) -> bool:
    """Run what the plan still lacks, wait for all of it, and write the results; True if every member is done.

    Jobs of an earlier driver that are still queued or running are waited for, not submitted again. What earlier
    commands planned in this folder stays in it. With ``leave`` the function returns as soon as everything is submitted,
    and True then means only that.

    Raises:
        ConfigError: the launcher cannot do that.
        SchedulerError: the scheduler does not take the jobs.
        ArtifactError: the folder cannot be written, or was written by another version.
    """
    console = make_console(stderr=True)
    launcher = launchers.make_launcher(sweep, plan)
    if leave and not launcher.leaves:
        raise ConfigError(f"sweep.wait=false needs hydra/launcher=slurm: jobs of {plan.launcher} end with the driver")
    sweep.make()
    plan = replace(plan, members=[replace(each, code_hash=run_folder.code_hash()) for each in plan.members])
    with files.exclusive_lock(sweep.lock):  # the next driver sees what this one submitted
        schedulers.recover_job_ids(sweep)
        sweep.write_plan(whole := grown_plan(sweep, plan))
        before = Watch(sweep, plan).settle()
        missing = tell_work(console, plan, before)
        if others := len(whole.members) - len(plan.members):
            print_text(console, f"{short_path(sweep.path)} keeps {others} configurations of other commands")
        waiting = [each.member.run_id for each in before if each.state is State.pending]
        if kept := schedulers.kept_settings(sweep, waiting, plan.launcher_settings):
            text = f"jobs that wait keep {kept}; fvc cancel {short_path(sweep.path)}, then this command, replaces them"
            print_text(console, text)
        for each in launcher.start(launchers.batches(missing, plan.config.sweep.pack)):
            print_text(console, f"submitted as {each}")
    if leave:
        path = short_path(sweep.path)
        print_text(console, shlex.join(["fvc", "status", path]), label="now", wrap=False)
        print_text(console, shlex.join(["fvc", "collect", path]), label="later", wrap=False)
        return True
    launcher.prepare()
    states = _wait(sweep, plan, launcher, before)
    finish(sweep)
    return all(each.state is State.done for each in states)


def tell_work(console: Console, plan: folder.Plan, states: States) -> list[folder.Member]:
    """What is to run, after a line on all that was requested."""
    again = {each.member.run_id for each in states if each.runs_again(plan.config.sweep.rerun)}
    found = [each.member for each in states if each.state in TO_RUN or each.member.run_id in again]
    if plan.config.sweep.dry:
        show.print_plan(console, plan, found)
    print_text(console, show.counts_line(plan, states, len(again)))
    return [replace(member, again=member.run_id in again) for member in found]


def finish(sweep: folder.SweepFolder) -> States:
    """Write the tables, print the top of the leaderboard, and copy the best run, with its pictures, to ``best/``.

    All of it is about every configuration in the folder, whichever command planned it; returns their states.

    Raises:
        ArtifactError: this is no sweep folder, or it cannot be read or written.
    """
    from fvc_exp.runs.show import print_summary  # scikit-learn, which planning has no use for

    console, path = make_console(), short_path(sweep.path)
    sweep.read_plan()  # where there is none, no lock file is left
    with files.exclusive_lock(sweep.lock):
        _, plan, states = open_sweep(sweep.path)
        try:
            table = results.collect_results(sweep, states)
        except ArtifactError:  # such as a full disk: what was found is shown before the command fails
            table = results.table_of(states)
            show.print_leaderboard(console, plan, states, table, results.rank(table))
            raise
        ranked = results.rank(table)
        files.write_bytes(sweep.leaderboard, tables.without_formulas(ranked).write_csv().encode())
        show.print_leaderboard(console, plan, states, table, ranked, 0 if plan.config.verbose else show.TOP)
        if len(ranked):
            found = results.ties(states, ranked)
            print_text(console, str(found))
            choice = schema.Choice.best if isinstance(found, str) else plan.config.sweep.choice
            chosen = ranked["run_id"][0] if isinstance(found, str) else found.choose(choice).name
            selection = Selection(len(ranked), results.at_edge(ranked, chosen), choice)
            copy_best(sweep, chosen, selection, plots=plan.config.plots)
            overrides = next(member.overrides for member in plan.members if member.run_id == chosen)
            best = ("best", " ".join([chosen, *overrides]), "bold")
            console.print()
            print_summary(console, LoadedRun(sweep.best), [best], of=sweep.path)
    if not len(ranked):
        print_text(console, path, label="folder", wrap=False)
    if len(ranked) > show.TOP:
        print_text(console, shlex.join(["fvc", "leaderboard", path]), label="all rows", wrap=False)
    return states


def copy_best(sweep: folder.SweepFolder, run_id: str, selection: Selection, *, plots: bool) -> None:
    """Make ``best/`` a copy of this finished run, unless it is that already. The caller holds the lock.

    Beside the run's files it holds the pictures, how the run was chosen, and the price of a leak.

    Raises:
        ArtifactError: a file of the run is missing or broken, or the folder cannot be written.
    """
    run, best = LoadedRun(sweep.member(run_id).path), LoadedRun(sweep.best)
    found = selection.applied(run.results, run.predictions)
    if _is_copy(best, run, found) and (best.has("plot") or not plots):
        return
    with files.atomic_folder(best.path) as path:
        if plots:
            from fvc_exp.runs.curves import write_curves  # matplotlib

            write_curves(run_folder.RunFolder(path), run.predictions, run.results, run.data_name)
        there = [file for file in run.folder.files() if file != run.folder.status and file.exists()]
        contents = {path / file.name: files.read_bytes(file) for file in there}
        contents[path / run.folder.results.name] = files.json_bytes({**found, "price": _price(run)})
        files.write_together(contents)
        run_folder.seal(run_folder.RunFolder(path), run.status)


def _price(run: LoadedRun) -> dict[str, Any] | None:
    """The price of a leak, which members are made without; None where the data cannot be used any more."""
    from fvc_exp.runs import execute

    try:
        return execute.price_of_run(run)
    except FvcError as error:
        print_text(make_console(stderr=True), f"best/ has no price of a leak: {error}")
        return None


def _is_copy(best: LoadedRun, run: LoadedRun, results: dict[str, Any]) -> bool:
    """Whether both are the same attempt at the same configuration, and ``best`` holds these results."""
    try:
        best.require_files()
        if {**best.status, "files": None} != {**run.status, "files": None}:
            return False
        return best.results == {**results, "price": best.results["price"]}
    except ArtifactError:  # none, or a broken one
        return False


def _wait(sweep: folder.SweepFolder, plan: folder.Plan, launcher: launchers.Launcher, before: States) -> States:
    """Wait until every member is at rest, telling of each failure when it happens."""
    console, known = make_console(stderr=True), {each.key for each in show.failures(before)}
    held = set[tuple[str, int, str | None]]()

    try:
        with progress_bar("configurations") as on_progress:

            def on_look(states: States) -> None:
                at_rest = sum(each.state in AT_REST and each.state is not State.waiting for each in states)
                on_progress(at_rest, len(plan.members), show.summary(states))
                for each in states:
                    # By an administrator, or by SLURM itself after a launch that failed.
                    if each.state is State.pending and "held" in each.reason.lower() and each.key not in held:
                        held.add(each.key)
                        print_text(console, f"{each.failure}; scontrol release {each.job} lets it run", "yellow")
                for each in show.failures(states):
                    if each.key not in known:
                        known.add(each.key)
                        show.print_failure(console, each)
                        if plan.config.sweep.fail_fast:
                            launcher.stop()
                            print_text(console, "sweep.fail_fast: all others are cancelled")
                            known.update(other.key for other in states)

            return wait(Watch(sweep, plan), launcher.step, on_look, launcher.look_seconds)
    except KeyboardInterrupt:
        if not launcher.leaves:
            launcher.stop()
        jobs = "its jobs go on" if launcher.leaves else "what is finished stays finished"
        print_text(console, f"{sweep.path}: {jobs}; give the same command again to go on")
        raise
