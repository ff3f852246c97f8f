"""Traces of manipulation between frames: repeated, blended, dropped or unevenly edited ones."""

from math import nan

import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Frame

NAMES = (
    "temporal_difference_mean",
    "temporal_difference_cv",
    "duplicate_share",
    "temporal_difference_jitter",
    "residual_correlation",
)

# A step below this share of the median step plus this many gray levels counts as a repeated frame.
DUPLICATE_SHARE_OF_MEDIAN = 0.15

DUPLICATE_FLOOR = 0.02


class TemporalSeries:
    """Takes every frame of a video in order and keeps two numbers for each pair of neighbours."""

    def __init__(self) -> None:
        self._differences: list[float] = []
        self._correlations: list[float] = []
        self._previous: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def add(self, luma: Frame) -> None:
        """The next frame; after a change of frame size the series starts a new pair."""
        half = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.float32)
        residual = half - cv2.blur(half, (3, 3))
        if self._previous is not None and self._previous[0].shape == half.shape:
            self._differences.append(cv2.norm(half, self._previous[0], cv2.NORM_L1) / half.size)
            self._correlations.append(_correlation(residual, self._previous[1]))
        self._previous = half, residual

    def features(self) -> dict[str, float]:
        """The five temporal features; NaN where there is no pair of frames, or no noise or motion to measure.

        With ``d`` the mean |difference| of two neighbouring half-size frames in gray levels:

        - ``temporal_difference_mean``, gray levels: the mean of ``d``.
        - ``temporal_difference_cv``, without unit: the standard deviation of ``d`` over its mean.
        - ``temporal_difference_jitter``, without unit: the mean |change| of ``d`` from one pair to the next over the
          mean of ``d``.
        - ``duplicate_share``, share of pairs: those that differ in nearly nothing (Wang, Farid, "Exposing digital
          forgeries in video by detecting duplication", MM&Sec 2007).
        - ``residual_correlation``, -1 to 1: the mean correlation of the high-pass residuals of neighbouring frames. It
          rises when frames are blended or interpolated and falls with independent noise (Hsu et al., "Video forgery
          detection using correlation of noise residue", MMSP 2008).
        """
        if not self._differences:
            return dict.fromkeys(NAMES, nan)
        steps = np.array(self._differences)
        mean = float(steps.mean())
        threshold = DUPLICATE_SHARE_OF_MEDIAN * float(np.median(steps)) + DUPLICATE_FLOOR
        jitter = float(np.abs(np.diff(steps)).mean()) / mean if len(steps) > 1 and mean else nan
        correlations = np.array(self._correlations)
        defined = correlations[~np.isnan(correlations)]
        values = (
            mean,
            float(steps.std()) / mean if mean else nan,
            float((steps < threshold).mean()),
            jitter,
            float(defined.mean()) if len(defined) else nan,
        )
        return dict(zip(NAMES, values, strict=True))


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    (mean_first, deviation_first), (mean_second, deviation_second) = (_moments(first), _moments(second))
    if not deviation_first or not deviation_second:
        return nan
    product = float(cv2.mean(first * second)[0])
    return (product - mean_first * mean_second) / (deviation_first * deviation_second)


def _moments(values: NDArray[np.float32]) -> tuple[float, float]:
    mean, deviation = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(deviation[0, 0])
