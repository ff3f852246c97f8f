from collections import Counter
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fvc_exp.video.perturb import KINDS, Operation, augment, perturb, plan
from tests.video.clips import LIMITS, decode_rgb, moving_frames, probe, write_clip, x264

Frame = NDArray[np.uint8]
NAMES = [name for kind in KINDS for name in kind]


def apply(name: str, frames: list[Frame], **parameters: float) -> list[Frame]:
    return list(perturb(iter(frames), Operation(name, parameters), np.random.default_rng(0)))


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return moving_frames(40, height=48, width=64)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", moving_frames(30))


def test_plans_depend_on_seed_path_and_index_alone() -> None:
    plans = {(seed, path, index): plan(seed, path, index) for seed in (1, 2) for path in "ab" for index in range(10)}
    # By chance two may be the same one operation without a parameter, hardly more.
    assert len({" + ".join(map(str, operations)) for operations in plans.values()}) > 0.8 * len(plans)
    for arguments, operations in reversed(plans.items()):
        assert plan(*arguments) == operations


def test_plans_use_everything_in_order_and_in_range() -> None:
    order = {name: number for number, kind in enumerate(KINDS) for name in kind}
    seen: Counter[str] = Counter()
    sizes: Counter[int] = Counter()
    for index in range(2000):
        operations = plan(0, "a.mp4", index)
        numbers = [order[operation.name] for operation in operations]
        assert numbers == sorted(set(numbers))
        sizes[len(operations)] += 1
        for operation in operations:
            seen[operation.name] += 1
            ranges = KINDS[order[operation.name]][operation.name].ranges
            assert operation.parameters.keys() == ranges.keys()
            for name, value in operation.parameters.items():
                assert ranges[name][0] <= value <= ranges[name][1]
    assert set(seen) == set(NAMES)
    assert set(sizes) == {1, 2, 3, 4}
    # One operation of a kind is as likely as another: 2000 x 0.625 plans have the kind, spread over its members.
    for kind in KINDS:
        counts = [seen[name] for name in kind]
        assert sum(counts) == pytest.approx(1250, rel=0.1)
        assert min(counts) == pytest.approx(1250 / len(kind), rel=0.2)


def test_descriptions_hold_all_parameters() -> None:
    operations = (Operation("crop", {"share": 0.9, "x": 0.25, "y": 1.0}), Operation("flip", {}))
    assert " + ".join(map(str, operations)) == "crop(share=0.9, x=0.25, y=1) + flip()"


def test_flip(frames: list[Frame]) -> None:
    np.testing.assert_array_equal(apply("flip", frames), np.array(frames)[:, :, ::-1])


def test_crop(frames: list[Frame]) -> None:
    np.testing.assert_array_equal(apply("crop", frames, share=0.75, x=1.0, y=0.0), np.array(frames)[:, :36, 16:])


def test_rescale(frames: list[Frame]) -> None:
    half = np.array(frames, float).reshape(40, 24, 2, 32, 2, 3).mean((2, 4))
    np.testing.assert_allclose(np.array(apply("rescale", frames, factor=0.5), float), half, atol=0.51)


def test_rotate_turns_counter_clockwise_about_the_centre() -> None:
    frame = np.zeros((65, 65, 3), np.uint8)
    frame[30:35, 55:60] = 255  # to the right of the centre
    turned = apply("rotate", [frame], degrees=5.0)[0][..., 0] > 127
    y, x = (indices.mean() - 32 for indices in np.nonzero(turned))
    angle = np.radians(5)
    assert (x, y) == pytest.approx((25 * np.cos(angle), -25 * np.sin(angle)), abs=0.6)


def test_noise_has_its_strength_and_differs_between_frames() -> None:
    gray = [np.full((100, 100, 3), 128, np.uint8)] * 2
    noisy = np.array(apply("noise", gray, sigma=6.0), float) - 128
    assert noisy.std(axis=(1, 2, 3)) == pytest.approx([6, 6], rel=0.03)
    assert abs(np.corrcoef(noisy[0].ravel(), noisy[1].ravel())[0, 1]) < 0.03


def test_brightness_and_contrast_do_not_wrap() -> None:
    frame = np.array([0, 100, 128, 250], np.uint8).reshape(1, 4, 1).repeat(3, 2)
    assert apply("brightness", [frame], levels=20.0)[0][0, :, 0].tolist() == [20, 120, 148, 255]
    assert apply("brightness", [frame], levels=-20.0)[0][0, :, 0].tolist() == [0, 80, 108, 230]
    assert apply("contrast", [frame], factor=1.25)[0][0, :, 0].tolist() == [0, 93, 128, 255]


