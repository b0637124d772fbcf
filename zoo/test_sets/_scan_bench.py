"""The microscopes of undersampled scans, for samples of any kind."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from zoo.core.bench import Shot, Stage
from zoo.metrics.denoising import best_denoised, bilinear
from zoo.simulate.fluorescence_scans import (
    FWHM_PER_SIGMA,
    TIME_POINTS,
    FluorescenceMovies,
    FluorescenceScans,
)
from zoo.simulate.scans import GREY_LEVELS, SCALE, Dense, Scans

FIELD_PX = 96
"""Edge of the field, coarse px: within one tile."""
MARGIN_PX = 8
"""Around it, coarse px."""

PROBE_PX = 0.8
"""Standard deviation of an electron probe, dense px."""
GROUND = 0.7
"""Grey level of a section without stain."""
STAIN = 0.45
"""Grey levels by which the darkest stain differs from it."""
SATURATED = 0.5
"""Of the brightest pixel of a sample: what takes as much stain as is possible."""

ELECTRON_LENGTHS = 0.3
"""Lengths under an electron microscope, in units of those of structured illumination:
its coarse pixels are finer by so much."""
CONFOCAL_LENGTHS = 2.0
"""The same for confocal scans, whose focus is that much wider."""

_PER_DEFOCUS = 0.7  # standard deviation of a blur per distance from the focal plane


class ScanBench(NamedTuple):
    """A `zoo.core.bench.Bench` with the middle of the conditions of `Scans`.

    Samples are stained, dark on light ground, for electron microscopes, and glow for
    confocal ones; movies show them at rest.  What an image shows out of focus or as
    background is part of its target: networks of scans leave it where it is.
    """

    conditions: Scans
    """Pixels, focus and the degradation, the first of them."""

    @property
    def photons(self) -> tuple[float, float]:
        """Signal in units of that of the trained noise: its strength is one."""
        return (1.0, 1.0)

    @property
    def scale(self) -> int:
        """Dense pixels per coarse pixel."""
        return SCALE

    @property
    def lengths(self) -> float:
        """Lengths in units of those of structured illumination."""
        return CONFOCAL_LENGTHS if self._glows else ELECTRON_LENGTHS

    def grid(self, pixel_factor: float = 1.0) -> tuple[tuple[int, int], float, int]:
        """Return shape, pixel (nm) and margin (px) of the dense grid."""
        edge = SCALE * (FIELD_PX + 2 * MARGIN_PX)
        pixel_nm = pixel_factor * self._coarse_nm / SCALE
        return (edge, edge), pixel_nm / self.lengths, SCALE * MARGIN_PX

    def shoot(
        self, stage: Stage, rng: np.random.Generator, *, pixel_factor: float = 1.0
    ) -> Shot:
        """Scan what is on the stage."""
        _, pixel_nm, margin = self.grid(pixel_factor)
        inner = slice(margin, -margin)
        image = self._seen(stage, pixel_nm)[inner, inner]
        glows = self._glows
        dense = image if glows else np.float32(GROUND) - np.float32(STAIN) * image
        moments = TIME_POINTS if isinstance(self.conditions, FluorescenceMovies) else 1
        exposures = np.repeat(dense[None], moments, axis=0)
        crappifier = self.conditions.crappifiers[0].stronger(stage.photons**-0.5)
        scan = self.conditions.degraded(
            rng, Dense(exposures, dense, self.lengths * pixel_nm), crappifier
        )
        middle = scan[moments // 2]
        floor, sign = 0.0, 1.0 if glows else -1.0
        images = {
            "bilinear": bilinear(middle, SCALE),
            "denoised": best_denoised(middle, np.asarray(dense, float)),
        }
        empty = not stage.sample.any()
        if empty:  # units of the range of the input
            low, span = float(scan.min()), max(float(np.ptp(scan)), 1 / GREY_LEVELS)
            ground = float(scan.mean())
            floor = (ground - low) / span
            images = {name: (each - ground) / span for name, each in images.items()}
        return Shot(
            input=np.moveaxis(np.round(GREY_LEVELS * scan), 0, -1)[None],
            target=np.zeros(image.shape) if empty else np.asarray(image, float),
            baselines={name: sign * each for name, each in images.items()},
            pixel_size_nm=self._coarse_nm * pixel_factor,
            floor=floor,
            inverted=not glows,
        )

    @property
    def _glows(self) -> bool:
        return isinstance(self.conditions, FluorescenceScans)

    @property
    def _coarse_nm(self) -> float:
        low, high = self.conditions.pixel_sizes_nm
        return float(np.sqrt(low * high))

    def _seen(self, stage: Stage, pixel_nm: float) -> np.ndarray:
        """Return the sample, what is out of focus and background, (Y, X) up to 1."""
        sigma = PROBE_PX
        if isinstance(self.conditions, FluorescenceScans):
            fwhm_nm = sum(self.conditions.focus_nm) / 2
            sigma = fwhm_nm / FWHM_PER_SIGMA / (self.lengths * pixel_nm)
        lit = np.asarray(stage.sample, np.float32)
        if stage.light is not None:
            lit = lit * stage.light
        image = gaussian_filter(lit, sigma)
        image /= float(image.max()) or 1.0
        if not self._glows:
            image = np.minimum(image / SATURATED, 1)
        if stage.haze is not None:
            far = _PER_DEFOCUS * stage.defocus_nm / pixel_nm
            haze = gaussian_filter(np.asarray(stage.haze, np.float32), far, mode="wrap")
            share = stage.haze_amount * float(image.mean())
            image = image + haze * np.float32(share / max(float(haze.mean()), 1e-9))
        image = image + np.float32(stage.background)
        if stage.ramp is not None:
            image = image + stage.ramp
        return np.asarray(image / max(float(image.max()), 1.0), np.float32)
