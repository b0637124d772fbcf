"""Options of the command line that several commands share, and those of kinds."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from zoo.predict.options import Declared


class Engine(StrEnum):
    """Programs that run a network."""

    auto = "auto"
    onnx = "onnx"
    keras = "keras"


class Size(StrEnum):
    """Training budgets."""

    smoke = "smoke"
    cpu = "cpu"
    gpu = "gpu"


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results and errors only.")
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of a failure.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the recipe."),
]
Package = Annotated[
    str, typer.Argument(metavar="NAME|PATH", help="Package: name, folder, zip or URL.")
]
PixelSize = Annotated[
    float | None,
    typer.Option(
        "--pixel-size-nm", help="Edge of a camera pixel; overrides the file's."
    ),
]


class WithDeclared(TyperCommand):
    """A command that takes the options which kinds of input and task declare, too.

    They are looked up when the command is used.  Those that were given reach the
    command as ``context.obj``, keywords of `zoo.load`.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of the command and the declared ones."""
        *own, asks_for_help = super().get_params(ctx)
        return [*own, *_parameters().values(), asks_for_help]

    def invoke(self, ctx: Any) -> Any:
        """Run the command with the declared options that were given."""
        ctx.obj = {}
        for option in _declared():
            value = option.given(ctx.params.pop(option.name))
            if value is not None:
                plain = value.value if isinstance(value, StrEnum) else value
                ctx.obj[option.name] = plain
        return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the declared options below those of the command, kind by kind."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        kinds = {o.name: f"Options of {' and '.join(o.kinds)}" for o in _declared()}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            is_option = parameter.param_type_name == "option"
            title = "Options" if is_option else "Arguments"
            if record is not None:
                groups.setdefault(kinds.get(parameter.name, title), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _declared() -> "list[Declared]":
    from zoo.predict.options import declared_options

    return declared_options()


@cache
def _parameters() -> dict[str, Any]:
    """Return the declared options as parameters of a command, by name."""
    parameters: list[inspect.Parameter] = []
    for option in _declared():
        kind: Any = option.type
        if option.choices:
            kind = StrEnum(option.name, {choice: choice for choice in option.choices})
        switch = kind is bool and option.default is not None
        default = False if switch else None
        text = option.help
        if switch and option.default:
            text = f"Do not {text[:1].lower()}{text[1:]}"
        parameters.append(
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[
                    kind if switch else kind | None,
                    typer.Option(option.flag, help=text, show_default=False),
                ],
            )
        )
    command = typer.main.get_command(_app_of(parameters))
    names = {parameter.name for parameter in parameters}
    return {p.name: p for p in command.params if p.name in names}


def _app_of(parameters: list[inspect.Parameter]) -> typer.Typer:
    """Return a program of one command with these parameters, which does nothing."""

    def command(**_: Any) -> None: ...

    function: Callable[..., None] = command
    vars(function)["__signature__"] = inspect.Signature(parameters)
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    app = typer.Typer(add_completion=False)
    app.command()(function)
    return app
