"""The file ``optics.json``: how the spots of one microscope look."""

import json
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError, field_validator

from zoo.core.config import Config, one_line
from zoo.core.errors import BadInput
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spline_psf import SplinePsf
from zoo.physics.spots import GaussianPsf, Psf

_MOST_BYTES = 2**30


class Trust(Config):
    """How far a retrieved pupil can be trusted."""

    beads: int
    """Beads that were used."""
    correlation: float
    """Lowest correlation of a bead's images with their model."""
    correlation_limit: float
    """Correlation that a perfect model would reach in this noise."""
    chi_square: float
    """Mean square of the residuals in units of the noise; one is perfect."""
    zernike_sd_rad: float
    """Root of the summed variances of the coefficients, rad."""
    blur_sd_nm: float
    """Standard deviation of the blur, nm."""
    photons: float
    """Median photons of a bead in a plane."""
    converged: bool
    """Whether the fit had come to its end."""


class PupilCalibration(PupilOptics):
    """A microscope by its pupil; all that `PupilOptics` is, and where it is from."""

    kind: Literal["pupil"] = "pupil"
    """What kind of optics it is."""
    source: str = ""
    """File that it comes from."""
    z_range_nm: tuple[float, float] | None = None
    """Depths that the beads covered, nm."""
    trust: Trust | None = None
    """How far to trust it."""


class SplineCalibration(Config):
    """A spot by a cubic spline, whose nodes lie in a file beside."""

    kind: Literal["spline"] = "spline"
    """What kind of optics it is."""
    pixel_nm: float = Field(gt=0)
    """Camera pixel referred to the sample, nm."""
    step_nm: float = Field(gt=0)
    """Distance of the knots along z, nm."""
    first_z_nm: float
    """Depth of the first knot, nm."""
    nodes: str
    """Name of a .npz file in the same folder that holds ``nodes`` (z, y, x)."""
    source: str = ""
    """File that it comes from."""
    z_range_nm: tuple[float, float] | None = None
    """Depths that it covers, nm."""

    @field_validator("nodes")
    @classmethod
    def _stays_in_its_folder(cls, name: str) -> str:
        plain = not set(name) & set("/\\:\0") and not name.startswith(".")
        if not plain or not name.endswith(".npz"):
            raise ValueError("nodes must name an .npz file in the same folder")
        return name


class GaussianCalibration(Config):
    """A Gaussian spot whose widths change with depth."""

    kind: Literal["gaussian"] = "gaussian"
    """What kind of optics it is."""
    pixel_nm: float = Field(gt=0)
    """Camera pixel referred to the sample, nm."""
    sigma_x_nm: tuple[float, ...] = Field(min_length=1)
    """Width along x, nm: polynomial in z/µm, constant first."""
    sigma_y_nm: tuple[float, ...] = Field(min_length=1)
    """Width along y, nm: polynomial in z/µm, constant first."""
    source: str = ""
    """File that it comes from."""
    z_range_nm: tuple[float, float] | None = None
    """Depths that it covers, nm."""


OpticsFile = PupilCalibration | SplineCalibration | GaussianCalibration
"""What ``optics.json`` may hold."""

_ADAPTER: TypeAdapter[Any] = TypeAdapter(
    Annotated[OpticsFile, Field(discriminator="kind")]
)


def read_optics(path: Path) -> OpticsFile:
    """Read ``optics.json``.

    Raises
    ------
    BadInput
        If it is missing, no JSON, or breaks the rule of a field.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path} does not exist; make it with zoo calibrate") from error
    except ValueError as error:
        raise BadInput(f"{path} is no JSON; make it with zoo calibrate") from error
    try:
        return _ADAPTER.validate_python(content)
    except ValidationError as error:
        raise BadInput(
            f"{path}: {one_line(error)}; make it again with zoo calibrate"
        ) from error


def load_psf(path: Path) -> Psf:
    """Return the point-spread function that ``optics.json`` declares.

    Raises
    ------
    BadInput
        If it, or the file of its nodes, cannot be read.
    """
    optics = read_optics(path)
    if isinstance(optics, PupilCalibration):
        return PupilPsf(optics)
    if isinstance(optics, GaussianCalibration):
        return GaussianPsf(
            pixel_nm=optics.pixel_nm,
            sigma_x_nm=optics.sigma_x_nm,
            sigma_y_nm=optics.sigma_y_nm,
        )
    return SplinePsf(
        _nodes(path, optics.nodes),
        pixel_nm=optics.pixel_nm,
        step_nm=optics.step_nm,
        first_z_nm=optics.first_z_nm,
    )


def _nodes(path: Path, name: str) -> np.ndarray:
    file = path.parent / name
    if file.resolve().parent != path.parent.resolve():
        raise BadInput(f"{file} leads out of its folder; copy the file there")
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise BadInput(f"{file} declares more than {_MOST_BYTES} bytes")
        with np.load(file, allow_pickle=False) as arrays:
            nodes = arrays["nodes"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BadInput(
            f"{file}, which {path} names, cannot be read; copy both files, or make "
            "them again with zoo calibrate"
        ) from error
    if nodes.ndim != 3 or nodes.dtype.kind != "f" or not np.isfinite(nodes).all():
        raise BadInput(f"{file} holds no nodes (z, y, x); make it with zoo calibrate")
    return nodes
