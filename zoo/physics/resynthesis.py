"""Raw SIM frames of any number of phases, rewritten as three with equal steps.

The frames of an orientation are mixtures of three bands (Gustafsson 2000,
doi:10.1046/j.1365-2818.2000.00710.x).  Unmixing them and mixing the bands anew with
phases of 0, 120 and 240 degrees is linear: one matrix from the frames of a microscope
to those of a network.
"""

import numpy as np

from zoo.physics.illumination import PHASES
from zoo.physics.sim_reconstruction import unmixing


def resynthesis(steps_rad: np.ndarray) -> np.ndarray:
    """Return the matrix that rewrites frames with three equal phase steps.

    Frames are kept where theirs are equal already.

    Parameters
    ----------
    steps_rad
        (orientation, phase), by what the phases of an orientation differ.

    Returns
    -------
    matrix : (orientation * phase, 3 * orientation) float64
        Frames times it, channels last, are the frames rewritten.

    Examples
    --------
    >>> steps = 2 * np.pi * np.arange(5) / 5
    >>> matrix = resynthesis(np.tile(steps, (3, 1)))
    >>> matrix.shape, matrix.sum(axis=0).round(6).tolist()[:3]
    ((15, 9), [1.0, 1.0, 1.0])
    """
    orientations, phases = steps_rad.shape
    turns = np.exp(2j * np.pi * np.arange(PHASES) / PHASES)
    matrix = np.zeros((orientations * phases, orientations * PHASES))
    for number, steps in enumerate(steps_rad):
        zero, plus, _ = unmixing(steps)
        part = np.real(zero)[:, None] + 2 * np.real(np.outer(plus, turns))
        rows = slice(number * phases, (number + 1) * phases)
        matrix[rows, number * PHASES : (number + 1) * PHASES] = part
    return matrix
