"""A pupil and its pixels as plain arrays, for simulations outside of NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.physics.pixel_filter import PixelFilter, pixel_filter
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spot_symmetry import FLIPS, is_odd

_PISTON_AND_TILT = ((0, 0), (1, -1), (1, 1))


def modes_up_to(degree: int) -> tuple[tuple[int, int], ...]:
    """Return all Zernike modes that shape a spot, up to a radial degree.

    Examples
    --------
    >>> modes_up_to(2)
    ((2, -2), (2, 0), (2, 2))
    """
    return tuple(
        (n, m)
        for n in range(degree + 1)
        for m in range(-n, n + 1, 2)
        if (n, m) not in _PISTON_AND_TILT
    )


def is_mirrored(modes: Sequence[tuple[int, int]]) -> np.ndarray:
    """Say which modes are alike on both sides of both axes, (modes,) bool.

    Examples
    --------
    >>> is_mirrored([(2, -2), (2, 0), (2, 2), (3, 1), (4, 4)]).tolist()
    [False, True, True, False, True]
    """
    return np.array([not any(is_odd(m, flip) for flip in FLIPS) for _, m in modes])


def zernikes_of(coefficients_rad: np.ndarray) -> tuple[tuple[int, int, float], ...]:
    """Return the modes and coefficients of a mask that is a sum of all modes.

    Parameters
    ----------
    coefficients_rad
        (modes,) in the order of `modes_up_to`; rounded to 0.1 mrad.

    Raises
    ------
    ValueError
        If no radial degree has so many modes.
    """
    degree = 2
    while len(modes_up_to(degree)) < len(coefficients_rad):
        degree += 1
    modes = modes_up_to(degree)
    if len(modes) != len(coefficients_rad):
        raise ValueError(
            f"{len(coefficients_rad)} coefficients are not those of all modes up to a "
            "radial degree"
        )
    return tuple(
        (n, m, round(float(c), 4))
        for (n, m), c in zip(modes, coefficients_rad, strict=True)
    )


@dataclass(frozen=True, eq=False)
class ImagingArrays:
    """What the image of an emitter is computed from; see `zoo.physics.pupil`.

    The field at the samples is ``sum_vu pupil(v, u) exp(2 pi i (f_v y + f_u x))``
    times ``step_per_um`` squared, with x and y the distances from the emitter.
    """

    frequencies_per_um: np.ndarray
    """(m,) spatial frequencies of the pupil's points along an axis, 1/µm."""
    step_per_um: float
    """Their distance, 1/µm."""
    amplitude_um: np.ndarray
    """(v, u) amplitude of the pupil, of unit photon number."""
    phase_rad: np.ndarray
    """(v, u) phase of the pupil, that of the focal plane included, rad."""
    depth_phase_rad_per_um: np.ndarray
    """(v, u) phase per µm of depth in the sample, rad/µm."""
    rho: np.ndarray
    """(v, u) radius of the pupil's points, 1 at the numerical aperture."""
    phi: np.ndarray
    """(v, u) their angle, rad."""
    samples_um: np.ndarray
    """(s,) positions of the samples of the intensity from the middle of the field."""
    blurs_nm: tuple[float, ...]
    """Standard deviations of the blurs that pixels are computed for, nm."""
    pixels: np.ndarray
    """(blur, n, s) weights of samples in the pixels along an axis, µm."""
    slopes: np.ndarray
    """(blur, n, s) their changes when the emitter moves."""


def imaging_arrays(
    optics: PupilOptics,
    *,
    size_px: int,
    blurs_nm: tuple[float, ...] = (),
    samples: int = 64,
) -> ImagingArrays:
    """Return the arrays of a microscope and a square field.

    Parameters
    ----------
    optics
        Microscope.
    size_px
        Edge of the field, px.
    blurs_nm
        Standard deviations of the Gaussian blur, nm; that of the optics if left out.
    samples
        Points along the diameter of the pupil; the image repeats itself after
        ``samples * wavelength / (2 NA)``, which must exceed the field by the spot.

    Returns
    -------
    arrays : ImagingArrays
        float32 but for scalars.
    """
    psf = PupilPsf(optics, samples=samples)
    radius = optics.aperture_per_um
    f = radius * ((2 * np.arange(samples) + 1) / samples - 1)
    wave_number = 1000 / optics.wavelength_nm * optics.sample_index
    f_pupil = psf.rho * 1000 * optics.na / optics.wavelength_nm
    depth = 2 * np.pi * np.sqrt(np.maximum(wave_number**2 - f_pupil**2, 0.0))
    focus = psf.focus_phase_rad * optics.focus_nm
    inside = psf.amplitude > 0
    # a phase that all points share is no part of the image
    focus = focus - focus[inside].mean()
    blurs = blurs_nm or (optics.blur_nm,)
    lines = [_line(optics, size_px, blur) for blur in blurs]
    arrays = {
        "frequencies_per_um": f,
        "amplitude_um": psf.amplitude,
        "phase_rad": psf.phase_rad + focus,
        "depth_phase_rad_per_um": depth - depth[inside].mean(),
        "rho": psf.rho,
        "phi": psf.phi,
        "samples_um": lines[0].samples_um,
        "pixels": np.stack([line.value_um for line in lines]),
        "slopes": np.stack([line.slope for line in lines]),
    }
    return ImagingArrays(
        step_per_um=2 * radius / samples,
        blurs_nm=tuple(blurs),
        **{name: value.astype(np.float32) for name, value in arrays.items()},
    )


def _line(optics: PupilOptics, size_px: int, blur_nm: float) -> PixelFilter:
    return pixel_filter(
        size_px,
        pixel_um=optics.pixel_nm / 1000,
        cutoff_per_um=2 * optics.aperture_per_um,
        blur_um=blur_nm / 1000,
    )


def blur_shares(blur_nm: np.ndarray, levels_nm: tuple[float, ...]) -> np.ndarray:
    """Return how an image with any blur is mixed of images with some.

    A Gaussian's transfer is nearly a straight line in its variance, between levels as
    close as those of `zoo.simulate.dense_emitters`.

    Parameters
    ----------
    blur_nm
        (...) standard deviations, nm.
    levels_nm
        Ascending standard deviations that there are images for; beyond them, the
        nearest counts.

    Returns
    -------
    shares : (..., levels)
        They sum to one.

    Examples
    --------
    >>> blur_shares(np.array([80.0, 0.0]), (60.0, 100.0)).round(4).tolist()
    [[0.5625, 0.4375], [1.0, 0.0]]
    """
    variance = np.square(np.asarray(blur_nm, float))
    levels = np.square(np.asarray(levels_nm, float))
    return np.stack(
        [np.interp(variance, levels, row) for row in np.eye(len(levels))], axis=-1
    )
