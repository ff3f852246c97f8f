"""Judge a split that others made, from a table of videos and a fold file; no features are needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from fvc_exp.data.columns import GROUP_COLUMNS, KEY, LABEL, require_columns, require_videos, two_class_codes
from fvc_exp.data.folds import read_folds, split_of
from fvc_exp.data.slices import CONTENT
from fvc_exp.errors import DataError
from fvc_exp.evaluation.leakage.certificate import Certificate, Rows, certify
from fvc_exp.io.tables import collect, scan_table


def audit_files(ids: Path, folds: Path) -> tuple[Certificate, tuple[str, ...]]:
    """The certificate of a fold file for the videos of a table, and notes on what the two do not share.

    The table has ``video_path`` and, as far as they are known, ``label``, ``content_sha256`` and a group column.

    Raises:
        DataError: a column is missing, a value is not allowed, a video stands twice, or the files share no video.
    """
    lazy, source = scan_table(ids)
    table = collect(lazy, source)
    require_columns([KEY], table.columns, source)
    table = table.with_columns(pl.col(KEY).cast(pl.String))
    require_videos(table[KEY], source)
    dealt, folds_source = read_folds(folds)
    known = table.join(dealt, on=KEY, how="semi", maintain_order="left")
    if known.is_empty():
        raise DataError(f"{folds_source}: names none of the videos of {source}")
    split = split_of(dealt, known[KEY].to_list(), folds_source)
    if not any(split.parts()):
        raise DataError(f"{folds_source}: no row is tested: none is of split cv, val or test")
    rows = _rows(known, source)
    left = len(table) - len(known)
    notes = (f"{source}: {left} of its videos are in no fold",) if left else ()
    return certify(rows, split, tolerance=0.0, null=None, no_null="there are no features"), (*notes, *split.notes)


def _rows(table: pl.DataFrame, source: Path) -> Rows:
    group = next((name for name in GROUP_COLUMNS if name in table.columns), None)
    groups = None
    if group is not None:
        if (missing := table[group].is_null()).any():
            name = table.filter(missing)[KEY][0]
            raise DataError(f"{source}: column {group!r}: video {name!r} has no group; give every row one")
        _, groups = np.unique(table[group].cast(pl.String).to_numpy(), return_inverse=True)
    return Rows(
        ids=table[KEY].to_list(),
        groups=groups,
        y=two_class_codes(table[LABEL], source).to_numpy() if LABEL in table.columns else None,
        content_sha256=table[CONTENT].cast(pl.String).to_list() if CONTENT in table.columns else None,
    )
