"""What the modules of commands share: how one is declared, and how it speaks."""

from collections.abc import Callable
from typing import Any

import typer


class Group:
    """Commands of one module, in the order of the help.

    Attributes
    ----------
    app
        Holds them for the program.
    """

    def __init__(self) -> None:
        self.app = typer.Typer(rich_markup_mode=None)

    def command(
        self, name: str, example: str, **settings: Any
    ) -> Callable[[Callable[..., None]], Any]:
        """Declare a function as a command whose help ends with an example."""
        return self.app.command(name, epilog=f"Example: {example}", **settings)


def say(quiet: bool, *lines: object) -> None:
    """Print lines, unless the user wants results and errors only."""
    if not quiet:
        print(*lines, sep="\n")
