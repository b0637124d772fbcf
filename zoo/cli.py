"""The command ``zoo``: arguments in, a call, a few printed lines out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo import terminal
from zoo.options import (
    AsJson,
    Debug,
    Engine,
    Overwrite,
    Package,
    PixelSize,
    Quiet,
    Settings,
    Size,
    WithDeclared,
)

app = typer.Typer(
    name="zoo",
    help="Super-resolution microscopy: simulate, train, package, predict, evaluate.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)


def _command(
    name: str, example: str, **settings: Any
) -> Callable[[Callable[..., None]], Any]:
    return app.command(name, epilog=f"Example: {example}", **settings)


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


@_command("demo", "zoo demo -o my-demo")
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


@_command("list", "zoo list")
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


@_command("show", "zoo show deep_storm_microtubules")
def show(
    name: Package, as_json: AsJson = False, _quiet: Quiet = False, _debug: Debug = False
) -> None:
    """Show a card: purpose, tensors, conditions, citation."""
    from zoo import cards

    if as_json:
        print(json.dumps(cards.card(name), indent=2, ensure_ascii=False))
    else:
        terminal.show(cards.describe(name), paged=True)


@_command(
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
            _say(quiet, f"{folder}: {', '.join(written)}")


@_command("simulate", "zoo simulate deep_storm_microtubules -o sim -n 100 --seed 1")
def simulate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a recipe.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, help="Frames to write.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random draws.")] = 0,
    settings: Settings = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Recording to show beside the simulation."),
    ] = None,
    pixel_size_nm: PixelSize = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Write input.tif and its truth under training conditions."""
    from zoo import catalog
    from zoo.core.config import parse_settings
    from zoo.simulate.write import write_simulation

    recipe = catalog.configured(name, parse_settings(settings or []))
    with terminal.progress("frames", quiet=quiet) as progress:
        written = write_simulation(
            recipe.source,
            output,
            count=count,
            seed=seed,
            overwrite=overwrite,
            progress=progress,
        )
    _say(quiet, *written)
    if like is not None:
        from zoo.pictures import Likeness

        simulated = output / "input.tif"
        both = Likeness(recipe, simulated, like, pixel_size_nm=pixel_size_nm)
        _say(quiet, both.write(output), *both.summary())


