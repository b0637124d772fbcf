"""Tables of localizations, drawn on the grid that a network takes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from zoo.core.contract import Contract, Input, Options, Origin, Recording
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.measured import Measured
from zoo.core.resampling import Resampling

SUFFIXES = frozenset({".csv", ".txt", ".tsv", ".hdf5", ".h5", ".mat"})
"""Endings by which tables, those of a folder too, are known."""


class TableOptions(Options):
    """What a user may decide about how tables are drawn."""

    field_um: float | None = Field(default=None, gt=0)
    """Edge of the square field that is drawn, µm; the table's extent by default."""


class Tables(Input):
    """Localizations of one field as a histogram: how many lie in every pixel.

    A network of several channels takes a table for each: a sequence of them, or a
    folder whose files in alphabetical order are the channels.
    """

    options: ClassVar[type[Options]] = TableOptions
    border: ClassVar[str] = "constant"
    kind: Literal["tables"] = "tables"
    pixel_size_nm: float = Field(gt=0)
    """Edge of a pixel of the histogram, nm."""

    def open(
        self,
        source: Any,
        contract: Contract,
        *,
        name: str,
        options: Options,
        pixel_size_nm: float | None = None,
    ) -> Recording:
        """Read tables and draw them; see `zoo.core.contract.Input.open`.

        Parameters
        ----------
        source
            Path of a table as `zoo.io.table_files.read_table` takes it or of a
            folder of them, `Localizations`, an array whose first two columns are x and
            y in nm, or a sequence of these.
        contract, name, options, pixel_size_nm
            As there.
        """
        grid = contract.grid
        if grid.space != "yx":
            raise BadInput(
                f"{name} takes frames along {', '.join(grid.space)}; tables are drawn "
                "along y and x"
            )
        tables = [read_source(one) for one in sources(source)]
        channels = len(grid.channels)
        if len(tables) != channels:
            raise BadInput(
                f"{name} takes {channels} tables ({', '.join(grid.channels)}), "
                f"not {len(tables)}"
            )
        rows = sum(map(len, tables))
        if not rows:
            raise BadInput(f"{source_name(source)} holds no localizations to draw")
        pixel_nm = self.pixel_size_nm if pixel_size_nm is None else pixel_size_nm
        field_um: float | None = getattr(options, "field_um", None)
        sizes = field_sizes(tables, pixel_nm, field_um)
        drawn = [drawn_counts(table, sizes, pixel_nm) for table in tables]
        frame = np.stack(drawn, axis=-1)
        return Drawn(
            frame,
            source=source_name(source),
            pixel_size_nm=pixel_nm,
            rows=rows,
            outside=rows - int(frame.sum()),
        )


class Drawn:
    """A drawn table; a `zoo.core.contract.Recording` of one frame."""

    channel_names: tuple[str, ...] = ()
    outer: tuple[tuple[str, int], ...] = (("t", 1),)
    resampling: Resampling | None = None
    origin: Origin = Origin()
    frames = 1

    def __init__(
        self,
        frame: np.ndarray,
        *,
        source: str,
        pixel_size_nm: float,
        rows: int,
        outside: int,
    ) -> None:
        self._frame = frame
        self._rows, self._outside = rows, outside
        self.source = source
        self.sizes: Mapping[str, int] = dict(zip("yx", frame.shape, strict=False))
        self.pixel_size_nm: Mapping[str, float] = {
            "y": pixel_size_nm,
            "x": pixel_size_nm,
        }
        self.groups = (slice(0, frame.shape[-1]),)

    def chunks(self, count: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the one frame."""
        del count
        yield 0, self._frame[None]

    def scaled(self, frames: np.ndarray, group: int) -> None:
        """Leave the scale to the package."""
        del frames, group

    def reference(self, frames: np.ndarray) -> np.ndarray | None:
        """Return nothing: localizations are no diffraction-limited image."""
        del frames
        return None

    def knowledge(
        self, frame: int, start: tuple[int, ...], size: tuple[int, ...]
    ) -> None:
        """Tell the network nothing beyond the drawing."""
        del frame, start, size

    def measurements(self) -> list[Measured]:
        """Return nothing: a drawing is no recording of a microscope."""
        return []

    def warnings(self) -> list[str]:
        """Return what a user should know about the table, one line each."""
        if not self._outside:
            return []
        return [
            f"{self._outside} of {self._rows} localizations lie outside the field and "
            "were left out"
        ]

    def report(self) -> dict[str, Any]:
        """Return what was drawn."""
        height, width = self.sizes["y"], self.sizes["x"]
        return {
            "input": {
                "source": self.source,
                "frames": 1,
                "height": height,
                "width": width,
                "channels": self._frame.shape[-1],
                "channels_per_run": self._frame.shape[-1],
                "localizations": self._rows,
                "pixel_size_nm": self.pixel_size_nm["x"],
                "pixel_size_source": "drawn",
            },
            "options": {"normalization": "frame"},
            "frames": 1,
        }

    def close(self) -> None:
        """Nothing is open."""


def sources(source: Any) -> list[Any]:
    """Return what holds the table of every channel."""
    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_dir():
            return sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        return [path]
    if isinstance(source, Sequence):
        return list(source)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return [source]


def read_source(source: Any) -> Localizations:
    """Return a table from a file, a table or an array of columns."""
    if isinstance(source, Localizations):
        return source
    if isinstance(source, (str, Path)):
        from zoo.io.table_files import read_table

        return read_table(source)
    columns = np.asarray(source)
    if columns.ndim != 2 or columns.shape[1] < 2 or columns.dtype.kind not in "uif":
        raise BadInput(
            "a table in memory must be numbers with x and y in nm as its first two "
            f"columns, not an array of shape {columns.shape}"
        )
    if not np.isfinite(columns[:, :2]).all():
        raise BadInput("x and y of a table must be finite; remove the other rows")
    return Localizations(x_nm=columns[:, 0], y_nm=columns[:, 1])


def field_sizes(
    tables: list[Localizations], pixel_nm: float, field_um: float | None
) -> tuple[int, int]:
    """Return height and width of the drawing, px."""
    if field_um is not None:
        edge = max(1, round(field_um * 1000 / pixel_nm))
        return edge, edge
    far = [
        max(float(getattr(table, column).max(initial=0.0)) for table in tables)
        for column in ("y_nm", "x_nm")
    ]
    # a position on the far border of a pixel belongs to the next one
    height, width = (int(np.floor(nm / pixel_nm)) + 1 for nm in far)
    return height, width


def drawn_counts(
    table: Localizations, sizes: tuple[int, int], pixel_nm: float
) -> np.ndarray:
    """Return the number of localizations in every pixel, (y, x) float32."""
    rows = np.floor(table.y_nm / pixel_nm).astype(int)
    columns = np.floor(table.x_nm / pixel_nm).astype(int)
    inside = (rows >= 0) & (rows < sizes[0]) & (columns >= 0) & (columns < sizes[1])
    flat = rows[inside] * sizes[1] + columns[inside]
    counts = np.bincount(flat, minlength=sizes[0] * sizes[1])
    return counts.reshape(sizes).astype(np.float32)


def source_name(source: Any) -> str:
    """Return what a source is called in messages."""
    return str(source) if isinstance(source, (str, Path)) else "table"
