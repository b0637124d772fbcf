"""Point-spread functions from tables: measured stacks, and models drawn beforehand."""

from collections.abc import Sequence

import numpy as np

from zoo.physics.phase_retrieval import Beads
from zoo.physics.spline_psf import SplinePsf, nodes_of_powers
from zoo.physics.spots import Psf


def measured_psf(
    stack: np.ndarray,
    *,
    pixel_nm: float,
    step_nm: float,
    first_z_nm: float,
    center_px: tuple[float, float] | None = None,
    knots_per_pixel: int = 1,
    dtype: type[np.float32] | type[np.float64] = np.float64,
) -> SplinePsf:
    """Interpolate images of a point at equidistant depths by a cubic spline.

    The law: at the depths of the slices, an emitter in the middle of the region gives
    back the slices.  Background must have been subtracted.

    Parameters
    ----------
    stack
        (z, y, x) images as shares of the emitter's photons, at least four slices.
    pixel_nm
        Edge of a camera pixel.
    step_nm
        Distance from slice to slice.
    first_z_nm
        Depth of the first slice.
    center_px
        Position (x, y) of the emitter, camera px from the first value; by default the
        middle of the images.
    knots_per_pixel
        Values along x and y per camera pixel; 1 for images from the camera.
    dtype
        ``float32`` halves memory and time.

    Returns
    -------
    psf : SplinePsf

    Raises
    ------
    ValueError
        If the stack has fewer than four slices, rows or columns.
    """
    from scipy.interpolate import make_interp_spline

    if stack.ndim != 3 or min(stack.shape) < 4:
        raise ValueError(
            "a measured spot needs four slices, rows and columns, "
            f"not the shape {stack.shape}"
        )
    nodes = np.asarray(stack, float)
    for axis in (0, 1, 2):
        places = np.arange(float(nodes.shape[axis]))
        spline = make_interp_spline(places, nodes, k=3, axis=axis)
        factorials = (1.0, 1.0, 2.0, 6.0)
        powers = [
            np.asarray(spline(places[:-1], order)) / factorial
            for order, factorial in enumerate(factorials)
        ]
        nodes = nodes_of_powers(np.stack(powers, axis=-1), axis=axis)
    return SplinePsf(
        nodes.astype(dtype),
        pixel_nm=pixel_nm,
        step_nm=step_nm,
        first_z_nm=first_z_nm,
        center_px=center_px,
        knots_per_pixel=knots_per_pixel,
    )


def tabulated_psf(
    psf: Psf,
    *,
    z_range_nm: tuple[float, float],
    step_nm: float = 50.0,
    size_px: int = 41,
    knots_per_pixel: int = 2,
    dtype: type[np.float32] | type[np.float64] = np.float32,
) -> SplinePsf:
    """Tabulate any point-spread function as a cubic spline, which is faster to draw.

    Parameters
    ----------
    psf
        Point-spread function.
    z_range_nm
        Lowest and highest depth; the range is extended to a whole number of steps.
    step_nm
        Distance of the tabulated depths.
    size_px
        Edge of the table; beyond it the spot is dark.
    knots_per_pixel
        2 leaves errors of 1e-3 of the peak with pixels near the Nyquist limit, 1 leaves
        ten times that.
    dtype
        ``float32`` halves memory and time.

    Returns
    -------
    psf : SplinePsf
    """
    low, high = z_range_nm
    steps = max(int(np.ceil((high - low) / step_nm - 1e-9)), 3)
    z_nm = low + step_nm * np.arange(steps + 1.0)
    middle_nm = size_px * psf.pixel_nm / 2
    # knot by knot: the emitter moves against the pixels
    stack = np.empty((len(z_nm), size_px * knots_per_pixel, size_px * knots_per_pixel))
    shifts_nm = -np.arange(knots_per_pixel) / knots_per_pixel * psf.pixel_nm
    for row, y_nm in enumerate(middle_nm + shifts_nm):
        for column, x_nm in enumerate(middle_nm + shifts_nm):
            stack[:, row::knots_per_pixel, column::knots_per_pixel] = psf.images(
                np.full(len(z_nm), x_nm),
                np.full(len(z_nm), y_nm),
                z_nm,
                (size_px, size_px),
            )
    return measured_psf(
        stack,
        pixel_nm=psf.pixel_nm,
        step_nm=step_nm,
        first_z_nm=low,
        center_px=((size_px - 1) / 2, (size_px - 1) / 2),
        knots_per_pixel=knots_per_pixel,
        dtype=dtype,
    )


