"""The whole path on a small example: a simulated movie, its reconstruction, a score."""

import shutil
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.evaluate.localizations import score
from zoo.evaluate.report import write_metrics

PACKAGE = "deep_storm_microtubules"
FRAMES = 200
FIELD_PX = 48
PIXEL_SIZE_NM = 100.0
PSF_SIGMA_NM = 120.0
PHOTONS = 2500.0
BACKGROUND_PHOTONS = 30.0
FILAMENTS = 8
MARGIN_PX = 5
DIM_QUANTILE = 0.25


class Movie(NamedTuple):
    """A simulated recording."""

    counts: np.ndarray
    """(t, y, x) uint16."""
    truth: Localizations
    """Emitters inside the field; nm, photons, frames from 1."""


class Outcome(NamedTuple):
    """What a demonstration made."""

    folder: Path
    """Where the files are."""
    emitters: int
    """Emitters in the movie, all frames."""
    found: int
    """Localizations."""
    scores: dict[str, Any]
    """As `zoo.evaluate.localizations.score` returns them."""
    seconds: float
    """Time of simulation, prediction and scoring."""


def run(
    folder: Path,
    *,
    overwrite: bool = False,
    package: str | None = None,
    frames: int | None = None,
    progress: Callable[..., None] | None = None,
) -> Outcome:
    """Simulate, reconstruct and score a movie; write everything into a folder.

    The folder gets ``input.tif``, ``truth.csv``, ``metrics.json``, ``picture.png``
    and, in ``result``, what `zoo predict` writes.  It appears when it is complete.

    Parameters
    ----------
    folder
        Where to write.
    overwrite
        Whether an existing folder of an earlier demonstration may be replaced.
    package
        Package to reconstruct with; `PACKAGE` if left out.
    frames
        Length of the movie; `FRAMES` if left out.
    progress
        Called with frames done and frames in all.

    Raises
    ------
    BadInput
        If the folder exists and must not be replaced.
    """
    from zoo.io.packages import open_package
    from zoo.io.tables import read_localizations, write_localizations
    from zoo.io.write import write_imagej_tiff
    from zoo.predict.predictor import Predictor

    _check_free(folder, overwrite=overwrite)
    started = time.perf_counter()
    model = Predictor(open_package(package or PACKAGE), engine="onnx")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        recording = movie(generator(2018, 1), frames=frames or FRAMES)
        write_imagej_tiff(
            part / "input.tif", recording.counts, pixel_size_nm=PIXEL_SIZE_NM
        )
        write_localizations(part / "truth.csv", recording.truth)
        model.predict_to_folder(part / "input.tif", part / "result", progress=progress)
        found = read_localizations(part / "result" / "localizations.csv")
        scores = score(
            recording.truth,
            found,
            field_nm=FIELD_PX * PIXEL_SIZE_NM,
            photon_quantile=DIM_QUANTILE,
        )
        write_metrics(part / "metrics.json", {"demo": {"microtubules": scores}})
        draw(part / "picture.png", recording, found)
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Outcome(
        folder,
        len(recording.truth),
        len(found),
        scores,
        time.perf_counter() - started,
    )


def describe(outcome: Outcome) -> str:
    """Say in words what came out, how far to trust it and where the files are."""
    scores = outcome.scores
    recall, precision = (
        f"{100 * (scores[name] if scores['tp'] else 0):.0f}"
        for name in ("recall", "precision")
    )
    error = scores["rmse_lateral_nm"]
    distance = (
        f"and their distance to the truth is {error:.0f} nm (root mean square) "
        f"with camera pixels of {PIXEL_SIZE_NM:.0f} nm."
        if scores["tp"]
        else "so the reconstruction is worthless."
    )
    files = sorted(p for p in outcome.folder.rglob("*") if p.is_file())
    return "\n".join(
        [
            f"{outcome.emitters:,} flashes of dye molecules on {FILAMENTS} simulated "
            f"microtubules gave {outcome.found:,} localizations "
            f"in {outcome.seconds:.0f} s.",
            f"Score: {recall} of 100 flashes were found (the dimmest quarter not "
            f"counted), {precision} of 100 localizations are real, {distance}",
            f"Jaccard index {scores['jaccard']:.2f} within 250 nm; localizations at "
            f"random places would reach {scores['jaccard_random']:.2f}.",
            "Trust this as far as your recording resembles the simulation: the truth "
            "is known here because everything is made up, and spots of another shape, "
            "drift or another pixel size make results worse without looking worse.",
            "Files:",
            *(f"  {path}" for path in files),
        ]
    )


