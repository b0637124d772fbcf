"""Stripes of structured illumination, found in the raw frames themselves.

Stripes add copies of a sample's spectrum to it, moved by the stripe vector.  Where a
copy and the original overlap they differ by one complex factor that holds contrast and
phase, so that their correlation peaks at the stripe vector, which is found in parts of
the spacing of the frequencies (Gustafsson 2000, doi:10.1046/j.1365-2818.2000.00710.x;
Gustafsson et al. 2008, doi:10.1529/biophysj.107.120345).  The correlation of a single
frame at that vector has the frame's phase (Wicker 2013, doi:10.1364/OE.21.024692).
"""

import numpy as np
from scipy import fft, interpolate, optimize

from zoo.core.errors import BadInput
from zoo.physics.illumination import ORIENTATIONS, PHASES, Pattern, carriers
from zoo.physics.optics import Optics
from zoo.physics.stripe_components import (
    RawFrames,
    Sample,
    overlap,
    prepared,
    sharpened,
)

FREQUENCY_RANGE = (0.6, 1.05)
"""Where stripes are looked for, in units of the detection's cut-off."""
LOWEST_CONTRAST = 0.01
"""Contrast of an orientation without visible stripes: they count for nothing."""
_DETECTED = 15.0
"""Least energy of stripes, in units of the mean between peaks.  The strongest of three
orientations without stripes is below 13.3 in 95 % of fields of 128 px, the weakest of
three with stripes above 25."""
_CLUTTER = 0.02
"""Error of a frame's correlation besides noise, in units of itself."""
_ROUNDS = 3


class NoStripes(BadInput):
    """Raw frames in which no stripes can be seen."""


def estimate_pattern(
    frames: np.ndarray,
    optics: Optics,
    *,
    frequency_range: tuple[float, float] = FREQUENCY_RANGE,
    orientations: int = ORIENTATIONS,
    phase_spread_rad: float = 0.1,
    taper_px: int = 16,
) -> Pattern:
    """Find frequency, angles, phases and contrast of the stripes in raw frames.

    The frequency is common to all orientations, and found from all of them together:
    a weak orientation profits from a strong one.  Nothing is assumed about the angles.
    On simulated fields of 128 px with 15 photons per pixel on the structure, 96 of 100
    orientations are found and none wrongly; with 600 photons all are, the frequency to
    0.05 %, phases in the middle to 1.5 degrees and contrasts to 4 % on average.  In
    fields of 64 px one orientation in eight is missed or wrong even then.

    Parameters
    ----------
    frames
        (frame, y, x) photons per camera pixel, ordered by orientation, then phase.
    optics
        Microscope with its camera pixel.
    frequency_range
        Lowest and highest frequency looked for, in units of the detection's cut-off.
        Stripes beyond it are not told from none: the slope of their peak stands out.
    orientations
        Number of orientations.
    phase_spread_rad
        How far phases may be from equal steps: the standard deviation from which they
        are drawn, which counts as much as the frames say little.
    taper_px
        Camera pixels over which the frames fade at their borders, at most a twelfth of
        the shorter side.

    Returns
    -------
    pattern : Pattern
        Phases rise along an orientation's frames, by which the angle is unique in the
        full circle; they are given at the outer corner of the frames.  An orientation
        whose stripes do not stand out has `LOWEST_CONTRAST` and otherwise arbitrary
        stripes.

    Raises
    ------
    NoStripes
        If stripes stand out in no orientation: too little light, or none.
    ValueError
        If the frames are not the same number for every orientation, at least three, or
        too small or not finite, or an option is not positive.
    """
    raw = prepared(frames, optics, orientations=orientations, taper_px=taper_px)
    low, high = frequency_range
    if not 0 < low < high or phase_spread_rad <= 0:
        raise ValueError(
            "frequency_range must be positive and rising, phase_spread_rad positive, "
            f"not {frequency_range} and {phase_spread_rad}"
        )
    if not raw.spectra.any():
        raise NoStripes("no stripes are in frames whose pixels are all alike")
    steps = 2 * np.pi * np.arange(raw.phases) / raw.phases
    phases = np.tile(steps, (orientations, 1))
    sample = sharpened(raw, phases)
    limits = low * optics.cutoff_per_um, high * optics.cutoff_per_um
    polar, clutter = _search(raw, sample, phases, limits)
    energies, contrast = np.zeros(orientations), np.zeros(orientations)
    for _ in range(_ROUNDS):
        polar, energies = _refined(raw, sample, phases, polar)
        for number, wave in enumerate(_waves(raw, polar)):
            phases[number], contrast[number] = _fitted(
                raw, sample, number, wave, phases[number], phase_spread_rad
            )
        sample = sharpened(raw, phases)
    seen = energies > _DETECTED * clutter
    if not seen.any():
        raise NoStripes(
            f"no stripes of {limits[0]:.2f} to {limits[1]:.2f} cycles/µm stand out "
            "from noise and structure; give frames with more light, or the right optics"
        )
    kept = np.where(seen, np.clip(contrast, LOWEST_CONTRAST, 1.0), LOWEST_CONTRAST)
    return _pattern(polar, phases, kept)


