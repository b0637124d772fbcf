"""Tables of localizations as text: ThunderSTORM's columns, written and read.

Coordinates are nanometres from the outer corner of the first pixel and frames count
from 1, in the file as in `zoo.core.localizations.Localizations`.
"""

import csv
import io
import re
import warnings
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from zoo.core.closing import Closing
from zoo.core.errors import BadInput
from zoo.core.files import replacing
from zoo.core.localizations import Column, Localizations

COLUMNS: dict[str, Column] = {
    field.name: field.metadata["column"]
    for field in sorted(fields(Localizations), key=lambda f: f.name != "frame")
}
"""Columns of a table in the order of a file, and how each is written."""

_NAMES = {
    name: field
    for field, column in COLUMNS.items()
    for name in (column.name, *column.synonyms)
}
_UNITS = {
    "nm": 1.0,
    "um": 1e3,
    "µm": 1e3,
    "photon": 1.0,
    "photons": 1.0,
    "a.u": 1.0,
    "a.u.": 1.0,
    "": 1.0,
}
"""What a file may state as a unit, in nanometres or photons."""
LONGEST_HEADER = 100_000
"""Most characters in the line that names the columns."""


class LocalizationWriter(Closing):
    """Write a table piece by piece; ids go on from one piece to the next.

    Parameters
    ----------
    target
        A path, or an open text stream, which is left open.  A path is written at once
        under its own name; `write_localizations` writes whole tables safely.
    columns
        Columns of the table.  Taken from the first piece that has rows when left out.

    Raises
    ------
    ValueError
        If a piece lacks one of the columns.

    Examples
    --------
    >>> text = io.StringIO()
    >>> with LocalizationWriter(text) as writer:
    ...     writer.write(Localizations(x_nm=np.array([50.0]), y_nm=np.array([75.0])))
    >>> print(text.getvalue().strip())
    "id","frame","x [nm]","y [nm]"
    1,1,50.000,75.000
    """

    def __init__(
        self, target: str | Path | TextIO, columns: Iterable[str] | None = None
    ) -> None:
        self.count = 0
        """Rows written so far."""
        self._owned = isinstance(target, str | Path)
        if isinstance(target, str | Path):
            target = Path(target).open("w", encoding="utf-8", newline="")  # noqa: SIM115
        self._stream = target
        self._columns: tuple[str, ...] | None = None
        self._written: list[str] = []
        if columns is not None:
            self._begin(columns)

    def _begin(self, columns: Iterable[str]) -> tuple[str, ...]:
        wanted = {*columns, "frame", "x_nm", "y_nm"}
        unknown = sorted(wanted - set(COLUMNS))
        if unknown:
            raise ValueError(
                f"unknown columns {', '.join(unknown)}; known are {', '.join(COLUMNS)}"
            )
        self._columns = tuple(name for name in COLUMNS if name in wanted)
        names = ["id"]
        for name in self._columns:
            headers = COLUMNS[name].headers(planar="z_nm" not in wanted)
            names += headers
            self._written += [name] * len(headers)
        self._stream.write(",".join(f'"{name}"' for name in names) + "\n")
        return self._columns

    def write(self, table: Localizations) -> None:
        """Append the rows of a table.

        Raises
        ------
        ValueError
            If the table lacks a column of those written before.
        """
        if not len(table):
            return
        columns = self._columns or self._begin(table.columns)
        missing = [name for name in columns if name not in table.columns]
        if missing:
            raise ValueError(f"the table has no {', '.join(missing)}")
        forms = [COLUMNS[name].format for name in self._written]
        row = ",".join(["%d", *forms]) + "\n"
        ids = range(self.count + 1, self.count + 1 + len(table))
        values: list[list[Any]] = [
            getattr(table, name).tolist() for name in self._written
        ]
        self._stream.write("".join(row % v for v in zip(ids, *values, strict=True)))
        self.count += len(table)

    def close(self) -> None:
        """Finish the table; one without rows still gets its header."""
        if self._columns is None:
            self._begin(())
        if self._owned:
            self._stream.close()


def write_localizations(path: str | Path, table: Localizations) -> None:
    """Write a table with ThunderSTORM's header; only columns that exist are written.

    An existing file is replaced, when the new one is complete.

    Parameters
    ----------
    path
        Where to.
    table
        The localizations, in any order.
    """
    with (
        replacing(Path(path)) as temporary,
        LocalizationWriter(temporary, table.columns) as writer,
    ):
        writer.write(table)


