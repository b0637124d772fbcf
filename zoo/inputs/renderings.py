"""Sparse renderings of tables, with what else a network sees beside them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from zoo.core.contract import Contract, Input, Options, Recording
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.inputs.recording import (
    StackRecording,
    check_fit,
    closing_on_error,
    open_frames,
)
from zoo.inputs.table_filters import check_unit, chosen, frameless, windows
from zoo.inputs.tables import (
    SUFFIXES,
    Drawn,
    TableOptions,
    drawn_counts,
    field_sizes,
    read_source,
    source_name,
    sources,
)
from zoo.inputs.widefield import LEAST, read_widefield, with_scaled_widefield

DRIFT_NM = 20.0
"""Drift from which a user is warned: a pixel of the renderings."""


class RenderingOptions(TableOptions):
    """What a user may decide about how tables become renderings."""

    frames: str | None = None
    """Only these frames: the first so many, such as 300, or first:last, counted
    from 1."""
    min_photons: float | None = Field(default=None, ge=0)
    """Leave localizations of fewer photons out."""
    max_uncertainty_nm: float | None = Field(default=None, gt=0)
    """Leave localizations of a larger stated uncertainty out."""
    widefield: str | None = None
    """Widefield image of the same field, for networks that see one beside the table."""
    widefield_pixel_nm: float | None = Field(default=None, gt=0)
    """Pixel of the widefield image; overrides that of its file."""
    structure: str | None = None
    """What the table shows, for networks with a switch between structures, such as
    mitochondria."""
    windows_nm: str | None = None
    """Windows of the spectral centroid that are the colors, such as 580:620,620:700."""


class Renderings(Input):
    """Localizations of one field, drawn as the channels that a network takes.

    A table becomes localizations per pixel, a further channel a widefield image of the
    same field or zero, or the localizations of one table are sorted into colours by
    their spectral centroid; several tables are a colour each.  Images whose channels
    are ready, such as renderings of another program, are taken as they come.
    """

    options: ClassVar[type[Options]] = RenderingOptions
    border: ClassVar[str] = "constant"
    kind: Literal["renderings"] = "renderings"
    pixel_size_nm: float = Field(gt=0)
    """Edge of a pixel of the renderings, nm."""
    second: Literal["none", "widefield", "colors"] = "none"
    """What further channels are: a widefield image of the field, or further colours."""
    structures: tuple[str, ...] = ()
    """Structures that a last channel switches between, in the order of its numbers from
    0; none without a switch."""

    def open(
        self,
        source: Any,
        contract: Contract,
        *,
        name: str,
        options: Options,
        pixel_size_nm: float | None = None,
    ) -> Recording:
        """Read tables or images; see `zoo.core.contract.Input.open`.

        Parameters
        ----------
        source
            Path of a table (`zoo.io.table_files.read_table`), of an image with the
            channels of the network, or of a folder of tables; `Localizations`, an array
            (n, 2) of x and y in nm or (t, y, x, c) of images; or a sequence of tables.
        contract, name, options, pixel_size_nm
            As there; a pixel size is that of images whose channels are ready.
        """
        given = (
            options
            if isinstance(options, RenderingOptions)
            else RenderingOptions.model_validate(options.model_dump())
        )
        if _is_image(source):
            return self._ready(source, contract, name, given, pixel_size_nm)
        tables = [read_source(one) for one in sources(source)]
        if not sum(map(len, tables)):
            raise BadInput(f"{source_name(source)} holds no localizations to draw")
        label = source_name(source)
        for table in tables:
            check_unit(table, label, field_um=given.field_um)
        no_frames = all(frameless(table) for table in tables)
        rows = sum(map(len, tables))
        tables = [chosen(table, given, label) for table in tables]
        if not sum(map(len, tables)):
            raise BadInput(
                f"{label}: none of {rows} localizations is left by --frames, "
                "--min-photons and --max-uncertainty-nm; let more of them through"
            )
        number = self._number(given.structure, name)
        sizes = field_sizes(tables, self.pixel_size_nm, given.field_um)
        colors = self._colors(tables, contract, name, given)
        frame = np.stack(
            [drawn_counts(table, sizes, self.pixel_size_nm) for table in colors], -1
        )
        inside = int(frame.sum())
        warnings = _table_warnings(tables, no_frames=no_frames)
        known: dict[str, Any] = {}
        if rows > sum(map(len, tables)):
            known["localizations_filtered"] = rows - sum(map(len, tables))
        if not no_frames:
            known["table_frames"] = [
                min(int(t.frame.min()) for t in tables if len(t)),
                max(int(t.frame.max()) for t in tables if len(t)),
            ]
        seen = self.second == "widefield" and given.widefield is not None
        if self.second == "widefield":
            frame, more, said = self._beside(frame, given)
            known |= more
            warnings += said
        elif given.widefield is not None:
            raise BadInput(f"{name} sees no widefield image; leave --widefield out")
        if number is not None:
            switch = np.full((*frame.shape[:-1], 1), number, frame.dtype)
            frame = np.concatenate([frame, switch], axis=-1)
            known["structure"] = self.structures[number]
        drawn = sum(map(len, colors))
        return Rendered(
            frame,
            source=label,
            pixel_size_nm=self.pixel_size_nm,
            rows=drawn,
            outside=drawn - inside,
            said=warnings,
            known=known,
            reference=1 if seen else None,
        )

    def widefield_grid_nm(self) -> float | None:
        """Return the pixel of the grid that a widefield image is brought to.

        That of the renderings, nm; None for networks that see no widefield image.
        """
        return self.pixel_size_nm if self.second == "widefield" else None

    def _number(self, structure: str | None, name: str) -> int | None:
        """Return the number of a structure; None without a switch."""
        if not self.structures:
            if structure is not None:
                raise BadInput(
                    f"{name} has no switch between structures; leave --structure out"
                )
            return None
        known = ", ".join(self.structures)
        if structure is None:
            raise BadInput(
                f"{name} must be told what the table shows; give --structure, one of "
                f"{known}"
            )
        plain = structure.strip().lower().replace("-", "_").replace(" ", "_")
        if plain not in self.structures:
            raise BadInput(f"--structure is one of {known}, not {structure}")
        return self.structures.index(plain)

    def _colors(
        self,
        tables: list[Localizations],
        contract: Contract,
        name: str,
        options: RenderingOptions,
    ) -> list[Localizations]:
        """Return the tables of the channels that hold localizations."""
        channels = contract.grid.channels
        wanted = 1 if self.second == "widefield" else len(channels)
        if self.second == "colors" and len(tables) == 1:
            bounds = windows(options.windows_nm, wanted, name)
            wavelength = tables[0].wavelength_nm
            if wavelength is None:
                raise BadInput(
                    f"{name} sorts localizations by their spectral centroid, and the "
                    "table has no column 'wavelength [nm]'; add it, or give a table "
                    "for each color"
                )
            return [
                tables[0].select((wavelength >= low) & (wavelength < high))
                for low, high in bounds
            ]
        if options.windows_nm is not None:
            raise BadInput(
                "--windows-nm sorts one table into colors; leave it out for tables "
                "that are a color each, and for networks of one"
            )
        if len(tables) != wanted:
            raise BadInput(f"{name} takes {wanted} tables, not {len(tables)}")
        return tables

    def _beside(
        self, frame: np.ndarray, options: RenderingOptions
    ) -> tuple[np.ndarray, dict[str, Any], list[str]]:
        """Return localizations and widefield image, and what is to be said of it."""
        if options.widefield is None:
            if options.widefield_pixel_nm is not None:
                raise BadInput(
                    "--widefield-pixel-nm is the pixel of an image; give that with "
                    "--widefield"
                )
            missing = np.zeros_like(frame)
            return np.concatenate([frame, missing], axis=-1), {"widefield": None}, []
        found = read_widefield(
            options.widefield,
            frame[..., 0],
            pixel_size_nm=self.pixel_size_nm,
            own_pixel_nm=options.widefield_pixel_nm,
        )
        known = {
            "widefield": {
                "source": str(options.widefield),
                "pixel_size_nm": found.pixel_size_nm,
                "correlation": None
                if np.isnan(found.correlation)
                else round(found.correlation, 4),
                "shift_nm": [round(nm, 1) for nm in found.shift_nm],
            }
        }
        warnings: list[str] = []
        if not found.correlation >= LEAST:
            warnings.append(
                f"the widefield image and the localizations correlate by "
                f"{found.correlation:.2f} only: another field, pixel size or "
                "orientation; leave --widefield out or give the right image"
            )
        joined = np.concatenate([frame, found.image[..., None]], axis=-1)
        return joined, known, warnings

    def _ready(
        self,
        source: Any,
        contract: Contract,
        name: str,
        options: RenderingOptions,
        pixel_size_nm: float | None,
    ) -> Recording:
        """Open images that hold the channels of the network already."""
        plain = RenderingOptions()
        for field in RenderingOptions.model_fields:
            if getattr(options, field) != getattr(plain, field):
                flag = field.replace("_", "-")
                raise BadInput(
                    f"{source_name(source)} is an image and no table; leave --{flag} "
                    "out"
                )
        channels = len(contract.grid.channels)
        stack = open_frames(
            source, contract, channels=channels, pixel_size_nm=pixel_size_nm
        )
        with closing_on_error(stack):
            check_fit(stack, contract, name=name, channels=channels)
            arrange: Callable[[np.ndarray], np.ndarray] | None = None
            seen = False
            if self.second == "widefield":
                arrange = with_scaled_widefield
                seen = bool(np.ptp(stack.read(0, 1)[..., 1]))
            return ReadyRenderings(
                stack,
                contract,
                scaling=None,
                groups=(slice(0, channels),),
                diffraction_limited=seen,
                arrange=arrange,
            )


class Rendered(Drawn):
    """A drawn table with what stands beside it.

    Parameters
    ----------
    frame, source, pixel_size_nm, rows, outside
        As for `zoo.inputs.tables.Drawn`.
    said
        Warnings.
    known
        Entries of the report about the input.
    reference
        Channel that is a diffraction-limited image of the field, if there is one.
    """

    def __init__(
        self,
        frame: np.ndarray,
        *,
        source: str,
        pixel_size_nm: float,
        rows: int,
        outside: int,
        said: list[str],
        known: dict[str, Any],
        reference: int | None,
    ) -> None:
        super().__init__(
            frame,
            source=source,
            pixel_size_nm=pixel_size_nm,
            rows=rows,
            outside=outside,
        )
        self._said, self._known, self._reference = said, known, reference

    def reference(self, frames: np.ndarray) -> np.ndarray | None:
        """Return the widefield image, if there is one."""
        if self._reference is None:
            return None
        return frames[..., self._reference, None].astype(float)

    def warnings(self) -> list[str]:
        """Return what a user should know about table and widefield image."""
        return [*super().warnings(), *self._said]

    def report(self) -> dict[str, Any]:
        """Return what was drawn."""
        report = super().report()
        report["input"] |= self._known
        return report


class ReadyRenderings(StackRecording):
    """Images whose channels are renderings, and perhaps a widefield image."""

    def reference(self, frames: np.ndarray) -> np.ndarray | None:
        """Return the second channel, if it is a widefield image."""
        if not self._diffraction_limited:
            return None
        return frames[..., 1:2].astype(float)

    def warnings(self) -> list[str]:
        """Return what a user should know; a missing widefield image is none of it."""
        return list(self.stack.notes)


def _is_image(source: Any) -> bool:
    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_dir():
            return not any(p.suffix.lower() in SUFFIXES for p in path.iterdir())
        return path.suffix.lower() not in SUFFIXES
    return np.ndim(getattr(source, "array", source)) > 2 if _is_array(source) else False


def _is_array(source: Any) -> bool:
    return isinstance(source, np.ndarray) or hasattr(source, "__array__")


def _table_warnings(tables: list[Localizations], *, no_frames: bool) -> list[str]:
    """Return what a user should know about tables: frames that are missing, drift."""
    if no_frames:
        return [
            "the table has no frames: a part of the recording cannot be chosen with "
            "--frames, and drift cannot be measured"
        ]
    from zoo.metrics.drift import measured_drift

    warnings: list[str] = []
    for table in tables:
        drift = measured_drift(table)
        if drift is not None and drift.length_nm > DRIFT_NM:
            warnings.append(
                f"structures drift by about {drift.length_nm:.0f} nm from the first to "
                "the last third of the frames; correct the drift of the table first"
            )
    return warnings
