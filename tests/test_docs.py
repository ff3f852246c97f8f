"""What README.md and docs/ name is there."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_group

from fvc_exp.cli.app import app
from fvc_exp.evaluation.leakage.codes import CODES, GROUPS_UNKNOWN
from fvc_exp.runs.show import with_page
from fvc_exp.training.notes import FLAGS
from tests.conftest import ROOT, Compose

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGE = ROOT / "fvc_exp"
ROOMS = "|".join(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())
INDENTED = [
    pytest.param(page, line.strip(), id=f"{page.stem}: {line.strip()}")
    for page in PAGES
    for line in page.read_text().replace("\\\n", " ").splitlines()
    if line.startswith("    ")
]
RUNS = [case for case in INDENTED if re.match(r"(\w+=\S+ )?python run\.py(?! (-m|--))", str(case.values[1]))]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_named_files_exist(page: Path) -> None:
    named = re.findall(r"\b((?:fvc_exp|tests|ops|docs)/[\w./-]+)", page.read_text())
    assert not [each for each in named if not (ROOT / each.rstrip(".")).exists()]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_named_modules_and_functions_exist(page: Path) -> None:
    """Such as ``runs/execute`` and ``config/validate.to_typed``, and the folders between."""
    for module, function in re.findall(rf"`((?:{ROOMS})/[\w/]+)(?:\.(\w+))?`", page.read_text()):
        file = PACKAGE / f"{module}.py"
        assert file.is_file() or (PACKAGE / module).is_dir(), module
        assert function in ("", "py") or f"def {function}(" in file.read_text(), f"{module}.{function}"


@pytest.mark.parametrize(("page", "line"), RUNS)
def test_overrides_are_taken(page: Path, line: str, compose_config: Compose) -> None:
    words = shlex.split(line, comments=True)
    overrides = words[words.index("run.py") + 1 :]
    compose_config(*(word for word in overrides if "=" in word))


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_commands_exist(page: Path) -> None:
    code = re.findall(r"(?:^    |`)fvc ([a-z]+)", page.read_text(), re.MULTILINE)
    assert set(code) <= set(get_group(app).commands)


def test_every_code_of_a_check_or_flag_has_its_section() -> None:
    sections = re.findall(r"^## (\w+)$", (ROOT / "docs" / "checks.md").read_text(), re.MULTILINE)
    assert len(sections) == len(set(sections))
    assert set(sections) == {*CODES, *FLAGS, GROUPS_UNKNOWN.partition(":")[0]}
    for code in (*CODES, *FLAGS):
        assert with_page(f"  {code}: found") == f"  {code}: found (docs/checks.md#{code})"
    assert with_page("audit: FAIL") == "audit: FAIL"


def test_there_is_something_to_test() -> None:
    assert len(RUNS) >= 5
