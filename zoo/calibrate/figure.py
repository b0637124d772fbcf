"""Measured and modelled spots side by side."""

from pathlib import Path

import numpy as np

from zoo.calibrate.beads import BeadCalibration
from zoo.physics.pupil import PupilPsf

_DEPTHS = 5


def draw_beads(path: Path, calibration: BeadCalibration) -> None:
    """Draw the brightest bead, its model, the residual and the pupil's phase.

    Parameters
    ----------
    path
        Name of the image.
    calibration
        Calibration from beads.
    """
    from matplotlib.figure import Figure

    fit = calibration.retrieval
    planes = np.linspace(0, len(calibration.focus_nm) - 1, _DEPTHS).round().astype(int)
    focus_nm = calibration.focus_nm + fit.beads.focus_nm[0]
    edge_um = calibration.stacks.shape[-1] * calibration.optics.pixel_nm / 1000
    figure = Figure(figsize=(14, 7), layout="constrained")
    grid = figure.add_gridspec(3, _DEPTHS + 2)
    rows = (
        ("measured", calibration.stacks[0]),
        ("model", fit.models[0]),
        ("residual / noise", fit.residuals[0]),
    )
    for column, plane in enumerate(planes):
        top = float(max(image[plane].max() for _, image in rows[:2]))
        low = float(min(image[plane].min() for _, image in rows[:2]))
        for row, (label, stack) in enumerate(rows):
            axes = figure.add_subplot(grid[row, column])
            differs = row == len(rows) - 1
            shown = axes.imshow(
                stack[plane],
                cmap="RdBu_r" if differs else "inferno",
                vmin=-5 if differs else low,
                vmax=5 if differs else top,
                extent=(0, edge_um, edge_um, 0),
                interpolation="nearest",
            )
            if row == 0:
                axes.set_title(f"focus {focus_nm[plane]:+.0f} nm", fontsize=10)
            if column == 0:
                axes.set_ylabel(f"{label}\ny (µm)")
            else:
                axes.set_yticks([])
            if differs:
                axes.set_xlabel("x (µm)")
            else:
                axes.set_xticks([])
            if differs and column == _DEPTHS - 1:
                figure.colorbar(shown, ax=axes, label="standard deviations")
    psf = PupilPsf(calibration.optics, samples=128)
    inside = psf.amplitude > 0
    axes = figure.add_subplot(grid[0:2, _DEPTHS:])
    shown = axes.imshow(
        np.where(inside, psf.phase_rad, np.nan),
        cmap="twilight_shifted",
        vmin=-np.pi,
        vmax=np.pi,
        extent=(-1, 1, 1, -1),
        interpolation="nearest",
    )
    axes.set_title("phase of the pupil", fontsize=10)
    axes.set_axis_off()
    figure.colorbar(shown, ax=axes, label="rad", shrink=0.8)
    axes = figure.add_subplot(grid[2, _DEPTHS:])
    places = np.arange(len(fit.modes))
    axes.bar(places, fit.coefficients_rad, yerr=fit.zernike_sd_rad, color="0.5")
    axes.axhline(0, color="black", linewidth=0.6)
    labels = [f"{n},{m}" for n, m in fit.modes]
    axes.set_xticks(places, labels, rotation=90, fontsize=7)
    axes.set_xlabel("Zernike mode n, m")
    axes.set_ylabel("rad rms")
    trust = calibration.optics.trust
    if trust is not None:
        figure.suptitle(
            f"{calibration.optics.source}: brightest of {trust.beads} beads, "
            f"correlation {trust.correlation:.4f} (photon noise allows "
            f"{trust.correlation_limit:.4f}), chi² {trust.chi_square:.2f}"
        )
    figure.savefig(path, dpi=110, format="png")
