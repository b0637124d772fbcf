"""TIFF files of every kind: plain, Big, ImageJ, OME, OME in several files.

tifffile finds out how a file is organised; its page objects are then dropped and only
the place of each plane is kept, eight bytes per frame, so that memory does not grow
with the length of a recording.
"""

import json
import logging
import lzma
import math
import struct
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffFileError, TiffPage

from zoo.core.errors import BadInput
from zoo.io.layout import RGB_REMEDY, split_axes
from zoo.io.readers import (
    Array,
    Found,
    RawPlanes,
    check_complete,
    first_line,
    inverted,
    truncated,
)
from zoo.io.tiff_metadata import add_metadata
from zoo.io.tiff_sizes import check_directories, check_ome, check_page

# what tifffile and the decoders raise on damaged files
_DAMAGE = (
    TiffFileError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    OSError,
    EOFError,
    ImportError,
    MemoryError,
    SyntaxError,  # of XML
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
_PLAIN_FLAGS = frozenset({"uniform", "shaped", "imagej"})
_MINISWHITE = 0
_RGB_PHOTOMETRICS = frozenset({2, 6, 8})  # RGB, YCbCr, CIELab


class PagePlanes:
    """Planes that must be decoded: compressed, tiled or packed pages.

    Parameters
    ----------
    files
        The files.
    offsets
        Position of each page's directory in its file.
    shape
        (y, x, s) of a plane.
    dtype
        Type of a pixel.
    file_index
        Position in `files` of each page.
    per_page
        Planes in a page, more than one where samples are stored separately.
    """

    def __init__(
        self,
        files: tuple[Path, ...],
        offsets: NDArray[np.int64],
        *,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        file_index: NDArray[np.int32],
        per_page: int,
    ) -> None:
        self.files = files
        self.shape = shape
        self.dtype = dtype
        self._offsets = offsets
        self._file_index = file_index
        self._per_page = per_page
        self._open: tuple[int, TiffFile] | None = None

    def _tiff(self, index: int) -> TiffFile:
        if self._open is None or self._open[0] != index:
            self.close()
            self._open = (index, TiffFile(self.files[index]))
        return self._open[1]

    def read(self, numbers: NDArray[np.intp]) -> Array:
        """Return the planes of these numbers, (n, y, x, s)."""
        planes = np.empty((len(numbers), *self.shape), self.dtype)
        last, decoded = -1, planes[:0]
        for i, number in enumerate(numbers.tolist()):
            page, inside = divmod(number, self._per_page)
            if page != last:
                decoded, last = self._decode(page), page
            planes[i] = decoded[inside]
        return planes

    def _decode(self, page: int) -> Array:
        which = int(self._file_index[page])
        try:
            with _quiet_tifffile():
                tif = self._tiff(which)
                tif.filehandle.seek(int(self._offsets[page]))
                described = TiffPage(tif, index=page)
                check_page(described, f"image {page + 1} of {self.files[which]}")
                data: Array = described.asarray()
            return data.reshape(self._per_page, *self.shape)
        except _DAMAGE as error:
            self.close()
            remedy = "the file is damaged, copy it again"
            if "imagecodecs" in str(error):
                remedy = "install imagecodecs or save it uncompressed"
            elif isinstance(error, EOFError):
                remedy = "its data break off, copy it again"
            elif isinstance(error, MemoryError):
                remedy = "it needs more memory than there is"
            raise BadInput(
                f"image {page + 1} of {self.files[which]} cannot be decoded; {remedy} "
                f"({first_line(error)})"
            ) from error

    def close(self) -> None:
        """Close the open file."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


def open_tiff(path: Path) -> Found:
    """Describe a TIFF file.

    Raises
    ------
    BadInput
        If it is no TIFF, truncated, a colour image, or refers to missing files.
    """
    try:
        smallest = check_directories(path)
        with _quiet_tifffile(), TiffFile(path) as tif:
            return _describe(tif, path, smallest)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror or error}; check the name and "
            "the permissions"
        ) from error
    except _DAMAGE as error:
        raise BadInput(
            f"{path} is truncated or not a valid TIFF; copy or export it again "
            f"({first_line(error)})"
        ) from error


def _describe(tif: TiffFile, path: Path, smallest: int) -> Found:
    name = str(path)
    if not len(tif.pages):
        raise BadInput(f"{name} is truncated: it holds no image; copy it again")
    if tif.is_ome and (xml := tif.ome_metadata):
        check_ome(xml, path, smallest=smallest)
    plain = _plain_chain(tif)
    all_series: list[Any] = [plain] if plain else list(tif.series)
    series: Any = all_series[0]
    first = tif.pages.first
    if not _chain_is_complete(tif):
        raise BadInput(
            f"{name} is truncated: the list of its images breaks off after "
            f"{len(tif.pages)}; copy it again"
        )
    if int(first.photometric) in _RGB_PHOTOMETRICS and first.samplesperpixel > 1:
        raise BadInput(f"{name} {RGB_REMEDY}")
    if series.transform is not None or series.dtype is None:
        raise BadInput(f"{name} is a TIFF variant that is not read; export plain TIFF")
    imagej: dict[str, Any] = tif.imagej_metadata or {}
    if imagej and series.kind not in ("imagej", "ome"):
        promised = int(imagej.get("images", 1))
        if promised > len(tif.pages):
            raise BadInput(
                f"{name} is truncated: its ImageJ header promises {promised} images; "
                "copy it again"
            )
    axes, shape = str(series.axes), tuple(int(n) for n in series.shape)
    planes, files = _planes(tif, series, axes, shape, path)
    found = Found(planes, axes, shape, planes.dtype, files=files)
    if len(all_series) > 1:
        found.notes.append(
            f"the first of {len(all_series)} image series in the file was read"
        )
    add_metadata(found, tif, imagej)
    if isinstance(planes, PagePlanes):
        planes.read(np.zeros(1, np.intp))  # a codec that is missing shows here
    page: Any = series.keyframe
    if int(page.photometric) == _MINISWHITE:
        found.planes = inverted(planes, planes.dtype, int(page.bitspersample), name)
        found.notes.append("white is stored as zero; the image was inverted")
    return found


def _chain_is_complete(tif: TiffFile) -> bool:
    """Say whether the chain of image directories ends as it should, with a zero."""
    position = tif.pages.next_page_offset
    if position is None:
        return True
    tif.filehandle.seek(position)
    tail = tif.filehandle.read(tif.tiff.offsetsize)
    return len(tail) == tif.tiff.offsetsize and not any(tail)


def _planes(
    tif: TiffFile, series: Any, axes: str, shape: tuple[int, ...], path: Path
) -> tuple[RawPlanes | PagePlanes, tuple[Path, ...]]:
    """Return where the planes of a series lie, and the files that hold them."""
    name = str(path)
    if 0 in shape:
        raise BadInput(f"{name} is empty: its shape is {'x'.join(map(str, shape))}")
    count, height, width, samples = split_axes(axes, shape, name)
    plane = (height, width, samples)
    dtype = np.dtype(series.dtype).newbyteorder(tif.byteorder)
    step = math.prod(plane) * dtype.itemsize
    # page after page in several files is no contiguous series of one
    start: int | None = None if series.is_multifile else series.dataoffset
    if start is not None:
        within = (path.stat().st_size - start) // step
        if within < count:
            raise truncated(name, count, within)
        raw = RawPlanes(
            (path,),
            start + np.arange(count, dtype=np.int64) * step,
            shape=plane,
            dtype=dtype,
        )
        return raw, (path,)

    check_page(series.keyframe, name)
    listed = len(series)
    per_page = math.prod(series.keyframe.shape) // math.prod(plane)
    if per_page * listed != count or not per_page:
        raise BadInput(
            f"{name} is truncated: its header promises {count} images, {listed} are "
            "there; copy or export it again"
        )
    parents: dict[int, int] = {}
    files: list[Path] = []
    sizes: list[int] = []
    file_index = np.zeros(listed, np.int32)
    directories = np.zeros(listed, np.int64)
    starts = np.zeros(listed, np.int64)
    raw = True
    for i in range(listed):
        page: Any = series[i]
        if page is None:
            raise BadInput(
                f"{name} refers to other files, and the one with image {i + 1} is not "
                "there; put all files of the recording into one folder"
            )
        if id(page.parent) not in parents:
            parents[id(page.parent)] = len(files)
            file = Path(page.parent.filehandle.path)
            files.append(path if file == path.absolute() else file)
            sizes.append(file.stat().st_size)
        owner = file_index[i] = parents[id(page.parent)]
        used = zip(page.dataoffsets, page.databytecounts, strict=False)
        if max((a + b for a, b in used), default=0) > sizes[owner]:
            raise BadInput(
                f"{name} is truncated: the data of image {i + 1} lie beyond the end; "
                "copy it again"
            )
        directories[i] = page.offset
        starts[i] = page.dataoffsets[0] if page.dataoffsets else 0
        raw = raw and page.is_final and page.parent.byteorder == tif.byteorder
    if raw:
        offsets = (starts[:, None] + np.arange(per_page) * step).reshape(-1)
        owners = np.repeat(file_index, per_page)
        planes = RawPlanes(
            tuple(files), offsets, shape=plane, dtype=dtype, file_index=owners
        )
        check_complete(planes, count, name)
        return planes, tuple(files)
    decoded = PagePlanes(
        tuple(files),
        directories,
        shape=plane,
        dtype=np.dtype(series.dtype),
        file_index=file_index,
        per_page=per_page,
    )
    return decoded, tuple(files)


@dataclass
class _PlainChain:
    """Equal pages one after the other, of which only one exists at a time.

    It offers what `_planes` needs of tifffile's series, which hold every page.
    """

    pages: Any
    axes: str
    shape: tuple[int, ...]
    kind: str
    dataoffset: int | None = None
    is_multifile: bool = False
    transform: None = None

    @property
    def keyframe(self) -> TiffPage:
        return self.pages.first

    @property
    def dtype(self) -> Any:
        return self.keyframe.dtype

    def __len__(self) -> int:
        return len(self.pages)

    def __getitem__(self, index: int) -> Any:
        return self.pages.get(index, aspage=False)


def _plain_chain(tif: TiffFile) -> _PlainChain | None:
    """Return the pages of a plain, ImageJ or tifffile file, None for all others."""
    pages: Any = tif.pages
    first: Any = pages.first
    count = len(pages)
    if count < 2 or first.subifds or not tif.flags <= _PLAIN_FLAGS:
        return None
    if any(pages.get(i).hash != first.hash for i in (1, count // 2, count - 1)):
        return None
    if tif.is_imagej:
        meta: dict[str, Any] = tif.imagej_metadata or {}
        sizes = {
            axis: int(meta.get(key, 1))
            for axis, key in {"T": "frames", "Z": "slices", "C": "channels"}.items()
        }
        axes, lead = "".join(sizes), tuple(sizes.values())
        if "order" in meta:
            return None
    elif first.shaped_description:
        stated: Any = {}
        with suppress(ValueError):
            stated = json.loads(first.shaped_description)
        lead = tuple(stated.get("shape", ()))[: -len(first.shape)]
        axes = str(stated.get("axes", "Q" * len(lead) + first.axes))
        axes = axes[: len(lead)]
    else:
        axes, lead = "I", (count,)
    contiguous = first.is_final and axes != "I"  # tifffile knows without its pages
    if contiguous or math.prod(lead) != count or len(axes) != len(lead):
        return None
    pages.useframes = True
    kind = "imagej" if tif.is_imagej else "plain"
    return _PlainChain(pages, axes + first.axes, (*lead, *first.shape), kind)


@contextmanager
def _quiet_tifffile() -> Generator[None]:
    """Keep tifffile's log off standard error; its complaints become errors here."""
    logger = logging.getLogger("tifffile")

    def drop(_: logging.LogRecord) -> bool:
        return False

    logger.addFilter(drop)
    try:
        yield
    finally:
        logger.removeFilter(drop)
