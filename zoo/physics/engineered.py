"""Microscopes whose spots tell the depth, and the search for such pupils.

A pupil is judged by the bound that it sets to errors, averaged over the depths that it
is to cover: what is best over 4 µm is the Tetrapod (Shechtman et al. 2014,
doi:10.1103/PhysRevLett.113.133902; 2015, doi:10.1021/acs.nanolett.5b01396).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.physics.fisher import PixelNoise, emitter_bound
from zoo.physics.masks import VortexRings
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spots import Psf
from zoo.physics.zernike import mode_of_index, normalisation

TETRAPOD_MODES = ((2, 0), (2, 2), (4, 0), (4, 2), (4, 4), (6, 0), (6, 2))
"""Modes that the Tetrapod is made of: even, and alike on both sides of the axes."""


_OIL = {"na": 1.45, "wavelength_nm": 670.0, "immersion_index": 1.518}


def wyant_coefficients(
    coefficients_rad: dict[int, float],
) -> tuple[tuple[int, int, float], ...]:
    """Return root mean squares of modes given in smNet's way.

    Parameters
    ----------
    coefficients_rad
        Number of the mode in Wyant's order and coefficient of the unnormalised
        polynomial, rad at the edge of the pupil.

    Returns
    -------
    zernikes_rad
        As `PupilOptics` takes them.

    Examples
    --------
    >>> [(n, m, round(c, 3)) for n, m, c in wyant_coefficients({5: 3.0, 16: 4.0})]
    [(2, 2, 1.225), (6, 0, 1.512)]
    """
    modes = {mode_of_index(i, ordering="wyant"): c for i, c in coefficients_rad.items()}
    return tuple((n, m, c / normalisation(n, m)) for (n, m), c in modes.items())


def mean_bound_nm(
    psf: Psf,
    z_nm: np.ndarray,
    *,
    photons: float = 4000.0,
    background_photons: float = 20.0,
    window_px: int = 61,
    noise: PixelNoise | None = None,
) -> float:
    """Average the bounds of x, y and z over depths.

    Parameters
    ----------
    psf
        Point-spread function.
    z_nm
        (n,) depths that count alike.
    photons, background_photons
        Photons of the emitter, and per pixel of the background.
    window_px
        Edge of the region around the emitter.
    noise
        Noise of the pixels; ``None`` for a perfect counter of photons.

    Returns
    -------
    bound : float
        Mean standard deviation, nm; ``inf`` if the pixels do not tell a coordinate.
    """
    middle = np.full(len(z_nm), window_px * psf.pixel_nm / 2)
    bound = emitter_bound(
        psf,
        middle,
        middle,
        np.asarray(z_nm, float),
        photons=photons,
        background_photons=background_photons,
        shape=(window_px, window_px),
        noise=noise,
    )
    return float(np.mean([bound.x_nm, bound.y_nm, bound.z_nm]))


def design_zernikes(
    optics: PupilOptics,
    *,
    z_range_nm: tuple[float, float],
    modes: Sequence[tuple[int, int]] = TETRAPOD_MODES,
    starts_rad: Sequence[Sequence[float]] | None = None,
    depths: int = 9,
    photons: float = 4000.0,
    background_photons: float = 20.0,
    window_px: int = 61,
    samples: int = 64,
    evaluations: int = 600,
) -> tuple[tuple[tuple[int, int, float], ...], float]:
    """Find the aberrations that localize best over a range of depths.

    Minimises `mean_bound_nm` by Powell's method from every start and keeps the best.

    Parameters
    ----------
    optics
        Microscope; its own aberrations are replaced, a mask stays.
    z_range_nm
        Lowest and highest depth.
    modes
        Radial degree and azimuthal frequency of the modes to choose from.
    starts_rad
        Coefficients to start from, one per mode, rad; by default a saddle,
        ``2 Z(2, 2) - Z(4, 2)``, and one half as large again.
    depths
        Number of depths, from end to end.
    photons, background_photons
        Photons of the emitter, and per pixel of the background.
    window_px
        Edge of the region around the emitter.
    samples
        Points along the diameter of the pupil.
    evaluations
        Evaluations of the mean bound per start, at most.

    Returns
    -------
    zernikes_rad
        Modes and coefficients, rounded to 1 mrad.
    bound_nm : float
        Mean bound reached.
    """
    from scipy.optimize import minimize

    z_nm = np.linspace(*z_range_nm, depths)
    if starts_rad is None:
        saddle = {(2, 2): 2.0, (4, 2): -1.0}
        starts_rad = [
            [size * saddle.get(mode, 0.0) for mode in modes] for size in (1.0, 1.5)
        ]

    def terms(values: Sequence[float]) -> tuple[tuple[int, int, float], ...]:
        return tuple(
            (n, m, round(float(value), 3))
            for (n, m), value in zip(modes, values, strict=True)
        )

    def cost(values: np.ndarray) -> float:
        psf = PupilPsf(
            optics.override(
                zernikes_rad=tuple(
                    (n, m, float(c)) for (n, m), c in zip(modes, values, strict=True)
                )
            ),
            samples=samples,
            dtype=np.float32,
        )
        bound = mean_bound_nm(
            psf,
            z_nm,
            photons=photons,
            background_photons=background_photons,
            window_px=window_px,
        )
        return min(bound, 1e6)

    results = [
        minimize(
            cost,
            np.asarray(start, float),
            method="Powell",
            options={"maxfev": evaluations, "xtol": 1e-2, "ftol": 1e-3},
        )
        for start in starts_rad
    ]
    best = min(results, key=lambda result: float(result.fun))
    return terms(best.x.tolist()), float(best.fun)


def _preset(**fields: Any) -> PupilOptics:
    return PupilOptics.model_validate(_OIL | {"pixel_nm": 100.0} | fields)


PUPILS: dict[str, PupilOptics] = {
    "unaberrated": _preset(sample_index=1.518),
    # 70 nm root mean square: a cylindrical lens
    "astigmatic": _preset(
        sample_index=1.518, zernikes_rad=((2, 2, round(2 * np.pi * 70 / 670, 4)),)
    ),
    "double_helix": _preset(sample_index=1.518, mask=VortexRings(rings=5)),
    # design_zernikes(this, z_range_nm=(0, 4000)): 10.9 nm on average at 4,000 photons
    # and 20 per pixel, where the astigmatic pupil has 33.5 nm
    "tetrapod": _preset(
        pixel_nm=110.0,
        sample_index=1.33,
        focus_nm=2900.0,
        zernikes_rad=(
            (2, 0, 0.254),
            (2, 2, -1.229),
            (4, 0, 0.843),
            (4, 2, -3.086),
            (4, 4, -0.012),
            (6, 0, 0.267),
            (6, 2, -0.337),
        ),
    ),
    # the blur of smNet, 79.6 nm, less that of a pixel (130 / sqrt(12) nm): there images
    # are sampled at pixel centres, not integrated
    "smnet_complex": PupilOptics(
        na=1.4,
        wavelength_nm=690.0,
        pixel_nm=130.0,
        immersion_index=1.52,
        sample_index=1.52,
        apodisation="uniform",
        blur_nm=70.2,
        zernikes_rad=wyant_coefficients({5: 3.0, 16: 4.0, 19: 3.0}),
    ),
}
"""Microscopes by their spot; the depths are relative to the coverslip, so that all but
the Tetrapod, which looks 4 µm into water, are in focus at 0."""
