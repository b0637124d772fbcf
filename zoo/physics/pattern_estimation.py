"""Blind estimation of the SIM illumination pattern from the raw frames themselves.

The pattern adds shifted copies of a sample's spectrum, the side bands, to its central
band.  Where shifted and central band overlap they differ by one complex factor that
holds modulation and phase, so that their correlation peaks at the pattern vector, which
is read in parts of the spacing of the frequencies (Gustafsson 2000,
doi:10.1046/j.1365-2818.2000.00710.x; Gustafsson et al. 2008,
doi:10.1529/biophysj.107.120345).  The correlation of a single frame at that vector has
the frame's phase (Wicker 2013, doi:10.1364/OE.21.024692).
"""

import numpy as np
from scipy import fft, interpolate, optimize

from zoo.core.errors import BadInput
from zoo.physics.illumination import ORIENTATIONS, PHASES, Pattern, carriers
from zoo.physics.optics import Optics
from zoo.physics.sim_components import (
    FrameSpectra,
    Sample,
    frame_spectra,
    overlap,
    sharpened,
)

FREQUENCY_RANGE = (0.6, 1.05)
"""Lowest and highest pattern frequency searched, in units of the detection's cut-off.
Patterns beyond it are not told from none: the slope of their peak stands out."""
LOWEST_MODULATION = 0.01
"""Modulation depth of an orientation without visible pattern: it counts for nothing."""
_DETECTED = 15.0
"""Least energy of a pattern, in units of the mean between peaks.  The strongest of
three orientations without pattern is below 13.3 in 95 % of fields of 128 px, the
weakest of three with one above 25."""
_CLUTTER = 0.02
"""Error of a frame's correlation besides noise, in units of itself."""
_PHASE_SPREAD_RAD = 0.1
"""Standard deviation of the phases about equal steps, which counts as much as the
frames say little."""
_ROUNDS = 3


class NoPattern(BadInput):
    """Raw frames in which no illumination pattern can be seen."""


def estimate_pattern(frames: np.ndarray, optics: Optics) -> Pattern:
    """Estimate frequency, angles, phases and modulation of the illumination pattern.

    The frequency is common to all orientations, and estimated from all of them
    together: a weak orientation profits from a strong one.  Nothing is assumed about
    the angles.  On simulated fields of 128 px with 15 photons per pixel on the
    structure, 96 of 100 orientations are found and none wrongly; with 600 photons all
    are, the frequency to 0.05 %, phases in the middle to 1.5 degrees and modulations to
    4 % on average.  In fields of 64 px one orientation in eight is missed or wrong even
    then.

    Parameters
    ----------
    frames
        (frame, y, x) photons per camera pixel, ordered by orientation, then phase:
        three orientations with three or more phases each.
    optics
        Microscope with its camera pixel.

    Returns
    -------
    pattern : Pattern
        Phases rise along an orientation's frames, by which the angle is unique in the
        full circle; they are given at the outer corner of the frames.  An orientation
        whose pattern does not stand out has `LOWEST_MODULATION` and otherwise arbitrary
        values.

    Raises
    ------
    NoPattern
        If a pattern stands out in no orientation: too little light, or none.
    ValueError
        If the frames are not the same number for every orientation, at least three, or
        too small or not finite.
    """
    raw = frame_spectra(frames, optics)
    if not raw.spectra.any():
        raise NoPattern("frames whose pixels are all alike show no pattern")
    steps = 2 * np.pi * np.arange(raw.phases) / raw.phases
    phases = np.tile(steps, (ORIENTATIONS, 1))
    sample = sharpened(raw, phases)
    low, high = (bound * optics.cutoff_per_um for bound in FREQUENCY_RANGE)
    polar, clutter = _search(raw, sample, phases, (low, high))
    energies, modulations = np.zeros(ORIENTATIONS), np.zeros(ORIENTATIONS)
    for _ in range(_ROUNDS):
        polar, energies = _refined(raw, sample, phases, polar)
        for number, wave in enumerate(_waves(raw, polar)):
            phases[number], modulations[number] = _fitted(
                raw, sample, number, wave, phases[number]
            )
        sample = sharpened(raw, phases)
    visible = energies > _DETECTED * clutter
    if not visible.any():
        raise NoPattern(
            f"no illumination pattern of {low:.2f} to {high:.2f} cycles/µm stands out "
            "from noise and structure; give frames with more light, or the right optics"
        )
    lowest = LOWEST_MODULATION
    trusted = np.where(visible, np.clip(modulations, lowest, 1.0), lowest)
    return _pattern(polar, phases, trusted)


def faint_pattern(optics: Optics, *, phases: int = PHASES) -> Pattern:
    """Return a pattern of `LOWEST_MODULATION`, for frames that show none.

    With it, `zoo.physics.sim_reconstruction.reconstruct` sharpens the mean of the
    frames.  The frequency is in the middle of `FREQUENCY_RANGE`.

    Parameters
    ----------
    optics
        Microscope, whose cut-off counts.
    phases
        Frames of an orientation.

    Examples
    --------
    >>> optics = Optics(na=1.41, wavelength_nm=525.0, pixel_nm=62.6)
    >>> faint_pattern(optics).modulations
    (0.01, 0.01, 0.01)
    """
    polar = np.array(
        [
            sum(FREQUENCY_RANGE) / 2 * optics.cutoff_per_um,
            *np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS,
        ]
    )
    steps = 2 * np.pi * np.arange(phases) / phases
    return _pattern(
        polar,
        np.tile(steps, (ORIENTATIONS, 1)),
        np.full(ORIENTATIONS, LOWEST_MODULATION),
    )


