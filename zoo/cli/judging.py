"""Commands that judge recordings and results: check, evaluate."""

import json
from pathlib import Path
from typing import Annotated

import typer

from zoo import terminal
from zoo.cli.group import Group, say
from zoo.options import (
    AsJson,
    Debug,
    Overwrite,
    PixelSize,
    Quiet,
    WithDeclared,
)

group = Group()
command = group.command


@command("check", "zoo check movie.tif --for deep_storm_microtubules")
def check(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="Recording, as zoo predict takes it.")
    ],
    package: Annotated[
        str | None,
        typer.Option("--for", metavar="NAME|PATH", help="Package that is meant."),
    ] = None,
    pixel_size_nm: PixelSize = None,
    as_json: AsJson = False,
    _quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Measure a recording and compare it with the training."""
    from zoo.predict import check as checking

    checked = checking.check(source, package, pixel_size_nm=pixel_size_nm)
    if as_json:
        print(json.dumps([c.report() for c in checked], indent=2, ensure_ascii=False))
    else:
        terminal.show(checking.describe(source, checked))


@command("evaluate", "zoo evaluate deep_storm_microtubules -o scores", cls=WithDeclared)
def evaluate(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME|PATH", help="Package, or a localization .csv."),
    ],
    source: Annotated[
        str | None, typer.Option("--input", help="Recording to predict.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Its truth: .csv table or image.")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of metrics.json.")
    ] = Path(),
    pixel_size_nm: PixelSize = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Score on the frozen test set or on files."""
    from zoo.core.files import refuse_existing
    from zoo.evaluate import report, scoring

    target = output / "metrics.json"
    refuse_existing(target, overwrite=overwrite)
    with terminal.progress("frames", quiet=quiet) as progress:
        scores = scoring.scores(
            name,
            source=source,
            truth=truth,
            pixel_size_nm=pixel_size_nm,
            progress=progress,
            **context.obj,
        )
    report.write_metrics(target, scores.metrics, overwrite=overwrite)
    terminal.show(report.layout(scores.tables))
    say(quiet, target)
