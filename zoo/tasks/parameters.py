"""Parameters of single emitters: one row of a table for every region."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import model_validator

from zoo.core.contract import Contract, Options, Recording, Task
from zoo.core.errors import BadPackage
from zoo.core.grid import Grid
from zoo.core.localizations import Localizations
from zoo.core.names import label, near
from zoo.core.products import Panel, Product, Table
from zoo.tasks.conditions import pixel_size_warnings

COLUMNS = tuple(
    name for name in Localizations.__dataclass_fields__ if name not in ("frame",)
)
"""Columns that a network may estimate."""

_BINS = 64


class Parameters(Task):
    """A network that estimates the parameters of one emitter per region.

    x and y count from the centre of the region's central pixel, the one of index
    ``n // 2``; regions are the frames of the table, from 1.
    """

    tags: ClassVar[tuple[str, ...]] = ("localization",)
    title: ClassVar[str] = "single-molecule parameter estimation"
    texts: ClassVar[tuple[str, str]] = (
        "Region around one emitter",
        "Parameters of the emitter",
    )
    output_name: ClassVar[str] = "value"
    files: ClassVar[tuple[str, ...]] = ("localizations.csv",)

    kind: Literal["parameters"] = "parameters"
    columns: tuple[str, ...]
    """Column of the table for every output, such as ``x_nm``."""
    factors: tuple[float, ...] | None = None
    """What outputs are multiplied by to get the unit of their column; 1 if left out."""

    @model_validator(mode="after")
    def _columns_of_a_table(self) -> Self:
        for name in self.columns:
            if name not in COLUMNS:
                raise ValueError(f"there is no column {name!r}; {near(name, COLUMNS)}")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("columns must be different")
        if self.factors is not None and len(self.factors) != len(self.columns):
            raise ValueError(
                f"factors must be as many as the {len(self.columns)} columns, not "
                f"{len(self.factors)}"
            )
        return self

    def start(
        self, recording: Recording, contract: Contract, options: Options
    ) -> "_Estimating":
        """Begin to estimate; see `zoo.core.contract.Task.start`."""
        del options
        if contract.grid.output_space or len(contract.grid.outputs) != len(
            self.columns
        ):
            raise BadPackage(
                f"the package promises the columns {', '.join(self.columns)}, its "
                f"network gives {', '.join(contract.grid.outputs)} along "
                f"{', '.join(contract.grid.output_axes)}"
            )
        return _Estimating(self, recording, contract)

    def products(self, grid: Grid) -> str:
        """Return what is written, in a few words."""
        del grid
        return ", ".join(label(name)[0] for name in self.columns)


class _Estimating:
    """Estimates under way; a `zoo.core.contract.Running`."""

    def __init__(
        self, task: Parameters, recording: Recording, contract: Contract
    ) -> None:
        self._task, self._recording, self._contract = task, recording, contract
        self._factors = np.array(task.factors or (1.0,) * len(task.columns))
        self._input = np.zeros((0, 0))
        self._count = self._broken = 0
        pixel_nm = recording.pixel_size_nm.get("x", 1.0)
        sizes = recording.sizes
        # the field of the regions, seen from the centre of their central pixels
        self._field = [
            ((-(n // 2) - 0.5) * pixel_nm, (n - n // 2 - 0.5) * pixel_nm)
            for n in (sizes["y"], sizes["x"])
        ]
        self._histogram = np.zeros((_BINS, _BINS))

    def add(
        self, frames: np.ndarray, output: np.ndarray, first: int
    ) -> Iterator[Product]:
        """Turn further vectors into rows."""
        values = output.astype(float) * self._factors
        finite = np.asarray(np.isfinite(values).all(axis=1))
        self._broken += int(np.count_nonzero(~finite))
        columns = dict(zip(self._task.columns, values.T, strict=True))
        for name in ("x_nm", "y_nm"):  # the middle of the region, if not estimated
            columns.setdefault(name, np.zeros(len(values)))
        rows = Localizations(
            **columns, frame=np.arange(len(values)) + first + 1
        ).select(finite)
        image = frames.sum(axis=0, dtype=float).mean(axis=-1)
        image = image if image.ndim == 2 else image.mean(axis=0)
        self._input = image if not self._count else self._input + image
        self._count += len(frames)
        found, _, _ = np.histogram2d(
            rows.y_nm, rows.x_nm, bins=_BINS, range=self._field
        )
        self._histogram += found
        yield Table("localizations", rows)

    def finish(self) -> Iterator[Product]:
        """Yield nothing more."""
        yield from ()

    def warnings(self) -> list[str]:
        """Return what a user should know about the estimates."""
        warnings = pixel_size_warnings(
            self._recording,
            self._contract,
            "estimates will be wrong, or train for this pixel size",
        )
        if self._broken:
            warnings.append(
                f"{self._broken} of {self._count} regions gave no finite numbers and "
                "were left out"
            )
        return warnings

    def report(self) -> dict[str, Any]:
        """Return the number of rows and the columns."""
        return {
            "localizations": self._count - self._broken,
            "columns": list(self._task.columns),
        }

    def preview(self) -> list[Panel]:
        """Show the mean region and where in it emitters were found."""
        mean = (self._input / max(self._count, 1)).astype(np.float32)
        panels = [Panel(mean, f"mean of {self._count} regions")]
        if {"x_nm", "y_nm"} <= set(self._task.columns):
            panels.append(Panel(self._histogram, "positions found", "density"))
        return panels
