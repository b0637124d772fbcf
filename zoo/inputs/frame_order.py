"""Order of nine raw SIM frames, told by their sums over phases and orientations.

Under three orientations of the illumination pattern with three phases each, the mean
over the phases of an orientation is the image under uniform illumination, the same for
every orientation.  The mean over the orientations of a phase is not: fringes remain.
So nine frames tell in which order they are, if there is more light than noise.
"""

from typing import Literal, NamedTuple

import numpy as np

from zoo.core.errors import BadInput

Order = Literal["angle-major", "phase-major"]

ORDERS: tuple[Order, Order] = ("angle-major", "phase-major")
"""How raw frames follow each other: all phases of an angle, or all angles of a phase,
first."""

LOW_BAND = 0.25
"""Cycles per pixel below which images differ by fringes and motion."""

NOISE_BAND = 0.5
"""Cycles per pixel beyond which, in the corners, there is only noise; objectives pass
nothing there if the pixels are small enough for super-resolution."""

FITS = 0.25
"""Part of the frames' differences that may lie between means that should be equal."""

NO_FRINGES = 1e-4
"""Power of the differences, relative to that of the image, of fringes too weak to be
any.  Simulated raw frames have 3e-4 to 3e-2 for contrasts from 0.3 to 1; the power
falls with the square of the contrast."""

_SIGMAS = 5.0  # a chance of 1e-6: a warning is never noise
_UNCERTAIN = 3.0
_COLOURED = 1.5  # ratio of two bands of noise that is not white
_ACROSS = 4.0  # times what lies across means: more is motion rather than fringes
_GROUPS = 8  # of nine frames are enough
_EDGE_PX = 512
_SMALLEST_PX = 32


