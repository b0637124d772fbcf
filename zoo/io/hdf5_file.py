"""What an HDF5 file declares and where it leads, before an array of it is read."""

from importlib import import_module
from typing import Any

from zoo.core.errors import BadPackage

BLANK_BYTES = 2**26
"""Size of a compressed array that is believed however little is stored, bytes."""
DENSEST = 2_000
"""Most bytes per stored byte of a larger compressed array; deflate reaches 1,032."""
MOST_ENTRIES = 200_000
"""Most groups and arrays in a file."""
NUMBERS = "biufc"
"""Kinds of array that are weights; others can be larger than what is stored."""


def check_hdf5(file: Any, *, size: int, name: str) -> int:
    """Refuse an open HDF5 file that leads to others or declares more than it holds.

    Nothing but the directory is read, and no link to another file is followed.

    Parameters
    ----------
    file
        The ``h5py.File``.
    size
        Its size, bytes.
    name
        What to call it in messages.

    Returns
    -------
    values : int
        Numbers in all arrays.

    Raises
    ------
    BadPackage
        If a link or an array lies in another file, an array holds no numbers or is
        declared larger than what is stored, or all arrays together are.
    """
    h5py: Any = import_module("h5py")
    pending: list[Any] = [file["/"]]
    seen: set[int] = set()
    total = entries = values = 0
    while pending:
        group = pending.pop()
        for key in group:
            entries += 1
            if entries > MOST_ENTRIES:
                raise BadPackage(f"{name} holds more than {MOST_ENTRIES} entries")
            link: Any = group.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise BadPackage(
                    f"{name} was not read: {key!r} is a link to another file"
                )
            if not isinstance(link, h5py.HardLink):
                continue  # leads to something that is looked at, too, or to nothing
            item = group[key]
            address = int(h5py.h5o.get_info(item.id).addr)
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                pending.append(item)
            elif isinstance(item, h5py.Dataset):
                total += _checked_bytes(item, size, name)
                values += int(item.size)
    if total > size:
        raise BadPackage(
            f"{name} was not read: it declares arrays of {total:.3g} bytes, it has "
            f"{size} itself"
        )
    return values


def _checked_bytes(array: Any, size: int, name: str) -> int:
    """Return the bytes of an array that is not compressed, otherwise 0."""
    label = f"{array.name!r} of {name}"
    if array.external or array.is_virtual:
        raise BadPackage(f"{label} was not read: it lies in another file")
    if array.dtype.kind not in NUMBERS:
        raise BadPackage(f"{label} was not read: it holds no numbers")
    declared = int(array.nbytes)
    stored = int(array.id.get_storage_size())
    filtered = array.chunks is not None and (
        array.id.get_create_plist().get_nfilters() > 0
    )
    limit = max(BLANK_BYTES, DENSEST * min(stored, size)) if filtered else size
    if declared > limit:
        raise BadPackage(
            f"{label} was not read: it declares {declared:.3g} bytes and stores "
            f"{stored}"
        )
    return 0 if filtered else declared
