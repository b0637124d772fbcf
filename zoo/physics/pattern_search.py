"""Search for the illumination pattern of a microscope of which nothing is known.

Where a side band and the central band overlap, their correlation peaks at the pattern
vector (Gustafsson 2000, doi:10.1046/j.1365-2818.2000.00710.x).  Both are whitened, so
that no optical transfer function is needed, and the energies of the correlation are
added up over parts of the field and points of time: the vector is the same in all of
them, and what structures do by chance is not.

Frequencies are in cycles per pixel.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage, special

from zoo.physics.illumination import ORIENTATIONS

RANGE = (0.14, 0.46)
"""Lowest and highest pattern frequency that is searched."""

EMPTY = 0.45
"""Frequency beyond which a recording sampled for super-resolution holds noise alone."""

CHANCE = 1e-10
"""Chance that the correlation of noise reaches what counts as a pattern, at one
frequency."""

APART_RAD = 0.26
"""Least angle between orientations; below, two triples of frames show one pattern."""

WINDOW_PX = 256
"""Edge of the parts of a field that are evaluated."""

MOST_WINDOWS = 4
"""Parts of the field, or of several points of time, that are evaluated."""

_SLOWEST = 0.05  # background, haze and the border change more slowly
_NEIGHBOURS = 5  # frequencies over which power is averaged for whitening
_RINGS = 2  # of the finer grid by which orientations may differ in frequency
_TINY = 1e-300


class Window(NamedTuple):
    """A part of the field at one point of time."""

    frames: np.ndarray
    """(orientation, phase, y, x) counts or photons."""
    start: tuple[int, int]
    """First pixel in the field, y before x."""
    time: int
    """Number of the point of time."""


class Peaks(NamedTuple):
    """Where the correlations of all windows together are highest."""

    vectors: np.ndarray
    """(orientation, 2) pattern vectors, y before x, in the direction in which phases
    rise, to a part of the spacing of frequencies."""
    clarity: np.ndarray
    """(orientation,), amplitude of the peak in units of the root mean square around."""
    visible: np.ndarray
    """(orientation,), whether it stands out from noise."""
    one_sided: np.ndarray
    """(orientation,), share of the peak's energy that is missing at the opposite
    vector: near 1 for phases of one orientation, near 0 for frames that do not belong
    together."""

    @property
    def convincing(self) -> bool:
        """Whether there is a pattern, and its orientations are that."""
        sides = self.one_sided[self.visible]
        return bool(self.visible.any() and (sides > 0.5).all() and self.apart)

    @property
    def apart(self) -> bool:
        """Whether all visible orientations differ."""
        angles = np.arctan2(*self.vectors[self.visible].T)
        between = np.angle(np.exp(2j * (angles[:, None] - angles))) / 2
        others = np.abs(between[~np.eye(len(angles), dtype=bool)])
        return bool((others > APART_RAD).all())


def windows_of(frames: np.ndarray, *, time: int = 0) -> list[Window]:
    """Cut frames into windows of at most `WINDOW_PX`, spread evenly.

    Parameters
    ----------
    frames
        (orientation, phase, y, x).
    time
        Number of the point of time.
    """
    sides = frames.shape[-2:]
    edges = [min(side, WINDOW_PX) // 2 * 2 for side in sides]
    starts: list[list[int]] = []
    for side, edge in zip(sides, edges, strict=True):
        count = -(-side // edge)
        starts.append(
            [round(n * (side - edge) / max(count - 1, 1)) for n in range(count)]
        )
    return [
        Window(frames[:, :, y : y + edges[0], x : x + edges[1]], (y, x), time)
        for y in starts[0]
        for x in starts[1]
    ]


def chosen(windows: Sequence[Window]) -> list[Window]:
    """Return at most `MOST_WINDOWS`, those in which structures stand out most."""
    if len(windows) <= MOST_WINDOWS:
        return list(windows)
    detail = [_detail(window) for window in windows]
    best = np.argsort(detail)[-MOST_WINDOWS:]
    return [windows[number] for number in sorted(best.tolist())]


def find_peaks(windows: Sequence[Window], *, harmonic: int = 1) -> Peaks:
    """Search the pattern vectors of three orientations of nearly one length.

    Parameters
    ----------
    windows
        Parts of the field, all of one size.
    harmonic
        Steps of ``2 pi harmonic / phases`` are taken from frame to frame.  The finest
        fringes of three-beam illumination advance twice as fast as the coarse ones.
    """
    height, width = windows[0].frames.shape[-2:]
    size = (2 * height, 2 * width)
    f_y, f_x = (np.fft.fftfreq(side) for side in size)
    frequency = np.hypot(f_y[:, None], f_x)
    rows, columns = np.nonzero((frequency >= RANGE[0]) & (frequency <= RANGE[1]))
    ring = np.rint((frequency[rows, columns] - RANGE[0]) * max(size)).astype(int)
    count = int(ring.max()) + 1
    members = np.maximum(np.bincount(ring, minlength=count), 1)
    products = [correlated(window, harmonic=harmonic) for window in windows]
    energies = np.zeros((ORIENTATIONS, len(rows)))
    for product in products:
        spectrum = np.asarray(fft.fft2(product, s=size))[:, rows, columns]
        power = np.abs(spectrum) ** 2
        for energy, part in zip(energies, power, strict=True):
            mean = np.bincount(ring, part, minlength=count) / members
            # smooth along the frequency, and robust against the peak itself
            mean = ndimage.median_filter(mean, 2 * _NEIGHBOURS + 1, mode="nearest")
            energy += part / np.maximum(mean[ring], _TINY)
    profile = np.zeros(count + 2 * _RINGS)
    for energy in energies:
        best = np.zeros_like(profile)
        for shift in range(2 * _RINGS + 1):
            np.maximum.at(best, ring + shift, energy)
        profile += best
    near = np.abs(ring + _RINGS - int(profile.argmax())) <= _RINGS
    peaks = [int(np.where(near, energy, -1.0).argmax()) for energy in energies]
    start = np.stack([f_y[rows[peaks]], f_x[columns[peaks]]], axis=1)
    height_of = energies[np.arange(ORIENTATIONS), peaks]
    table = np.full((ORIENTATIONS, *size), 0.0)
    table[:, rows, columns] = energies
    opposite = np.array(
        [
            ndimage.maximum_filter(part, 3, mode="wrap")[-rows[peak], -columns[peak]]
            for part, peak in zip(table, peaks, strict=True)
        ]
    )
    # what structures do by chance is the same at all times
    places = len({window.start for window in windows})
    least = len(windows) * special.gammainccinv(places, CHANCE) / places
    return Peaks(
        vectors=np.array(
            [
                _between([product[i] for product in products], vector)
                for i, vector in enumerate(start)
            ]
        ),
        clarity=np.sqrt(height_of / len(windows)),
        visible=height_of > least,
        one_sided=1 - np.minimum(opposite / np.maximum(height_of, _TINY), 1.0),
    )


def correlated(window: Window, *, harmonic: int = 1) -> np.ndarray:
    """Return images whose spectra correlate the side bands with the central band.

    Parameters
    ----------
    window, harmonic
        As for `find_peaks`.

    Returns
    -------
    product : (orientation, y, x) complex128
    """
    mean, sides = bands(window.frames, harmonic=harmonic)
    height, width = mean.shape
    taper = np.outer(_fade(height), _fade(width))
    f_y, f_x = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    radius = np.hypot(f_y, f_x)
    used = (radius > max(5 / min(mean.shape), _SLOWEST)) & (radius < EMPTY)
    central = np.asarray(fft.fft2(mean * taper))
    spectra = np.asarray(fft.fft2(sides * taper))
    powers = [np.abs(part) ** 2 for part in (central, *spectra)]
    white = [
        np.asarray(fft.ifft2(part * _whitening(power, used, radius)))
        for part, power in zip((central, *spectra), powers, strict=True)
    ]
    return np.real(white[0]) * np.stack(white[1:])


def equal_steps(phases: int, harmonic: int = 1) -> np.ndarray:
    """Return phases that rise by ``2 pi harmonic / phases`` from 0, (phase,)."""
    return harmonic * np.linspace(0, 2 * np.pi, phases, endpoint=False)


def bands(frames: np.ndarray, *, harmonic: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Separate the central band and the side bands by equal phase steps.

    What steps that are not equal leave of the central band in a side band, and frames
    of unequal light, is taken out by regression.

    Parameters
    ----------
    frames
        (orientation, phase, y, x).
    harmonic
        As for `find_peaks`.

    Returns
    -------
    mean, sides : (y, x), (orientation, y, x) complex128
    """
    phases = frames.shape[1]
    steps = equal_steps(phases, harmonic)
    frames = frames - frames.mean(axis=(-2, -1), keepdims=True)
    own = frames.mean(axis=1)
    sides = np.einsum("p,opyx->oyx", 2 / phases * np.exp(-1j * steps), frames)
    share = (sides * own).sum((1, 2)) / np.maximum((own * own).sum((1, 2)), _TINY)
    return own.mean(axis=0), sides - share[:, None, None] * own


