"""Second implementations of the features, slow and plain: loops over blocks, float64, no OpenCV (but for JPEG)."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Gray = NDArray[np.uint8]
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def synthetic(height: int, width: int, seed: int = 0) -> Gray:
    """A ramp, a disc and noise, clipped at both ends."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    image = 40 + 150 * x / width + 60 * ((x - width / 3) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2)
    noisy = image + random.normal(0, 12, (height, width))
    return np.asarray(np.clip(noisy, 0, 255), dtype=np.uint8)


def synthetic_rgb(height: int, width: int) -> NDArray[np.uint8]:
    return np.stack([synthetic(height, width, seed) // (seed + 1) for seed in range(3)], axis=2)


def jpeg(gray: Gray, quality: int) -> Gray:
    stream = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(stream, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def correlate(gray: Gray, kernel: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.asarray(ndimage.correlate(gray.astype(float), kernel.astype(float), mode="mirror"))


def noise(gray: Gray) -> dict[str, float]:
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    response = correlate(gray, mask) / 6
    return {
        "noise_energy": (response**2).mean(),
        "noise_mean": np.sqrt(np.pi / 2) * np.abs(response).mean(),
        "noise_std": (response**2).std(),
    }


def blur(gray: Gray) -> dict[str, float]:
    laplacian = correlate(gray, np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]))
    gradient = np.hypot(correlate(gray, SOBEL), correlate(gray, SOBEL.T))
    return {"laplacian_var": laplacian.var(), "gradient_mean": gradient.mean(), "gradient_std": gradient.std()}


def whole_blocks(gray: Gray) -> Iterator[NDArray[np.float64]]:
    for top in range(0, gray.shape[0] - 7, 8):
        for left in range(0, gray.shape[1] - 7, 8):
            yield gray[top : top + 8, left : left + 8].astype(float)


def dct(gray: Gray) -> dict[str, float]:
    dc, ac = [], []
    for block in whole_blocks(gray):
        spectrum = fft.dctn(block, norm="ortho").ravel()
        dc.append(spectrum[0])
        ac.append(spectrum[1:])
    energies = np.array([(block**2).mean() for block in ac])
    return {
        "dct_dc_mean": float(np.mean(dc)),
        "dct_dc_std": float(np.std(dc)),
        "dct_ac_mean": np.sqrt(energies).mean(),
        "dct_ac_std": energies.std(),
        "dct_ac_energy": energies.mean(),
    }


def mean_steps(gray: Gray) -> tuple[float, float]:
    """Mean |difference| between horizontal neighbours at the block borders, and inside blocks."""
    border: list[int] = []
    inside: list[int] = []
    for row in gray.astype(int).tolist():
        for column in range(1, len(row)):
            (inside if column % 8 else border).append(abs(row[column] - row[column - 1]))
    return float(np.mean(border)), float(np.mean(inside))


def border_and_inside(gray: Gray) -> tuple[float, float]:
    across, down = mean_steps(gray), mean_steps(np.ascontiguousarray(gray.T))
    return (across[0] + down[0]) / 2, (across[1] + down[1]) / 2


def base(gray: Gray) -> dict[str, float]:
    border, inside = border_and_inside(gray)
    boundary = {"boundary_inconsistency": (border + 1e-3) / (inside + 1e-3)}
    return noise(gray) | dct(gray) | blur(gray) | boundary


def canny(gray: Gray, low: float = 50, high: float = 150) -> NDArray[np.bool_]:
    """Canny, IEEE PAMI 8(6), 1986: Sobel, L1 magnitude, four directions, 8-connected hysteresis."""
    image = gray.astype(float)
    x = ndimage.correlate(image, SOBEL.astype(float), mode="nearest")
    y = ndimage.correlate(image, SOBEL.T.astype(float), mode="nearest")
    magnitude = np.pad(np.abs(x) + np.abs(y), 1)
    kept = np.zeros(gray.shape, dtype=bool)
    for row in range(gray.shape[0]):
        for column in range(gray.shape[1]):
            gx, gy = x[row, column], y[row, column]
            if abs(gy) < np.tan(np.pi / 8) * abs(gx):
                step = (0, 1)
            elif abs(gy) > np.tan(3 * np.pi / 8) * abs(gx):
                step = (1, 0)
            else:
                step = (1, -1) if (gx < 0) != (gy < 0) else (1, 1)
            here = magnitude[row + 1, column + 1]
            before = magnitude[row + 1 - step[0], column + 1 - step[1]]
            after = magnitude[row + 1 + step[0], column + 1 + step[1]]
            is_diagonal = step[0] and step[1]
            kept[row, column] = here > low and here > before and (here > after if is_diagonal else here >= after)
    strong = kept & (magnitude[1:-1, 1:-1] > high)
    labels, count = ndimage.label(kept, structure=np.ones((3, 3)))
    return np.isin(labels, np.unique(labels[strong])) & kept if count else kept


def stage4(gray: Gray, rgb: NDArray[np.uint8]) -> dict[str, float]:
    border, inside = border_and_inside(gray)
    local_deviation = ndimage.generic_filter(gray.astype(float), np.std, size=5, mode="mirror")
    return base(gray) | {
        "edge_density": float(canny(gray).mean()),
        "texture_uniformity": 1 / (1 + local_deviation.std()),
        **{f"color_consistency_{name}": rgb[..., channel].std() for channel, name in enumerate("rgb")},
        "compression_artifacts": border - inside,
    }


def original_gray(rgb: NDArray[np.uint8]) -> Gray:
    """ITU-R BT.601 weights in the 15-bit fixed point of the common implementation."""
    weights = np.array([9798, 19235, 3735])
    return np.asarray((rgb.astype(np.int64) @ weights + (1 << 14)) >> 15, dtype=np.uint8)


def original_base(gray: Gray) -> dict[str, float]:
    squares = correlate(gray, np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])) ** 2
    bottom, right = -gray.shape[0] % 8, -gray.shape[1] % 8
    padded = np.pad(gray, ((0, bottom), (0, right)), mode="edge")
    dc, ac = [], []
    for block in whole_blocks(padded):
        spectrum = fft.dctn(block, norm="ortho")
        dc.append(spectrum[0, 0])
        spectrum[0, 0] = 0
        ac.append(spectrum)
    lines = [gray[row].std() for row in range(8, gray.shape[0], 8)]
    lines += [gray[:, column].std() for column in range(8, gray.shape[1], 8)]
    return {
        "noise_energy": squares.sum(),
        "noise_mean": squares.mean(),
        "noise_std": squares.std(),
        "dct_dc_mean": float(np.mean(dc)),
        "dct_dc_std": float(np.std(dc)),
        "dct_ac_mean": float(np.mean(ac)),
        "dct_ac_std": float(np.std(ac)),
        "dct_ac_energy": float((np.array(ac) ** 2).sum()),
        **blur(gray),
        "boundary_inconsistency": float(np.mean(lines)) if lines else 0.0,
    }


def original_artifacts(gray: Gray) -> float:
    """Differences of uint8 as numpy takes them, which wraps: 3 - 4 is 255."""
    height, width = gray.shape
    total = 0.0
    for top in range(0, height - 8, 8):
        for left in range(0, width - 8, 8):
            block = gray[top : top + 8, left : left + 8]
            total += np.abs(np.diff(block, axis=0)).mean() + np.abs(np.diff(block, axis=1)).mean()
    return float(total / ((height // 8) * (width // 8)))


def original_stage4(rgb: NDArray[np.uint8]) -> dict[str, float]:
    gray = original_gray(rgb)
    return original_base(gray) | {
        "edge_density": float(canny(gray).mean()),
        "texture_uniformity": 1 / (1 + correlate(gray, np.ones((5, 5)) / 25).std()),
        **{f"color_consistency_{name}": rgb[..., channel].std() for channel, name in enumerate("rgb")},
        "compression_artifacts": original_artifacts(gray),
    }
