"""EM-CCD and sCMOS cameras: expected photons to counts and back.

Both models follow the order photons, electrons, amplification, read noise, counts.
Photons are those arriving at the detector; electrons follow after the quantum
efficiency.  EM-CCD statistics: Hirsch et al. 2013 (doi:10.1371/journal.pone.0053671);
sCMOS pixel maps: Huang et al. 2013 (doi:10.1038/nmeth.2488).
"""

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import Field

from zoo.core.config import Config
from zoo.core.random import generator

SENSOR_PX = 512
"""Edge of the simulated sCMOS sensor; larger fields repeat it."""


class Camera(Config, ABC):
    """A camera as a pair of opposite operations."""

    quantum_efficiency: float = Field(gt=0, le=1)
    """Electrons per photon."""
    spurious_e: float = Field(default=0.002, ge=0)
    """Clock-induced and dark charge per pixel and frame, electrons."""
    offset_adu: float = Field(default=100.0, ge=0)
    """Counts of a dark pixel."""
    bits: int = Field(default=16, ge=8, le=16)
    """Bits of the converter; counts are clipped to ``2**bits - 1``."""

    @abstractmethod
    def expose(
        self,
        photons: np.ndarray,
        rng: np.random.Generator,
        *,
        origin: tuple[int, int] = (0, 0),
    ) -> np.ndarray:
        """Take one noisy image.

        Parameters
        ----------
        photons
            (..., y, x) expected photons per pixel.
        rng
            Source of all noise.
        origin
            Row and column of the first pixel on the sensor.

        Returns
        -------
        counts : (..., y, x) uint16
        """

    @abstractmethod
    def to_photons(
        self, counts: np.ndarray, *, origin: tuple[int, int] = (0, 0)
    ) -> np.ndarray:
        """Return the unbiased photon estimate of (..., y, x) counts, float64."""

    def _counts(self, adu: np.ndarray) -> np.ndarray:
        return np.clip(adu, 0, 2**self.bits - 1).astype(np.uint16)


class EmCcd(Camera):
    """An electron-multiplying CCD: total variance twice that of the electrons.

    Defaults are the camera of the 2016 localization challenge (Sage et al. 2019,
    doi:10.1038/s41592-019-0364-4).
    """

    kind: Literal["emccd"] = "emccd"
    """Camera type."""
    quantum_efficiency: float = Field(default=0.9, gt=0, le=1)
    """Electrons per photon."""
    em_gain: float = Field(default=300.0, ge=1)
    """Mean multiplication."""
    read_noise_e: float = Field(default=74.4, ge=0)
    """Standard deviation of the read noise behind the multiplication, electrons."""
    e_per_adu: float = Field(default=45.0, gt=0)
    """Multiplied electrons per count."""

    def expose(
        self,
        photons: np.ndarray,
        rng: np.random.Generator,
        *,
        origin: tuple[int, int] = (0, 0),  # noqa: ARG002  every pixel is alike
    ) -> np.ndarray:
        """Take one noisy image; see `Camera.expose`."""
        electrons = rng.poisson(self.quantum_efficiency * photons + self.spurious_e)
        multiplied = rng.standard_gamma(electrons) * self.em_gain
        multiplied += rng.normal(0.0, self.read_noise_e, np.shape(photons))
        return self._counts(np.floor(multiplied / self.e_per_adu) + self.offset_adu)

    def to_photons(
        self,
        counts: np.ndarray,
        *,
        origin: tuple[int, int] = (0, 0),  # noqa: ARG002
    ) -> np.ndarray:
        """Return photons; half a count is added because counting rounds down."""
        adu = np.asarray(counts, float) - self.offset_adu + 0.5
        electrons = adu * self.e_per_adu / self.em_gain - self.spurious_e
        return electrons / self.quantum_efficiency


class Scmos(Camera):
    """An sCMOS camera with its own read noise, gain and offset in every pixel.

    The maps belong to the sensor: equal `sensor` numbers give equal maps, and an
    image is a crop of them.
    """

    kind: Literal["scmos"] = "scmos"
    """Camera type."""
    quantum_efficiency: float = Field(default=0.82, gt=0, le=1)
    """Electrons per photon."""
    adu_per_e: float = Field(default=2.17, gt=0)
    """Mean counts per electron."""
    read_noise_e: float = Field(default=1.0, ge=0)
    """Median of the read noise over pixels, electrons."""
    read_noise_spread: float = Field(default=0.35, ge=0)
    """Standard deviation of the logarithm of the read noise."""
    hot_fraction: float = Field(default=0.003, ge=0, le=1)
    """Share of pixels whose read noise is 5 to 20 electrons."""
    offset_sd_adu: float = Field(default=2.0, ge=0)
    """Standard deviation of the offset over pixels, counts."""
    gain_spread: float = Field(default=0.015, ge=0)
    """Relative standard deviation of the gain over pixels."""
    sensor: int = Field(default=0, ge=0)
    """Number that the maps are drawn from."""

    def maps(
        self, shape: tuple[int, int], *, origin: tuple[int, int] = (0, 0)
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the read noise (electrons), gain and offset (counts) of a region.

        Parameters
        ----------
        shape
            ``(height, width)``, px.
        origin
            Row and column of the first pixel on the sensor.

        Returns
        -------
        read_noise, gain, offset : (y, x) float64
            Electrons, counts per electron, counts.
        """
        noise, gain, offset = _unit_maps(self.sensor)
        rows = (origin[0] + np.arange(shape[0])) % SENSOR_PX
        columns = (origin[1] + np.arange(shape[1])) % SENSOR_PX
        region = np.ix_(rows, columns)
        hot_rank, hot_noise = _hot_pixels(self.sensor)
        read = self.read_noise_e * np.exp(self.read_noise_spread * noise[region])
        hot = hot_rank[region] < self.hot_fraction
        return (
            np.where(hot, hot_noise[region], read),
            self.adu_per_e * (1 + self.gain_spread * gain[region]),
            self.offset_adu + self.offset_sd_adu * offset[region],
        )

    def expose(
        self,
        photons: np.ndarray,
        rng: np.random.Generator,
        *,
        origin: tuple[int, int] = (0, 0),
    ) -> np.ndarray:
        """Take one noisy image; see `Camera.expose`."""
        height, width = np.shape(photons)[-2:]
        read, gain, offset = self.maps((height, width), origin=origin)
        electrons = rng.poisson(self.quantum_efficiency * photons + self.spurious_e)
        analog = electrons + rng.normal(0.0, 1.0, np.shape(photons)) * read
        return self._counts(np.round(gain * analog + offset))

    def to_photons(
        self, counts: np.ndarray, *, origin: tuple[int, int] = (0, 0)
    ) -> np.ndarray:
        """Return photons, using the maps of every pixel."""
        height, width = np.shape(counts)[-2:]
        _, gain, offset = self.maps((height, width), origin=origin)
        electrons = (np.asarray(counts, float) - offset) / gain - self.spurious_e
        return electrons / self.quantum_efficiency


@lru_cache(maxsize=8)
def _unit_maps(sensor: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = generator(2013, sensor)
    shape = (SENSOR_PX, SENSOR_PX)
    return rng.normal(size=shape), rng.normal(size=shape), rng.normal(size=shape)


@lru_cache(maxsize=8)
def _hot_pixels(sensor: int) -> tuple[np.ndarray, np.ndarray]:
    rng = generator(2018, sensor)
    shape = (SENSOR_PX, SENSOR_PX)
    return rng.random(shape), rng.uniform(5.0, 20.0, shape)
