"""The form of each file of a run: JSON and tables are checked against it before anything in them is used.

Only what is read is named.
"""

from collections.abc import Iterator, Mapping
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, defstruct

from fvc_exp.data.columns import KEY
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.metrics import METRICS, Reliability
from fvc_exp.io.run_folder import Count, RunId

if TYPE_CHECKING:
    import polars as pl

Number = float | None  # null: it is not finite, or there is none


def _object(**kinds: Any) -> Any:
    """A type of JSON objects with these keys."""
    return defstruct("Object", list(kinds.items()))


def _named(kind: Any) -> Any:
    """A type of JSON objects with any keys and such values."""
    return GenericAlias(dict, (str, kind))


_SCORES = _object(**dict.fromkeys(METRICS, Number))
_TEXTS = list[str]
_BAND = _object(low=Number, high=Number, reason=str | None)
_VERDICT = Literal["PASS", "FAIL", "UNCHECKED"]

_DATA = _object(
    **dict.fromkeys(("rows", "groups", "development_rows", "test_rows"), Count),
    **dict.fromkeys(("test_sha256", "corpus"), str | None),
    **dict.fromkeys(("features", "unmatched"), _TEXTS),
    **dict.fromkeys(("class_counts", "missing_values"), dict[str, Count]),
    sha256=str,
    group_column=str | None,
    columns=_object(used=_TEXTS, ignored=dict[str, str], constant=_TEXTS),
)
RESULTS = _object(
    **dict.fromkeys(("tags", "flags", "notes"), _TEXTS),
    run_id=RunId,
    name=str | None,
    parameters=_object(penalty=str, solver=str, features=_TEXTS, cv=dict[str, float | str | None]),
    cv=_object(**dict.fromkeys(METRICS, _object(mean=Number, std=Number))),
    test=_SCORES | None,
    floors=_object(cv=_named(_SCORES), test=_named(_SCORES) | None),
    claim=_object(beats=bool | None, sentence=str),
    audit=_object(verdict=_VERDICT, reasons=_TEXTS, warnings=_TEXTS, not_checked=_TEXTS, allow_fail=bool),
    threshold=_object(rule=str | float, final=float, folds=list[float]),
    flag_details=dict[str, str],
    final_model=_object(sentence=str, n_iter=Count, converged=bool, C=Number, nonzero=Count),
    data=_DATA,
    selection=_object(of=Count, sentence=str) | None,
    fold_dependence=float,
    auc_intervals=_named(_BAND | None),
    calibration=_object(method=str, cv=Reliability, test=Reliability | None),
    repeats=_object(asked=Count, distinct=Count),
    price=_object(sentence=str) | None,
    nested=_object(optimism=float, best=float, final=float) | None,
)
_FOLD = _object(**dict.fromkeys(("fold", "repeat", "n_train", "n_test"), Count))
FLAT_RECORDS: Any = list[dict[str, int | float | bool | str | None]]
FOLD_RECORDS: Any = Annotated[GenericAlias(list, (_FOLD,)), Meta(min_length=1)]
PROVENANCE = _object(
    **dict.fromkeys(("python", "platform", "host", "working_folder", "data_sha256"), str),
    git=_object(commit=str, dirty=bool) | None,
    packages=dict[str, str | None],
    code_hash=str,
    cpu_count=int | None,
    command=_TEXTS,
    seed=int,
    fitted_with=list[Any],
)
AUDIT = _object(verdict=_VERDICT, checks=dict[str, Any])

_ROW = {**dict.fromkeys((KEY, "group", "label", "split"), "String"), **dict.fromkeys(("repeat", "fold"), "Int64")}
TABLES: Mapping[str, Mapping[str, str]] = {
    "folds": _ROW,
    "predictions": {**_ROW, "probability": "Float64", "predicted": "Int64"},
    "coefficients": {"feature": "String", **dict.fromkeys(("coefficient", "mean", "scale"), "Float64")},
}


def check_table(frame: "pl.DataFrame", name: str, where: object) -> "pl.DataFrame":
    """The table, which has the columns of a file of this name.

    Raises:
        ArtifactError: one is missing or of another type, there is no row, or a probability is none.
    """
    schema = frame.schema  # which is made anew each time
    for column, kind in TABLES[name].items():
        if (found := str(schema.get(column, "missing"))) != kind:
            raise ArtifactError(f"{where}: column {column!r} is {found}; it must be {kind}")
    if frame.is_empty():
        raise ArtifactError(f"{where}: holds no rows")
    if name == "predictions" and not frame["probability"].is_between(0, 1).fill_null(value=False).all():
        raise ArtifactError(f"{where}: column 'probability' has a value outside 0 to 1")
    return frame


def flat_metrics(results: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """The numbers of ``results.json`` by the names of their columns."""
    for metric, summary in results["cv"].items():
        for name in ("mean", "std"):
            yield f"cv_{metric}_{name}", summary[name]
    for metric, value in (results["test"] or {}).items():
        yield f"test_{metric}", value
    for floor, scores in results["floors"]["cv"].items():
        for metric in ("f1", "auc", "accuracy"):
            yield f"floor_{floor}_{metric}", scores[metric]
