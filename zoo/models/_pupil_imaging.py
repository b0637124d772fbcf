"""A microscope as a network: tables of emitters to noisy frames.

The optical half of DeepSTORM3D, whose phase mask can be learnt (Nehme et al. 2020,
doi:10.1038/s41592-020-0853-5).  It is trained with and never packaged.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import keras
import numpy as np

from zoo.core.network import Network
from zoo.core.papers import NEHME_2020
from zoo.layers.pupil import BLURS, COLUMNS, SURFACES, PhotonNoise, PupilImaging
from zoo.physics.imaging_arrays import imaging_arrays, is_mirrored, modes_up_to
from zoo.physics.pupil import PupilOptics
from zoo.physics.zernike import zernike_basis

_MOST_SAMPLES = 128
_BOUND_PX = 61
"""Edge of the region that bounds are computed in, px: a bound that changed with the
frames of a training could not be compared with another mask's."""


def pupil_imaging(
    *,
    optics: Mapping[str, Any],
    size_px: int,
    emitters: int,
    blurs_nm: tuple[float, float, float],
    z_nm: tuple[float, float] = (0.0, 4000.0),
    start: Literal["optics", "clear"] = "optics",
    degree: int = 9,
    mirrored: bool = False,
    samples: int = 64,
    beyond_px: int = 0,
    step_rad: float = 10.0,
    bound_weight: float = 0.0,
    bound_photons: float = 10000.0,
    bound_background_photons: float = 60.0,
) -> keras.Model:
    """Build a microscope that images tables of emitters.

    Parameters
    ----------
    optics
        Fields of `zoo.physics.pupil.PupilOptics`.
    size_px
        Edge of the frames.
    emitters
        Rows of emitters in a table.
    blurs_nm
        Standard deviations of the blurs that emitters are mixed of.
    z_nm
        Depths that a mask is designed for.
    start
        ``clear``: aberrations and mask of `optics` are left out, so that a mask is
        designed from zero modulation.
    degree
        Largest radial degree of the Zernike modes that the mask is a sum of.
    mirrored
        Learn only modes that are alike on both sides of both axes; spots are then their
        own mirror images at every depth.
    samples
        Points along the diameter of the pupil; more if the field needs them.
    beyond_px
        Border around the frames from which emitters shine in.
    step_rad, bound_weight
        As in `zoo.layers.pupil.PupilImaging`.
    bound_photons, bound_background_photons
        Light for which the bound is computed.

    Returns
    -------
    model : keras.Model
        (b, 2 + emitters, 8) tables to (b, y, x, 1) frames between 0 and 1.
    """
    microscope = PupilOptics.model_validate(dict(optics))
    if start == "clear":
        microscope = microscope.override(zernikes_rad=(), mask=None)
    largest = max(size_px, _BOUND_PX)
    reached = largest + 2 * beyond_px
    points = pupil_points(microscope, size_px=reached, least=samples)
    far = imaging_arrays(microscope, size_px=size_px, blurs_nm=blurs_nm, samples=points)
    middle = (blurs_nm[len(blurs_nm) // 2],)
    near = imaging_arrays(
        microscope, size_px=_BOUND_PX, blurs_nm=middle, samples=points
    )
    modes = modes_up_to(degree)
    basis = zernike_basis(far.rho, far.phi, modes=modes)
    if mirrored:
        basis = basis * is_mirrored(modes)[:, None, None]
    table = keras.Input((SURFACES + emitters, COLUMNS), name="sample")
    if len(blurs_nm) != BLURS:
        raise ValueError(f"blurs_nm must be {BLURS} widths, not {len(blurs_nm)}")
    light = PupilImaging(
        asdict(far),
        near=asdict(near),
        basis=basis,
        pixel_nm=microscope.pixel_nm,
        size_px=size_px,
        step_rad=step_rad,
        bound_weight=bound_weight,
        depths_um=np.linspace(*z_nm, 13) / 1000,
        photons=bound_photons,
        background_photons=bound_background_photons,
        dtype="float32",
        name="pupil",
    )(table)
    frames = PhotonNoise(dtype="float32", name="noise")(light)
    return keras.Model(table, frames, name="pupil_imaging")


def pupil_points(optics: PupilOptics, *, size_px: int, least: int = 64) -> int:
    """Return points along the pupil with which the image does not repeat in a field."""
    field_um = size_px * optics.pixel_nm / 1000
    # spots reach half a region of 61 px beyond the field
    needed = (field_um + 30 * optics.pixel_nm / 1000) * 2 * optics.aperture_per_um
    return min(max(least, 2 * int(np.ceil(needed / 2))), _MOST_SAMPLES)


PUPIL_IMAGING = Network(
    name="pupil_imaging", build=pupil_imaging, paper=NEHME_2020, parameters=52
)
