import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from fvc_exp.cli import doctor
from fvc_exp.cli.doctor import Severity
from fvc_exp.sweeps import queues
from tests.shell import fvc


def test_this_machine_can_run(tmp_path: Path) -> None:
    done = fvc("doctor", "--json", "--outputs", tmp_path / "not" / "yet")
    found = {each["subject"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert found["scikit-learn"]["found"] == version("scikit-learn")
    assert {"python", "codecs", "slurm", "outputs", "temporary files", "extra analytics"} <= set(found)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("needed", "found"), [("numpy<1", "tested: <1"), ("no-such-package>=1", "not installed")])
def test_a_wrong_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, needed: str, found: str) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _name: [needed])
    done = fvc("doctor")
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if line.startswith("problem"))
    assert found in line
    assert line.endswith(f"-> pip install '{Requirement(needed).name}{Requirement(needed).specifier}'")


def test_a_missing_extra_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _name: ["no-such-package>=1; extra == 'analytics'"])
    finding = next(each for each in doctor.extra_findings() if each.subject == "extra analytics")
    assert finding.verdict is Severity.note
    assert "pip install 'fvc-exp[analytics]'" in finding.advice


def test_an_output_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = doctor.folder_finding("outputs", tmp_path / "file" / "outputs")
    assert finding.verdict is Severity.problem
    assert "outputs=/elsewhere" in finding.advice


ANSWERS = {
    "answers": ("echo 'main*'; echo short", Severity.ok, "partitions main*, short"),
    "refuses": ("echo 'slurm_load: no controller' >&2; exit 1", Severity.note, "no controller"),
    "hangs": ("exec sleep 60", Severity.note, "did not answer within"),
    "absent": (None, Severity.note, "no sbatch, squeue, sinfo"),
}


@pytest.mark.parametrize(("script", "verdict", "found"), ANSWERS.values(), ids=ANSWERS)
def test_slurm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, verdict: Severity, found: str
) -> None:
    for name in ("sbatch", "squeue", "sinfo") if script else ():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if script else str(tmp_path))
    monkeypatch.setattr(queues, "_SECONDS", 0.5)
    finding = doctor.slurm_finding()
    assert (finding.verdict, found in finding.found) == (verdict, True), finding


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    return tmp_path


@pytest.mark.slow
def test_everything_works_once(temporary: Path) -> None:
    done = fvc("doctor", "--run", cwd=temporary)
    assert done.returncode == 0, done.stdout
    *_, fifth, last = done.stdout.splitlines()
    assert (fifth[:18], last) == ("ok      two jobs: ", "OK")
    assert [path.name for path in temporary.rglob("*")] == ["t"]


def test_a_failed_step_is_shown(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "STEPS", {"training": "run C=-1", "report": "report run"})
    done = fvc("doctor", "--run", cwd=temporary)
    assert done.returncode == 1
    assert "problem training: exit code 1 of fvc run C=-1\nerror: C=-1.0 is not allowed" in done.stdout
    assert "report:" not in done.stdout
    assert [path.name for path in temporary.rglob("*")] == ["t"]
