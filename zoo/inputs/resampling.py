"""Which recordings are brought to the pixel that a network was trained on, and how."""

from typing import TYPE_CHECKING

from zoo.core.contract import Contract
from zoo.core.resampling import Resampling

if TYPE_CHECKING:
    from zoo.io.stacks import Stack

SAME = 0.05
"""Relative difference of pixel sizes that a network does not notice: a trained value of
one number is a point with this tolerance."""
LARGEST_RATIO = 2.3
"""Pixels larger than trained by more than this factor are left as they are where the
package says nothing about its optics: they miss what the network looks for."""


def resampling(stack: "Stack", contract: Contract) -> Resampling | None:
    """Return how to bring a stack to the trained pixel; None to leave it.

    It is left where its pixel size is not known, fits, or is so coarse that the
    recording cannot hold what the trained optics passed (half a period of the lowest
    cut-off in training).
    """
    limits = contract.training.get("pixel_size_nm")
    pixel_nm = stack.pixel_size_nm
    if limits is None or pixel_nm is None or contract.grid.output_space != "yx":
        return None
    low, high = limits
    if low * (1 - SAME) <= pixel_nm <= high * (1 + SAME):
        return None
    wanted_nm = low if pixel_nm < low else high
    if pixel_nm > coarsest_nm(contract):
        return None
    source = {"y": stack.height, "x": stack.width}
    target = {a: max(1, round(n * pixel_nm / wanted_nm)) for a, n in source.items()}
    return Resampling(
        source_px=source,
        target_px=target,
        source_nm=pixel_nm,
        target_nm=pixel_nm * stack.width / target["x"],
    )


def coarsest_nm(contract: Contract) -> float:
    """Return the largest pixel that holds what the trained optics pass, nm."""
    known = contract.training
    if {"na", "wavelength_nm"} <= set(known):
        return known["wavelength_nm"][1] / (4 * known["na"][0])
    return LARGEST_RATIO * known["pixel_size_nm"][1]
