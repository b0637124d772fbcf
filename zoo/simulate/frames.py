"""Camera frames of dense emitters under conditions drawn at random."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator
from scipy.ndimage import gaussian_filter

from zoo.core.config import Config
from zoo.core.contract import CONDITION
from zoo.core.localizations import Localizations
from zoo.core.recipe import Simulation, Source
from zoo.physics.camera import Camera, EmCcd, Scmos
from zoo.physics.structures import filament_points
from zoo.simulate.measured import MeasuredFrames
from zoo.simulate.pairs import Scene, as_pair, render, within

Range = tuple[float, float]

MARGIN_PX = 5
"""Emitters this far outside a crop still shine into it."""

LABEL_SPREAD_NM = 15.0
"""Distance of a dye from the filament's axis: wall and antibodies, projected."""


class CameraPrior(Config):
    """Prior over camera parameters."""

    emccd_share: float = Field(default=0.5, ge=0, le=1)
    """Share of frames from an EM-CCD; the others come from an sCMOS camera."""
    emccd_quantum_efficiency: Range = (0.8, 0.97)
    """Electrons per photon, EM-CCD."""
    em_gain: Range = (50.0, 300.0)
    """Electron multiplication."""
    emccd_read_noise_e: Range = (20.0, 80.0)
    """Read noise behind the multiplication, electrons."""
    emccd_e_per_adu: Range = (5.0, 50.0)
    """Multiplied electrons per count."""
    scmos_quantum_efficiency: Range = (0.7, 0.95)
    """Electrons per photon, sCMOS."""
    scmos_adu_per_e: Range = (0.5, 2.5)
    """Counts per electron."""
    scmos_read_noise_e: Range = (0.8, 2.0)
    """Median read noise over pixels, electrons."""
    hot_fraction: Range = (0.0, 0.005)
    """Share of hot pixels."""
    offset_adu: Range = (90.0, 500.0)
    """Counts of a dark pixel."""
    sensors: int = Field(default=8, ge=1)
    """Number of different sCMOS sensors."""

    def draw(self, rng: np.random.Generator) -> Camera:
        """Return a camera with parameters drawn uniformly from the ranges."""
        offset = round(rng.uniform(*self.offset_adu))
        if rng.random() < self.emccd_share:
            return EmCcd(
                quantum_efficiency=rng.uniform(*self.emccd_quantum_efficiency),
                em_gain=rng.uniform(*self.em_gain),
                read_noise_e=rng.uniform(*self.emccd_read_noise_e),
                e_per_adu=rng.uniform(*self.emccd_e_per_adu),
                offset_adu=offset,
            )
        return Scmos(
            quantum_efficiency=rng.uniform(*self.scmos_quantum_efficiency),
            adu_per_e=rng.uniform(*self.scmos_adu_per_e),
            read_noise_e=rng.uniform(*self.scmos_read_noise_e),
            hot_fraction=rng.uniform(*self.hot_fraction),
            offset_adu=offset,
            sensor=int(rng.integers(self.sensors)),
        )


