"""The forms in which a package holds its weights; named here and nowhere else."""

from typing import NamedTuple


class WeightsFormat(NamedTuple):
    """One form of the weights."""

    name: str
    """As the command line calls it."""
    entry: str
    """Key of the weights entry in a bioimage.io description."""
    file: str
    """File in a package of this zoo."""
    runnable: bool = True
    """Whether this project can execute it."""


KERAS = WeightsFormat("keras", "keras_v3", "weights.keras")
ONNX = WeightsFormat("onnx", "onnx", "model.onnx")
SAVED_MODEL = WeightsFormat(
    "saved_model", "tensorflow_saved_model_bundle", "saved_model.zip"
)

FORMATS = {form.name: form for form in (KERAS, ONNX, SAVED_MODEL)}
"""Forms that packages of this zoo have; the first is the parent of the others."""

BY_ENTRY = {form.entry: form for form in FORMATS.values()}
"""The same by the key of a description."""


def short_name(entry: str) -> str:
    """Return what the command line calls a weights entry.

    Examples
    --------
    >>> short_name("keras_v3"), short_name("torchscript")
    ('keras', 'torchscript')
    """
    return BY_ENTRY[entry].name if entry in BY_ENTRY else entry