@_command("train", "zoo train deep_storm_microtubules --budget smoke -o runs/try")
def train(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of a recipe.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Run folder; runs/NAME.")
    ] = None,
    budget: Annotated[Size, typer.Option(help="How much to train.")] = Size.cpu,
    settings: Settings = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Own pairs: folder with input/ and target/ for images."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS", help="Package, run or file to start from; none."
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Continue the run in this folder."),
    ] = None,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Run a recipe; Ctrl-C stops it, --resume RUN continues it."""
    if (name is None) == (resume is None):
        raise terminal.UsageError("give either NAME or --resume RUN")
    from zoo.core.config import parse_settings
    from zoo.train import run
    from zoo.train.fine_tuning import own_pairs
    from zoo.train.judging import describe
    from zoo.train.start import continuation

    if resume is not None:
        stored = run.read_run(resume)
        name, budget = stored["recipe"], Size(stored["budget"])
        changes = stored["settings"]
        data = stored["data"] and Path(stored["data"])
        folder = resume
    else:
        changes = parse_settings(settings or [])
        changes, start = continuation(
            str(name), changes, start=start, budget=budget.value, data=data
        )
        folder = output or Path("runs") / str(name)
    resumes = resume is not None
    with (
        own_pairs(str(name), changes, data, run_folder=folder, resume=resumes) as own,
        terminal.progress("epochs", quiet=quiet) as bar,
    ):
        terminal.warn(own.notes)
        try:
            weights = run.train(
                own.recipe,
                budget=budget.value,
                run_folder=folder,
                declared_as=str(name),
                settings=changes,
                data=None if data is None else str(data),
                start=start,
                resume=resumes,
                progress=terminal.forecast(bar, quiet=quiet),
                judge=own.judge,
            )
        except KeyboardInterrupt as stop:
            if not (folder / run.RUN).exists():
                raise
            raise terminal.Failed(
                f"interrupted; continue with: zoo train --resume {folder}"
            ) from stop
        further = _after_training(own.recipe, folder)
    _say(quiet, *describe(run.read_run(folder).get("comparison")), weights, *further)


def _after_training(recipe: Any, folder: Path) -> list[object]:
    """Return what follows a training: a figure, where one can be drawn, and next."""
    from importlib.util import find_spec

    command = f"next: zoo package {folder} -o dist --name my_name"
    if find_spec("matplotlib") is None:  # a machine that only trains
        return [command]
    from zoo.pictures import write_training

    return [write_training(recipe, folder), command]


@_command("package", "zoo package runs/mine -o dist --name mine_110nm")
def package(
    source: Annotated[
        str | None, typer.Argument(metavar="RUN|NAME", help="Run folder or package.")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for package and zip.")
    ] = Path("dist"),
    name: Annotated[
        str | None,
        typer.Option(help="Name of your own, for a run of a published recipe."),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Title of such a package; made from the name.")
    ] = None,
    authors: Annotated[
        list[str] | None,
        typer.Option("--author", help="Who trained it; may be repeated."),
    ] = None,
    formats: Annotated[
        str, typer.Option(help="Weights to write, comma between.")
    ] = "keras,onnx,saved_model",
    specs: Annotated[
        bool, typer.Option("--specs", help="Write to specs/ of the checkout, no zip.")
    ] = False,
    index: Annotated[
        bool, typer.Option("--index", help="Enter the zip in zoo/index.json (release).")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether generated files drifted.")
    ] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Only rewrite generated files.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Build a verified bioimage.io folder and zip."""
    if (source is None) != (check or refresh):
        raise terminal.UsageError("give RUN or NAME, or --check, or --refresh")
    from zoo.io.package import Package
    from zoo.package import build, document

    if refresh:
        _say(quiet, *document.regenerate())
    elif check:
        drifted = document.check_generated()
        if drifted:
            raise terminal.Failed(
                f"not as generated: {', '.join(drifted)}; run zoo package --refresh"
            )
    else:
        built = build.build_package(
            str(source),
            None if specs else output,
            formats=formats.split(","),
            overwrite=overwrite,
            name=name,
            title=title,
            authors=authors or (),
        )
        _say(quiet, built)
        terminal.warn(Package(built).shortfall)
        if index and not specs:
            document.index_packages(output)


