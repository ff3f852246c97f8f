"""A sweep from its plan to its leaderboard, and taking it up again wherever it was left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from fvc_exp.config.schema import Choice
from fvc_exp.errors import ArtifactError, ConfigError
from fvc_exp.io.console import make_console
from fvc_exp.io.files import alone, read_json
from fvc_exp.sweeps import leaderboard
from fvc_exp.sweeps.advice import advice, seconds_each
from fvc_exp.sweeps.cache import SweepCache
from fvc_exp.sweeps.folder import Member, MemberFolder, Plan, SweepFolder, read_status
from fvc_exp.sweeps.launchers import Launcher, make_launcher, packs_of
from fvc_exp.sweeps.results import collect
from fvc_exp.sweeps.show import counts_line, follow
from fvc_exp.sweeps.states import TO_RUN, MemberState, State, Watch, wait
from fvc_exp.sweeps.submissions import adopt

States = Sequence[MemberState]


def drive(sweep: SweepFolder, plan: Plan, *, leave: bool = False) -> bool:
    """Run what the plan still lacks, wait for all of it, and write the results; True if every member is done.

    Jobs of an earlier driver that are still queued or running are waited for, not submitted again. With ``leave``
    the function returns as soon as everything is submitted, and True says no more than that.

    Raises:
        ConfigError: the launcher cannot do that.
        SchedulerError: the scheduler does not take the jobs.
        ArtifactError: the folder cannot be written.
    """
    console = make_console(stderr=True)
    cache = SweepCache()
    launcher = make_launcher(sweep, plan, cache)
    if leave and not launcher.leaves:
        raise ConfigError(f"sweep.wait=false needs hydra/launcher=slurm: jobs of {plan.launcher} end with the driver")
    sweep.make()
    with alone(sweep.lock):  # the next driver sees what this one submitted
        adopt(sweep)
        sweep.write_plan(plan)
        states = Watch(sweep, plan).settle()
        missing = [each.member for each in states if each.state in TO_RUN or _runs_again(each)]
        console.print(counts_line(plan, states), highlight=False)
        launcher.start(packs_of(missing, plan.pack))
    if launcher.leaves and missing:
        print_advice(console, missing, plan.pack)
    if leave:
        console.print(f"submitted; see fvc status {sweep.path}, later fvc collect {sweep.path}", soft_wrap=True)
        return True
    launcher.prepare()
    states = _wait(console, sweep, Watch(sweep, plan), launcher)
    finish(sweep, plan, states, cache)
    return all(each.state is State.done for each in states)


def finish(sweep: SweepFolder, plan: Plan, states: States, cache: SweepCache | None = None) -> None:
    """Write the tables, print the leaderboard, and refit the best configuration with all artifacts."""
    console = make_console()
    results = collect(sweep, states)
    ranked = leaderboard.rank(results)
    leaderboard.write_csv(sweep, ranked)
    leaderboard.show(console, plan, states, results)
    if len(ranked):
        found = leaderboard.ties(sweep, ranked)
        leaderboard.show_ties(console, found)
        chosen = ranked["run_id"][0]
        if plan.choice != Choice.best.name and not isinstance(found, str):
            chosen = found.choose(Choice[plan.choice]).name
        _refit_best(sweep, plan, chosen, cache or SweepCache())
    console.print(f"results in {sweep.path}", soft_wrap=True, markup=False)


def _runs_again(found: MemberState) -> bool:
    """The stages that train nothing look at their videos whenever they are asked to."""
    return found.state is State.done and not found.member.trains


def print_advice(console: Console, members: Sequence[Member], pack: int) -> None:
    """Say so if these jobs are too small for a cluster."""
    members = [member for member in members if member.trains]
    seconds = seconds_each(members) if members else None
    if seconds is not None and (text := advice(seconds, members, pack)):
        console.print(text, soft_wrap=True)


def _wait(console: Console, sweep: SweepFolder, watch: Watch, launcher: Launcher) -> States:
    try:
        with follow(console, watch.total) as on_look:
            return wait(watch, launcher, on_look)
    except KeyboardInterrupt:
        jobs = "its jobs go on" if launcher.leaves else "what is finished stays finished"
        console.print(f"{sweep.path}: {jobs}; give the same command again to go on", soft_wrap=True, markup=False)
        raise


def _refit_best(sweep: SweepFolder, plan: Plan, run_id: str, cache: SweepCache) -> None:
    """Run the best configuration again, this time with pictures, unless it stands there already."""
    best = MemberFolder(sweep.best)
    status = read_status(best.status)
    if status and status["state"] == "done" and read_json(best.results)["run_id"] == run_id:
        return
    from fvc_exp.runs import execute
    from fvc_exp.training.shared_fits import read_points

    try:
        best.path.mkdir(exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{best.path}: cannot be made: {error.strerror}") from error
    for path in best.files():
        path.unlink(missing_ok=True)
    member = _member(plan, run_id)
    points = read_points(read_json(sweep.member(run_id).provenance).get("fitted_with", ()))
    execute.execute(
        replace(member.typed(), plots=plan.plots),
        best.path,
        load=lambda config: cache.split_dataset(config, member.data_sha256).refitted(config, points),
    )


def _member(plan: Plan, run_id: str) -> Member:
    return next(member for member in plan.members if member.run_id == run_id)
