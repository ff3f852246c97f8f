"""The stages in their order, on one data set: what each reads and writes, and what training needs first."""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl
from rich.console import Console

from fvc_exp.config.schema import Config, FeaturesConfig, Scheme, Stage, Table
from fvc_exp.data import dataset, grouping, manifest, splits
from fvc_exp.data.columns import KEY, LABEL, VIDEO_EXTENSIONS, few
from fvc_exp.demo.corpus import ensure_demo
from fvc_exp.errors import DataError
from fvc_exp.io import files, tables
from fvc_exp.io.console import print_text, progress_bar, short_path
from fvc_exp.stages import runner, table_store, tasks

log = logging.getLogger(__name__)

VIDEO_STAGES = (Stage.augment, Stage.features, Stage.scale, Stage.scaled_features)  # before training, in their order
INPUT_METADATA = "input_metadata"  # the videos that the user named, as a table; data=videos trains on it
_MOST_NAMED = 5  # videos in a message


def print_stage(console: Console, name: str, summaries: Mapping[str, runner.StageSummary]) -> None:
    """How many videos each table got, and why the others failed."""
    for table, summary in summaries.items():
        reasons = "".join(f", {count} {reason}" for reason, count in sorted(summary.failed.items()))
        failed = sum(summary.failed.values())
        if summary.kept:
            reasons += f" ({summary.kept} kept, video.retry_failed=true tries again)"
        where = short_path(summary.table) if summary.is_complete else "not complete: other shards are missing"
        counts = f"{summary.done} done, {summary.skipped} skipped, {failed} failed{reasons}"
        log.info("%s (%s): %s", name, table, counts)
        print_text(console, f"{name} ({table}): {counts}; {where}")


def with_place(config: Config) -> Config:
    """The configuration with the places of what is made from its videos.

    The demo corpus is made now if it is not there. What is made from a user's videos lies in ``data.made``, or in a
    folder below ``outputs/data`` that belongs to the folder of the videos and to their names, labels and groups.
    """
    data = config.data
    if data.demo is not None:
        with progress_bar("demo corpus") as on_progress:
            folder = ensure_demo(Path(data.root), data.demo, workers=config.video.workers, on_progress=on_progress)
        return replace(config, data=replace(data, root=str(folder)))
    if not data.prepare:
        return config
    videos = _read_manifest(config)
    made = _make_place(Path(config.outputs), Path(data.root), videos) if data.made is None else Path(data.made)
    made = made.absolute()
    files.write_bytes(made / f"{INPUT_METADATA}.parquet", tables.parquet_bytes(videos))
    # As it was written: with the usual names, and no more rows than wanted.
    ready = replace(data, made=str(made), label=None, key=None, group=[], positive=[], max_rows=None)
    for name in ("scaled_metadata", *(f"features_{table.name}" for table in Table if table is not Table.table)):
        if (path := getattr(data, name)) is not None:
            setattr(ready, name, str(made / path))
    return replace(config, data=ready)


def _make_place(outputs: Path, root: Path, videos: pl.DataFrame) -> Path:
    """The folder for these videos; a new one begins with the features of the folder's earlier list of videos."""
    parent = outputs / "data" / tasks.file_stem(str(root.resolve()))
    place = parent / table_store.fingerprint(videos=videos.write_csv())
    if not place.is_dir():
        earlier = max(parent.glob("*/"), key=lambda path: path.stat().st_mtime_ns, default=None)
        known = earlier.glob("features_*.parquet") if earlier else ()
        place.mkdir(parents=True, exist_ok=True)
        for table in known:
            files.write_bytes(place / table.name, table.read_bytes())
    return place


def run_video_stage(config: Config, stage: Stage) -> Mapping[str, runner.StageSummary]:
    """Run one of the stages 1 to 4; returns a summary for each table it writes.

    Raises:
        DataError: the input table is missing or wrong, or a table in the way was not written by this stage.
    """
    data, made = config.data, _made(config)
    with progress_bar(stage.name) as on_progress:
        options = runner.Options(Path(data.root), made, config.video, data.shard, data.num_shards, on_progress)
        if stage is Stage.augment:
            found = runner.run_augment(_inputs(config), config.seed, options)
        elif stage is Stage.scale:
            found = runner.run_scale(_videos(config), options)
        else:
            scaled = stage is Stage.scaled_features
            usual = Table.stage4 if scaled else Table.stage2
            chosen = _tables(config, scaled=scaled) or {usual: _path(config, usual)}
            copies = made / f"{tasks.SCALED}.parquet"
            videos = _read(copies, "stage=scale writes it") if scaled else _videos(config)
            found = runner.run_features(videos, chosen, options, scaled=scaled)
    return {summary.table.name: summary for summary in found}


