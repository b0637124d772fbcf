"""What is asked of a package before any program opens its files."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from zoo.core.errors import BadPackage
from zoo.core.formats import KERAS, ONNX, SAVED_MODEL
from zoo.io.description import file_of, named_files
from zoo.io.keras_file import check_keras_file
from zoo.io.onnx_file import check_onnx_file
from zoo.io.operations import ONNX as ONNX_OPERATIONS
from zoo.io.package import Package
from zoo.io.saved_model_file import check_saved_model

_CHECKS: dict[str, Callable[[Path], Any]] = {
    ONNX.entry: partial(check_onnx_file, allowed=ONNX_OPERATIONS),
    KERAS.entry: check_keras_file,
    SAVED_MODEL.entry: check_saved_model,
}
"""Weights entries whose files can be looked into."""


def check_paths(package: Package) -> None:
    """Refuse a package that names files outside its folder.

    Raises
    ------
    BadPackage
        If it does, links included.
    """
    for name in named_files(package.rdf):
        package.path_of(name)


def is_known(entry: str) -> bool:
    """Say whether weights are of a form that can be looked into; others are programs.

    Examples
    --------
    >>> is_known("onnx"), is_known("pytorch_state_dict"), is_known("torchscript")
    (True, False, False)
    """
    return entry in _CHECKS


def check_weights(package: Package, entry: str) -> None:
    """Refuse weights that do more than compute or declare more than they hold.

    Raises
    ------
    BadPackage
        If they do, or are of a form that cannot be looked into.
    """
    file = package.path_of(file_of(package.weights[entry])[0])
    if not is_known(entry):
        raise BadPackage(f"{entry} cannot be looked into; --trust runs it")
    if file.is_file():
        _CHECKS[entry](file)


def is_bounded(package: Package, entry: str) -> bool:
    """Say whether `check_weights` lets weights pass."""
    try:
        check_weights(package, entry)
    except BadPackage:
        return False
    return True
