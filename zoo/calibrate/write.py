"""What ``zoo calibrate`` does: a file in, ``optics.json`` and its companions out."""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo.calibrate.beads import calibrate_beads, trust_lines
from zoo.calibrate.convert import CONVENTIONS, convert
from zoo.calibrate.figure import draw_beads
from zoo.calibrate.optics import OpticsFile
from zoo.core.errors import BadInput
from zoo.core.files import refuse_existing, replacing
from zoo.io.calibrations import is_calibration, read_calibration


class WrongOptions(BadInput):
    """Options that a source needs and did not get, or that mean nothing for it."""


def calibrate(
    source: Path,
    output: Path,
    *,
    pixel_nm: float | None = None,
    reverse_z: bool = False,
    overwrite: bool = False,
    **beads: float | None,
) -> list[str]:
    """Write optics from a bead stack or from a calibration of another program.

    Parameters
    ----------
    source
        Bead stack; or a calibration of SMAP, Picasso or uiPSF.
    output
        Name of ``optics.json``; ``.png`` (beads) or ``.npz`` (splines) of the same stem
        lie beside it.
    pixel_nm
        Camera pixel in the sample.
    reverse_z
        Whether to reverse the depths of a calibration.
    overwrite
        Whether to replace files.
    beads
        `BEAD_OPTIONS` by name, for bead stacks; None for what is not given.  The first
        three are needed.

    Returns
    -------
    lines
        What came out and how far to trust it.

    Raises
    ------
    WrongOptions
        If an option is missing, or has no meaning for this source.
    BadInput
        If the source cannot be used, or a file exists.
    """
    given = {name: value for name, value in beads.items() if value is not None}
    unknown = set(given) - set(BEAD_OPTIONS)
    if unknown:
        raise TypeError(f"there is no option {', '.join(sorted(unknown))}")
    if output.suffix != ".json":
        raise BadInput(f"{output} must end in .json; give -o optics.json")
    if not output.parent.is_dir():
        raise BadInput(f"the folder {output.parent} does not exist; make it first")
    if pixel_nm is not None and not pixel_nm > 0:
        raise BadInput(f"--pixel-size-nm must be positive, not {pixel_nm}; give nm")
    if is_calibration(source):
        if given:
            raise WrongOptions(
                f"{source} is a calibration of another program, for which "
                f"{', '.join(map(_option, given))} mean nothing; leave them out"
            )
        return _converted(
            source,
            output,
            pixel_nm=pixel_nm,
            z_sign=-1 if reverse_z else 1,
            overwrite=overwrite,
        )
    missing = [_option(name) for name in BEAD_OPTIONS[:3] if name not in given]
    if missing:
        raise WrongOptions(
            f"a bead stack needs {', '.join(missing)}; the z step is positive if the "
            "focal plane goes into the sample (its sign cannot be found from beads)"
        )
    if reverse_z:
        raise WrongOptions(
            "--reverse-z is for calibrations of other programs; give a negative "
            "--z-step-nm for a bead stack that was taken downwards"
        )
    picture = output.with_suffix(".png")
    _refuse(source, (output, picture), overwrite=overwrite)
    options: Any = given
    result = calibrate_beads(source, pixel_nm=pixel_nm, **options)
    with replacing(picture, overwrite=overwrite) as part:
        draw_beads(part, result)
    _write(output, result.optics, overwrite=overwrite)
    return [*trust_lines(result), str(output), str(picture)]


BEAD_OPTIONS = (
    "na",
    "z_step_nm",
    "wavelength_nm",
    "immersion_index",
    "sample_index",
    "bead_diameter_nm",
    "camera_offset",
    "photons_per_count",
    "region_px",
)
"""Options of `zoo.calibrate.beads.calibrate_beads` that `calibrate` takes."""


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _converted(
    source: Path,
    output: Path,
    *,
    pixel_nm: float | None,
    z_sign: Literal[1, -1],
    overwrite: bool,
) -> list[str]:
    """Write the optics that another program's calibration states."""
    beside = output.with_suffix(".npz")
    _refuse(source, (output, beside), overwrite=overwrite)
    read = read_calibration(source)
    optics, nodes = convert(
        read, path=source, nodes_name=beside.name, pixel_nm=pixel_nm, z_sign=z_sign
    )
    written = [output]
    if nodes is not None:
        with replacing(beside, overwrite=overwrite) as part:
            np.savez_compressed(part, nodes=nodes)
        written.append(beside)
    _write(output, optics, overwrite=overwrite)
    low, high = optics.z_range_nm or (0.0, 0.0)
    turned = "reversed, as asked for" if z_sign < 0 else "--reverse-z turns it around"
    return [
        f"{read.program} calibration as optics of the kind {optics.kind!r}: pixel "
        f"{optics.pixel_nm:.4g} nm, depths {low:.0f} to {high:.0f} nm",
        "Here x runs along columns, y along rows, and depth grows from the coverslip "
        f"into the sample: {CONVENTIONS[read.program]}; {turned}.",
        *map(str, written),
    ]


def _refuse(source: Path, targets: tuple[Path, ...], *, overwrite: bool) -> None:
    for target in targets:
        refuse_existing(target, overwrite=overwrite)
        if target.exists() and source.exists() and target.samefile(source):
            raise BadInput(f"{source} is read and would be replaced; choose another -o")


def _write(path: Path, optics: OpticsFile, *, overwrite: bool) -> None:
    with replacing(path, overwrite=overwrite) as part:
        part.write_text(optics.model_dump_json(indent=2) + "\n", encoding="utf-8")
