"""What the container and the packet sizes say, without looking at a pixel."""

from __future__ import annotations

from math import nan

import numpy as np

from fvc_exp.video.probe import Probe

NAMES = ("codec_bitrate", "codec_fps", "codec_resolution")


PACKET_NAMES = ("bits_per_pixel", "packet_size_cv", "keyframe_size_ratio")


def features(probe: Probe, pixels: int) -> dict[str, float]:
    """Bit rate in bit/s, average frame rate in frames/s, and ``pixels``, the picture pixels of a frame.

    Unknown values are NaN. The original puts 0 for an unknown bit rate, takes the container's base rate, which is
    a multiple of the true rate for video of variable rate, and counts letterbox bars as picture.
    """
    return {
        "codec_bitrate": nan if probe.bit_rate is None else probe.bit_rate,
        "codec_fps": nan if probe.average_rate is None else probe.average_rate,
        "codec_resolution": float(pixels),
    }


def original_features(probe: Probe) -> dict[str, float]:
    """The codec columns as the original has them: coded size, base rate, 0 and 30 where unknown."""
    return {
        "codec_bitrate": float(probe.stated_bit_rate or 0),
        "codec_fps": probe.base_rate or 30.0,
        "codec_resolution": float(probe.width * probe.height),
    }


def packet_features(probe: Probe) -> dict[str, float]:
    """Packet size statistics, which repeated encoding and edited frame order disturb.

    ``bits_per_pixel`` is the mean over all packets. ``packet_size_cv`` is the standard deviation over the
    mean of the inter packets (of all packets in an intra-only stream), ``keyframe_size_ratio`` the mean size
    of key packets over that of inter packets, NaN without either. Packet sizes as a trace of double
    compression: Vazquez-Padin et al., "Detection of video double encoding with GOP size estimation", WIFS
    2012.
    """
    sizes, keyframe = probe.packets.sizes.astype(np.float64), probe.packets.keyframe
    inter, key = sizes[~keyframe], sizes[keyframe]
    varying = inter if len(inter) else sizes
    return {
        "bits_per_pixel": 8.0 * float(sizes.mean()) / (probe.width * probe.height),
        "packet_size_cv": float(varying.std() / varying.mean()),
        "keyframe_size_ratio": float(key.mean() / inter.mean()) if len(inter) and len(key) else nan,
    }
