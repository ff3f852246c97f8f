import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fvc_exp.config.schema import FeaturesConfig, Table
from fvc_exp.data.dataset import Dataset, load_dataset
from fvc_exp.data.grouping import some_groups
from fvc_exp.errors import DataError
from tests.conftest import data_config

METADATA = {"video_path": ["a", "b", "c", "d"], "label": ["real", "fake", "real", "fake"], "group": [1, 2, 1, 3]}
FEATURES = {"video_path": ["a", "b", "c", "d"], "noise": [1.0, 2.0, 3.0, 4.0], "blur": [4, 3, 2, 1]}


def load(folder: Path, metadata: Any = None, features: Any = None, stage4: Any = None, **options: Any) -> Dataset:
    pl.DataFrame(metadata or METADATA, strict=False).write_parquet(folder / "scaled_metadata.parquet")
    pl.DataFrame(features or FEATURES, strict=False).write_parquet(folder / "features_stage2.parquet")
    tables = [Table.stage2]
    if stage4:
        pl.DataFrame(stage4).write_parquet(folder / "features_stage4.parquet")
        tables.append(Table.stage4)
    settings: dict[str, object] = {"scaled_metadata": "scaled_metadata", "max_unmatched": 0.0}
    settings |= {"features_stage2": "features_stage2", "features_stage4": "features_stage4" if stage4 else None}
    return load_dataset(data_config(folder, **(settings | options)), FeaturesConfig("some", tables))


def test_joins_sorts_and_prefixes(tmp_path: Path) -> None:
    shuffled = {"video_path": ["d", "b", "a", "c"], "noise": [4.0, 2.0, 1.0, 3.0], "blur": [1, 3, 4, 2]}
    dataset = load(tmp_path, features=shuffled)
    assert dataset.feature_names == ("stage2_noise", "stage2_blur")
    np.testing.assert_array_equal(dataset.X, [[1, 4], [2, 3], [3, 2], [4, 1]])
    np.testing.assert_array_equal(dataset.y, [0, 1, 0, 1])
    assert dataset.ids.to_list() == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(dataset.groups, [0, 1, 0, 2])
    assert (dataset.group_column, dataset.n_groups) == ("group", 3)


def test_two_tables_and_no_double_prefix(tmp_path: Path) -> None:
    stage4 = {"video_path": ["a", "b", "c", "d"], "stage4_edges": [0.1, 0.2, 0.3, 0.4], "noise": [1.0, 1.0, 2.0, 2.0]}
    dataset = load(tmp_path, stage4=stage4)
    assert dataset.feature_names == ("stage2_noise", "stage2_blur", "stage4_edges", "stage4_noise")


def test_equal_files_are_one_group_with_a_note(tmp_path: Path) -> None:
    measured = FEATURES | {"content_sha256": ["p", "p", None, None]}
    dataset = load(tmp_path, features=measured)
    assert (dataset.group_column, dataset.groups.tolist()) == ("group", [0, 0, 0, 1])
    assert dataset.notes == ("videos whose files are equal stay together: 3 groups became 2",)
    alone = load(tmp_path, METADATA | {"group": [1, 2, 3, 4]}, measured)
    assert (alone.group_column, alone.groups.tolist()) == (None, [0, 0, 1, 2])
    assert alone.notes[0] == "column 'group' names no groups: it has a different value in every row"


def test_ignored_columns_and_notes_of_all_tables(tmp_path: Path) -> None:
    stage4 = {"video_path": ["a", "b", "c", "d"], "target": [0, 1, 0, 1], "blur": [1, 2, 1, 2], "title": list("abcd")}
    dataset = load(tmp_path, features=FEATURES | {"index": [4, 1, 2, 3]}, stage4=stage4, columns=["b*", "noise"])
    assert dataset.feature_names == ("stage2_noise", "stage2_blur", "stage4_blur")
    assert dataset.ignored_columns == dict.fromkeys(("index", "target", "title"), "not in data.columns")
    every = load(tmp_path, stage4=stage4)
    assert every.ignored_columns == {"target": "equals the label", "title": "text"}
    assert every.notes == ("features_stage4.parquet: not learned from: 'target' (equals the label)",)
    with pytest.raises(DataError, match=r"columns: 'target' matches no .*have blur, noise, title, target \(equals the"):
        load(tmp_path, stage4=stage4, columns=["blur", "target"])


def test_missing_values_stay_missing_and_are_counted(tmp_path: Path) -> None:
    dataset = load(tmp_path, features=FEATURES | {"noise": [1.0, None, math.nan, 4.0]})
    assert np.isnan(dataset.X[1:3, 0]).all()
    assert dataset.missing_values == {"stage2_noise": 2}


def test_constant_columns_are_dropped_and_named(tmp_path: Path) -> None:
    dataset = load(tmp_path, features=FEATURES | {"blur": [7.0, 7.0, None, 7.0]})
    assert dataset.feature_names == ("stage2_noise",)
    assert dataset.constant_features == ("stage2_blur",)


