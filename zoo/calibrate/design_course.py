"""How a phase mask came about: mask, spots and bound over the stages of a training."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.physics.engineered import mean_bound_nm
from zoo.physics.pupil import PupilOptics, PupilPsf

COURSE = ("training.csv", "training.png")
"""Files that a design has if it comes from a run in which the mask was learnt."""
_SHOWN = 6
_WINDOW_PX, _PUPIL_POINTS = 61, 96


class Milestone(NamedTuple):
    """A microscope with the mask that there was behind some samples."""

    samples: int
    """Samples that the training had seen."""
    optics: PupilOptics
    """The microscope."""


def write_course(
    course: Sequence[Milestone],
    folder: Path,
    *,
    z_nm: tuple[float, float],
    photons: float,
    background_photons: float,
    depths: int,
) -> None:
    """Write ``training.csv`` and ``training.png`` into a folder.

    Parameters
    ----------
    course
        Microscopes in the order of training, the first with the mask that it began
        with.
    folder
        An existing folder.
    z_nm
        Depths that bounds are averaged over and spots are shown at both ends of.
    photons, background_photons
        Light of an emitter, and of the background per pixel, for the bounds.
    depths
        Number of depths that bounds are averaged over.
    """
    averaged_nm = np.linspace(*z_nm, depths)
    spots: list[np.ndarray] = []
    bounds: list[float] = []
    shown_nm = np.linspace(*z_nm, 5)[1:-1]
    for stage in course:
        psf = PupilPsf(stage.optics, samples=_PUPIL_POINTS, dtype=np.float32)
        bounds.append(
            mean_bound_nm(
                psf,
                averaged_nm,
                photons=photons,
                background_photons=background_photons,
                window_px=_WINDOW_PX,
            )
        )
        middle = np.full(len(shown_nm), _WINDOW_PX * psf.pixel_nm / 2)
        spots.append(psf.images(middle, middle, shown_nm, (_WINDOW_PX, _WINDOW_PX)))
    with (folder / COURSE[0]).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["samples", "mean bound [nm]"])
        for stage, bound in zip(course, bounds, strict=True):
            writer.writerow([stage.samples, f"{bound:.3f}"])
    _draw(folder / COURSE[1], course, spots, bounds, shown_nm)


def _draw(
    path: Path,
    course: Sequence[Milestone],
    spots: Sequence[np.ndarray],
    bounds: Sequence[float],
    shown_nm: np.ndarray,
) -> None:
    """Draw masks and spots stage by stage, and the bound below."""
    from matplotlib.figure import Figure

    from zoo.calibrate.design import mask_image

    chosen = np.unique(np.linspace(0, len(course) - 1, _SHOWN).round().astype(int))
    rows = 1 + len(shown_nm)
    figure = Figure(figsize=(2.1 * _SHOWN, 2.1 * rows + 2.2), layout="constrained")
    grid = figure.add_gridspec(rows + 1, len(chosen), height_ratios=[1] * rows + [1.1])
    for column, index in enumerate(chosen):
        axes = figure.add_subplot(grid[0, column])
        phase = mask_image(course[index].optics, pupil_px=128)
        disk = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, 128)] * 2)) <= 1
        wrapped = np.where(disk, np.angle(np.exp(1j * phase)), np.nan)
        axes.imshow(wrapped, cmap="twilight", vmin=-np.pi, vmax=np.pi)
        axes.set_title(f"{course[index].samples} samples\n{bounds[index]:.2f} nm")
        axes.set_axis_off()
        for row, z_nm in enumerate(shown_nm, start=1):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(spots[index][row - 1], cmap="inferno")
            axes.set_axis_off()
            if not column:
                axes.set_title(f"z = {z_nm / 1000:.1f} µm", fontsize=9, loc="left")
    axes = figure.add_subplot(grid[rows, :])
    finite = [min(bound, 1e6) for bound in bounds]
    axes.plot([stage.samples for stage in course], finite, "o-")
    axes.set_xlabel("training samples")
    axes.set_ylabel("mean bound (nm)")
    axes.set_ylim(bottom=0)
    figure.savefig(path, dpi=100)
