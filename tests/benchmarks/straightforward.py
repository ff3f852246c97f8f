"""The features as one writes them down first, for the benchmark: all frames to RGB, float64, block loops."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp.config.schema import SamplingConfig
from fvc_exp.video.sampling import sample_indices


def block_loop(gray: NDArray[np.uint8]) -> list[float]:
    height, width = gray.shape
    dc, ac = [], []
    for top in range(0, height - 7, 8):
        for left in range(0, width - 7, 8):
            spectrum = cv2.dct(gray[top : top + 8, left : left + 8].astype(np.float32))
            dc.append(spectrum[0, 0])
            spectrum[0, 0] = 0
            ac.append(spectrum)
    stacked = np.array(ac)
    return [np.mean(dc), np.std(dc), stacked.mean(), stacked.std(), np.sum(stacked**2)]


def straightforward_frame(gray: NDArray[np.uint8]) -> list[float]:
    kernel = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])
    squares = cv2.filter2D(gray.astype(np.float64), -1, kernel) ** 2
    laplacian = cv2.Laplacian(gray, cv2.CV_64F)
    gradient = np.sqrt(cv2.Sobel(gray, cv2.CV_64F, 1, 0) ** 2 + cv2.Sobel(gray, cv2.CV_64F, 0, 1) ** 2)
    lines = [np.std(gray[row]) for row in range(8, gray.shape[0], 8)]
    lines += [np.std(gray[:, column]) for column in range(8, gray.shape[1], 8)]
    sharpness = [laplacian.var(), gradient.mean(), gradient.std()]
    return [squares.sum(), squares.mean(), squares.std(), *block_loop(gray), *sharpness, float(np.mean(lines))]


def straightforward_added(gray: NDArray[np.uint8], rgb: NDArray[np.uint8]) -> list[float]:
    height, width = gray.shape
    edges = np.sum(cv2.Canny(gray, 50, 150) > 0) / gray.size
    texture = 1 / (1 + np.std(cv2.filter2D(gray.astype(np.float32), -1, np.ones((5, 5)) / 25)))
    steps = 0.0
    for top in range(0, height - 8, 8):
        for left in range(0, width - 8, 8):
            block = gray[top : top + 8, left : left + 8]
            steps += float(np.mean(np.abs(np.diff(block, axis=0))) + np.mean(np.abs(np.diff(block, axis=1))))
    return [edges, float(texture), *(float(np.std(rgb[..., channel])) for channel in range(3)), steps]


def straightforward(path: Path, sampling: SamplingConfig, *, is_stage4: bool) -> list[float]:
    """Decode all frames to RGB, and loop over the 8x8 blocks of the sampled ones."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        wanted = set(sample_indices(container.streams.video[0].frames, sampling))
        rows = []
        for index, frame in enumerate(container.decode(video=0)):
            rgb = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
            if index not in wanted:
                continue
            gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
            rows.append(straightforward_frame(gray) + (straightforward_added(gray, rgb) if is_stage4 else []))
    return [float(value) for value in np.mean(rows, axis=0)]
