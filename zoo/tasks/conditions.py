"""Recordings held against the conditions under which a network was trained."""

import math
from typing import Any

from zoo.core.contract import Contract, Recording

PIXEL_SIZE_TOLERANCE = 0.02
"""Relative distance from the training range at which a pixel size gets a warning."""


def pixel_size_nm(recording: Recording) -> float | None:
    """Return the edge of a pixel of a recording along x, None if it is not known."""
    return recording.pixel_size_nm.get("x")


def fine_sizes_nm(recording: Recording, contract: Contract) -> dict[str, float]:
    """Return the edges of an output pixel that follow from those of the input, nm."""
    grid = contract.grid
    return {
        letter: edge / grid.scale(letter)
        for letter, edge in recording.pixel_size_nm.items()
    }


def looks_super_resolved(contract: Contract, pixel_nm: float | None) -> bool:
    """Tell whether a recording has pixels as fine as the package's own output.

    That is the case if its pixel size is, as a ratio, nearer to that of the images
    that the package makes than to that of those which it was trained to take.
    """
    limits = contract.training.get("pixel_size_nm")
    if pixel_nm is None or limits is None:
        return False
    return pixel_nm < limits[0] / math.sqrt(contract.grid.scale("x"))


def pixel_size_warnings(
    recording: Recording, contract: Contract, consequence: str, *, images: bool = False
) -> list[str]:
    """Compare the pixel size with those that the network was trained on.

    Parameters
    ----------
    recording, contract
        What was read, and the package.
    consequence
        What a wrong pixel size leads to, and the remedy.
    images
        Whether a recording may be mistaken for an output of such a package.
    """
    limits = contract.training.get("pixel_size_nm")
    if limits is None:
        return []
    known, pixel_nm = spelled(*limits), pixel_size_nm(recording)
    if pixel_nm is None:
        return [
            "the recording states no pixel size; the network was trained for "
            f"{known} nm, check yours and give it with --pixel-size-nm"
        ]
    slack = PIXEL_SIZE_TOLERANCE
    if limits[0] * (1 - slack) <= pixel_nm <= limits[1] * (1 + slack):
        return []
    outside = (
        f"pixels of {pixel_nm:.4g} nm lie outside the training range of {known} nm"
    )
    if images and looks_super_resolved(contract, pixel_nm):
        return [
            f"{outside}: the recording looks already super-resolved, or enlarged; give "
            "the camera's own image to the package"
        ]
    return [f"{outside}; {consequence}"]


def spelled(low: float, high: float) -> str:
    """Return a range in words.

    Examples
    --------
    >>> spelled(90, 110), spelled(100, 100)
    ('90 to 110', '100')
    """
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def plain_number(value: Any, digits: int = 6) -> float | None:
    """Return a number as JSON has it, None for one that is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
