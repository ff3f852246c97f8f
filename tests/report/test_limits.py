import shutil
from pathlib import Path

import pytest

from fvc_exp.config.schema import Table
from fvc_exp.data import fvc
from fvc_exp.features.extract import COLUMNS
from fvc_exp.io.files import read_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.report.limits import limits_of
from fvc_exp.runs.load import require_finished
from tests.conftest import edit_json

STAGE2, STAGE4, FORENSIC = (
    [f"{table.value}{name}" for name in COLUMNS[table]] for table in (Table.stage2, Table.stage4, Table.forensic)
)
SENTENCES = {
    "frames": "averages over whole frames",
    "blind": "a local manipulation is invisible to this model",
    "traces": "traces of editing",
    "own": "Columns of the user's own tables",
    "encoded": "show how a video was encoded",
    "corpus": "does not detect deepfakes",
    "demo": "synthetic demo corpus: its scores",
}


@pytest.mark.parametrize(
    ("features", "corpus", "name", "said"),
    [
        (STAGE2, fvc.NAME, "fvc", "frames blind encoded corpus"),
        (STAGE2 + STAGE4, None, "demo", "frames blind encoded demo"),
        (FORENSIC, None, "videos", "traces encoded"),
        (STAGE2 + FORENSIC, None, "videos", "frames traces encoded"),
        (["stage2_f1", "stage2_embedding_0"], None, "fvc", "own"),
        (["stage2_f1", *STAGE2], None, "fvc", "frames own encoded"),
    ],
    ids=["corpus", "demo", "forensic", "both", "own tables", "own and documented"],
)
def test_limits_know_features_and_data(
    explained: Path, tmp_path: Path, features: list[str], corpus: str | None, name: str, said: str
) -> None:
    folder = RunFolder(Path(shutil.copytree(explained, tmp_path / "run")))
    data = read_json(folder.results)["data"]
    edit_json(folder.results, data=data | {"features": features, "corpus": corpus})
    folder.config.write_text(folder.config.read_text().replace("name: demo", f"name: {name}", 1))
    limits = limits_of(require_finished(folder.path))
    assert {key for key, text in SENTENCES.items() if any(text in limit for limit in limits)} == set(said.split())
    counts = {"frames": len({*STAGE2, *STAGE4} & {*features}), "traces": len({*FORENSIC} & {*features})}
    for key in counts.keys() & said.split():
        (limit,) = (each for each in limits if SENTENCES[key] in each)
        assert f" ({counts[key]} of {len(features)}): " in limit
    assert limits[-1].startswith("A probability is only as good")
