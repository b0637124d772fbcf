"""Registration of two images of one field: their shift, globally and block by block.

Phase correlation (Kuglin and Hines 1975) on the frequencies that both images hold: the
cross-power spectrum is whitened where it stands out and damped where a
diffraction-limited image has nothing but noise.  The peak is found on a grid of
hundredths of a pixel by a matrix Fourier transform around it (Guizar-Sicairos et al.
2008, doi:10.1364/OL.33.000156).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

FINENESS = 100
"""Steps per pixel in which a shift is found."""
SMOOTH_PX = 1.0
"""Gaussian by which both images are smoothed before they are compared, px."""
_ROUNDS = 4  # until the shift to whole pixels stays
_LEAST_PX = 8  # of the common part
_FLOOR = 0.03  # of the largest cross-power: weaker frequencies are not whitened


class Shift(NamedTuple):
    """How far an image lies from where a reference shows the same."""

    y_px: float
    """Along y; positive where the image shows things further down."""
    x_px: float
    """Along x; positive where it shows them further right."""
    correlation: float
    """Pearson's correlation of image and reference, smoothed, behind the shift; of
    their common part."""

    @property
    def length_px(self) -> float:
        """Length of the shift, px."""
        return float(np.hypot(self.y_px, self.x_px))


def shift_between(
    image: np.ndarray, reference: np.ndarray, *, smooth_px: float = SMOOTH_PX
) -> Shift:
    """Measure by how far an image is shifted against a reference.

    Their intensities may differ by any gain and offset.

    Parameters
    ----------
    image, reference : (y, x)
        Images of equal sizes.
    smooth_px
        Standard deviation of the Gaussian that both are smoothed by, px; about that of
        the blurrier one.

    Returns
    -------
    shift
        ``reference(y, x)`` shows what ``image(y + y_px, x + x_px)`` does.  Zero, with a
        correlation of zero, where one of them is constant.

    Raises
    ------
    ValueError
        If the sizes differ or an image is smaller than 8 px.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = gaussian_filter(rng.random((48, 48)), 1.5)
    >>> shift = shift_between(np.roll(image, (3, -2), (0, 1)), image)
    >>> round(shift.y_px), round(shift.x_px)
    (3, -2)
    """
    if image.shape != reference.shape or image.ndim != 2 or min(image.shape) < 8:
        raise ValueError(
            "images must be (y, x), equally large and at least 8 px, not "
            f"{image.shape} and {reference.shape}"
        )
    pair = [
        gaussian_filter(np.asarray(one, float), smooth_px, mode="nearest")
        for one in (image, reference)
    ]
    if not all(np.ptp(one) > 0 for one in pair):
        return Shift(0.0, 0.0, 0.0)
    y_px = x_px = 0.0
    for _ in range(_ROUNDS):  # the window draws a shift towards zero
        whole = (round(y_px), round(x_px))
        parts = _common(pair[0], pair[1], whole)
        if min(parts[0].shape) < _LEAST_PX:
            break
        rest = _peak(*parts)
        y_px, x_px = whole[0] + rest[0], whole[1] + rest[1]
        if (round(y_px), round(x_px)) == whole:
            break
    one, other = _common(pair[0], pair[1], (round(y_px), round(x_px)))
    known = min(one.shape) > 1 and np.ptp(one) > 0 and np.ptp(other) > 0
    correlation = float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) if known else 0.0
    return Shift(y_px, x_px, correlation)


def local_shifts(
    image: np.ndarray,
    reference: np.ndarray,
    *,
    block_px: int,
    smooth_px: float = SMOOTH_PX,
) -> np.ndarray:
    """Measure the shift of every block of two images.

    Parameters
    ----------
    image, reference : (y, x)
        Images of equal sizes.
    block_px
        Edge of the blocks, px; they lie side by side and fill the images.
    smooth_px
        As for `shift_between`.

    Returns
    -------
    shifts : (rows, columns, 3) float64
        Along y and x, px, and the correlation behind the shift, for every block.
    """
    height, width = image.shape
    rows, columns = max(height // block_px, 1), max(width // block_px, 1)
    found = np.zeros((rows, columns, 3))
    for row in range(rows):
        for column in range(columns):
            part = (
                slice(row * height // rows, (row + 1) * height // rows),
                slice(column * width // columns, (column + 1) * width // columns),
            )
            found[row, column] = shift_between(
                image[part], reference[part], smooth_px=smooth_px
            )
    return found


def _window(shape: tuple[int, ...]) -> np.ndarray:
    """Return a window that falls to zero in the outer eighth of every side."""
    edges: list[np.ndarray] = []
    for size in shape:
        edge = max(size // 8, 1)
        rise = np.sin(0.5 * np.pi * (np.arange(edge) + 0.5) / edge) ** 2
        edges.append(np.concatenate([rise, np.ones(size - 2 * edge), rise[::-1]]))
    return np.outer(edges[0], edges[1])


def _peak(image: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Return where the phase correlation of two images peaks, px."""
    window = _window(image.shape)
    spectra: list[NDArray[np.complex128]] = [
        np.fft.fft2((one - one.mean()) * window) for one in (image, reference)
    ]
    power = spectra[0] * spectra[1].conj()
    strength = np.abs(power)
    power = power / (strength + _FLOOR * strength.max() + 1e-300)
    coarse: np.ndarray = np.fft.ifft2(power).real
    peak = np.unravel_index(int(np.argmax(coarse)), coarse.shape)
    start = [
        int(place) - (size if place > size // 2 else 0)
        for place, size in zip(peak, coarse.shape, strict=True)
    ]
    return _refined(power, (start[0], start[1]))


def _refined(power: np.ndarray, start: tuple[int, int]) -> tuple[float, float]:
    """Return where the correlation peaks within a pixel of `start`, px."""
    steps = np.arange(-FINENESS, FINENESS + 1) / FINENESS
    places = [centre + steps for centre in start]
    waves = [
        np.exp(2j * np.pi * np.outer(place, np.fft.fftfreq(size)))
        for place, size in zip(places, power.shape, strict=True)
    ]
    fine = np.real(waves[0] @ power @ waves[1].T)
    row, column = np.unravel_index(int(np.argmax(fine)), fine.shape)
    return float(places[0][row]), float(places[1][column])


def _common(
    image: np.ndarray, reference: np.ndarray, shift: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of two images that show the same, one shifted by whole pixels.

    They are empty where a shift is as long as the images.
    """
    parts: list[tuple[slice, slice]] = []
    for size, step in zip(image.shape, shift, strict=True):
        length = max(size - abs(step), 0)
        first = max(step, 0), max(-step, 0)
        parts.append(
            (slice(first[0], first[0] + length), slice(first[1], first[1] + length))
        )
    (rows, own_rows), (columns, own_columns) = parts
    return image[rows, columns], reference[own_rows, own_columns]
