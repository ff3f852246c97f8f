"""From one video file to its rows in the feature tables, in one pass over its frames."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from math import nan
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from fvc_exp.config.schema import LimitsConfig, SamplingConfig, Table
from fvc_exp.features import codec, forensic, original, scaled, temporal
from fvc_exp.features.scaled import Columns, Scaling
from fvc_exp.features.strips import TOGETHER
from fvc_exp.video.decode import Decoded, Sample, SampledFrames, sampled_frames
from fvc_exp.video.probe import Probe

if TYPE_CHECKING:
    from numpy.typing import NDArray


def together(samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    """Samples of one frame size that are small enough to be measured together; at least one."""
    batch: list[Sample] = []
    for sample in samples:
        if batch and batch[0].luma.shape != sample.luma.shape:
            yield batch
            batch = []
        batch.append(sample)
        # A large frame goes on at once, while it is in the CPU cache.
        if (len(batch) + 1) * sample.luma.size > TOGETHER:
            yield batch
            batch = []
    if batch:
        yield batch


def _frame_by_frame(
    measure: Callable[[NDArray[np.uint8]], dict[str, float]], images: Iterable[NDArray[np.uint8]]
) -> Columns:
    rows = [measure(image) for image in images]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


FRAME_FEATURES: Mapping[Table, Callable[[Sequence[Sample], Scaling | None], Columns]] = MappingProxyType(
    {
        Table.stage2: lambda batch, _: scaled.base_features([sample.luma for sample in batch]),
        Table.stage4: lambda batch, scaling: scaled.stage4_features(
            [sample.luma for sample in batch], [sample.rgb for sample in batch], scaling
        ),
        Table.forensic: lambda batch, _: _frame_by_frame(forensic.frame_features, (each.luma for each in batch)),
        Table.original_stage2: lambda batch, _: _frame_by_frame(original.base_features, (each.rgb for each in batch)),
        Table.original_stage4: lambda batch, _: _frame_by_frame(original.stage4_features, (each.rgb for each in batch)),
    }
)


__all__ = ["COLUMNS", "FEATURE_VERSION", "PROVENANCE_COLUMNS", "Extraction", "Provenance", "Scaling", "extract"]


# What the C library may keep of the memory that arrays free, in bytes; see _keep_freed_memory.
KEPT_MEMORY = 24 * 2**20


# Change it with any change of a definition: tables of different versions must not be mixed.
FEATURE_VERSION = "1"


COLUMNS: Mapping[Table, tuple[str, ...]] = MappingProxyType(
    {
        Table.stage2: scaled.STAGE2_NAMES,
        Table.stage4: scaled.STAGE4_NAMES,
        Table.forensic: (*forensic.NAMES, *temporal.NAMES, *codec.PACKET_NAMES),
        Table.original_stage2: scaled.STAGE2_NAMES,
        Table.original_stage4: scaled.STAGE4_NAMES,
    }
)


@dataclass(frozen=True)
class Provenance:
    """What the features of a video rest on. Not features: most of it tells where a file comes from."""

    frames_total: int
    frames_sampled: int
    frames_ok: int
    frames_corrupt: int
    width: int
    height: int
    rotation: int
    codec: str
    pix_fmt: str
    is_vfr: bool
    duration_s: float | None
    feature_version: str
    content_sha256: str


PROVENANCE_COLUMNS = tuple(field.name for field in fields(Provenance))


@dataclass(frozen=True)
class Extraction:
    """The features of one video by table, in the order of ``COLUMNS``; NaN means undefined for this video."""

    features: Mapping[Table, dict[str, float]]
    provenance: Provenance


def extract(
    path: Path,
    tables: Sequence[Table],
    sampling: SamplingConfig,
    limits: LimitsConfig,
    *,
    scaling: Scaling | None = None,
) -> Extraction:
    """Measure a video for each of ``tables``.

    Frame features are means over the sampled frames in which they are defined. ``scaling`` concerns the
    stage-4 tables: without it ``stage4`` measures whole frames, and the two scaling flags are NaN. The
    forensic table needs every frame, any other only the sampled ones. Raises VideoError when the video cannot
    be opened or decoded.
    """
    _keep_freed_memory()
    source = sampled_frames(path, sampling, limits)

    def consume(samples: Iterator[Sample]) -> dict[Table, dict[str, float]]:
        return _measure(samples, tables, source.probe, scaling)

    features = source.read(consume, every_frame=Table.forensic in tables)
    ordered = {table: {name: features[table][name] for name in COLUMNS[table]} for table in tables}
    return Extraction(ordered, _provenance(source, path))


def _keep_freed_memory() -> None:
    """Keep glibc from returning memory to the kernel after each array, which costs as much as the filters do.

    Its thresholds follow the largest block freed so far (mallopt(3), M_MMAP_THRESHOLD), so one that is never touched,
    and thus costs nothing, will do. Other C libraries take no notice.
    """
    np.empty(KEPT_MEMORY, np.uint8)


def _measure(
    samples: Iterator[Sample], tables: Sequence[Table], probe: Probe, scaling: Scaling | None
) -> dict[Table, dict[str, float]]:
    parts: dict[Table, list[Columns]] = {table: [] for table in tables}
    series = temporal.TemporalSeries() if Table.forensic in tables else None
    for batch in together(_sampled(samples, series)):
        for table in tables:
            parts[table].append(FRAME_FEATURES[table](batch, scaling))
    features = {table: _means(parts[table]) | _video_features(table, probe, scaling) for table in tables}
    if series is not None:
        features[Table.forensic] |= series.features()
    return features


def _sampled(samples: Iterator[Sample], series: temporal.TemporalSeries | None) -> Iterator[Sample]:
    for sample in samples:
        if series is not None:
            series.add(sample.luma)
        if sample.is_sampled:
            yield sample


def _means(parts: Sequence[Columns]) -> dict[str, float]:
    means = {}
    for name in parts[0]:
        column = np.concatenate([part[name] for part in parts])
        defined = column[~np.isnan(column)]
        means[name] = float(defined.mean()) if len(defined) else nan
    return means


def _video_features(table: Table, probe: Probe, scaling: Scaling | None) -> dict[str, float]:
    flags = {
        "is_upscaled": nan if scaling is None else float(scaling.is_upscaled),
        "is_downscaled": nan if scaling is None else float(scaling.is_downscaled),
    }
    coded = probe.width * probe.height
    if table is Table.stage4:
        picture = coded if scaling is None else scaling.box_width * scaling.box_height
        return codec.features(probe, picture) | flags
    if table is Table.original_stage4:
        return codec.original_features(probe) | flags
    if table is Table.original_stage2:
        return codec.original_features(probe)
    if table is Table.forensic:
        return codec.packet_features(probe)
    return codec.features(probe, coded)


def _provenance(source: SampledFrames, path: Path) -> Provenance:
    probe, decoded = source.probe, source.decoded
    assert isinstance(decoded, Decoded), "read() has returned"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Provenance(
        frames_total=decoded.frames_total,
        frames_sampled=len(decoded.indices),
        frames_ok=decoded.frames_ok,
        frames_corrupt=decoded.frames_corrupt,
        width=probe.width,
        height=probe.height,
        rotation=decoded.rotation,
        codec=probe.codec,
        pix_fmt=decoded.pixel_format,
        is_vfr=probe.is_vfr,
        duration_s=probe.duration,
        feature_version=FEATURE_VERSION,
        content_sha256=digest,
    )
