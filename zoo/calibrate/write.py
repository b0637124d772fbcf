"""What ``zoo calibrate`` does: a file in, ``optics.json`` and its companions out."""

from pathlib import Path
from typing import Literal

import numpy as np

from zoo.calibrate.beads import calibrate_beads, trust_lines
from zoo.calibrate.convert import convert
from zoo.calibrate.figure import draw_beads
from zoo.calibrate.optics import OpticsFile
from zoo.core.errors import BadInput
from zoo.core.files import refuse_existing, replacing
from zoo.io.calibrations import is_calibration, read_calibration


def calibrate(
    source: Path,
    output: Path,
    *,
    na: float | None = None,
    z_step_nm: float | None = None,
    wavelength_nm: float | None = None,
    pixel_nm: float | None = None,
    immersion_index: float = 1.518,
    sample_index: float = 1.33,
    bead_diameter_nm: float = 0.0,
    camera_offset: float = 0.0,
    photons_per_count: float = 1.0,
    region_px: int | None = None,
    z_sign: Literal[1, -1] = 1,
    overwrite: bool = False,
) -> list[str]:
    """Write optics from a bead stack or from a calibration of another program.

    Parameters
    ----------
    source
        Bead stack; or a calibration of SMAP, Picasso or uiPSF.
    output
        Name of ``optics.json``; ``.png`` (beads) or ``.npz`` (splines) of the same stem
        lie beside it.
    na, z_step_nm, wavelength_nm, immersion_index, sample_index, bead_diameter_nm
        As in `zoo.calibrate.beads.calibrate_beads`; the first three are needed there.
    pixel_nm
        Camera pixel in the sample.
    camera_offset, photons_per_count, region_px
        As in `zoo.calibrate.beads.calibrate_beads`.
    z_sign
        -1 to reverse the depths of a calibration.
    overwrite
        Whether to replace files.

    Returns
    -------
    lines
        What came out and how far to trust it.

    Raises
    ------
    BadInput
        If the source cannot be used, a file exists, or an option is missing.
    """
    if output.suffix != ".json":
        raise BadInput(f"{output} must end in .json; give -o optics.json")
    if not output.parent.is_dir():
        raise BadInput(f"the folder {output.parent} does not exist; make it first")
    if pixel_nm is not None and not pixel_nm > 0:
        raise BadInput(f"--pixel-size-nm must be positive, not {pixel_nm}; give nm")
    if is_calibration(source):
        beside = output.with_suffix(".npz")
        _refuse(source, (output, beside), overwrite=overwrite)
        read = read_calibration(source)
        optics, nodes = convert(
            read, path=source, nodes_name=beside.name, pixel_nm=pixel_nm, z_sign=z_sign
        )
        if nodes is None:
            _write(output, optics, overwrite=overwrite)
            written = [output]
        else:
            with replacing(beside, overwrite=overwrite) as part:
                np.savez_compressed(part, nodes=nodes)
            _write(output, optics, overwrite=overwrite)
            written = [output, beside]
        low, high = optics.z_range_nm or (0.0, 0.0)
        return [
            f"{read.program} calibration as optics of the kind {optics.kind!r}: pixel "
            f"{optics.pixel_nm:.4g} nm, depths {low:.0f} to {high:.0f} nm",
            "Depth is taken to grow from the coverslip into the sample; --reverse-z "
            "turns it around.",
            *map(str, written),
        ]
    needed = {
        "--na": na, "--z-step-nm": z_step_nm, "--wavelength-nm": wavelength_nm,
    }  # fmt: skip
    missing = [name for name, value in needed.items() if value is None]
    if na is None or z_step_nm is None or wavelength_nm is None:
        raise BadInput(
            f"a bead stack needs {', '.join(missing)}; the z step is positive if the "
            "focal plane goes into the sample (its sign cannot be found from beads)"
        )
    picture = output.with_suffix(".png")
    _refuse(source, (output, picture), overwrite=overwrite)
    result = calibrate_beads(
        source,
        na=na,
        z_step_nm=z_step_nm,
        wavelength_nm=wavelength_nm,
        pixel_nm=pixel_nm,
        immersion_index=immersion_index,
        sample_index=sample_index,
        bead_diameter_nm=bead_diameter_nm,
        camera_offset=camera_offset,
        photons_per_count=photons_per_count,
        region_px=region_px,
    )
    with replacing(picture, overwrite=overwrite) as part:
        draw_beads(part, result)
    _write(output, result.optics, overwrite=overwrite)
    return [*trust_lines(result), str(output), str(picture)]


def _refuse(source: Path, targets: tuple[Path, ...], *, overwrite: bool) -> None:
    for target in targets:
        refuse_existing(target, overwrite=overwrite)
        if target.exists() and source.exists() and target.samefile(source):
            raise BadInput(f"{source} is read and would be replaced; choose another -o")


def _write(path: Path, optics: OpticsFile, *, overwrite: bool) -> None:
    with replacing(path, overwrite=overwrite) as part:
        part.write_text(optics.model_dump_json(indent=2) + "\n", encoding="utf-8")
