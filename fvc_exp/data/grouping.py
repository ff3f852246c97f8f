"""Which videos stay together: groups from columns of a table, merged where something links them."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from fvc_exp.data import columns, roles
from fvc_exp.errors import DataError

_ENDING = r"\.\w{2,4}$"  # of a file

_ORIGINALS = ("original_video", "original")  # which video it was made from; of an original itself they may be empty


def find_groups(
    table: pl.DataFrame, source: Path, usual: Sequence[str] | None = None, named: Sequence[str] = ()
) -> tuple[str | None, pl.Series, tuple[str, ...]]:
    """The first group column in which two videos are together, the group of each video as text, and notes.

    ``usual`` are the columns to look at, if not those named like ``GROUP_COLUMNS``. Without such a column it is None,
    and each video is its own group. Columns that the user ``named`` are taken as they are, together.

    Raises:
        DataError: a video has no group.
    """
    if named:
        return " + ".join(named), join_columns(table, named, source), ()
    if usual is None:
        usual = [name for known in columns.GROUP_COLUMNS for name in table.columns if name.lower() == known]
    notes: list[str] = []
    for column in usual:
        groups = join_columns(table, [column], source)
        if groups.n_unique() < len(groups):
            return column, groups, tuple(notes)
        notes.append(f"column {column!r} names no groups: it has a different value in every row")
    return None, table[columns.KEY], tuple(notes)


def join_columns(table: pl.DataFrame, names: Sequence[str], source: Path) -> pl.Series:
    """The group of each video where it belongs to what each of these columns names: what it links is one group.

    Equal values of two columns are the same thing, such as a person who is the source of one fake and the target of
    another. In some of several columns a value may be missing.

    Raises:
        DataError: a video has no value in any column.
    """
    texts = table.select(_group_texts(table, name, source) for name in names)
    groups = texts.select(pl.coalesce(pl.all())).to_series().alias(names[0])
    if (missing := groups.is_null()).any():
        videos = table.filter(missing)[columns.KEY]
        more = f" and {len(videos) - 3} more have" if len(videos) > 3 else " has" if len(videos) == 1 else " have"
        shown = ", ".join(map(repr, videos[:3]))
        raise DataError(
            f"{source}: column {' + '.join(map(repr, names))}: video {shown}{more} no group; "
            "give every row one, drop the column, or choose others: data.group=COLUMN"
        )
    if len(names) == 1:
        return groups
    pairs = pl.concat(pl.DataFrame({"group": groups, "other": texts[name]}) for name in names).drop_nulls().unique()
    links = ((group, str(number)) for number, pair in enumerate(pairs.iter_rows()) for group in pair)
    return groups.replace(merge_groups(links))


def _group_texts(table: pl.DataFrame, column: str, source: Path) -> pl.Series:
    """A group column as text; of an original that names no other video its own name."""
    groups = roles.to_text(table[column], source)
    if column.lower() not in _ORIGINALS:
        return groups
    has_folders = groups.str.contains("/", literal=True).any()
    named = groups.fill_null(table[columns.KEY] if has_folders else table[columns.KEY].str.split("/").list.last())
    return named if groups.str.contains(_ENDING).any() else named.str.replace(_ENDING, "")


def merge_groups(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The new name of each group: the first, in natural order, of all that are connected to it.

    ``links`` are pairs of a group and something in it. Groups that hold the same thing are connected.
    """
    from scipy.cluster.hierarchy import DisjointSet  # slow to import, and rarely needed

    merged, first = DisjointSet(), dict[str, str]()
    for group, member in links:
        merged.add(group)
        merged.merge(group, first.setdefault(member, group))
    names = ((min(subset, key=_natural), subset) for subset in merged.subsets())
    return {group: name for name, subset in names for group in subset}


def join_equal_files(groups: pl.Series, content: pl.Series) -> pl.Series:
    """The groups with those made one that hold files of equal content (a hash per video, or null)."""
    is_copy = content.is_duplicated() & content.is_not_null()
    links = zip(groups.filter(is_copy), content.filter(is_copy), strict=True)
    return groups.replace(merge_groups(links)) if is_copy.any() else groups


def some_groups(groups: pl.Series, labels: pl.Series, n_rows: int) -> pl.Series:
    """Which rows are taken for about ``n_rows``: whole groups in a fixed random order, half of the rows per class."""
    rows = pl.DataFrame({"group": groups, "label": labels})
    sizes = rows.group_by("group", maintain_order=True).agg(pl.col("label").first(), pl.len().alias("n"))
    shuffled = sizes[np.random.default_rng(0).permutation(len(sizes))]
    taken = shuffled.filter((pl.col("n").cum_sum() - pl.col("n")).over("label") < n_rows / 2)
    return groups.is_in(taken["group"].to_list())


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key that puts f9 before f10."""
    return tuple((int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", name))
