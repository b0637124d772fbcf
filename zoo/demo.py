"""The whole path on a small example: a simulated movie, its reconstruction, a score."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from zoo.core.errors import BadInput
from zoo.core.files import new_folder, refuse_existing, sha256, write_json
from zoo.core.localizations import Localizations
from zoo.core.random import generator

PACKAGE = "deep_storm_fast_microtubules"
FRAMES = 200
DIM_QUANTILE = 0.25
MANIFEST = "files.json"
"""SHA-256 of everything that a demonstration wrote, by which it is known again."""
FILES = ("input.tif", "truth.csv", "metrics.json", "picture.png", MANIFEST)
"""What a demonstration writes beside the results of the prediction."""
GROUP = "demo"
"""Group of its scores in ``metrics.json``."""


class Outcome(NamedTuple):
    """What a demonstration made."""

    folder: Path
    """Where the files are."""
    emitters: int
    """Emitters in the movie, all frames."""
    localizations: int
    """Localizations."""
    pixel_size_nm: float
    """Camera pixel, nm."""
    scores: dict[str, Any]
    """As `zoo.metrics.localizations.score` returns them."""
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

    The folder gets ``input.tif``, ``truth.csv``, ``metrics.json``, ``picture.png``, a
    list of its files and, in ``result``, what `zoo predict` writes.  It appears when it
    is complete.

    Parameters
    ----------
    folder
        Where to write.
    overwrite
        Whether the files of an earlier demonstration may be replaced; others in the
        folder stay, and files that somebody has changed since are refused.
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
    from zoo.evaluate.report import write_metrics
    from zoo.io.library import open_package
    from zoo.io.tables import read_localizations, write_localizations
    from zoo.io.write import write_imagej_tiff
    from zoo.metrics.localizations import score
    from zoo.predict.predictor import Predictor
    from zoo.predict.writing import REPORT
    from zoo.simulate.blinking import BlinkingFilaments

    _check_free(folder, overwrite=overwrite)
    started = time.perf_counter()
    model = Predictor(open_package(package or PACKAGE), engine="onnx")
    with new_folder(folder, replaces=[*FILES, *_results()]) as part:
        movie = BlinkingFilaments().record(generator(2018, 1), frames=frames or FRAMES)
        counts, pixel_nm = cast("np.ndarray", movie.counts), movie.pixel_size_nm
        truth = cast("Localizations", movie.truth)
        write_imagej_tiff(part / "input.tif", counts, pixel_size_nm=pixel_nm)
        write_localizations(part / "truth.csv", truth)
        model.predict_to_folder(part / "input.tif", part / "result", progress=progress)
        _rename_source(part / "result" / REPORT, folder / "input.tif")
        localizations = read_localizations(part / "result" / "localizations.csv")
        scores = score(
            truth,
            localizations,
            field_nm=counts.shape[-1] * pixel_nm,
            photon_quantile=DIM_QUANTILE,
        )
        write_metrics(part / "metrics.json", {GROUP: {"microtubules": scores}})
        draw(part / "picture.png", counts, pixel_nm, truth, localizations)
        files = sorted(path for path in part.rglob("*") if path.is_file())
        hashes = {path.relative_to(part).as_posix(): sha256(path) for path in files}
        write_json(part / MANIFEST, hashes)
    return Outcome(
        folder,
        len(truth),
        len(localizations),
        pixel_nm,
        scores,
        time.perf_counter() - started,
    )


def _rename_source(report: Path, source: Path) -> None:
    """Let a report name the movie where it is going to lie."""
    content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    content["input"]["source"] = str(source)
    write_json(report, content)


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
        f"with camera pixels of {outcome.pixel_size_nm:.0f} nm."
        if scores["tp"]
        else "so the reconstruction is worthless."
    )
    files = sorted(p for p in outcome.folder.rglob("*") if p.is_file())
    return "\n".join(
        [
            f"{outcome.emitters:,} flashes of dye molecules on simulated microtubules "
            f"gave {outcome.localizations:,} localizations "
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


def draw(
    path: Path,
    counts: np.ndarray,
    pixel_size_nm: float,
    truth: Localizations,
    localizations: Localizations,
) -> None:
    """Draw mean frame, reconstruction and truth side by side with a scale bar."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(12, 4.4), layout="constrained")
    edge_nm = counts.shape[-1] * pixel_size_nm
    panels = (
        ("mean of all frames", counts.mean(axis=0)),
        ("reconstruction", _density(localizations, edge_nm)),
        ("truth", _density(truth, edge_nm)),
    )
    edge_um = edge_nm / 1000
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


def _density(
    table: Localizations, edge_nm: float, *, pixel_nm: float = 12.5
) -> np.ndarray:
    """Draw a table as a histogram blurred by one fine pixel, (y, x)."""
    from scipy.ndimage import gaussian_filter

    edges = np.arange(0, edge_nm + pixel_nm / 2, pixel_nm)
    counts = np.histogram2d(table.y_nm, table.x_nm, bins=(edges, edges))[0]
    return gaussian_filter(counts, 1.0)


def _check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds something else than an earlier demonstration."""
    refuse_existing(folder, overwrite=overwrite)
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        stored: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stored = None
    if not isinstance(stored, dict) or "metrics.json" not in stored:
        raise BadInput(
            f"{folder} does not look like an earlier demonstration and is kept; "
            "choose another folder with -o"
        )
    hashes = cast("dict[str, Any]", stored)
    for name in (*FILES[:-1], *_results()):
        path = folder / name
        if path.is_file() and sha256(path) != hashes.get(name):
            raise BadInput(
                f"{path} is not what the demonstration wrote, and is kept; move it "
                "elsewhere or choose another folder with -o"
            )


def _results() -> list[str]:
    """Return the names of all files that the prediction may write."""
    from zoo.predict.writing import PREVIEW, REPORT
    from zoo.tasks.density import Density

    return [f"result/{name}" for name in (*Density.files, PREVIEW, REPORT)]
