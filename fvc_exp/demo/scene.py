"""Still scenes: the dead-leaves model of natural images (Lee, Mumford and Huang 2001) with 1/f textures."""

from functools import cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fvc_exp._typing import Array, Frame

HEIGHT, WIDTH = 520, 800  # pixels; larger than any clip, so that a camera can move over it

# Share of each content range that is used. At 1 the differences between scenes and cameras drown every manipulation.
CONTENT_SPREAD = 0.25

_TEXTURE_EXPONENTS = (0.8, 1.0, 1.2, 1.5, 0.8, 1.0, 1.2, 1.5)  # amplitude falls as frequency to this power

_TEXTURE_SIZE = 512

_MIN_RADIUS, _MAX_RADIUS = 6, 200

_RADIUS_EXPONENT = 1.5  # of the power law of leaf sizes


def content_parameter(rng: Generator, low: float, high: float) -> float:
    """A content parameter, uniform in the middle ``CONTENT_SPREAD`` of low to high."""
    middle, reach = (low + high) / 2, (high - low) / 2 * CONTENT_SPREAD
    return float(rng.uniform(middle - reach, middle + reach))


@cache
def texture(kind: int) -> NDArray[np.float32]:
    """Tiled 1/f noise of mean 0 and standard deviation 1, twice the period high and wide; the same in every process."""
    size = _TEXTURE_SIZE
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1
    white = np.random.default_rng([100, kind]).standard_normal((size, size))
    noise = np.fft.irfft2(np.fft.rfft2(white) / frequency ** _TEXTURE_EXPONENTS[kind], s=(size, size))
    standardised = (noise - noise.mean()) / noise.std()
    return np.tile(standardised.astype(np.float32), (2, 2))


def draw_scene(rng: Generator) -> Frame:
    """A scene of ``HEIGHT`` x ``WIDTH`` RGB: opaque textured discs, ellipses and boxes, the largest at the back."""
    scene = _textured(rng, (HEIGHT, WIDTH), colour=_colour(rng, 60, 190), contrast=content_parameter(rng, 5, 26))
    leaves = round(content_parameter(rng, 40, 160))
    radii = _MIN_RADIUS * (1 - rng.random(leaves)) ** (-1 / _RADIUS_EXPONENT)
    for radius in sorted(np.minimum(radii, _MAX_RADIUS).astype(int).tolist(), reverse=True):
        _lay_leaf(scene, rng, radius)
    return scene


def _lay_leaf(scene: Frame, rng: Generator, radius: int) -> None:
    x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
    left, top = max(0, x - radius), max(0, y - radius)
    part = scene[top : y + radius + 1, left : x + radius + 1]
    leaf = _textured(rng, part.shape[:2], colour=_colour(rng, 20, 235), contrast=content_parameter(rng, 1, 20))
    cv2.copyTo(leaf, _leaf_mask(rng, part.shape[:2], (x - left, y - top), radius), part)


def _leaf_mask(rng: Generator, shape: tuple[int, ...], centre: tuple[int, int], radius: int) -> Frame:
    mask = np.zeros(shape, np.uint8)
    match rng.integers(3):
        case 0:
            cv2.circle(mask, centre, radius, 255, cv2.FILLED)
        case 1:
            cv2.ellipse(mask, centre, (radius, radius // 2), rng.uniform(0, 180), 0, 360, 255, cv2.FILLED)
        case _:
            mask[1:-1, 1:-1] = 255
    return mask


def _textured(rng: Generator, shape: tuple[int, ...], colour: Array, contrast: float) -> Frame:
    pattern = texture(int(rng.integers(len(_TEXTURE_EXPONENTS))))
    height, width = shape
    tiled_height, tiled_width = pattern.shape
    top = int(rng.integers(min(_TEXTURE_SIZE, tiled_height - height + 1)))
    left = int(rng.integers(min(_TEXTURE_SIZE, tiled_width - width + 1)))
    shade = pattern[top : top + height, left : left + width, None] * np.float32(contrast)
    return np.asarray(np.clip(shade + colour.astype(np.float32), 0, 255), np.uint8)


def _colour(rng: Generator, low: float, high: float) -> Array:
    brightness = rng.uniform(low, high)
    return np.clip(brightness + rng.normal(0, 0.16 * brightness + 6, 3), 0, 255)
