"""Recordings of any supported kind as one lazily read stack of frames."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.core.closing import Closing
from zoo.core.errors import BadInput
from zoo.core.files import require_utf8
from zoo.io.folder import open_folder
from zoo.io.formats import from_array, from_npy, from_zarr
from zoo.io.layout import Layout, check_type, plan, split_axes
from zoo.io.mrc import SUFFIXES as MRC_SUFFIXES
from zoo.io.mrc import from_mrc
from zoo.io.readers import PIXEL_SIZE_RANGE_NM, Found, read_frames
from zoo.io.tiff import open_tiff
from zoo.io.write import write_imagej_tiff, write_ome_tiff

__all__ = ["Stack", "open_stack", "write_imagej_tiff", "write_ome_tiff"]

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHER_FORMATS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89HDF": "an HDF5 file",
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF",
}
_MICROSCOPES = {
    ".nd2": ("Nikon", "nd2"),
    ".czi": ("Zeiss", "pylibCZIrw"),
    ".lif": ("Leica", "liffile"),
    ".oib": ("Olympus", "oiffile"),
    ".oir": ("Olympus", ""),
    ".vsi": ("Olympus", ""),
    ".ims": ("Imaris", ""),
    ".dcimg": ("Hamamatsu", "dcimg"),
}
"""Makers of further formats, and the Python package that reads each, if any."""
_ANISOTROPY = 0.01  # relative difference of the two pixel edges that is worth a word


class Stack(Closing):
    """A recording whose frames are read when asked for.

    Made by `open_stack`; use it in a ``with`` statement or call `close`.

    Attributes
    ----------
    frames, height, width, channels
        Size of the recording.
    outer
        Letters and lengths of what counts frames, in C order: ``(("t", T),)``, or
        ``(("t", T), ("z", Z))`` where a depth is stated and frames are single images.
    depth
        Planes of a frame; None for frames that are single images.
    dtype
        Type of a pixel in the file.
    pixel_size_nm
        Edge of a pixel along x, None if nothing plausible is stated.
    z_step_nm
        Distance of neighbouring planes of depth, None if nothing plausible is stated.
    pixel_size_source
        Where that comes from: ``"given"``, ``"OME metadata"``, ``"ImageJ metadata"``,
        ``"TIFF resolution"``, ``"OME-Zarr metadata"``, ``"MRC header ..."`` or
        ``"missing"``.
    axes
        Axes as the file has them, such as ``TZCYX``; ``Q`` is one without a meaning.
    source
        The path, or ``"array"``.
    channel_names
        Names of the channels, empty if the file states none.
    notes
        What a user should know about how the recording was understood.
    changes
        What was done to the frames while they were read, for the report.
    """

    def __init__(
        self, found: Found, layout: Layout, *, source: str, given_nm: float | None
    ) -> None:
        self._found = found
        self._layout = layout
        _, self.height, self.width, _ = split_axes(found.axes, found.shape, source)
        self.frames = layout.frames
        self.outer = layout.outer
        self.depth = layout.depth
        self.channels = layout.channels
        self.dtype = found.dtype
        self.axes = found.axes
        self.source = source
        names = found.channel_names
        self.channel_names = names if len(names) == layout.channels else ()
        self.notes: list[str] = [*found.notes, *layout.notes]
        self.changes: dict[str, Any] = {}
        self.z_step_nm = found.z_step_nm
        self.pixel_size_nm: float | None = None
        self.pixel_size_source = found.pixel_size_source
        if found.pixel_size_nm is not None:
            y_nm, x_nm = found.pixel_size_nm
            self.pixel_size_nm = x_nm
            if abs(y_nm - x_nm) > _ANISOTROPY * x_nm:
                self.notes.append(
                    f"pixels are {x_nm:.4g} nm along x and {y_nm:.4g} nm along y; "
                    "the size along x is used for both"
                )
            if given_nm and abs(given_nm - x_nm) > _ANISOTROPY * x_nm:
                self.notes.append(
                    f"the file states pixels of {x_nm:.4g} nm; "
                    f"{given_nm:.4g} nm is used as given"
                )
        if given_nm is not None:
            self.pixel_size_nm, self.pixel_size_source = given_nm, "given"

    def __len__(self) -> int:
        return self.frames

    @property
    def sizes(self) -> dict[str, int]:
        """Length of a frame along its letters of space, in the order z, y, x, px."""
        depth = {} if self.depth is None else {"z": self.depth}
        return depth | {"y": self.height, "x": self.width}

    def __repr__(self) -> str:
        return (
            f"<Stack {self.source!r}: {self.frames} frames of "
            f"{' x '.join(map(str, self.sizes.values()))} px, "
            f"{self.channels} channels, {self.dtype.name}>"
        )

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return frames ``start`` to ``stop``, counted from 0.

        Parameters
        ----------
        start, stop
            As in a slice; a `stop` beyond the end is cut.

        Returns
        -------
        frames : (t, [z,] y, x, c) float32
            A new array, in the units of the file.

        Raises
        ------
        BadInput
            If a frame holds NaN or infinite values, or cannot be decoded.
        ValueError
            If `start` lies outside the recording.
        """
        stop = min(stop, self.frames)
        if not 0 <= start < stop:
            raise ValueError(
                f"frames {start} to {stop} do not exist in a recording of {self.frames}"
            )
        frames = read_frames(self._found, self._layout, start, stop)
        with np.errstate(over="ignore"):  # becomes infinite, which is found below
            frames = np.array(frames, dtype=np.float32, order="C", copy=True)
        if self.dtype.kind == "f" and not np.isfinite(frames).all():
            finite = np.isfinite(frames).reshape(len(frames), -1).all(axis=1)
            number = start + int(np.argmin(finite)) + 1
            raise BadInput(
                f"frame {number} of {self.source} holds NaN or infinite values; "
                "replace them by a background value first"
            )
        return frames

    def close(self) -> None:
        """Close open files."""
        self._found.planes.close()


