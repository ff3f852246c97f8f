"""A run in one file: small, complete, and believed only as far as its numbers can be derived again."""

import io
import json
import os
import pickle
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fvc_exp.errors import ArtifactError, FvcError
from fvc_exp.runs import pack as pack_module
from fvc_exp.runs.load import LoadedRun
from fvc_exp.runs.pack import verify_pack, write_pack
from tests.conftest import edit_json, make_dataset, write_tables
from tests.shell import ROOT, fvc, run_process, run_py, succeeded

Edit = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def packed(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack that nobody may change."""
    return write_pack(LoadedRun(finished_run), tmp_path_factory.mktemp("packed") / "run.fvcpack")


def edited(packed: Path, place: Path, name: str, edit: Edit) -> Path:
    """A copy with another content of one of its files."""
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(place / "edited", "w", zipfile.ZIP_DEFLATED) as new:
        for each in old.namelist():
            new.writestr(each, edit(old.read(each)) if each == name else old.read(each))
    return place / "edited"


def test_a_pack_needs_nothing_beside_it(copied_run: Path, packed: Path, tmp_path: Path) -> None:
    """At the shell, with the run and its data gone; equal runs leave equal packs."""
    printed = succeeded(fvc("pack", copied_run)).stdout.strip()
    assert (Path(printed).parent, Path(printed).read_bytes()) != (tmp_path, packed.read_bytes())  # its folder is named
    for path in tmp_path.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink() if path.suffix != ".fvcpack" else None
    done = succeeded(fvc("verify", printed))
    assert re.search(r"packed rows \(sha256 \w+\), folds and configuration, bit for bit", done.stdout)
    assert json.loads(fvc("verify", printed, "--json").stdout)["identical"]


SETTINGS = {"folds made elsewhere": ["cv=predefined", "cv.folds=folds.csv"], "platforms": ["cv=leave_platform_out"]}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_other_folds(tables: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str]) -> None:
    monkeypatch.chdir(tables)
    rows = pl.read_csv(tables / "scaled_metadata.csv")
    places = rows["group"].str.slice(-5).cast(pl.Int64)
    rows.select("video_path", fold=places % 3).write_csv(tables / "folds.csv")
    platform = pl.when(places % 5 < 3).then(pl.lit("YouTube")).otherwise(pl.lit("Vimeo"))
    rows.with_columns(platform=platform).write_csv(tables / "scaled_metadata.csv")
    succeeded(run_py("data=fvc", "data.root=.", "plots=false", "hydra.run.dir=run", *settings, cwd=tables))
    made = write_pack(LoadedRun(tables / "run"), tables / "made")
    (tables / "folds.csv").unlink()
    assert str(verify_pack(made)).startswith("identical")


def test_one_megabyte_holds_the_corpus(tmp_path: Path) -> None:
    """3,278 rows of 26 features in which nothing repeats, in ten repeats of the folds."""
    random, groups = np.random.default_rng(0), np.arange(3278)
    write_tables(tmp_path, make_dataset(random.normal(size=(3278, 26)), groups % 2, groups))
    words = ("data=fvc", "data.root=.", "plots=false", "cv=repeated", "audit.permutations=0", "hydra.run.dir=run")
    succeeded(run_py(*words, cwd=tmp_path))
    assert 26 * 3278 * 8 < write_pack(LoadedRun(tmp_path / "run"), tmp_path / "made").stat().st_size < 1_000_000


@pytest.fixture
def of_another_processor(copied_run: Path, tmp_path: Path) -> Path:
    """A pack that says it was made on another processor."""
    edit_json(copied_run / "provenance.json", processor="another")
    return write_pack(LoadedRun(copied_run), tmp_path / "other")


@pytest.mark.parametrize(("shift", "holds"), [(0.0, True), (1e-8, True), (1e-4, False)])
def test_another_processor_is_compared_within_a_tolerance(
    of_another_processor: Path, tmp_path: Path, shift: float, holds: bool
) -> None:
    def shifted(content: bytes) -> bytes:
        return pl.read_csv(content).with_columns(pl.col("coefficient") + shift).write_csv().encode()

    found = verify_pack(edited(of_another_processor, tmp_path, "coefficients.csv", shifted))
    assert (found.identical, found.tolerance) == (holds, 1e-6)
    assert found.changed[0].startswith("processor another -> ")
    assert not holds or found.largest == pytest.approx(shift, abs=1e-12)
    assert "compared within 1e-06" in str(found) or holds


@pytest.mark.slow
def test_other_routines_of_blas_agree(of_another_processor: Path) -> None:
    command = (sys.executable, "-m", "fvc_exp", "verify", str(of_another_processor), "--json")
    done = succeeded(run_process(*command, cwd=ROOT, env={**os.environ, "OPENBLAS_CORETYPE": "Prescott"}))
    assert json.loads(done.stdout)["largest"] < 1e-9


def other_row(content: bytes) -> bytes:
    buffer = io.BytesIO()
    pl.read_parquet(content).with_columns(pl.col("feature stage2_f0") + 1e-9).write_parquet(buffer)
    return buffer.getvalue()


def number(key: str) -> Edit:
    return lambda text: re.sub(rf'("{key}": )[\d.]+'.encode(), rb"\g<1>0.999", text, count=1)


LIES = {
    "a score": ("results.json", number("mean"), r"results\.json, cv, .*, mean: was 0.999, is "),
    "a baseline": ("results.json", lambda text: text.replace(b'"all_fake"', b'"all_good"'), "all_good.*is None"),
    "a fold's score": ("metrics.json", number("test_auc"), r"metrics\.json, 1, test_auc: was 0.999, is "),
    "a coefficient": ("coefficients.csv", lambda text: text.replace(b"f0,", b"f0,1", 1), "coefficients.csv, 1, coeff"),
    "a row": ("rows.parquet", other_row, "data sha256: was"),
    "a setting": ("config.yaml", lambda text: text.replace(b"seed: 42", b"seed: 43"), "folds.parquet"),
}


@pytest.mark.parametrize(("name", "edit", "found"), LIES.values(), ids=LIES)
def test_an_edited_number_is_named(packed: Path, tmp_path: Path, name: str, edit: Edit, found: str) -> None:
    done = fvc("verify", edited(packed, tmp_path, name, edit))
    assert done.returncode == 1, done.stderr
    assert re.search(found, done.stdout)


HOSTILE = {
    "bomb": ("results.json", lambda _: b" " * (pack_module.MOST_BYTES + 1), "bytes unpacked; at most 268,435,456"),
    "pickle": ("rows.parquet", lambda _: pickle.dumps(print), "rows.parquet: is a Python pickle"),
    "link": ("rows.parquet", lambda _: b"/etc/passwd", "cannot be derived again"),
    "deep": ("results.json", lambda _: b'{"cv": ' + b"[" * 100_000, "results.json"),
    "list": ("results.json", lambda _: b"[]", "results.json"),
    "no key": ("results.json", lambda _: b"{}", "results.json: Object missing required field"),
    "fits": ("provenance.json", lambda text: text.replace(b'"fitted_with": []', b'"fitted_with": ["x"]'), "derived"),
    "empty": ("coefficients.csv", lambda _: b"", "coefficients.csv: cannot be read"),
}


@pytest.mark.parametrize(("name", "edit", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pack_is_one_line(packed: Path, tmp_path: Path, name: str, edit: Edit, message: str) -> None:
    with pytest.raises(FvcError, match=message) as caught:
        verify_pack(edited(packed, tmp_path, name, edit))
    assert "\n" not in str(caught.value)


def test_what_is_no_pack(packed: Path, tmp_path: Path) -> None:
    more = Path(shutil.copy(packed, tmp_path / "more"))
    with zipfile.ZipFile(more, "a") as archive:
        archive.writestr("../../outside", b"x")
    (tmp_path / "half").write_bytes(packed.read_bytes()[:-99])
    os.mkfifo(tmp_path / "pipe")
    names = {"more": "nothing else", "half": "or a broken one", "pipe": "no regular file", "none": "is missing"}
    for name, why in names.items():
        with pytest.raises(ArtifactError, match=rf"{name}: .*{why}"):
            verify_pack(tmp_path / name)