def read_localizations(path: str | Path) -> Localizations:
    """Read a table written by ThunderSTORM, the localization challenges or this zoo.

    Columns are known by their names, in any order; names may be quoted as a whole or
    one by one, padded with spaces, and separated by commas, semicolons or tabs.
    Unknown columns are ignored, and so are intensities that are not in photons.
    Without a frame column, every row belongs to frame 1.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    table
        Lengths in nm, whatever unit the header states.

    Raises
    ------
    BadInput
        If the file is missing or empty, has no x and y, counts frames from 0, states
        pixels as the unit, or holds something that is not a number.
    """
    source = Path(path)
    try:
        text = source.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError as error:
        raise BadInput(f"{source} does not exist; check the name") from error
    except IsADirectoryError as error:
        raise BadInput(f"{source} is a folder; name a table") from error
    header, _, body = text.partition("\n")
    if "\0" in header or not header.strip() or len(header) > LONGEST_HEADER:
        raise BadInput(f"{source} holds no table of localizations")
    names, delimiter = _header(header)
    if all(_is_number(name) for name in names):
        raise BadInput(
            f"{source} has no header line; the first line must name the columns, "
            "such as frame,x [nm],y [nm]"
        )
    places = _places(names, source)
    values = _numbers(body, delimiter, [place for place, _ in places.values()], source)
    columns: dict[str, NDArray[Any]] = {
        name: values[:, i] * factor
        for i, (name, (_, factor)) in enumerate(places.items())
    }
    if "frame" in columns:
        columns["frame"] = _frames(columns["frame"], source)
    for name in ("x_nm", "y_nm"):
        bad = np.flatnonzero(~np.isfinite(columns[name]))
        if len(bad):
            raise BadInput(
                f"{source}: {COLUMNS[name].header} of row {bad[0] + 1} is not a number"
            )
    return Localizations(**columns)


def _header(line: str) -> tuple[list[str], str]:
    delimiter = max(",;\t", key=line.count)
    fields = next(csv.reader([line], delimiter=delimiter))
    if len(fields) == 1 or any(delimiter in field for field in fields):
        # quotes around several names: they only get in the way
        fields = line.replace('"', "").split(delimiter)
    return [field.replace('"', "").strip() for field in fields], delimiter


def _places(names: list[str], source: Path) -> dict[str, tuple[int, float]]:
    """Return where each column stands and the factor to its unit."""
    places: dict[str, tuple[int, float]] = {}
    for place, name in enumerate(names):
        match = re.fullmatch(r"([^\[\(]*)(?:[\[\(]([^\]\)]*)[\]\)])?", name.lower())
        if match is None:
            continue
        column = _NAMES.get(match.group(1).strip())
        if column is None or column in places:
            continue
        unit = (match.group(2) or "").strip().replace("μ", "µ")
        if COLUMNS[column].unit == "nm" and unit in ("px", "pixel", "pixels"):
            raise BadInput(
                f"{source}: {name!r} is in pixels; export the table in nanometres"
            )
        photons = COLUMNS[column].unit == "photon"
        if photons and unit not in ("", "photon", "photons"):
            continue
        if unit not in _UNITS:
            raise BadInput(
                f"{source}: unit of {name!r} is not known; lengths are in nm or um"
            )
        places[column] = (place, _UNITS[unit])
    missing = [name for name in ("x_nm", "y_nm") if name not in places]
    if missing:
        headers = " and ".join(COLUMNS[name].header for name in missing)
        raise BadInput(
            f"{source} has no column {headers}; "
            f"its columns are {', '.join(names)[:200]}"
        )
    return places


def _numbers(
    body: str, delimiter: str, columns: list[int], source: Path
) -> NDArray[np.float64]:
    if not body.strip():
        return np.empty((0, len(columns)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # only blank lines: no rows
            values: NDArray[np.float64] = np.loadtxt(
                io.StringIO(body),
                delimiter=delimiter,
                usecols=columns,
                quotechar='"',
                comments=None,
                ndmin=2,
            )
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise BadInput(
            f"{source} holds something that is no number: {first}"
        ) from error
    return values.reshape(-1, len(columns))


def _frames(values: NDArray[np.float64], source: Path) -> NDArray[np.int64]:
    bad = np.flatnonzero(~(np.isfinite(values) & (values == np.round(values))))
    if len(bad):
        raise BadInput(
            f"{source}: frame of row {bad[0] + 1} is {values[bad[0]]:g}; frames are "
            "whole numbers"
        )
    frames = values.astype(np.int64)
    if len(frames) and frames.min() < 1:
        raise BadInput(
            f"{source} has frame {frames.min()}; frames count from 1, add 1 if the "
            "program that wrote it counts from 0"
        )
    return frames


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
