"""Types that many rooms share."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Single precision, as OpenCV filters work in.
Array32 = NDArray[np.float32]

# Positions of rows, or codes of groups.
Indices = NDArray[np.int64]

# 0 for real, 1 for fake.
Labels = NDArray[np.integer[Any]]

Mask = NDArray[np.bool_]

# One frame of a video: rows x columns, or rows x columns x 3.
Frame = NDArray[np.uint8]

# Told how many pieces of work are done, and of how many.
Progress = Callable[[int, int], None]


def no_progress(_done: int, _total: int) -> None:
    """Tell nobody."""
