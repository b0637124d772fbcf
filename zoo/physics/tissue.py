"""What a piece of brain tissue is like: the numbers that a section is drawn from."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tissue:
    """What a piece of tissue is like; `draw_tissue` draws one."""

    axon_radius_nm: float
    """Median radius of the small profiles."""
    large_per_um2: float
    """Large profiles (dendrites, boutons, glia) per square micrometre."""
    large_radius_nm: float
    """Their median radius."""
    along_per_um2: float
    """Neurites cut along per square micrometre."""
    glia_share: float
    """Share of small profiles that belong to branched glial processes."""
    cleft_nm: float
    """Distance between the membranes of two neighbours."""
    membrane_nm: float
    """Thickness of a membrane, both leaflets together."""
    thickness_nm: float
    """Thickness of the section, which smears membranes that are cut at a slant."""
    myelin: bool
    """Whether some axons have a sheath."""


def draw_tissue(rng: np.random.Generator) -> Tissue:
    """Draw a piece of tissue; the ranges are wider than those of one brain region."""
    scale = math.exp(rng.uniform(math.log(0.75), math.log(1.5)))
    return Tissue(
        axon_radius_nm=scale * rng.uniform(90, 170),
        large_per_um2=rng.uniform(0.1, 0.5) / scale**2,
        large_radius_nm=scale * rng.uniform(320, 650),
        along_per_um2=rng.uniform(0.02, 0.25) / scale,
        glia_share=rng.uniform(0.0, 0.3),
        cleft_nm=rng.uniform(3, 14),
        membrane_nm=rng.uniform(7, 9),
        thickness_nm=rng.uniform(25, 60),
        myelin=bool(rng.random() < 0.2),
    )
