"""Illumination pattern of a whole recording, without knowledge of the microscope.

The pattern belongs to the recording: its vectors are the same in all parts of the
field and at all times, and usually so are its phases on the camera.  Parts of the
field and points of time are therefore evaluated together, first by a search that needs
no optics (`zoo.physics.pattern_search`), then, through the transfer function that fits
the frames (`zoo.physics.transfer_fit`), by the correlation of
`zoo.physics.pattern_estimation`.

Frequencies are in cycles per pixel.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zoo.core.sim_pattern import PixelPattern
from zoo.physics.illumination import ORIENTATIONS
from zoo.physics.pattern_estimation import frame_factors, phases_of_factors
from zoo.physics.pattern_search import Peaks, Window, equal_steps, sampled
from zoo.physics.sim_components import (
    FrameSpectra,
    Sample,
    frame_spectra,
    overlap,
    sharpened,
)
from zoo.physics.transfer_fit import fit_transfer, pixel_optics

_ROUNDS = 2
_MOST_STEPS = 8  # rounds in which unequal phase steps are found
_SETTLED_RAD = 0.02  # change of them that ends the rounds
_UNEQUAL_RAD = 0.25  # root mean square of what phases deviate from equal steps
_COHERENT = 0.7  # mean cosine of the phases' error of windows that agree


class RecordingPattern(NamedTuple):
    """What is known of the illumination pattern of a recording."""

    vectors: np.ndarray
    """(orientation, 2) pattern vectors, y before x, cycles per pixel, in the direction
    in which phases rise along an orientation's frames."""
    phases_rad: np.ndarray
    """(orientation, phase), phase of every frame at the outer corner of the field."""
    modulations: np.ndarray
    """(orientation,) modulation depth, relative to the mean of all frames."""
    clarity: np.ndarray
    """(orientation,), amplitude of the correlation peaks in units of the root mean
    square around."""
    visible: np.ndarray
    """(orientation,), whether the pattern stands out from noise, on one side of the
    central band only, in a direction of its own."""
    cutoff: float
    """Cut-off of the microscope, cycles per pixel."""
    attenuation: float
    """Attenuation of its OTF, see `zoo.physics.transfer_fit.ATTENUATIONS`."""
    steady_in_space: bool
    """Whether the phases of all parts of the field belong to one plane wave."""
    steady_in_time: bool
    """Whether the phases of all points of time agree."""
    equal_steps: bool
    """Whether phases follow each other by equal steps, but for jitter."""
    steps_rad: np.ndarray
    """(orientation, phase), by what the phases of an orientation differ: equal steps,
    or measured ones where those are not equal."""

    def for_network(self, phases_rad: np.ndarray | None = None) -> PixelPattern:
        """Return what a network is told of frames rewritten for equal phase steps.

        Parameters
        ----------
        phases_rad
            (orientation, phase), those of another point of time.
        """
        known = self.phases_rad if phases_rad is None else phases_rad
        return PixelPattern(
            self.vectors,
            np.angle(np.exp(1j * (known - self.steps_rad)).sum(axis=1)),
            np.where(self.visible, self.modulations, 0.0),
            self.cutoff,
            self.attenuation,
        )


class _View(NamedTuple):
    """A window with the spectra of its frames."""

    window: Window
    raw: FrameSpectra
    sample: Sample
    weight: float  # power of the sample in it