def test_what_kind_of_video_a_row_is_is_loaded_and_never_learned_from(tmp_path: Path) -> None:
    about = {"platform": ["y", "X", "y", "x"], "manipulation": [3] * 4}
    measured = {"content_sha256": list("pqrs"), "width": [640] * 4, "height": [360] * 4, "platform": [1, 2, 3, 4]}
    counts = {"frames_ok": [1, 2, 3, 4], "label": [0, 1, 0, 1], "duration_s": [1.0, 2.0, 3.0, 4.0]}
    measured |= {"feature_version": ["1"] * 4}  # by our own stages
    dataset = load(tmp_path, METADATA | about, FEATURES | measured | counts)
    assert dataset.slices["platform"] == ("y", "x", "y", "x")
    assert dataset.slices["manipulation"] == ("3",) * 4
    assert dataset.slices["resolution"] == ("360p to 719p",) * 4
    assert dataset.content_sha256.to_list() == list("pqrs")
    assert dataset.feature_names == ("stage2_noise", "stage2_blur")
    other = load(tmp_path, METADATA | about | {"platform": ["y"] * 4}, FEATURES | measured | counts)
    assert other.content_hash != dataset.content_hash


SHORT = {"video_path": ["a", "b", "c"], "noise": [1.0, 2.0, 3.0]}
UNMEASURED = {"video_path": ["a", "b", "c", "d"], "noise": [1.0, 2.0, 3.0, None]}


@pytest.mark.parametrize("features", [SHORT, UNMEASURED], ids=["no row", "row without values"])
def test_unmatched_rows_up_to_a_share(tmp_path: Path, features: dict[str, list[Any]]) -> None:
    dataset = load(tmp_path, features=features, max_unmatched=0.25)
    assert (dataset.ids.to_list(), dataset.unmatched) == (["a", "b", "c"], ("d",))
    with pytest.raises(DataError, match=r"scaled_metadata.*1 of 4 rows have no features \('d'\).*max_unmatched=0\.2"):
        load(tmp_path, features=features, max_unmatched=0.2)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no rows": ({"metadata": METADATA | {"video_path": [], "label": [], "group": []}}, r"the table has no rows"),
    "odd label": ({"metadata": METADATA | {"label": [0, 1, "parody", 1]}}, r"column 'label', row 3: 'parody'"),
    "missing label": ({"metadata": METADATA | {"label": [0, None, 0, 1]}}, r"column 'label', row 2: None"),
    "one class": ({"metadata": METADATA | {"label": ["fake"] * 4}}, r"every row is 'fake'"),
    "video twice": ({"metadata": METADATA | {"video_path": list("abad")}}, r"row 3: 'a' is in row 1"),
    "missing group": ({"metadata": METADATA | {"group": [1, None, 1, 3]}}, r"column 'group': video 'b' has no group"),
    "feature row twice": ({"features": FEATURES | {"video_path": list("abcc")}}, r"row 4: 'c' is in row 3"),
    "missing key": ({"features": FEATURES | {"video_path": ["a", None, "c", "d"]}}, r"row 2: the value is missing"),
    "all constant": ({"features": FEATURES | {"noise": [1.0] * 4, "blur": [2.0] * 4}}, r"all 2 features are constant"),
    "no label column": ({"metadata": {"video_path": ["a"]}}, r"scaled_metadata\.parquet: column 'label' is missing"),
    "no key column": ({"features": {"noise": [1.0]}}, r"features_stage2\.parquet: column 'video_path' is missing"),
    "no numeric feature": ({"features": {"video_path": ["a"], "note": ["x"]}}, r"no numeric feature column"),
    "one class left": (
        {"features": {"video_path": ["a", "c"], "noise": [1.0, 2.0]}, "max_unmatched": 0.9},
        r"of the 2 rows that have features every one is of one class",
    ),
    "table not configured": ({"features_stage2": None}, r"features=some needs the table data\.features_stage2"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_tables_are_refused_by_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, **change)


def test_hash_follows_content_not_form(tmp_path: Path) -> None:
    first = load(tmp_path).content_hash
    order = [2, 0, 3, 1]
    shuffled = {name: [values[row] for row in order] for name, values in METADATA.items()}
    assert load(tmp_path, shuffled).content_hash == first
    assert load(tmp_path, features=FEATURES | {"noise": [1.0, 2.0, 3.0, 4.0000001]}).content_hash != first
    assert load(tmp_path, METADATA | {"label": ["real", "fake", "fake", "real"]}).content_hash != first
    assert load(tmp_path, METADATA | {"group": [1, 1, 1, 3]}).content_hash != first


def test_some_groups_are_whole_and_of_both_classes() -> None:
    groups = pl.Series(np.random.default_rng(0).integers(0, 300, 2000).astype(str))
    labels = pl.Series([int(name) % 2 for name in groups])
    taken = some_groups(groups, labels, 100)
    assert not set(groups.filter(taken)) & set(groups.filter(~taken))
    largest = groups.value_counts()["count"].max()
    assert all(50 <= (labels.filter(taken) == label).sum() < 50 + largest for label in (0, 1))
    assert some_groups(groups, labels, 5000).all()