def open_stack(
    source: str | Path | NDArray[Any],
    *,
    pixel_size_nm: float | None = None,
    channels: int | None = 1,
    depth: bool = False,
    group: str | None = None,
) -> Stack:
    """Open a recording without reading its frames.

    Supported are TIFF, BigTIFF, ImageJ stacks and hyperstacks, OME-TIFF (one or several
    files), folders of TIFF files in natural order, ``.npy``, OME-Zarr (extra ``zarr``),
    MRC (extra ``mrc``), and arrays.  Axes before y and x count frames, except those
    that hold channels and, with `depth`, the planes of a volume; see
    `zoo.io.layout.plan`.

    Parameters
    ----------
    source
        A path, or an array (y, x), (t, y, x), (t, y, x, c) or, with `depth`, (z, y, x),
        (t, z, y, x) and so on.
    pixel_size_nm
        Edge of a pixel; overrides what the file says.
    channels
        Channels that a frame must have; None for as many as the recording declares,
        one if it declares none.
    depth
        Whether a frame is a volume rather than an image.
    group
        What images are called that are the channels of one frame without the file
        saying so, such as ``raw frames``; None if channels are declared or on an axis
        of their own.

    Returns
    -------
    stack
        Frames of the size as stored; memory does not grow with their number.

    Raises
    ------
    BadInput
        If the recording is missing, damaged, truncated, empty, of another format, a
        colour image, of another number of channels, not made of real numbers, or has a
        name that is not UTF-8.

    Examples
    --------
    >>> stack = open_stack(np.ones((5, 8, 8), "uint16"), pixel_size_nm=100)
    >>> stack.frames, stack.read(0, 2).shape
    (5, (2, 8, 8, 1))
    """
    low, high = PIXEL_SIZE_RANGE_NM
    if pixel_size_nm is not None and not low <= pixel_size_nm <= high:
        raise BadInput(
            f"the pixel size must be {low:g} to {high:g} nm, not {pixel_size_nm}"
        )
    if channels is not None and channels < 1:
        raise ValueError(f"channels must be at least 1, not {channels}")
    if isinstance(source, str | Path):
        path = Path(source)
        name = str(source)
        require_utf8(path)
        found = _open_path(path, channels, depth=depth, group=group)
    else:
        name = "array"
        array = np.asarray(source)
        check_type(array.dtype, "the array")
        found = from_array(array, channels=channels, name="the array")
    try:
        check_type(found.dtype, name)
        layout = plan(
            found.axes,
            found.shape,
            channels=channels,
            name=name,
            depth=depth,
            group=group,
            channel_names=found.channel_names,
        )
        return Stack(found, layout, source=name, given_nm=pixel_size_nm)
    except BadInput:
        found.planes.close()
        raise


def _open_path(
    path: Path, channels: int | None, *, depth: bool, group: str | None
) -> Found:
    if not path.exists():
        raise BadInput(f"{path} does not exist; check the name")
    if path.is_dir():
        markers = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
        if any((path / marker).exists() for marker in markers):
            return from_zarr(path, channels=channels)
        return open_folder(path, channels=channels, depth=depth, group=group)
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}; check its permissions"
        ) from error
    if not head:
        raise BadInput(f"{path} is an empty file; copy it again")
    if head[:4] in _TIFF_MAGIC:
        return open_tiff(path)
    if head[:6] == b"\x93NUMPY":
        return from_npy(path, channels=channels)
    if head[208:211] == b"MAP" or path.suffix.lower() in MRC_SUFFIXES:
        return from_mrc(path)
    maker, reader = _MICROSCOPES.get(path.suffix.lower(), ("", ""))
    if maker:
        arrays = f", or read it with the Python package {reader} and give zoo.load"
        raise BadInput(
            f"{path} is in a format of {maker}, which is not read here; open it in "
            "Fiji (File, Import, Bio-Formats) and save it as OME-TIFF"
            + (f"{arrays}(...).predict the array" if reader else "")
        )
    kind = next((k for m, k in _OTHER_FORMATS.items() if head.startswith(m)), None)
    raise BadInput(
        f"{path} is not a TIFF file{f' but {kind}' if kind else ''}; TIFF, .npy, "
        "OME-Zarr, MRC and folders of TIFF files can be read"
    )