def test_blur_is_gaussian(frames: list[Frame]) -> None:
    point = np.zeros((31, 31, 3), np.uint8)
    point[15, 15] = 255
    spread = apply("blur", [point], sigma=1.0)[0][15, :, 0].astype(float)
    expected = 255 / (2 * np.pi) * np.exp(-((np.arange(31) - 15) ** 2) / 2)
    np.testing.assert_allclose(spread, expected, atol=1.5)


@pytest.mark.parametrize(("name", "lowest", "highest"), [("drop", 780, 820), ("duplicate", 1180, 1220)])
def test_drop_and_duplicate_at_random(name: str, lowest: int, highest: int) -> None:
    numbered = [np.full((2, 2, 3), number, np.int64) for number in range(1000)]
    shown = perturb(iter(numbered), Operation(name, {"share": 0.2}), np.random.default_rng(3))
    kept = [int(frame[0, 0, 0]) for frame in shown]
    assert lowest <= len(kept) <= highest
    assert kept == sorted(kept)
    assert kept[0] == 0
    assert len(set(kept)) == (1000 if name == "duplicate" else len(kept))


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_speed_plays_evenly(factor: float) -> None:
    numbered = [np.full((2, 2, 3), number, np.uint8) for number in range(100)]
    shown = [int(frame[0, 0, 0]) for frame in apply("speed", numbered, factor=factor)]
    assert shown == [int(np.floor(k * factor)) for k in range(len(shown))]
    assert len(shown) == np.ceil(100 / factor)


@pytest.mark.parametrize("name", NAMES)
def test_one_frame_is_enough(name: str, frames: list[Frame]) -> None:
    kind = next(kind for kind in KINDS if name in kind)
    highest = {parameter: bounds[1] for parameter, bounds in kind[name].ranges.items()}
    assert len(apply(name, frames[:1], **highest)) >= 1


def find_index(*names: str) -> int:
    """The first augmentation of clip.mp4 that applies exactly these operations."""
    wanted = list(names)
    return next(i for i in range(10_000) if [operation.name for operation in plan(5, "clip.mp4", i)] == wanted)


def write(clip: Path, target: Path, index: int) -> Path:
    augment(clip, target, seed=5, video_path="clip.mp4", index=index, limits=LIMITS)
    return target


def test_files_are_the_same_bytes_in_any_order(clip: Path, tmp_path: Path) -> None:
    indices = [find_index("drop", "noise", "compress"), find_index("rotate"), find_index("duplicate", "crop", "blur")]
    first = [write(clip, tmp_path / f"{index}.mp4", index).read_bytes() for index in indices]
    again = [write(clip, tmp_path / "again.mp4", index).read_bytes() for index in reversed(indices)]
    assert again[::-1] == first
    assert len(set(first)) == 3


def test_compression_changes_size_and_nothing_else(clip: Path, tmp_path: Path) -> None:
    compressed = write(clip, tmp_path / "a.mp4", find_index("compress"))
    flipped = write(clip, tmp_path / "b.mp4", find_index("flip"))
    assert compressed.stat().st_size < 0.7 * flipped.stat().st_size
    for source, copy, mirrored in zip(*map(decode_rgb, (clip, compressed, flipped)), strict=True):
        assert cv2.PSNR(source, copy) > 25
        assert cv2.PSNR(source, np.ascontiguousarray(mirrored[:, ::-1])) > 35


def test_odd_sizes_are_cut_to_even(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving_frames(3, height=71, width=95), x264(pixel_format="yuv444p"))
    copy = write(clip, tmp_path / "copy.mp4", find_index("flip"))
    assert decode_rgb(copy)[0].shape == (70, 94, 3)


def test_copy_keeps_the_pixel_aspect(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "wide.mp4", moving_frames(3, 48, 64), x264(pixel_aspect=Fraction(3, 2)))
    augment(source, tmp_path / "copy.mp4", seed=0, video_path="wide.mp4", index=0, limits=LIMITS)
    assert probe(source, LIMITS).display == probe(tmp_path / "copy.mp4", LIMITS).display == (0, Fraction(3, 2))
