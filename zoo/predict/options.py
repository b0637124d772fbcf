"""Options of a prediction: what inputs and tasks declare, and what a package takes.

Importing this module reads no files and imports nothing heavy, so that a command line
may list all options at once.
"""

import types
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import ValidationError

from zoo.core.config import one_line
from zoo.core.contract import Contract, Input, Options, Task
from zoo.core.errors import BadInput
from zoo.core.names import near


@dataclass(frozen=True)
class Declared:
    """One option of a prediction, as a command line needs it."""

    name: str
    """Keyword in Python, such as ``error_map``."""
    flag: str
    """Option of the command line, such as ``--no-error-map``."""
    type: type
    """``bool`` (a switch), ``int``, ``float`` or ``str``."""
    choices: tuple[str, ...]
    """The only values; empty for any."""
    default: Any
    """What holds if it is left out; None for "as the package says"."""
    help: str
    """What it does, in a sentence."""
    kinds: tuple[str, ...]
    """Kinds of input or task that take it."""

    def given(self, value: Any) -> Any:
        """Return the value of the keyword for what a command line collected.

        None, or a switch that was not used, leaves the option out.
        """
        if self.type is not bool or self.default is None:
            return value
        return (not self.default) if value else None


def declared_options() -> list[Declared]:
    """Return the options of all kinds of input and task, in their order.

    Examples
    --------
    >>> [option.flag for option in declared_options() if option.name == "error_map"]
    ['--no-error-map']
    """
    kinds: dict[str, list[str]] = {}
    types_of: dict[str, type[Options]] = {}
    for base in (Input, Task):
        for kind in base.kinds():
            for name in kind.options.model_fields:
                kinds.setdefault(name, [])
                label = str(kind.model_fields["kind"].default)
                if label not in kinds[name]:
                    kinds[name].append(label)
                types_of.setdefault(name, kind.options)
    return [_declared(types_of[name], name, tuple(kinds[name])) for name in kinds]


def _declared(options: type[Options], name: str, kinds: tuple[str, ...]) -> Declared:
    field = options.model_fields[name]
    plain, choices = _plain(field.annotation)
    flag = name.replace("_", "-")
    if plain is bool and field.default is not False:
        flag = f"no-{flag}" if field.default else f"{flag}/--no-{flag}"
    return Declared(
        name=name,
        flag=f"--{flag}",
        type=plain,
        choices=choices,
        default=field.default,
        help=" ".join((field.description or "").split()),
        kinds=kinds,
    )


def _plain(annotation: Any) -> tuple[type, tuple[str, ...]]:
    """Return the type that a command line reads, and the choices if they are few."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (a for a in get_args(annotation) if a is not type(None))
    if get_origin(annotation) is Literal:
        return str, tuple(map(str, get_args(annotation)))
    return annotation, ()


class Chosen(NamedTuple):
    """The options of a prediction by who takes them."""

    input: Options
    """Of the contract's input."""
    task: Options
    """Of the contract's task."""


def split_options(contract: Contract, name: str, /, **given: Any) -> Chosen:
    """Check options and give them to the input and the task that declare them.

    Parameters
    ----------
    contract, name
        What the package takes, and its name for messages.
    **given
        Options by name; None leaves one out.

    Raises
    ------
    BadInput
        If the package has no such option, or the value is impossible.
    """
    left = {key: value for key, value in given.items() if value is not None}
    chosen: list[Options] = []
    for options in contract.option_types():
        own = {key: left.pop(key) for key in options.model_fields if key in left}
        try:
            chosen.append(options(**own))
        except ValidationError as error:
            raise BadInput(f"{name}: {one_line(error)}") from error
    if left:
        unknown = next(iter(left))
        known = [n for options in contract.option_types() for n in options.model_fields]
        every = {option.name for option in declared_options()}
        if unknown not in every:
            raise BadInput(f"there is no option {unknown!r}; {near(unknown, every)}")
        rest = f"its options are {', '.join(known)}" if known else "it has none"
        raise BadInput(
            f"{unknown} is no option of {name}, which takes {contract.input.kind} for "
            f"the task {contract.task.kind}; {rest}"
        )
    return Chosen(*chosen)
