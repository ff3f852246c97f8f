"""What a wrong input is answered with at the shell: one line that says what to type next."""

import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import fvc_exp
from fvc_exp.errors import DataError
from fvc_exp.io.tables import read_table
from tests.shell import run_py, succeeded

# What is typed, and a pattern of the answer.
TYPED = r"""
typo=1  =>  Key 'typo' not in 'Config'; keys: data, features, video, penalty, solver,
penalti=l1  =>  keys: data, .*; did you mean penalty\?$
penalty.l1_ration=0.3  =>  keys of penalty: name, l1_ratio; did you mean penalty\.l1_ratio\?$
data.demo.evnts=3  =>  keys of data\.demo: events, uploads, seed; did you mean data\.demo\.events\?$
max_iter=30  =>  did you mean solver\.max_iter\?$
+penalty.ratio=3  =>  keys of penalty: name, l1_ratio; did you mean penalty\.l1_ratio\?$
penalty=ridge  =>  Could not find 'penalty/ridge'.*elasticnet, l1, l2, none$
penalty.name=ridge  =>  Error merging override penalty.name=ridge; Invalid value 'ridge', expected one of
penalty=elasticnett  =>  elasticnet, l1, l2, none; did you mean penalty=elasticnet\?$
-m penalty=L1  =>  did you mean penalty=l1
stage=trian  =>  \[augment, .*; did you mean train\?$
C=lots  =>  C=lots; Value 'lots' of type 'str' could not be converted to Float
penalty=elasticnet solver=liblinear  =>  penalty=elasticnet cannot be fitted by solver=liblinear
features=[stage2,forensic]  =>  features is one of all, .*: "features\.tables=\[stage2,forensic\]"; .*: -m features=
penalty=[l1,l2]  =>  penalty is one of elasticnet, l1, l2, none, or left out; to run each of them: -m penalty=l1,l2$
-m cv=[grouped,nested]  =>  cv is one of grouped, .*: -m cv=grouped,nested$
penalty=1  =>  penalty=1 is not allowed: penalty is one of elasticnet, l1, l2, none
-m penalty=l1,null  =>  penalty=l1,null is not allowed: penalty is one of
hydra/launcher=null  =>  is one of local, slurm, or left out$
data=table  =>  ^error: data=table needs data\.path=FILE, the table with labels and features$
C=null  =>  null is not allowed for C: leave it out for its default$
C=[1  =>  no viable alternative at input '\[1'
data.root=/tmp/a=b  =>  needs quotes: "data\.root='/tmp/a=b'"$
data.root=~/x  =>  needs quotes: data\.root=/.*/x$
data.root=/tmp/vidéos  =>  needs quotes: "data\.root='/tmp/vidéos'"$
data.root=it's  =>  needs quotes: 'data\.root='"'"'it
data.root=my folder  =>  'folder' has no =: .*"data\.root='my folder'"$
-m C=0.1, 1  =>  C=0\.1, ends with a comma: leave no blank behind it
C=0.1,1  =>  C=0\.1,1 holds several values: .* add -m \(--multirun\), or search=grid
data.columns=f1,f2  =>  stand in brackets: "data\.columns=\[f1,f2\]"$
data.root=a,b  =>  for one text quote it: "data\.root='a,b'"$
cv.c_grid=0.1  =>  it is a list: "cv\.c_grid=\[0\.1\]"$
threshold=1  =>  threshold=1 is not allowed: it must be a number above 0, below 1, or one of f1, youden
threshold=nan  =>  threshold=nan is not allowed
class_weight=balance  =>  it must be null, balanced, or .*: "class_weight=\{0:1,1:2\}"
class_weight=0:1 class_weight=1:2  =>  in quotes at the shell: "class_weight
class_weight={0:1}  =>  for each class
class_weight={0:0,1:2}  =>  a finite number above 0 for each class
class_weight={0:1,1:1,2:1}  =>  class_weight=\{0: 1, 1: 1, 2: 1\} is not allowed
class_weight={0:1,real:2,1:1}  =>  is not allowed
"""
ROWS = [row.split("  =>  ") for row in TYPED.strip().splitlines()]
GROUPS = ("data", "features", "video", "penalty", "solver", "cv", "search", "tracking", "experiment")
ROWS += [[f"{group}=null", rf"^error: {group}=null is not allowed: {group} is one of (\w|, )+"] for group in GROUPS]