def _whitening(power: np.ndarray, used: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Return the factors that make a spectrum white where it exceeds its noise."""
    # the side band of the opposite direction has the same power
    power = (power + np.roll(power[::-1, ::-1], (1, 1), axis=(0, 1))) / 2
    bounds = (EMPTY, (EMPTY + 0.5**0.5) / 2)
    noise = min(
        float(power[(radius > bounds[0]) & (radius <= bounds[1])].mean()),
        float(power[radius > bounds[1]].mean()),
    )
    around = ndimage.uniform_filter(power, _NEIGHBOURS, mode="wrap")
    signal = used * np.maximum(1 - noise / np.maximum(around, _TINY), 0.0)
    return signal / np.sqrt(np.maximum(around, _TINY))


def _between(products: list[np.ndarray], vector: np.ndarray) -> np.ndarray:
    """Return where the energy is highest between the frequencies of the grid."""
    height, width = products[0].shape
    grid = np.linspace(-1, 1, 17)
    place = vector
    for finer in (2, 8):
        f_y, f_x = place[0] + grid / (finer * height), place[1] + grid / (finer * width)
        energy = sum(np.abs(sampled(product, f_y, f_x)) ** 2 for product in products)
        row, column = np.unravel_index(np.argmax(energy), (len(grid), len(grid)))
        place = np.array([f_y[row], f_x[column]])
    return place


def sampled(image: np.ndarray, f_y: np.ndarray, f_x: np.ndarray) -> np.ndarray:
    """Return coefficients (v, u) of the Fourier transform at any frequencies.

    Parameters
    ----------
    image
        (y, x), the first pixel at the origin.
    f_y, f_x
        (v,), (u,).
    """
    height, width = (int(side) for side in image.shape)
    along_y = np.exp(-2j * np.pi * np.outer(f_y, np.arange(height)))
    along_x = np.exp(-2j * np.pi * np.outer(np.arange(width), f_x))
    return along_y @ image @ along_x


def _fade(length: int) -> np.ndarray:
    """Return a window that rises over an eighth of its length at either end."""
    place = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    return 0.5 - 0.5 * np.cos(np.pi * np.minimum(place / (length / 8), 1.0))


def _detail(window: Window) -> float:
    """Return how much of a window's power fringes and structures hold, not noise."""
    mean = np.asarray(window.frames.mean(axis=(0, 1)), float)
    power = np.abs(np.fft.fft2(mean - float(mean.mean()))) ** 2
    radius = np.hypot(
        np.fft.fftfreq(mean.shape[0])[:, None], np.fft.fftfreq(mean.shape[1])
    )
    signal = power[(radius > 0.05) & (radius < 0.25)].mean()
    return float(signal / max(power[radius > 0.45].mean(), 1e-300))
