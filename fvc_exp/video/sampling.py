"""Which frames of a video are measured, and which packets must be decoded to get exactly those."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fvc_exp.config.schema import SamplingConfig
from fvc_exp.video.probe import Probe

# The containers whose time stamps belong to frames; AVI has none of its own.
TIMED_CONTAINERS = frozenset({"mov", "mp4", "matroska", "webm"})


@dataclass(frozen=True)
class Run:
    """Packets ``start`` to ``stop`` - 1 in decoding order; the first is a keyframe."""

    start: int
    stop: int


def sample_indices(total: int, sampling: SamplingConfig) -> tuple[int, ...]:
    """Display indices of evenly spread frames, first and last included, each at most once.

    ``sampling.fraction`` of the ``total`` frames is taken, kept between ``min_frames`` and ``max_frames``; a
    video with fewer frames than that gives all it has.
    """
    count = max(sampling.min_frames, min(sampling.max_frames, int(total * sampling.fraction)))
    return tuple(np.unique(np.linspace(0, total - 1, count, dtype=np.int64)).tolist())


def decoding_runs(probe: Probe, indices: Sequence[int]) -> tuple[Run, ...] | None:
    """The packet runs that suffice for the frames at display ``indices``.

    None where only a full decode is exact. A frame needs every packet from the keyframe before it, in display
    order, up to its own. That holds only if time stamps exist, are unique and are trustworthy: those of a stream
    with B-frames that never go back are not.
    """
    packets = probe.packets
    known = [pts for pts in packets.pts if pts is not None]
    if (
        TIMED_CONTAINERS.isdisjoint(probe.container.split(","))
        or probe.is_damaged
        or len(set(known)) != len(packets.pts)
        or (probe.has_b_frames and known == sorted(known))
    ):
        return None
    position = {pts: packet for packet, pts in enumerate(known)}
    keyframes = sorted((known[packet], packet) for packet in np.flatnonzero(packets.keyframe).tolist())
    needed: set[int] = set()
    for index in indices:
        pts = packets.display_pts[index]
        before = bisect_right(keyframes, (pts, len(known))) - 1
        if before < 0 or keyframes[before][1] > position[pts]:
            return None
        needed.update(range(keyframes[before][1], position[pts] + 1))
    return _runs(sorted(needed))


def _runs(packets: Sequence[int]) -> tuple[Run, ...]:
    breaks = [at for at in range(1, len(packets)) if packets[at] != packets[at - 1] + 1]
    edges = [0, *breaks, len(packets)]
    return tuple(Run(packets[a], packets[b - 1] + 1) for a, b in pairwise(edges))
