"""Run a sweep from its plan to its leaderboard, continuing where an earlier driver stopped."""

from fvc_exp.config import canonical, schema
from fvc_exp.errors import ConfigError
from fvc_exp.io import files, run_folder, tables
from fvc_exp.io.console import make_console
from fvc_exp.sweeps import folder, launchers, results, schedulers, show
from fvc_exp.sweeps.states import TO_RUN, MemberState, State, States, Watch, wait


def drive_sweep(sweep: folder.SweepFolder, plan: folder.Plan, *, leave: bool = False) -> bool:
    """Run what the plan still lacks, wait for all of it, and write the results; True if every member is done.

    Jobs of an earlier driver that are still queued or running are waited for, not submitted again. With ``leave``
    the function returns as soon as everything is submitted, and True then means only that.

    Raises:
        ConfigError: the launcher cannot do that.
        SchedulerError: the scheduler does not take the jobs.
        ArtifactError: the folder cannot be written.
    """
    console = make_console(stderr=True)
    launcher = launchers.make_launcher(sweep, plan)
    if leave and not launcher.leaves:
        raise ConfigError(f"sweep.wait=false needs hydra/launcher=slurm: jobs of {plan.launcher} end with the driver")
    sweep.make()
    with files.exclusive_lock(sweep.lock):  # the next driver sees what this one submitted
        schedulers.recover_job_ids(sweep)
        sweep.write_plan(plan)
        states = Watch(sweep, plan).settle()
        missing = [each.member for each in states if each.state in TO_RUN or _runs_again(each)]
        console.print(show.counts_line(plan, states), highlight=False)
        if launcher.leaves and (hint := show.size_hint(plan, len(missing))):
            console.print(hint, soft_wrap=True)
        launcher.start(launchers.batches(missing, plan.pack))
    if leave:
        console.print(f"submitted; see fvc status {sweep.path}, later fvc collect {sweep.path}", soft_wrap=True)
        return True
    launcher.prepare()
    states = _wait(sweep, plan, launcher)
    finish(sweep, plan, states)
    return all(each.state is State.done for each in states)


def finish(sweep: folder.SweepFolder, plan: folder.Plan, states: States) -> None:
    """Write the tables, print the leaderboard, and copy the best run, with its pictures, to ``best/``."""
    console = make_console()
    table = results.collect_results(sweep, states)
    ranked = results.rank(table)
    results.write_csv(sweep, ranked)
    show.print_leaderboard(console, plan, states, table)
    if len(ranked):
        found = results.ties(sweep, ranked)
        show.print_ties(console, found)
        chosen = ranked["run_id"][0]
        if plan.choice != schema.Choice.best.name and not isinstance(found, str):
            chosen = found.choose(schema.Choice[plan.choice]).name
        copy_best(sweep, chosen, plots=plan.plots)
        console.print(_best_line(sweep, plan), soft_wrap=True, markup=False)
    console.print(f"results in {sweep.path}", soft_wrap=True, markup=False)


def copy_best(sweep: folder.SweepFolder, run_id: str, *, plots: bool) -> None:
    """Make ``best/`` a copy of this finished run, with the pictures drawn from its files; unless it is that already.

    Raises:
        ArtifactError: a file of the run is missing or broken, or the folder cannot be written.
    """
    run, best = run_folder.RunFolder(sweep.member(run_id).path), run_folder.RunFolder(sweep.best)
    with files.exclusive_lock(sweep.lock):
        if _is_copy(best, run) and (best.plot.exists() or not plots):
            return
        with files.atomic_folder(best.path) as path:
            if plots:
                _write_pictures(run, run_folder.RunFolder(path))
            for file in reversed(run.files()):  # the status last: what a killed process leaves counts as no run
                if file.exists():
                    files.write_bytes(path / file.name, file.read_bytes())


def _write_pictures(run: run_folder.RunFolder, target: run_folder.RunFolder) -> None:
    from fvc_exp.runs.curves import write_curves

    data_name = canonical.read_config(run.config).data.name
    write_curves(target, tables.read_own(run.predictions), files.read_json(run.results), data_name)


def _is_copy(best: run_folder.RunFolder, run: run_folder.RunFolder) -> bool:
    """Whether both are the same attempt at the same configuration, by their times and ids."""
    pairs = ((best.status, run.status), (best.results, run.results))
    return all(copy.exists() and copy.read_bytes() == original.read_bytes() for copy, original in pairs)


def _best_line(sweep: folder.SweepFolder, plan: folder.Plan) -> str:
    found = files.read_json(run_folder.RunFolder(sweep.best).results)
    overrides = next(member.overrides for member in plan.members if member.run_id == found["run_id"])
    test = f"; held-out test AUC {found['test']['auc']:.3f}, F1 {found['test']['f1']:.3f}" if found["test"] else ""
    words = " ".join([found["run_id"], *overrides])
    return f"best: {words}{test}; audit {found['audit']['verdict']}; all of it in {sweep.best}"


def _runs_again(found: MemberState) -> bool:
    """Whether the member is of a stage that trains nothing: those look at their videos in every sweep."""
    return found.state is State.done and not found.member.trains


def _wait(sweep: folder.SweepFolder, plan: folder.Plan, launcher: launchers.Launcher) -> States:
    try:
        with show.follow(len(plan.members)) as on_look:
            return wait(Watch(sweep, plan), launcher.step, on_look)
    except KeyboardInterrupt:
        jobs = "its jobs go on" if launcher.leaves else "what is finished stays finished"
        text = f"{sweep.path}: {jobs}; give the same command again to go on"
        make_console(stderr=True).print(text, soft_wrap=True, markup=False)
        raise
