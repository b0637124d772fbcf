"""What a network is told of a simulated illumination pattern, with realistic errors.

``zoo predict`` estimates the pattern of a whole recording and tells the network of it
(`zoo.core.sim_pattern`); a network that learns behind that knowledge needs no search of
its own, which takes far longer than all its layers.
"""

import numpy as np
from pydantic import Field

from zoo.core.config import Config
from zoo.core.sim_pattern import PixelPattern
from zoo.physics.illumination import PHASES, Pattern
from zoo.physics.optics import Optics
from zoo.physics.resynthesis import resynthesis

_EQUAL_RAD = 0.35
"""Deviation from equal phase steps beyond which frames are rewritten."""


class PatternErrors(Config):
    """How far what is told of a pattern is from the truth."""

    vector: float = Field(default=3e-4, ge=0)
    """Standard deviation of the components of a pattern vector, cycles per pixel."""
    phase_rad: float = Field(default=0.08, ge=0)
    """Standard deviation of an orientation's phase in the middle of the image."""
    modulation: float = Field(default=0.15, ge=0)
    """Standard deviation of the logarithm of a modulation depth."""
    cutoff: float = Field(default=0.04, ge=0)
    """Standard deviation of the logarithm of the cut-off."""
    attenuation: float = Field(default=0.3, ge=0)
    """Standard deviation of the logarithm of the OTF's attenuation."""
    invisible: float = Field(default=0.05, ge=0, le=1)
    """Share of images of whose pattern nothing is known."""
    alone: float = Field(default=0.05, ge=0, le=1)
    """Share of orientations of which nothing is known although others are."""
    wrong: float = Field(default=0.03, ge=0, le=1)
    """Share of images with an orientation whose phase is any."""

    def told(
        self,
        rng: np.random.Generator,
        pattern: Pattern,
        optics: Optics,
        *,
        light: np.ndarray,
        size_px: int,
    ) -> np.ndarray:
        """Draw what a network is told of the pattern of a square image.

        Parameters
        ----------
        rng
            Source of the errors.
        pattern, optics
            The truth.
        light
            (orientation,) brightness of every orientation, 1 on average.
        size_px
            Edge of the image, camera px.

        Returns
        -------
        row : (LENGTH,) float32
            See `zoo.core.sim_pattern`.
        """
        count = len(pattern.modulations)
        steps = steps_of(pattern)
        rising = rising_of(steps)
        pixel_um = optics.pixel_nm / 1000
        vectors = rising * pattern.vectors_per_um() * pixel_um
        equal = 2 * np.pi * np.arange(PHASES) / PHASES
        seen = rising * np.array(pattern.phases_rad)[:, :PHASES]
        if not nearly_equal(steps):  # frames are rewritten, the first as it is
            seen = seen[:, :1] + equal
        phases = np.angle(np.exp(1j * (seen - equal)).sum(axis=1))
        phases = phases + rng.normal(0, self.phase_rad, count)
        wrong = np.arange(count) == rng.integers(count)
        wrong &= rng.random() < self.wrong
        phases = np.where(wrong, rng.uniform(0, 2 * np.pi, count), phases)
        off = rng.normal(0, self.vector, vectors.shape)
        # errors are those in the middle: phases are given at the corner
        phases = phases - 2 * np.pi * off.sum(axis=1) * size_px / 2
        modulations = light * np.array(pattern.modulations)
        modulations = modulations * np.exp(rng.normal(0, self.modulation, count))
        known = rng.random(count) >= self.alone
        if rng.random() < self.invisible or max(pattern.modulations) < 0.01:
            known[:] = False
        cutoff = optics.cutoff_per_um * pixel_um * np.exp(rng.normal(0, self.cutoff))
        blur_um = optics.blur_nm / 1000
        attenuation = 2 * (np.pi * blur_um * optics.cutoff_per_um) ** 2
        attenuation = attenuation * np.exp(rng.normal(0, self.attenuation))
        pattern_told = PixelPattern(
            vectors + off,
            phases,
            np.where(known, np.minimum(modulations, 1.5), 0.0),
            float(cutoff),
            float(attenuation),
        )
        if not known.any():
            pattern_told = PixelPattern.nothing_known()
        return pattern_told.row((0, 0), (size_px, size_px))


def steps_of(pattern: Pattern) -> np.ndarray:
    """Return by what the phases of an orientation differ, (orientation, phase), rad."""
    phases = np.array(pattern.phases_rad)
    return phases - phases[:, :1]


def rising_of(steps_rad: np.ndarray) -> np.ndarray:
    """Return 1 where phases rise along an orientation's frames, else -1, (n, 1)."""
    return np.where(np.sin(steps_rad[:, 1:2]) > 0, 1.0, -1.0)


def nearly_equal(steps_rad: np.ndarray) -> bool:
    """Tell whether steps are equal but for what frames are not rewritten for."""
    count = steps_rad.shape[1]
    away = steps_rad - rising_of(steps_rad) * (2 * np.pi * np.arange(count) / count)
    return bool(np.abs(np.angle(np.exp(1j * away))).max() < _EQUAL_RAD)


def rewritten(frames: np.ndarray, pattern: Pattern) -> np.ndarray:
    """Return (y, x, frame) frames with equal phase steps, as prediction rewrites them.

    Frames whose steps are equal, or nearly so, stay as they are.
    """
    steps = steps_of(pattern)
    if nearly_equal(steps):
        return frames
    return (frames @ resynthesis(rising_of(steps) * steps)).astype(np.float32)
