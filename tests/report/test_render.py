from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fvc_exp.cli.app import app
from fvc_exp.errors import ArtifactError
from fvc_exp.report.render import write_report
from tests.report.folders import FEATURE, PLATFORM, SCRIPT, VIDEO


class Page(HTMLParser):
    """All elements with their attributes, the text of each kind of element, and all that is shown, in its order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._shown: list[str] = []
        self._open = [""]
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "line", "circle", "polyline"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self._open[-1], []).append(data)
        if self._open[-1] not in ("script", "style"):
            self._shown.append(data)

    def words(self) -> str:
        return " ".join("".join(self._shown).split())


Report = Callable[[Path], str]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """The page of a copy of a folder."""

    def make(folder: Path) -> str:
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        written = write_report(copy)
        assert written[0] == copy / "report.html"
        return written[0].read_text()

    return make


def test_names_stay_text(explained: Path, report: Report) -> None:
    page = Page(report(explained))
    words = page.words()
    for name in (FEATURE, VIDEO, PLATFORM):
        assert " ".join(name.split()) in words
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"img", "b", "iframe", "object", "link", "base", "form"}
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert page.text["title"][0] == "Run copy"


def test_nothing_is_fetched_and_only_our_code_may_run(explained: Path, report: Report) -> None:
    page = Page(report(explained))
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"src", "href", "style", "srcset"}
    policy = next(each["content"] for tag, each in page.elements if tag == "meta" and "http-equiv" in each)
    assert policy is not None
    hashes = {
        tag: base64.b64encode(hashlib.sha256("".join(page.text[tag]).encode()).digest()).decode()
        for tag in ("style", "script")
    }
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{hashes['style']}'",
        f"script-src 'sha256-{hashes['script']}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert not re.search(r"url\(|@import|https?:", "".join(page.text["style"] + page.text["script"]))


def test_summary_stands_first(explained: Path, report: Report) -> None:
    words = Page(report(explained)).words()
    order = ["Audit: PASS", "Beats the floor", "AUC, cross-validated", "Metrics beside their floors", "ROC",
             "Calibration", "Coefficients", "Coefficients over C", "AUC over C", "Slices", "Surest mistakes",
             "What this model cannot know", "Configuration", "Provenance", "How to reproduce"]  # fmt: skip
    places = [words.index(each) for each in order]
    assert places == sorted(places)
    assert "fvc verify" in words


def test_a_failed_audit_is_the_first_thing_said(leaking: Path, report: Report) -> None:
    words = Page(report(leaking)).words()
    assert words.index("Audit: FAIL") < words.index("group_crossing: ") < words.index("No claim")
    assert "Beats the floor" not in words
    assert "audit failed" in words


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("predictions.parquet", "No ROC and precision-recall curves: predictions.parquet is missing."),
        ("predictions.parquet", "no interval: predictions.parquet is missing"),
        ("coefficients.csv", "coefficients.csv is missing."),
        ("audit.json", "No details: audit.json is missing"),
        ("insight/insight.json", "are not computed: run fvc explain "),
    ],
)
def test_an_absent_part_is_named(explained: Path, report: Report, tmp_path: Path, missing: str, said: str) -> None:
    rest = tmp_path / "rest"
    shutil.copytree(explained, rest, ignore=shutil.ignore_patterns(Path(missing).name))
    assert said in Page(report(rest)).words()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "status.json").unlink(), "is neither a run nor a sweep"),
        (lambda folder: (folder / "metrics.json").write_text("["), r"metrics\.json: cannot be read"),
        (lambda folder: (folder / "config.yaml").write_text("- 1"), r"config\.yaml: names no data"),
    ],
    ids=["no run", "broken", "foreign configuration"],
)
def test_what_cannot_be_reported_is_named(
    leaking: Path, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(leaking, copy)
    change(copy)
    with pytest.raises(ArtifactError, match=message):
        write_report(copy)
    assert not (copy / "report.html").exists()


def test_the_command_writes_where_it_is_told(explained: Path, tmp_path: Path) -> None:
    copy, output = tmp_path / "copy", tmp_path / "page.html"
    shutil.copytree(explained, copy)
    done = CliRunner().invoke(app, ["report", str(copy), "--output", str(output)])
    assert (done.exit_code, done.stdout.split()) == (0, [str(output), str(copy / "MODEL_CARD.md")])
    assert "<title>Run copy</title>" in output.read_text()
    assert not (copy / "report.html").exists()


def test_equal_folders_give_equal_pages(explained: Path, tmp_path: Path) -> None:
    pages = []
    for name in ("one", "two"):
        shutil.copytree(explained, tmp_path / name / "run")
        pages.append(write_report(tmp_path / name / "run")[0].read_text().replace(f"/{name}/", "/"))
    assert pages[0] == pages[1]


def test_the_model_card_says_what_the_run_says(explained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(explained, copy)
    card = write_report(copy)[1].read_text()
    assert "- Audit: **PASS**" in card
    assert re.search(r"\| AUC \| 0\.\d{3} \| 0\.\d{3} to [01]\.\d{3} \|", card)
    assert "floor: all\\_fake |" in card
    assert 'load_run(".").pipeline' in card
    assert "invisible to this model" in card
    assert "120 (60 real, 60 fake)" in card
    assert f"    fvc verify {copy}\n" in card


def test_names_stay_text_in_the_model_card(leaking: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(leaking, copy)
    card = write_report(copy)[1].read_text()
    assert "<script>" not in card
    assert "<img" not in card
    assert SCRIPT.replace("<", "&lt;").replace(">", "&gt;") in card
    table = card.split("## Metrics")[1].split("## Limits")[0]
    assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) == 1
