import re
from importlib.resources import files
from xml.etree import ElementTree

import pytest
from matplotlib.axes import Axes

from fvc_exp.report.run_page import picture
from fvc_exp.runs.plots import PALETTE
from tests.report.folders import SCRIPT

STYLE = files("fvc_exp.report").joinpath("templates", "style.css").read_text()


def draw(axes: Axes, text: str) -> None:
    axes.plot([0, 1], [0.25, 0.123456789], color=PALETTE["one"], marker="o", label="line")
    axes.text(0.5, 0.5, text, color=PALETTE["two"], parse_math=False, in_layout=False)
    axes.set_title("a title", loc="left")


def test_text_is_text_and_colours_are_those_of_the_page() -> None:
    root = ElementTree.fromstring(picture("one", draw, SCRIPT))
    texts = {"".join(element.itertext()) for element in root.iter("text")}
    assert {SCRIPT, "a title", "line"} <= texts
    assert root.attrib["aria-label"] == "a title"
    strokes = {element.get("stroke") for element in root.iter()}
    assert "var(--one)" in strokes
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
