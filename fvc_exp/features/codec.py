"""What the container and the packet sizes tell, without decoding a pixel."""

import numpy as np

from fvc_exp.video.probe import Probe

NAMES = ("codec_bitrate", "codec_fps", "codec_resolution")
PACKET_NAMES = ("bits_per_pixel", "packet_size_cv", "keyframe_size_ratio")


def codec_features(probe: Probe, pixels: int) -> dict[str, float]:
    """``codec_bitrate`` in bit/s, ``codec_fps`` in frames/s on average, ``codec_resolution`` in picture pixels.

    Unknown values are NaN. The original puts 0 for an unknown bit rate, takes the container's base rate, which is
    a multiple of the true rate for video of variable rate, and counts letterbox bars as picture.
    """
    return {
        "codec_bitrate": np.nan if probe.bit_rate is None else probe.bit_rate,
        "codec_fps": np.nan if probe.average_rate is None else probe.average_rate,
        "codec_resolution": float(pixels),
    }


def original_codec_features(probe: Probe) -> dict[str, float]:
    """The codec columns as the original has them: coded size, base rate, 0 and 30 where unknown."""
    return {
        "codec_bitrate": float(probe.stated_bit_rate or 0),
        "codec_fps": probe.base_rate or 30.0,
        "codec_resolution": float(probe.width * probe.height),
    }


def packet_features(probe: Probe) -> dict[str, float]:
    """Packet size statistics, which repeated encoding and edited frame order disturb.

    - ``bits_per_pixel``, bits: mean packet size over the pixels of a frame.
    - ``packet_size_cv``, without unit: standard deviation over mean of the sizes of inter packets (of all packets in an
      intra-only stream).
    - ``keyframe_size_ratio``, without unit: mean size of key packets over that of inter packets; NaN without either.

    Packet sizes as a trace of double compression: Vazquez-Padin et al., "Detection of video double encoding with GOP
    size estimation", WIFS 2012.
    """
    sizes, keyframe = probe.packets.sizes.astype(np.float64), probe.packets.keyframe
    inter, key = sizes[~keyframe], sizes[keyframe]
    varying = inter if len(inter) else sizes
    return {
        "bits_per_pixel": 8.0 * float(sizes.mean()) / (probe.width * probe.height),
        "packet_size_cv": float(varying.std() / varying.mean()),
        "keyframe_size_ratio": float(key.mean() / inter.mean()) if len(inter) and len(key) else np.nan,
    }
