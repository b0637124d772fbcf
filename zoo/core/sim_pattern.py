"""What a network may be told of the illumination pattern of a whole recording.

A network for raw SIM frames estimates the pattern of every tile by itself.  Who knows
more, because the pattern belongs to the recording, hands the network one row of numbers
per tile, which takes the place of the estimate.  In a Keras graph the row is the output
of the layer `ENTRANCE`; in ONNX it is an initializer of that name that callers may
override, filled with zeros, which mean "unknown".  Programs that know only the package
see one input, the frames.
"""

from typing import NamedTuple, Self

import numpy as np

ENTRANCE = "sim_pattern"
"""Name of the layer and of the initializer."""

ORIENTATIONS = 3

VECTORS = slice(0, 6)
"""Pattern vector of every orientation, y before x, cycles per pixel, in the direction
in which phases rise along its frames."""
PHASORS = slice(6, 12)
"""Cosine and sine of the phase that an orientation's first frame has in the middle of
the tile."""
MODULATION = slice(12, 15)
"""Modulation depth of every orientation, relative to the mean of all frames; 0 where no
pattern is visible: the orientation then counts as uniform illumination."""
CUTOFF = slice(15, 16)
"""Cut-off of the microscope, cycles per pixel."""
ATTENUATION = slice(16, 17)
"""Attenuation ``exp(-attenuation * nu**2)`` of its OTF besides the pupil's, for
frequencies in units of the cut-off."""
LENGTH = 17
"""Numbers in a row."""

_USUAL = (0.28, 0.43)  # cut-off and attenuation where no pattern is visible
_USUAL_LENGTH = 0.26  # of a pattern vector there, cycles per pixel


def beside(frames: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return frames with a row as the first pixels of a further channel.

    So a training hands a network both at once.

    Parameters
    ----------
    frames
        (y, x, c) float32, `LENGTH` px wide or more.
    row
        (`LENGTH`,) numbers.

    Returns
    -------
    frames : (y, x, c + 1) float32

    Examples
    --------
    >>> both = beside(np.ones((20, 20, 9), np.float32), np.arange(LENGTH))
    >>> both.shape, both[0, :4, 9].tolist()
    ((20, 20, 10), [0.0, 1.0, 2.0, 3.0])
    """
    channel = np.zeros_like(frames[..., :1])
    channel[0, :LENGTH, 0] = row
    return np.concatenate([frames, channel], axis=-1)


class PixelPattern(NamedTuple):
    """Illumination pattern of a recording in units of its pixels."""

    vectors: np.ndarray
    """(orientation, 2) pattern vectors, y before x, cycles per pixel, in the direction
    in which phases rise along an orientation's frames."""
    phases_rad: np.ndarray
    """(orientation,), phase of the first frame at the outer corner of the field."""
    modulations: np.ndarray
    """(orientation,), relative to the mean of all frames; 0 where none is visible."""
    cutoff: float
    """Cut-off of the microscope, cycles per pixel."""
    attenuation: float
    """Attenuation of its OTF, as in `ATTENUATION`."""

    @classmethod
    def nothing_known(cls) -> Self:
        """Return what a network is told where no pattern is visible.

        The vectors' length limits the frequencies of the sharpened mean.
        """
        turns = np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS
        vectors = _USUAL_LENGTH * np.stack([np.sin(turns), np.cos(turns)], axis=1)
        nothing = np.zeros(ORIENTATIONS)
        return cls(vectors, nothing, nothing, *_USUAL)

    def row(self, start: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """Return the row for a tile, (`LENGTH`,) float32.

        Parameters
        ----------
        start, size
            First pixel of the tile in the field, and its height and width, y before x.

        Examples
        --------
        >>> vectors = np.array([[0.0, 0.25]] * 3)
        >>> pattern = PixelPattern(vectors, np.zeros(3), np.ones(3), 0.3, 0.4)
        >>> row = pattern.row((0, 4), (8, 8))  # the middle is two periods away
        >>> row[PHASORS][::2].round(3).tolist()
        [1.0, 1.0, 1.0]
        """
        middle = np.array(start) + np.array(size) / 2
        phases = self.phases_rad + 2 * np.pi * (self.vectors @ middle)
        row = np.zeros(LENGTH)
        row[VECTORS] = self.vectors.ravel()
        row[PHASORS] = np.stack([np.cos(phases), np.sin(phases)], axis=1).ravel()
        row[MODULATION] = self.modulations
        row[CUTOFF] = self.cutoff
        row[ATTENUATION] = self.attenuation
        return row.astype(np.float32)