def bead_psf(
    stacks: Sequence[np.ndarray],
    focus_nm: np.ndarray,
    beads: Beads,
    *,
    pixel_nm: float,
    axial_ratio: float = 1.0,
    dtype: type[np.float32] | type[np.float64] = np.float64,
) -> SplinePsf:
    """Average bead stacks to a measured point-spread function.

    Beads are brought to one place without resampling more than once, and averaged with
    their photons as weights.  Depth 0 is where the focal plane meets a bead; focusing
    deeper looks at an emitter from below.

    Parameters
    ----------
    stacks
        (planes, y, x) photons of each bead.
    focus_nm
        (planes,) equidistant readings of the stage, as in
        `zoo.physics.phase_retrieval.retrieve_pupil`.
    beads
        Places, photons and backgrounds of the beads, from the same.
    pixel_nm
        Edge of a camera pixel.
    axial_ratio
        Depth of an emitter that defocuses as much as one nm of stage: below one for oil
        and water.
    dtype
        ``float32`` halves memory and time.

    Returns
    -------
    psf : SplinePsf
        Smaller than the regions by the spread of the beads' places.

    Raises
    ------
    ValueError
        If the readings are not equidistant, or what the beads have in common is smaller
        than four planes, rows or columns.
    """
    focus = np.asarray(focus_nm, float)
    steps = np.diff(focus)
    if len(focus) < 4 or np.ptp(steps) > 1e-3 * np.abs(steps).max():
        raise ValueError("focus_nm must be four or more equidistant readings")
    step_nm = float(abs(steps.mean()) * axial_ratio)
    order = np.argsort(-focus)
    first_z_nm = -(focus.max() + beads.focus_nm) * axial_ratio
    low = float(first_z_nm.max())
    high = float(first_z_nm.min()) + (len(focus) - 1) * step_nm
    planes = max(int((high - low) / step_nm + 1 + 1e-6), 0)
    depths = low + step_nm * np.arange(float(planes))

    height, width = (int(edge) for edge in np.shape(stacks[0])[1:])
    off_x = np.abs(beads.x_nm / pixel_nm - width / 2).max()
    off_y = np.abs(beads.y_nm / pixel_nm - height / 2).max()
    # the last row and column of a bead's spline belong to no interval
    rows = height - 2 * int(np.ceil(off_y + 0.5))
    columns = width - 2 * int(np.ceil(off_x + 0.5))
    if min(planes, rows, columns) < 4:
        raise ValueError(
            f"the beads have {planes} planes, {rows} rows and {columns} "
            "columns in common; four of each are needed"
        )
    total, weight = np.zeros((planes, rows, columns)), 0.0
    middle_x = np.full(planes, columns * pixel_nm / 2)
    middle_y = np.full(planes, rows * pixel_nm / 2)
    for bead, stack in enumerate(stacks):
        light = stack - beads.background_photons[bead][:, None, None]
        share = light / beads.photons[bead][:, None, None]
        own = measured_psf(
            share[order],
            pixel_nm=pixel_nm,
            step_nm=step_nm,
            first_z_nm=float(first_z_nm[bead]),
            center_px=(
                float(beads.x_nm[bead] / pixel_nm - 0.5),
                float(beads.y_nm[bead] / pixel_nm - 0.5),
            ),
        )
        photons = float(beads.photons[bead].mean())
        total += photons * own.images(middle_x, middle_y, depths, (rows, columns))
        weight += photons
    return measured_psf(
        total / weight,
        pixel_nm=pixel_nm,
        step_nm=step_nm,
        first_z_nm=low,
        dtype=dtype,
    )