def faint_pattern(
    optics: Optics, *, orientations: int = ORIENTATIONS, phases: int = PHASES
) -> Pattern:
    """Return stripes of `LOWEST_CONTRAST`, for frames in which none are found.

    With it, `zoo.physics.sim_reconstruction.reconstruct` sharpens the mean of the
    frames.  The frequency is in the middle of `FREQUENCY_RANGE`.

    Examples
    --------
    >>> from zoo.physics.optics import OPTICS
    >>> faint_pattern(OPTICS["sim"]).modulations
    (0.01, 0.01, 0.01)
    """
    polar = np.array(
        [
            sum(FREQUENCY_RANGE) / 2 * optics.cutoff_per_um,
            *np.pi * np.arange(orientations) / orientations,
        ]
    )
    steps = 2 * np.pi * np.arange(phases) / phases
    return _pattern(
        polar,
        np.tile(steps, (orientations, 1)),
        np.full(orientations, LOWEST_CONTRAST),
    )


def _pattern(polar: np.ndarray, phases: np.ndarray, contrast: np.ndarray) -> Pattern:
    """Return the stripes of a frequency followed by angles."""
    return Pattern(
        frequency_per_um=float(polar[0]),
        angles_rad=tuple(np.mod(polar[1:], 2 * np.pi).tolist()),
        phases_rad=tuple(tuple(row) for row in np.mod(phases, 2 * np.pi).tolist()),
        modulations=tuple(contrast.tolist()),
    )


