"""The files of a prediction, written as the results come."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from zoo.core.localizations import Localizations
from zoo.io.stacks import write_ome_tiff
from zoo.io.tables import LocalizationWriter
from zoo.predict.preview import write_preview


class FolderWriter:
    """Results on their way into a folder; use it in a ``with`` statement.

    Localizations are appended to the table as they come.  Images wait in one plain
    file until all are there, because a TIFF needs to know their number.

    Parameters
    ----------
    folder
        An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._table: LocalizationWriter | None = None
        self._pixels: BinaryIO | None = None
        self._shape = (0, 0, 0, 0)  # t, c, y, x

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for stream in (self._table, self._pixels):
            if stream is not None:
                stream.close()

    def add_table(self, table: Localizations) -> None:
        """Append localizations of further frames."""
        if self._table is None:
            # columns are given, so that a table without rows has its header, too
            path = self._folder / "localizations.csv"
            self._table = LocalizationWriter(path, table.columns)
        self._table.write(table)

    def add_images(self, images: np.ndarray) -> None:
        """Append images, (t, y, x, c)."""
        if self._pixels is None:
            self._pixels = self._raw.open("wb")
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
        planes.tofile(self._pixels)
        self._shape = (self._shape[0] + len(planes), *planes.shape[1:])

    def finish_density(self, image: np.ndarray, pixel_size_nm: float) -> None:
        """Close the table and write the sum of all densities, (y, x)."""
        if self._table is not None:
            self._table.close()
        write_ome_tiff(
            self._folder / "reconstruction.ome.tif",
            image,
            pixel_size_nm=pixel_size_nm,
            axes="yx",
        )

    def finish_images(self, pixel_size_nm: float | None) -> None:
        """Turn the images into a TIFF."""
        if self._pixels is None:
            return
        self._pixels.close()
        movie = np.memmap(self._raw, np.float32, mode="r", shape=self._shape)
        kept = {
            axis: length
            for axis, length in zip("tcyx", self._shape, strict=True)
            if axis in "yx" or length > 1
        }
        write_ome_tiff(
            self._folder / "image.ome.tif",
            movie.reshape(tuple(kept.values())),
            pixel_size_nm=pixel_size_nm,
            axes="".join(kept),
        )
        del movie  # Windows does not remove files that are mapped
        self._raw.unlink()

    @property
    def _raw(self) -> Path:
        return self._folder / "image.raw"


def write_summary(
    folder: Path, report: dict[str, Any], *, before: np.ndarray, after: np.ndarray
) -> None:
    """Write ``preview.png`` and ``report.json``.

    Parameters
    ----------
    folder
        Where to.
    report
        As `zoo.predict.report.build_report` makes it.
    before : (y, x)
        Input picture.
    after : (Y, X) or (Y, X, C)
        Output picture; channels are averaged.
    """
    density = report["task"] == "density"
    frames = report["frames"]
    titles = (
        "input" if frames == 1 else f"mean of {frames} frames",
        f"{report['localizations']} localizations"
        if density
        else report["package"]["name"],
    )
    write_preview(
        folder / "preview.png",
        before,
        after if after.ndim == 2 else after.mean(axis=-1),
        pixel_size_nm=report["input"]["pixel_size_nm"],
        titles=titles,
        density=density,
    )
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
