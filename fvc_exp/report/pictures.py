"""Pictures of matplotlib as part of a page: text stays text, the style sheet gives the colours, ids do not clash."""

import re
from collections.abc import Callable
from typing import Concatenate, ParamSpec
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fvc_exp.runs import plots

P = ParamSpec("P")

_COLOURS = {colour: f"var(--{name})" for name, colour in plots.PALETTE.items()}
_FONT = ("font-family", "fill")  # of text; the style sheet gives them
_NUMBER = re.compile(r"-?\d+\.\d+")


def picture(name: str, draw: Callable[Concatenate[Axes, P], None], *args: P.args, **kwargs: P.kwargs) -> Markup:
    """SVG for inside HTML of what ``draw`` draws with these arguments; ``name`` is unique in the page."""
    figure = Figure(figsize=(5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    draw(axes, *args, **kwargs)
    plots.add_legend(figure, loc="outside lower left")
    root = ElementTree.fromstring(plots.svg_bytes(figure, name, transparent=True))
    for defs in root.findall("{*}defs"):
        for style in defs.findall("{*}style"):
            defs.remove(style)
    for element in root.iter():
        _adapt(element)
    for size in ("width", "height", "version"):
        del root.attrib[size]
    root.attrib |= {"role": "img", "aria-label": axes.get_title(loc="left")}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _adapt(element: ElementTree.Element) -> None:
    """Plain names, attributes in place of styles (which the page's policy forbids), and short numbers."""
    element.tag = element.tag.partition("}")[2]
    element.text, element.tail = element.text if element.tag == "text" else None, None
    attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    for declaration in attributes.pop("style", "").split(";"):
        key, _, value = declaration.partition(":")
        if value and not (element.tag == "text" and key.strip() in _FONT):
            attributes[key.strip()] = _COLOURS.get(value.strip(), value.strip())
    if element.tag == "g":
        attributes.pop("id", None)  # the same in every picture, and nothing refers to it
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    for key in {"d", "x", "y", "transform"} & attributes.keys():
        attributes[key] = _NUMBER.sub(lambda number: f"{float(number[0]):.1f}", " ".join(attributes[key].split()))
    element.attrib.clear()
    element.attrib.update(attributes)
