"""What a model cannot know, by the features that it uses and the videos that it learned from."""

from collections.abc import Iterator

from fvc_exp.config.schema import Table
from fvc_exp.data import fvc
from fvc_exp.features.extract import COLUMNS
from fvc_exp.runs.load import LoadedRun

_WHOLE_FRAMES = (
    "averages over whole frames, and numbers of the codec. Measured on real face swaps (FaceForensics++ pairs), a swap "
    "changes the averages by at most 2.5 %, while they differ by 30 to 150 % between videos of different content"
)
_FORENSIC = (
    "traces of editing, such as block grids, double compression, noise and repeated frames. A platform encodes videos "
    "again, which can remove such traces and leaves its own. These features were tried on the synthetic demo corpus, "
    "not on known forgeries."
)
_ENCODING = (
    "Features of pixels and packets show how a video was encoded, which platform it came from and what it shows: a "
    "score above the floors may come from these alone."
)
_FOREIGN = (
    "what they measure, and what they cannot show, is not known here. A column that follows from the label, or from "
    "where a video was found, makes a high score worthless."
)
_ELSEWHERE = "The scores may not hold for other platforms, years or events."
_CORPUS = {
    fvc.NAME: "Most fakes of the Fake Video Corpus are staged, recycled or wrongly captioned, not synthesised: their "
    "pixels are genuine, so this model does not detect deepfakes."
}
_DEMO = "The videos are the synthetic demo corpus: its scores say nothing about real videos."
_CALIBRATION = (
    "A probability is only as good as its calibration on data like the training data; it is no evidence about a "
    "single video."
)


def limits_of(files: LoadedRun) -> tuple[str, ...]:
    """Sentences about the features and the data of a run, and those that are true of every run."""
    data = files.results["data"]
    texts = [*_of_features(data["features"]), _ELSEWHERE]
    if data["corpus"] in _CORPUS:
        texts.append(_CORPUS[data["corpus"]])
    if files.data_name == "demo":
        texts.append(_DEMO)
    return (*texts, _CALIBRATION)


def _of_features(features: list[str]) -> Iterator[str]:
    """Which kinds of features there are, known by their names; all other columns are the user's."""
    tables = {f"{table.value}{name}": table for table, names in COLUMNS.items() for name in names}
    forensic = sum(tables.get(name) is Table.forensic for name in features)
    foreign = sum(name not in tables for name in features)
    documented = len(features) - forensic - foreign
    if documented:
        blind = "a local manipulation is invisible to " + ("them" if forensic or foreign else "this model")
        yield f"Documented features ({documented} of {len(features)}): {_WHOLE_FRAMES}: {blind}."
    if forensic:
        yield f"Forensic features ({forensic} of {len(features)}): {_FORENSIC}"
    if documented or forensic:
        yield _ENCODING
    if foreign:
        yield f"Columns of the user's own tables ({foreign} of {len(features)}): {_FOREIGN}"
