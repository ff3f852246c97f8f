import numpy as np

from fvc_exp.demo import camera
from fvc_exp.demo.camera import draw_scene, film_scene

SIZE = (180, 320)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_scene_is_colourful_and_repeats_with_its_seed() -> None:
    scene = draw_scene(rng(4))
    assert scene.shape == (camera.HEIGHT, camera.WIDTH, 3)
    np.testing.assert_array_equal(scene, draw_scene(rng(4)))
    assert (scene != draw_scene(rng(5))).mean() > 0.9
    assert scene.std() > 10


def test_a_film_repeats_with_its_seed_and_moves() -> None:
    scene = draw_scene(rng(4))
    film = np.array(film_scene(scene, 3, SIZE, rng(2)))
    assert film.shape == (3, *SIZE, 3)
    np.testing.assert_array_equal(film, np.array(film_scene(scene, 3, SIZE, rng(2))))
    assert (film[0] != film[1]).mean() > 0.5
