"""MRC files: 1024 bytes of header, then sections of equal size.

Electron microscopists define the format (MRC2014, doi:10.1016/j.jsb.2015.04.002), light
microscopists inherited an older relative of it (Priism, DeltaVision).  Data sets of
structured illumination, BioSR among them, come with headers between the two: without
identification, of either byte order, and with lengths in micrometres.
"""

import math
import warnings
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.errors import BadInput
from zoo.io.layout import split_axes
from zoo.io.readers import Found, RawPlanes, first_line, truncated

SUFFIXES = frozenset({".mrc", ".mrcs", ".st", ".rec", ".map"})
"""Endings of files whose header need not identify itself."""

UNITS_NM = {"ångström": 0.1, "nanometre": 1.0, "micrometre": 1e3}
"""Units found in headers, the one of the format first."""

USUAL_NM = (20.0, 300.0)
"""Pixels of fluorescence microscopes; the unit that leads here is believed."""

POSSIBLE_NM = (20.0, 1000.0)
"""Pixels where none leads to the usual ones."""

_HEADER_BYTES = 1024
_EXTENDED = 92  # where the length of the extended header stands
_LONGEST = 1 << 24  # sections or pixels; more of them mean the other byte order
_PRIISM_ID = -16224
_DEFAULT = 1.0  # what programs write that know no size


def from_mrc(path: Path) -> Found:
    """Describe an MRC file; sections are depth, volumes of several follow in time.

    Raises
    ------
    BadInput
        If the extra ``mrc`` is missing, or the file is damaged or truncated.
    """
    try:
        mrc_reader: Any = import_module("mrcfile.mrcinterpreter")
        mrc_utils: Any = import_module("mrcfile.utils")
    except ImportError as error:
        raise BadInput(
            f'{path} needs the MRC reader: pip install "superres-zoo[mrc]"'
        ) from error
    name = str(path)
    head = _first_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # permissive reading reports by warnings
            # without the length of what follows, which would be read into memory
            plain = BytesIO(head[:_EXTENDED] + bytes(4) + head[_EXTENDED + 4 :])
            with mrc_reader.MrcInterpreter(plain, True, header_only=True) as mrc:
                header = _in_its_byte_order(mrc.header)
            extended = int(np.frombuffer(head, header.nsymbt.dtype, 1, _EXTENDED)[0])
            if extended < 0:
                raise ValueError(f"{extended} bytes after the header")
            dtype = np.dtype(mrc_utils.data_dtype_from_header(header))
        shape = _shape(header)
    except (ValueError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise BadInput(
            f"{path} is not a readable MRC file; convert it to TIFF "
            f"({first_line(error)})"
        ) from error
    if dtype == np.int8 and _is_priism(header):
        dtype = np.dtype(np.uint8)
    axes = "QZYX"[4 - len(shape) :]
    count, height, width, samples = split_axes(axes, shape, name)
    step = height * width * samples * dtype.itemsize
    start = _HEADER_BYTES + extended
    size = path.stat().st_size
    if size == _HEADER_BYTES + count * step:
        start = _HEADER_BYTES  # some writers copy the length of what they leave out
    if start + count * step > size:
        raise truncated(name, count, max(size - start, 0) // step)
    planes = RawPlanes(
        (path,),
        start + np.arange(count, dtype=np.int64) * step,
        shape=(height, width, samples),
        dtype=dtype,
    )
    found = Found(planes, axes, shape, dtype, files=(path,))
    _add_pixel_size(found, header)
    return found


def _first_bytes(path: Path) -> bytes:
    """Return the header; what follows it may be as long as it likes to say."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if head.startswith((b"\x1f\x8b", b"BZh")):
        raise BadInput(f"{path} is compressed; unpack it first")
    if len(head) < _HEADER_BYTES:
        raise BadInput(
            f"{path} is not a readable MRC file: it ends within its header; copy it "
            "again"
        )
    return head


def _in_its_byte_order(header: Any) -> Any:
    """Return the header with the byte order in which its sizes make sense.

    The format's mark of byte order is other data in older headers, and a file of bytes
    has no mode that would tell the orders apart.
    """
    sizes = [int(header.nx), int(header.ny), int(header.nz)]
    if all(0 < n < _LONGEST for n in sizes):
        return header
    swapped = header.view(header.dtype.newbyteorder())
    others = [int(swapped.nx), int(swapped.ny), int(swapped.nz)]
    if all(0 < n < _LONGEST for n in others):
        return swapped
    raise ValueError(f"{sizes[2]} sections of {sizes[1]} x {sizes[0]} pixels")


def _shape(header: Any) -> tuple[int, ...]:
    """Return (y, x), (z, y, x) or, of a stack of volumes, (q, z, y, x)."""
    plane = (int(header.ny), int(header.nx))
    sections, depth = int(header.nz), int(header.mz)
    if 401 <= int(header.ispg) <= 630 and depth > 0 and sections % depth == 0:
        return (sections // depth, depth, *plane)
    return (sections, *plane) if sections > 1 else plane


def _is_priism(header: Any) -> bool:
    """Say whether the header is of the older kind, whose bytes have no sign."""
    order = header.nx.dtype.byteorder
    mark = np.frombuffer(header.tobytes()[96:98], np.dtype("i2").newbyteorder(order))
    return int(mark[0]) == _PRIISM_ID


def _add_pixel_size(found: Found, header: Any) -> None:
    """Read the pixel size, whose unit the header leaves open.

    The cell divided by its samplings is tried in the unit of the format and in those
    that microscopes write; the first one that gives the pixel of a microscope is
    believed.  Headers of the older kind may have the pixel itself, in micrometres,
    where the cell belongs.
    """
    samplings = int(header.my), int(header.mx)
    cell = float(header.cella.y), float(header.cella.x)
    if not all(math.isfinite(edge) and edge > 0 for edge in cell):
        return  # nothing stated
    plane = found.shape[-2:]
    y, x = (
        edge / (samples if samples > 0 else pixels)
        for edge, samples, pixels in zip(cell, samplings, plane, strict=True)
    )
    readings = [(unit, y * nm, x * nm) for unit, nm in UNITS_NM.items()]
    if (y, x) == (_DEFAULT, _DEFAULT):
        readings = []
    direct = UNITS_NM["micrometre"]
    for low, high, among in (
        (*USUAL_NM, readings),
        (*POSSIBLE_NM, readings),
        (*USUAL_NM, [("micrometre", cell[0] * direct, cell[1] * direct)]),
    ):
        for unit, y_nm, x_nm in among:
            if low <= min(y_nm, x_nm) and max(y_nm, x_nm) <= high:
                found.pixel_size_nm = (y_nm, x_nm)
                found.pixel_size_source = f"MRC header ({unit})"
                found.notes.append(
                    f"the pixel size of {x_nm:.4g} nm comes from an MRC header, whose "
                    "unit programs disagree on; give it yourself if it is wrong"
                )
                return
    found.notes.append(
        f"the MRC header states pixels of {x:.4g}, which is no pixel of a microscope "
        "in ångström, nanometres or micrometres; the pixel size counts as missing"
    )
