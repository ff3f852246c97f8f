"""Still scenes, and cameras that film them: hand movement, optics, sensor noise and in-camera processing.

Scenes follow the dead-leaves model of natural images (Lee, Mumford and Huang 2001) with 1/f textures.
"""

from functools import cache

import cv2
import numpy as np
from cv2.typing import MatLike

from fvc_exp._typing import Array, Array32, Frame

Size = tuple[int, int]  # height, width in pixels
_NOISE_SHAPE = (900, 1200)
_NOISE_SIGMA = 32.0  # of the shared noise field, around its mean of 128

HEIGHT, WIDTH = 520, 800  # pixels; larger than any clip, so that a camera can move over it

# Share of each content range that is used. At 1 the differences between scenes and cameras drown every manipulation.
CONTENT_SPREAD = 0.25
_TEXTURE_EXPONENTS = (1.15, 1.2, 1.25, 1.3, 1.35, 1.4)  # amplitude falls as frequency to this power
_TEXTURE_SIZE = 512
_MIN_RADIUS, _MAX_RADIUS = 6, 200
_RADIUS_EXPONENT = 1.5  # of the power law of leaf sizes


def content_parameter(rng: np.random.Generator, low: float, high: float) -> float:
    """A content parameter, uniform in the middle ``CONTENT_SPREAD`` of low to high."""
    middle, reach = (low + high) / 2, (high - low) / 2 * CONTENT_SPREAD
    return float(rng.uniform(middle - reach, middle + reach))


@cache
def texture(kind: int) -> Array32:
    """Tiled 1/f noise of mean 0 and standard deviation 1, twice the period high and wide; the same in every process."""
    size = _TEXTURE_SIZE
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1
    white = np.random.default_rng([100, kind]).standard_normal((size, size))
    noise = np.fft.irfft2(np.fft.rfft2(white) / frequency ** _TEXTURE_EXPONENTS[kind], s=(size, size))
    return np.tile(((noise - noise.mean()) / noise.std()).astype(np.float32), (2, 2))


def draw_scene(rng: np.random.Generator) -> Frame:
    """A scene of ``HEIGHT`` x ``WIDTH`` RGB: opaque textured discs, ellipses and boxes, the largest at the back."""
    scene = _textured(rng, (HEIGHT, WIDTH), colour=_colour(rng, 105, 145), contrast=content_parameter(rng, 3, 16))
    radii = _MIN_RADIUS * (1 - rng.random(round(content_parameter(rng, 40, 160)))) ** (-1 / _RADIUS_EXPONENT)
    for radius in sorted(np.minimum(radii, _MAX_RADIUS).astype(int).tolist(), reverse=True):
        _lay_leaf(scene, rng, radius)
    return scene


def _lay_leaf(scene: Frame, rng: np.random.Generator, radius: int) -> None:
    x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
    left, top = max(0, x - radius), max(0, y - radius)
    part = scene[top : y + radius + 1, left : x + radius + 1]
    leaf = _textured(rng, part.shape[:2], colour=_colour(rng, 95, 160), contrast=content_parameter(rng, 1, 12))
    cv2.copyTo(leaf, _leaf_mask(rng, part.shape[:2], (x - left, y - top), radius), part)


