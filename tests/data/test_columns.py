from pathlib import Path

import polars as pl
import pytest

from fvc_exp.data import columns

URLS = {
    "https://www.youtube.com/watch?v=abcdefghijk": "youtube",
    "https://youtu.be/abcdefghijk": "youtube",
    "https://www.facebook.com/x/videos/123/": "facebook",
    "https://twitter.com/x/status/1": "twitter",
    "https://x.com/a/status/1": "twitter",
    "https://example.org/video": None,
    None: None,
}


LABELS: dict[str, list[object]] = {
    "words": ["Real", " FAKE", "real", "fake"],
    "integers": [0, 1, 0, 1],
    "floats": [0.0, 1.0, 0.0, 1.0],
    "booleans": [False, True, False, True],
    "digits": ["0", "1", "0", "1"],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_spellings_of_labels(labels: list[object]) -> None:
    assert columns.two_class_codes(pl.Series("label", labels), Path("x")).to_list() == [0, 1, 0, 1]


def test_platform_follows_from_the_address() -> None:
    assert columns.find_slices(pl.DataFrame({"video_url": list(URLS)})) == {"platform": tuple(URLS.values())}


def test_a_platform_column_comes_before_the_address() -> None:
    frame = pl.DataFrame({"platform": [" YouTube", None], "video_url": ["https://x.com/a/status/1"] * 2})
    assert columns.find_slices(frame)["platform"] == ("youtube", None)


@pytest.mark.parametrize(
    ("width", "height", "band"),
    [
        (480, 270, "below 360p"),
        (640, 360, "360p to 719p"),
        (720, 1280, "720p to 1079p"),
        (1919, 1079, "720p to 1079p"),
        (1080, 1920, "1080p and above"),
        (None, 360, None),
    ],
)
def test_resolution_band_is_that_of_the_shorter_side(width: int | None, height: int, band: str | None) -> None:
    frame = pl.DataFrame({"width": [width, 10], "height": [height, 10]}, schema_overrides={"width": pl.Int64})
    assert columns.find_slices(frame)["resolution"] == (band, "below 360p")


def test_without_such_columns_or_values_there_are_no_slices() -> None:
    assert columns.find_slices(pl.DataFrame({"label": ["fake"], "width": [3]})) == {}
    assert columns.find_slices(pl.DataFrame({"manipulation": [None]}, schema={"manipulation": pl.String})) == {}
