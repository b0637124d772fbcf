"""The microscope of simulated widefield and SIM images, for samples of any kind."""

from typing import NamedTuple

import numpy as np

from zoo.core.bench import Shot, Stage
from zoo.metrics.baselines import (
    bicubic,
    richardson_lucy,
    richardson_lucy_iterations,
    wiener_estimated,
)
from zoo.physics.camera import Scmos
from zoo.physics.illumination import draw_pattern, sim_images, widefield_image
from zoo.physics.optics import Optics, otf_grid
from zoo.physics.sim_reconstruction import SCALE
from zoo.simulate.sim_images import MARGIN_PX, SimPairs
from zoo.simulate.sim_scenes import ideal_image, scaled_counts

_SENSOR = 11  # of the camera; no training draws it


class SimBench(NamedTuple):
    """A `zoo.core.bench.Bench` with the middle of the conditions of `SimPairs`."""

    conditions: SimPairs
    """Illumination, microscope and camera."""

    @property
    def photons(self) -> tuple[float, float]:
        """Signal levels of the training, photons per pixel on the structure."""
        return self.conditions.photons

    @property
    def scale(self) -> int:
        """Fine pixels per camera pixel."""
        return SCALE

    @property
    def lengths(self) -> float:
        """Lengths as they are."""
        return 1.0

    def grid(self, pixel_factor: float = 1.0) -> tuple[tuple[int, int], float, int]:
        """Return shape, pixel (nm) and margin (px) of the fine grid."""
        edge = SCALE * (self.conditions.crop_px + 2 * MARGIN_PX)
        pixel_nm = self.conditions.pixel_size_nm * pixel_factor / SCALE
        return (edge, edge), pixel_nm, SCALE * MARGIN_PX

    def shoot(
        self, stage: Stage, rng: np.random.Generator, *, pixel_factor: float = 1.0
    ) -> Shot:
        """Take a widefield image or nine raw frames of what is on the stage."""
        shape, fine_nm, margin = self.grid(pixel_factor)
        optics = self._optics(fine_nm * SCALE)
        transfer = otf_grid(optics, shape, pixel_nm=fine_nm)
        light = 1.0 if stage.light is None else stage.light
        sample, level = _levelled(stage.sample * light, transfer)
        uniform = widefield_image(sample, transfer, binning=SCALE)
        peak = float(uniform.max()) or 1.0
        pattern = draw_pattern(
            rng,
            frequency_per_um=_middle(self.conditions.pattern_frequency)
            * optics.cutoff_per_um,
            modulation=_middle(self.conditions.modulation),
        )
        haze = None
        blurred = transfer
        if stage.haze is not None:
            haze, _ = _levelled(stage.haze * light, transfer)
            haze = haze * np.float32(stage.haze_amount)
            blurred = otf_grid(
                optics, shape, pixel_nm=fine_nm, defocus_nm=stage.defocus_nm
            )
        if self.conditions.modality == "sim":
            frames = sim_images(
                sample,
                pattern,
                transfer,
                pixel_nm=fine_nm,
                binning=SCALE,
                origin_px=margin,
                haze=haze,
                haze_transfer=None if haze is None else blurred,
            )
        else:
            frames = uniform[None]
            if haze is not None:
                frames = frames + widefield_image(haze, blurred, binning=SCALE)
        background = stage.background * peak if level else 1.0
        inner = slice(MARGIN_PX, -MARGIN_PX)
        fine = slice(margin, -margin)
        frames = frames[:, inner, inner] + np.float32(background)
        if stage.ramp is not None:
            coarse = stage.ramp[fine, fine]
            side = len(coarse) // SCALE
            coarse = coarse.reshape(side, SCALE, side, SCALE).mean(axis=(1, 3))
            frames = frames + np.float32(peak) * coarse.astype(np.float32)
        camera = Scmos(hot_fraction=0.0005, sensor=_SENSOR)
        expected = stage.photons * np.maximum(frames, 0)
        counts = camera.expose(expected, rng)
        photons = camera.to_photons(counts)
        target = np.zeros((SCALE * len(expected[0]),) * 2)
        if level:
            target = ideal_image(sample, optics, pattern)[fine, fine]
        images = self._baselines(photons, optics, stage.photons, background)
        if not level:  # nothing to match images to: units of the input's range
            low, span = stage.photons, float(np.ptp(counts)) / camera.adu_per_e
            span /= camera.quantum_efficiency
            images = {
                name: (image * (SCALE**2 if name != "bicubic" else 1) - low) / span
                for name, image in images.items()
            }
        return Shot(
            input=scaled_counts(counts)[None],
            target=target,
            baselines=images,
            pixel_size_nm=fine_nm * SCALE,
        )

    def _optics(self, pixel_nm: float) -> Optics:
        wavelength_nm = _middle(self.conditions.wavelength_nm)
        return Optics(
            na=_middle(self.conditions.na),
            wavelength_nm=wavelength_nm,
            pixel_nm=pixel_nm,
            blur_nm=_middle(self.conditions.blur) * wavelength_nm,
        )

    def _baselines(
        self, frames: np.ndarray, optics: Optics, photons: float, background: float
    ) -> dict[str, np.ndarray]:
        """Return what classical methods make of frames that they know all about."""
        images = {"bicubic": bicubic(frames.mean(axis=0))}
        known = {"photons": photons, "background": photons * background}
        if len(frames) > 1:
            images["wiener_estimated"] = wiener_estimated(frames, optics, **known)
            return images
        # more steps bring no more detail, and take long
        steps = richardson_lucy_iterations(min(photons, self.conditions.photons[1]))
        images["richardson_lucy"] = richardson_lucy(
            frames[0], optics, iterations=steps, background=photons * background
        )
        return images


def _levelled(sample: np.ndarray, transfer: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a sample whose photons fall into pixels with one photon on average.

    With the factor that was taken out; zero for an empty sample, which stays as it is.
    """
    uniform = widefield_image(sample.astype(np.float32), transfer, binning=SCALE)
    total = float(uniform.sum())
    if not sample.any() or total <= 0:
        return sample.astype(np.float32), 0.0
    level = float((uniform**2).sum()) / total
    return (sample / level).astype(np.float32), level


def _middle(bounds: tuple[float, float]) -> float:
    """Return the middle of a range."""
    return (bounds[0] + bounds[1]) / 2