def _search(
    raw: RawFrames, sample: Sample, phases: np.ndarray, limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Find the stripes to half the spacing of frequencies.

    Returns
    -------
    polar : (1 + orientation,)
        Frequency and angles.
    clutter : (orientation,)
        Mean energy of the correlation between its peaks.
    """
    size = (2 * raw.shape[0], 2 * raw.shape[1])
    f_y = np.fft.fftfreq(size[0], raw.fine_um)
    f_x = np.fft.fftfreq(size[1], raw.fine_um)
    frequency = np.hypot(f_y[:, None], f_x[None, :])
    rows, columns = np.nonzero((frequency >= limits[0]) & (frequency <= limits[1]))
    if not len(rows):
        raise ValueError(f"the frames have no frequencies within {limits} cycles/µm")
    angles = np.arctan2(f_y[rows], f_x[columns])
    away = (frequency[rows, columns] - limits[0]) * raw.fine_um * max(size)
    radius = np.rint(away).astype(int)
    norm = np.abs(np.asarray(fft.fft2(sample.norm, s=size)))[rows, columns]
    energies: list[np.ndarray] = []
    profile = np.zeros(int(radius.max()) + 3)
    for number, row in enumerate(phases):
        product, noise = overlap(raw, sample, number, row)
        correlation = np.asarray(fft.fft2(product, s=size))[rows, columns]
        energy = np.abs(correlation) ** 2 / np.maximum(norm * noise, 1e-300)
        best = np.zeros_like(profile)
        for shift in range(3):  # orientations may fall into neighbouring rings
            np.maximum.at(best, radius + shift, energy)
        profile += best
        energies.append(energy)
    near = np.abs(radius + 1 - int(profile.argmax())) <= 1
    peaks = [int(np.where(near, energy, -1.0).argmax()) for energy in energies]
    start = float(np.mean(frequency[rows[peaks], columns[peaks]]))
    # half of all values of noise are below ln 2 of their mean, and peaks do not matter
    clutter = np.array([np.median(energy) for energy in energies]) / np.log(2)
    return np.array([start, *angles[peaks]]), np.maximum(clutter, 1.0)


def _vectors(polar: np.ndarray) -> np.ndarray:
    """Return stripe vectors, (orientation, 2), y before x."""
    return polar[0] * np.stack([np.sin(polar[1:]), np.cos(polar[1:])], axis=1)


def _waves(raw: RawFrames, polar: np.ndarray) -> np.ndarray:
    """Return the carriers of all orientations on the fine grid."""
    angles = len(polar) - 1
    pattern = _pattern(polar, np.zeros((angles, PHASES)), np.ones(angles))
    return carriers(pattern, raw.shape, pixel_nm=1000 * raw.fine_um)


def _refined(
    raw: RawFrames, sample: Sample, phases: np.ndarray, polar: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the common frequency and the angles at which the energies are highest.

    Within a peak, energy is correlation squared over the *root* of the copy's power:
    the power falls outwards, and dividing by all of it puts the maximum 0.07 % too far
    out, by none of it as much too far in.
    """
    spacing = 1 / (raw.fine_um * max(raw.shape))
    grid = np.linspace(-0.75, 0.75, 13) * spacing
    middle = len(grid) // 2
    patches: list[interpolate.RectBivariateSpline] = []
    for number, vector in enumerate(_vectors(polar)):
        f_y, f_x = (float(part) for part in vector)
        product, noise = overlap(raw, sample, number, phases[number])
        signal = _spectrum(product, f_y + grid, f_x + grid, raw.fine_um)
        norm = np.abs(_spectrum(sample.norm, f_y + grid, f_x + grid, raw.fine_um))
        norm = np.maximum(norm, 1e-300)
        scale = noise * np.sqrt(norm[middle, middle] * norm)
        energy = np.abs(signal) ** 2 / scale
        patches.append(interpolate.RectBivariateSpline(f_y + grid, f_x + grid, energy))

    def at(trial: np.ndarray) -> np.ndarray:
        return np.array(
            [
                float(patch(f_y, f_x, grid=False))
                for patch, (f_y, f_x) in zip(patches, _vectors(trial), strict=True)
            ]
        )

    simplex = np.tile(polar, (len(polar) + 1, 1))
    steps = np.array([1.0, *np.full(len(polar) - 1, 1 / polar[0])])
    simplex[1:] += 0.2 * spacing * np.diag(steps)
    found = optimize.minimize(
        lambda trial: -float(at(trial).sum()),
        polar,
        method="Nelder-Mead",
        options={
            "initial_simplex": simplex,
            "xatol": 1e-4 * spacing,
            "fatol": 1e-3,
            "maxfev": 600,
        },
    )
    best = np.asarray(found.x, float)
    return best, at(best)


def _spectrum(
    picture: np.ndarray, f_y: np.ndarray, f_x: np.ndarray, fine_um: float
) -> np.ndarray:
    """Return coefficients (y, x) of the Fourier transform at any frequencies."""
    height, width = (int(side) for side in picture.shape)
    along_y = np.exp(-2j * np.pi * fine_um * np.outer(f_y, np.arange(height)))
    along_x = np.exp(-2j * np.pi * fine_um * np.outer(np.arange(width), f_x))
    return along_y @ picture @ along_x


def _fitted(
    raw: RawFrames,
    sample: Sample,
    number: int,
    wave: np.ndarray,
    phases: np.ndarray,
    spread_rad: float,
) -> tuple[np.ndarray, float]:
    """Return the phases and the contrast of an orientation, its carrier being known.

    Every frame is a sum of the sample and its copies, both seen through the microscope;
    the factors of the copies by least squares hold contrast and phase.
    """
    spectrum = np.asarray(fft.fft2(sample.image * wave))
    copy = 2 * np.asarray(fft.ifft2(spectrum * raw.transfer))
    basis = np.stack([sample.blurred, copy.real, -copy.imag]).reshape(3, -1)
    data = raw.frames[number].reshape(raw.phases, -1)
    inverse = np.linalg.pinv(basis @ basis.T, hermitian=True)
    weights: np.ndarray = inverse @ (basis @ data.T)
    factors: np.ndarray = 2 * (weights[1] + 1j * weights[2])
    variance = 4 * raw.noise / data.shape[1] * float(np.trace(inverse[1:, 1:]))
    return _phases(factors, phases, variance, spread_rad)


def _phases(
    factors: np.ndarray, phases: np.ndarray, variance: float, spread_rad: float
) -> tuple[np.ndarray, float]:
    """Return phases and contrast from the factor of every frame.

    A factor is ``m exp(i phi)`` and a part of ``exp(-i phi)``, because the two copies
    resemble each other by chance.  Least squares, linear about the phases given, with
    deviations from equal steps drawn towards none.
    """
    count = len(factors)
    equal = 2 * np.pi * np.arange(count) / count
    known = phases - equal
    known = known - known.mean()
    turn = np.exp(1j * (equal + known))
    turned: np.ndarray = factors * turn.conj()
    plus = complex(turned.mean())
    strength = max(abs(plus), 1e-6)
    rigour = np.hypot(variance**0.5 / strength, _CLUTTER) / spread_rad
    bent = np.diag(1j * plus / strength * turn)
    parts = [turn, 1j * turn, turn.conj(), 1j * turn.conj()]
    mixed: np.ndarray = np.concatenate([np.stack(parts, axis=1), bent], axis=1)
    prior = np.concatenate([np.zeros((count, 4)), rigour * np.eye(count)], axis=1)
    matrix = np.concatenate([np.real(mixed), np.imag(mixed), prior])
    relative = factors / strength
    goal = np.concatenate([np.real(relative), np.imag(relative), -rigour * known])
    found = np.linalg.lstsq(matrix, goal, rcond=None)[0]
    plus = strength * complex(float(found[0]), float(found[1]))
    power = max(abs(plus) ** 2 - variance / count, 0.0)
    return equal + known + found[4:] + np.angle(plus), power**0.5
