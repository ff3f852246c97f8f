"""What a user may bring, in several spellings: what is read or printed, and that their folder is not changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from fvc_exp.data.dataset import Dataset, load_dataset
from fvc_exp.errors import FvcError
from tests.conftest import Compose
from tests.shell import run_py
from tests.video.clips import moving_frames, write_clip

FAST = ("cv.n_splits=2", "cv.test_size=0", "audit.permutations=0", "audit.price=false", "plots=false", "outputs=out",
        "video.workers=1")  # fmt: skip
N = 24
LABELS = np.tile([0, 1], N // 2)
LONG = 1234567890123456789
BASE: dict[str, Any] = {
    "file": [f"clip{row:02d}.mp4" for row in range(N)],
    "label": np.where(LABELS, "fake", "real").tolist(),
    "event": [f"e{row // 4}" for row in range(N)],
    "f0": (LABELS + np.random.default_rng(0).normal(size=N)).tolist(),
    "f1": np.random.default_rng(1).normal(size=N).tolist(),
}
Write = Callable[[Path], object]


def labelled(real: object, fake: object, name: str = "label") -> dict[str, Any]:
    return BASE | {"label": None} | {name: [fake if label else real for label in LABELS]}


def csv(columns: dict[str, Any] | None = None, name: str = "t.csv", **options: Any) -> Write:
    frame = pl.DataFrame({key: each for key, each in (columns or BASE).items() if each is not None}, strict=False)
    return lambda folder: frame.write_csv(folder / name, **options)


def stored(columns: dict[str, Any], name: str = "t.parquet") -> Write:
    return lambda folder: pl.DataFrame(columns, strict=False).write_parquet(folder / name)


def parts(folder: Path) -> None:
    (folder / "t").mkdir()
    for part in range(3):
        pl.DataFrame(BASE)[part * 8 : part * 8 + 8].write_parquet(folder / "t" / f"part-{part}.parquet")
    (folder / "t" / "_SUCCESS").touch()


def partitioned(folder: Path) -> None:
    parquet.write_to_dataset(pa.table(BASE), folder / "t", partition_cols=["label"])


NO_GROUPS = BASE | {"event": None}
# In each four rows two people, each real in one video, and both in two fakes.
PEOPLE = {"target": [2 * (row // 4) + (row % 4) // 2 for row in range(N)]}
PAIRS = BASE | PEOPLE | {"event": None, "source": [2 * (row // 4) + 1 if row % 2 else None for row in range(N)]}
INDEXED = {"": list(range(N)), **BASE}

# What is written, what is typed after it, and the number of groups that the rows then have.
TAKEN: dict[str, tuple[Write, str, int]] = {
    "pandas CSV with index": (csv(INDEXED), "t.csv", 6),
    "tabs": (csv(name="t.tsv", separator="\t"), "t.tsv", 6),
    "semicolons and decimal commas": (csv(separator=";", decimal_comma=True), "t.csv", 6),
    "without its extension": (csv(), "t", 6),
    "gzipped": (csv(name="t.csv.gz", compression="gzip"), "t.csv.gz", 6),
    "parquet": (stored(BASE), "t.parquet", 6),
    "feather": (lambda folder: pl.DataFrame(BASE).write_ipc(folder / "t.feather"), "t.feather", 6),
    "folder of parts": (parts, "t", 6),
    "folder partitioned by label": (partitioned, "t", 6),
    "names in any case": (csv({key.upper(): each for key, each in BASE.items()}), "t.csv", 6),
    "original and manipulated": (csv(labelled("Original", "MANIPULATED")), "t.csv", 6),
    "pristine": (csv(labelled("pristine", "fake")), "t.csv", 6),
    "bonafide and spoof": (csv(labelled("bonafide", "spoof")), "t.csv", 6),
    "authentic and forged": (csv(labelled(" authentic", "forged ")), "t.csv", 6),
    "true and false": (csv(labelled(False, True, "is_fake")), "t.csv", 6),
    "0 and 1": (csv(labelled(0, 1, "Target")), "t.csv", 6),
    "-1 and 1": (csv(labelled(-1, 1, "y")), "t.csv", 6),
    "other words": (csv(labelled("ok", "attack")), "t.csv data.positive=attack", 6),
    "1 is real": (csv(labelled(1, 0, "is_real")), "t.csv data.positive=0", 6),
    "named columns": (
        csv({"nr": range(N), "truth?": BASE["label"], "who": BASE["event"], "f0": BASE["f0"]}),
        "t.csv data.key=nr data.label='truth?' data.group=WHO",
        6,
    ),
    "no key": (csv(BASE | {"file": None}), "t.csv", 6),
    "no groups": (csv(NO_GROUPS), "t.csv", N),
    "two columns of groups are merged": (csv(PAIRS), "t.csv data.group=[source,target]", 6),
    "groups with zeros in front": (csv(BASE | {"event": ["1", "001", "01", "1.0"] * 6}), "t.csv", 4),
    "groups like powers of ten": (csv(BASE | {"event": ["12E3", "12000", "x ", " x"] * 6}), "t.csv", 3),
    "19 digits as text": (csv(BASE | {"event": [LONG + row // 2 for row in range(N)]}), "t.csv", 12),
    "19 digits as int64": (stored(BASE | {"event": [LONG + row // 2 for row in range(N)]}), "t.parquet", 12),
    "floats beside a missing one": (
        stored({**BASE, "event": None, "source": [1.0, None, 2.0, 3.0] * 6, "target": ["9", "1", "2", "7"] * 6}),
        "t.parquet data.group=[source,target]",
        3,
    ),
}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def typed(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and all that is printed; what the user brought is as it was."""
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    done = run_py(*arguments, *FAST, cwd=folder.parent)
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def load(compose: Compose, folder: Path, *words: str) -> Dataset:
    """What a run with these words learns from."""
    config = compose(f"data.root={folder}", *words)
    return load_dataset(config.data, config.features)


