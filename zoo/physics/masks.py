"""Phase masks: what is put into the pupil beside Zernike polynomials.

A mask is a phase over the unit disk of the pupil, in radians.  Rings of vortices turn a
point into lobes that rotate with depth: the double helix (Pavani et al. 2009,
doi:10.1073/pnas.0900245106; annular vortices: Prasad 2013, doi:10.1364/OL.38.000585).
"""

import base64
import io
import logging
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from zoo.core.config import Config
from zoo.core.errors import BadInput

log = logging.getLogger(__name__)


class VortexRings(Config):
    """Rings of equal area, each winding by one or two turns more than the last."""

    kind: Literal["vortex_rings"] = "vortex_rings"
    """Type of mask."""
    rings: int = Field(default=5, ge=1)
    """Number of rings; more of them turn slower and reach deeper."""
    lobes: Literal[1, 2] = 2
    """2 for the double helix, 1 for the single helix."""

    def phase_rad(self, rho: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """Evaluate ``(2 l - 1) phi`` or ``l phi`` in ring ``l``.

        Parameters
        ----------
        rho
            Radius, 1 at the edge of the pupil.
        phi
            Angle from the x axis towards the y axis, rad.

        Returns
        -------
        phase : float64
            rad, of the common shape of `rho` and `phi`.
        """
        ring = np.clip(np.ceil(self.rings * np.asarray(rho) ** 2), 1, self.rings)
        return (2 * ring - 1 if self.lobes == 2 else ring) * phi


class MaskFile(Config):
    """A measured or designed mask, an image of the pupil disk."""

    kind: Literal["file"] = "file"
    """Type of mask."""
    path: str
    """``.npy`` or TIFF file of a square (v, u) array in rad, whose sides touch the edge
    of the pupil."""

    def phase_rad(self, rho: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """Evaluate the image at points of the pupil; see `mask_phase`."""
        return mask_phase(rho, phi, mask_rad=read_mask(self.path))


class PhaseMap(Config):
    """A measured or designed mask that is stored with its declaration."""

    kind: Literal["phase_map"] = "phase_map"
    """Type of mask."""
    pixels: str
    """Square (v, u) array in rad, float16 in NumPy's format, as base64; its sides touch
    the edge of the pupil."""

    @model_validator(mode="after")
    def _readable(self) -> Self:
        self.array()
        return self

    @classmethod
    def of(cls, mask_rad: np.ndarray, *, pupil_px: float | None = None) -> Self:
        """Return the declaration of a mask; phases are wrapped to (-pi, pi].

        Parameters
        ----------
        mask_rad
            (v, u) phase, rad.
        pupil_px
            Diameter of the pupil around the middle of the array, px; what lies outside
            is cut off.  The whole array if left out.

        Raises
        ------
        BadInput
            If the array is no image of a pupil.
        """
        mask = np.asarray(mask_rad, float)
        if mask.ndim != 2 or mask.shape[0] != mask.shape[1] or len(mask) < 16:
            raise BadInput(
                f"a phase mask is a square of at least 16 x 16 px, not of shape "
                f"{mask.shape}; cut it to the square around the pupil"
            )
        if not np.isfinite(mask).all():
            raise BadInput("a phase mask must be finite; set what lies outside to 0")
        if np.abs(mask).max() > np.pi + 1e-3:
            log.warning(
                "the phase mask reaches %.2f rad; it is wrapped to (-pi, pi]",
                float(np.abs(mask).max()),
            )
        if pupil_px is not None:
            if not 16 <= pupil_px <= len(mask):
                raise BadInput(
                    f"the pupil must be 16 to {len(mask)} px wide, the size of the "
                    f"mask, not {pupil_px:g}"
                )
            count = int(np.ceil(pupil_px))
            place = (2 * (np.arange(count) + 0.5) / count - 1) * pupil_px / len(mask)
            v, u = np.meshgrid(place, place, indexing="ij")
            mask = mask_phase(np.hypot(u, v), np.arctan2(v, u), mask_rad=mask)
        wrapped = np.angle(np.exp(1j * mask)).astype(np.float16)
        file = io.BytesIO()
        np.save(file, wrapped, allow_pickle=False)
        return cls(pixels=base64.b64encode(file.getvalue()).decode())

    def array(self) -> np.ndarray:
        """Return the mask, (v, u) float64, rad."""
        file = io.BytesIO(base64.b64decode(self.pixels, validate=True))
        mask = np.load(file, allow_pickle=False)
        if mask.ndim != 2 or mask.shape[0] != mask.shape[1]:
            raise ValueError(f"pixels must be square, not of shape {mask.shape}")
        if mask.dtype != np.float16 or not np.isfinite(mask).all():
            raise ValueError("pixels must be finite float16 numbers")
        return mask.astype(float)

    def phase_rad(self, rho: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """Evaluate the map at points of the pupil; see `mask_phase`."""
        return mask_phase(rho, phi, mask_rad=self.array())


Mask = Annotated[VortexRings | MaskFile | PhaseMap, Field(discriminator="kind")]


def mask_phase(rho: np.ndarray, phi: np.ndarray, *, mask_rad: np.ndarray) -> np.ndarray:
    """Interpolate an image of the pupil at points of the pupil.

    ``exp(i phase)`` is interpolated, not the phase, so that jumps of a full turn in a
    wrapped mask do no harm.

    Parameters
    ----------
    rho
        Radius, 1 at the edge of the pupil.
    phi
        Angle from the x axis towards the y axis, rad.
    mask_rad
        (v, u) phase, rad: u runs along columns and x, v along rows and y; the pupil
        touches the outer edges of the border pixels.

    Returns
    -------
    phase : float64
        rad within (-pi, pi], of the common shape of `rho` and `phi`.

    Raises
    ------
    ValueError
        If the image is not square or not finite.
    """
    from scipy.ndimage import map_coordinates

    mask = np.asarray(mask_rad, float)
    if mask.ndim != 2 or mask.shape[0] != mask.shape[1]:
        raise ValueError(f"mask_rad must be square, not of shape {mask.shape}")
    if not np.all(np.isfinite(mask)):
        raise ValueError("mask_rad must be finite; set what lies outside to 0")
    u = (rho * np.cos(phi) + 1) / 2 * len(mask) - 0.5
    v = (rho * np.sin(phi) + 1) / 2 * len(mask) - 0.5
    places = np.stack([v, u])
    real, imaginary = (
        map_coordinates(part, places, order=1, mode="nearest")
        for part in (np.cos(mask), np.sin(mask))
    )
    return np.arctan2(imaginary, real)


def read_mask(path: str | Path) -> np.ndarray:
    """Read a phase mask in radians from a ``.npy`` or TIFF file.

    Raises
    ------
    ValueError
        If the file is of another type.
    OSError
        If it cannot be read.
    """
    file = Path(path)
    if file.suffix == ".npy":
        return np.asarray(np.load(file), float)
    if file.suffix in (".tif", ".tiff"):
        from tifffile import imread

        return np.asarray(imread(file), float)
    raise ValueError(f"a mask is a .npy, .tif or .tiff file, not {file.name}")
