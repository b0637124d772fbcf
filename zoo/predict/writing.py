"""The files of a prediction, written as the results come."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from zoo.core.localizations import Localizations
from zoo.io.stacks import write_ome_tiff
from zoo.io.tables import LocalizationWriter
from zoo.io.write import write_ome_planes
from zoo.predict.preview import write_preview

ERROR_MAP = (
    "Absolute difference between the input's widefield picture and the blurred, scaled "
    "image, in the input's intensities (SQUIRREL, doi:10.1038/nmeth.4605)"
)
"""What an error map says about itself."""


class FolderWriter:
    """Results on their way into a folder; use it in a ``with`` statement.

    Localizations are appended to the table as they come.  Images and error maps wait
    in a plain file each until all are there, because a TIFF is written in one go.

    Parameters
    ----------
    folder
        An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._table: LocalizationWriter | None = None
        self._images = _Planes(folder / "image.raw")
        self._errors = _Planes(folder / "error_map.raw")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for stream in (self._table, self._images, self._errors):
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
        self._images.add(images)

    def add_errors(self, maps: np.ndarray) -> None:
        """Append error maps, (t, y, x, c)."""
        self._errors.add(maps)

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

    def finish_images(
        self, pixel_size_nm: float | None, *, channel_names: Sequence[str] = ()
    ) -> None:
        """Turn images and error maps into a TIFF each.

        Parameters
        ----------
        pixel_size_nm
            Edge of a pixel; None if it is not known.
        channel_names
            Names of the channels, used if there are as many.
        """
        for planes, name, description in (
            (self._images, "image", None),
            (self._errors, "error_map", ERROR_MAP),
        ):
            planes.finish(
                self._folder / f"{name}.ome.tif",
                pixel_size_nm=pixel_size_nm,
                description=description,
                channel_names=channel_names,
            )


class _Planes:
    """Images that wait in a plain file.

    They are read back one by one: a memory map of the file would count as memory of
    this program, which would then grow with the number of frames.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._shape = (0, 0, 0, 0)  # t, c, y, x

    def add(self, images: np.ndarray) -> None:
        """Append images, (t, y, x, c)."""
        if self._file is None:
            self._file = self._path.open("wb")
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
        planes.tofile(self._file)
        self._shape = (self._shape[0] + len(planes), *planes.shape[1:])

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def finish(
        self,
        path: Path,
        *,
        pixel_size_nm: float | None,
        description: str | None,
        channel_names: Sequence[str],
    ) -> None:
        """Turn the images, if there are any, into a TIFF."""
        if self._file is None:
            return
        self.close()
        lengths = dict(zip("tcyx", self._shape, strict=True))
        kept = {a: n for a, n in lengths.items() if a in "yx" or n > 1}
        named = len(channel_names) == lengths["c"]
        write_ome_planes(
            path,
            self._read(),
            shape=tuple(kept.values()),
            dtype=np.float32,
            pixel_size_nm=pixel_size_nm,
            axes="".join(kept),
            description=description,
            channel_names=channel_names if named else None,
        )
        self._path.unlink()

    def _read(self) -> Iterator[np.ndarray]:
        frames, channels, height, width = self._shape
        with self._path.open("rb") as file:
            for _ in range(frames * channels):
                plane = np.fromfile(file, np.float32, height * width)
                yield plane.reshape(height, width)


def needed_bytes(pixels: int, *, images: int | None, compared: bool) -> int:
    """Return the room that results take on a disk at worst, about.

    Parameters
    ----------
    pixels
        Pixels of an output image.
    images
        How many there are, channels included; None for a sum of densities.
    compared
        Whether each has an error map.

    Examples
    --------
    >>> needed_bytes(1000, images=10, compared=True)
    120000
    """
    if images is None:
        return 4 * pixels
    # plain files of images and maps, and the TIFF that one of them turns into
    return (3 if compared else 2) * 4 * pixels * images


def write_summary(
    folder: Path,
    report: dict[str, Any],
    *,
    before: np.ndarray,
    after: np.ndarray,
    errors: np.ndarray | None = None,
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
        Output picture; of a hyperstack the first channel is shown, of a network with
        several channels their mean.
    errors : (Y, X, C)
        Error map of the output picture, if there is one.
    """

    def picture(image: np.ndarray) -> np.ndarray:
        if image.ndim == 2:
            return image
        return (image[..., :1] if _one_by_one(report) else image).mean(axis=-1)

    write_preview(
        folder / "preview.png",
        before,
        picture(after),
        None if errors is None else picture(errors),
        pixel_size_nm=report["input"]["pixel_size_nm"],
        titles=_titles(report),
        density=report["task"] == "density",
    )
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")


def _one_by_one(report: dict[str, Any]) -> bool:
    """Tell whether the channels of a recording went through the network alone."""
    return report["input"]["channels_per_run"] < report["input"]["channels"]


def _titles(report: dict[str, Any]) -> list[str]:
    """Return what stands above the pictures of a preview."""
    frames = report["frames"]
    if report["task"] == "density":
        title = "input" if frames == 1 else f"mean of {frames} frames"
        return [title, f"{report['localizations']} localizations"]
    channels = report["input"]["channels"]
    before = "input"
    if channels > 1 and not _one_by_one(report):
        kind = "raw frames" if report["options"].get("frame_order") else "channels"
        before, channels = f"mean of {channels} {kind}", 1
    for kind, count in (("frame", frames), ("channel", channels)):
        before += f", {kind} 1 of {count}" if count > 1 else ""
    titles = [before, report["package"]["name"]]
    per_frame = report.get("error_map", {}).get("per_frame")
    if per_frame:
        rsp = per_frame[0]["rsp"]
        titles.append("error map" + ("" if rsp is None else f", RSP {rsp:.3f}"))
    return titles