@pytest.mark.parametrize(("write", "words", "groups"), TAKEN.values(), ids=TAKEN)
def test_tables_that_are_taken(compose_config: Compose, mine: Path, write: Write, words: str, groups: int) -> None:
    write(mine)
    dataset = load(compose_config, mine, "data=table", *f"data.path={words}".split())
    assert dataset.n_groups == groups
    assert dataset.y[np.argsort(dataset.X[:, 0])].tolist() == LABELS[np.argsort(BASE["f0"])].tolist()
    assert dataset.feature_names == tuple(name for name in ("f0", "f1", "F0", "F1") if name in dataset.feature_names)
    assert "labels from " in " ".join(dataset.notes)


REFUSED: dict[str, tuple[Write, str, str]] = {
    "no label": (csv(BASE | {"label": None}), "t.csv", "column 'label' is missing.*name yours: data.label=COLUMN"),
    "misspelt name": (csv(), "t.csv data.group=evnt", "data.group=evnt: no such column; nearest are 'event'"),
    "words that are no labels": (csv(labelled("ok", "attack")), "t.csv", "if fakes are 'attack': data.positive=attack"),
    "a label that is not there": (csv(), "t.csv data.positive=spoof", "is no value; there are 'fake', 'real'"),
    "a name that says real": (csv(labelled(1, 0, "is_real")), "t.csv", "1 may be real; say which value is fake"),
    "-1, 0 and 1": (csv(BASE | {"label": [-1, 0, 1] * 8}), "t.csv", "column 'label', row 1: -1 is not a label"),
    "several rows of a file": (csv(BASE | {"file": ["a", "b"] * 12}), "t.csv", "keep them together: data.group=file"),
    "19 digits as floats": (
        stored(BASE | {"event": [float(LONG)] * N}),
        "t.parquet",
        "column 'event', row 1: 1.2345678901234568e.18 is a rounded number",
    ),
    "the same in CSV": (csv(BASE | {"event": [str(float(LONG))] * N}), "t.csv", "read it as text .pandas: dtype=str"),
    "empty groups": (csv(BASE | {"event": ["a", " ", "b", "c"] * 6}), "t.csv", "'clip01.mp4', 'clip05.mp4'"),
    "NaN groups": (stored(BASE | {"event": [1.0, float("nan")] * 12}), "t.parquet", "and 9 more have no group"),
    "null groups": (stored(BASE | {"event": ["a", None] * 12}), "t.parquet", "and 9 more have no group"),
    "no such file": (csv(), "other.csv", "other.csv: no such file"),
    "folder without tables": (lambda folder: (folder / "t").mkdir(), "t", "t: is a folder; a table is one file"),
    "other features": (csv(), "t.csv features=stage2", "use data=table without features"),
    "broken gzip": (lambda folder: (folder / "t.csv.gz").write_bytes(b"\x1f\x8b\x08"), "t.csv.gz", "cannot be read"),
}


