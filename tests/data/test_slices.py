from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from fvc_exp.data.columns import find_slices
from fvc_exp.data.dataset import load_dataset
from tests.conftest import Compose

URLS = {
    "https://www.youtube.com/watch?v=abcdefghijk": "youtube",
    "https://youtu.be/abcdefghijk": "youtube",
    "https://www.facebook.com/x/videos/123/": "facebook",
    "https://twitter.com/x/status/1": "twitter",
    "https://x.com/a/status/1": "twitter",
    "https://example.org/video": None,
    None: None,
}


def test_platform_follows_from_the_address() -> None:
    assert find_slices(pl.DataFrame({"video_url": list(URLS)})) == {"platform": tuple(URLS.values())}


def test_a_platform_column_comes_before_the_address() -> None:
    frame = pl.DataFrame({"platform": [" YouTube", None], "video_url": ["https://x.com/a/status/1"] * 2})
    assert find_slices(frame)["platform"] == ("youtube", None)


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
    assert find_slices(frame)["resolution"] == (band, "below 360p")


def test_without_such_columns_or_values_there_are_no_slices() -> None:
    assert find_slices(pl.DataFrame({"label": ["fake"], "width": [3]})) == {}
    assert find_slices(pl.DataFrame({"manipulation": [None]}, schema={"manipulation": pl.String})) == {}


def test_loaded_with_the_data_and_never_learned_from(compose_config: Compose, tables: Path) -> None:
    metadata = pl.read_csv(tables / "scaled_metadata.csv").sort("video_path", descending=True)
    features = pl.read_parquet(tables / "features_stage2.parquet")
    n = len(metadata)
    paths = metadata["video_path"]
    metadata = metadata.with_columns(platform=pl.Series([f"site{name[-5]}" for name in paths]), manipulation=pl.lit(3))
    metadata.write_csv(tables / "scaled_metadata.csv")
    about = pl.Series([f"hash {name}" for name in features["video_path"]])
    features = features.with_columns(content_sha256=about, width=pl.lit(640), height=pl.lit(360), platform=pl.lit(1))
    features.write_parquet(tables / "features_stage2.parquet")
    config = compose_config("data=fvc", f"data.root={tables}")
    dataset = load_dataset(config.data, config.features)
    assert dataset.slices["platform"] == tuple(f"site{name[-5]}" for name in dataset.ids)
    assert dataset.slices["manipulation"] == ("3",) * n
    assert dataset.slices["resolution"] == ("360p to 719p",) * n
    assert dataset.content_sha256 == tuple(f"hash {name}" for name in dataset.ids)
    assert dataset.feature_names == tuple(f"stage2_f{column}" for column in range(5))
    other = replace(dataset, slices={**dataset.slices, "platform": ("youtube",) * n})
    assert other.content_hash() != dataset.content_hash()
