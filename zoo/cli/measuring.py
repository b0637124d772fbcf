"""Commands about a microscope of one's own: calibrate, design, fit-crappifier."""

from pathlib import Path
from typing import Annotated

import typer

from zoo import terminal
from zoo.cli.group import Group, say
from zoo.options import Debug, Overwrite, PixelSize, Quiet

group = Group()
command = group.command


@command(
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
    say(quiet, *lines)


@command("design", "zoo design deep_storm3d_learned -o mask --slm-pixel-um 9.2")
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
    say(quiet, *lines)


@command("fit-crappifier", "zoo fit-crappifier pairs --kind electron -o mine.json")
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
    say(quiet, *lines)
