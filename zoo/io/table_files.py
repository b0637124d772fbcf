"""Tables of localizations as other programs save them: text, Picasso, SMAP."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations

TEXT_SUFFIXES = frozenset({".csv", ".txt", ".tsv"})
"""Endings of tables as text."""

SUFFIXES = TEXT_SUFFIXES | {".hdf5", ".h5", ".mat"}
"""Endings of all tables."""

MOST_ROWS = 200_000_000
"""Rows beyond which a table is refused."""

_SMAP = {
    "xnm": "x_nm",
    "ynm": "y_nm",
    "znm": "z_nm",
    "frame": "frame",
    "phot": "photons",
    "bg": "background_photons",
    "locprecnm": "uncertainty_nm",
    "PSFxnm": "sigma_nm",
}
"""Columns of SMAP (Ries 2020, doi:10.1038/s41592-020-0938-1) and ours."""


def read_table(path: str | Path) -> Localizations:
    """Read a table of localizations by the ending of its name.

    ``.csv``, ``.txt`` and ``.tsv`` are text as ThunderSTORM, the localization
    challenges and this zoo write it; ``.hdf5`` and ``.h5`` are Picasso's, with the
    metadata inside or in a ``.yaml`` of the same name; ``.mat`` are SMAP's
    ``*_sml.mat``.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    table
        Lengths in nm from the outer corner of the first pixel, frames from 1.

    Raises
    ------
    BadInput
        If the file is missing, of another kind, damaged, or lacks what is needed.
    """
    source = Path(path)
    ending = source.suffix.lower()
    if ending in TEXT_SUFFIXES:
        from zoo.io.tables import read_localizations

        return read_localizations(source)
    if ending not in SUFFIXES:
        raise BadInput(
            f"{source} is no table of localizations; tables end in "
            f"{', '.join(sorted(SUFFIXES))}"
        )
    if not source.is_file():
        raise BadInput(f"{source} does not exist; check the name")
    h5py: Any = import_module("h5py")
    try:
        file: Any = h5py.File(source, "r")
    except OSError as error:
        hint = (
            "save it in MATLAB with -v7.3" if ending == ".mat" else "save it once more"
        )
        raise BadInput(f"{source} is no HDF5 file; {hint}") from error
    with file:
        return _smap(file, source) if ending == ".mat" else _picasso(file, source)


def _picasso(file: Any, source: Path) -> Localizations:
    """Return Picasso's table, whose positions are pixels from the first one's centre.

    Schnitzbauer et al. 2017 (doi:10.1038/nprot.2017.024).
    """
    rows = _array(file, "locs", source)
    names = rows.dtype.names or ()
    missing = [name for name in ("frame", "x", "y") if name not in names]
    if missing:
        raise BadInput(
            f"{source}: its table has no {', '.join(missing)}; it is not Picasso's"
        )
    pixel_nm = _pixel_nm(file, source)
    columns: dict[str, np.ndarray] = {
        "x_nm": (rows["x"].astype(float) + 0.5) * pixel_nm,
        "y_nm": (rows["y"].astype(float) + 0.5) * pixel_nm,
        "frame": rows["frame"].astype(np.int64) + 1,
    }
    for theirs, ours in (
        ("photons", "photons"),
        ("z", "z_nm"),
        ("bg", "background_photons"),
        ("bkgstd", "noise_photons"),
    ):
        if theirs in names:
            columns[ours] = rows[theirs].astype(float)
    if {"sx", "sy"} <= set(names):
        product = rows["sx"].astype(float) * rows["sy"].astype(float)
        columns["sigma_nm"] = np.sqrt(np.maximum(product, 0.0)) * pixel_nm
    if {"lpx", "lpy"} <= set(names):
        both = 0.5 * (rows["lpx"].astype(float) + rows["lpy"].astype(float))
        columns["uncertainty_nm"] = both * pixel_nm
    return _finite(columns, source)


def _smap(file: Any, source: Path) -> Localizations:
    """Return SMAP's table, whose columns are arrays of one row."""
    place = "saveloc/loc"
    if place not in file:
        raise BadInput(
            f"{source} has no {place}; save the localizations as *_sml.mat in SMAP"
        )
    columns: dict[str, np.ndarray] = {}
    for theirs, ours in _SMAP.items():
        if f"{place}/{theirs}" in file:
            values = _array(file, f"{place}/{theirs}", source)
            columns[ours] = np.asarray(values, float).ravel()
    missing = [name for name in ("x_nm", "y_nm", "frame") if name not in columns]
    if missing:
        raise BadInput(f"{source}: {place} has no {', '.join(missing)}")
    columns["frame"] = columns["frame"].astype(np.int64)
    return _finite(columns, source)


def _array(file: Any, name: str, source: Path) -> Any:
    """Return an array that lies in this file and is of a size that can be."""
    h5py: Any = import_module("h5py")
    item: Any = file.get(name)
    if not isinstance(item, h5py.Dataset):
        raise BadInput(f"{source} has no table {name!r}; check what program wrote it")
    if item.external or item.is_virtual or item.size > MOST_ROWS:
        raise BadInput(
            f"{source}: {name!r} lies in another file or has more than {MOST_ROWS} "
            "rows; export the table once more"
        )
    try:
        return item[()]
    except (OSError, TypeError, ValueError) as error:
        raise BadInput(f"{source}: {name!r} cannot be read; the file is damaged") from (
            error
        )


def _pixel_nm(file: Any, source: Path) -> float:
    """Return the camera pixel from the metadata."""
    steps: list[Any] = []
    beside = source.with_suffix(".yaml")
    if beside.is_file():
        yaml: Any = import_module("yaml")
        try:
            steps = list(yaml.safe_load_all(beside.read_text(encoding="utf-8")))
        except yaml.YAMLError as error:
            raise BadInput(f"{beside} is no YAML; save the table once more") from error
    elif "metadata" in file:
        text = _array(file, "metadata", source)
        try:
            known: Any = json.loads(text)
        except (TypeError, ValueError):
            known = []
        if isinstance(known, list):
            steps = cast("list[Any]", known)
    for step in steps:
        if not isinstance(step, dict):
            continue
        value: Any = cast("dict[str, Any]", step).get("Pixelsize")
        if isinstance(value, (int, float)) and value > 0:
            return float(value)
    raise BadInput(
        f"{source} states no Pixelsize, without which its pixels are no nanometres; "
        f"put {beside.name} beside it with a line such as 'Pixelsize: 130'"
    )


def _finite(columns: dict[str, np.ndarray], source: Path) -> Localizations:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise BadInput(f"{source}: its columns differ in length; export it once more")
    for name in ("x_nm", "y_nm"):
        bad = np.flatnonzero(~np.isfinite(columns[name]))
        if len(bad):
            raise BadInput(f"{source}: {name} of row {bad[0] + 1} is not a number")
    return Localizations(**columns)
