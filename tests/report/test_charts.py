from __future__ import annotations

import math
from itertools import pairwise

import pytest

from fvc_exp.report.charts import Axis, RangeRow, Series, line_chart, range_chart

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@pytest.mark.parametrize(
    ("value", "log", "place"),
    [(1.0, False, 50.0), (100.0, False, 250.0), (50.5, False, 150.0), (1.0, True, 50.0), (10.0, True, 150.0)],
    ids=["low end", "high end", "middle", "log low end", "log middle"],
)
def test_axis_places_values(value: float, log: bool, place: float) -> None:
    assert Axis("x", 1.0, 100.0, 50.0, 250.0, log).at(value) == place


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-3.7, 0.02), (0.4987, 0.5011), (1e-9, 3e-9), (-4e5, 9e5)],
)  # fmt: skip
def test_linear_ticks_are_round_equidistant_and_inside(low: float, high: float) -> None:
    values = [float(tick.text) for tick in Axis("x", low, high, 0.0, 100.0).ticks()]
    assert 2 <= len(values) <= 6
    assert all(low <= value <= high for value in values)
    steps = [two - one for one, two in pairwise(values)]
    assert steps == pytest.approx([steps[0]] * len(steps))
    mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert any(mantissa == pytest.approx(step, rel=1e-6) for step in STEPS)


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.01, 10.0, ["0.01", "0.1", "1", "10"]),
        (1e-6, 1e6, ["1e-06", "0.001", "1", "1000", "1e+06"]),
        (2.0, 5.0, ["2", "5"]),
        (3.0, 3.0, ["3"]),
    ],
    ids=["decades", "many decades", "inside a decade", "one value"],
)
def test_log_ticks_are_powers_of_ten(low: float, high: float, texts: list[str]) -> None:
    assert [tick.text for tick in Axis("x", low, high, 0.0, 100.0, log=True).ticks()] == texts


def test_lines_go_up_with_their_values_and_stay_inside() -> None:
    chart = line_chart("t", [Series("a", "mean", [(0.0, -2.0), (5.0, 7.0)], dots=True)], x="x", y="y")
    (first, last) = chart.lines[0].dots
    assert chart.lines[0].path == f"{first[0]:g},{first[1]:g} {last[0]:g},{last[1]:g}"
    assert 0 < first[0] < last[0] < chart.width
    assert chart.height > first[1] > last[1] > 0


def test_equal_values_have_a_place() -> None:
    chart = line_chart("t", [Series("a", "mean", [(1.0, 0.5), (1.0, 0.5)])], x="x", y="y", log=True)
    assert all(math.isfinite(float(number)) for number in chart.lines[0].path.replace(",", " ").split())


def test_ranges_hold_the_reference_and_keep_their_order() -> None:
    rows = [RangeRow("a" * 80, 0.7, 0.6, 0.9, "text"), RangeRow("b", 0.8, 0.75, 0.85, "text")]
    chart = range_chart("t", rows, x="AUC", reference=0.5)
    first, second = chart.rows
    assert chart.reference is not None
    assert 0 < chart.reference < first.low < first.value < second.value < first.high < chart.width
    assert 0 < first.y < second.y < chart.bottom < chart.height
    assert (len(first.label), first.full_label) == (52, "a" * 80)
