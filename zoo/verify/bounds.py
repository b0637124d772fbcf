"""What is asked of a package before any program opens its files."""

from collections.abc import Callable
from pathlib import Path

from zoo.core.errors import BadPackage
from zoo.core.formats import KERAS, ONNX, SAVED_MODEL
from zoo.io.archives import check_zip
from zoo.io.description import file_of, named_files
from zoo.io.keras_file import check_keras_file
from zoo.io.onnx_file import check_onnx_file
from zoo.io.package import Package


def check_paths(package: Package) -> None:
    """Refuse a package that names files outside its folder.

    Raises
    ------
    BadPackage
        If it does, links included.
    """
    for name in named_files(package.rdf):
        package.path_of(name)


def check_weights(package: Package, entry: str) -> None:
    """Refuse weights that hold code or declare more than they hold.

    Of a SavedModel only the archive is judged; other formats are not looked into.

    Raises
    ------
    BadPackage
        If they do.
    """
    checks: dict[str, Callable[[Path], None]] = {
        ONNX.entry: check_onnx_file,
        KERAS.entry: check_keras_file,
        SAVED_MODEL.entry: check_zip,
    }
    check = checks.get(entry)
    file = package.path_of(file_of(package.weights[entry])[0])
    if check is not None and file.is_file():
        check(file)


def is_bounded(package: Package, entry: str) -> bool:
    """Say whether `check_weights` lets weights pass."""
    try:
        check_weights(package, entry)
    except BadPackage:
        return False
    return True
