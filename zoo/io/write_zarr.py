"""Writing images as OME-Zarr, a folder that viewers read piece by piece."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.core.axes import check_axes
from zoo.core.extras import require

VERSION = "0.4"
"""Version of OME-NGFF, the newest that all common viewers read."""
_CHUNK_PX = 1024
_KINDS = {"t": "time", "c": "channel"}


def write_ome_zarr(
    folder: str | Path,
    array: NDArray[Any],
    *,
    pixel_size_nm: Mapping[str, float],
    axes: str,
    description: str | None = None,
) -> None:
    """Write an image as OME-Zarr 0.4 of one resolution.

    Planes are compressed one after the other: an array that lies in a file
    (`numpy.memmap`) is never in the memory as a whole.  Pieces that are all zero are
    not stored.

    Parameters
    ----------
    folder
        Where to, a folder that does not exist; ``.ome.zarr`` by convention.
    array
        The pixels.
    pixel_size_nm
        Edge of a pixel by letter of space, stated in µm; letters that are left out
        have no unit.
    axes
        Letters of the array's axes in the order ``tczyx``, such as ``zyx``.
    description
        Free text about the image.

    Raises
    ------
    ValueError
        If `axes` does not fit the array, or a pixel size is not positive.
    FileExistsError
        If `folder` exists.
    MissingExtra
        If zarr is not installed.
    """
    require("zarr")
    check_axes(axes)
    ordered = "".join(letter for letter in "tczyx" if letter in axes)
    if axes != ordered or len(axes) != array.ndim or not axes.endswith("yx"):
        raise ValueError(f"axes {axes!r} do not name the {array.ndim} axes of an image")
    for letter, edge_nm in pixel_size_nm.items():
        if not edge_nm > 0 or not np.isfinite(edge_nm):
            raise ValueError(f"pixel_size_nm[{letter!r}] must be positive: {edge_nm}")
    zarr: Any = import_module("zarr")
    codecs: Any = import_module("numcodecs")
    target = Path(folder)
    target.mkdir()
    chunks = (1,) * (array.ndim - 2) + tuple(
        max(min(n, _CHUNK_PX), 1) for n in array.shape[-2:]
    )
    group: Any = zarr.create_group(str(target), zarr_format=2)
    stored: Any = group.create_array(
        "0",
        shape=array.shape,
        chunks=chunks,
        dtype=array.dtype,
        fill_value=0,
        compressors=codecs.Blosc(cname="zstd", clevel=3),
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    for place in _planes(array.shape):
        stored[place] = np.asarray(array[place])
    group.attrs["multiscales"] = [
        _multiscale(axes, pixel_size_nm, target.name, description)
    ]


def _planes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the place of every plane along y and x."""
    return product(*(range(n) for n in shape[:-2]))


def _multiscale(
    axes: str,
    pixel_size_nm: Mapping[str, float],
    name: str,
    description: str | None,
) -> dict[str, Any]:
    """Return the metadata of an image of one resolution."""
    declared: list[dict[str, str]] = []
    for letter in axes:
        axis = {"name": letter, "type": _KINDS.get(letter, "space")}
        if letter in pixel_size_nm:
            axis["unit"] = "micrometer"
        declared.append(axis)
    scale = [pixel_size_nm.get(letter, 1000.0) / 1000 for letter in axes]
    level = {
        "path": "0",
        "coordinateTransformations": [{"type": "scale", "scale": scale}],
    }
    entry: dict[str, Any] = {
        "version": VERSION,
        "name": name.removesuffix(".ome.zarr"),
        "axes": declared,
        "datasets": [level],
    }
    if description:
        entry["metadata"] = {"description": description}
    return entry
