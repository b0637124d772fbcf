"""What real raw SIM frames have beside a structure and a constant background.

Cells are stained diffusely and have bright smooth areas, light from out of focus has a
texture of its own, the orientations of the pattern are not equally bright, and some
recordings are no SIM recordings at all.
"""

import numpy as np
from pydantic import Field, field_validator
from scipy import ndimage

from zoo.core.config import Config
from zoo.physics.illumination import Pattern
from zoo.simulate.frames import Range

INVISIBLE = 1e-6
"""Modulation depth of a pattern that is not there."""


class Surroundings(Config):
    """Conditions that make raw frames harder; by default none of them is there."""

    stain: Range = (0.0, 0.0)
    """Smooth areas in focus, uniform, in units of the brightest pixel of the sample
    under the microscope; they are part of the target."""
    stain_px: Range = (8.0, 40.0)
    """Standard deviation of their smoothness, log-uniform, camera px."""
    texture: Range = (0.0, 0.0)
    """Contrast of a random texture of the light from out of focus, uniform."""
    light_ratio: Range = (1.0, 1.0)
    """Brightest orientation over the dimmest, uniform."""
    without_pattern: float = Field(default=0.0, ge=0, le=1)
    """Share of images whose frames are all under uniform illumination; their target is
    limited to what the objective transmits."""
    unequal_steps: float = Field(default=0.0, ge=0, le=1)
    """Share of images with phase steps of 72 degrees: three of five phases."""

    @field_validator("stain", "texture", "light_ratio", "stain_px")
    @classmethod
    def _rising(cls, bounds: Range) -> Range:
        if not 0 <= bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of bounds from 0, lower one first")
        return bounds

    @property
    def any(self) -> bool:
        """Whether any condition differs from the default."""
        return self != Surroundings()

    def stained(
        self, rng: np.random.Generator, sample: np.ndarray, peak: float, *, scale: int
    ) -> np.ndarray:
        """Return a sample with smooth areas added.

        Parameters
        ----------
        rng
            Source of amount and shape.
        sample
            (y, x) photons per fine pixel.
        peak
            Brightest camera pixel of the sample under the microscope.
        scale
            Fine pixels per camera pixel along an axis.
        """
        amount = rng.uniform(*self.stain)
        low, high = np.log(np.maximum(self.stain_px, 1e-3))
        sigma = scale * float(np.exp(rng.uniform(low, high)))
        area = _smooth(rng, sample.shape, sigma)
        area = np.maximum(area, 0) / max(float(area.max()), 1e-9)
        return sample + np.float32(amount * peak / scale**2) * area

    def textured(self, rng: np.random.Generator, haze: np.ndarray) -> np.ndarray:
        """Return light from out of focus with a texture, its mean unchanged."""
        contrast = np.float32(rng.uniform(*self.texture))
        grain = _smooth(rng, haze.shape, float(np.exp(rng.uniform(1.0, 3.0))))
        textured = haze * np.maximum(1 + contrast * grain, 0)
        mean = float(textured.mean())
        return textured * np.float32(float(haze.mean()) / mean) if mean else haze

    def changed(self, rng: np.random.Generator, pattern: Pattern) -> Pattern:
        """Return a pattern that may be missing or have unequal steps."""
        if rng.random() < self.without_pattern:
            flat = tuple(INVISIBLE for _ in pattern.modulations)
            return pattern.override(modulations=flat)
        if rng.random() < self.unequal_steps:
            steps = np.radians(72.0) * np.arange(len(pattern.phases_rad[0]))
            rows = tuple(tuple(row[0] + steps) for row in pattern.phases_rad)
            return pattern.override(phases_rad=rows)
        return pattern

    def gains(self, rng: np.random.Generator, orientations: int) -> np.ndarray:
        """Return the brightness of every orientation, 1 on average."""
        ratio = rng.uniform(*self.light_ratio)
        light = np.append(rng.uniform(1.0, ratio, orientations - 2), [1.0, ratio])
        rng.shuffle(light)
        return light / light.mean()


def has_pattern(pattern: Pattern) -> bool:
    """Tell whether a pattern is there at all."""
    return max(pattern.modulations) > INVISIBLE


def _smooth(
    rng: np.random.Generator, shape: tuple[int, ...], sigma_px: float
) -> np.ndarray:
    """Return smooth noise of mean 0 and standard deviation 1, float32."""
    noise = rng.normal(size=shape).astype(np.float32)
    field = ndimage.gaussian_filter(noise, sigma_px, mode="wrap")
    field -= field.mean()
    return field / np.float32(max(float(field.std()), 1e-9))
