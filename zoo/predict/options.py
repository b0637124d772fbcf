"""Options of a prediction, checked before anything is opened."""

import math

from zoo.core.errors import BadInput, BadPackage
from zoo.predict.contract import Contract
from zoo.predict.forward import RESCALING, operation_name
from zoo.predict.recording import check_order


def rescales(contract: Contract) -> bool:
    """Tell whether a package declares a step that a scale of the recording replaces."""
    declared = {operation_name(operation) for operation in contract.preprocessing}
    return bool(declared & RESCALING)


def check_options(
    contract: Contract,
    *,
    name: str,
    batch_size: int | None,
    tile: int | None,
    threshold: float | None,
    normalization: str,
    match_intensity: bool,
    frame_order: str | None,
) -> None:
    """Refuse options that are impossible, or have no meaning for a package.

    Parameters
    ----------
    contract, name
        What the package takes, and its name for messages.
    batch_size, tile, threshold, normalization, match_intensity, frame_order
        As for `zoo.predict.predictor.Predictor`.

    Raises
    ------
    BadInput
        If an option is impossible.
    BadPackage
        If the package cannot be run on recordings.
    """
    if contract.task not in ("image", "density"):
        raise BadPackage(
            f"{name} is of the task {contract.task!r}; "
            "image and density can be run on recordings"
        )
    for what, value in (("batch size", batch_size), ("tile", tile)):
        if value is not None and value < 1:
            raise BadInput(f"the {what} must be at least 1, not {value}")
    if threshold is not None and contract.task != "density":
        raise BadInput(f"{name} makes images; a threshold is for density packages")
    used = contract.threshold if threshold is None else threshold
    if not 0 < used < math.inf:
        raise BadInput(f"the threshold must be positive, not {used}")
    if normalization not in ("auto", "frame", "movie"):
        raise BadInput(
            f"normalization must be auto, frame or movie, not {normalization!r}"
        )
    if normalization == "movie" and not rescales(contract):
        raise BadInput(
            f"{name} declares no {' or '.join(RESCALING)} that a scale for "
            "the whole movie could replace; use --normalization frame"
        )
    if contract.batch is not None and batch_size not in (None, contract.batch):
        raise BadInput(f"{name} only takes batches of {contract.batch}")
    check_order(contract, frame_order, name=name)
    if match_intensity and contract.task == "density":
        raise BadInput(
            f"{name} makes a density of emitters, which has no intensities to match; "
            "leave --match-intensity out"
        )
    if match_intensity and contract.reference != "mean":
        raise BadInput(
            f"{name} does not say that its input is a diffraction-limited picture, "
            "whose intensities images could be matched to; leave --match-intensity out"
        )
