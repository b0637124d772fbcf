"""Commands that show and run packages: demo, list, show, predict."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo import terminal
from zoo.cli.group import Group, say
from zoo.options import (
    AsJson,
    Debug,
    Engine,
    Overwrite,
    Package,
    PixelSize,
    Quiet,
    WithDeclared,
)

group = Group()
command = group.command


@command("demo", "zoo demo -o my-demo")
def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder to write.")
    ] = Path("zoo-demo"),
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Simulate, reconstruct and score a movie; draw a picture."""
    from zoo import demo as show

    with terminal.progress("frames", quiet=quiet) as progress:
        outcome = show.run(output, overwrite=overwrite, progress=progress)
    print(show.describe(outcome))


@command("list", "zoo list")
def list_(
    as_json: AsJson = False, _quiet: Quiet = False, _debug: Debug = False
) -> None:
    """List the packages and where their weights are."""
    from zoo import cards

    rows = cards.rows()
    if as_json:
        print(json.dumps(rows, indent=2))
    elif rows:
        terminal.show(cards.listing(rows), wide=True)
    else:
        print("no packages; a checkout has them in specs/")


@command("show", "zoo show deep_storm_microtubules")
def show(
    name: Package, as_json: AsJson = False, _quiet: Quiet = False, _debug: Debug = False
) -> None:
    """Show a card: purpose, tensors, conditions, citation."""
    from zoo import cards

    if as_json:
        print(json.dumps(cards.card(name), indent=2, ensure_ascii=False))
    else:
        terminal.show(cards.describe(name), paged=True)


@command(
    "predict",
    "zoo predict deep_storm_microtubules movie.tif -o result",
    cls=WithDeclared,
)
def predict(
    context: typer.Context,
    name: Package,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="TIFF, folder of TIFFs, .npy, OME-Zarr or MRC; several get a folder "
            "each.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    engine: Annotated[Engine, typer.Option(help="Program to run.")] = Engine.auto,
    batch_size: Annotated[int | None, typer.Option(help="Tiles at a time.")] = None,
    tile: Annotated[int | None, typer.Option(help="Edge of a tile, input px.")] = None,
    pixel_size_nm: PixelSize = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Run a package on a recording and write the results."""
    import zoo

    model = zoo.load(
        name, engine=engine.value, batch_size=batch_size, tile=tile, **context.obj
    )
    with terminal.progress("tiles", quiet=quiet) as progress:
        how: dict[str, Any] = {
            "overwrite": overwrite,
            "pixel_size_nm": pixel_size_nm,
            "progress": progress,
        }
        if len(sources) == 1:
            results = iter([model.predict_to_folder(sources[0], output, **how)])
        else:
            from zoo.predict.several import predict_each

            each = predict_each(model, sources, output, **how)
            results = (result for _, result in each)
        for result in results:
            terminal.warn(result.warnings)
            folder = result.folder or output
            written = sorted(p.name for p in folder.iterdir())
            say(quiet, f"{folder}: {', '.join(written)}")
