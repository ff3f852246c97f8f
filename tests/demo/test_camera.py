from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fvc_exp._typing import Frame
from fvc_exp.demo import camera
from fvc_exp.demo.camera import Camera, Motion, content_parameter, draw_scene, film_scene

SIZE = (180, 320)
STILL = Motion(shift=np.zeros(2), shift_step=np.zeros(2), zoom=1.0, zoom_step=0.0, angle=0.0, angle_step=0.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def log_spectrum_slope(plane: NDArray[np.float32]) -> float:
    """Exponent of the fall of amplitude with frequency, by least squares over the middle of the spectrum."""
    size = plane.shape[0]
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    amplitude = np.abs(np.fft.fft2(plane))
    middle = (frequency > 0.02) & (frequency < 0.4)
    return float(np.polyfit(np.log(frequency[middle]), np.log(amplitude[middle] + 1e-12), 1)[0])


def test_content_stays_in_the_middle_of_its_range() -> None:
    generator = rng()
    values = [content_parameter(generator, 10, 30) for _ in range(2000)]
    reach = 10 * camera.CONTENT_SPREAD
    assert 20 - reach <= min(values) < 20 - 0.95 * reach
    assert 20 + 0.95 * reach < max(values) <= 20 + reach


@pytest.mark.parametrize(("kind", "exponent"), [(0, 1.15), (1, 1.2), (3, 1.3), (5, 1.4)])
def test_textures_are_tiled_noise_with_a_power_law(kind: int, exponent: float) -> None:
    tiled = camera.texture(kind)
    tile = tiled[:512, :512]
    np.testing.assert_array_equal(tiled, np.tile(tile, (2, 2)))
    assert (float(tile.mean()), float(tile.std())) == pytest.approx((0, 1), abs=1e-4)
    assert log_spectrum_slope(tile) == pytest.approx(-exponent, abs=0.03)


def test_scene_is_colourful_and_repeats_with_its_seed() -> None:
    scene = draw_scene(rng(4))
    assert scene.shape == (camera.HEIGHT, camera.WIDTH, 3)
    np.testing.assert_array_equal(scene, draw_scene(rng(4)))
    assert (scene != draw_scene(rng(5))).mean() > 0.9
    assert scene.std() > 10


def test_clip_has_the_size_and_length_asked_for() -> None:
    clip = film_scene(draw_scene(rng()), 5, SIZE, rng(1))
    assert [(frame.shape, frame.dtype) for frame in clip] == [((*SIZE, 3), np.uint8)] * 5
    np.testing.assert_array_equal(clip, film_scene(draw_scene(rng()), 5, SIZE, rng(1)))


def filmed(monkeypatch: pytest.MonkeyPatch, scene: Frame, motion: Motion, **changes: object) -> NDArray[np.float64]:
    """Film with an ideal camera but for the changes, held still but for hand shake."""
    ideal = Camera(
        blur_sigma=0.3,
        read_noise_sigma=0.0,
        pattern_noise_sigma=0.0,
        pattern_offset=(3, 5),
        white_balance=np.ones(3, np.float32),
        sharpening=0.0,
    )
    monkeypatch.setattr(Camera, "draw", lambda _rng: replace(ideal, **changes))
    monkeypatch.setattr(Motion, "draw", lambda _rng: motion)
    return np.array(film_scene(scene, 12, SIZE, rng(2)), np.float64)


GRAY = np.full((camera.HEIGHT, camera.WIDTH, 3), 100, np.uint8)


@pytest.mark.parametrize(("kind", "change"), [("read", np.sqrt(2)), ("pattern", 0.0)])
@pytest.mark.parametrize("sigma", [2.0, 5.0])
def test_read_noise_and_pattern_noise(monkeypatch: pytest.MonkeyPatch, kind: str, change: float, sigma: float) -> None:
    clip = filmed(monkeypatch, GRAY, STILL, **{f"{kind}_noise_sigma": sigma})
    expected = sigma * np.hypot(32, 14) / 32  # gray and colour part of the noise field
    assert clip[0].std() == pytest.approx(expected, rel=0.05)
    assert np.diff(clip, axis=0).std() == pytest.approx(change * expected, rel=0.05)
    assert clip.mean() == pytest.approx(100, abs=0.4)


def test_white_balance_scales_the_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = filmed(monkeypatch, GRAY, STILL, white_balance=np.array([0.9, 1.0, 1.1], np.float32))
    np.testing.assert_allclose(clip.mean(axis=(0, 1, 2)), [90, 100, 110], atol=0.6)


def test_pan_moves_the_picture_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    pan = replace(STILL, shift_step=np.array([4.0, -1.0]))
    clip = filmed(monkeypatch, draw_scene(rng(6)), pan).mean(axis=-1)
    window = cv2.createHanningWindow(SIZE[::-1], cv2.CV_64F)
    (x, y), _ = cv2.phaseCorrelate(clip[0], clip[10], window)
    assert (x, y) == pytest.approx((-40, 10), abs=4)


def test_lens_blur_and_sharpening_work_against_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = draw_scene(rng(7))
    detail = {
        name: np.abs(np.diff(filmed(monkeypatch, scene, STILL, **changes), axis=2)).mean()
        for name, changes in {"ideal": {}, "blurred": {"blur_sigma": 1.2}, "sharp": {"sharpening": 0.6}}.items()
    }
    assert detail["blurred"] < 0.9 * detail["ideal"] < 0.9 * detail["sharp"]
