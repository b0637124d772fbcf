"""The table of emitters, and the one place that defines the coordinate origin.

Coordinates are nanometres from the **outer corner of the first pixel**: pixel
``i`` covers ``[i, i + 1) * pixel_size_nm`` and its centre lies at
``(i + 1/2) * pixel_size_nm``.  x runs along columns, y along rows, z points from
the coverslip into the sample.  Frames count from 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple, Self, cast

import numpy as np


class Column(NamedTuple):
    """How a column of emitters stands in a file."""

    name: str
    """Name in ThunderSTORM's header, without the unit."""
    unit: str
    """Unit in that header; empty if there is none."""
    format: str
    """How a value is written."""
    synonyms: tuple[str, ...] = ()
    """Names under which it is read, too."""
    planar: str = ""
    """Name under which it is written a second time into tables without z: Picasso's
    import knows that one only, other programs the first."""

    @property
    def header(self) -> str:
        """Name and unit, such as ``x [nm]``."""
        return self._headed(self.name)

    def headers(self, *, planar: bool) -> tuple[str, ...]:
        """Return every header under which it is written.

        Examples
        --------
        >>> Column("a", "nm", "%g", planar="a_xy").headers(planar=True)
        ('a [nm]', 'a_xy [nm]')
        """
        names = (self.name, self.planar) if planar and self.planar else (self.name,)
        return tuple(map(self._headed, names))

    def _headed(self, name: str) -> str:
        return f"{name} [{self.unit}]" if self.unit else name


def _in_file(name: str, unit: str, form: str, *synonyms: str) -> dict[str, Column]:
    return {"column": Column(name, unit, form, synonyms)}


@dataclass(frozen=True, eq=False)
class Localizations:
    """Emitters, one per row; columns that do not exist are ``None``.

    Parameters
    ----------
    x_nm, y_nm
        (n,) float, nm from the outer corner of the first pixel.
    frame
        (n,) int, counted from 1; all 1 when left out.
    z_nm
        (n,) float, nm.
    sigma_nm
        (n,) float, standard deviation of the emitter's spot, nm.
    photons
        (n,) float, photons at the detector in that frame.
    background_photons
        (n,) float, photons per pixel under the emitter.
    noise_photons
        (n,) float, robust standard deviation of the pixels around the emitter from what
        was fitted to them, photons.
    uncertainty_nm
        (n,) float, expected lateral standard deviation per axis, nm.
    uncertainty_x_nm, uncertainty_y_nm, uncertainty_z_nm
        (n,) float, expected standard deviation of each coordinate, nm.
    uncertainty_photons, uncertainty_background_photons
        (n,) float, expected standard deviation of photons and background.
    chi_square
        (n,) float, mean square of the residuals in standard deviations; near 1 where
        the emitter's model describes what the camera saw.
    flags
        (n,) int, sum of what speaks against the row: 1 for a depth at or beyond the
        ends of what the network was trained on, 2 for other emitters in its region, 4
        for light that one emitter does not explain.
    wavelength_nm
        (n,) float, centroid of the emission spectrum, nm.
    response
        (n,) float, the network's own; 1 for one as strong as an ideal isolated
        emitter's.  No probability.

    Raises
    ------
    ValueError
        If columns differ in length.

    Examples
    --------
    >>> table = Localizations(x_nm=np.array([50.0, 150.0]), y_nm=np.array([50.0, 50.0]))
    >>> len(table), table.frame.tolist()
    (2, [1, 1])
    """

    x_nm: np.ndarray = field(metadata=_in_file("x", "nm", "%.3f", "xnano"))
    y_nm: np.ndarray = field(metadata=_in_file("y", "nm", "%.3f", "ynano"))
    frame: np.ndarray = field(
        default=cast("np.ndarray", None),  # filled in __post_init__
        metadata=_in_file("frame", "", "%d"),
    )
    z_nm: np.ndarray | None = field(
        default=None, metadata=_in_file("z", "nm", "%.3f", "znano")
    )
    sigma_nm: np.ndarray | None = field(
        default=None, metadata=_in_file("sigma", "nm", "%.2f")
    )
    photons: np.ndarray | None = field(
        default=None, metadata=_in_file("intensity", "photon", "%.2f", "photons")
    )
    background_photons: np.ndarray | None = field(
        default=None, metadata=_in_file("offset", "photon", "%.3f")
    )
    noise_photons: np.ndarray | None = field(
        default=None, metadata=_in_file("bkgstd", "photon", "%.3f")
    )
    uncertainty_nm: np.ndarray | None = field(
        default=None,
        metadata={
            "column": Column(
                "uncertainty", "nm", "%.3f", ("uncertainty_xy",), "uncertainty_xy"
            )
        },
    )
    uncertainty_x_nm: np.ndarray | None = field(
        default=None, metadata=_in_file("uncertainty_x", "nm", "%.3f")
    )
    uncertainty_y_nm: np.ndarray | None = field(
        default=None, metadata=_in_file("uncertainty_y", "nm", "%.3f")
    )
    uncertainty_z_nm: np.ndarray | None = field(
        default=None, metadata=_in_file("uncertainty_z", "nm", "%.3f")
    )
    uncertainty_photons: np.ndarray | None = field(
        default=None, metadata=_in_file("uncertainty_intensity", "photon", "%.2f")
    )
    uncertainty_background_photons: np.ndarray | None = field(
        default=None, metadata=_in_file("uncertainty_offset", "photon", "%.3f")
    )
    chi_square: np.ndarray | None = field(
        default=None, metadata=_in_file("chi2", "", "%.4f")
    )
    wavelength_nm: np.ndarray | None = field(
        default=None,
        metadata=_in_file(
            "wavelength", "nm", "%.2f", "centroid", "spectral_centroid", "lambda"
        ),
    )
    flags: np.ndarray | None = field(default=None, metadata=_in_file("flags", "", "%d"))
    response: np.ndarray | None = field(
        default=None, metadata=_in_file("response", "", "%.4f", "confidence")
    )

    def __post_init__(self) -> None:
        if cast("np.ndarray | None", self.frame) is None:
            object.__setattr__(self, "frame", np.ones(len(self.x_nm), int))
        for name in self.columns:
            column = np.asarray(getattr(self, name))
            if column.shape != np.shape(self.x_nm) or column.ndim != 1:
                raise ValueError(
                    f"{name} has shape {column.shape}, "
                    f"x_nm has {np.shape(self.x_nm)}; columns are one-dimensional "
                    "and equally long"
                )
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.x_nm)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that exist."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)

    @classmethod
    def empty(cls, columns: Iterable[str] = ("x_nm", "y_nm", "frame")) -> Self:
        """Return a table without rows."""
        named = {name: np.empty(0, float) for name in columns}
        return cls(**(named | {"frame": np.empty(0, int)}))

    def select(self, index: np.ndarray) -> Self:
        """Return the rows that a boolean mask or an array of positions picks."""
        return replace(
            self, **{name: getattr(self, name)[index] for name in self.columns}
        )

    def with_columns(self, **columns: np.ndarray | None) -> Self:
        """Return a copy with columns added, replaced or (``None``) removed."""
        return replace(self, **columns)

    @classmethod
    def concatenate(cls, tables: Iterable[Self]) -> Self:
        """Join tables; only columns that all of them have are kept."""
        tables = list(tables)
        if not tables:
            return cls.empty()
        common = [c for c in tables[0].columns if all(c in t.columns for t in tables)]
        return cls(
            **{c: np.concatenate([getattr(t, c) for t in tables]) for c in common}
        )
