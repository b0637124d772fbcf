"""Finding fluorescent beads in stacks through focus."""

from dataclasses import dataclass

import numpy as np

from zoo.physics.mle import match_templates
from zoo.physics.pupil import PupilPsf

_NOISE_FACTOR = 1.4826  # from the median absolute deviation to the standard deviation


@dataclass(frozen=True, eq=False)
class BeadRegions:
    """Regions that hold one bead each, and what was left out.

    The numbers of rejected beads add up to those found.
    """

    first_row: np.ndarray
    """(n,) int, row of the region's first pixel."""
    first_column: np.ndarray
    """(n,) int, column of the region's first pixel."""
    region_px: int
    """Edge of the regions."""
    at_border: int
    """Beads too close to the border of the image."""
    crowded: int
    """Beads with a neighbour inside their region."""
    saturated: int
    """Beads with a saturated pixel."""

    def cut(self, stack: np.ndarray) -> np.ndarray:
        """Return the (n, planes, y, x) regions of a (planes, y, x) stack."""
        size = self.region_px
        return np.array(
            [
                stack[:, row : row + size, column : column + size]
                for row, column in zip(self.first_row, self.first_column, strict=True)
            ]
        ).reshape(-1, len(stack), size, size)


def find_beads(
    stack: np.ndarray,
    *,
    region_px: int = 25,
    spot_px: float = 2.0,
    threshold: float = 10.0,
    neighbour: float = 0.1,
    saturation: float = np.inf,
) -> BeadRegions:
    """Find isolated beads that the detector did not cut off.

    Planes are averaged and smoothed; beads are local maxima that rise above the noise.

    Parameters
    ----------
    stack
        (planes, y, x) counts or photons.
    region_px
        Edge of the region around a bead, an odd number: it should hold the spot in the
        outermost planes.
    spot_px
        Standard deviation of the smoothing; larger for spots of several lobes.
    threshold
        Height of a bead over the background in standard deviations of the noise.
    neighbour
        Height of what crowds a bead, in units of the bead's.
    saturation
        Value that a pixel of a bead must stay below.

    Returns
    -------
    regions : BeadRegions
        Brightest first.

    Raises
    ------
    ValueError
        If the stack has not three axes or the region is even or larger than the image.
    """
    from scipy.ndimage import gaussian_filter, maximum_filter

    if stack.ndim != 3:
        raise ValueError(f"a bead stack has the axes (z, y, x), not {stack.shape}")
    if region_px % 2 == 0 or not 3 <= region_px <= min(stack.shape[1:]):
        raise ValueError(
            "region_px must be odd and fit into the image of "
            f"{stack.shape[1]} x {stack.shape[2]}, not {region_px}"
        )
    mean = np.asarray(stack, float).mean(axis=0)
    smooth = np.asarray(gaussian_filter(mean, spot_px))
    level = np.median(smooth)
    noise = _NOISE_FACTOR * np.median(np.abs(smooth - level))
    height = smooth - level
    near = 2 * int(np.ceil(spot_px)) + 1
    peaks = np.asarray(maximum_filter(height, near)) == height
    rows, columns = np.nonzero(peaks & (height > threshold * max(noise, 1e-12)))
    bright = height[rows, columns]
    order = np.argsort(-bright, kind="stable")
    rows, columns, bright = rows[order], columns[order], bright[order]

    half = region_px // 2
    inside = (rows >= half) & (rows < stack.shape[1] - half)
    inside &= (columns >= half) & (columns < stack.shape[2] - half)
    apart = np.maximum(np.abs(rows[:, None] - rows), np.abs(columns[:, None] - columns))
    rivals = bright[None, :] > neighbour * bright[:, None]
    np.fill_diagonal(rivals, val=False)
    # a neighbour reaches into the region from half a region further away
    crowded = np.any(rivals & (apart <= 2 * half), axis=1)
    brightest = np.asarray(maximum_filter(stack.max(axis=0), region_px))[rows, columns]
    saturated = brightest >= saturation
    usable = inside & ~crowded & ~saturated
    return BeadRegions(
        first_row=rows[usable] - half,
        first_column=columns[usable] - half,
        region_px=region_px,
        at_border=int(np.sum(~inside)),
        crowded=int(np.sum(inside & crowded)),
        saturated=int(np.sum(inside & ~crowded & saturated)),
    )


def place_bead(
    stack: np.ndarray,
    psf: PupilPsf,
    *,
    focus_nm: np.ndarray,
    offsets_nm: np.ndarray,
    z_nm: float = 0.0,
) -> tuple[float, float, float]:
    """Find where in its region a bead is, to a pixel and a step of the focus.

    Parameters
    ----------
    stack
        (planes, y, x) photons of one bead.
    psf
        Microscope, as far as it is known.
    focus_nm
        (planes,) displacements of the focal plane, from any zero.
    offsets_nm
        (k,) values to try for what has to be added to them.
    z_nm
        Height of the bead.

    Returns
    -------
    x_nm, y_nm : float
        From the outer corner of the region.
    offset_nm : float
        The best of the offsets.
    """
    planes, height, width = (int(size) for size in stack.shape)
    middle_y = np.full(planes, height * psf.pixel_nm / 2)
    middle_x = np.full(planes, width * psf.pixel_nm / 2)
    templates = np.stack(
        [
            psf.images(
                middle_x,
                middle_y,
                np.full(planes, z_nm),
                (height, width),
                focus_nm=focus_nm + offset,
            )
            for offset in offsets_nm
        ]
    )
    # side by side, the planes are one wide image with one shift and one focus
    data, wide = (
        images.transpose(0, 2, 1, 3).reshape(len(images), height, -1)
        for images in (np.asarray(stack, float)[None], templates.astype(float))
    )
    ranking, shift_y, shift_x = match_templates(data, wide, reach_px=width // 4)
    return (
        float(middle_x[0] + shift_x[0, 0] * psf.pixel_nm),
        float(middle_y[0] + shift_y[0, 0] * psf.pixel_nm),
        float(offsets_nm[ranking[0, 0]]),
    )
