"""Which conversions there are: every module that offers one is found by its name.

``converters/checkpoints/NETWORK.py`` offers ``convert(source, destination)``, which
writes a package; ``converters/formats/FORMAT.py`` offers ``to_FORMAT(package,
directory)``, which writes what another program reads.
"""

import ast
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.core.config import parse_settings
from zoo.core.errors import BadInput, ZooError

Conversion = Callable[..., Path]


class UnknownConversion(ZooError):
    """A checkpoint or format that no module converts."""


def checkpoint(network: str) -> Conversion:
    """Return the function that turns a published checkpoint into a package.

    Parameters
    ----------
    network
        Name of the network that the checkpoint belongs to.

    Raises
    ------
    UnknownConversion
        If no module converts checkpoints of this network; lists those that are
        supported.
    """
    return _find("converters.checkpoints", network, "convert", "checkpoints of")


def settings(conversion: Conversion, told: Sequence[str] | None) -> dict[str, Any]:
    """Return what a user says about a checkpoint as arguments of its conversion.

    Parameters
    ----------
    conversion
        Of a checkpoint.
    told
        ``KEY=VALUE`` strings.

    Raises
    ------
    BadInput
        If the conversion takes nothing of the kind.
    """
    if not told:
        return {}
    parameters = signature(conversion).parameters.values()
    if all(parameter.kind is not Parameter.VAR_KEYWORD for parameter in parameters):
        raise BadInput(
            f"{told[0]}: this conversion needs nothing but the checkpoint; leave out "
            "--set"
        )
    return parse_settings(list(told))


def file_format(name: str) -> Conversion:
    """Return the function that writes a package in the format of another program.

    Raises
    ------
    UnknownConversion
        If no module writes this format; lists those that are supported.
    """
    return _find("converters.formats", name, f"to_{name}", "the format")


def _find(folder: str, name: str, function: str, what: str) -> Conversion:
    modules = catalog.modules(import_module(folder))
    if name in modules and _declares(f"{folder}.{name}", function):
        return getattr(import_module(f"{folder}.{name}"), function)
    supported = [
        module
        for module in modules
        if _declares(f"{folder}.{module}", function.replace(name, module))
    ]
    listed = f"supported are {', '.join(supported)}" if supported else "none is yet"
    raise UnknownConversion(f"no converter for {what} {name!r}; {listed}")


def _declares(module: str, function: str) -> bool:
    """Say whether a module defines a function; reading is faster than importing."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return False
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    return any(
        isinstance(node, ast.FunctionDef) and node.name == function
        for node in tree.body
    )