def estimate_recording(
    windows: Sequence[Window], peaks: Peaks, *, harmonic: int = 1
) -> RecordingPattern:
    """Estimate the illumination pattern of a recording.

    Parameters
    ----------
    windows
        Parts of the field at one or more points of time, all of one size.
    peaks
        What `zoo.physics.pattern_search.find_peaks` says of them, visible in one
        orientation at least.
    harmonic
        Steps of ``2 pi harmonic / phases`` are taken from frame to frame.
    """
    vectors, visible = peaks.vectors, peaks.visible
    cutoff, attenuation = fit_transfer(windows, vectors, visible, harmonic=harmonic)
    count = windows[0].frames.shape[1]
    equal = equal_steps(count, harmonic)
    phases = steps = np.tile(equal, (ORIENTATIONS, 1))
    views: list[_View] = [
        _view(window, cutoff, attenuation, phases) for window in windows
    ]
    local = np.tile(phases, (len(views), 1, 1))
    modulations = np.zeros((len(views), ORIENTATIONS))
    for done in range(_ROUNDS):
        vectors = _matched(views, local, vectors)
        for _ in range(0 if done else _MOST_STEPS):
            known = not np.allclose(steps, equal)
            unequal = _unequal_steps(views, vectors, phases, visible, known=known)
            if unequal is None:
                break
            phases = steps = unequal
            local[:] = phases
            views = [
                view._replace(sample=sharpened(view.raw, phases)) for view in views
            ]
            vectors = _matched(views, local, vectors)
        for number, view in enumerate(views):
            local[number], modulations[number] = _fitted(
                view, vectors, local[number], steps=phases
            )
        views = [
            view._replace(sample=sharpened(view.raw, own))
            for view, own in zip(views, local, strict=True)
        ]
    weights = np.array([view.weight for view in views])[:, None] * modulations
    vectors = np.stack(
        [
            _coherent(windows, local[:, i], weights[:, i], vectors[i])
            for i in range(ORIENTATIONS)
        ]
    )
    at_corner = _at_corner(windows, local, vectors)
    phasors = weights[..., None] * np.exp(1j * at_corner)
    times = np.array([window.time for window in windows])
    per_time = np.stack([phasors[times == t].sum(axis=0) for t in np.unique(times)])
    seen = weights.sum(axis=0)[visible, None]
    agreement = np.abs(per_time).sum(axis=0)[visible] / np.maximum(seen, 1e-300)
    over_time = np.abs(per_time.sum(axis=0)) / np.maximum(
        np.abs(per_time).sum(axis=0), 1e-300
    )
    power = weights.sum(axis=0) / np.maximum(sum(view.weight for view in views), 1e-300)
    return RecordingPattern(
        vectors=vectors,
        phases_rad=np.angle(phasors.sum(axis=0)),
        modulations=power,
        clarity=peaks.clarity,
        visible=visible,
        cutoff=cutoff,
        attenuation=attenuation,
        steady_in_space=bool(agreement.min() > _COHERENT),
        steady_in_time=bool(over_time[visible].min() > _COHERENT),
        equal_steps=bool(np.allclose(steps, equal)),
        steps_rad=steps,
    )


def phases_at(windows: Sequence[Window], pattern: RecordingPattern) -> np.ndarray:
    """Return the phases of another point of time, for vectors that are known.

    Parameters
    ----------
    windows
        Parts of the field at that time.
    pattern
        Of the recording.

    Returns
    -------
    phases : (orientation, phase)
        At the outer corner of the field.
    """
    phases = pattern.steps_rad
    total = np.zeros(phases.shape, complex)
    for window in windows:
        view = _view(window, pattern.cutoff, pattern.attenuation, phases)
        local, modulations = _fitted(view, pattern.vectors, phases, steps=phases)
        corner = _at_corner([window], local[None], pattern.vectors)[0]
        total += view.weight * modulations[:, None] * np.exp(1j * corner)
    return np.angle(total)


def _view(
    window: Window, cutoff: float, attenuation: float, phases: np.ndarray
) -> _View:
    frames = window.frames.reshape(-1, *window.frames.shape[-2:])
    raw = frame_spectra(frames, pixel_optics(cutoff, attenuation))
    sample = sharpened(raw, phases)
    return _View(window, raw, sample, float((sample.blurred**2).sum()))


def _matched(
    views: Sequence[_View], phases: np.ndarray, vectors: np.ndarray
) -> np.ndarray:
    """Return vectors at which the energy of all views is highest.

    Energy is correlation squared over the root of the shifted band's power, as in
    `zoo.physics.pattern_estimation`.
    """
    spacing = 1 / max(views[0].window.frames.shape[-2:])
    grid = np.linspace(-0.75, 0.75, 25) * spacing
    best: list[np.ndarray] = []
    for number, vector in enumerate(vectors):
        energy = np.zeros((len(grid), len(grid)))
        # two fine pixels are the unit of length
        f_y, f_x = (vector[0] + grid) / 2, (vector[1] + grid) / 2
        for view, own in zip(views, phases, strict=True):
            product, noise = overlap(view.raw, view.sample, number, own[number])
            norm = np.abs(sampled(view.sample.norm, f_y, f_x))
            signal = np.abs(sampled(product, f_y, f_x)) ** 2
            middle = len(grid) // 2
            scale = noise * np.sqrt(norm[middle, middle] * np.maximum(norm, 1e-300))
            energy += signal / np.maximum(scale, 1e-300)
        best.append(_summit(energy, vector[0] + grid, vector[1] + grid))
    return np.stack(best)