@pytest.mark.parametrize(("write", "words", "message"), REFUSED.values(), ids=REFUSED)
def test_tables_that_are_refused(compose_config: Compose, mine: Path, write: Write, words: str, message: str) -> None:
    write(mine)
    with pytest.raises(FvcError, match=message):
        load(compose_config, mine, "data=table", *f"data.path={words}".split())


def test_a_table_at_the_shell(mine: Path) -> None:
    csv()(mine)
    words = ("data=table", "data.path=mine/t.csv")
    (taken, printed), (refused, why) = typed(mine, *words), typed(mine, *words, "data.group=evnt")
    assert (taken, refused) == (0, 1), printed + why
    assert "labels from 'label'" in printed
    assert "nearest are 'event'" in why


KEYS = [f"v/{row:03d}" for row in range(N)]
SPELLINGS: dict[str, list[str]] = {
    "dots": [f"./{key}" for key in KEYS],
    "backslashes": [key.replace("/", "\\") for key in KEYS],
    "absolute": [f"ROOT/{key}" for key in KEYS],
    "double slashes and blanks": [f" v//./{key[2:]} " for key in KEYS],
    "numbers with zeros": [key[2:] for key in KEYS],
}


@pytest.mark.parametrize("keys", SPELLINGS.values(), ids=SPELLINGS)
def test_spellings_of_one_video_match(compose_config: Compose, mine: Path, keys: list[str]) -> None:
    there = KEYS if any("/" in key or "\\" in key for key in keys) else [key[2:] for key in KEYS]
    csv({"video_path": there, "label": BASE["label"], "group": BASE["event"]}, "meta.csv")(mine)
    keys = [key.replace("ROOT", str(mine)) for key in keys]
    stored({"video_path": keys, "f0": BASE["f0"], "f1": BASE["f1"]}, "features.parquet")(mine)
    tables = ("data.scaled_metadata=meta", "data.features_stage2=features")
    assert len(load(compose_config, mine, "data=fvc", *tables).y) == N


def test_what_does_not_match_is_shown_from_both_sides(compose_config: Compose, mine: Path) -> None:
    csv({"video_path": KEYS, "label": BASE["label"]}, "scaled_metadata.csv")(mine)
    csv({"video_path": [f"{key}.mp4" for key in KEYS], "f0": BASE["f0"]}, "features_stage2.csv")(mine)
    message = r"24 of 24 rows have no features \('v/000', 'v/001', 'v/002', \.\.\.\)"
    with pytest.raises(FvcError, match=message) as raised:
        load(compose_config, mine, "data=fvc")
    assert "24 are not in it, the nearest is 'v/000.mp4'" in str(raised.value)


# Folders of videos