def _leaf_mask(rng: np.random.Generator, shape: tuple[int, ...], centre: tuple[int, int], radius: int) -> Frame:
    mask = np.zeros(shape, np.uint8)
    match rng.integers(3):
        case 0:
            cv2.circle(mask, centre, radius, 255, cv2.FILLED)
        case 1:
            cv2.ellipse(mask, centre, (radius, radius // 2), rng.uniform(0, 180), 0, 360, 255, cv2.FILLED)
        case _:
            mask[1:-1, 1:-1] = 255
    return mask


def _textured(rng: np.random.Generator, shape: tuple[int, ...], colour: Array, contrast: float) -> Frame:
    pattern = texture(int(rng.integers(len(_TEXTURE_EXPONENTS))))
    height, width = shape
    tiled_height, tiled_width = pattern.shape
    top = int(rng.integers(min(_TEXTURE_SIZE, tiled_height - height + 1)))
    left = int(rng.integers(min(_TEXTURE_SIZE, tiled_width - width + 1)))
    shade = pattern[top : top + height, left : left + width, None] * np.float32(contrast)
    return np.asarray(np.clip(shade + colour.astype(np.float32), 0, 255), np.uint8)


def _colour(rng: np.random.Generator, low: float, high: float) -> Array:
    brightness = rng.uniform(low, high)
    return np.clip(brightness + rng.normal(0, 0.16 * brightness + 6, 3), 0, 255)


def draw_motion(rng: np.random.Generator) -> tuple[Array, Array]:
    """A handheld pan, zoom and roll that stays over the scene for a clip of about a second.

    The shift x, y in pixels, zoom, and angle in degrees of the first frame, and what is added to them per frame.
    """
    shift, shift_step = rng.uniform(-50, 50, 2), rng.normal(0, 1.6, 2)
    zoom, zoom_step = content_parameter(rng, 1.0, 1.3), rng.normal(0, 0.003)
    angle, angle_step = rng.normal(0, 3), rng.normal(0, 0.06)
    return np.array([*shift, zoom, angle]), np.array([*shift_step, zoom_step, angle_step])


def _scene_to_frame(pose: Array, scene: Size, frame: Size) -> Array:
    """The 2 x 3 affine map from positions (x, y) in the scene to positions in a frame."""
    centre, middle = np.array(scene[::-1]) / 2, np.array(frame[::-1]) / 2
    turned = np.asarray(cv2.getRotationMatrix2D(centre.tolist(), pose[3], pose[2]), np.float64)
    turned[:, 2] += middle - centre - pose[:2]
    return turned


def film_scene(scene: Frame, length: int, size: Size, rng: np.random.Generator) -> list[Frame]:
    """Film a scene with a random camera: ``length`` RGB frames of ``size``, before any compression."""
    top, left = rng.integers(0, 300, 2).tolist()
    ranges = ((0.5, 1.2), (3.0, 7.0), (0.5, 2.0))  # blur in pixels, noise of reading and of the sensor in gray levels
    blur, read_noise, pattern_noise = (content_parameter(rng, low, high) for low, high in ranges)
    white_balance = rng.uniform(0.9, 1.1, 3).astype(np.float32)
    sharpening = content_parameter(rng, 0.0, 0.7)
    start, step = draw_motion(rng)
    height, width = size
    pattern = _window(_noise_field(), (top, left), size)
    view = np.asarray(np.clip(cv2.GaussianBlur(scene, (0, 0), blur) * white_balance, 0, 255), np.uint8)
    shake = np.zeros(2)
    clip = []
    for index in range(length):
        shake = 0.8 * shake + rng.normal(0, 0.6, 2)
        pose = start + step * index
        pose[:2] += shake
        matrix = _scene_to_frame(pose, (scene.shape[0], scene.shape[1]), size)
        picture = cv2.warpAffine(view, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        corner = (int(rng.integers(_NOISE_SHAPE[0] - height)), int(rng.integers(_NOISE_SHAPE[1] - width)))
        picture = _add_noise(picture, _window(_noise_field(), corner, size), read_noise)
        picture = _add_noise(picture, pattern, pattern_noise)
        sharp = cv2.addWeighted(picture, 1 + sharpening, cv2.GaussianBlur(picture, (3, 3), 0.9), -sharpening, 0)
        clip.append(np.asarray(sharp, np.uint8))
    return clip


@cache
def _noise_field() -> Frame:
    """Mostly gray noise, cut at random offsets: drawing new noise for each frame would cost more than the encoder."""
    rng = np.random.default_rng(7)
    gray = rng.standard_normal((*_NOISE_SHAPE, 1), dtype=np.float32) * np.float32(_NOISE_SIGMA)
    colour = rng.standard_normal((*_NOISE_SHAPE, 3), dtype=np.float32) * np.float32(14)
    return np.asarray(np.clip(np.rint(gray + colour + 128), 0, 255), np.uint8)


def _window(field: Frame, corner: Size, size: Size) -> Frame:
    (top, left), (height, width) = corner, size
    return field[top : top + height, left : left + width]


def _add_noise(picture: MatLike, noise: Frame, sigma: float) -> MatLike:
    weight = sigma / _NOISE_SIGMA
    return cv2.addWeighted(picture, 1, noise, weight, -128 * weight)