def prepare_training(config: Config) -> Config:
    """Make the tables that training reads and that follow from the videos alone; returns it with their place.

    Raises:
        DataError: the videos cannot be split or measured.
    """
    config = with_place(config)
    require_split(config)
    for stage in (Stage.features, Stage.scale, Stage.scaled_features):
        if _tables(config, scaled=stage is not Stage.features):
            require_measured(run_video_stage(config, stage), config.data.max_unmatched)
    return config


def require_split(config: Config) -> None:
    """Do nothing if the videos can be split as configured, by their labels and groups alone: before they are measured.

    Raises:
        DataError: they cannot, or their table cannot be used.
    """
    for scaled in (False, True):
        _tables(config, scaled=scaled)  # each has a place
    if config.stage is not Stage.all:
        labels = dataset.load_dataset(replace(config.data, columns=[]), FeaturesConfig("labels", []))
    elif config.cv.scheme in (Scheme.grouped, Scheme.leave_platform_out):
        # What it trains on is not there yet, but has the same groups.
        labels = dataset.unmeasured(_inputs(config), config.data)
    else:
        return
    splits.split_or_advise(labels, config)


def require_measured(summaries: Mapping[str, runner.StageSummary], allowed: float) -> None:
    """Do nothing if no more than this share of the videos failed in a stage.

    Raises:
        DataError: more did; names some with their reasons.
    """
    for each in summaries.values():
        n_failed = sum(each.failed.values())
        n = each.done + each.skipped + n_failed
        if not each.is_complete or n_failed <= allowed * n:
            continue
        rows = _read(each.table, "").filter(pl.col("error_class").is_not_null())
        named = [f"{key!r} ({why}: {text})" for key, why, text in rows.select(KEY, "error_class", "error").rows()]
        share = math.ceil(100 * n_failed / n) / 100
        leave = f", or leave them out: data.max_unmatched={share:g}" if n_failed < n else ""
        raise DataError(
            f"{each.table}: {n_failed} of {n} videos could not be measured: {few(named, _MOST_NAMED)}; "
            f"mend or remove them{leave}"
        )


def _made(config: Config) -> Path:
    """The folder of what is made from the videos."""
    return Path(config.data.made or config.data.root)


def _inputs(config: Config) -> pl.DataFrame:
    """The videos that the user named; their table lies in the place that ``with_place`` made."""
    if config.data.prepare and config.data.made is not None:
        return _read(Path(config.data.made) / f"{INPUT_METADATA}.parquet", "a run with data=videos writes it")
    return _read_manifest(config)


def _read_manifest(config: Config) -> pl.DataFrame:
    data, found = config.data, manifest.read_manifest(config.data)
    for what, count in found.counts.items():
        log.debug("%s: %s: %d", found.source, what, count)
    if skipped := found.counts.get(manifest.SKIPPED):
        read = ", ".join(sorted(VIDEO_EXTENSIONS))
        log.warning("%s: %d files are skipped, as their names end in none of %s", found.source, skipped, read)
    if data.max_rows is None:
        return found.videos
    groups = found.videos[manifest.GROUP if manifest.GROUP in found.videos.columns else KEY]
    return found.videos.filter(grouping.some_groups(groups, found.videos[LABEL], data.max_rows))


def _videos(config: Config) -> pl.DataFrame:
    """What stages 2 and 3 work on: the table of stage 1 where there is one, else the input videos."""
    augmented = _made(config) / f"{tasks.AUGMENTED}.parquet"
    return _read(augmented, "stage=augment writes it") if augmented.exists() else _inputs(config)


def _read(path: Path, hint: str) -> pl.DataFrame:
    if not path.exists():
        raise DataError(f"{path}: no such file; {hint}")
    return tables.read_table(path)[0]


def _tables(config: Config, *, scaled: bool) -> dict[Table, Path]:
    """The configured feature tables of scaled (stage 4) or full-size videos (stage 2), by their paths."""
    chosen = [table for table in config.features.tables if (table in tasks.SCALED_TABLES) == scaled]
    return {table: _path(config, table) for table in chosen}


def _path(config: Config, table: Table) -> Path:
    configured = config.data.table(table)
    if configured is None:
        raise DataError(f"data={config.data.name} has no place for the table: set data.features_{table.name}=PATH")
    return Path(config.data.root) / configured