def reordered(frames: np.ndarray, order: str) -> np.ndarray:
    """Return nine raw frames with all phases of an angle first.

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
    return frames if order == "angle-major" else swapped(frames, 3, 3)


def swapped(frames: np.ndarray, outer: int, inner: int) -> np.ndarray:
    """Return frames (..., outer * inner) with the two parts of c in another order."""
    table = frames.reshape(*frames.shape[:-1], outer, inner)
    return np.swapaxes(table, -1, -2).reshape(frames.shape)


def order_warning(frames: np.ndarray, order: str) -> str | None:
    """Say what speaks against raw frames being in an order, if anything does.

    The differences between the nine frames of an image are split as in an analysis of
    variance, after each was scaled to the brightness of their mean: between the means
    over phases (2 degrees of freedom), between the means over angles (2), and the rest
    (4).  Their power at low frequencies is compared with that of the noise, which is
    read in the corners of the spectrum.  Where the order is right, the first part is
    noise and the others are alike.  Without enough light to tell, nothing is said.

    Parameters
    ----------
    frames
        (t, y, x, 9) counts; a few groups of the middle of the field are looked at.
    order
        Order they are said to be in, one of `ORDERS`.

    Returns
    -------
    warning
        One line, if another order fits clearly better, or if the frames do not look
        like raw frames of structured illumination at all; otherwise None.

    Raises
    ------
    BadInput
        If there is no such order.
    ValueError
        If there are not nine channels.
    """
    _check(frames, order)
    parts = _split(frames)
    if parts is None:
        return None
    stated, other = parts.rows, parts.columns  # in the order of the frames
    if order == "phase-major":
        stated, other = other, stated
    alternative = ORDERS[1 - ORDERS.index(order)]

    error = parts.error  # of a part with one degree of freedom
    fringes = (2 * (parts.rows + parts.columns) + 4 * parts.rest) / 8
    if fringes + _SIGMAS * error / 8**0.5 < NO_FRINGES * parts.image:
        return (
            "the images do not look like raw SIM frames: the nine of an image are the "
            "same but for noise, without fringes; use a package for widefield images"
        )
    if fringes < _SIGMAS * error / 8**0.5:
        return None  # too dark to tell
    tolerance = max(FITS * fringes, _UNCERTAIN * error / 2**0.5)
    if stated < tolerance:
        return None
    across = _ACROSS * max(parts.rest, 0)
    clear = stated - other > _SIGMAS * error and stated < across
    if other < tolerance and clear:
        return (
            f"the raw frames look {alternative}, not {order}: only so do the three "
            "phases of every angle add up to the same image; give the frame order "
            f"{alternative}"
        )
    both = other >= tolerance and min(stated, other) > _SIGMAS * error / 2**0.5
    moved = stated - across > 2 * _SIGMAS * error
    if parts.white and (both or moved):
        return (
            "the images do not look like raw SIM frames: in no known order "
            f"({', '.join(ORDERS)}) do the three phases of every angle add up to the "
            "same image; check what the recording holds and whether the sample moved"
        )
    return None


class _Parts(NamedTuple):
    """Power of differences beyond that of noise, in units of the noise."""

    rows: float
    """Between the means of frames 1-3, 4-6 and 7-9."""
    columns: float
    """Between the means of every third frame."""
    rest: float
    """What is left."""
    image: float
    """The mean of all frames."""
    error: float
    """Standard deviation of a part with one degree of freedom."""
    white: bool
    """Whether the noise is the same in two bands, and so in the low one."""


def _split(frames: np.ndarray) -> _Parts | None:
    """Split the differences of frames; None if there is nothing to see."""
    from scipy import fft  # takes a while; only recordings of raw frames need it

    count, height, width, _ = frames.shape
    if min(height, width) < _SMALLEST_PX:
        return None
    box = tuple(
        slice((n - min(n, _EDGE_PX)) // 2, (n + min(n, _EDGE_PX)) // 2)
        for n in (height, width)
    )
    looked_at = min(count, _GROUPS)
    spacing = (count - 1) / max(looked_at - 1, 1)
    chosen = [round(number * spacing) for number in range(looked_at)]
    height, width = (s.stop - s.start for s in box)
    window = _taper(height)[:, None] * _taper(width)[None]
    f_y, f_x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    radius = np.hypot(f_y, f_x)
    once = (f_x > 0) & (f_x < 0.5)  # modes whose conjugate is not there, too
    low = once & (radius < LOW_BAND) & (radius > 2 / min(height, width))
    middle = (NOISE_BAND + 0.5**0.5) / 2
    near, far = (
        once & (radius > NOISE_BAND) & (radius <= middle),
        once & (radius > middle),
    )

    powers = np.zeros((5, 3))  # rows, columns, rest, all, image in three bands
    for index in chosen:
        group = np.moveaxis(frames[index][box].astype(np.float64), -1, 0)
        spectra = fft.rfft2(_alike(group) * window)
        table = spectra.reshape(3, 3, *spectra.shape[1:])
        mean = table.mean((0, 1))
        rows, columns = table.mean(1) - mean, table.mean(0) - mean
        rest = table - rows[:, None] - columns[None] - mean
        squares = [
            3 * (np.abs(rows) ** 2).sum(0) / 2,
            3 * (np.abs(columns) ** 2).sum(0) / 2,
            (np.abs(rest) ** 2).sum((0, 1)) / 4,
        ]
        squares += [(2 * squares[0] + 2 * squares[1] + 4 * squares[2]) / 8]
        squares += [9 * np.abs(mean) ** 2]
        for part, square in zip(powers, squares, strict=True):
            part += [square[band].mean() for band in (low, near, far)]
    image = powers[4, 0]
    if image <= 0:
        return None
    noise = max((powers[3, 1] + powers[3, 2]) / 2, 1e-9 * image)
    # a window makes neighbouring modes alike: fewer of them are independent
    alike = window.size * (window**4).sum() / (window**2).sum() ** 2
    return _Parts(
        *(float(part) for part in powers[:3, 0] / noise - 1),
        image=float(image / noise - 1),
        error=float((alike / (low.sum() * len(chosen))) ** 0.5),
        white=bool(powers[3, 1] < _COLOURED * powers[3, 2]),
    )


def _taper(length: int) -> np.ndarray:
    """Return a window that rises over a quarter of its length at either end."""
    place = (np.arange(length) + 0.5) / length
    edge = np.minimum(place, 1 - place)
    return np.sin(np.pi / 2 * np.minimum(4 * edge, 1)) ** 2


def _alike(group: np.ndarray) -> np.ndarray:
    """Return frames (frame, y, x) as bright as their mean, without their background."""
    group = group - group.mean((1, 2), keepdims=True)
    mean = group.mean(0)
    power = float((mean**2).sum())
    if power <= 0:
        return group
    gain = (group * mean).sum((1, 2), keepdims=True) / power
    return group - (gain - 1) * mean


def _check(frames: np.ndarray, order: str) -> None:
    if order not in ORDERS:
        raise BadInput(
            f"there is no frame order {order!r}; choose {' or '.join(ORDERS)}"
        )
    if frames.ndim != 4 or frames.shape[-1] != 9:
        raise ValueError(f"raw frames must be (t, y, x, 9), not {frames.shape}")
