"""A table that grows by small part files and becomes one parquet file when every video has its row.

No lock is needed: a part or table appears whole by renaming, a part is deleted only after a table that holds its rows
is in place, and readers look at the parts first and the table last. So between them they hold every finished row at
any moment, and processes that do the same work at once leave rows that say the same.
"""

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import polars as pl

from fvc_exp.config.schema import LimitsConfig
from fvc_exp.data.columns import KEY
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.io import files, tables
from fvc_exp.video import worker_pool
from fvc_exp.video.sources import Source

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

ERROR_COLUMNS: Schema = {"error": pl.String, "error_class": pl.String}
# By these a row is recognised as made from other settings or from a file that has changed since.
STATE_COLUMNS: Schema = {"file_size": pl.Int64, "file_mtime_ns": pl.Int64}
SETTINGS_COLUMNS: Schema = {"settings": pl.String, **STATE_COLUMNS}
OUTPUT_SIZE = "output_size"
_ROWS_IN_A_PART, _SECONDS_OF_A_PART = 16, 3.0


def fingerprint(**settings: object) -> str:
    """A short hash of the settings that a row depends on; the values must be JSON."""
    return files.sha256(json.dumps(settings, sort_keys=True).encode())[:16]


def states(sources: Mapping[str, Source]) -> pl.DataFrame:
    """The present state of the file behind each row key."""
    rows = [(key, source.size, source.mtime_ns) for key, source in sources.items()]
    return pl.DataFrame(rows, schema={KEY: pl.String, **STATE_COLUMNS}, orient="row")


class TableStore:
    """The rows of one table; it takes new ones while it is ``writing``.

    ``columns`` are those that the stage computes, ``settings`` the fingerprint of what they depend on. A failure
    depends on the ``limits``, too: under others it is measured again, and good rows stay. Where a row also stands for a
    file that the stage wrote, ``output`` names the column with its path, relative to the table.
    """

    def __init__(
        self, path: Path, columns: Schema, settings: str, limits: LimitsConfig, output: str | None = None
    ) -> None:
        self.path = path.with_name(path.name if path.suffix == ".parquet" else f"{path.name}.parquet")
        self.parts = self.path.with_suffix(".parts")
        self.settings = settings
        self.failure_settings = fingerprint(settings=settings, limits=asdict(limits))
        self.output = output
        sizes: Schema = {OUTPUT_SIZE: pl.Int64} if output else {}
        self.schema: Schema = {KEY: pl.String, **columns, **ERROR_COLUMNS, **SETTINGS_COLUMNS, **sizes}
        self._rows: list[dict[str, Any]] = []
        self._written = time.monotonic()

    @contextmanager
    def writing(self) -> Iterator[Self]:
        """Take rows in the block; at its end what is still in memory is written."""
        self.parts.mkdir(parents=True, exist_ok=True)
        with files.temporary_folder("work", self.parts):  # in which no other process finds ``parts`` empty
            try:
                yield self
            finally:
                self.flush()
        with suppress(OSError):  # others work, or have removed it
            self.parts.rmdir()

    def add(self, key: str, source: Source, result: Mapping[str, Any] | worker_pool.Failed) -> None:
        """Take the row of one video; it reaches the disk with the next part."""
        facts = {KEY: key, "settings": self.settings, "file_size": source.size, "file_mtime_ns": source.mtime_ns}
        if isinstance(result, worker_pool.Failed):
            facts |= {"error": result.message, "error_class": result.error_class, "settings": self.failure_settings}
        else:
            facts |= result
        self._rows.append({name: facts.get(name) for name in self.schema})
        if len(self._rows) >= _ROWS_IN_A_PART or time.monotonic() - self._written > _SECONDS_OF_A_PART:
            self.flush()

    def flush(self) -> None:
        """Write the rows in memory as one part."""
        self._written = time.monotonic()
        if self._rows:
            part = pl.DataFrame(self._rows, schema=self.schema, orient="row")
            # Names sort by time, so that of two rows of a video the later one is known.
            self._write(part, self.parts / f"{time.time_ns():020d}-{secrets.token_hex(4)}.parquet")
            self._rows = []

    def finished(self, current: pl.DataFrame) -> pl.DataFrame:
        """The one valid row of each video of ``current`` that has one: same settings, same file, output in place."""
        return self._valid(self._stored()[0], current)

    def merge(self, current: pl.DataFrame, videos: pl.DataFrame) -> bool:
        """Write the table, sorted, with the other columns of ``videos`` before its own, if every video has its row.

        Returns whether the table is complete; if not, other shards still have rows to add.
        """
        stored, parts = self._stored()
        rows = self._valid(stored, current)
        if len(rows) < len(current):
            return False
        merged = videos.select(KEY, pl.exclude(*self.schema)).join(rows, on=KEY, how="left").sort(KEY)
        if not self.path.is_file() or not tables.read_table(self.path)[0].equals(merged):
            self._write(merged, self.path)
        for part in parts:
            part.unlink(missing_ok=True)
        return True

    def _stored(self) -> tuple[pl.DataFrame, list[Path]]:
        """All rows of these settings, the latest last, and the parts that some of them come from."""
        self.flush()
        parts, found = sorted(self.parts.glob("*.parquet")), []
        for path in parts:
            # One that is gone was merged by another process: its rows are in the table, which is read next. Those of
            # a torn one are measured again.
            with suppress(ArtifactError):
                found.append(self._of_these_settings(tables.read_run_table(path, files.read_bytes(path))))
        table = [self._read_table()] if self.path.is_file() else []
        return pl.concat([pl.DataFrame(schema=self.schema), *table, *found]), parts

    def _read_table(self) -> pl.DataFrame:
        frame, source = tables.read_table(self.path)
        if missing := [name for name in SETTINGS_COLUMNS if name not in frame.columns]:
            raise DataError(
                f"{source}: was not written by this stage (column {missing[0]!r} is missing) and would be overwritten; "
                "move it away or choose another path"
            )
        return self._of_these_settings(frame)

    def _of_these_settings(self, frame: pl.DataFrame) -> pl.DataFrame:
        good, bad = pl.lit(self.settings), pl.lit(self.failure_settings)
        rows = frame.filter(pl.col("settings") == pl.when(pl.col("error_class").is_null()).then(good).otherwise(bad))
        return rows.select(list(self.schema)) if len(rows) else pl.DataFrame(schema=self.schema)

    def _valid(self, stored: pl.DataFrame, current: pl.DataFrame) -> pl.DataFrame:
        rows = stored.join(current, on=[KEY, *STATE_COLUMNS], how="semi", nulls_equal=True, maintain_order="left")
        if self.output:
            rows = rows.filter([self._has_output(row[self.output], row[OUTPUT_SIZE]) for row in rows.to_dicts()])
        # A retry that succeeded stays a success, whatever a slower process reports later.
        best_last = rows.sort(pl.col("error_class").is_null(), maintain_order=True)
        return best_last.unique(KEY, keep="last", maintain_order=True)

    def _has_output(self, name: str, size: int | None) -> bool:
        path = self.path.parent / (name or "")  # a failed video, or one that needs no file of its own, has no size
        return size is None or (path.is_file() and path.stat().st_size == size)

    def _write(self, frame: pl.DataFrame, path: Path) -> None:
        with files.atomic_file(path) as file:
            frame.write_parquet(file)
        files.sync_folder(path.parent)
