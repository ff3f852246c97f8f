import base64
import hashlib
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.claims import claim_json
from fvc_exp.evaluation.leakage.codes import GROUPS_UNKNOWN
from fvc_exp.io.files import read_json
from fvc_exp.report.render import write_report
from tests.conftest import edit_json, reseal
from tests.report.folders import FEATURE, PLATFORM, SCRIPT, VIDEO
from tests.shell import fvc


class Page(HTMLParser):
    """All elements with their attributes, the text of each kind of element, and all that is shown, in its order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._open = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, _: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self._open if self._open in ("script", "style", "title") else "shown", []).append(data)

    def words(self) -> str:
        return " ".join("".join(self.text["shown"]).split())


Copy = Callable[..., Path]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy of a folder, without the files of some names."""

    def make(folder: Path, *without: str) -> Path:
        made = shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns(*without))
        reseal(made)
        return made

    return make


@pytest.fixture(scope="session")
def reported(explained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its report and model card."""
    copy = shutil.copytree(explained, tmp_path_factory.mktemp("page") / "copy")
    assert write_report(copy) == [copy / "report.html", copy / "MODEL_CARD.md"]
    return copy


@pytest.fixture(scope="session")
def explained_page(reported: Path) -> Page:
    return Page((reported / "report.html").read_text())


def test_names_stay_text(explained_page: Page) -> None:
    for name in (FEATURE, VIDEO, PLATFORM):
        assert " ".join(name.split()) in explained_page.words()
    tags = {tag for tag, _ in explained_page.elements}
    assert not tags & {"img", "b", "iframe", "object", "link", "base", "form"}
    assert sum(tag == "script" for tag, _ in explained_page.elements) == 1
    assert explained_page.text["title"] == ["Run copy"]


def test_nothing_is_fetched_and_only_our_code_may_run(explained_page: Page) -> None:
    page = explained_page
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"src", "style", "srcset"}
    assert {str(each["href"])[0] for _, each in page.elements if "href" in each} == {"#", "."}, "page and folder"
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


def test_summary_stands_first(explained_page: Page) -> None:
    words = explained_page.words()
    order = ["Audit: PASS", "Beats the floor", "AUC, cross-validated", "Metrics beside their floors", "ROC",
             "Calibration", "Coefficients", "Coefficients over C", "AUC over C", "Slices", "Most confident mistakes",
             "What this model cannot know", "Configuration", "Provenance", "How to reproduce"]  # fmt: skip
    assert re.search(".*".join(map(re.escape, order)), words)
    assert "fvc verify" in words


def test_a_failed_audit_stands_first_and_names_stay_text_in_the_model_card(leaking: Path, copy: Copy) -> None:
    report, model_card = write_report(copy(leaking))
    words, card = Page(report.read_text()).words(), model_card.read_text()
    assert words.index("Audit: FAIL") < words.index("group_crossing: ") < words.index("No claim")
    assert "Beats the floor" not in words
    assert "audit failed" in words
    assert "(docs/checks.md#group_crossing)" in words
    assert "<script>" not in card
    assert "<img" not in card
    assert SCRIPT.replace("<", "&lt;").replace(">", "&gt;") in card
    table = card.split("## Metrics")[1].split("## Limits")[0]
    assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) == 1


ABSENT = {
    "predictions.parquet coefficients.csv audit.json": (
        "No ROC and precision-recall curves: predictions.parquet is missing.",
        "no interval: predictions.parquet is missing",
        "coefficients.csv is missing.",
        "No details: audit.json is missing",
    ),
    "predictions.parquet insight.json": ("are not computed yet: run fvc explain ",),
}


@pytest.mark.parametrize("missing", ABSENT)
def test_absent_parts_are_named(explained: Path, copy: Copy, missing: str) -> None:
    words = Page(write_report(copy(explained, *missing.split()))[0].read_text()).words()
    assert [text for text in ABSENT[missing] if text not in words] == []


CHANGES = {
    "no run": (lambda folder: (folder / "status.json").unlink(), "is neither a run nor a sweep"),
    "broken": (lambda folder: (folder / "metrics.json").write_text("["), r"metrics\.json: Input data was truncated"),
    "foreign configuration": (lambda folder: (folder / "config.yaml").write_text("- 1"), "config.yaml: names no data"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_an_unusable_folder_is_named(leaking: Path, copy: Copy, change: Callable[[Path], object], message: str) -> None:
    folder = copy(leaking)
    change(folder)
    reseal(folder)
    with pytest.raises(ArtifactError, match=message):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_the_command_writes_where_it_is_told(reported: Path, tmp_path: Path) -> None:
    output, before = tmp_path / "page.html", (reported / "report.html").stat()
    done = fvc("report", reported, "--output", output)
    assert (done.returncode, done.stdout.split()) == (0, [str(output), str(reported / "MODEL_CARD.md")])
    assert (reported / "report.html").stat() == before
    page = (reported / "report.html").read_text()
    assert re.sub(r'href="[^"]*/', 'href="', output.read_text()) == re.sub(r'href="[^"]*/', 'href="', page)


def test_the_model_card_agrees_with_the_run(reported: Path) -> None:
    card = (reported / "MODEL_CARD.md").read_text()
    assert re.search(r"\| AUC \| 0\.\d{3} \| 0\.\d{3} to [01]\.\d{3} \|", card)
    parts = ("- Audit: **PASS**", "floor: all\\_fake |", "pipeline = load_run(",
             "Columns of the user's own tables (5 of 5): ",
             "120 (60 real, 60 fake)", f"    fvc verify {reported}\n")  # fmt: skip
    for text in parts:
        assert text in card


def test_page_and_card_show_what_the_results_hold(explained: Path, copy: Copy) -> None:
    folder = copy(explained, "predictions.parquet")
    found = read_json(folder / "results.json")
    warning, claim = "single_feature: x (AUC 1.000)", claim_json(None, "UNCHECKED")
    columns = {"used": ["a1"], "ignored": {"": "index", "y": "equals the label"}, "constant": ["c1"]}
    found["audit"] |= {"verdict": "UNCHECKED", "warnings": [warning], "not_checked": [GROUPS_UNKNOWN]}
    found["data"]["columns"] = columns
    changed = {"claim": claim, "repeats": {"asked": 5, "distinct": 2}}
    changed |= {"name": "first | try", "tags": ["paper", "<b>"]}
    changed |= {"flags": ["null_model"], "flag_details": {"null_model": "the final model"}}
    changed |= {"selection": {"of": 28, "sentence": "Best of 28."}, "price": {"sentence": "recognition 0.1"}}
    edit_json(folder / "results.json", **{**found, **changed})
    report, card = write_report(folder)
    page = Page(report.read_text()).words()
    slope, ece = (f"{found['calibration']['cv'][name]:.3f}" for name in ("slope", "ece_floor"))
    for text in (page, " ".join(card.read_text().replace("\\", "").split())):
        parts = ["UNCHECKED, 1 warning", f"Warning: {warning} (docs/checks.md#single_feature)", "5, 2 of them distinct",
                 "Best of 28. No claim is made about its scores: groups are unknown.", "recognition 0.1",
                 "has learned nothing (the final model) (docs/checks.md#null_model)", f"slope {slope}, intercept",
                 f"({ece} if it were calibrated perfectly)", "name: first | try", "tags: paper, ",
                 "(docs/checks.md#groups_unknown)", "Solver: prox-newton, ",
                 "c1", "y: equals the label", "(nameless): index", "a1"]  # fmt: skip
        for part in parts:
            assert part in text, part
        assert "Better than" not in text
        assert "one-sided p" not in text
    assert page.index("AUC, held-out test") < page.index("AUC, cross-validated: best of 28, optimistic")
    assert "groups unknown" in page
    assert "unclear" not in page
