"""The features of the frames of a video, of which small ones are measured together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from fvc_exp.config import Table
from fvc_exp.features import forensic, original, scaled
from fvc_exp.features.scaled import Columns, Scaling
from fvc_exp.features.strips import TOGETHER
from fvc_exp.video.decode import Sample

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
