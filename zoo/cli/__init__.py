"""The command ``zoo``: arguments in, a call, a few printed lines out."""

from typing import Annotated

import typer

from zoo import terminal
from zoo.cli import exchanging, judging, measuring, running, training

app = typer.Typer(
    name="zoo",
    help="Super-resolution microscopy: simulate, train, package, predict, evaluate.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
for _module in (running, training, judging, exchanging, measuring):  # as in the help
    app.add_typer(_module.group.app)


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.")
    ] = False,
) -> None:
    if version:
        import zoo

        print(f"zoo {zoo.__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with 0, 1 (failed) or 2 (wrong call)."""
    terminal.run(app, arguments)
