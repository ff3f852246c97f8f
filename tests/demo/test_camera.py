from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fvc_exp._typing import Frame
from fvc_exp.demo import camera
from fvc_exp.demo.camera import Camera, draw_scene, film_scene

SIZE = (180, 320)
STILL = np.array([0.0, 0.0, 1.0, 0.0]), np.zeros(4)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_scene_is_colourful_and_repeats_with_its_seed() -> None:
    scene = draw_scene(rng(4))
    assert scene.shape == (camera.HEIGHT, camera.WIDTH, 3)
    np.testing.assert_array_equal(scene, draw_scene(rng(4)))
    assert (scene != draw_scene(rng(5))).mean() > 0.9
    assert scene.std() > 10


def filmed(monkeypatch: pytest.MonkeyPatch, scene: Frame, **changes: object) -> NDArray[np.float64]:
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
    monkeypatch.setattr(camera, "draw_motion", lambda _rng: STILL)
    return np.array(film_scene(scene, 12, SIZE, rng(2)), np.float64)


GRAY = np.full((camera.HEIGHT, camera.WIDTH, 3), 100, np.uint8)


@pytest.mark.parametrize(("kind", "change"), [("read", np.sqrt(2)), ("pattern", 0.0)])
@pytest.mark.parametrize("sigma", [2.0, 5.0])
def test_read_noise_and_pattern_noise(monkeypatch: pytest.MonkeyPatch, kind: str, change: float, sigma: float) -> None:
    clip = filmed(monkeypatch, GRAY, **{f"{kind}_noise_sigma": sigma})
    expected = sigma * np.hypot(32, 14) / 32  # gray and colour part of the noise field
    assert clip[0].std() == pytest.approx(expected, rel=0.05)
    assert np.diff(clip, axis=0).std() == pytest.approx(change * expected, rel=0.05)
    assert clip.mean() == pytest.approx(100, abs=0.4)
