"""What README.md and docs/ name is there, and what they show is printed."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_group

import fvc_exp
from docs.reference import reference
from docs.renew import PAGES, ROOT, renewed
from fvc_exp.__main__ import app
from fvc_exp.evaluation.leakage.codes import CODES, GROUPS_UNKNOWN
from fvc_exp.runs.show import with_page
from fvc_exp.training.notes import FLAGS
from tests.conftest import Compose, write_tables

PACKAGE = ROOT / "fvc_exp"
ROOMS = "|".join(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())
QUICK = ("data.md", "configuration.md")  # others show runs on the demo corpus, which takes half a minute to make
SHOWING = [
    pytest.param(page, id=page.name, marks=[pytest.mark.slow] * (page.name not in QUICK))
    for page in PAGES
    if "\n$ " in page.read_text() or page.name in QUICK
]
NUMBER = re.compile(r"-?\d+\.\d+(?:e-\d+)?")
RUN = re.compile(r"^    (?:\w+=\S+ )?python run\.py (?!-m|--)(.+)", re.MULTILINE)
each_page = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])


@pytest.mark.parametrize("page", SHOWING)
def test_what_is_shown_is_what_is_printed(page: Path, tmp_path: Path) -> None:
    """If this fails: ``python -m docs.renew``, and read what changed. Other machines may round differently."""
    write_tables(tmp_path)
    shown = page.read_text()
    printed = renewed(shown, tmp_path)
    assert NUMBER.sub("#", shown).split() == NUMBER.sub("#", printed).split()
    assert [*map(float, NUMBER.findall(shown))] == pytest.approx([*map(float, NUMBER.findall(printed))], abs=0.02)


def test_every_choice_and_key_has_a_meaning() -> None:
    assert not re.findall(r"^- .*: $|^.*\|  \|$", reference(), re.MULTILINE)


def test_the_citation_names_this_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == fvc_exp.__version__


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 170


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for name, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        text = (page.parent / name if heading else page).read_text()
        titles = [re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines()]
        assert (page.parent / name).exists()
        assert heading in ("", *titles)


@each_page
def test_named_files_exist(page: Path) -> None:
    named = re.findall(r"(?<!/)\b((?:fvc_exp|tests|ops|docs)/[\w./-]+)", page.read_text())
    assert not [each for each in named if not (ROOT / each.rstrip(".")).exists()]


@each_page
def test_named_modules_and_functions_exist(page: Path) -> None:
    """Such as ``runs/execute`` and ``config/validate.to_typed``, and the folders between."""
    for module, function in re.findall(rf"`((?:{ROOMS})/[\w/]+)(?:\.(\w+))?`", page.read_text()):
        file = PACKAGE / f"{module}.py"
        assert file.is_file() or (PACKAGE / module).is_dir(), module
        assert function in ("", "py") or f"def {function}(" in file.read_text(), f"{module}.{function}"


@each_page
def test_overrides_are_taken(page: Path, compose_config: Compose) -> None:
    for words in RUN.findall(page.read_text().replace("\\\n", " ")):
        compose_config(*(word for word in shlex.split(words, comments=True) if "=" in word))


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
