"""From one video file to its rows in the feature tables, in one pass over its frames."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fvc_exp.config.schema import LimitsConfig, SamplingConfig, Table
from fvc_exp.features import FEATURE_VERSION, codec, forensic, original, scaled
from fvc_exp.video import decode, rewrite
from fvc_exp.video.probe import Probe

COLUMNS: Mapping[Table, tuple[str, ...]] = {
    Table.stage2: scaled.STAGE2_NAMES,
    Table.stage4: scaled.STAGE4_NAMES,
    Table.forensic: (*forensic.FRAME_NAMES, *forensic.TEMPORAL_NAMES, *codec.PACKET_NAMES),
    Table.original_stage2: scaled.STAGE2_NAMES,
    Table.original_stage4: scaled.STAGE4_NAMES,
}

# The features of a frame, without those of the whole video.
_FRAME_FEATURES: Mapping[Table, Callable[[decode.Sample, rewrite.Letterbox | None], dict[str, float]]] = {
    Table.stage2: lambda sample, _: scaled.stage2_pixel_features(sample.luma),
    Table.stage4: lambda sample, scaling: scaled.stage4_pixel_features(sample.luma, sample.rgb, scaling),
    Table.forensic: lambda sample, _: forensic.frame_features(sample.luma),
    Table.original_stage2: lambda sample, _: original.original_stage2_features(sample.rgb),
    Table.original_stage4: lambda sample, _: original.original_stage4_features(sample.rgb),
}


@dataclass(frozen=True)
class Extraction:
    """The features of one video by table, in the order of ``COLUMNS``; NaN means undefined for this video.

    ``provenance`` is how they were measured, and on what. Not features: most of it tells where a file comes from. Sizes
    in pixels, ``rotation`` in degrees, ``duration_s`` in seconds (None: unknown).
    """

    features: Mapping[Table, dict[str, float]]
    provenance: dict[str, Any]


def extract(
    path: Path,
    tables: Sequence[Table],
    sampling: SamplingConfig,
    limits: LimitsConfig,
    *,
    scaling: rewrite.Letterbox | None = None,
) -> Extraction:
    """Measure a video for each of ``tables``.

    Frame features are means over the sampled frames in which they are defined. ``scaling`` concerns the
    stage-4 tables: without it ``stage4`` measures whole frames, and the two scaling flags are NaN. The
    forensic table needs every frame, the others only the sampled ones.

    Raises:
        VideoError: the video cannot be opened or decoded.
    """
    # glibc returns memory to the kernel after each array, which costs as much as the filters do, until a block as large
    # as this was freed (mallopt(3), M_MMAP_THRESHOLD). One that is never touched costs nothing.
    np.empty(24 * 2**20, np.uint8)
    source = decode.SampledFrames(path, sampling, limits)
    every_frame = Table.forensic in tables
    features = source.read(lambda samples: _measure(samples, tables, source.probe, scaling), every_frame=every_frame)
    ordered = {table: {name: features[table][name] for name in COLUMNS[table]} for table in tables}
    return Extraction(ordered, _provenance(source, path))


def _measure(
    samples: Iterator[decode.Sample], tables: Sequence[Table], probe: Probe, scaling: rewrite.Letterbox | None
) -> dict[Table, dict[str, float]]:
    rows: dict[Table, list[dict[str, float]]] = {table: [] for table in tables}
    series = forensic.TemporalSeries() if Table.forensic in tables else None
    for sample in samples:
        if series is not None:
            series.add(*sample.stored)
        if sample.is_sampled:
            for table in tables:
                rows[table].append(_FRAME_FEATURES[table](sample, scaling))
    features = {table: _means(rows[table]) | _video_features(table, probe, scaling) for table in tables}
    if series is not None:
        features[Table.forensic] |= series.features()
    return features


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    defined = {name: column[~np.isnan(column)] for name, column in columns.items()}
    return {name: float(column.mean()) if len(column) else np.nan for name, column in defined.items()}


def _video_features(table: Table, probe: Probe, scaling: rewrite.Letterbox | None) -> dict[str, float]:
    """The features of the whole video, and the flags of scaling, which only the columns of some tables have."""
    if table is Table.forensic:
        return codec.packet_features(probe)
    flags = {name: np.nan if scaling is None else float(getattr(scaling, name)) for name in scaled.FLAG_NAMES}
    if table in (Table.original_stage2, Table.original_stage4):
        return codec.original_codec_features(probe) | flags
    box = scaling if table is Table.stage4 else None
    width, height = (box.box_width, box.box_height) if box else (probe.width, probe.height)
    return codec.codec_features(probe, width * height) | flags


def _provenance(source: decode.SampledFrames, path: Path) -> dict[str, Any]:
    probe, decoded = source.probe, source.decoded
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "frames_total": decoded.frames_total,
        "frames_sampled": len(decoded.indices),
        "frames_ok": decoded.frames_ok,
        "frames_corrupt": decoded.frames_corrupt,
        "width": probe.width,
        "height": probe.height,
        "rotation": decoded.rotation,
        "codec": probe.codec,
        "pix_fmt": decoded.pixel_format,
        "is_vfr": probe.is_vfr,
        "duration_s": probe.duration,
        "feature_version": FEATURE_VERSION,
        "content_sha256": digest,
    }
