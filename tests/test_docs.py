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
from tests.conftest import Compose
from tests.renew_docs import CONSOLE, PAGES, ROOT, renewed, write_mine

PACKAGE = ROOT / "fvc_exp"
ROOMS = "|".join(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())
INDENTED = [
    pytest.param(page, line.strip(), id=f"{page.stem}: {line.strip()}")
    for page in PAGES
    for line in page.read_text().replace("\\\n", " ").splitlines()
    if line.startswith("    ")
]
RUNS = [case for case in INDENTED if re.match(r"(\w+=\S+ )?python run\.py(?! (-m|--))", str(case.values[1]))]


each_page = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])


def needs_the_demo(page: Path) -> bool:
    """Whether a command that the page shows with its output takes the demo corpus, which takes half a minute to make."""
    return any("data=table" not in command for command in re.findall(r"^\$ .+", page.read_text(), re.MULTILINE))


SHOWING = [
    pytest.param(page, id=page.name, marks=[pytest.mark.slow] if needs_the_demo(page) else [])
    for page in PAGES
    if CONSOLE.search(page.read_text()) or page.stem == "configuration"
]


@pytest.mark.parametrize("page", SHOWING)
def test_what_is_shown_is_what_is_printed(page: Path, tmp_path: Path) -> None:
    """If this fails: ``python -m tests.renew_docs``, and read what changed. Numbers may differ between machines."""
    write_mine(tmp_path)
    shown, printed = page.read_text(), renewed(page.read_text(), tmp_path)
    assert words_of(shown) == words_of(printed)
    assert numbers_of(shown) == pytest.approx(numbers_of(printed), abs=0.02)


NUMBER = re.compile(r"-?\d+\.\d+(?:e-\d+)?")


def words_of(text: str) -> list[str]:
    return NUMBER.sub("#", text).split()


def numbers_of(text: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(text)]


def test_the_readme_is_short_and_no_line_stands_twice() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 170
    lines = [line for page in PAGES for line in CONSOLE.sub("", page.read_text()).splitlines() if len(line) > 100]
    assert not {line for line in lines if lines.count(line) > 1}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for name, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        target = page.parent / name if name else page
        assert target.exists(), name
        titles = re.findall(r"^#+ (.+)", target.read_text(), re.MULTILINE) if heading else []
        assert not heading or heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


@each_page
def test_named_files_exist(page: Path) -> None:
    named = re.findall(r"\b((?:fvc_exp|tests|ops|docs)/[\w./-]+)", page.read_text())
    assert not [each for each in named if not (ROOT / each.rstrip(".")).exists()]


@each_page
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


@each_page
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