FF, CELEB = "c23/videos", "0000.mp4"
LAYOUTS: dict[str, tuple[list[str], list[str], set[str]]] = {
    "DFDC": ([f"part/{name}.mp4" for name in "abcdefgh"], [], {"a.mp4 2", "b.mp4 2", "c.mp4 2", "d.mp4 2"}),
    "FaceForensics++": (
        [
            *(f"original_sequences/youtube/{FF}/{name}.mp4" for name in ("000", "001", "002", "003")),
            *(f"manipulated_sequences/Deepfakes/{FF}/{name}.mp4" for name in ("000_003", "001_002", "002_001")),
            f"manipulated_sequences/FaceSwap/{FF}/003_000.mp4",
            "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4",
        ],
        [],
        {"000 4", "001 4"},
    ),
    "Celeb-DF": (
        [f"Celeb-real/id{person}_{CELEB}" for person in range(4)]
        + [f"Celeb-synthesis/id{a}_id{b}_{CELEB}" for a, b in ((0, 1), (1, 0), (2, 3), (3, 2))]
        + [f"YouTube-real/0000{number}.mp4" for number in range(2)],
        [],
        {"id0 4", "id2 4", "YouTube-real/00000.mp4 1", "YouTube-real/00001.mp4 1"},
    ),
    "any case": ([f"{label}/{name}.mp4" for label in ("Real", "FAKE") for name in "abcd"], [], set()),
    "folders": (
        [f"{label}/e{name}/{number}.mp4" for label in ("real", "fake") for name in "xy" for number in range(2)],
        ["data.group=folder"],
        {"ex 4", "ey 4"},
    ),
    "loose clips": ([f"{label}_{number}.mp4" for label in ("real", "fake") for number in range(4)], [], set()),
    "table beside them": (
        [f"{number}.mp4" for number in range(8)],
        ["data.videos=list.csv", "data.group=who"],
        {"w0 2", "w1 2", "w2 2", "w3 2"},
    ),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{n}.mp4", moving_frames(6, height=48, width=64, seed=n)) for n in range(10)]


def lay_out(folder: Path, names: list[str], clips: list[Path]) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(clips[number % len(clips)], folder / name)
    if names and names[0].startswith("part/"):
        fakes = dict(zip("efgh", "abcd", strict=True))
        rows = {f"{name}.mp4": {"label": "FAKE", "original": f"{fakes[name]}.mp4"} for name in fakes}
        reals = {f"{name}.mp4": {"label": "REAL", "split": "train", "original": None} for name in "abcd"}
        (folder / "part" / "metadata.json").write_text(json.dumps(rows | reals))
    if names and names[0] == "0.mp4":
        who = {"Filename": names, "Class": ["real", "fake"] * 4, "who": [f"w{row // 2}" for row in range(8)]}
        pl.DataFrame(who).write_csv(folder / "list.csv")


@pytest.mark.parametrize(("names", "arguments", "expected"), LAYOUTS.values(), ids=LAYOUTS)
def test_folders_of_videos_as_they_are_on_disk(
    mine: Path, clips: list[Path], names: list[str], arguments: list[str], expected: set[str]
) -> None:
    lay_out(mine, names, clips)
    code, printed = typed(mine, "data=videos", "data.root=mine", "stage=features", *arguments)
    assert code == 0, printed
    (table,) = (mine.parent / "out" / "data").glob("mine_*/*/input_metadata.parquet")
    videos = pl.read_parquet(table)
    assert videos["video_path"].to_list() == sorted(name for name in names if "masks" not in name)
    groups = videos["group"].value_counts().rows() if "group" in videos.columns else []
    assert {f"{group} {count}" for group, count in groups} == expected


def test_an_added_video_is_measured_alone_and_nothing_twice(mine: Path, clips: list[Path]) -> None:
    names = [f"{label}/{number}.mp4" for label in ("real", "fake") for number in range(4)]
    counts = []
    for some in (names[1:], [], names[:1]):
        lay_out(mine, some, clips)
        code, printed = typed(mine, "data=videos", "data.root=mine", "stage=features")
        assert code == 0, printed
        counts.append(printed.split("features_stage2.parquet): ")[1].split(", 0 failed")[0])
    assert counts == ["7 done, 0 skipped", "0 done, 7 skipped", "1 done, 7 skipped"]


def test_an_empty_root_is_the_working_folder(mine: Path, clips: list[Path]) -> None:
    lay_out(mine.parent, [f"{label}/{number}.mp4" for label in ("real", "fake") for number in range(4)], clips)
    code, printed = typed(mine, "data=videos", "data.root=")
    assert code == 0, printed
    (results,) = (mine.parent / "out" / "runs").glob("*/results.json")
    assert json.loads(results.read_text())["data"]["rows"] == 8


NOT_VIDEOS: dict[str, tuple[list[str], list[str], str]] = {
    "missing folder": (["real/a.mp4"], ["data.root=there"], "there: no such folder; set data.root=FOLDER"),
    "missing tables": (["real/a.mp4"], ["data=fvc", "data.root=there"], "there: no such folder; set data.root"),
    "missing list": (["real/a.mp4"], ["data.videos=list.csv"], "mine/list.csv: no such file"),
    "one class": (["real/a.mp4", "real/b.mp4"], [], "it has 2 videos, all 'real'; 'fake' is missing"),
    "one class of FaceForensics++": (["original_sequences/a.mp4"], [], "taken as FaceForensics++, it has 1 videos"),
    "no words": (["a.mp4", "b.mp4"], [], "have the word real or fake in each name, or write a table with video_path"),
    "other metadata.json": (["x/metadata.json", "x/a.mp4"], [], "metadata.json: is not like the list of DFDC"),
    "unknown groups": (["real/a.mp4", "fake/a.mp4"], ["data.group=event"], "data.group=event: no such column"),
}


@pytest.mark.parametrize(("names", "arguments", "message"), NOT_VIDEOS.values(), ids=NOT_VIDEOS)
def test_videos_refused_before_measuring(mine: Path, names: list[str], arguments: list[str], message: str) -> None:
    for name in names:
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).touch()
    code, printed = typed(mine, "data=videos", "data.root=mine", *arguments)
    assert code == 1
    assert message in printed
    assert not (mine.parent / "out" / "data").exists()
