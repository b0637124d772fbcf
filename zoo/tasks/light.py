"""Light, width and background of a network's localizations, for other programs."""

from typing import Any, NamedTuple

import numpy as np

from zoo.core.contract import Contract, Options, Range, Recording
from zoo.core.localizations import Localizations
from zoo.core.prediction import Readable

# SciPy takes a while to import: what measures is imported where measuring begins.

FRAMES = 24
"""Frames from which the width of spots is read, evenly spaced over the recording."""
LARGEST_PX = 256
"""Edge of the part of them, the middle of the field, px."""
BEYOND = 1.6
"""Factor of the trained widths beyond which what was read is taken for an error."""
HELD_PX, HELD_ROWS = 2**18, 4096
"""Pixels of frames, or localizations, that are measured at a time."""
_USUAL_PX = 1.3  # where neither recording nor training say anything


class LightOptions(Options):
    """What a user may decide about what is measured of localizations."""

    light: bool = True
    """Measure intensity, offset, sigma and bkgstd of localizations in a plane:
    photons with --photons-per-adu and --offset-adu, counts without."""


class Unit(NamedTuple):
    """How counts become what a table states."""

    offset_adu: float | None
    """Counts of a dark pixel; None if nobody says, and offsets hold them."""
    photons_per_adu: float | None
    """Photons per count; None if nobody says, and the table holds counts."""


class Light:
    """Measures localizations of consecutive frames in these.

    Positions stay; see `zoo.physics.spot_light`.  The width of the spots is read off
    the spectrum of some frames of the recording, so that it depends neither on the
    localizations nor on how many frames are predicted at a time.

    Parameters
    ----------
    recording
        What is measured; its pixel size is needed.
    contract
        With the widths of the training, if it states them.
    unit
        Of the table.
    sigma_nm
        Width of a usual spot, nm; found if left out.
    own_widths
        Whether spots may differ from it.
    """

    def __init__(
        self,
        recording: Recording,
        contract: Contract,
        unit: Unit,
        *,
        sigma_nm: float | None = None,
        own_widths: bool = True,
    ) -> None:
        self._unit, self._pixel_nm = unit, recording.pixel_size_nm["x"]
        self._own_widths, self._origin = own_widths, "--sigma-nm"
        if sigma_nm is None:
            trained = contract.training.get("psf_sigma_nm")
            sigma_nm, self._origin = usual_width_nm(recording, trained)
        self._sigma_nm = sigma_nm
        self._clear()

    def take(
        self, frames: np.ndarray, rows: Localizations, first: int
    ) -> Localizations | None:
        """Take further localizations, and return those that were measured by now.

        Some are held back, because measuring those of few frames takes as long as
        measuring those of many.

        Parameters
        ----------
        frames
            (t, y, x, c) counts, of which the first channel is looked at.
        rows
            Localizations of these frames.
        first
            Number of the first frame, from 0.
        """
        shown, index = np.unique(rows.frame, return_inverse=True)
        # copies, which do not keep all channels of all frames in memory
        self._frames.append(frames[shown - 1 - first, ..., 0])
        self._index.append(index + self._count)
        self._rows.append(rows)
        self._count += len(shown)
        pixels = self._count * frames.shape[1] * frames.shape[2]
        spots = sum(map(len, self._index))
        return self.rest() if pixels >= HELD_PX or spots >= HELD_ROWS else None

    def rest(self) -> Localizations | None:
        """Return localizations that were held back, in their order; None if none."""
        if not self._rows:
            return None
        from zoo.physics.spot_light import spot_light

        rows = Localizations.concatenate(self._rows)
        found = spot_light(
            np.concatenate(self._frames),
            np.concatenate(self._index),
            rows.x_nm / self._pixel_nm,
            rows.y_nm / self._pixel_nm,
            sigma_px=self._sigma_nm / self._pixel_nm,
            own_widths=self._own_widths,
        )
        self._clear()
        per_adu = self._unit.photons_per_adu or 1.0
        dark = self._unit.offset_adu or 0.0
        columns = {
            "photons": found.photons * per_adu,
            "background_photons": (found.background - dark) * per_adu,
            "noise_photons": found.noise * per_adu,
            "sigma_nm": found.sigma_px * self._pixel_nm,
        }
        new = {k: v for k, v in columns.items() if k not in rows.columns}
        return rows.with_columns(**new)

    def _clear(self) -> None:
        self._frames: list[np.ndarray] = []
        self._index: list[np.ndarray] = []
        self._rows: list[Localizations] = []
        self._count = 0

    def report(self) -> dict[str, Any]:
        """Return what the columns hold."""
        unit = self._unit
        return {
            "columns": ["intensity", "offset", "sigma", "bkgstd"],
            "unit": "counts" if unit.photons_per_adu is None else "photons",
            "offset_adu": unit.offset_adu,
            "offset_holds_dark_counts": unit.offset_adu is None,
            "sigma_nm": round(self._sigma_nm, 1),
            "sigma_origin": self._origin,
        }


def usual_width_nm(recording: Recording, trained: Range | None) -> tuple[float, str]:
    """Return the width of the spots of a recording, and what it was taken from.

    Parameters
    ----------
    recording
        Frames (y, x, c) of spots, of which the first channel is looked at.
    trained
        Least and largest width of the training, nm, if it is known.
    """
    pixel_nm = recording.pixel_size_nm["x"]
    low, high = trained or (_USUAL_PX * pixel_nm,) * 2
    if isinstance(recording, Readable):
        from zoo.metrics.sampling import spectral_sigma

        found_nm = spectral_sigma(_some_frames(recording)) * pixel_nm
        limits = (low / BEYOND, high * BEYOND) if trained else (0.5 * low, 2.0 * high)
        if limits[0] < found_nm < limits[1]:  # not where it is NaN
            return float(found_nm), "spectrum of the recording"
    where = "middle of the training" if trained else "usual of a camera's pixel"
    return float(np.sqrt(low * high)), where


def _some_frames(recording: Readable) -> np.ndarray:
    """Return the middle of some frames of a recording, (t, y, x) float64."""
    frames: list[np.ndarray] = []
    chosen = np.linspace(0, recording.frames - 1, FRAMES).round().astype(int)
    for number in np.unique(chosen):
        frame = recording.read(int(number), int(number) + 1)[0, ..., 0]
        frames.append(
            frame[
                tuple(
                    slice((n - min(n, LARGEST_PX)) // 2, (n + min(n, LARGEST_PX)) // 2)
                    for n in frame.shape
                )
            ]
        )
    return np.stack(frames).astype(float)
