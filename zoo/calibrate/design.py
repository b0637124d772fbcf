"""What ``zoo design`` writes: a phase mask to print or to load on a modulator.

With it come the spots that it makes and the bound that it sets to errors, depth by
depth (Shechtman et al. 2014, doi:10.1103/PhysRevLett.113.133902).
"""

import csv
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.calibrate.design_course import COURSE, Milestone, write_course
from zoo.core.errors import BadInput
from zoo.core.files import new_folder, write_json
from zoo.io.write import write_ome_tiff
from zoo.physics.fisher import EmitterBound, emitter_bound
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.zernike import zernike

FILES = ("mask.tif", "mask_rad.npy", "psf.ome.tif", "bound.csv", "design.png")
"""Every file that a design may have, beside ``design.json``."""

LEVELS = 256
"""Grey levels of a full turn of the phase."""


def mask_image(optics: PupilOptics, *, pupil_px: int) -> np.ndarray:
    """Return the phase of aberrations and mask over the pupil, without the focus.

    Parameters
    ----------
    optics
        Microscope.
    pupil_px
        Edge of the square that the numerical aperture touches, px.

    Returns
    -------
    phase : (v, u) float64
        rad, not wrapped where Zernike modes alone make it; 0 outside of the pupil.  u
        runs along columns and x, v along rows and y.
    """
    place = (2 * np.arange(pupil_px) + 1) / pupil_px - 1
    v, u = np.meshgrid(place, place, indexing="ij")
    rho, phi = np.hypot(u, v), np.arctan2(v, u)
    phase = np.zeros(rho.shape)
    for n, m, coefficient_rad in optics.zernikes_rad:
        phase += coefficient_rad * zernike(np.minimum(rho, 1.0), phi, n=n, m=m)
    if optics.mask is not None:
        phase += optics.mask.phase_rad(np.minimum(rho, 1.0), phi)
    return np.where(rho <= 1, phase, 0.0)


def grey_levels(phase_rad: np.ndarray) -> np.ndarray:
    """Return a phase as the grey levels of a modulator, 256 to a turn.

    Examples
    --------
    >>> grey_levels(np.array([0.0, np.pi, 2 * np.pi, -np.pi / 2])).tolist()
    [0, 128, 0, 192]
    """
    turns = np.asarray(phase_rad) / (2 * np.pi)
    return np.mod(np.rint(turns * LEVELS), LEVELS).astype(np.uint8)


def write_design(
    optics: PupilOptics,
    output: Path,
    *,
    z_nm: tuple[float, float],
    name: str = "",
    pupil_px: int = 512,
    slm_pixel_um: float | None = None,
    photons: float = 10000.0,
    background_photons: float = 60.0,
    depths: int = 41,
    window_px: int = 61,
    course: Sequence[Milestone] = (),
    replaces: Collection[str] | None = None,
) -> list[str]:
    """Write phase mask, spots and bounds of a microscope into a folder.

    Parameters
    ----------
    optics
        Microscope with aberrations or mask.
    output
        Folder to make.
    z_nm
        Depths that are drawn and averaged over.
    name
        What the design is of, for the files.
    pupil_px
        Diameter of the pupil in the map, px: on a modulator ``2 f NA / sqrt(M**2 -
        NA**2)`` over its pixel, f being the focal length of the relay in front of it
        and M the magnification.
    slm_pixel_um
        Pixel of the modulator, if known: the map then states its size in µm.
    photons, background_photons
        Light of an emitter, and of the background per pixel, for the bounds.
    depths
        Number of depths.
    window_px
        Edge of the spots, px.
    course
        How the mask was learnt, if it was; drawn, too.
    replaces
        Files of an existing folder that may be replaced; None if it must be new.

    Returns
    -------
    lines
        What came out.

    Raises
    ------
    BadInput
        If there is no phase to write, or a number makes no sense.
    """
    if not optics.zernikes_rad and optics.mask is None:
        raise BadInput(
            f"{name or 'this microscope'} has neither a mask nor aberrations; there is "
            "no phase to write"
        )
    if not 16 <= pupil_px <= 8192:
        raise BadInput(f"--pupil-px must be 16 to 8192, not {pupil_px}")
    if not z_nm[0] < z_nm[1]:
        raise BadInput(f"depths must be in order, not {z_nm[0]:g} to {z_nm[1]:g} nm")
    psf = PupilPsf(optics, samples=96, dtype=np.float32)
    z = np.linspace(*z_nm, depths)
    middle = np.full(depths, window_px * psf.pixel_nm / 2)
    spots = psf.images(middle, middle, z, (window_px, window_px))
    bound = emitter_bound(
        psf,
        middle,
        middle,
        z,
        photons=photons,
        background_photons=background_photons,
        shape=(window_px, window_px),
    )
    phase = mask_image(optics, pupil_px=pupil_px)
    mean_nm = float(np.mean([bound.x_nm, bound.y_nm, bound.z_nm]))
    facts: dict[str, Any] = {
        "design": name,
        "wavelength_nm": optics.wavelength_nm,
        "na": optics.na,
        "pupil_diameter_px": pupil_px,
        "pixel_um": slm_pixel_um,
        "pupil_diameter_mm": None
        if slm_pixel_um is None
        else round(pupil_px * slm_pixel_um / 1000, 4),
        "levels_per_turn": LEVELS,
        "level_0_rad": 0.0,
        "axes": "columns: x of the sample, rows: y, as the camera shows them",
        "z_nm": list(z_nm),
        "photons": photons,
        "background_photons": background_photons,
        "mean_bound_nm": round(mean_nm, 3),
        "optics": optics.model_dump(mode="json"),
    }
    with new_folder(output, replaces=replaces) as folder:
        _write_mask(folder / "mask.tif", grey_levels(phase), facts)
        wrapped = np.angle(np.exp(1j * phase)).astype(np.float32)
        np.save(folder / "mask_rad.npy", wrapped, allow_pickle=False)
        step_nm = (z_nm[1] - z_nm[0]) / (depths - 1)
        write_ome_tiff(
            folder / "psf.ome.tif",
            spots.astype(np.float32),
            pixel_size_nm={"x": psf.pixel_nm, "y": psf.pixel_nm, "z": step_nm},
            axes="zyx",
            description=f"Share of an emitter's photons per pixel, {z_nm[0]:g} to "
            f"{z_nm[1]:g} nm above the coverslip",
        )
        _write_bound(folder / "bound.csv", z, bound)
        _draw(folder / "design.png", phase, spots, z, bound, facts)
        if course:
            write_course(
                course,
                folder,
                z_nm=z_nm,
                photons=photons,
                background_photons=background_photons,
                depths=depths,
            )
        write_json(folder / "design.json", facts)
    return [
        f"mean bound over {z_nm[0]:g} to {z_nm[1]:g} nm: {mean_nm:.2f} nm at "
        f"{photons:g} photons and {background_photons:g} per pixel",
        *(
            str(output / file)
            for file in (*FILES, *(COURSE if course else ()), "design.json")
        ),
    ]