def _pattern(polar: np.ndarray, phases: np.ndarray, modulations: np.ndarray) -> Pattern:
    """Return the pattern of a frequency followed by angles."""
    return Pattern(
        frequency_per_um=float(polar[0]),
        angles_rad=tuple(np.mod(polar[1:], 2 * np.pi).tolist()),
        phases_rad=tuple(tuple(row) for row in np.mod(phases, 2 * np.pi).tolist()),
        modulations=tuple(modulations.tolist()),
    )


def _search(
    raw: FrameSpectra, sample: Sample, phases: np.ndarray, limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Search the correlation peaks to half the spacing of frequencies.

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
    """Return pattern vectors, (orientation, 2), y before x."""
    return polar[0] * np.stack([np.sin(polar[1:]), np.cos(polar[1:])], axis=1)


def _waves(raw: FrameSpectra, polar: np.ndarray) -> np.ndarray:
    """Return the carriers of all orientations on the fine grid."""
    angles = len(polar) - 1
    pattern = _pattern(polar, np.zeros((angles, PHASES)), np.ones(angles))
    return carriers(pattern, raw.shape, pixel_nm=1000 * raw.fine_um)


def _refined(
    raw: FrameSpectra, sample: Sample, phases: np.ndarray, polar: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the common frequency and the angles at which the energies are highest.

    Within a peak, energy is correlation squared over the *root* of the shifted band's
    power: the power falls outwards, and dividing by all of it puts the maximum 0.07 %
    too far out, by none of it as much too far in.
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
    solution = optimize.minimize(
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
    best = np.asarray(solution.x, float)
    return best, at(best)


def _spectrum(
    image: np.ndarray, f_y: np.ndarray, f_x: np.ndarray, fine_um: float
) -> np.ndarray:
    """Return coefficients (y, x) of the Fourier transform at any frequencies."""
    height, width = (int(side) for side in image.shape)
    along_y = np.exp(-2j * np.pi * fine_um * np.outer(f_y, np.arange(height)))
    along_x = np.exp(-2j * np.pi * fine_um * np.outer(np.arange(width), f_x))
    return along_y @ image @ along_x


def _fitted(
    raw: FrameSpectra,
    sample: Sample,
    number: int,
    wave: np.ndarray,
    phases: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Fit the phases and the modulation of an orientation to a known carrier."""
    factors, variance = frame_factors(raw, sample, number, wave)
    return phases_of_factors(factors, phases, variance)


def frame_factors(
    raw: FrameSpectra, sample: Sample, number: int, wave: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the factor that the shifted band has in every frame of an orientation.

    Every frame is a sum of the sample and its shifted bands, both seen through the
    microscope; the factors of the bands by least squares hold modulation and phase.

    Parameters
    ----------
    raw, sample
        Frames and the sample that they show.
    number
        Orientation.
    wave
        (y, x) carrier ``exp(2 pi i p.r)`` on the fine grid.

    Returns
    -------
    factors : (phase,) complex128
        Modulation depth times ``exp(1j * phase)``.
    variance : float
        Of their noise.
    """
    spectrum = np.asarray(fft.fft2(sample.image * wave))
    band = 2 * np.asarray(fft.ifft2(spectrum * raw.transfer))
    basis = np.stack([sample.blurred, band.real, -band.imag]).reshape(3, -1)
    data = raw.frames[number].reshape(raw.phases, -1)
    inverse = np.linalg.pinv(basis @ basis.T, hermitian=True)
    weights: np.ndarray = inverse @ (basis @ data.T)
    factors: np.ndarray = 2 * (weights[1] + 1j * weights[2])
    variance = 4 * raw.noise / data.shape[1] * float(np.trace(inverse[1:, 1:]))
    return factors, variance


def phases_of_factors(
    factors: np.ndarray,
    phases: np.ndarray,
    variance: float,
    *,
    steps: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """Return phases and modulation from the factor of every frame.

    A factor is ``m exp(i phi)`` and a part of ``exp(-i phi)``, because the two shifted
    bands resemble each other by chance.  Least squares, linear about earlier phases,
    with deviations from known steps drawn towards zero.

    Parameters
    ----------
    factors, variance
        From `frame_factors`.
    phases
        (phase,), earlier estimates.
    steps
        (phase,), expected phases but for an offset; equal ones when left out.

    Returns
    -------
    phases : (phase,)
    modulation : float
    """
    count = len(factors)
    equal = 2 * np.pi * np.arange(count) / count if steps is None else steps
    deviation = phases - equal
    deviation = deviation - deviation.mean()
    turn = np.exp(1j * (equal + deviation))
    turned: np.ndarray = factors * turn.conj()
    plus = complex(turned.mean())
    strength = max(abs(plus), 1e-6)
    rigour = np.hypot(variance**0.5 / strength, _CLUTTER) / _PHASE_SPREAD_RAD
    bent = np.diag(1j * plus / strength * turn)
    parts = [turn, 1j * turn, turn.conj(), 1j * turn.conj()]
    mixed: np.ndarray = np.concatenate([np.stack(parts, axis=1), bent], axis=1)
    prior = np.concatenate([np.zeros((count, 4)), rigour * np.eye(count)], axis=1)
    matrix = np.concatenate([np.real(mixed), np.imag(mixed), prior])
    relative = factors / strength
    goal = np.concatenate([np.real(relative), np.imag(relative), -rigour * deviation])
    solution = np.linalg.lstsq(matrix, goal, rcond=None)[0]
    plus = strength * complex(float(solution[0]), float(solution[1]))
    power = max(abs(plus) ** 2 - variance / count, 0.0)
    return equal + deviation + solution[4:] + np.angle(plus), power**0.5
