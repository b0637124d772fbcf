"""Coarse noisy scans and the dense clean ones they stand for."""

from abc import abstractmethod
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, SerializeAsAny, field_validator

from zoo.core.contract import CONDITION
from zoo.core.random import generator
from zoo.core.recipe import Simulation, Source
from zoo.physics.electron_images import develop, draw_look
from zoo.physics.neuropil import neuropil
from zoo.simulate.crappifiers import SCALE, Crappifier, Electron, Pssr2
from zoo.simulate.frames import Range

SCENE_PX = 1024
"""Edge of the sections that crops are cut from, dense px."""

REGISTERED_VARIANCE = 0.09
"""Variance at which samples at the centres of coarse pixels, each the mean of four
dense ones, are as noisy as those of the published function at 0.05, whose weights
wander over the tile: ``0.05 (2/3)**2 / (1/2)**2``."""

GREY_LEVELS = 255
"""Brightest grey level of the files that ``zoo simulate`` writes."""

_FINE_NM = 4.5  # dense pixel that tells fine_pixels from coarse_pixels
_ZOOM = 1.25  # by which a scene's pixels may be stretched or shrunk
_STORED = 60.0  # levels per unit in which scenes are kept


class Dense(NamedTuple):
    """A view of the sample on the dense grid."""

    exposures: np.ndarray
    """(c, Y, X) float32, what the crappifier gets, between 0 and 1; one or several
    time points."""
    truth: np.ndarray
    """(Y, X) float32, the same without noise at the middle time point."""
    pixel_nm: float
    """Edge of a dense pixel."""


