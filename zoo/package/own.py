"""Packages that a user trained: an identity of their own.

The recipe, and with it the name of the published package, says what was trained;
`zoo.package.own_card` says who trained it, what was changed and what came of it.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.core.config import Config
from zoo.core.errors import BadInput, UnknownPackage
from zoo.core.files import sha256
from zoo.core.formats import KERAS
from zoo.io.library import package_names, read_card

if TYPE_CHECKING:
    from zoo.package.trained import Trained

ANONYMOUS = "Not stated"
"""Author of a package whose maker gave no name."""
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TITLE = re.compile(r"[\w\s()+\-]{5,64}")


class Own(Config):
    """Name, title and authors of a package that is not the published one."""

    name: str
    """Name of the package, which is also its id."""
    title: str
    """Human-readable name, 5 to 64 characters."""
    authors: tuple[str, ...] = (ANONYMOUS,)
    """Who trained it."""


def with_identity(
    trained: "Trained",
    name: str | None,
    *,
    title: str | None = None,
    authors: Sequence[str] = (),
) -> "Trained":
    """Return a training whose package has a name of its own.

    Parameters
    ----------
    trained
        Run or package.
    name
        Lower-case letters, digits and single underscores; None for the one that it has.
    title
        Made from name and recipe when left out.
    authors
        Who trained it.

    Raises
    ------
    BadInput
        If name or title are not possible, or the name is that of a published package.
    """
    recipe = trained.recipe
    if name is None:
        if title is not None or authors:
            raise BadInput("title and authors are of packages with a --name of its own")
        return trained
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise BadInput(
            f"{name!r} cannot be the name of a package; use lower-case letters, digits "
            "and underscores, such as mine_110nm"
        )
    if name in package_names() or name == recipe.name:
        raise BadInput(
            f"{name} is the name of a package or recipe of this zoo; choose another"
        )
    if title is None:
        title = f"{name} (own training of {recipe.name})"
        title = title if len(title) <= 64 else f"{name} (own training)"[:64]
    if not _TITLE.fullmatch(title):
        raise BadInput(
            "the title must have 5 to 64 letters, digits, spaces, -, +, _ or brackets, "
            f"not {title!r}"
        )
    own = Own(name=name, title=title, authors=tuple(authors) or (ANONYMOUS,))
    return trained._replace(own=own)


def refuse_borrowed_name(trained: "Trained") -> None:
    """Refuse to give other weights the name of a published package.

    Raises
    ------
    BadInput
        If a run, or a package with other weights, has no name of its own.
    """
    name = trained.recipe.name
    if trained.own is not None or name not in package_names():
        return
    weights = sha256(trained.folder / KERAS.file)
    if trained.packaged and weights == published_sha256(name):
        return
    raise BadInput(
        f"{trained.folder} holds other weights than the published {name}, whose name "
        "it cannot have; give it its own with --name, such as --name mine_110nm"
    )


def published_sha256(name: str) -> str | None:
    """Return the SHA-256 of the published weights; None if there are none."""
    try:
        return str(read_card(name)["weights"][KERAS.entry]["sha256"])
    except (UnknownPackage, KeyError):
        return None
