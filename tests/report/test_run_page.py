import re
import shutil
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.axes import Axes

from fvc_exp.evaluation.claims import FloorClaim
from fvc_exp.report.run_page import MetricRow, metric_rows, picture, verdict_of
from fvc_exp.runs.compare.comparison import compare
from fvc_exp.runs.load import LoadedRun, require_finished, shell_command
from fvc_exp.runs.plots import PALETTE
from fvc_exp.runs.show import SHOWN
from tests.conftest import edit_json, reseal
from tests.report.folders import SCRIPT

STYLE = resources.files("fvc_exp.report").joinpath("templates", "style.css").read_text()


def draw(axes: Axes, text: str) -> None:
    axes.plot([0, 1], [0.25, 0.123456789], color=PALETTE["one"], marker="o", label="line")
    axes.text(0.5, 0.5, text, color=PALETTE["two"], parse_math=False, in_layout=False)
    axes.set_title("a title", loc="left")


def test_text_is_text_and_colours_are_those_of_the_page() -> None:
    root = ElementTree.fromstring(picture("one", draw, SCRIPT))
    assert {SCRIPT, "a title", "line"} <= {"".join(element.itertext()) for element in root.iter("text")}
    assert root.attrib["aria-label"] == "a title"
    assert "var(--one)" in {element.get("stroke") for element in root.iter()}
    assert not any("font-family" in element.attrib or "style" in element.attrib for element in root.iter())
    assert all(element.get("fill") == "none" for element in root.findall("./g/g/path")), "the paper shows through"
    assert not re.search(r"\d\.\d\d", " ".join(element.get("d", "") for element in root.iter()))


def test_ids_do_not_clash_and_references_stay_in_the_picture() -> None:
    found = [picture(name, draw, "x") for name in ("one", "two", "one")]
    assert found[0] == found[2]
    ids = [set(re.findall(r' id="([^"]+)"', each)) for each in found]
    assert ids[0]
    assert not ids[0] & ids[1]
    for each, own in zip(found, ids, strict=True):
        assert set(re.findall(r"(?:url\(|href=\")#(\w+)", each)) == own


@pytest.mark.parametrize("name", PALETTE)
def test_the_style_sheet_has_every_colour_for_light_dark_and_print(name: str) -> None:
    colours = re.findall(rf"--{name}: (#\w+)", STYLE)
    assert len(colours) == 3
    assert colours[0] == PALETTE[name]
    assert colours[1] != PALETTE[name]


@pytest.mark.parametrize(
    ("low", "high", "relation"), [(0.01, 0.3, "above"), (-0.01, 0.3, "around"), (-0.3, -0.01, "below")]
)
def test_the_word_is_that_of_the_comparison_with_the_best_floor(low: float, high: float, relation: str) -> None:
    claim = FloorClaim("m", 0.6, "prior", 0.5, (low + high) / 2, low, high, p_value=0.01 if low > 0 else 0.5)
    floors = {"prior": 0.5, "all_fake": 0.4}
    row = MetricRow("m", "m", 0.0, None, None, None, None, floors, lower_is_better=False, claim=claim)
    assert (row.best_floor, row.relation) == ("prior", relation)
    assert replace(row, lower_is_better=True).best_floor == "all_fake"
    assert replace(row, claim=None).relation is None


def test_words_stand_only_where_more_is_more_skill(files: LoadedRun) -> None:
    """``all_fake`` has a recall of 1 without any skill; a fold of eight groups is too small for MCC."""
    judged = {row.name for row in metric_rows(files) if row.relation is not None}
    assert judged == {"auc", "average_precision", "log_loss", "brier", "balanced_accuracy"}


def test_average_precision_is_compared_with_what_chance_has_at_this_size(files: LoadedRun) -> None:
    row = next(row for row in metric_rows(files) if row.name == "average_precision")
    assert row.best_floor == "chance"
    assert row.claim is not None
    assert row.claim.floor_score == pytest.approx(row.floors["chance"])
    assert row.floors["chance"] > row.floors["prior"] + 0.01


def test_report_results_and_comparison_make_one_claim(files: LoadedRun) -> None:
    claim = files.results["claim"]
    assert verdict_of(files)["claim"] == claim["sentence"]
    compared = compare([LoadedRun(files.path)]).rows[0]
    assert compared.floor_p_value == claim["p_value"]
    assert compared.beats_floor == claim["beats"]
    row = next(row for row in metric_rows(files) if row.name == "auc")
    assert row.claim is not None
    assert asdict(row.claim).items() <= claim.items()


@pytest.fixture
def files(explained: Path) -> LoadedRun:
    return require_finished(explained)


def test_every_metric_has_its_interval_around_its_mean(files: LoadedRun) -> None:
    rows = metric_rows(files)
    assert [row.name for row in rows] == list(SHOWN)
    for row in rows:
        assert row.interval is not None
        assert row.mean == pytest.approx(row.interval.estimate, abs=1e-9)
        assert row.interval.low < row.mean < row.interval.high
        assert row.test == files.results["test"][row.name]
        assert row.floors["prior"] == files.results["floors"]["cv"]["prior"][row.name]


def test_what_predictions_and_test_set_would_show_is_left_out_without_them(explained: Path, tmp_path: Path) -> None:
    run = LoadedRun(Path(shutil.copytree(explained, tmp_path / "run")))
    edit_json(run.folder.results, test=None)
    assert all(row.test is None and row.test_interval is None for row in metric_rows(run))
    run.folder.predictions.unlink()
    reseal(run.path)
    assert all(row.interval is None and row.claim is None for row in metric_rows(LoadedRun(run.path)))


def test_only_a_command_that_can_be_typed_again_is_shown() -> None:
    typed = shell_command(["/a b/run.py", "C=1", "data.root='x y'"])
    assert typed == "python run.py C=1 'data.root='\"'\"'x y'\"'\"''"
    assert shell_command(["fvc run", "-m", "C=1,2"]) == "fvc run -m C=1,2"
    assert [shell_command(arguments) for arguments in (["-c"], [])] == [None, None]