def _summit(energy: np.ndarray, f_y: np.ndarray, f_x: np.ndarray) -> np.ndarray:
    """Return the maximum of a parabola through the highest value and its neighbours."""
    last = len(f_y) - 2
    row, column = (
        int(np.clip(n, 1, last))
        for n in np.unravel_index(energy.argmax(), energy.shape)
    )
    step = f_y[1] - f_y[0]
    lines = energy[row - 1 : row + 2, column], energy[row, column - 1 : column + 2]
    shifts: list[float] = []
    for low, mid, high in lines:
        bend = low - 2 * mid + high
        shift = float((low - high) / (2 * bend)) if bend < 0 else 0.0
        shifts.append(min(max(shift, -1.0), 1.0))
    return np.array([f_y[row] + shifts[0] * step, f_x[column] + shifts[1] * step])


def _fitted(
    view: _View, vectors: np.ndarray, phases: np.ndarray, *, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return phases at the corner of a view, (orientation, phase), and modulations."""
    found, depths = np.empty_like(phases), np.empty(len(vectors))
    for number, (own, usual) in enumerate(zip(phases, steps, strict=True)):
        factors, variance = _factors(view, vectors, number)
        found[number], depths[number] = phases_of_factors(
            factors, own, variance, steps=usual
        )
    return found, depths


def _factors(view: _View, vectors: np.ndarray, number: int) -> tuple[np.ndarray, float]:
    """Return the factor of every frame of an orientation, and their variance."""
    height, width = view.raw.shape
    r_y = (np.arange(height) + 0.5) * view.raw.fine_um
    r_x = (np.arange(width) + 0.5) * view.raw.fine_um
    f_y, f_x = (float(part) for part in vectors[number])
    wave = np.exp(2j * np.pi * (f_y * r_y[:, None] + f_x * r_x))
    return frame_factors(view.raw, view.sample, number, wave)


def _unequal_steps(
    views: Sequence[_View],
    vectors: np.ndarray,
    phases: np.ndarray,
    visible: np.ndarray,
    *,
    known: bool,
) -> np.ndarray | None:
    """Return the phases of frames that are clearly not those assumed, or None.

    Wrong phases mix the bands, so that better ones have to be found again with them;
    once it is `known` that steps are not equal, small differences count.
    """
    found = phases.copy()
    for number in (int(n) for n in np.flatnonzero(visible)):
        turn = np.exp(-1j * np.asarray(phases[number], float))
        total = np.zeros(len(turn), complex)
        for view in views:
            factors, _ = _factors(view, vectors, number)
            offset = np.angle((factors * turn).sum())
            total = total + view.weight * factors * np.exp(-1j * offset)
        deviation = np.angle(total * turn)
        error = float(np.std(deviation))
        if error > (_SETTLED_RAD if known else _UNEQUAL_RAD):
            found[number] = phases[number] + deviation
    return None if np.array_equal(found, phases) else found


def _at_corner(
    windows: Sequence[Window], phases: np.ndarray, vectors: np.ndarray
) -> np.ndarray:
    """Return phases (window, orientation, phase) at the outer corner of the field."""
    starts = np.array([window.start for window in windows], float)
    return phases - 2 * np.pi * (starts @ vectors.T)[..., None]


def _coherent(
    windows: Sequence[Window],
    phases: np.ndarray,
    weights: np.ndarray,
    vector: np.ndarray,
) -> np.ndarray:
    """Return the vector by which the phases of windows belong to one plane wave.

    Parameters
    ----------
    windows
        Parts of the field.
    phases
        (window, phase) at the corner of every window.
    weights
        (window,).
    vector
        Known to a part of the spacing of frequencies of a window.
    """
    starts = np.array([window.start for window in windows], float)
    size = np.array(windows[0].frames.shape[-2:])
    extent = np.ptp(starts, axis=0)
    if not extent.any():
        return vector
    # an error of the vector turns phases at the corner, but not in the middle
    middles = starts + size / 2
    at_middle = phases + np.pi * (size @ vector)
    turned = weights[:, None] * np.exp(
        1j * (at_middle - 2 * np.pi * (middles @ vector)[:, None])
    )
    times = np.array([window.time for window in windows])
    reach = 0.25 / size.max()
    grids: list[np.ndarray] = [
        np.linspace(-reach, reach, 2 * int(4 * reach * float(length)) + 1)
        if length
        else np.zeros(1)
        for length in extent
    ]
    shifts = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, 2)
    turns = np.exp(-2j * np.pi * (shifts @ middles.T))
    score = sum(
        np.abs(turns[:, times == t] @ turned[times == t]).sum(axis=1)
        for t in np.unique(times)
    )
    return vector + shifts[int(np.argmax(score))]
