"""Frozen test pictures of every structure at every signal level."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from zoo.core.config import Config
from zoo.core.random import generator
from zoo.physics.camera import Camera
from zoo.physics.illumination import Pattern
from zoo.physics.optics import Optics
from zoo.physics.specimens import SPECIMENS, Structure
from zoo.simulate.sim_images import (
    SimPairs,
    SimScene,
    expose,
    scaled_counts,
    scaled_target,
)

SIGNAL_LEVELS = (15.0, 25.0, 40.0, 60.0, 95.0, 150.0, 240.0, 380.0, 600.0)
"""Nine signal levels over the range of BioSR, photons per pixel on the structure."""


class BenchmarkImage(NamedTuple):
    """A test picture with all that a classical method may know about it."""

    name: str
    """Structure and signal level, such as ``er/60``."""
    structure: Structure
    """What the sample is."""
    photons: float
    """Signal level, photons per pixel on the structure and exposure."""
    input: np.ndarray
    """(y, x, 1 or 9) float32, what a network takes."""
    target: np.ndarray
    """(2y, 2x, 1) float32 between zero and one."""
    frames: np.ndarray
    """(frame, y, x) float64, photons that the camera measured."""
    optics: Optics
    """Microscope that took it."""
    pattern: Pattern
    """Stripes of the raw frames; of no meaning under even light."""
    background_photons: float
    """Even background per pixel and exposure."""


class ImageBenchmark(Config):
    """Pictures that follow from this declaration alone.

    The same samples and microscopes appear at every signal level and under both kinds
    of light; only the noise is new.
    """

    kind: Literal["image_benchmark"] = "image_benchmark"
    """Type of the test set."""
    seed: int = Field(default=20211, ge=0)
    """Seed, apart from every training seed."""
    structures: tuple[Structure, ...] = tuple(SPECIMENS)
    """Samples."""
    photon_levels: tuple[float, ...] = SIGNAL_LEVELS
    """Signal levels, photons per pixel on the structure and exposure."""
    images: int = Field(default=2, ge=1)
    """Samples of every structure."""
    conditions: SimPairs = SimPairs(crop_px=128)
    """Light, microscopes and cameras; its structures and photons play no part."""

    def pictures(self) -> Iterator[BenchmarkImage]:
        """Simulate one picture after the other, structure by structure."""
        order = list(SPECIMENS)
        for structure in self.structures:
            for image in range(self.images):
                yield from self._levels(structure, order.index(structure), image)

    def example(self) -> np.ndarray:
        """Return the counts of one of the pictures, (y, x, 1 or 9) float32.

        The first sample of the first structure at the middle signal level: a picture
        to show and to test with, made without the others.
        """
        structure = self.structures[0]
        number = list(SPECIMENS).index(structure)
        photons = sorted(self.photon_levels)[len(self.photon_levels) // 2]
        camera, origin, scene = self._sample(structure, number, 0)
        counts = self._counts(scene, camera, origin, (number, 0), photons)
        return np.ascontiguousarray(np.moveaxis(counts, 0, -1), dtype=np.float32)

    def _levels(
        self, structure: Structure, number: int, image: int
    ) -> Iterator[BenchmarkImage]:
        camera, origin, scene = self._sample(structure, number, image)
        target = scaled_target(scene)
        for photons in self.photon_levels:
            counts = self._counts(scene, camera, origin, (number, image), photons)
            yield BenchmarkImage(
                name=f"{structure}/{photons:g}",
                structure=structure,
                photons=photons,
                input=scaled_counts(counts),
                target=target,
                frames=camera.to_photons(counts, origin=origin),
                optics=scene.optics,
                pattern=scene.pattern,
                background_photons=photons * scene.background,
            )

    def _sample(
        self, structure: Structure, number: int, image: int
    ) -> tuple[Camera, tuple[int, int], SimScene]:
        """Return the camera, where on it the picture lies, and what is before it."""
        rng = generator(self.seed, number, image)
        camera = self.conditions.camera.draw(rng)
        row, column = rng.integers(512, size=2)
        scene = self.conditions.scene(rng, structure)
        return camera, (int(row), int(column)), scene

    def _counts(
        self,
        scene: SimScene,
        camera: Camera,
        origin: tuple[int, int],
        sample: tuple[int, int],
        photons: float,
    ) -> np.ndarray:
        """Return the camera frames of a sample at a signal level, (frame, y, x)."""
        noise = generator(self.seed, *sample, round(1000 * photons))
        return expose(scene, noise, camera, photons, origin=origin)
