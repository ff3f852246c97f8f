import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from fvc_exp.data.feature_table import FeatureTable, read_feature_table
from fvc_exp.errors import DataError

N = 12
BLUR = [0.5, 3.0, 1.0, 2.0] * 3
LABEL = [0] * 6 + [1] * 6
FEATURES: dict[str, Any] = {"video_path": [f"v{row:02d}" for row in range(N)], "blur": BLUR, "dct_0": BLUR[::-1]}
LABELS = pl.DataFrame({"video_path": FEATURES["video_path"], "label": LABEL})


def read(path: Path, more: dict[str, Any] | None = None, *chosen: str) -> FeatureTable:
    path = path / "table.parquet"
    pl.DataFrame(FEATURES | (more or {}), strict=False).write_parquet(path)
    return read_feature_table(path, "stage2_", chosen, LABELS)


def read_csv(path: Path, *cells: str) -> FeatureTable:
    """With a column ``x`` of these cells, then of the cell 2."""
    column = [*cells, *["2"] * (N - len(cells))]
    text = "video_path,x\n" + "".join(f"v{row:02d},{cell}\n" for row, cell in enumerate(column))
    (path / "table.csv").write_text(text)
    return read_feature_table(path / "table.csv", "stage2_", (), LABELS)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "unnamed: 0.1", "__index_level_0__", "level_1", "Index", "id"])
def test_columns_named_like_an_index_are_ignored_unless_named_in_data_columns(tmp_path: Path, name: str) -> None:
    column = {name: BLUR}
    found = read(tmp_path, column)
    assert (list(found.names), found.ignored) == (["stage2_blur", "stage2_dct_0"], {name: "index"})
    assert found.notes == (f"table.parquet: not learned from: {name!r} (index)",)
    assert read(tmp_path, column, name, "*").ignored == {}
    assert read(tmp_path, column, "*").ignored == {name: "index"}


@pytest.mark.parametrize(("index", "why"), [(["rank"], "index"), ([{"kind": "range"}], None), (3, None)])
def test_the_index_that_pandas_wrote_is_ignored(tmp_path: Path, index: object, why: str | None) -> None:
    metadata = {"pandas": json.dumps({"index_columns": index})}
    written = pa.table(FEATURES | {"rank": BLUR}).replace_schema_metadata(metadata)
    pq.write_table(written, tmp_path / "table.parquet")
    assert read_feature_table(tmp_path / "table", "stage2_", (), LABELS).ignored.get("rank") == why


@pytest.mark.parametrize("first", [0, 1, 7.0])
def test_the_row_number_is_ignored(tmp_path: Path, first: float) -> None:
    counted = [first + row for row in range(N)]
    assert read(tmp_path, {"count": counted}).ignored == {"count": "row number"}
    assert read(tmp_path, {"count": [*counted[:3], 99, *counted[4:]], "back": counted[::-1]}).ignored == {}


@pytest.mark.parametrize("name", ["target", "is_fake", "Y", "class", "isReal", "video_label"])
def test_a_copy_of_the_label_in_any_code_is_ignored(tmp_path: Path, name: str) -> None:
    for codes in (LABEL, [1 - label for label in LABEL], [2.0 * label - 1 for label in LABEL], [None, *LABEL[1:]]):
        assert read(tmp_path, {name: codes}).ignored == {name: "equals the label"}
    assert read(tmp_path, {name: [1, *LABEL[1:]], "sharp": LABEL}).ignored == {}


def test_names_of_the_stages_are_features_of_other_tables(tmp_path: Path) -> None:
    same = {"width": BLUR, "rotation": BLUR, "fold": BLUR, "height": BLUR, "duration_s": BLUR}
    found = read(tmp_path, same)
    assert list(found.names.values()) == ["blur", "dct_0", *same]
    assert found.notes[0].endswith("facts of these names: width, rotation, fold, height, duration_s")
    own = read(tmp_path, same | {"feature_version": ["1"] * N, "codec": ["264"] * N})
    assert own.ignored == dict.fromkeys((*same, "codec"), "about the file")
    assert (list(own.names.values()), own.notes, own.versions) == (["blur", "dct_0"], (), {"1"})


@pytest.mark.parametrize("cell", ["null", "NA", "n/a", "<NA>", "#N/A", "nan", "NAN", "None", "-", "?", ".", "", "  "])
def test_words_for_missing_and_blanks_around_numbers(tmp_path: Path, cell: str) -> None:
    values = read_csv(tmp_path, "  1.5 ", cell, "1e1\t", "True").frame["stage2_x"]
    assert values.to_list() == [1.5, None, 10.0, 1.0] + [2.0] * (N - 4)


BAD_CELLS = {
    "word": (["1", "broken", "1.5"], r"csv: column 'x', row 2 \(v01\): 'broken' is no number \(1 such cells of 12"),
    "unit": (["12%", "7", "9%"], r"row 1 \(v00\): '12%' is no number \(2 such .*data\.columns=\[NAME,PATTERN\*\]"),
    "infinity": (["1", " inf", "?"], r"column 'x', row 2 \(v01\): inf is not a finite number"),
}


@pytest.mark.parametrize(("cells", "message"), BAD_CELLS.values(), ids=BAD_CELLS)
def test_other_cells_are_refused(tmp_path: Path, cells: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_csv(tmp_path, *cells)


def test_columns_without_numbers_are_ignored(tmp_path: Path) -> None:
    others = {
        "title": [*"abcdefghijkl"],
        "few": ["7", *"bcdefghijk", ""],
        "empty": [None] * N,
        "day": [date(2020, 1, 1)] * N,
    }
    why = {"title": "text", "few": "text in 10 of 11 cells, first 'b' in row 2", "empty": "no value"}
    why["day"] = "not numbers (Date)"
    assert read(tmp_path, others).ignored == why


@pytest.mark.parametrize("kind", [pl.List(pl.Float32), pl.Array(pl.Int64, 2)])
@pytest.mark.parametrize("chosen", ["emb", "emb_*", "stage2_e*"])
def test_lists_of_one_length_become_columns(tmp_path: Path, kind: Any, chosen: str) -> None:
    rows = [None, *([row, row % 5] for row in range(1, N))]
    found = read(tmp_path, {"emb": pl.Series(rows, dtype=kind)}, chosen)
    assert found.names == {"stage2_emb_0": "emb", "stage2_emb_1": "emb"}
    expected = np.array([[np.nan, np.nan], *rows[1:]])
    np.testing.assert_array_equal(found.frame.select(found.names.keys()).to_numpy(), expected)


def test_lists_of_several_lengths_are_refused_where_they_are_used(tmp_path: Path) -> None:
    ragged = {"emb": [[1.0, 2.0]] * 4 + [[1.0]] + [[1.0, 2.0]] * 7}
    with pytest.raises(DataError, match=r"column 'emb', row 5 \(v04\): 1 numbers in its list, elsewhere there are 2"):
        read(tmp_path, ragged)
    assert read(tmp_path, ragged, "blur").ignored["emb"] == "not in data.columns"


def test_two_columns_for_one_feature_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'blur' and 'stage2_blur' both give the feature 'stage2_blur'"):
        read(tmp_path, {"stage2_blur": BLUR})


@pytest.mark.parametrize("chosen", ["dct_*", "stage2_dct_0", "dct_[0-9]"])
def test_names_and_patterns_choose(tmp_path: Path, chosen: str) -> None:
    found = read(tmp_path, {"group": BLUR}, chosen, "group")
    assert list(found.names) == ["stage2_dct_0"]
    assert found.ignored == {"blur": "not in data.columns", "group": "names groups"}
