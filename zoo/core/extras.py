"""What an installation may lack: modules, and the extra that brings each."""

from importlib.util import find_spec

from zoo.core.errors import ZooError

EXTRAS = {
    "keras": "train",
    "tensorflow": "train",
    "bioimageio": "package",
    "onnx": "package",
    "tf2onnx": "package",
    "zarr": "zarr",
    "mrcfile": "mrc",
    "pandas": "notebooks",
}
"""Import packages outside of the base installation, and the extra that has them."""


class MissingExtra(ZooError):
    """Something that a part of the program needs and that is not installed."""


def missing(module: str | None) -> MissingExtra | None:
    """Return the error about a module that was not found; None if no extra has it.

    Parameters
    ----------
    module
        As `ImportError.name` states it, such as ``keras.ops``.

    Examples
    --------
    >>> print(missing("keras.ops"))
    this needs keras, which is not installed: pip install "superres-zoo[train]"
    >>> missing("numpy") is None
    True
    """
    top = (module or "").partition(".")[0]
    if top not in EXTRAS:
        return None
    return MissingExtra(
        f"this needs {top}, which is not installed: "
        f'pip install "superres-zoo[{EXTRAS[top]}]"'
    )


def require(*modules: str) -> None:
    """Make sure that modules of an extra are there, before the work begins.

    Parameters
    ----------
    modules
        Top-level names, keys of `EXTRAS`; none is imported.

    Raises
    ------
    MissingExtra
        For the first that is not installed.
    """
    for module in modules:
        error = missing(module)
        if error is not None and find_spec(module) is None:
            raise error
