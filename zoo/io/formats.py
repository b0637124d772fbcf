"""Recordings that are no TIFF: arrays, ``.npy`` and OME-Zarr; MRC is in `mrc`."""

import math
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.core.errors import BadInput
from zoo.io.layout import array_axes, split_axes
from zoo.io.readers import (
    ArrayPlanes,
    Found,
    RawPlanes,
    first_line,
    plausible_nm,
    plausible_step_nm,
    unit_nm,
)
from zoo.io.tiff_sizes import BLANK_BYTES, DENSEST, FEW_PLANES


def from_array(array: Any, *, channels: int | None, name: str) -> Found:
    """Describe an array in memory; see `zoo.io.layout.array_axes` for its axes."""
    shape = tuple(int(n) for n in array.shape)
    axes = array_axes(shape, channels, name, dtype=np.dtype(array.dtype))
    return Found(
        ArrayPlanes(array, axes.index("Y")), axes, shape, np.dtype(array.dtype)
    )


def from_npy(path: Path, *, channels: int | None) -> Found:
    """Describe a ``.npy`` file.

    Raises
    ------
    BadInput
        If the file is truncated, damaged or holds objects.
    """
    try:
        mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError) as error:
        raise BadInput(
            f"{path} cannot be read as a NumPy array, it is truncated, damaged or "
            f"holds objects; save it again ({first_line(error)})"
        ) from error
    found = from_array(mapped, channels=channels, name=str(path))
    start: int | None = getattr(mapped, "offset", None)  # of a memmap
    if start is not None and mapped.flags.c_contiguous:
        count, height, width, samples = split_axes(found.axes, found.shape, str(path))
        step = height * width * samples * mapped.dtype.itemsize
        found.planes = RawPlanes(
            (path,),
            start + np.arange(count, dtype=np.int64) * step,
            shape=(height, width, samples),
            dtype=mapped.dtype,
        )
    found.files = (path,)
    return found


def from_zarr(path: Path, *, channels: int | None) -> Found:
    """Describe an OME-Zarr image (0.4 and 0.5), or a plain Zarr array.

    The finest level of the first image is read.

    Raises
    ------
    BadInput
        If the extra ``zarr`` is missing or the folder holds no image.
    """
    try:
        zarr: Any = import_module("zarr")
    except ImportError as error:
        raise BadInput(
            f'{path} needs the Zarr reader: pip install "superres-zoo[zarr]"'
        ) from error
    name = str(path)
    try:
        node: Any = zarr.open(name, mode="r")
    except (ValueError, KeyError, OSError) as error:
        raise BadInput(
            f"{path} is no Zarr array or group ({first_line(error)})"
        ) from error
    if not hasattr(node, "members"):
        _check_zarr(node, path)
        return from_array(node, channels=channels, name=name)
    notes: list[str] = []
    scales = _multiscales(node)
    if scales is None and "0" in node and hasattr(node["0"], "members"):
        # the layout of bioformats2raw: one numbered group per image
        scales, node = _multiscales(node["0"]), node["0"]
        notes.append("the first image of the Zarr group was read")
    if scales is None:
        raise BadInput(
            f"{path} holds no OME-Zarr image; name the folder that has the multiscales"
        )
    try:
        level: dict[str, Any] = scales["datasets"][0]
        array: Any = node[level["path"]]
    except (KeyError, IndexError, TypeError) as error:
        raise BadInput(f"{path} names a level that is not there") from error
    _check_zarr(array, path)
    shape = tuple(int(n) for n in array.shape)
    declared: list[Any] = scales.get("axes") or ["t", "c", "z", "y", "x"][-len(shape) :]
    entries: list[dict[str, Any]] = [
        a if isinstance(a, dict) else {"name": str(a)} for a in declared
    ]
    letters = {"t": "T", "c": "C", "z": "Z", "y": "Y", "x": "X"}
    axes = "".join(letters.get(str(a["name"]).lower(), "Q") for a in entries)
    if len(axes) != len(shape):
        raise BadInput(f"{path} declares {len(axes)} axes for {len(shape)} dimensions")
    split_axes(axes, shape, name)
    found = Found(
        ArrayPlanes(array, axes.index("Y")), axes, shape, np.dtype(array.dtype)
    )
    found.notes = notes
    factors = np.ones(len(shape))
    for holder in (level, scales):
        for step in holder.get("coordinateTransformations") or ():
            if step.get("type") == "scale" and len(step["scale"]) == len(shape):
                factors = factors * np.asarray(step["scale"], float)
    y, x = axes.index("Y"), axes.index("X")
    unit_y, unit_x = (unit_nm(str(entries[i].get("unit", ""))) for i in (y, x))
    if unit_y and unit_x:
        size = plausible_nm(float(factors[y]) * unit_y, float(factors[x]) * unit_x)
        if size:
            found.pixel_size_nm, found.pixel_size_source = size, "OME-Zarr metadata"
    z = axes.find("Z")
    if z >= 0 and (unit_z := unit_nm(str(entries[z].get("unit", "")))):
        found.z_step_nm = plausible_step_nm(float(factors[z]) * unit_z)
    return found


def _check_zarr(array: Any, path: Path) -> None:
    """Refuse an array whose declared sizes have nothing to do with what is stored.

    Parts that hold one value only need not be stored.  A chunk and a plane are
    therefore believed up to a size, and a number of planes.
    """
    shape = tuple(int(n) for n in array.shape)
    lengths = [array.chunks, getattr(array, "shards", None) or (), shape[-2:]]
    largest = max(math.prod(map(int, n)) for n in lengths) * array.dtype.itemsize
    if largest > BLANK_BYTES:
        needed = largest // DENSEST
        stored = 0
        for file in path.rglob("*"):
            stored += file.stat().st_size if file.is_file() else 0
            if stored >= needed:
                break
        if stored < needed:
            raise BadInput(
                f"{path} is damaged: it declares chunks or planes of "
                f"{largest / 1e9:.3g} GB, {stored} bytes are there; copy it again"
            )
    planes = math.prod(shape[:-2])
    if planes > FEW_PLANES:
        raise BadInput(
            f"{path} is damaged: it declares {planes:.3g} images, more than "
            f"{FEW_PLANES} are not read; copy or export it again"
        )


def _multiscales(group: Any) -> dict[str, Any] | None:
    attributes: dict[str, Any] = dict(group.attrs)
    inner: dict[str, Any] = attributes.get("ome") or attributes  # 0.5 nests them
    found: list[dict[str, Any]] = inner.get("multiscales") or []
    return found[0] if found else None
