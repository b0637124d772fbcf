"""The files of a prediction, written as the products come."""

import errno
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoo.core.closing import Closing
from zoo.core.contract import Task
from zoo.core.products import Image, Product, Table
from zoo.io.picasso import PicassoWriter
from zoo.io.tables import LocalizationWriter
from zoo.io.write import write_ome_planes, write_ome_tiff
from zoo.io.write_zarr import write_ome_zarr

PREVIEW, REPORT = "preview.png", "report.json"
"""Files that every prediction writes."""
ZARR = ".ome.zarr"
"""Ending of images that are folders."""


def result_files(folder: str | Path | None = None) -> list[str]:
    """Return every file that a prediction may leave, the report last.

    Those of other tasks, too: it speaks for the whole folder.

    Parameters
    ----------
    folder
        Folder with the results of an earlier prediction, which may be missing: what an
        OME-Zarr image consists of depends on its size.
    """
    names = dict.fromkeys(name for task in Task.kinds() for name in task.files)
    images = [name for name in names if name.endswith(ZARR)]
    inner: list[str] = []
    for name in images if folder is not None else ():
        image = Path(str(folder)) / name
        if (image / ".zattrs").is_file():  # no folder of somebody else's
            files = sorted(path for path in image.rglob("*") if not path.is_dir())
            inner += [f"{name}/{path.relative_to(image).as_posix()}" for path in files]
            names.pop(name)
    return [*names, *inner, PREVIEW, REPORT]


class FolderWriter(Closing):
    """Products on their way into a folder; use it in a ``with`` statement.

    Rows are appended to their table as they come.  Series of images wait in a plain
    file each until all are there, because a TIFF is written in one go.

    Parameters
    ----------
    folder
        An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables: dict[str, LocalizationWriter] = {}
        self._picasso: dict[str, PicassoWriter] = {}
        self._series: dict[str, _Series] = {}
        self.kept: list[Product] = []
        """Single images, which are in memory anyway."""

    def close(self) -> None:
        """Close what is still open; a folder left early keeps what was written."""
        streams = (*self._tables.values(), *self._picasso.values())
        for stream in (*streams, *self._series.values()):
            stream.close()

    def take(self, product: Product) -> None:
        """Write a table or an image, or the next part of one.

        Raises
        ------
        OSError
            If there is too little room for a series of images.
        """
        if isinstance(product, Table):
            if product.name not in self._tables:
                # columns are given, so that a table without rows has its header, too
                path = self._folder / f"{product.name}.csv"
                columns = product.rows.columns
                self._tables[product.name] = LocalizationWriter(path, columns)
                if product.movie is not None:
                    self._picasso[product.name] = PicassoWriter(
                        self._folder / f"{product.name}.hdf5", product.movie, columns
                    )
            self._tables[product.name].write(product.rows)
            if product.name in self._picasso:
                self._picasso[product.name].write(product.rows)
            return
        if math.prod(n for _, n in product.outer) == 1:
            self.kept.append(product)
        if product.outer:
            if product.name not in self._series:
                path = self._folder / f"{product.name}.raw"
                self._series[product.name] = _Series(path, product)
                self._check_room()
            self._series[product.name].add(product.array)
            return
        if product.stored == "zarr":
            write_ome_zarr(
                self._folder / f"{product.name}{ZARR}",
                product.array,
                pixel_size_nm=product.pixel_size_nm,
                axes=product.axes,
                description=product.description,
            )
            return
        write_ome_tiff(
            self._folder / f"{product.name}.ome.tif",
            product.array,
            pixel_size_nm=product.pixel_size_nm,
            axes=product.axes,
            description=product.description,
            channel_names=product.channel_names or None,
        )

    def _check_room(self) -> None:
        """Make sure that all series fit, with the TIFF that one of them turns into."""
        sizes = [series.nbytes for series in self._series.values()]
        left = sum(sizes) - sum(series.written for series in self._series.values())
        needed = left + max(sizes)
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise OSError(
                errno.ENOSPC,
                f"the results need about {needed / 1e6:.0f} MB, "
                f"{free / 1e6:.0f} MB are free",
                str(self._folder.parent),
            )

    def finish(self) -> None:
        """Close tables and turn every series of images into a TIFF."""
        for table in self._tables.values():
            table.close()
        for other in self._picasso.values():
            other.finish()
        for name, series in self._series.items():
            series.finish(self._folder / f"{name}.ome.tif")


class _Series:
    """Images that wait in a plain file.

    They are read back plane by plane: a memory map of the file would count as memory
    of this program, which would then grow with the number of frames.

    Parameters
    ----------
    path
        The plain file.
    first
        The first part.
    """

    def __init__(self, path: Path, first: Image) -> None:
        self._path, self._first = path, first
        # as planes are stored: outer axes, those of an image, channels before y and x
        self._order = [a for a in "tzcyx" if a in first.axes]
        self._inner = first.axes
        sizes = dict(zip(first.axes, first.array.shape[1:], strict=True))
        self._shape = [(a, sizes[a]) for a in self._order]
        self._file = path.open("wb")
        count = math.prod(n for _, n in first.outer)
        self.nbytes = 4 * count * math.prod(first.array.shape[1:])
        """Bytes of all images together."""
        self.written = 0
        """Bytes in the file so far."""

    def add(self, images: np.ndarray) -> None:
        """Append images, (image, ...)."""
        places = [0, *(1 + self._inner.index(a) for a in self._order)]
        planes = np.ascontiguousarray(images.transpose(places), np.float32)
        planes.tofile(self._file)
        self.written += planes.nbytes

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def finish(self, path: Path) -> None:
        """Turn the images into a TIFF."""
        self.close()
        first = self._first
        axes = [(a, n) for a, n in first.outer if n > 1]
        axes += [(a, n) for a, n in self._shape if a != "c" or n > 1]
        channels = dict(axes).get("c", 1)
        named = len(first.channel_names) == channels
        write_ome_planes(
            path,
            self._read(),
            shape=[n for _, n in axes],
            dtype=np.float32,
            pixel_size_nm=first.pixel_size_nm,
            axes="".join(a for a, _ in axes),
            description=first.description,
            channel_names=first.channel_names if named else None,
        )
        self._path.unlink()

    def _read(self) -> Iterator[np.ndarray]:
        height, width = (n for _, n in self._shape[-2:])
        with self._path.open("rb") as file:
            for _ in range(self.nbytes // (4 * height * width)):
                plane = np.fromfile(file, np.float32, height * width)
                yield plane.reshape(height, width)