class Scans(Source):
    """Scans with a quarter of the pixels along an axis, and their dense originals.

    Every pair has a view, a crappifier and a strength of its own.  Both images are
    scaled by the lowest and the highest value of the coarse one, and then dimmed alike,
    because a network sees parts of fields that were scaled as a whole.

    Clean scenes are drawn once in a process, for they are expensive, and cut, turned,
    stretched, developed and degraded anew for every pair.  Scene ``k`` depends on
    `scene_seed` and ``k`` alone.
    """

    crop_px: int = Field(default=128, ge=16, multiple_of=8)
    """Edge of the training images, coarse px."""
    field_px: int = Field(default=200, ge=16, multiple_of=8)
    """Edge of the images that ``zoo simulate`` writes, coarse px."""
    pixel_size_nm: Annotated[Range | float, CONDITION] = (8.0, 40.0)
    """Coarse pixel, log-uniform between two or the only one, nm."""
    crappifiers: tuple[SerializeAsAny[Crappifier], ...] = (Electron(),)
    """Degradations, equally often; name one twice to see it twice as often."""
    strength: Annotated[Range, CONDITION] = (0.5, 2.0)
    """Factor of the strengths of a crappifier, log-uniform."""
    brightness: Range = (0.7, 1.0)
    """Range of a training image, log-uniform, in units of that of the larger field that
    it stands for."""
    pedestal: Range = (0.0, 0.2)
    """Darkest pixel of a training image, uniform, in units of the range that its
    brightness leaves."""
    scenes: int = Field(default=64, ge=1)
    """Clean scenes in the pool."""
    scene_seed: int = Field(default=2021, ge=0)
    """Seed of the scenes, apart from that of the training."""

    @field_validator("pixel_size_nm", "strength", "brightness")
    @classmethod
    def _rising(cls, bounds: Range | float) -> Range | float:
        low, high = bounds if isinstance(bounds, tuple) else (bounds, bounds)
        if not 0 < low <= high:
            raise ValueError("must be a pair of positive bounds, lower one first")
        return bounds

    @property
    def pixel_sizes_nm(self) -> Range:
        """Finest and coarsest coarse pixel."""
        size = self.pixel_size_nm
        return size if isinstance(size, tuple) else (size, size)

    @field_validator("crappifiers")
    @classmethod
    def _some(cls, kinds: tuple[Crappifier, ...]) -> tuple[Crappifier, ...]:
        if not kinds:
            raise ValueError("must name at least one crappifier")
        return kinds

    @abstractmethod
    def view(
        self,
        rng: np.random.Generator,
        number: int,
        size_px: int,
        pixel_nm: float,
    ) -> Dense:
        """Return part of a scene.

        Parameters
        ----------
        rng
            Source of place, orientation, contrast and motion.
        number
            Number of the scene, whose pixel is at most a quarter finer or coarser.
        size_px
            Edge of the view, dense px.
        pixel_nm
            Edge of a dense pixel.
        """

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a coarse image (y, x, c) and its original (4 y, 4 x, 1), float32."""
        return self._pair(rng, int(rng.integers(self.scenes)))

    def batch(
        self, rng: np.random.Generator, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs from a few scenes: a fresh process soon has the first."""
        numbers = rng.integers(self.scenes, size=max(count // 4, 1))
        pairs = [self._pair(rng, int(numbers[i % len(numbers)])) for i in range(count)]
        return np.stack([pair[0] for pair in pairs]), np.stack([p[1] for p in pairs])

    def degraded(
        self,
        rng: np.random.Generator,
        dense: Dense,
        crappifier: Crappifier,
    ) -> np.ndarray:
        """Return the coarse images of a view, (c, y, x) float32 between 0 and 1."""
        return np.stack([crappifier(image, rng) for image in dense.exposures])

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Scan fields of one pixel size with one crappifier, in 256 grey levels."""
        pixel_nm = self._pixel_nm(rng)
        crappifier = self._crappifier(rng)
        counts, truth = [], []
        for _ in range(frames):
            number = self.scene_of(pixel_nm, rng.uniform(0, np.log(_ZOOM)))
            dense = self.view(rng, number, SCALE * self.field_px, pixel_nm)
            [coarse] = self.degraded(rng, dense, crappifier)
            counts.append(np.round(GREY_LEVELS * coarse).astype(np.uint16))
            truth.append(GREY_LEVELS * dense.truth)
        return Simulation(np.stack(counts), np.stack(truth), SCALE * pixel_nm)

    def scene_pixel_nm(self, number: int) -> float:
        """Return the dense pixel of a scene; scenes are spread over all sizes."""
        low, high = self.pixel_sizes_nm
        return low / SCALE * (high / low) ** ((number + 0.5) / self.scenes)

    def scene_name(self, number: int) -> str:
        """Return what a scene shows, in a word for scores."""
        del number
        return "scene"

    def scene_of(self, pixel_nm: float, log_coarser: float = 0.0) -> int:
        """Return the scene whose pixel is nearest to `pixel_nm` times a factor."""
        low, high = self.pixel_sizes_nm
        span = max(np.log(high / low), 1e-9)
        place = (np.log(SCALE * pixel_nm / low) + log_coarser) / span
        return int(np.clip(round(place * self.scenes - 0.5), 0, self.scenes - 1))

    def _pair(
        self, rng: np.random.Generator, number: int
    ) -> tuple[np.ndarray, np.ndarray]:
        low, high = (size / SCALE for size in self.pixel_sizes_nm)
        own = self.scene_pixel_nm(number)
        pixel_nm = float(np.clip(own * _ZOOM ** rng.uniform(-1, 1), low, high))
        dense = self.view(rng, number, SCALE * self.crop_px, pixel_nm)
        coarse = self.degraded(rng, dense, self._crappifier(rng))
        least, most = float(coarse.min()), float(coarse.max())
        span = max(most - least, 1 / GREY_LEVELS)
        gain = float(np.exp(rng.uniform(*np.log(self.brightness))))
        dark = rng.uniform(*self.pedestal) * (1 - gain)
        slope, offset = np.float32(gain / span), np.float32(dark - gain * least / span)
        scan = np.ascontiguousarray(np.moveaxis(coarse, 0, -1))
        return slope * scan + offset, (slope * dense.truth + offset)[..., None]

    def _crappifier(self, rng: np.random.Generator) -> Crappifier:
        kind = self.crappifiers[int(rng.integers(len(self.crappifiers)))]
        return kind.stronger(float(np.exp(rng.uniform(*np.log(self.strength)))))

    def _pixel_nm(self, rng: np.random.Generator) -> float:
        return float(np.exp(rng.uniform(*np.log(self.pixel_sizes_nm)))) / SCALE


class ElectronScans(Scans):
    """Sections of brain tissue under an electron microscope.

    The degradations are the published one for electron microscopy, registered, and
    PSSR2's (Fang et al. 2021, doi:10.1038/s41592-021-01080-z).
    """

    kind: Literal["electron_scans"] = "electron_scans"
    """Type of the source."""
    crappifiers: tuple[SerializeAsAny[Crappifier], ...] = (
        Electron(sampling="centres", variance=REGISTERED_VARIANCE),
        Electron(sampling="centres", variance=REGISTERED_VARIANCE),
        Electron(sampling="centres", variance=REGISTERED_VARIANCE),
        Electron(sampling="rescale", variance=REGISTERED_VARIANCE),
        Pssr2(gaussian=20.0),
    )
    """Degradations, equally often; name one twice to see it twice as often."""

    def scene_name(self, number: int) -> str:
        """Return whether pixels are finer than most or coarser."""
        finest = self.scene_pixel_nm(number) < _FINE_NM
        return "fine_pixels" if finest else "coarse_pixels"

    def view(
        self,
        rng: np.random.Generator,
        number: int,
        size_px: int,
        pixel_nm: float,
    ) -> Dense:
        """Return part of a section as a microscope of its own would show it."""
        scene_nm = self.scene_pixel_nm(number)
        layers = section_layers(self.scene_seed, number, scene_nm)
        look = draw_look(rng)
        weights = (-look.membrane, -look.dense, look.cytoplasm)
        place = Place.draw(rng, size_px, pixel_nm / scene_nm, scene_px=SCENE_PX)
        image = np.full((size_px, size_px), look.level, np.float32)
        for layer, weight, offset in zip(layers, weights, (0, 0, 128), strict=True):
            part = place.cut(layer).astype(np.float32) - np.float32(offset)
            image += np.float32(weight / _STORED) * place.resampled(part)
        image = develop(rng, place.turned(image), look)
        grain = np.float32(look.grain) * rng.standard_normal(image.shape, np.float32)
        return Dense(np.clip(image + grain, 0, 1)[None], image, pixel_nm)


class Place(NamedTuple):
    """Where in a scene a view lies, and how it is turned."""

    top: float
    left: float
    """Corner, scene px."""
    size_px: int
    """Edge of the view, px."""
    step: float
    """Scene pixels per pixel of the view."""
    turns: int
    """Quarter turns."""
    mirrored: bool
    """Whether columns are reversed."""

    @classmethod
    def draw(
        cls, rng: np.random.Generator, size_px: int, step: float, *, scene_px: int
    ) -> "Place":
        """Draw a place; a view larger than the scene is stretched to fit."""
        room = scene_px - 2
        step = min(step, room / size_px)
        top, left = rng.uniform(0, room - size_px * step, 2) + 0.5
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        return cls(float(top), float(left), size_px, step, turns, mirrored)

    def cut(self, scene: np.ndarray) -> np.ndarray:
        """Return the part of a scene (Y, X) that is needed."""
        reach = int(np.ceil(self.size_px * self.step)) + 2
        top, left = int(self.top), int(self.left)
        return scene[top : top + reach, left : left + reach]

    def resampled(self, part: np.ndarray) -> np.ndarray:
        """Return a cut part on the grid of the view, by linear interpolation."""
        matrices: list[np.ndarray] = []
        for corner, length in zip((self.top, self.left), part.shape, strict=True):
            place = (np.arange(self.size_px) + 0.5) * self.step - 0.5 + corner % 1
            place = np.clip(place, 0, length - 1.001)
            before = place.astype(int)
            share = (place - before).astype(np.float32)
            matrix = np.zeros((self.size_px, length), np.float32)
            rows = np.arange(self.size_px)
            matrix[rows, before], matrix[rows, before + 1] = 1 - share, share
            matrices.append(matrix)
        return matrices[0] @ part @ matrices[1].T

    def turned(self, image: np.ndarray) -> np.ndarray:
        """Return a view turned and mirrored."""
        image = np.rot90(image, self.turns)
        return np.ascontiguousarray(image[:, ::-1] if self.mirrored else image)


@lru_cache(maxsize=128)
def section_layers(seed: int, number: int, pixel_nm: float) -> np.ndarray:
    """Draw a scene of neuropil: (3, Y, X) uint8 membrane, dense and cytoplasm.

    Stored in steps of a sixtieth; the cytoplasm around 128.
    """
    rng = generator(seed, number)
    section = neuropil(rng, (SCENE_PX, SCENE_PX), pixel_nm=pixel_nm)
    layers = (section.membrane, section.dense, section.cytoplasm + 128 / _STORED)
    stored = np.stack([np.clip(np.round(_STORED * layer), 0, 255) for layer in layers])
    return stored.astype(np.uint8)
