"""Raw frames of structured illumination: nine pictures of one field, in which order."""

import numpy as np

from zoo.core.errors import BadInput

ORDERS = ("angle-major", "phase-major")
"""How nine raw frames follow each other: all phases of an angle, or all angles of a
phase, first."""

ANGLES = 3
PHASES = 3


def reordered(frames: np.ndarray, order: str) -> np.ndarray:
    """Return raw frames in the order that networks take, all phases of an angle first.

    Parameters
    ----------
    frames
        (t, y, x, 9).
    order
        Order they are in, one of `ORDERS`.

    Returns
    -------
    frames : (t, y, x, 9)
        A view or a copy.

    Raises
    ------
    BadInput
        If there is no such order.
    ValueError
        If there are not nine channels.

    Examples
    --------
    >>> reordered(np.arange(9)[None, None, None], "phase-major").tolist()
    [[[[0, 3, 6, 1, 4, 7, 2, 5, 8]]]]
    """
    _check(frames, order)
    if order == "angle-major":
        return frames
    table = frames.reshape(*frames.shape[:-1], PHASES, ANGLES)
    return np.swapaxes(table, -1, -2).reshape(frames.shape)


def _check(frames: np.ndarray, order: str) -> None:
    if order not in ORDERS:
        raise BadInput(
            f"there is no frame order {order!r}; choose {' or '.join(ORDERS)}"
        )
    if frames.ndim != 4 or frames.shape[-1] != ANGLES * PHASES:
        raise ValueError(
            f"raw frames must have axes (t, y, x, {ANGLES * PHASES}), not {frames.shape}"
        )
