"""The feature columns of the original pipeline as it computed them, to compare with published numbers.

Use the tables of ``scaled`` for new work. The flaws that are kept, column by column:

- gray comes from RGB, so clipped colours change it, and frames of scaled video include their black bars.
- ``noise_mean`` is the mean square, and ``noise_std`` the spread of the square, of ``9 * (gray - 3x3 mean)``:
  an edge and texture measure. ``noise_energy`` is ``noise_mean`` times the number of pixels.
- ``dct_ac_mean`` is the mean of signed coefficients, DC set to 0 and counted, hence near 0; ``dct_ac_std``
  and ``dct_ac_energy`` are the same quantity per coefficient and in total. Frames are padded to whole blocks.
- ``boundary_inconsistency`` is the mean standard deviation along rows and columns 8, 16, ...: contrast.
- ``compression_artifacts`` takes differences of 8-bit numbers modulo 256 inside blocks, leaves out the last
  row and column of blocks, but divides by the number of all of them.
- ``texture_uniformity`` is ``1 / (1 + s)`` with ``s`` the contrast of the 5x5-blurred frame.
- ``codec_fps`` is the base rate, 30 where unknown; ``codec_bitrate`` is 0 where the container states none.

One thing differs on purpose: a video with fewer frames than ``min_frames`` has each of them once in the mean,
where the original repeats some.
"""

import cv2
import numpy as np

from fvc_exp._typing import Frame
from fvc_exp.features import filters, scaled

HIGH_PASS = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32)

# The 64 coefficients of a block sum to <block, outer(w, w)>, w the column sums of the DCT matrix.
COEFFICIENT_SUM = np.outer(filters.EXACT_BASIS.sum(axis=0), filters.EXACT_BASIS.sum(axis=0))


def original_stage2_features(rgb: Frame) -> dict[str, float]:
    """The original's twelve stage-2 pixel features of one RGB frame; definitions above."""
    gray = _gray(rgb)
    _, square, fourth = filters.mean_powers(np.asarray(cv2.filter2D(gray, cv2.CV_16S, HIGH_PASS), dtype=np.int16))
    return {
        "noise_energy": square * gray.size,
        "noise_mean": square,
        "noise_std": filters.standard_deviation(square, fourth),
        **_dct(gray),
        **filters.blur_features(gray),
        "boundary_inconsistency": _line_deviation(gray),
    }


def original_stage4_features(rgb: Frame) -> dict[str, float]:
    """The original's eighteen stage-4 pixel features of one RGB frame; definitions above."""
    gray = _gray(rgb)
    _, contrast = cv2.meanStdDev(cv2.blur(gray.astype(np.float32), (scaled.WINDOW, scaled.WINDOW)))
    added = (
        scaled.edge_density(gray),
        1.0 / (1.0 + float(contrast[0, 0])),
        *cv2.meanStdDev(rgb)[1][:, 0].tolist(),
        _wrapped_steps(gray),
    )
    return original_stage2_features(rgb) | dict(zip(scaled.ADDED_NAMES, added, strict=True))


def _gray(rgb: Frame) -> Frame:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _dct(gray: Frame) -> dict[str, float]:
    bottom, right = (-size % 8 for size in gray.shape)
    padded = np.asarray(cv2.copyMakeBorder(gray, 0, bottom, 0, right, cv2.BORDER_REPLICATE), dtype=np.uint8)
    dc, energy = filters.block_moments(padded)
    folded = padded.reshape(padded.shape[0] // 8, 8, -1).sum(axis=0, dtype=np.int64)
    folded = folded.reshape(8, -1, 8).sum(axis=1)
    ac_mean = (float((folded * COEFFICIENT_SUM).sum()) - float(dc.sum())) / padded.size
    total = float(energy.sum())
    return {
        "dct_dc_mean": float(dc.mean()),
        "dct_dc_std": float(dc.std()),
        "dct_ac_mean": ac_mean,
        "dct_ac_std": filters.standard_deviation(ac_mean, total / padded.size),
        "dct_ac_energy": total,
    }


def _line_deviation(gray: Frame) -> float:
    rows, columns = gray[8::8].astype(np.float64), gray[:, 8::8].astype(np.float64)
    deviations = np.concatenate([rows.std(axis=1), columns.std(axis=0)])
    return float(deviations.mean()) if len(deviations) else 0.0


def _wrapped_steps(gray: Frame) -> float:
    height, width = gray.shape
    counted = (height // 8) * (width // 8)
    if not counted:
        return np.nan
    used = gray[: len(range(0, height - 8, 8)) * 8, : len(range(0, width - 8, 8)) * 8]
    total = 0
    for step in (used[:, 1:] - used[:, :-1], (used[1:] - used[:-1]).T):
        inside = np.ones(step.shape[1], dtype=bool)
        inside[7::8] = False
        total += int(step.sum(axis=0, dtype=np.int64)[inside].sum())
    return float(total / 56 / counted)
