"""Files that a web crawl brings along: broken, huge, misnamed, or made to do harm."""

from pathlib import Path

import numpy as np

from tests.video import clips
from tests.video.clips import Encoding, moving_frames, write_clip, write_sound, x264

NEWLINE, QUOTES = "two\nlines.mp4", 'it\'s "quoted" $HOME; *.mp4'


def write_all(root: Path, outside: Path) -> None:
    """One file of each kind below ``root``; ``outside`` is a good video elsewhere."""
    (root / "zero.mp4").write_bytes(b"")
    (root / "text.mp4").write_text("this is not a video\n" * 200)
    good = write_clip(root / "good.mp4", moving_frames(60), x264("keyint=20"), faststart=True)
    clips.cut_in_half(good, root / "cut_in_the_middle.mp4")
    clips.flip_bytes(good, root / "bit_flips.mp4", 6)
    index_last = write_clip(root / "cut_before_moov.mp4", moving_frames(20)).read_bytes()
    (root / "cut_before_moov.mp4").write_bytes(index_last[: index_last.index(b"moov") - 4])
    write_sound(root / "audio_only.mp4")
    write_clip(root / "one_frame.mp4", moving_frames(1))
    steps = np.cumsum([0] + [20, 200] * 14 + [20]).tolist()
    write_clip(root / "vfr.mp4", moving_frames(30), x264(pts=steps))
    write_clip(root / "hevc_10_bit.mp4", moving_frames(12), clips.HEVC_10_BIT)
    write_clip(root / "odd_yuv444p.mp4", moving_frames(12, 71, 159), x264(pixel_format="yuv444p"))
    clips.rotated(root / "good.mp4", root / "rotated.mp4", (0, -1, 1, 0))
    fast = Encoding("libx264", options={"preset": "ultrafast", "threads": "1"})
    write_clip(root / "8k.mp4", [np.zeros((4320, 7680, 3), np.uint8)], fast)
    once = write_clip(root / "once.mp4", [np.zeros((2160, 3840, 3), np.uint8)] * 20, fast)
    clips.repeat(once, root / "bomb.mp4", 60)
    once.unlink()
    (root / "ffconcat.mp4").write_text("ffconcat version 1.0\nfile 'one_frame.mp4'\n")
    (root / "link_out.mp4").symlink_to(outside)
    (root / "folder.mp4").mkdir()
    for name in (NEWLINE, QUOTES):
        (root / name).write_bytes((root / "good.mp4").read_bytes())
