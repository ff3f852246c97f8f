from pathlib import Path

import polars as pl
import pytest

from fvc_exp.data import columns, grouping

URLS = {
    "https://www.youtube.com/watch?v=abcdefghijk": "youtube",
    "https://youtu.be/abcdefghijk": "youtube",
    "https://www.facebook.com/x/videos/123/": "facebook",
    "https://twitter.com/x/status/1": "twitter",
    "https://x.com/a/status/1": "twitter",
    "https://example.org/video": None,
    None: None,
}


def test_platform_follows_from_its_column_or_else_from_the_address() -> None:
    assert columns.find_slices(pl.DataFrame({"video_url": list(URLS)})) == {"platform": tuple(URLS.values())}
    frame = pl.DataFrame({"platform": [" YouTube", None], "video_url": ["https://x.com/a/status/1"] * 2})
    assert columns.find_slices(frame)["platform"] == ("youtube", None)


BANDS = [
    (480, 270, "below 360p"),
    (640, 360, "360p to 719p"),
    (720, 1280, "720p to 1079p"),
    (1919, 1079, "720p to 1079p"),
    (1080, 1920, "1080p and above"),
    (None, 360, None),
]


@pytest.mark.parametrize(("width", "height", "band"), BANDS)
def test_resolution_band_is_that_of_the_shorter_side(width: int | None, height: int, band: str | None) -> None:
    frame = pl.DataFrame({"width": [width, 10], "height": [height, 10]}, schema_overrides={"width": pl.Int64})
    assert columns.find_slices(frame)["resolution"] == (band, "below 360p")


def test_without_such_columns_or_values_there_are_no_slices() -> None:
    assert columns.find_slices(pl.DataFrame({"label": ["fake"], "width": [3]})) == {}
    assert columns.find_slices(pl.DataFrame({"manipulation": [None]}, schema={"manipulation": pl.String})) == {}


GROUPS: dict[str, tuple[dict[str, list[str | None]], str | None, list[str]]] = {
    "no column": ({}, None, ["x/a", "x/b", "x/c"]),
    "all alone": ({"video_id": ["1", "2", "3"]}, None, ["x/a", "x/b", "x/c"]),
    "the next one": ({"group": ["1", "2", "3"], "Cascade_ID": ["1", "1 ", "2"]}, "Cascade_ID", ["1", "1", "2"]),
    "originals without a value": ({"Original": [None, "a", ""]}, "Original", ["a", "a", "c"]),
    "originals in folders": ({"original_video": ["x/b", None, None]}, "original_video", ["x/b", "x/b", "x/c"]),
}


@pytest.mark.parametrize(("found", "column", "names"), GROUPS.values(), ids=GROUPS)
def test_the_first_shared_column_wins(found: dict[str, list[str | None]], column: str | None, names: list[str]) -> None:
    table = pl.DataFrame({"video_path": ["x/a", "x/b", "x/c"], **found})
    chosen, groups, notes = grouping.find_groups(table, Path("x"))
    assert (chosen, groups.to_list()) == (column, names)
    assert [note.split("'")[1] for note in notes] == [name for name in found if name != column]


def test_groups_with_equal_files_are_joined_along_chains_and_named_after_the_first() -> None:
    groups, files = ["g10", "g2", "g2", "g3", "g4", "g4"], ["x", "x", "y", "y", None, None]
    assert grouping.join_equal_files(pl.Series(groups), pl.Series(files)).to_list() == ["g2"] * 4 + ["g4"] * 2
