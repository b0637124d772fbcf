"""The optics of a simulation: a pupil, or what a calibration has measured.

A calibration is taken over whole, nodes of a spline included, so that a run can be
resumed and packaged where the file is not.
"""

import base64
import io
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from zoo.calibrate.optics import (
    GaussianCalibration,
    PupilCalibration,
    load_psf,
    read_optics,
)
from zoo.core.config import Config
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spline_psf import SplinePsf
from zoo.physics.spots import GaussianPsf, Psf

_PIXEL_TOLERANCE = 0.01  # relative; a spot of pixels cannot be given others


class SplineOptics(Config):
    """A spot by a cubic spline."""

    kind: Literal["spline"] = "spline"
    """What kind of optics it is."""
    pixel_nm: float = Field(gt=0)
    """Camera pixel referred to the sample, nm."""
    step_nm: float = Field(gt=0)
    """Distance of the knots along z, nm."""
    first_z_nm: float
    """Depth of the first knot, nm."""
    nodes: str
    """B-spline nodes (z, y, x), float32 in NumPy's format, as base64."""

    @model_validator(mode="after")
    def _readable(self) -> Self:
        self.array()
        return self

    @classmethod
    def of(cls, psf: SplinePsf) -> Self:
        """Return the declaration of a spline with one knot per pixel."""
        file = io.BytesIO()
        np.save(file, psf.nodes.astype(np.float32), allow_pickle=False)
        return cls(
            pixel_nm=psf.pixel_nm,
            step_nm=psf.step_nm,
            first_z_nm=psf.first_z_nm,
            nodes=base64.b64encode(file.getvalue()).decode(),
        )

    def array(self) -> np.ndarray:
        """Return the nodes, (z, y, x) float32."""
        file = io.BytesIO(base64.b64decode(self.nodes, validate=True))
        nodes = np.load(file, allow_pickle=False)
        if nodes.ndim != 3 or nodes.dtype != np.float32 or not np.isfinite(nodes).all():
            raise ValueError("nodes must be finite float32 numbers (z, y, x)")
        return nodes


def declared(value: Any) -> Any:
    """Return the optics that a file of ``zoo calibrate`` holds; others as they are.

    Raises
    ------
    BadInput
        If the file cannot be read.
    """
    if not isinstance(value, (str, Path)):
        return value
    optics = read_optics(Path(value))
    if isinstance(optics, PupilCalibration):
        return PupilOptics(
            **{name: getattr(optics, name) for name in PupilOptics.model_fields}
        )
    psf = load_psf(Path(value))
    return SplineOptics.of(psf) if isinstance(psf, SplinePsf) else optics


AnyOptics = Annotated[
    PupilOptics | SplineOptics | GaussianCalibration, BeforeValidator(declared)
]
"""Optics of a declaration; ``optics.json`` of ``zoo calibrate`` where it is set."""


def psf_of(
    optics: PupilOptics | SplineOptics | GaussianCalibration,
    *,
    pixel_nm: float | None = None,
    samples: int = 64,
    dtype: type[np.float32] | type[np.float64] = np.float64,
) -> Psf:
    """Return the point-spread function of optics.

    Parameters
    ----------
    optics
        Pupil, spline or Gaussian.
    pixel_nm
        Camera pixel, if it is another than that of the optics.
    samples, dtype
        As in `zoo.physics.pupil.PupilPsf`; of no meaning for others.

    Raises
    ------
    ValueError
        If a spline is asked for another pixel.
    """
    pixel = optics.pixel_nm if pixel_nm is None else pixel_nm
    if isinstance(optics, PupilOptics):
        return PupilPsf(optics.override(pixel_nm=pixel), samples=samples, dtype=dtype)
    if isinstance(optics, GaussianCalibration):
        return GaussianPsf(
            pixel_nm=pixel, sigma_x_nm=optics.sigma_x_nm, sigma_y_nm=optics.sigma_y_nm
        )
    check_pixel(optics, pixel)
    return SplinePsf(
        optics.array(),
        pixel_nm=pixel,
        step_nm=optics.step_nm,
        first_z_nm=optics.first_z_nm,
    )


def check_pixel(
    optics: PupilOptics | SplineOptics | GaussianCalibration, pixel_nm: float
) -> None:
    """Refuse pixels with which optics cannot be drawn.

    Raises
    ------
    ValueError
        If a spline, which is one of its own pixels, is asked for others.
    """
    different = abs(pixel_nm / optics.pixel_nm - 1) > _PIXEL_TOLERANCE
    if isinstance(optics, SplineOptics) and different:
        raise ValueError(
            f"pixel_size_nm must be that of the measured spot, {optics.pixel_nm:g} nm, "
            f"not {pixel_nm:g}"
        )


def depth_range_nm(value: Any) -> tuple[float, float] | None:
    """Return the depths that a calibration covers, None where nothing limits them."""
    if isinstance(value, (str, Path)):
        value = read_optics(Path(value))
    if isinstance(value, SplineOptics):
        psf = psf_of(value)
        return psf.z_range_nm if isinstance(psf, SplinePsf) else None
    return getattr(value, "z_range_nm", None)