@pytest.mark.parametrize(("words", "message"), ROWS, ids=[words for words, _ in ROWS])
def test_a_mistyped_word_is_one_line_that_says_what_to_type(tmp_path: Path, words: str, message: str) -> None:
    done = run_py(*words.split(), f"outputs={tmp_path / 'out'}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line), line
    assert not (tmp_path / "out").exists()


def csv_of(table: pl.DataFrame, path: Path) -> list[str]:
    table.write_csv(path)
    return path.read_text().splitlines()


Write = Callable[[pl.DataFrame, Path], object]


def with_lines(change: Callable[[list[str]], list[str]]) -> Write:
    return lambda table, path: path.write_text("\n".join(change(csv_of(table, path))))


def with_value(value: float) -> Write:
    return lambda table, path: table.with_columns(
        f0=pl.when(pl.int_range(pl.len()) == 4).then(value).otherwise("f0")
    ).write_csv(path)


PAGE = "<!DOCTYPE html>\n<html><body>Sign in</body></html>"
TABLES: dict[str, tuple[Write, str]] = {
    "UTF-16": (lambda t, p: p.write_text("\n".join(csv_of(t, p)), encoding="utf-16"), "is UTF-16 text; save it as CSV"),
    "xlsx": (lambda _, p: p.write_bytes(b"PK\x03\x04rest"), r"is an Excel workbook or .* \(pandas: read_excel, then"),
    "pickle": (lambda t, p: p.write_bytes(pickle.dumps(t.to_dicts())), r"is a Python pickle, .*read_pickle, then to_p"),
    "HTML": (lambda _, p: p.write_text(PAGE), r"is a web page \(HTML\).*download it again"),
    "JSON": (lambda t, p: p.write_text(t.write_json()), "is JSON; .*read_json, then to_parquet"),
    "a pointer": (
        lambda _, p: p.write_text("version https://git-lfs.github.com/spec/v1\n"),
        "is a pointer of Git LFS .* by: git lfs pull",
    ),
    "carets": (lambda t, p: t.write_csv(p, separator="^"), r"its columns are separated by '\^'; save it with commas"),
    "short row": (
        with_lines(lambda lines: [*lines[:7], lines[7].rpartition(",")[0], *lines[8:]]),
        "row 7 has 5 fields, but the header names 6",
    ),
    "short quoted row": (
        with_lines(lambda lines: [*lines[:3], '"a,b","1,5"', *lines[4:]]),
        "row 3 has 2 fields, but the header names 6",
    ),
    "long row": (with_lines(lambda lines: [*lines, lines[1] + ",1"]), r"row \d+ has 7 fields, but the header names 6"),
    "1e200": (with_value(1e200), r"column 'f0', row 5 \(video\d+.mp4\): 1e\+200 is too large to be standardised"),
    "nan_to_num": (with_value(float(np.nan_to_num(np.inf))), r"column 'f0', row 5 .*1\.79\d+e\+308 is too large"),
}


@pytest.mark.parametrize(("write", "message"), TABLES.values(), ids=TABLES)
def test_a_table_that_is_none_is_named_with_what_to_do(tables: Path, write: Write, message: str) -> None:
    write(pl.read_parquet(tables / "features_stage2.parquet"), tables / "odd")
    words = ["data=fvc", f"data.root={tables}", "data.features_stage2=odd"]
    before = {path: path.read_bytes() for path in tables.iterdir()}
    done = run_py(*words, f"outputs={tables.parent / 'out'}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.search(f"^ERROR: .*odd: {message}", line), line
    assert {path: path.read_bytes() for path in tables.iterdir()} == before
    with pytest.raises(DataError, match=message):
        fvc_exp.run(words)


def test_of_500_columns_the_nearest_are_named(tables: Path) -> None:
    lines = csv_of(pl.read_parquet(tables / "features_stage2.parquet"), tables / "odd")
    more = [",".join(f"dim{i}" for i in range(500)), *[",".join("1" * 500)] * (len(lines) - 1)]
    lines[0] = lines[0].replace("video_path", "videopath")
    (tables / "odd").write_text("\n".join(f"{a},{b}" for a, b in zip(lines, more, strict=True)))
    with pytest.raises(DataError, match=r"the table has 506 others, the nearest videopath, (?!.*dim499)") as raised:
        fvc_exp.run(["data=fvc", f"data.root={tables}", "data.features_stage2=odd"])
    assert len(str(raised.value)) < 300 + len(str(tables))


@pytest.mark.parametrize("text", ['a,b\n"x\ny",1\n', 'a,b\n\n"x,1",2\n\n', "a\n1\n", "a,b\r\n1,\r\n"])
def test_a_whole_csv_is_not_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert len(read_table(tmp_path / "t.csv")[0]) >= 1


def folder_of_clips(corpus: Path, folder: Path, n: int) -> Path:
    for label in ("real", "fake"):
        (folder / label).mkdir(parents=True)
        for clip in sorted(corpus.glob(f"demo/*/videos/*{label}*.mp4"))[:n]:
            shutil.copy(clip, folder / label)
    return folder


@pytest.mark.parametrize(
    ("n", "words", "fits"),
    [
        (3, [], "cv.n_splits=3 cv.test_size=0"),
        (5, [], "cv.n_splits=4"),
        (3, ["stage=all"], "cv.n_splits=3 cv.test_size=0"),
        (3, ["-m", "C=0.1,1"], "cv.n_splits=3 cv.test_size=0"),
        (4, ["threshold=f1"], "cv.n_splits=4 cv.test_size=0 cv.inner_splits=3"),
    ],
    ids=["3", "5", "3 all", "3 sweep", "inner"],
)
def test_too_few_videos_are_not_measured(small_demo: Path, tmp_path: Path, n: int, words: list[str], fits: str) -> None:
    clips = folder_of_clips(small_demo, tmp_path / "clips", n)
    data = ["data=videos", f"data.root={clips}", "plots=false", "video.workers=1"]
    done = run_py(*words, *data, f"outputs={tmp_path / 'out'}")
    assert done.returncode == 1
    assert re.search(rf"needs at least \d groups of each class.*; possible here: {fits}$", done.stderr, re.MULTILINE)
    assert "features ..." not in done.stderr
    assert not list(tmp_path.rglob("features_*"))
    if "-m" not in words:
        trained = [word for word in words if word != "stage=all"]
        with pytest.raises(DataError, match=f"; possible here: {fits}$"):
            fvc_exp.run([*data, *trained])
        succeeded(run_py(*data, *trained, *fits.split(), f"outputs={tmp_path}"))


def test_one_group_of_a_class_is_not_enough(tables: Path) -> None:
    metadata = pl.read_csv(tables / "scaled_metadata.csv")
    one = metadata.filter((pl.col("label") == "real") | (pl.col("group") == metadata.filter(label="fake")["group"][0]))
    one.write_csv(tables / "scaled_metadata.csv")
    for call in (
        lambda: fvc_exp.run(["data=fvc", f"data.root={tables}"]),
        lambda: fvc_exp.train_sklearn_logreg(tables),
    ):
        with pytest.raises(DataError, match="each class needs videos of at least 2 groups"):
            call()


def test_broken_videos_are_named_with_their_reason(small_demo: Path, tmp_path: Path) -> None:
    clips = folder_of_clips(small_demo, tmp_path / "clips", 4)
    (clips / "fake" / "torn.mp4").write_bytes(b"\0" * 100)
    (clips / "real" / "note.mp4").write_text("no video")
    data = ("data=videos", f"data.root={clips}", "cv.n_splits=2", "cv.test_size=0")
    words = (*data, "plots=false", "video.workers=1", f"outputs={tmp_path}")
    done = run_py(*words)
    assert done.returncode == 1
    named = r"2 of 10 videos could not be measured: 'fake/torn\.mp4' \(\w+: .+\), 'real/note\.mp4' \(\w+: .+\); mend"
    assert re.search(rf"{named}.*: data\.max_unmatched=0\.2$", done.stderr, re.MULTILINE), done.stderr
    assert run_py(*words, "data.max_unmatched=0.2").returncode == 0


def test_a_run_that_cannot_be_split_keeps_what_the_folder_holds(tables: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "metrics.json").write_text("{}")
    with pytest.raises(DataError, match=r"cv\.n_splits=50 needs at least 50 groups"):
        fvc_exp.train_sklearn_logreg(tables, output_dir=tmp_path / "out", n_splits=50, delete_existing=True)
    words = ["data=fvc", f"data.root={tables}", "cv.n_splits=50"]
    with pytest.raises(DataError, match=r"possible here: cv\.n_splits="):
        fvc_exp.run(words, output_dir=tmp_path / "out", delete_existing=True)
    assert (tmp_path / "out" / "metrics.json").exists()
