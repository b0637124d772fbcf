"""Recordings of photons: counts of a camera turned into what networks are shown."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.inputs.recording import StackRecording

if TYPE_CHECKING:
    from zoo.io.stacks import Stack

_ABOVE = 2.0  # times the brightest background of the training: likely counts


@dataclass(frozen=True)
class Photons:
    """How counts become photons."""

    offset_adu: float = 0.0
    """Counts of a dark pixel."""
    photons_per_adu: float = 1.0
    """Photons per count."""
    known: bool = False
    """Whether the package takes photons, so that values below zero are an error."""

    def of(self, frames: np.ndarray, first: int, source: str) -> np.ndarray:
        """Return the photons of (t, ..., c) frames.

        Raises
        ------
        BadInput
            If a frame holds less than nothing.
        """
        if self.offset_adu or self.photons_per_adu != 1.0:
            frames = (frames - np.float32(self.offset_adu)) * np.float32(
                self.photons_per_adu
            )
        if not self.known:
            return frames
        means = frames.reshape(len(frames), -1).mean(axis=1)
        if means.min(initial=0.0) < 0:
            worst = int(np.argmin(means))
            remedy = "save it without subtracting the background"
            if self.offset_adu:
                remedy = f"{self.offset_adu:g} counts as --offset-adu are too many"
            raise BadInput(
                f"image {first + worst + 1} of {source} holds {means[worst]:.3g} "
                f"photons per pixel, which cannot be negative; {remedy}"
            )
        return frames


class PhotonRecording(StackRecording):
    """A stack whose counts become photons when they are read.

    Parameters
    ----------
    stack, contract, **settings
        As in `zoo.inputs.recording.StackRecording`.
    photons
        How counts become photons.
    """

    def __init__(
        self, stack: "Stack", contract: Contract, *, photons: Photons, **settings: Any
    ) -> None:
        super().__init__(stack, contract, **settings)
        self.photons = photons
        self._trained = contract.training.get("background_photons")
        self._bright = self._levels = 0
        self._highest = 0.0

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return frames, (frame, [z,] y, x, c), photons."""
        return self.photons.of(super().read(start, stop), start, self.source)

    def _note(self, frames: np.ndarray) -> None:
        """Look at the background, too: the border of a region, the most of a frame."""
        super()._note(frames)
        edges = [frames[:, [0, -1]].reshape(len(frames), -1)]
        edges.append(frames[:, :, [0, -1]].reshape(len(frames), -1))
        levels = np.median(np.concatenate(edges, axis=1), axis=1)
        self._levels += len(levels)
        if self._trained is not None:
            bright = levels > _ABOVE * self._trained[1]
            self._bright += int(np.count_nonzero(bright))
            self._highest = max(self._highest, float(levels.max(initial=0.0)))

    def warnings(self) -> list[str]:
        """Return what a user should know about the recording, one line each."""
        warnings = super().warnings()
        if self._trained is not None and self._bright > self._levels / 2:
            low, high = self._trained
            advice = "expect larger errors than stated"
            if not self.photons.offset_adu:
                advice = (
                    "if the recording holds counts, give --offset-adu and "
                    "--photons-per-adu"
                )
            warnings.append(
                f"{self._bright} of {self._levels} images have a background above "
                f"twice that of the training, {low:g} to {high:g} photons per pixel "
                f"(up to {self._highest:.3g}); {advice}"
            )
        return warnings

    def report(self) -> dict[str, Any]:
        """Return what was read and how it became photons."""
        report = super().report()
        report["options"] |= {
            "offset_adu": self.photons.offset_adu,
            "photons_per_adu": self.photons.photons_per_adu,
        }
        return report
