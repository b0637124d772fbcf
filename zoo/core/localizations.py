"""The table of emitters, and the one place that defines the coordinate origin.

Coordinates are nanometres from the **outer corner of the first pixel**: pixel
``i`` covers ``[i, i + 1) * pixel_size_nm`` and its centre lies at
``(i + 1/2) * pixel_size_nm``.  x runs along columns, y along rows, z points from
the coverslip into the sample.  Frames count from 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Self, cast

import numpy as np


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
    photons
        (n,) float, photons at the detector in that frame.
    sigma_nm
        (n,) float, standard deviation of the emitter's spot, nm.
    background_photons
        (n,) float, photons per pixel under the emitter.
    confidence
        (n,) float, 1 for a response as strong as an ideal isolated emitter's.
    uncertainty_nm
        (n,) float, expected lateral standard deviation, nm.

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

    x_nm: np.ndarray
    y_nm: np.ndarray
    frame: np.ndarray = None  # type: ignore[assignment]  # filled in __post_init__
    z_nm: np.ndarray | None = None
    photons: np.ndarray | None = None
    sigma_nm: np.ndarray | None = None
    background_photons: np.ndarray | None = None
    confidence: np.ndarray | None = None
    uncertainty_nm: np.ndarray | None = None

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
