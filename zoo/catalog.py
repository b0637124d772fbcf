"""What there is: networks, recipes and packages, found by looking into the folders.

A module in ``zoo.models`` or ``zoo.recipes`` joins by existing: whatever `Network`
or `Recipe` it holds at module level is listed under its own name.
"""

import ast
import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from zoo.core.errors import ZooError
from zoo.core.extras import missing
from zoo.core.names import near
from zoo.core.network import Network
from zoo.core.recipe import Recipe

Named = TypeVar("Named", Network, Recipe)


class UnknownName(ZooError):
    """A network or recipe that no module declares."""


class DuplicateName(ZooError):
    """Two declarations under one name."""


def networks() -> dict[str, Network]:
    """Return all networks by name, sorted.

    Importing the modules imports Keras; for their names see `network_names`, for the
    packages `zoo.packages`.

    Raises
    ------
    DuplicateName
        If two different networks have one name.
    MissingExtra
        If Keras is not installed.
    """
    return collect(import_module("zoo.models"), Network)


def network_names() -> list[str]:
    """Return the names of all networks, sorted; imports no framework.

    They are read from the source of the modules, which therefore write them out.
    """
    folder = import_module("zoo.models")
    names: set[str] = set()
    for module in modules(folder):
        places = (Path(path) / f"{module}.py" for path in folder.__path__)
        source = next(filter(Path.is_file, places))
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names |= {
                    str(k.value.value)
                    for k in node.keywords
                    if (node.func.id, k.arg) == (Network.__name__, "name")
                    and isinstance(k.value, ast.Constant)
                }
    return sorted(names)


def recipes() -> dict[str, Recipe]:
    """Return all recipes by name, sorted; the name is that of the package they make.

    Raises
    ------
    DuplicateName
        If two different recipes have one name.
    """
    return collect(import_module("zoo.recipes"), Recipe)


def network(name: str) -> Network:
    """Return a network.

    Raises
    ------
    UnknownName
        If there is none of this name; lists those that resemble it.
    """
    return _pick(networks(), name, "network")


def recipe(name: str) -> Recipe:
    """Return a recipe.

    Raises
    ------
    UnknownName
        If there is none of this name; lists those that resemble it.
    """
    return _pick(recipes(), name, "recipe")


def configured(
    name: str, changes: dict[str, Any], *, data: Path | None = None
) -> Recipe:
    """Return a recipe with some fields changed and its source pointed at a folder.

    Parameters
    ----------
    name
        Name of the recipe.
    changes
        As `zoo.core.config.parse_settings` returns them.
    data
        Folder of measured pairs, for recipes whose source reads a folder.

    Raises
    ------
    UnknownName
        If there is no such recipe.
    ValueError
        If a change is not possible.
    BadInput
        If `data` is given and the source cannot read pairs from a folder.
    """
    chosen = recipe(name)
    if data is not None:
        chosen = chosen.override(source=chosen.source.measured(data))
    configured = chosen.override(**changes)
    # only where the source is another one: what is declared is a decision
    return configured if configured.source == chosen.source else configured.settled()


def collect(folder: ModuleType, kind: type[Named]) -> dict[str, Named]:
    """Return the instances of `kind` at module level in the modules of a package.

    Modules may import one another's declarations; an object met twice is one entry.

    Parameters
    ----------
    folder
        A package; its modules whose names start with an underscore are left out.
    kind
        `Network` or `Recipe`.

    Raises
    ------
    DuplicateName
        If two different objects have one name.
    MissingExtra
        If a module needs something that an extra brings.
    """
    known: dict[str, tuple[Named, str]] = {}
    for name in modules(folder):
        for item in vars(_imported(f"{folder.__name__}.{name}")).values():
            if not isinstance(item, kind):
                continue
            here = f"{folder.__name__}.{name}"
            first, where = known.setdefault(item.name, (item, here))
            if first is not item:
                raise DuplicateName(
                    f"{kind.__name__.lower()} {item.name} is declared in {where} and "
                    f"in {here}; names are unique, rename one"
                )
    return {name: known[name][0] for name in sorted(known)}


def modules(folder: ModuleType) -> list[str]:
    """Return the names of the public modules of a package, in alphabetical order."""
    names = [entry.name for entry in pkgutil.iter_modules(folder.__path__)]
    return sorted(name for name in names if not name.startswith("_"))


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        extra = missing(error.name)
        if extra is None:
            raise
        raise extra from error


def _pick(known: dict[str, Named], name: str, what: str) -> Named:
    if name not in known:
        raise UnknownName(f"no {what} is named {name!r}; {near(name, known)}")
    return known[name]
