"""Calibrations of other programs as optics of this one."""

from pathlib import Path
from typing import Literal

import numpy as np

from zoo.calibrate.optics import GaussianCalibration, SplineCalibration
from zoo.core.errors import BadInput
from zoo.io.calibrations import (
    Calibration,
    PicassoCalibration,
    PicassoSpline,
    SmapCalibration,
    agreed_pixel_nm,
)
from zoo.physics.spline_psf import SplinePsf
from zoo.physics.tabulated import measured_psf

CONVENTIONS = {
    "SMAP": (
        "slices are taken to go from the coverslip into the sample, and the first axis "
        "of the coefficients to be the rows of the image"
    ),
    "Picasso": (
        "the scan is taken to have gone up from the coverslip, so that Picasso's "
        "positive depths lie deeper in the sample"
    ),
    "uiPSF": (
        "slices are taken to go from the coverslip into the sample, with the axes "
        "(z, y, x)"
    ),
}
"""What is assumed of axes and depth where a program's file does not state it."""


def convert(
    calibration: Calibration,
    *,
    path: Path,
    nodes_name: str,
    pixel_nm: float | None = None,
    z_sign: Literal[1, -1] = 1,
) -> tuple[GaussianCalibration | SplineCalibration, np.ndarray | None]:
    """Turn a calibration into optics and, for splines, their nodes.

    Parameters
    ----------
    calibration
        As `zoo.io.calibrations.read_calibration` returns it.
    path
        File that it comes from, for messages.
    nodes_name
        Name of the file that the nodes are going to lie in.
    pixel_nm
        Camera pixel of the recordings; must agree with the calibration's.
    z_sign
        -1 to reverse depth.

    Returns
    -------
    optics
        Widths over depth, or a spline.
    nodes : (z, y, x) float32 or None

    Raises
    ------
    BadInput
        If the pixel sizes disagree, or the spline is none.
    """
    pixel = agreed_pixel_nm(calibration.pixel_nm, pixel_nm, name=str(path))
    if isinstance(calibration, PicassoCalibration):
        return _gaussian(calibration, pixel, path, z_sign), None
    try:
        if isinstance(calibration, SmapCalibration):
            psf = SplinePsf.from_smap(
                calibration.coefficients,
                pixel_nm=pixel,
                step_nm=calibration.step_nm,
                reference_slice=calibration.reference_slice,
                z_sign=z_sign,
            )
        elif isinstance(calibration, PicassoSpline):
            psf = _picasso_spline(calibration, pixel, z_sign)
        else:
            stack, zero = calibration.stack, calibration.reference_slice
            if z_sign < 0:
                stack, zero = stack[::-1], len(stack) - 1 - zero
            psf = measured_psf(
                stack,
                pixel_nm=pixel,
                step_nm=calibration.step_nm,
                first_z_nm=-zero * calibration.step_nm,
            )
    except ValueError as error:
        raise BadInput(
            f"{path}: {error}; save it again with {calibration.program}"
        ) from error
    nodes = psf.nodes / _brightness(psf, path)
    low, high = psf.z_range_nm
    optics = SplineCalibration(
        pixel_nm=pixel,
        step_nm=psf.step_nm,
        first_z_nm=psf.first_z_nm,
        nodes=nodes_name,
        source=path.name,
        z_range_nm=(low, high),
    )
    return optics, nodes.astype(np.float32)


def _picasso_spline(
    calibration: PicassoSpline, pixel_nm: float, z_sign: int
) -> SplinePsf:
    psf = SplinePsf.from_polynomials(
        calibration.coefficients,
        pixel_nm=pixel_nm,
        step_nm=calibration.step_nm,
        first_z_nm=-calibration.reference_slice * calibration.step_nm,
    )
    if z_sign < 0:
        return psf
    return SplinePsf(  # its slices go towards the coverslip
        psf.nodes[::-1],
        pixel_nm=pixel_nm,
        step_nm=psf.step_nm,
        first_z_nm=-psf.z_range_nm[1],
    )


def _gaussian(
    calibration: PicassoCalibration, pixel_nm: float, path: Path, z_sign: int
) -> GaussianCalibration:
    # widths are px over nm of the stage, highest power first
    per_um = 1000 * z_sign / calibration.magnification
    widths = [
        tuple(
            float(value) * pixel_nm * per_um**power
            for power, value in enumerate(reversed(coefficients))
        )
        for coefficients in (calibration.x_coefficients, calibration.y_coefficients)
    ]
    z_um = np.linspace(*calibration.z_range_nm, 201) / 1000
    for width in widths:
        if np.polynomial.Polynomial(width)(z_um).min() <= 0:
            raise BadInput(
                f"{path} has a width that is not positive at a depth that it covers; "
                "calibrate again over a smaller range"
            )
    return GaussianCalibration(
        pixel_nm=pixel_nm,
        sigma_x_nm=widths[0],
        sigma_y_nm=widths[1],
        source=path.name,
        z_range_nm=calibration.z_range_nm,
    )


def _brightness(psf: SplinePsf, path: Path) -> float:
    """Return the photons of the brightest slice, or 1 if they may be shares already."""
    low, high = psf.z_range_nm
    depths = np.linspace(low, high, psf.intervals[0] + 1)
    rows, columns = psf.intervals[1:]
    middle_x = np.full(len(depths), (psf.center_px[0] + 0.5) * psf.pixel_nm)
    middle_y = np.full(len(depths), (psf.center_px[1] + 0.5) * psf.pixel_nm)
    sums = psf.images(middle_x, middle_y, depths, (rows, columns)).sum(axis=(1, 2))
    brightest = float(sums.max())
    if not brightest > 0:
        raise BadInput(f"{path} is dark at all depths; calibrate again")
    return 1.0 if 0.5 < brightest < 1.05 else brightest
