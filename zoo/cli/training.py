"""Commands from simulated frames to a package: simulate, train, package, verify."""

from pathlib import Path
from typing import Annotated, Any

import typer

from zoo import terminal
from zoo.cli.group import Group, say
from zoo.options import Debug, Overwrite, PixelSize, Quiet, Settings, Size

group = Group()
command = group.command


@command("simulate", "zoo simulate deep_storm_microtubules -o sim -n 100 --seed 1")
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
    say(quiet, *written)
    if like is not None:
        from zoo.pictures import Likeness

        simulated = output / "input.tif"
        both = Likeness(recipe, simulated, like, pixel_size_nm=pixel_size_nm)
        say(quiet, both.write(output), *both.summary())


@command("train", "zoo train deep_storm_microtubules --budget smoke -o runs/try")
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
        list[str] | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Package, run or file to start from, or the mean of several; none.",
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
        name, budget, begin = stored["recipe"], Size(stored["budget"]), ()
        changes = stored["settings"]
        data = stored["data"] and Path(stored["data"])
        folder = resume
    else:
        changes = parse_settings(settings or [])
        changes, begin = continuation(
            str(name), changes, start=start or (), budget=budget.value, data=data
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
                start=begin,
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
    say(quiet, *describe(run.read_run(folder).get("comparison")), weights, *further)


def _after_training(recipe: Any, folder: Path) -> list[object]:
    """Return what follows a training: a figure, where one can be drawn, and next."""
    from importlib.util import find_spec

    command = f"next: zoo package {folder} -o dist --name my_name"
    if find_spec("matplotlib") is None:  # a machine that only trains
        return [command]
    from zoo.pictures import write_training

    return [write_training(recipe, folder), command]


@command("package", "zoo package runs/mine -o dist --name mine_110nm")
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
        say(quiet, *document.regenerate())
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
        say(quiet, built)
        terminal.warn(Package(built).shortfall)
        if index and not specs:
            document.index_packages(output)


@command("verify", "zoo verify deep_storm_microtubules")
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
        say(quiet, name, *report.rows)
        if not report.ok:
            first, *further = report.failed
            more = f" (and {len(further)} further checks)" if further else ""
            failed.append(f"{name} fails {first.name}: {first.detail}{more}")
    if failed:
        raise terminal.Failed("; ".join(failed))