@_command("verify", "zoo verify deep_storm_microtubules")
def verify(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME|PATH...", help="Packages to verify.")
    ],
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Ask what is asked of published packages."),
    ] = False,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Run programs in the package with your rights."),
    ] = False,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Run all weights; compare formats, hashes and drift."""
    from zoo.package.checks import verify_package

    failed = []
    for name in names:
        report = verify_package(name, trust=trust, strict=strict)
        _say(quiet, name, *report.rows)
        if not report.ok:
            first, *further = report.failed
            more = f" (and {len(further)} further checks)" if further else ""
            failed.append(f"{name} fails {first.name}: {first.detail}{more}")
    if failed:
        raise terminal.Failed("; ".join(failed))


@_command("check", "zoo check movie.tif --for deep_storm_microtubules")
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


@_command(
    "evaluate", "zoo evaluate deep_storm_microtubules -o scores", cls=WithDeclared
)
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
    _say(quiet, target)


@_command("convert", "zoo convert deep_storm_microtubules --to zerocostdl4mic -o out")
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
    _say(quiet, written)


@_command("download", "zoo download deep_storm_microtubules -o packages")
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

    _say(quiet, library.download(name, output))


@_command(
    "calibrate",
    "zoo calibrate beads.tif --na 1.45 --wavelength-nm 670 --z-step-nm 50 "
    "-o optics.json",
)
def calibrate(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="BEADS|CALIBRATION",
            help="Bead stack; or a calibration of SMAP, Picasso or uiPSF.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write.")
    ] = Path("optics.json"),
    na: Annotated[float | None, typer.Option(help="Numerical aperture.")] = None,
    z_step_nm: Annotated[
        float | None,
        typer.Option(help="Step; positive if the focal plane goes into the sample."),
    ] = None,
    wavelength_nm: Annotated[
        float | None, typer.Option(help="Emission wavelength.")
    ] = None,
    pixel_size_nm: PixelSize = None,
    immersion_index: Annotated[
        float | None,
        typer.Option(help="Refractive index of the immersion medium; 1.518."),
    ] = None,
    sample_index: Annotated[
        float | None, typer.Option(help="Refractive index around the beads; 1.33.")
    ] = None,
    bead_diameter_nm: Annotated[
        float | None, typer.Option(min=0, help="Of the beads; 0.")
    ] = None,
    camera_offset: Annotated[
        float | None, typer.Option(help="Counts without light; 0.")
    ] = None,
    photons_per_count: Annotated[
        float | None, typer.Option(help="Gain, inverted; 1.")
    ] = None,
    region_px: Annotated[
        int | None, typer.Option(help="Edge of a bead's region, odd; 2.6 µm.")
    ] = None,
    reverse_z: Annotated[
        bool, typer.Option("--reverse-z", help="Turn a calibration's depths around.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Measure the optics from beads, or read another program's."""
    from zoo.calibrate.write import WrongOptions
    from zoo.calibrate.write import calibrate as measure

    try:
        lines = measure(
            source,
            output,
            na=na,
            z_step_nm=z_step_nm,
            wavelength_nm=wavelength_nm,
            pixel_nm=pixel_size_nm,
            immersion_index=immersion_index,
            sample_index=sample_index,
            bead_diameter_nm=bead_diameter_nm,
            camera_offset=camera_offset,
            photons_per_count=photons_per_count,
            region_px=region_px,
            reverse_z=reverse_z,
            overwrite=overwrite,
        )
    except WrongOptions as error:
        raise terminal.UsageError(str(error)) from error
    _say(quiet, *lines)


@_command("design", "zoo design deep_storm3d_learned -o mask --slm-pixel-um 9.2")
def design(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|RUN|OPTICS|MASK",
            help="Package, run, optics.json, or mask in rad (.npy, .tif).",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    pupil_px: Annotated[
        int, typer.Option(help="Diameter of the pupil in the map, px.")
    ] = 512,
    slm_pixel_um: Annotated[
        float | None, typer.Option(min=0, help="Pixel of the modulator.")
    ] = None,
    photons: Annotated[
        float, typer.Option(min=1, help="Of an emitter, for the bounds.")
    ] = 10000.0,
    background_photons: Annotated[
        float, typer.Option(min=0, help="Per pixel, for the bounds.")
    ] = 60.0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Write a phase mask with its spots and bounds."""
    from zoo.package import designs

    lines = designs.write(
        source,
        output,
        pupil_px=pupil_px,
        slm_pixel_um=slm_pixel_um,
        photons=photons,
        background_photons=background_photons,
        overwrite=overwrite,
    )
    _say(quiet, *lines)


@_command("fit-crappifier", "zoo fit-crappifier pairs --kind electron -o mine.json")
def fit_crappifier(
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS", help="Folder with input/ and target/, equal file names."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write.")
    ] = Path("crappifier.json"),
    kind: Annotated[
        str, typer.Option(help="Degradation: electron, fluorescence, pssr2, ...")
    ] = "electron",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    _debug: Debug = False,
) -> None:
    """Fit the noise of PSSR's training to pairs of your own."""
    from zoo.simulate import crappifier_fit

    lines = crappifier_fit.fit_folder(pairs, output, kind=kind, overwrite=overwrite)
    _say(quiet, *lines)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with 0, 1 (failed) or 2 (wrong call)."""
    terminal.run(app, arguments)


def _say(quiet: bool, *lines: object) -> None:
    if not quiet:
        print(*lines, sep="\n")
