import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from fvc_exp._typing import Frame
from fvc_exp.demo import manipulate

HEIGHT, WIDTH, LENGTH = 120, 200, 20


def fresh_rng() -> Generator:
    return np.random.default_rng(11)


def noise_clip(seed: int = 0, low: int = 60, high: int = 120) -> list[Frame]:
    return list(np.random.default_rng(seed).integers(low, high, (LENGTH, HEIGHT, WIDTH, 3), dtype=np.uint8))


def foreign_clip() -> list[Frame]:
    return noise_clip(1, 180, 250)


def changed(before: list[Frame], after: list[Frame]) -> NDArray[np.bool_]:
    """Which pixels of which frames differ, (frames, height, width)."""
    return (np.array(before) != np.array(after)).any(axis=-1)


@pytest.mark.parametrize("name", manipulate.MANIPULATIONS)
def test_every_manipulation_changes_content_and_nothing_else(name: str) -> None:
    frames, untouched, filmed = noise_clip(), noise_clip(), list[str]()

    def film() -> list[Frame]:
        filmed.append(name)
        return foreign_clip()

    result = manipulate.manipulate(name, frames, fresh_rng(), film)
    assert filmed == (["splice"] if name == "splice" else [])
    assert [(frame.shape, frame.dtype) for frame in result] == [((HEIGHT, WIDTH, 3), np.uint8)] * LENGTH
    assert changed(untouched, result).any()
    np.testing.assert_array_equal(frames, untouched)
    np.testing.assert_array_equal(result, manipulate.manipulate(name, noise_clip(), fresh_rng(), foreign_clip))


def test_splice_shows_the_foreign_clip_in_the_middle_alone() -> None:
    frames, foreign = noise_clip(), foreign_clip()
    result = manipulate.manipulate("splice", frames, fresh_rng(), lambda: foreign)
    middle = np.s_[:, HEIGHT // 2 - 4 : HEIGHT // 2 + 4, WIDTH // 2 - 4 : WIDTH // 2 + 4]
    np.testing.assert_allclose(np.array(result)[middle], np.array(foreign)[middle], atol=1)
    where = changed(frames, result)
    assert not where[:, [0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert 0.1 < where.mean() < 0.7


def test_face_swap_loses_detail_inside_the_oval_alone() -> None:
    frames = noise_clip()
    result = manipulate.face_swap(frames, fresh_rng())
    middle = np.s_[:, HEIGHT // 2 - 12 : HEIGHT // 2 + 12, WIDTH // 2 - 12 : WIDTH // 2 + 12]
    before, after = np.array(frames)[middle], np.array(result)[middle]
    assert after.std() < 0.6 * before.std()
    assert after.mean() == pytest.approx(1.04 * before.mean() + 2, abs=1.5)
    assert not changed(frames, result)[:, [0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_interpolation_is_slow_motion_by_blending() -> None:
    ramp = [np.full((HEIGHT, WIDTH, 3), 10 * index, np.uint8) for index in range(LENGTH)]
    levels = np.array(manipulate.interpolate(ramp, fresh_rng()), float)
    assert np.ptp(levels, axis=(1, 2, 3)).max() == 0
    times = levels[:, 0, 0, 0] / 10
    assert times[0] == 0
    assert 0.44 * (LENGTH - 1) < times[-1] < 0.56 * (LENGTH - 1)
    np.testing.assert_allclose(times, np.linspace(0, times[-1], LENGTH), atol=0.11)


def test_retouching_smooths_skin_and_keeps_edges() -> None:
    noise = np.random.default_rng(3).normal(0, 5, (HEIGHT, WIDTH, 3))
    levels = np.where(np.arange(WIDTH)[None, :, None] < WIDTH // 2, 60, 190)
    frame = np.clip(levels + noise, 0, 255).astype(np.uint8)
    (result,) = manipulate.retouch([frame], fresh_rng())
    left, right = np.s_[:, : WIDTH // 2 - 6], np.s_[:, WIDTH // 2 + 6 :]
    assert result[left].std() < 0.8 * frame[left].std()
    assert result[right].mean() - result[left].mean() == pytest.approx(130, abs=2)
    step = np.abs(np.diff(result.astype(int), axis=1)).mean(axis=(0, 2))
    assert step.argmax() == WIDTH // 2 - 1
    assert step.max() > 100


def test_duplication_freezes_a_third_of_the_clip() -> None:
    frames = noise_clip()
    result = manipulate.duplicate(frames, fresh_rng())
    source = [next(index for index, frame in enumerate(frames) if np.array_equal(frame, shown)) for shown in result]
    frozen = [index for index in range(LENGTH) if source[index] != index]
    assert len(frozen) == round(0.35 * LENGTH) - 1
    assert frozen == list(range(frozen[0], frozen[0] + len(frozen)))
    assert {source[index] for index in frozen} == {frozen[0] - 1}


def test_overlay_covers_its_box_and_nothing_else() -> None:
    frames = noise_clip()
    result = np.array(manipulate.overlay(frames, fresh_rng()))
    shares = manipulate.CAPTION_TOP, manipulate.CAPTION_TOP + manipulate.CAPTION_HEIGHT
    top, bottom = (int(HEIGHT * share) for share in shares)
    right = int(WIDTH * manipulate.CAPTION_WIDTH)
    assert not np.delete(changed(frames, list(result)), np.s_[top:bottom], axis=1).any()
    box = result[:, top:bottom, :right]
    assert (box[:, :, right - 10 :] == manipulate.CAPTION_COLOUR).all()
    assert 0.02 < (box != manipulate.CAPTION_COLOUR).any(axis=-1).mean() < 0.5
    np.testing.assert_array_equal(box, np.broadcast_to(box[0], box.shape))
