"""Writing image stacks: OME-TIFF and ImageJ TIFF, complete or not at all."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import numpy as np
from numpy.typing import DTypeLike, NDArray

from zoo.core.axes import check_axes
from zoo.core.files import replacing

PixelSize = float | Mapping[str, float] | None
"""Edge of a pixel, nm: one number for y and x, or by letter; None if not known."""

_NM_PER_CM = 1e7
_PLACEHOLDER = UUID("e6d3cb1f-0000-5000-8000-000000000000")


def write_ome_tiff(
    path: str | Path,
    array: NDArray[Any],
    *,
    pixel_size_nm: PixelSize,
    axes: str,
    description: str | None = None,
    channel_names: Sequence[str] | None = None,
) -> None:
    """Write an image or a movie as OME-TIFF.

    An existing file is replaced, when the new one is complete.

    Parameters
    ----------
    path
        Where to; ``.ome.tif`` by convention.
    array
        The pixels.  float64 and float16 are written as float32, which OME has and
        every reader knows.
    pixel_size_nm
        Edge of a pixel, or of every letter of space, written in µm as is usual in OME;
        None if it is not known.
    axes
        Letters of the array's axes, such as ``yx``, ``tyx`` or ``tyxc``.  Channels are
        stored as planes.
    description
        Free text about the image.
    channel_names
        One name per channel.

    Raises
    ------
    ValueError
        If `axes` does not fit the array, or the pixel size is not positive.
    """
    if len(check_axes(axes)) != array.ndim or not {"y", "x"} <= set(axes):
        raise ValueError(f"axes {axes!r} do not name the {array.ndim} axes of an image")
    if "b" in axes:
        raise ValueError("an OME-TIFF has no batch axis; write images as t")
    order = [letter for letter in "tzcyx" if letter in axes]
    pixels = np.transpose(array, [axes.index(letter) for letter in order])
    pixels = _portable(pixels, ("u1", "u2", "u4", "i1", "i2", "i4", "f4"))
    write_ome_planes(
        path,
        pixels,
        shape=pixels.shape,
        dtype=pixels.dtype,
        pixel_size_nm=pixel_size_nm,
        axes="".join(order),
        description=description,
        channel_names=channel_names,
    )


def write_ome_planes(
    path: str | Path,
    planes: NDArray[Any] | Iterable[NDArray[Any]],
    *,
    shape: Sequence[int],
    dtype: DTypeLike,
    pixel_size_nm: PixelSize,
    axes: str,
    description: str | None = None,
    channel_names: Sequence[str] | None = None,
) -> None:
    """Write an OME-TIFF plane by plane, of any length in little memory.

    The pixel size stands in the OME-XML and, for programs that do not read it, in the
    resolution tags of TIFF.

    An existing file is replaced, when the new one is complete.  Equal arguments give
    equal bytes: the identifier that the format wants is made from them.

    Parameters
    ----------
    path
        Where to; ``.ome.tif`` by convention.
    planes
        Images (y, x) in C order of the axes before them, or all of them as one array.
    shape, dtype
        Shape of all planes together and the type of a pixel, one that OME has.
    pixel_size_nm, description, channel_names
        As for `write_ome_tiff`.
    axes
        Letters of `shape`, in the order ``tzcyx``.

    Raises
    ------
    ValueError
        If `axes` does not fit the shape, or the pixel size is not positive.
    """
    import tifffile

    target = Path(path)
    if pixel_size_nm is None or isinstance(pixel_size_nm, Mapping):
        edges = dict(pixel_size_nm or {})
    else:
        edges = {"y": pixel_size_nm, "x": pixel_size_nm}
    for edge_nm in edges.values():
        _check_pixel_size(edge_nm)
    if axes != "".join(a for a in "tzcyx" if a in axes) or len(axes) != len(shape):
        raise ValueError(f"axes {axes!r} do not fit planes of the shape {shape}")
    metadata: dict[str, Any] = {"axes": axes.upper()}
    for letter in "xyz":
        if letter in edges and letter in axes:
            metadata[f"PhysicalSize{letter.upper()}"] = edges[letter] / 1000
            metadata[f"PhysicalSize{letter.upper()}Unit"] = "µm"
    if description:
        metadata["Description"] = description
    if channel_names is not None:
        channels = shape[axes.index("c")] if "c" in axes else 1
        if len(channel_names) != channels:
            raise ValueError(f"{len(channel_names)} names for {channels} channels")
        metadata["Channel"] = {"Name": list(channel_names)}
    resolution: dict[str, Any] = {}
    if {"y", "x"} <= edges.keys():  # of programs that do not read OME-XML, ImageJ first
        per_cm = (_NM_PER_CM / edges["x"], _NM_PER_CM / edges["y"])
        resolution = {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
    # tifffile's own identifier names the machine and the moment
    metadata["UUID"] = str(_PLACEHOLDER)
    stated = json.dumps([list(shape), np.dtype(dtype).str, metadata])
    digest = hashlib.sha256(stated.encode())
    if isinstance(planes, np.ndarray):
        source: Any = cast("NDArray[Any]", planes)
        digest.update(_bytes_of(source))
    else:
        source = _hashed(planes, digest)
    with replacing(target) as temporary:
        tifffile.imwrite(
            temporary,
            source,
            shape=tuple(shape),
            dtype=dtype,
            ome=True,
            photometric="minisblack",
            metadata=metadata,
            **resolution,
        )
        _identify(temporary, UUID(bytes=digest.digest()[:16], version=5))


def _hashed(planes: Iterable[NDArray[Any]], digest: Any) -> Iterator[NDArray[Any]]:
    """Pass planes on and their bytes to a hash."""
    for plane in planes:
        digest.update(_bytes_of(plane))
        yield plane


def _bytes_of(pixels: NDArray[Any]) -> memoryview:
    return memoryview(cast(Any, np.ascontiguousarray(pixels).reshape(-1).view("u1")))


def _identify(path: Path, identifier: UUID) -> None:
    """Put an identifier in the place of the one for all files, of the same length."""
    import tifffile

    with tifffile.TiffFile(path) as tif:  # a long one stands behind the pixels
        tag: Any = tif.pages.first.tags["ImageDescription"]
        start, length = int(tag.valueoffset), int(tag.count)
    with path.open("r+b") as file:
        file.seek(start)
        place = file.read(length).index(str(_PLACEHOLDER).encode())
        file.seek(start + place)
        file.write(str(identifier).encode())


def write_imagej_tiff(
    path: str | Path, frames: NDArray[Any], *, pixel_size_nm: float
) -> None:
    """Write frames as an ImageJ stack, which Fiji opens as a time series.

    An existing file is replaced, when the new one is complete.

    Parameters
    ----------
    path
        Where to.
    frames
        (t, y, x) or (y, x); other types than uint8, uint16 and float32 are written as
        float32, ImageJ has no more.
    pixel_size_nm
        Edge of a pixel.

    Raises
    ------
    ValueError
        If the array has other axes, or the pixel size is not positive.
    """
    import tifffile

    _check_pixel_size(pixel_size_nm)
    if frames.ndim not in (2, 3):
        raise ValueError(f"frames must be (t, y, x) or (y, x), not {frames.shape}")
    per_um = 1000 / pixel_size_nm
    with replacing(Path(path)) as temporary:
        tifffile.imwrite(
            temporary,
            _portable(frames, ("u1", "u2", "f4")),
            imagej=True,
            photometric="minisblack",
            resolution=(per_um, per_um),
            metadata={"axes": "TYX"[-frames.ndim :], "unit": "um"},
        )


def _portable(array: NDArray[Any], types: tuple[str, ...]) -> NDArray[Any]:
    known = f"{array.dtype.kind}{array.dtype.itemsize}" in types
    return np.ascontiguousarray(array if known else array.astype(np.float32))


def _check_pixel_size(pixel_size_nm: float) -> None:
    if not pixel_size_nm > 0 or not np.isfinite(pixel_size_nm):
        raise ValueError(f"pixel_size_nm must be positive, not {pixel_size_nm}")
