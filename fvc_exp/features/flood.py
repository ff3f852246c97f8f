"""Growing of seeds inside masks, eight pixels a byte and several masks at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


ONE = np.uint8(1)


# A seed grows by one pixel a step. Lines of texture are followed in some 60 steps; those of drawings may need more.
STEPS, STEPS_BETWEEN_LOOKS = 96, 6


def packed(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Eight rows in one of each of some masks, whose rows are a multiple of 8; masks x rows x columns.

    In the result, eighths of rows x masks x columns, bit ``b`` of row ``y`` is row ``b * rows / 8 + y``. So all
    neighbours of a pixel are in the bytes around its own, but for the first and last row of each eighth.
    """
    number, rows, width = masks.shape
    *others, last = masks.view(np.uint8).reshape(number, 8, rows // 8, width).transpose(1, 2, 0, 3)
    bits = last.copy(order="C")
    for eighth in reversed(others):
        bits += bits
        bits |= eighth
    return bits


def grown(masks: NDArray[np.uint8], seeds: NDArray[np.uint8]) -> list[int] | None:
    """How many pixels of each mask are connected to one of its seeds, over sides or corners; None: not soon enough.

    Both are packed, and the last column of each mask is empty.
    """
    inside, width = masks.ravel(), masks[0].size
    # One more byte on either side, and one more row above and below.
    padded = np.zeros(inside.size + 2, np.uint8)
    found, left, right = padded[1:-1], padded[:-2], padded[2:]
    tall = np.zeros(inside.size + 2 * width, np.uint8)
    wide, above, below = tall[width:-width], tall[: -2 * width], tall[2 * width :]
    found[:] = seeds.ravel()
    for step in range(STEPS):
        is_look = step % STEPS_BETWEEN_LOOKS == STEPS_BETWEEN_LOOKS - 1
        before = found.copy() if is_look else found
        np.bitwise_or(found, left, out=wide)
        np.bitwise_or(wide, right, out=wide)
        # The row above the first of an eighth is the last of the eighth before, one bit lower.
        np.left_shift(wide[-width:], ONE, out=tall[:width])
        np.right_shift(wide[:width], ONE, out=tall[-width:])
        np.bitwise_or(wide, above, out=found)
        np.bitwise_or(found, below, out=found)
        np.bitwise_and(found, inside, out=found)
        if is_look and np.array_equal(before, found):
            parts = found.reshape(masks.shape).transpose(1, 0, 2)
            return [int.from_bytes(part.tobytes(), "little").bit_count() for part in parts]
    return None
