"""Cameras: a still scene -> a clip with hand movement, optics, sensor noise and in-camera processing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.random import Generator
from numpy.typing import NDArray

from fvc_exp._typing import Array, Frame
from fvc_exp.demo.scene import CONTENT_SPREAD, content_parameter

Size = tuple[int, int]  # height, width in pixels

_NOISE_SHAPE = (900, 1200)

_NOISE_SIGMA = 32.0  # of the shared noise field, around its mean of 128


@dataclass(frozen=True)
class Camera:
    """What one device does to every picture; sigmas in pixels (blur) and gray levels (noise)."""

    blur_sigma: float
    read_noise_sigma: float
    pattern_noise_sigma: float
    pattern_offset: tuple[int, int]
    white_balance: NDArray[np.float32]
    sharpening: float
    denoises: bool

    @classmethod
    def draw(cls, rng: Generator) -> Camera:
        """A camera with random properties."""
        top, left = rng.integers(0, 300, 2).tolist()
        return cls(
            blur_sigma=content_parameter(rng, 0.5, 1.2),
            read_noise_sigma=content_parameter(rng, 1.0, 5.0),
            pattern_noise_sigma=content_parameter(rng, 0.5, 2.0),
            pattern_offset=(top, left),
            white_balance=rng.uniform(0.9, 1.1, 3).astype(np.float32),
            sharpening=content_parameter(rng, 0.0, 0.7),
            denoises=bool(rng.random() < 0.35 * CONTENT_SPREAD),
        )


@dataclass(frozen=True)
class Motion:
    """A handheld pan, zoom and roll: start values and their change per frame; shift in pixels, angle in degrees."""

    shift: Array
    shift_step: Array
    zoom: float
    zoom_step: float
    angle: float
    angle_step: float

    @classmethod
    def draw(cls, rng: Generator) -> Motion:
        """A random motion that stays over the scene for a clip of about a second."""
        return cls(
            shift=rng.uniform(-50, 50, 2),
            shift_step=rng.normal(0, 1.6, 2),
            zoom=content_parameter(rng, 1.0, 1.3),
            zoom_step=rng.normal(0, 0.003),
            angle=rng.normal(0, 3),
            angle_step=rng.normal(0, 0.06),
        )

    def scene_to_frame(self, scene: Size, frame: Size, index: int, shake: Array) -> Array:
        """The 2 x 3 affine map from positions (x, y) in the scene to positions in frame ``index``."""
        centre, middle = np.array(scene[::-1]) / 2, np.array(frame[::-1]) / 2
        angle, zoom = self.angle + self.angle_step * index, self.zoom + self.zoom_step * index
        turned = np.asarray(cv2.getRotationMatrix2D(centre.tolist(), angle, zoom), np.float64)
        turned[:, 2] += middle - centre - (self.shift + self.shift_step * index + shake)
        return turned


def film_scene(scene: Frame, length: int, size: Size, rng: Generator) -> list[Frame]:
    """Film a scene with a random camera: ``length`` RGB frames of ``size``, before any compression."""
    camera, motion = Camera.draw(rng), Motion.draw(rng)
    height, width = size
    pattern = _window(_noise_field(), camera.pattern_offset, size)
    view = _through_lens(scene, camera)
    shake = np.zeros(2)
    clip = []
    for index in range(length):
        shake = 0.8 * shake + rng.normal(0, 0.6, 2)
        matrix = motion.scene_to_frame((scene.shape[0], scene.shape[1]), size, index, shake)
        picture = cv2.warpAffine(
            view, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        corner = (int(rng.integers(_NOISE_SHAPE[0] - height)), int(rng.integers(_NOISE_SHAPE[1] - width)))
        picture = _add_noise(picture, _window(_noise_field(), corner, size), camera.read_noise_sigma)
        picture = _add_noise(picture, pattern, camera.pattern_noise_sigma)
        clip.append(_process(picture, camera))
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


def _through_lens(scene: Frame, camera: Camera) -> Frame:
    blurred = cv2.GaussianBlur(scene, (0, 0), camera.blur_sigma)
    return np.asarray(np.clip(blurred * camera.white_balance, 0, 255), np.uint8)


def _add_noise(picture: MatLike, noise: Frame, sigma: float) -> MatLike:
    weight = sigma / _NOISE_SIGMA
    return cv2.addWeighted(picture, 1, noise, weight, -128 * weight)


def _process(picture: MatLike, camera: Camera) -> Frame:
    if camera.denoises:
        picture = cv2.GaussianBlur(picture, (3, 3), 0.55)
    soft = cv2.GaussianBlur(picture, (3, 3), 0.9)
    return np.asarray(cv2.addWeighted(picture, 1 + camera.sharpening, soft, -camera.sharpening, 0), np.uint8)