def movie(rng: np.random.Generator, *, frames: int = FRAMES) -> Movie:
    """Simulate blinking dyes on microtubules in a patch of a cell.

    Conditions lie within those that the package was trained under; the filaments, the
    blinking over several frames and the uneven background were no part of it in this
    form.

    Parameters
    ----------
    rng
        Source of everything random.
    frames
        Length of the movie.

    Examples
    --------
    >>> recording = movie(np.random.default_rng(0), frames=3)
    >>> recording.counts.shape, sorted(set(recording.truth.frame.tolist()))
    ((3, 48, 48), [1, 2, 3])
    """
    from zoo.physics.camera import Scmos
    from zoo.physics.emitters import blink
    from zoo.physics.structures import microtubules
    from zoo.simulate.pairs import render, within

    margin_nm = MARGIN_PX * PIXEL_SIZE_NM
    edge_nm = FIELD_PX * PIXEL_SIZE_NM
    labels = microtubules(
        rng,
        field_nm=(edge_nm + 2 * margin_nm, edge_nm + 2 * margin_nm),
        filaments=FILAMENTS,
        efficiency=0.03,
    )
    emitters = blink(
        rng,
        labels.x_nm - margin_nm,
        labels.y_nm - margin_nm,
        frames=frames,
        photons_per_frame=PHOTONS * np.exp(rng.normal(0, 0.35, len(labels))),
        on_frames=4.0,
        dark_frames=10.0,
        bleach_frames=4.0,
        minimum_share=0.05,
    )
    emitters = emitters.with_columns(sigma_nm=np.full(len(emitters), PSF_SIGMA_NM))
    shape = (FIELD_PX, FIELD_PX)
    y, x = np.mgrid[:FIELD_PX, :FIELD_PX] / FIELD_PX
    background = BACKGROUND_PHOTONS * (0.7 + 0.6 * np.exp(-4 * (x - y) ** 2))
    rows = np.searchsorted(emitters.frame, np.arange(1, frames + 2))
    expected = np.stack(
        [
            background
            + render(
                emitters.select(np.arange(first, last)),
                shape,
                pixel_size_nm=PIXEL_SIZE_NM,
            )
            for first, last in pairwise(rows)
        ]
    )
    counts = Scmos().expose(expected, rng)
    return Movie(counts, emitters.select(within(emitters, edge_nm, edge_nm)))


def draw(path: Path, recording: Movie, found: Localizations) -> None:
    """Draw mean frame, reconstruction and truth side by side with a scale bar."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(12, 4.4), layout="constrained")
    panels = (
        ("mean of all frames", recording.counts.mean(axis=0)),
        ("reconstruction", _density(found)),
        ("truth", _density(recording.truth)),
    )
    edge_um = FIELD_PX * PIXEL_SIZE_NM / 1000
    for axes, (title, image) in zip(figure.subplots(1, 3), panels, strict=True):
        top = max(float(np.quantile(image, 0.998)), 1e-9)
        axes.imshow(
            image,
            cmap="inferno",
            vmin=min(float(image.min()), top / 2),
            vmax=top,
            extent=(0, edge_um, edge_um, 0),
            interpolation="nearest",
        )
        axes.add_patch(
            Rectangle((edge_um - 1.3, edge_um - 0.4), 1.0, 0.12, color="white")
        )
        axes.text(
            edge_um - 0.8,
            edge_um - 0.5,
            "1 µm",
            color="white",
            ha="center",
            va="bottom",
        )
        axes.set_title(title)
        axes.set_axis_off()
    figure.savefig(path, dpi=120)


def _density(table: Localizations, *, pixel_nm: float = 12.5) -> np.ndarray:
    """Draw a table as a histogram blurred by one fine pixel, (y, x)."""
    from scipy.ndimage import gaussian_filter

    edges = np.arange(0, FIELD_PX * PIXEL_SIZE_NM + pixel_nm / 2, pixel_nm)
    counts = np.histogram2d(table.y_nm, table.x_nm, bins=(edges, edges))[0]
    return gaussian_filter(counts, 1.0)


def _check_free(folder: Path, *, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not overwrite:
        raise BadInput(
            f"{folder} exists and is not overwritten; choose another folder with -o "
            "or give --overwrite"
        )
    if not folder.is_dir() or (
        any(folder.iterdir()) and not (folder / "truth.csv").is_file()
    ):
        raise BadInput(
            f"{folder} does not look like an earlier demonstration and is kept; "
            "choose another folder with -o"
        )
