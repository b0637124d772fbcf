"""Frozen test sets: recordings that follow from a declaration alone."""

from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from zoo.core.config import Config
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.physics.camera import Camera, EmCcd, Scmos
from zoo.simulate.frames import MARGIN_PX
from zoo.simulate.pairs import render, within

CAMERAS: dict[str, Camera] = {"emccd": EmCcd(), "scmos": Scmos()}
"""The two test cameras: the challenge's EM-CCD and a front-illuminated sCMOS."""


class BenchmarkRecording(NamedTuple):
    """A simulated movie under one condition."""

    name: str
    """Group and condition, such as ``density/3``."""
    camera: str
    """Key of `CAMERAS`."""
    counts: np.ndarray
    """(t, y, x) uint16."""
    truth: Localizations
    """Emitters inside the field, frames from 1."""


class DensityBenchmark(Config):
    """Recordings of uniformly distributed emitters, each condition on both cameras.

    *density* – frames at several emitter densities; *photons* – emitters on a
    jittered lattice, too far apart to overlap, at several brightnesses; *empty* –
    background only.
    """

    kind: Literal["density_benchmark"] = "density_benchmark"
    """Type of the test set."""
    seed: int = 20181
    """Seed, apart from every training seed."""
    field_px: int = Field(default=64, ge=16)
    """Edge of the frames, camera px."""
    pixel_size_nm: float = 100.0
    """Camera pixel, nm."""
    psf_sigma_nm: float = 110.0
    """Standard deviation of a spot, nm."""
    photons: float = 2250.0
    """Photons per emitter and frame."""
    background_photons: float = 20.0
    """Photons per pixel without emitters."""
    densities_per_um2: tuple[float, ...] = (1.0, 3.0, 6.0)
    """Emitters per square micrometre and frame."""
    frames: int = Field(default=60, ge=1)
    """Frames per density and camera."""
    photon_levels: tuple[float, ...] = (500.0, 1000.0, 2250.0, 5000.0)
    """Photons of the isolated emitters."""
    isolated_frames: int = Field(default=20, ge=1)
    """Frames per brightness and camera."""
    spacing_px: int = Field(default=13, ge=8)
    """Lattice constant of the isolated emitters, camera px."""
    empty_frames: int = Field(default=100, ge=1)
    """Frames without emitters per camera."""

    def recordings(self) -> list[BenchmarkRecording]:
        """Simulate the whole set; equal declarations give equal counts."""
        made = []
        for index, camera in enumerate(CAMERAS):
            for number, density in enumerate(self.densities_per_um2):
                rng = generator(self.seed, 1, number, index)
                made.append(self.density(rng, camera, density))
            for number, photons in enumerate(self.photon_levels):
                rng = generator(self.seed, 2, number, index)
                made.append(self._isolated(rng, camera, photons))
            rng = generator(self.seed, 3, 0, index)
            none = [Localizations.empty()] * self.empty_frames
            made.append(self._record(rng, "empty/all", camera, none))
        return made

    def density(
        self, rng: np.random.Generator, camera: str, density: float
    ) -> BenchmarkRecording:
        """Simulate the frames of one density on one camera."""
        edge_px = self.field_px + 2 * MARGIN_PX
        mean = density * (edge_px * self.pixel_size_nm / 1000) ** 2
        frames = []
        for _ in range(self.frames):
            count = rng.poisson(mean)
            x_px, y_px = rng.uniform(-MARGIN_PX, self.field_px + MARGIN_PX, (2, count))
            frames.append(self._emitters(x_px, y_px, self.photons))
        return self._record(rng, f"density/{density:g}", camera, frames)

    def _isolated(
        self, rng: np.random.Generator, camera: str, photons: float
    ) -> BenchmarkRecording:
        first = self.spacing_px / 2
        nodes = np.arange(first, self.field_px - first / 2, self.spacing_px)
        y_px, x_px = (axis.ravel() for axis in np.meshgrid(nodes, nodes, indexing="ij"))
        frames = []
        for _ in range(self.isolated_frames):
            dx, dy = rng.uniform(-1, 1, (2, x_px.size))
            frames.append(self._emitters(x_px + dx, y_px + dy, photons))
        return self._record(rng, f"photons/{photons:g}", camera, frames)

    def _emitters(
        self, x_px: np.ndarray, y_px: np.ndarray, photons: float
    ) -> Localizations:
        return Localizations(
            x_nm=x_px * self.pixel_size_nm,
            y_nm=y_px * self.pixel_size_nm,
            photons=np.full(len(x_px), photons),
            sigma_nm=np.full(len(x_px), self.psf_sigma_nm),
        )

    def _record(
        self,
        rng: np.random.Generator,
        name: str,
        camera: str,
        frames: list[Localizations],
    ) -> BenchmarkRecording:
        shape = (self.field_px, self.field_px)
        edge_nm = self.field_px * self.pixel_size_nm
        counts, truth = [], []
        for number, emitters in enumerate(frames, start=1):
            expected = np.full(shape, self.background_photons)
            if len(emitters):
                expected += render(emitters, shape, pixel_size_nm=self.pixel_size_nm)
            counts.append(CAMERAS[camera].expose(expected, rng))
            kept = emitters.select(within(emitters, edge_nm, edge_nm))
            truth.append(kept.with_columns(frame=np.full(len(kept), number)))
        return BenchmarkRecording(
            name, camera, np.stack(counts), Localizations.concatenate(truth)
        )
