"""Commands that bring weights in and out: convert, download."""

from pathlib import Path
from typing import Annotated

import typer

from zoo import terminal
from zoo.cli.group import Group, say
from zoo.options import Debug, Quiet

group = Group()
command = group.command


@command("convert", "zoo convert deep_storm_microtubules --to zerocostdl4mic -o out")
def convert(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE|NAME", help="Checkpoint, or package.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    network: Annotated[
        str | None, typer.Option("--as", help="Network of a published checkpoint.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Format of another program.")] = None,
    told: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="What a checkpoint lacks."),
    ] = None,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Turn checkpoints into packages, packages into formats."""
    if (network is None) == (to is None):
        raise terminal.UsageError("give either --as NETWORK or --to FORMAT")
    from converters import registry

    if network is not None:
        conversion = registry.checkpoint(network)
        written = conversion(source, output, **registry.settings(conversion, told))
    else:
        written = registry.file_format(str(to))(source, output)
    say(quiet, written)


@command("download", "zoo download deep_storm_microtubules -o packages")
def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a package.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to copy it to.")
    ] = None,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Find a package, check its hash and unpack it safely."""
    from zoo.io import library

    say(quiet, library.download(name, output))
