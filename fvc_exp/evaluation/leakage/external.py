"""Judge a split that others made, from a table of videos and a fold file; no features are needed."""

from pathlib import Path

import polars as pl

from fvc_exp.data import columns, grouping, roles
from fvc_exp.data.folds import read_folds, split_from_table
from fvc_exp.errors import DataError
from fvc_exp.evaluation.leakage.certificate import AuditedRows, Certificate, certify
from fvc_exp.io import tables


def audit_files(ids: Path, folds: Path) -> tuple[Certificate, tuple[str, ...]]:
    """The certificate of a fold file for the videos of a table, and notes on what the two do not share.

    The table has ``video_path`` and, as far as they are known, ``label``, ``content_sha256`` and a group column.

    Raises:
        DataError: a column is missing, a value is not allowed, a video is repeated, or the files share no video.
    """
    table, source = tables.read_table(ids, roles.text_columns())
    columns.require_columns([columns.KEY], table.columns, source)
    table = table.with_columns(roles.read_keys(table[columns.KEY], source))
    assigned, folds_source = read_folds(folds)
    known = table.join(assigned, on=columns.KEY, how="semi", maintain_order="left")
    if known.is_empty():
        raise DataError(f"{folds_source}: names none of the videos of {source}")
    split = split_from_table(assigned, known[columns.KEY], folds_source)
    if not any(split.parts()):
        raise DataError(f"{folds_source}: no row is tested: none is of split cv, val or test")
    column, names, _ = grouping.find_groups(known, source)
    groups = names.rank("dense").cast(pl.Int64).to_numpy() if column else None
    has_labels = columns.LABEL in known.columns
    labels = columns.two_class_codes(known[columns.LABEL], source).to_numpy() if has_labels else None
    hashes = known[columns.CONTENT].cast(pl.String) if columns.CONTENT in known.columns else None
    rows = AuditedRows(known[columns.KEY], groups, labels, content_sha256=hashes)
    left_out = len(table) - len(known)
    notes = (f"{source}: {left_out} of its videos are in no fold",) if left_out else ()
    return certify(rows, split, null="there are no features"), (*notes, *split.notes)
