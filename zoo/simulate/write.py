"""Simulated recordings as files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from zoo.core.errors import BadInput
from zoo.core.files import new_folder, refuse_existing
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.core.recipe import Simulation, Source
from zoo.io.tables import write_localizations
from zoo.io.write import write_imagej_tiff, write_ome_tiff

SHOWN_EPOCH = 2**31 + 1
"""Stands where training has its epoch: what is shown is no training batch."""

NAMES = ("input.tif", "input.csv", "truth.csv", "truth.tif")
"""Files that a simulation may consist of."""


def write_simulation(
    source: Source,
    directory: Path,
    *,
    count: int,
    seed: int,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write a recording and its truth under the conditions of a source.

    Parameters
    ----------
    source
        What to draw from.
    directory
        Receives ``input.tif`` (``input.csv`` where a table goes in) and ``truth.csv``
        (emitters) or ``truth.tif`` (images).
    count
        Number of frames; of images where an image takes several frames, which then
        follow each other as pages.
    seed
        Equal seeds give equal files.
    overwrite
        Whether files of those names may be replaced.
    progress
        Called with frames done and frames in all.

    Returns
    -------
    written : list of Path

    Raises
    ------
    BadInput
        If the files exist, `directory` is a file, or `count` is not positive.
    """
    if count < 1:
        raise BadInput(f"the number of frames must be at least 1, not {count}")
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file; give a folder to write to")
    for name in NAMES:
        refuse_existing(directory / name, overwrite=overwrite)
    recording = source.record(generator(seed, SHOWN_EPOCH, 0), frames=count)
    if progress is not None:
        progress(count, count)
    with new_folder(directory, replaces=NAMES) as part:
        if recording.table is not None:
            write_localizations(part / "input.csv", recording.table)
        else:
            _write_images(part / "input.tif", recording, recording.counts)
        if isinstance(recording.truth, Localizations):
            write_localizations(part / "truth.csv", recording.truth)
        else:
            truth = recording.truth.astype(np.float32)
            _write_images(part / "truth.tif", recording, truth)
        names = sorted(file.name for file in part.iterdir())
    return [directory / name for name in names]


def _write_images(path: Path, recording: Simulation, images: np.ndarray) -> None:
    """Write counts, or the truth on a finer grid of the same field."""
    counts, axes = recording.counts, recording.letters
    is_truth = images is not counts
    letters = ("tyx" if images.ndim == 3 else "tzyx") if is_truth else axes

    def finer(letter: str) -> float:
        return images.shape[letters.index(letter)] / counts.shape[axes.index(letter)]

    pixel_nm = recording.pixel_size_nm / finer("x")
    if letters == "tyx":
        write_imagej_tiff(path, images, pixel_size_nm=pixel_nm)
        return
    sizes = {"y": pixel_nm, "x": pixel_nm}
    if "z" in letters and recording.z_step_nm is not None:
        sizes["z"] = recording.z_step_nm / (finer("z") if "z" in axes else 1.0)
    write_ome_tiff(path, images, pixel_size_nm=sizes, axes=letters)
