import csv
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from fvc_exp.data.layouts import DUPLICATES, SEEDS, read_corpus
from fvc_exp.errors import DataError
from fvc_exp.evaluation.leakage.external import audit_files
from tests.conftest import CORPUS, needs_corpus
from tests.shell import fvc, one_line


@pytest.fixture(scope="module")
def published() -> pl.DataFrame:
    """All 5,084 lines labelled fake or real, with the merged group of their cascade."""
    group_of = dict(read_corpus(CORPUS).videos.select("cascade_id", "group").iter_rows())
    lines = [
        (f"line{number}", fields["label"], group_of[fields["cascade_id"]])
        for name in (SEEDS, DUPLICATES)
        for number, fields in enumerate(csv.DictReader((CORPUS / name).read_text(encoding="utf-8-sig").splitlines()))
        if fields["label"] in ("fake", "real")
    ]
    table = pl.DataFrame(lines, schema=["video_path", "label", "group"], orient="row")
    return table.with_columns(video_path=pl.format("{}_{}", "group", pl.int_range(pl.len())))


def assign_folds(table: pl.DataFrame, splitter: StratifiedKFold | StratifiedGroupKFold) -> pl.DataFrame:
    y = (table["label"] == "fake").to_numpy()
    fold = np.empty(len(y), dtype=int)
    groups = table["group"].to_numpy() if isinstance(splitter, StratifiedGroupKFold) else None
    for number, (_, test) in enumerate(splitter.split(y, y, groups)):
        fold[test] = number
    return table.select("video_path", fold=pl.Series(fold))


@needs_corpus
@pytest.mark.parametrize("seed", [0, 42])
@pytest.mark.parametrize("splitter", [StratifiedKFold, StratifiedGroupKFold])
def test_published_corpus(published: pl.DataFrame, tmp_path: Path, seed: int, splitter: type[StratifiedKFold]) -> None:
    leaks = splitter is StratifiedKFold
    assert (len(published), published["group"].n_unique()) == (5084, 367)
    published.write_csv(tmp_path / "ids.csv")
    assign_folds(published, splitter(5, shuffle=True, random_state=seed)).write_parquet(tmp_path / "folds.parquet")
    arguments = ["audit", "--ids", str(tmp_path / "ids.csv"), "--folds", str(tmp_path / "folds"), "--json"]
    done = fvc(*arguments)
    found = json.loads(done.stdout)
    assert (found["verdict"], done.returncode) == (("FAIL", 1) if leaks else ("PASS", 0))
    lookup = found["checks"]["probes"]["cv"]
    assert lookup["accuracy"] == (pytest.approx(0.977, abs=0.005) if leaks else pytest.approx(0.574, abs=0.0005))
    assert lookup["base_rate"] == pytest.approx(0.574, abs=0.0005)
    assert found["checks"]["groups"]["share"] == pytest.approx(0.984 if leaks else 0.0, abs=0.003)


Columns = dict[str, list[object]]
IDS = {"video_path": list("abcdef"), "label": ["fake", "real"] * 3, "group": ["g", "g", "h", "h", "i", "i"]}
FOLDS = {"video_path": list("abcdef"), "fold": [0, 0, 1, 1, 2, 2]}


def write(folder: Path, ids: Columns, folds: Columns) -> tuple[Path, Path]:
    pl.DataFrame(ids).write_csv(folder / "ids.csv")
    pl.DataFrame(folds).write_csv(folder / "folds.csv")
    return folder / "ids.csv", folder / "folds.csv"


def test_command_prints_verdict_and_reasons(tmp_path: Path) -> None:
    torn, ungrouped = FOLDS | {"fold": [0, 1, 2, 0, 1, 2]}, {"video_path": list("abcdef")}
    cases = ((IDS, FOLDS, "PASS", 0), (IDS, torn, "FAIL", 1), (ungrouped, FOLDS, "UNCHECKED", 0))
    for ids, folds, verdict, code in cases:
        ids_file, folds_file = write(tmp_path, ids, folds)
        done = fvc("audit", "--ids", ids_file, "--folds", folds_file)
        assert done.returncode == code
        assert f"audit {verdict}" in one_line(done.stdout)
        unknown = "not checked: groups_unknown: no column names groups" in one_line(done.stdout)
        assert unknown == (verdict == "UNCHECKED")
        assert ("group_crossing" in done.stdout) == (verdict == "FAIL")
        assert "not checked: leaky_null: there are no features" in one_line(done.stdout)


def test_videos_alone_can_only_be_checked_by_what_is_known(tmp_path: Path) -> None:
    ids = {"video_path": list("abcdef"), "content_sha256": ["1", "2", "1", "3", "4", None]}
    found, notes = audit_files(*write(tmp_path, ids, FOLDS))
    checks = found.to_json()["checks"]
    assert (checks["groups"], checks["probes"], notes) == (None, None, ())
    assert ([reason.split(":")[0] for reason in found.messages("failed")], found.verdict) == (["same_file"], "FAIL")


def test_notes_name_what_the_files_do_not_share(tmp_path: Path) -> None:
    ids, folds = write(tmp_path, IDS, {"video_path": list("abcdx"), "fold": [0, 0, 1, 1, 1]})
    found, notes = audit_files(ids, folds)
    assert found.verdict == "PASS"
    assert notes == (f"{ids}: 2 of its videos are in no fold", f"{folds}: 1 of its videos are not in the data")


WRONG_TABLES = {
    "no videos": ({"name": ["a"]}, FOLDS, r"ids\.csv: column 'video_path' is missing"),
    "strangers": (IDS, {"video_path": ["x"], "fold": [0]}, r"names none of the videos"),
    "no test": (IDS, {"video_path": list("abcdef"), "split": ["train"] * 6}, r"no row is tested"),
}


@pytest.mark.parametrize(("ids", "folds", "message"), WRONG_TABLES.values(), ids=WRONG_TABLES)
def test_wrong_tables_are_refused(tmp_path: Path, ids: Columns, folds: Columns, message: str) -> None:
    with pytest.raises(DataError, match=message):
        audit_files(*write(tmp_path, ids, folds))
