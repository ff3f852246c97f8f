import io
from collections import Counter

import av
import numpy as np
import pytest

from fvc_exp.demo import event as events
from fvc_exp.demo.event import Clip, make_event
from fvc_exp.demo.manipulate import MANIPULATIONS


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """The facts of 60 events, made of one gray frame each to save time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "film_scene", lambda _scene, _length, size, _rng: [np.full((*size, 3), 90, np.uint8)])
        patch.setattr(events, "draw_scene", lambda _rng: np.zeros((2, 2, 3), np.uint8))
        patch.setattr(events, "recompress", lambda frames, **_settings: frames)
        patch.setattr(events, "encode", lambda _frames, file, **_settings: file.write(b"mp4"))
        return [clip for event in range(60) for clip, _ in make_event(0, event, 2)]


def test_classes_and_manipulations_are_balanced(clips: list[Clip]) -> None:
    assert Counter(clip.label for clip in clips) == {"real": 60, "fake": 60}
    assert Counter(clip.manipulation for clip in clips) == {"none": 60, **dict.fromkeys(MANIPULATIONS, 10)}
    assert all((clip.manipulation == "none") == (clip.label == "real") for clip in clips)


def test_an_event_has_one_label_and_its_copies_differ(clips: list[Clip]) -> None:
    by_group: dict[str, list[Clip]] = {}
    for clip in clips:
        by_group.setdefault(clip.group, []).append(clip)
    assert len(by_group) == 60
    for copies in by_group.values():
        assert [clip.upload for clip in copies] == [0, 1]
        assert len({(clip.label, clip.manipulation, clip.scale, clip.frames) for clip in copies}) == 1
    assert len({clip.file_name for clip in clips}) == 120


def test_both_classes_take_the_same_way_to_the_platform(clips: list[Clip]) -> None:
    """But for the scale of the passing on, whose ranges overlap."""
    by_label = {label: [clip for clip in clips if clip.label == label] for label in ("real", "fake")}
    crf = {label: np.mean([clip.crf for clip in of_label]) for label, of_label in by_label.items()}
    assert crf["real"] == pytest.approx(22, abs=0.6)
    assert crf["fake"] == pytest.approx(crf["real"], abs=0.8)
    scales = {label: [clip.scale for clip in of_label] for label, of_label in by_label.items()}
    assert (min(scales["real"]), max(scales["real"])) == pytest.approx((0.5, 1.0), abs=0.03)
    assert (min(scales["fake"]), max(scales["fake"])) == pytest.approx((0.33, 0.66), abs=0.03)


def test_clips_have_the_sizes_of_the_platform(clips: list[Clip]) -> None:
    sizes = {(320, 180), (288, 162)}
    upright = {(height, width) for width, height in sizes}
    assert {(clip.width, clip.height) for clip in clips} == sizes | upright
    assert {clip.fps for clip in clips} == {24, 25, 30}
    assert {clip.frames for clip in clips} <= set(range(16, 24))


@pytest.mark.parametrize("event", [0, 3], ids=["real", "splice"])
def test_files_are_what_the_facts_say_and_the_same_every_time(event: int) -> None:
    made = list(make_event(1, event, 2))
    assert made == list(make_event(1, event, 3))[:2]
    for clip, content in made:
        with av.open(io.BytesIO(content)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.average_rate) == ("h264", clip.fps)
            shapes = [frame.to_ndarray(format="rgb24").shape for frame in container.decode(stream)]
        assert shapes == [(clip.height, clip.width, 3)] * clip.frames
    assert made[0][1] != made[1][1]


def test_seeds_and_events_differ() -> None:
    contents = [next(make_event(seed, event, 1))[1] for seed, event in ((0, 0), (1, 0), (0, 2))]
    assert len(set(contents)) == 3
