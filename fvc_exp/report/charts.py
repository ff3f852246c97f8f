"""Where lines, dots and ticks of a chart stand, in the units of its SVG. No markup: the templates draw and escape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.ticker import MaxNLocator

Points = Sequence[tuple[float, float]]


Style = Literal["fold", "mean", "test", "base", "series1", "series2", "series3", "series4", "series5"]


SERIES: tuple[Style, ...] = ("series1", "series2", "series3", "series4", "series5")


WIDTH = 360.0


_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 10.0, 38.0


_HEIGHT = 270.0


_ROW, _LABEL = 30.0, 13.0


_TICKS = 5  # at most this many steps on an axis


_LABEL_LENGTH = 52


@dataclass(frozen=True)
class Tick:
    """A place on an axis and what is written there."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A value range drawn from ``start`` to ``end``; ``log`` ranges must lie above 0."""

    label: str
    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        low, high, value = (math.log10(each) if self.log else each for each in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[Tick]:
        """Round values inside the range: powers of ten on a logarithmic axis."""
        values = _powers(self.low, self.high) if self.log else _round_values(self.low, self.high)
        return [Tick(self.at(value), f"{value:g}") for value in values]


@dataclass(frozen=True)
class Line:
    """A drawn line: its name for the legend ('' = none), style, points as SVG text, and dots where it has few."""

    name: str
    style: Style
    path: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class LineChart:
    """Lines over two axes."""

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    width: float = WIDTH
    height: float = _HEIGHT


@dataclass(frozen=True)
class Series:
    """Values to be drawn as one line: its name for the legend ('' = none), style and (x, y) points."""

    name: str
    style: Style
    points: Points
    dots: bool = False


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x: str,
    y: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    log: bool = False,
) -> LineChart:
    """Lay out lines; a range that is not given is that of the points."""
    points = [point for each in series for point in each.points]
    across = x_range or _range([point[0] for point in points], margin=not log)
    up = y_range or _range([point[1] for point in points], margin=True)
    x_axis = Axis(x, *across, _LEFT, WIDTH - _RIGHT, log)
    y_axis = Axis(y, *up, _HEIGHT - _BOTTOM, _TOP)
    return LineChart(title, x_axis, y_axis, tuple(_line(each, x_axis, y_axis) for each in series))


@dataclass(frozen=True)
class RangeRow:
    """A named value between two ends, such as a confidence interval; ``text`` says the numbers."""

    label: str
    value: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class DrawnRow:
    """Where a row stands: its baseline ``y``, and its value and ends across."""

    label: str
    full_label: str
    text: str
    y: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class RangeChart:
    """Rows of dots with ranges, the label above each, and a dashed line at a reference value."""

    title: str
    x: Axis
    rows: tuple[DrawnRow, ...]
    reference: float | None
    top: float
    bottom: float
    height: float
    width: float = WIDTH


def range_chart(title: str, rows: Sequence[RangeRow], *, x: str, reference: float | None = None) -> RangeChart:
    """Lay out rows in their order; the axis holds all of them and the reference."""
    values = [value for row in rows for value in (row.low, row.value, row.high)]
    values += [] if reference is None else [reference]
    axis = Axis(x, *_range(values, margin=True), _RIGHT, WIDTH - _RIGHT)
    drawn = [
        DrawnRow(
            label=_short(row.label),
            full_label=row.label,
            text=row.text,
            y=_TOP + index * _ROW + _LABEL,
            value=axis.at(row.value),
            low=axis.at(row.low),
            high=axis.at(row.high),
        )
        for index, row in enumerate(rows)
    ]
    place = None if reference is None else axis.at(reference)
    bottom = _TOP + len(rows) * _ROW
    return RangeChart(title, axis, tuple(drawn), place, _TOP / 2, bottom, bottom + _BOTTOM)


def _line(series: Series, x: Axis, y: Axis) -> Line:
    places = tuple((x.at(across), y.at(up)) for across, up in series.points)
    path = " ".join(f"{across:g},{up:g}" for across, up in places)
    return Line(series.name, series.style, path, places if series.dots else ())


def _range(values: Sequence[float], *, margin: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    space = 0.05 * ((high - low) or abs(high) or 1.0) if margin else 0.0
    return low - space, high + space


def _powers(low: float, high: float) -> list[float]:
    powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    step = math.ceil(len(powers) / (_TICKS + 1)) or 1
    return [10.0**power for power in powers[::step]] or sorted({low, high})


def _round_values(low: float, high: float) -> list[float]:
    values = np.asarray(MaxNLocator(_TICKS, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    return [round(value, 12) for value in values.tolist() if low <= value <= high]


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_LENGTH else label[: _LABEL_LENGTH - 1] + "…"
