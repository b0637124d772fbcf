"""The files of a Deep-STORM: weights, and beside them what frames are scaled by."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.errors import BadInput

FACTOR = 100.0
"""Height of a spike in the targets, where a file states none."""

UPSAMPLING = (4, 8)
"""Fine pixels per camera pixel that the authors tested."""

_WEIGHTS = (".h5", ".hdf5")


@dataclass(frozen=True)
class Scalars:
    """Numbers that lie beside the weights."""

    mean: float
    """Mean of frames scaled to [0, 1]."""
    std: float
    """Standard deviation of frames scaled to [0, 1]."""
    upsampling: int = 8
    """Fine pixels per camera pixel along an axis."""
    factor: float = FACTOR
    """Height of a spike in the targets."""


def weights_in(source: Path) -> Path:
    """Return the file of weights that a path is or holds.

    Raises
    ------
    BadInput
        If a folder holds none or several.
    """
    if not source.is_dir():
        return source
    found = [p for p in sorted(source.iterdir()) if p.suffix.lower() in _WEIGHTS]
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise BadInput(
            f"{source} must hold one file of weights ({' or '.join(_WEIGHTS)}), it "
            f"holds {listed}; name the file"
        )
    return found[0]


def read_scalars(weights: Path, *, needed: bool) -> Scalars | None:
    """Read the numbers beside a file of weights.

    Parameters
    ----------
    weights
        File of weights.  Of several MATLAB files beside it the one is taken whose name
        ends like it, as ``meanstd_X.mat`` belongs to ``weights_X.hdf5``.
    needed
        Whether mean and standard deviation must be there; without, they are 0 and 1.

    Returns
    -------
    scalars
        None if there is no such file and none is needed.

    Raises
    ------
    BadInput
        If the file is missing, there are several, or a number is none.
    """
    from scipy.io import loadmat

    wanted = ["mean_test", "std_test", "upsampling_factor", "Normalization factor"]
    found: dict[Path, dict[str, float]] = {}
    for path in sorted(weights.parent.glob("*.mat")):
        try:
            content: dict[str, Any] = loadmat(str(path), variable_names=wanted)
            numbers = {
                name: float(np.ravel(content[name])[0])
                for name in wanted
                if name in content
            }
        except Exception as error:  # readers of damaged files raise anything
            raise BadInput(
                f"{path}, which lies beside the weights, cannot be read as a MATLAB "
                f"file ({type(error).__name__}); remove or replace it"
            ) from error
        if {"mean_test", "std_test"} <= set(numbers) or (numbers and not needed):
            found[path] = numbers
    ending = weights.stem.rpartition("_")[2]
    if len(found) > 1:
        found = {p: v for p, v in found.items() if p.stem.rpartition("_")[2] == ending}
    if not found and not needed:
        return None
    if len(found) != 1:
        raise BadInput(
            f"{weights} needs the MATLAB file with mean_test and std_test beside it, "
            f"{'several have these' if found else 'none has these'}; put weights and "
            "meanstd.mat into a folder of their own"
        )
    ((path, numbers),) = found.items()
    scalars = Scalars(
        mean=numbers.get("mean_test", 0.0),
        std=numbers.get("std_test", 1.0),
        upsampling=round(numbers.get("upsampling_factor", 8)),
        factor=numbers.get("Normalization factor", FACTOR),
    )
    if not (math.isfinite(scalars.mean) and 1e-6 < scalars.std < math.inf):
        raise BadInput(f"{path} states a mean {scalars.mean:g} and std {scalars.std:g}")
    if not math.pi < scalars.factor < math.inf or scalars.upsampling not in UPSAMPLING:
        raise BadInput(
            f"{path} states an upsampling of {scalars.upsampling} and a factor of "
            f"{scalars.factor:g}; 4 or 8 and more than 3.2 are known"
        )
    return scalars
