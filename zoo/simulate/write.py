"""Simulated recordings as files."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.core.recipe import Source
from zoo.io.tables import write_localizations
from zoo.io.write import write_imagej_tiff

SHOWN_EPOCH = 2**31 + 1
"""Stands where training has its epoch: what is shown is no training batch."""


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
        Receives ``input.tif`` and ``truth.csv`` (emitters) or ``truth.tif`` (images).
    count
        Number of frames; of pictures where a picture takes several frames, which then
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
    existing = [
        directory / name
        for name in ("input.tif", "truth.csv", "truth.tif")
        if (directory / name).exists()
    ]
    if existing and not overwrite:
        raise BadInput(
            f"{existing[0]} exists and is not overwritten; choose another folder or "
            "give --overwrite"
        )
    recording = source.record(generator(seed, SHOWN_EPOCH, 0), frames=count)
    if progress is not None:
        progress(count, count)
    with _staged(directory) as part:
        write_imagej_tiff(
            part / "input.tif",
            recording.counts,
            pixel_size_nm=recording.pixel_size_nm,
        )
        if isinstance(recording.truth, Localizations):
            write_localizations(part / "truth.csv", recording.truth)
        else:
            scale = recording.truth.shape[-1] / recording.counts.shape[2]
            write_imagej_tiff(
                part / "truth.tif",
                recording.truth.astype(np.float32),
                pixel_size_nm=recording.pixel_size_nm / scale,
            )
        names = sorted(file.name for file in part.iterdir())
    return [directory / name for name in names]


@contextmanager
def _staged(directory: Path) -> Iterator[Path]:
    """Yield an empty folder whose files move to `directory` if all goes well.

    A failure leaves neither files nor folders that were not there before.
    """
    parent = directory.absolute().parent
    missing = [p for p in (parent, *parent.parents) if not p.exists()][::-1]
    part = parent / f".{directory.name}.part-{os.getpid()}-{secrets.token_hex(3)}"
    try:
        part.mkdir(parents=True)
        yield part
        if not directory.exists():
            part.rename(directory)
            return
        for file in sorted(part.iterdir()):
            file.replace(directory / file.name)
        part.rmdir()
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        for folder in reversed(missing):
            with suppress(OSError):  # never made, or somebody else uses it by now
                folder.rmdir()
        raise
