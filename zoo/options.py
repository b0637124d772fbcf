"""Options of the command line that several commands share, and their choices."""

from enum import StrEnum
from typing import Annotated

import typer


class Engine(StrEnum):
    """Programs that run a network."""

    auto = "auto"
    onnx = "onnx"
    keras = "keras"


class Scale(StrEnum):
    """How frames are scaled before the network."""

    auto = "auto"
    frame = "frame"
    movie = "movie"


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
Threshold = Annotated[
    float | None,
    typer.Option("--threshold", help="Smallest accepted response, 0 to 1."),
]
MatchIntensity = Annotated[
    bool,
    typer.Option(
        "--match-intensity", help="Give images the intensities of their input."
    ),
]
FrameOrder = Annotated[
    str | None,
    typer.Option(
        "--frame-order",
        metavar="ORDER",
        help="Raw frames: angle-major (phases of an angle in a row) or phase-major.",
    ),
]
NoErrorMap = Annotated[
    bool,
    typer.Option(
        "--no-error-map", help="Do not compare images with their input (faster)."
    ),
]
