import shutil
from pathlib import Path

import pytest

from fvc_exp.config.schema import Table
from fvc_exp.data.layouts import CORPUS_NAME
from fvc_exp.features.extract import COLUMNS
from fvc_exp.io.files import read_json
from fvc_exp.report.render import write_report
from tests.conftest import edit_json

STAGE2, FORENSIC = ([f"{table.prefix}{name}" for name in COLUMNS[table]] for table in (Table.stage2, Table.forensic))
SENTENCES = {
    "frames": "averages over whole frames",
    "blind": "a local manipulation is invisible to this model",
    "traces": "traces of editing",
    "own": "Columns of the user's own tables (1 of ",
    "encoded": "show how a video was encoded",
    "corpus": "does not detect deepfakes",
    "demo": "synthetic demo corpus: its scores",
    "always": "A probability is only as good as",
}


SAID = {
    "corpus": (STAGE2, CORPUS_NAME, "fvc", "frames blind encoded corpus"),
    "demo": (STAGE2, None, "demo", "frames blind encoded demo"),
    "both": (STAGE2 + FORENSIC, None, "videos", "frames traces encoded"),
    "own and documented": (["stage2_f1", *STAGE2], None, "fvc", "own frames encoded"),
}


@pytest.mark.parametrize(("features", "corpus", "name", "said"), SAID.values(), ids=SAID)
def test_limits_know_features_and_data(
    leaking: Path, tmp_path: Path, features: list[str], corpus: str | None, name: str, said: str
) -> None:
    without = shutil.ignore_patterns("predictions.parquet")  # which intervals and curves take their time for
    folder = Path(shutil.copytree(leaking, tmp_path / "run", ignore=without))
    data = read_json(folder / "results.json")["data"]
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("name: demo", f"name: {name}", 1))
    edit_json(folder / "results.json", data=data | {"features": features, "corpus": corpus})
    page, card = (path.read_text() for path in write_report(folder))
    for limits in (page.split('id="limits"')[1].split("</ul>")[0], card.split("## Limits")[1].split("## ")[0]):
        assert {key for key, text in SENTENCES.items() if text in limits} == {*said.split(), "always"}
