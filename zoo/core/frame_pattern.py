"""What a comparison of images with raw SIM frames needs to know of their pattern."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np


class FramePattern(NamedTuple):
    """Illumination pattern of the raw frames of one point of time, in their pixels."""

    channels: np.ndarray
    """(orientation, phase) int, channels of a frame as the network takes it."""
    vectors: np.ndarray
    """(orientation, 2) pattern vectors, y before x, cycles per pixel."""
    phases_rad: np.ndarray
    """(orientation, phase), phase of every frame at the outer corner of the field."""
    modulations: np.ndarray
    """(orientation,) modulation depth, relative to the mean of all frames; 0 where no
    pattern is visible."""
    cutoff: float
    """Cut-off of the microscope, cycles per pixel."""
    attenuation: float
    """Attenuation ``exp(-attenuation * nu**2)`` of its OTF besides the pupil's, for
    frequencies in units of the cut-off."""


@runtime_checkable
class Illuminated(Protocol):
    """A recording that knows its illumination pattern."""

    def frame_pattern(self, frame: int) -> FramePattern | None:
        """Return the pattern of a point of time, by its number.

        None where no pattern is visible, or parts of the field disagree about it.
        """
        ...