class DensityFrames(Source):
    """Frames of many emitters and their positions on a finer grid.

    Every frame has conditions of its own: density, background, spot width, photon
    numbers and camera.  The input is the frame scaled to about [0, 1]; the target
    holds a one in each fine pixel that contains at least one emitter, namely
    ``floor(position / fine pixel)``, so that the centre of a fine pixel is the
    unbiased estimate of the emitters in it.

    Recipe after Nehme et al. 2018 (doi:10.1364/OPTICA.5.000458), with wider ranges.
    """

    kind: Literal["density_frames"] = "density_frames"
    """Type of the source."""
    crop_px: int = Field(default=26, ge=8)
    """Edge of the training frames, camera px."""
    field_px: int = Field(default=64, ge=8)
    """Edge of the frames that ``zoo simulate`` writes, camera px."""
    scale: int = Field(default=8, ge=1)
    """Fine pixels per camera pixel along an axis."""
    pixel_size_nm: Annotated[float, CONDITION] = Field(default=100.0, gt=0)
    """Camera pixel referred to the sample, nm."""
    psf_sigma_nm: Annotated[Range, CONDITION] = (100.0, 140.0)
    """Standard deviation of a spot, uniform over frames, nm."""
    psf_sigma_spread: float = Field(default=0.03, ge=0, lt=0.5)
    """Relative standard deviation of the spot width between emitters of a frame."""
    density_per_um2: Annotated[Range, CONDITION] = (0.3, 9.0)
    """Emitters per square micrometre and frame; uniform in the square root."""
    photons: Annotated[Range, CONDITION] = (300.0, 6000.0)
    """Photons per emitter and frame at the detector, log-uniform."""
    background_photons: Annotated[Range, CONDITION] = (2.0, 150.0)
    """Photons per pixel without emitters, log-uniform."""
    filament_share: float = Field(default=0.4, ge=0, le=1)
    """Share of frames whose emitters sit on filaments."""
    empty_share: float = Field(default=0.08, ge=0, le=1)
    """Share of frames without any emitter."""
    camera: CameraPrior = CameraPrior()
    """Cameras that take the frames."""

    @field_validator("psf_sigma_nm", "density_per_um2", "photons", "background_photons")
    @classmethod
    def _rising(cls, bounds: Range) -> Range:
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of positive bounds, lower one first")
        return bounds

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a scaled frame (y, x, 1) and its spike map (8y, 8x, 1), float32."""
        scene = self.scene(rng, self.camera.draw(rng))
        return as_pair(scene, rng, scale=self.scale, pixel_size_nm=self.pixel_size_nm)

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Take a movie on one camera; every frame has conditions of its own."""
        camera = self.camera.draw(rng)
        row, column = rng.integers(512, size=2)
        edge_nm = self.field_px * self.pixel_size_nm
        counts, truth = [], []
        for number in range(1, frames + 1):
            scene = self.scene(
                rng, camera, size_px=self.field_px, origin=(int(row), int(column))
            )
            counts.append(scene.counts)
            emitters = scene.emitters.select(within(scene.emitters, edge_nm, edge_nm))
            truth.append(emitters.with_columns(frame=np.full(len(emitters), number)))
        return Simulation(
            np.stack(counts), Localizations.concatenate(truth), self.pixel_size_nm
        )

    def measured(self, folder: Path) -> "MeasuredFrames":
        """Return the source that crops a folder's ``input.tif`` and ``truth.csv``."""
        return MeasuredFrames(
            folder=folder,
            crop_px=self.crop_px,
            scale=self.scale,
            pixel_size_nm=self.pixel_size_nm,
        )

    def scene(
        self,
        rng: np.random.Generator,
        camera: Camera,
        *,
        size_px: int | None = None,
        origin: tuple[int, int] | None = None,
    ) -> Scene:
        """Draw conditions and emitters, and take the image.

        Parameters
        ----------
        rng
            Source of everything random.
        camera
            Camera to expose.
        size_px
            Edge of the frame; `crop_px` when left out.
        origin
            Corner of the frame on the sensor; random when left out.
        """
        size = self.crop_px if size_px is None else size_px
        emitters, haze = self._emitters(rng, size)
        background = np.exp(rng.uniform(*np.log(self.background_photons)))
        expected = background * _background_shape(
            rng, size, haze, edge_nm=size * self.pixel_size_nm
        )
        if len(emitters):
            expected = expected + render(
                emitters, (size, size), pixel_size_nm=self.pixel_size_nm
            )
        if origin is None:
            first, second = rng.integers(512, size=2)
            origin = (int(first), int(second))
        return Scene(camera.expose(expected, rng, origin=origin), emitters)

    def _emitters(
        self, rng: np.random.Generator, size: int
    ) -> tuple[Localizations, np.ndarray | None]:
        edge_nm = (size + 2 * MARGIN_PX) * self.pixel_size_nm
        if rng.random() < self.empty_share:
            return Localizations.empty(("x_nm", "y_nm", "photons", "sigma_nm")), None
        low, high = np.sqrt(self.density_per_um2)
        density = rng.uniform(low, high) ** 2
        count = rng.poisson(density * (edge_nm / 1000) ** 2)
        on_filaments = rng.random() < self.filament_share
        haze = None
        if on_filaments:
            points = filament_points(
                rng,
                field_nm=(edge_nm, edge_nm),
                filaments=int(rng.integers(2, 13)),
            )
            chosen = points[rng.integers(len(points), size=count)]
            x_nm, y_nm = (chosen + rng.normal(0, LABEL_SPREAD_NM, (count, 2))).T
            haze = points - MARGIN_PX * self.pixel_size_nm
        else:
            x_nm, y_nm = rng.uniform(0, edge_nm, (2, count))
        shift = MARGIN_PX * self.pixel_size_nm
        sigma = rng.uniform(*self.psf_sigma_nm)
        return (
            Localizations(
                x_nm=x_nm - shift,
                y_nm=y_nm - shift,
                photons=self._photons(rng, count),
                sigma_nm=np.clip(
                    rng.normal(sigma, self.psf_sigma_spread * sigma, count),
                    0.5 * sigma,
                    1.5 * sigma,
                ),
            ),
            haze,
        )

    def _photons(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Half of the frames have dyes of one brightness, half of any brightness."""
        low, high = np.log(self.photons)
        if rng.random() < 0.5:
            drawn = rng.normal(rng.uniform(low, high), rng.uniform(0.05, 0.5), count)
        else:
            drawn = rng.uniform(low, high, count)
        return np.exp(np.clip(drawn, low, high))


def _background_shape(
    rng: np.random.Generator, size: int, haze: np.ndarray | None, *, edge_nm: float
) -> np.ndarray:
    """Return a smooth relative background, (y, x), with a mean near one."""
    if rng.random() < 0.4:
        return np.ones((size, size))
    shape = 1.0 + 0.3 * rng.uniform(0, 1) * waves(rng, size)
    if haze is not None and rng.random() < 0.5:
        bins = np.linspace(0, edge_nm, size + 1)
        cloud = np.histogram2d(haze[:, 1], haze[:, 0], bins=(bins, bins))[0]
        cloud = gaussian_filter(cloud, rng.uniform(3, 10), mode="nearest")
        shape += rng.uniform(0, 1.0) * cloud / max(float(cloud.mean()), 1e-9)
    return np.maximum(shape, 0.1)


def waves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a few long sine waves within [-1, 1], (y, x)."""
    y, x = np.mgrid[:size, :size]
    total = np.zeros((size, size))
    for _ in range(3):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        period = rng.uniform(20.0, 100.0)
        along = np.cos(angle) * x + np.sin(angle) * y
        total += np.sin(2 * np.pi * along / period + phase)
    return total / 3
