from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from fvc_exp import predict as predict_module
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.predict import predict
from tests.conftest import run_py


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus and three runs on it: full-size features, scaled ones too, forensic ones."""
    outputs = tmp_path_factory.mktemp("outputs")
    corpus = ("data.demo_events=12", "data.demo_uploads=1", "cv.n_splits=2", "plots=false", f"outputs={outputs}")
    for name in ("stage2", "all", "forensic"):
        done = run_py(*corpus, f"features={name}", f"hydra.run.dir={outputs / name}")
        assert done.returncode == 0, done.stderr
    return outputs


def videos(outputs: Path) -> Path:
    (folder,) = (outputs / "demo").iterdir()
    return folder / "videos"


@pytest.mark.parametrize("features", ["stage2", "all", "forensic"])
def test_gives_the_probabilities_that_the_run_gave(outputs: Path, features: str) -> None:
    held_out = pl.read_parquet(outputs / features / "predictions.parquet").filter(split="test")
    folder = videos(outputs).parent
    found = predict(outputs / features, [str(folder / name) for name in held_out["video_path"]])
    assert [each.probability for each in found] == pytest.approx(held_out["probability"].to_list(), abs=1e-9)
    assert [each.decision == "fake" for each in found] == [bool(value) for value in held_out["predicted"]]


def test_files_folders_and_patterns(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(videos(outputs))
    one = sorted(Path().glob("*.mp4"))[0].name
    assert [each.video for each in predict(outputs / "stage2", [one])] == [one]
    assert len(predict(outputs / "stage2", [".", one])) == 12
    assert len(predict(outputs / "stage2", ["*_fake_*.mp4"])) == 6


def test_a_bad_file_does_not_hold_up_the_others(outputs: Path, tmp_path: Path) -> None:
    good = sorted(videos(outputs).iterdir())[0]
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "linked.mp4").symlink_to(good)
    found = {Path(each.video).name: each for each in predict(outputs / "stage2", [str(tmp_path)])}
    assert found["text.mp4"].error_class == "not_a_video"
    assert found["text.mp4"].probability is None
    assert found["linked.mp4"].probability is not None


def test_warns_of_what_training_has_not_seen(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = str(sorted(videos(outputs).iterdir())[0])
    assert not [text for text in predict(outputs / "stage2", [one])[0].warnings if "version" in text]
    monkeypatch.setattr(predict_module, "FEATURE_VERSION", "99")
    assert predict(outputs / "stage2", [one])[0].warnings[0] == (
        "feature version of the training data: 1; of this program: 99"
    )
    read = predict_module.Bundle.from_json
    narrow = lambda *arguments: replace(  # noqa: E731
        found := read(*arguments), features=tuple(replace(each, low=-2.0, high=-1.0) for each in found.features)
    )
    monkeypatch.setattr(predict_module.Bundle, "from_json", narrow)
    assert any("outside the training range" in text for text in predict(outputs / "stage2", [one])[0].warnings)


def test_what_matches_nothing_is_named(outputs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.mp4: no such file"):
        predict(outputs / "stage2", [str(tmp_path / "nothing.mp4")])


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"config\.yaml: cannot be read"):
        predict(tmp_path, ["x.mp4"])


def test_a_model_of_other_features_is_refused(outputs: Path, tmp_path: Path) -> None:
    for path in (outputs / "stage2").iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    model = json.loads((tmp_path / "model.json").read_text())
    model["features"][0]["name"] = "stage2_from_elsewhere"
    (tmp_path / "model.json").write_text(json.dumps(model))
    with pytest.raises(DataError, match="stage2_from_elsewhere"):
        predict(tmp_path, [str(sorted(videos(outputs).iterdir())[0])])
