"""Types that many rooms share."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Array32 = NDArray[np.float32]
"""Single precision, as OpenCV filters work in."""

Indices = NDArray[np.int64]
"""Positions of rows, or codes of groups."""

Labels = NDArray[np.integer[Any]]
"""0 for real, 1 for fake."""

Mask = NDArray[np.bool_]

Frame = NDArray[np.uint8]
"""One frame of a video: rows x columns, or rows x columns x 3."""

Progress = Callable[[int, int], None]
"""Told how many pieces of work are done, and of how many."""


def no_progress(_done: int, _total: int) -> None:
    """Tell nobody."""
