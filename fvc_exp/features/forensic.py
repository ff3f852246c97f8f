"""Traces of manipulation: recompression, local noise and sharpness inside frames; repeated or blended frames."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Array32, Frame
from fvc_exp.features import filters

BLOCKINESS_NAMES = ("blockiness_horizontal", "blockiness_vertical")
COMPRESSION_NAMES = ("benford_divergence", "ac_zero_share", "dct_periodicity")
LOCAL_NAMES = ("local_noise_std", "local_noise_range", "local_sharpness_std", "centre_noise_offset")
FRAME_NAMES = (*BLOCKINESS_NAMES, *COMPRESSION_NAMES, "residual_std", "residual_kurtosis", *LOCAL_NAMES)
TEMPORAL_NAMES = (
    *("temporal_difference_mean", "temporal_difference_cv", "duplicate_share"),
    *("temporal_difference_jitter", "residual_correlation"),
)

# The probabilities of the first digits 1 to 9 by Benford's law.
BENFORD = np.log10(1 + 1 / np.arange(1, 10))
# Of the whole parts 1, 2, ... of the coefficients, none of which is above 8 x 255.
FIRST_DIGITS = np.array([int(str(number)[0]) for number in range(1, 2048)])

# The first 20 of 64 coefficients in zig-zag order (JPEG, ITU-T T.81 figure 5), DC left out: (vertical,
# horizontal).
ZIGZAG = sorted(np.ndindex(8, 8), key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]))[1:20]

HISTOGRAM_BINS = 128
SMOOTHING = 9
LOWEST_PERIOD_BIN = 8
LOCAL_BLOCK = 24

# Added to local amplitudes before the logarithm, in gray levels, so that flat blocks stay finite.
NOISE_FLOOR = 0.05
SHARPNESS_FLOOR = 0.5

# A step below this share of the median step plus this many gray levels counts as a repeated frame.
DUPLICATE_SHARE_OF_MEDIAN = 0.15
DUPLICATE_FLOOR = 0.02

# A frame of half the size, its residual, and the residual's sum and sum of squares, which are integers.
_Seen = tuple[Frame, NDArray[np.int16], float, float]


def frame_features(luma: Frame) -> dict[str, float]:
    """The eleven features of one frame, luma 0 to 255; NaN where a frame is too small or too flat for one."""
    return blockiness_features(luma) | compression_features(luma) | residual_features(luma)


def blockiness_features(luma: Frame) -> dict[str, float]:
    """Mean step across block borders over mean step inside blocks, along rows and along columns; without unit.

    1 without blocking. Wang, Sheikh, Bovik, ICIP 2002; Fan, de Queiroz, IEEE TIP 12(2), 2003.
    """
    means = filters.mean_steps(luma)
    return {name: filters.step_ratio(*mean) for name, mean in zip(BLOCKINESS_NAMES, means, strict=True)}


def compression_features(luma: Frame) -> dict[str, float]:
    """Traces of quantisation in the low AC coefficients of the 8x8 DCT.

    - ``benford_divergence``, without unit: chi-square divergence of the first digits of |AC| >= 1 from Benford's law,
      which holds after one compression and fails after two (Fu, Shi, Su, SPIE 6505, 2007; video: Milani, Tagliasacchi,
      Tubaro, "Discriminating multiple JPEG compression using first digit features", 2012).
    - ``ac_zero_share``, share of coefficients: those with |AC| < 0.5.
    - ``dct_periodicity``, without unit: see ``periodicity``.
    """
    if min(luma.shape) < 8:
        return dict.fromkeys(COMPRESSION_NAMES, np.nan)
    spectrum = filters.dct_coefficients(luma, vertical=1 + max(v for v, _ in ZIGZAG))
    # Half the basis gives multiples of 1/8, which must fall on the same side of a threshold whatever the rounding.
    low = np.abs(np.stack([spectrum[:, v, :, h].ravel() for v, h in ZIGZAG]))
    np.round(low, 3, out=low)
    return {
        "benford_divergence": benford_divergence(low),
        "ac_zero_share": np.count_nonzero(low < 0.5) / low.size,
        "dct_periodicity": periodicity(low[ZIGZAG.index((0, 1))]),
    }


def benford_divergence(magnitudes: Array32) -> float:
    """Divergence of the first digits of those ``magnitudes`` that are at least 1, and below 2048, from Benford's law.

    ``sum((p - b)^2 / b)`` over the digits 1 to 9; NaN for no such magnitude.
    """
    counts = np.bincount(magnitudes.astype(np.uint16).ravel(), minlength=2048)[1:]
    if not counts.any():
        return np.nan
    return float(((np.bincount(FIRST_DIGITS, weights=counts)[1:] / counts.sum() - BENFORD) ** 2 / BENFORD).sum())


def periodicity(coefficient: Array32) -> float:
    """How periodic the histogram of one coefficient's rounded magnitudes 1 to 127 is.

    The largest over the mean Fourier magnitude above the slow part. Double quantisation leaves periodic gaps or
    peaks (Popescu, Farid, "Statistical tools for digital forensics", IH 2004; Wang, Farid, "Exposing digital
    forgeries in video by detecting double MPEG compression", MM&Sec 2006). NaN where all magnitudes round to 0.
    """
    magnitudes = np.rint(np.abs(coefficient)).astype(np.int64).ravel()
    histogram = np.bincount(np.minimum(magnitudes, HISTOGRAM_BINS), minlength=HISTOGRAM_BINS + 1)[1:HISTOGRAM_BINS]
    total = int(histogram.sum())
    if not total:
        return np.nan
    shares = histogram / total
    rough = shares - np.convolve(shares, np.full(SMOOTHING, 1 / SMOOTHING), mode="same")
    fast = np.abs(np.fft.rfft(rough))[LOWEST_PERIOD_BIN:]
    return float(fast.max() / fast.mean())


def residual_features(luma: Frame) -> dict[str, float]:
    """Noise and sharpness as they vary over the frame, which pasted, swapped or retouched areas disturb.

    With ``r`` the frame less its 3x3 median in gray levels, and ``n`` and ``l`` the natural logarithms of the root mean
    squares of ``r`` and of the Laplacian in each block of 24x24 pixels:

    - ``residual_std``, gray levels: the standard deviation of ``r``.
    - ``residual_kurtosis``, without unit: ``E r^4 / (E r^2)^2``, 3 for Gaussian noise.
    - ``local_noise_std`` and ``local_noise_range``, log units: standard deviation of ``n`` over the blocks, and its
      95th less its 5th percentile.
    - ``centre_noise_offset``, log units: the mean of ``n`` in the central half of the blocks less its mean over all
      (Mahdian, Saic, "Using noise inconsistencies for blind image forensics", Image and Vision Computing 27(10), 2009).
    - ``local_sharpness_std``, log units: the standard deviation of ``l`` over the blocks.
    """
    smooth = cv2.medianBlur(luma, 3)
    squares = np.square(cv2.absdiff(luma, smooth), dtype=np.float32)
    mean = (cv2.sumElems(luma)[0] - cv2.sumElems(smooth)[0]) / luma.size
    square = cv2.sumElems(squares)[0] / luma.size
    fourth = cv2.norm(squares, cv2.NORM_L2SQR) / luma.size
    laplacian = cv2.Laplacian(luma, cv2.CV_16S)
    return {
        "residual_std": filters.standard_deviation(mean, square),
        "residual_kurtosis": fourth / square**2 if square else np.nan,
        **_local(squares, np.square(laplacian, dtype=np.float32)),
    }


def _local(noise: Array32, laplacian: Array32) -> dict[str, float]:
    """The local features from the squares of noise and Laplacian."""
    if min(noise.shape) < LOCAL_BLOCK:
        return dict.fromkeys(LOCAL_NAMES, np.nan)
    levels = np.log(np.sqrt(filters.block_means(noise, LOCAL_BLOCK)) + NOISE_FLOOR)
    sharpness = np.log(np.sqrt(filters.block_means(laplacian, LOCAL_BLOCK)) + SHARPNESS_FLOOR)
    low, high = np.percentile(levels, [5, 95])
    rows, columns = levels.shape
    centre = levels[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    values = (levels.std(), high - low, sharpness.std(), centre.mean() - levels.mean())
    return {name: float(value) for name, value in zip(LOCAL_NAMES, values, strict=True)}


def _correlation(one: _Seen, other: _Seen) -> float:
    """Of two residuals; NaN where one is constant."""
    (_, residual, total, square), (_, other_residual, other_total, other_square) = one, other
    size = residual.size
    products = (square + other_square - cv2.norm(residual, other_residual, cv2.NORM_L2SQR)) / 2
    variances = (size * square - total**2) * (size * other_square - other_total**2)
    return float((size * products - total * other_total) / np.sqrt(variances)) if variances else np.nan


class TemporalSeries:
    """Takes every frame of a video in order and keeps two numbers for each pair of neighbours."""

    def __init__(self) -> None:
        self._differences: list[float] = []
        self._correlations: list[float] = []
        self._previous: _Seen | None = None

    def add(self, luma: Frame, step: float = 1.0) -> None:
        """The next frame, of which a ``step`` is so many gray levels; another frame size starts a new pair."""
        half = np.asarray(cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        residual = np.multiply(half, 9, dtype=np.int16)  # of a 3x3 high-pass filter, times nine
        residual -= cv2.boxFilter(half, cv2.CV_16U, (3, 3), normalize=False).view(np.int16)
        seen = half, residual, cv2.sumElems(residual)[0], cv2.norm(residual, cv2.NORM_L2SQR)
        if self._previous is not None and self._previous[0].shape == half.shape:
            self._differences.append(step * cv2.norm(half, self._previous[0], cv2.NORM_L1) / half.size)
            self._correlations.append(_correlation(seen, self._previous))
        self._previous = seen

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
            return dict.fromkeys(TEMPORAL_NAMES, np.nan)
        steps = np.array(self._differences)
        mean = float(steps.mean())
        threshold = DUPLICATE_SHARE_OF_MEDIAN * float(np.median(steps)) + DUPLICATE_FLOOR
        jitter = float(np.abs(np.diff(steps)).mean()) / mean if len(steps) > 1 and mean else np.nan
        defined = [each for each in self._correlations if not np.isnan(each)]
        values = (
            mean,
            float(steps.std()) / mean if mean else np.nan,
            float((steps < threshold).mean()),
            jitter,
            float(np.mean(defined)) if defined else np.nan,
        )
        return dict(zip(TEMPORAL_NAMES, values, strict=True))
