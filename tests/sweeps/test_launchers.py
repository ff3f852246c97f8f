import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from submitit.core.utils import JobPaths

from fvc_exp.errors import ConfigError
from fvc_exp.sweeps.folder import SweepFolder
from fvc_exp.sweeps.launchers import JOB_PYTHON, batches, make_executor, make_launcher
from fvc_exp.sweeps.queues import SchedulerError
from fvc_exp.sweeps.schedulers import read_submissions
from fvc_exp.sweeps.states import State, Watch, member_states, wait
from tests.sweeps.conftest import MakePlan


def settings(loader: ConfigLoader, *overrides: str) -> dict[str, Any]:
    config = loader.load_configuration("config", [*overrides, "hydra.sweep.dir=/tmp/x"], RunMode.RUN)
    content = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def test_another_launcher_is_refused(make: MakePlan, sweep: SweepFolder) -> None:
    plan = replace(make("C=1"), launcher="ray", launcher_settings={"_target_": "hydra_plugins.ray.RayLauncher"})
    with pytest.raises(ConfigError, match="hydra/launcher=ray is not supported: choose slurm, submitit_slurm"):
        make_launcher(sweep, plan)


@pytest.mark.parametrize("option", ["slurm", "submitit_slurm"])
def test_jobs_get_the_parameters_of_hydras_own_launcher(
    loader: ConfigLoader, master: DictConfig, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same node through Hydra's launcher class and through ours: equal batch scripts."""
    import submitit
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

    monkeypatch.setattr("submitit.slurm.slurm.SlurmExecutor.affinity", lambda _: 1)
    more = ["partition=short", "timeout_min=7", "mem_gb=3", "setup=[module load x]", "max_num_timeout=2", "name=abc"]
    node = settings(loader, f"hydra/launcher={option}", *(f"hydra.launcher.{each}" for each in more))
    seen: list[Any] = []
    monkeypatch.setattr(submitit.AutoExecutor, "map_array", lambda executor, *_: seen.append(executor) or [])
    theirs = SlurmLauncher(**{key: value for key, value in node.items() if key != "_target_"})
    theirs.config = master
    monkeypatch.chdir(tmp_path)
    theirs.launch([["C=1"]], 0)
    ours = make_executor(node, node["submitit_folder"])
    inner, expected = ours._executor, seen[0]._executor
    assert inner.parameters == expected.parameters
    assert inner.max_num_timeout == expected.max_num_timeout == 2
    assert inner._make_submission_file_text("run", "1") == expected._make_submission_file_text("run", "1")


def test_memory_per_core_takes_the_place_of_the_default(loader: ConfigLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submitit.slurm.slurm.SlurmExecutor.affinity", lambda _: 1)
    more = ["hydra.launcher.mem_per_cpu=500M", "hydra.launcher.additional_parameters={nice: 100, mail-type: FAIL}"]
    executor = make_executor(settings(loader, "hydra/launcher=slurm", *more), "/tmp/x/%j")
    script = executor._executor._make_submission_file_text("run", "1")
    assert {"#SBATCH --mem-per-cpu=500M", "#SBATCH --nice=100", "#SBATCH --mail-type=FAIL"} <= set(script.splitlines())
    assert "--mem=" not in script


def test_a_wrong_parameter_is_one_line(loader: ConfigLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submitit.slurm.slurm.SlurmExecutor.affinity", lambda _: 1)
    node = settings(loader, "hydra/launcher=slurm") | {"typo": 1}
    with pytest.raises(ConfigError, match=r"^hydra\.launcher: .*typo") as caught:
        make_executor(node, "/tmp/x/%j")
    assert "\n" not in str(caught.value)


def test_a_job_survives_a_warning_that_comes_before_it_can_handle_it() -> None:
    code = "import os, signal, sys; os.kill(os.getpid(), signal.SIGUSR2); print(sys.executable, sys.argv[1])"
    done = subprocess.run([*JOB_PYTHON, "-c", code, "a b"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{sys.executable} a b"


@pytest.mark.usefixtures("_refusing_slurm")
def test_a_refused_submission_says_what_is_queued(
    loader: ConfigLoader, make: MakePlan, sweep: SweepFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    node = settings(loader, "hydra/launcher=slurm", f"hydra.launcher.submitit_folder={sweep.path}/.submitit/%j")
    plan = replace(make("C=0.1,1,10"), launcher="slurm", launcher_settings=node)
    told = "sbatch failed: QOSLimit; 2 configurations are queued, and the same command goes on later"
    with pytest.raises(SchedulerError, match=f"^{told}$"):
        list(make_launcher(sweep, plan).start(batches(plan.members, 1)))
    assert "QOS" not in "".join(capsys.readouterr())
    first, second = read_submissions(sweep)
    assert (first.number, first.jobs, second.number, second.jobs) == (1, ["5_0", "5_1"], 2, None)


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # watched by its id instead
def test_a_job_that_begins_before_its_driver_goes_on(
    loader: ConfigLoader, make: MakePlan, sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine may stop the driver for seconds between the start of a process and its next line."""
    hand_over = JobPaths.move_temporary_file

    def late(*arguments: Any) -> None:
        time.sleep(2)
        hand_over(*arguments)

    monkeypatch.setattr(JobPaths, "move_temporary_file", late)
    node = settings(loader, "hydra/launcher=local", f"hydra.launcher.submitit_folder={sweep.path}/.submitit/%j")
    plan = replace(make("C=1"), launcher="local", launcher_settings=node)
    launcher = make_launcher(sweep, plan)
    launcher.start(batches(plan.members, 1))
    (found,) = member_states(sweep, plan)
    assert (found.state, found.reason) == (State.pending, f"waits in process {os.getpid()}")
    (found,) = wait(Watch(sweep, plan), launcher.step, lambda _: None)
    assert found.state is State.done, found