def _write_mask(path: Path, levels: np.ndarray, facts: dict[str, Any]) -> None:
    """Write an 8-bit map whose description states wavelength and pupil."""
    from tifffile import imwrite

    pixel_um = facts["pixel_um"]
    size: dict[str, Any] = {}
    if pixel_um is not None:
        size = {"resolution": (1e4 / pixel_um,) * 2, "resolutionunit": "CENTIMETER"}
    kept = {key: value for key, value in facts.items() if key != "optics"}
    imwrite(
        path,
        levels,
        photometric="minisblack",
        description=json.dumps(kept),
        metadata=None,
        **size,
    )


def _write_bound(path: Path, z_nm: np.ndarray, bound: EmitterBound) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["z [nm]", "bound x [nm]", "bound y [nm]", "bound z [nm]"])
        rows = zip(z_nm, bound.x_nm, bound.y_nm, bound.z_nm, strict=True)
        writer.writerows([f"{value:.3f}" for value in row] for row in rows)


def _draw(
    path: Path,
    phase_rad: np.ndarray,
    spots: np.ndarray,
    z_nm: np.ndarray,
    bound: EmitterBound,
    facts: dict[str, Any],
) -> None:
    """Draw mask, spots and bounds side by side."""
    from matplotlib.figure import Figure

    shown = np.linspace(0, len(z_nm) - 1, 5).round().astype(int)
    figure = Figure(figsize=(13, 6), layout="constrained")
    grid = figure.add_gridspec(2, 5, height_ratios=(1.6, 1))
    axes = figure.add_subplot(grid[0, :2])
    disk = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, len(phase_rad))] * 2)) <= 1
    wrapped = np.where(disk, np.angle(np.exp(1j * phase_rad)), np.nan)
    image = axes.imshow(wrapped, cmap="twilight", vmin=-np.pi, vmax=np.pi)
    figure.colorbar(image, ax=axes, label="phase (rad)")
    axes.set_title(f"pupil, {facts['wavelength_nm']:g} nm, NA {facts['na']:g}")
    axes.set_axis_off()
    axes = figure.add_subplot(grid[0, 2:])
    for letter, values in zip("xyz", (bound.x_nm, bound.y_nm, bound.z_nm), strict=True):
        axes.plot(z_nm / 1000, values, label=letter)
    axes.set_xlabel("z (µm)")
    axes.set_ylabel("Cramér-Rao bound (nm)")
    axes.set_ylim(bottom=0)
    axes.legend(title=f"mean {facts['mean_bound_nm']:g} nm")
    axes.set_title(
        f"{facts['photons']:g} photons, {facts['background_photons']:g} per pixel"
    )
    for column, index in enumerate(shown):
        axes = figure.add_subplot(grid[1, column])
        axes.imshow(spots[index], cmap="inferno")
        axes.set_title(f"z = {z_nm[index] / 1000:.1f} µm", fontsize=10)
        axes.set_axis_off()
    figure.savefig(path, dpi=110)
