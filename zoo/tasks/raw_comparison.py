"""Images against the raw SIM frames that they were made from, frame by frame.

``benchmarks/error_maps.py`` measures how the map follows the true error, beside that of
the widefield image (`zoo.tasks.comparison`).
"""

from typing import Any, NamedTuple

import numpy as np

from zoo.core.contract import Contract, Recording
from zoo.core.frame_pattern import Illuminated
from zoo.tasks.conditions import plain_number

RAW_ERROR_MAP = (
    "Error that the raw SIM frames show or, because of their noise, cannot exclude: "
    "root mean square of what the image, under the measured illumination pattern, does "
    "not explain of them, and of their noise in a Wiener reconstruction, in the "
    "input's intensities. Shows invented detail as fine as the pattern resolves, above "
    "that noise"
)
"""What such a map says about itself."""

RAW_MEANING = (
    "what the raw frames contradict when they are predicted from the image with the "
    "measured illumination pattern, together with the noise below which they can "
    "contradict nothing; lost and invented detail shows as finely as the pattern "
    "resolves, but finer detail, wide background and what a wrongly measured pattern "
    "brings about are not judged"
)
"""What a report says of it."""

_ENLARGED = 2  # images per pixel of the frames along an axis


class _Row(NamedTuple):
    misfit: float
    noise: float
    sharpness: float


class RawComparison:
    """Compares images with their raw frames and keeps the metrics.

    Parameters
    ----------
    recording
        Raw frames that know their illumination pattern.
    """

    def __init__(self, recording: Illuminated) -> None:
        self._recording = recording
        self._rows: list[_Row] = []

    def write(
        self, frames: np.ndarray, output: np.ndarray, errors: np.ndarray, first: int
    ) -> None:
        """Replace error maps by such of raw frames.

        Parameters
        ----------
        frames : (t, y, x, c)
            As the network takes them.
        output, errors : (t, 2y, 2x, 1)
            What the network made of them, and what is replaced.
        first
            Number of the first of these frames.
        """
        from zoo.metrics.raw_frames import raw_frame_map  # needs SciPy

        for t, (raw, image) in enumerate(zip(frames, output, strict=True)):
            pattern = self._recording.frame_pattern(first + t)
            if pattern is None:
                raise ValueError(f"the pattern of frame {first + t} is not known")
            # how sharp images are is a property of the network
            known = self._rows[0].sharpness if self._rows else None
            found = raw_frame_map(
                raw, image[..., 0], pattern, sharpness=known, out=errors[t, ..., 0]
            )
            self._rows.append(_Row(found.misfit, found.noise, found.sharpness))

    def report(self) -> dict[str, Any]:
        """Return what a report says: root mean squares in the input's intensities."""
        table = np.array(self._rows)[:, :2]
        misfit, noise = np.sqrt((table**2).mean(axis=0))
        per_frame = [
            {
                "frame": t + 1,
                "misfit": plain_number(row.misfit),
                "noise": plain_number(row.noise),
            }
            for t, row in enumerate(self._rows)
        ]
        return {
            "compared_with": "raw frames",
            "raw_frames": {
                "misfit": plain_number(float(misfit)),
                "noise": plain_number(float(noise)),
                "per_frame": per_frame,
            },
            "meaning": RAW_MEANING,
        }


def raw_comparison(recording: Recording, contract: Contract) -> RawComparison | None:
    """Return a comparison with raw frames; None where their pattern is not known.

    Parameters
    ----------
    recording
        What goes through the network.
    contract
        What the network takes and makes: one image twice as fine.
    """
    grid = contract.grid
    fits = (
        grid.output_space == "yx"
        and {grid.scale("y"), grid.scale("x")} == {_ENLARGED}
        and len(grid.outputs) == len(recording.groups) == 1
    )
    if not fits or not isinstance(recording, Illuminated):
        return None
    if recording.frame_pattern(0) is None:
        return None
    return RawComparison(recording)
