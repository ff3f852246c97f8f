"""A sweep as MLflow is to know it: one parent, and a child for each member that has ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import read_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.sweeps import claims
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.schedulers import read_submissions
from fvc_exp.sweeps.show import summary
from fvc_exp.sweeps.states import MemberState, State, member_states
from fvc_exp.tracking.run_record import (
    PREFIX,
    Ending,
    Record,
    Status,
    artifacts,
    ending_of,
    result_metrics,
    run_record,
    texts,
)

_ENDED = (State.done, State.failed, State.lost)


@dataclass(frozen=True)
class SweepRecord:
    """The parent, its children, and how many members are still on their way."""

    parent: Record
    children: Sequence[Record]
    unfinished: int


def read_sweep(path: Path) -> SweepRecord:
    """The records of a sweep as it stands now.

    Raises:
        ArtifactError: nothing of it has ended yet, or a file of a finished run is broken.
    """
    folder = SweepFolder(path)
    plan = folder.read_plan()
    states = member_states(folder, plan)
    children = [_child(folder, plan, each) for each in states if each.state in _ENDED]
    if not children:
        raise ArtifactError(f"{path}: none of its {len(states)} configurations has ended yet")
    return SweepRecord(_parent(folder, plan, states, children), children, len(states) - len(children))


def _child(folder: SweepFolder, plan: Plan, found: MemberState) -> Record:
    run = folder.member(found.member.run_id)
    return run_record(
        run,
        _ending(folder, found),
        " ".join(found.member.overrides) or found.member.run_id,
        parameters=found.member.parameters,
        tags={
            "sweep": folder.path.resolve().name,
            "host": found.host,
            "job": found.job,
            "common": " ".join(plan.common),
        },
        never=f"never/{found.job}",
    )


def _ending(folder: SweepFolder, found: MemberState) -> Ending:
    status = found.status or {}
    if found.state is not State.lost:
        known = ending_of(status)
        failed = known.status is Status.FINISHED and found.state is State.failed  # it said done, and left no metrics
        return replace(known, status=Status.FAILED if failed else known.status, reason=found.reason)
    started = _begun(folder, found)
    noticed = datetime.fromisoformat(status["noticed"]) if "noticed" in status else started or datetime.now(UTC)
    return Ending(Status.KILLED, started, noticed, found.attempt, found.reason, found.message)


def _begun(folder: SweepFolder, found: MemberState) -> datetime | None:
    """When a lost job began its work on the member, by the claim it left; None if it never did."""
    last = claims.latest_claim(folder.member(found.member.run_id))
    owner = last.owner if last else None
    if owner is None or found.job is None or owner.job != found.job.partition(".")[0]:
        return None
    return datetime.fromisoformat(owner.started)


def _parent(folder: SweepFolder, plan: Plan, states: Sequence[MemberState], children: Sequence[Record]) -> Record:
    best = RunFolder(folder.best)
    results = read_json(best.results) if best.status.exists() and best.results.exists() else None
    ending = _whole(children, complete=len(children) == len(states))
    return Record(
        key=f"sweep/{read_submissions(folder)[0].token}",  # of its first submission: a folder's name may change
        name=folder.path.resolve().name,
        ending=ending,
        measured=ending_of(read_json(best.status)).ended if results else ending.ended,
        parameters={},  # of a parent nothing is fixed: a named sweep grows
        metrics=result_metrics(results) if results else [],
        tags=texts(
            {
                PREFIX + "sweep": folder.path.resolve().name,
                PREFIX + "members": summary(states),
                PREFIX + "common": " ".join(plan.common),
                PREFIX + "best": results["run_id"] if results else None,
            }
        ),
        files=_files(folder, best),
    )


def _whole(children: Sequence[Record], *, complete: bool) -> Ending:
    """From the first start to the last end; running until every member has ended."""
    endings = [child.ending for child in children]
    found = {each.status for each in endings}
    worst = next(status for status in (Status.FAILED, Status.KILLED, Status.FINISHED) if status in found)
    started = min(each.started or each.ended for each in endings)
    return Ending(worst if complete else Status.RUNNING, started, max(each.ended for each in endings))


def _files(folder: SweepFolder, best: RunFolder) -> dict[str, Path]:
    own = (
        folder.plan,
        folder.results,
        folder.results_csv,
        folder.folds,
        folder.leaderboard,
        folder.path / best.report.name,
    )
    files = {path.name: path for path in own if path.is_file()}
    return files | {f"{best.path.name}/{name}": path for name, path in artifacts(best).items()}
