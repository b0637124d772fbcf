"""Sparse and dense renderings of one acquisition, with a widefield image of the field.

Pairs of this kind: Ouyang et al. 2018 (doi:10.1038/nbt.4106), there from measured
tables; here dyes, blinking and errors are drawn.
"""

from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, field_validator, model_validator
from scipy.ndimage import gaussian_filter

from zoo.core.contract import CONDITION
from zoo.core.localizations import Localizations
from zoo.core.recipe import Simulation, Source
from zoo.simulate.acquisitions import Acquisition, Blinking, begin, localize
from zoo.simulate.dye_clouds import CLOUDS, CloudStructure, cloud

Range = tuple[float, float]

MARGIN_PX = 24
"""Dyes this far outside a field still shine into its widefield image."""

MOST_COUNTS = 15.0
"""Counts of the sparse rendering are clipped here: brighter is no more certain."""

TARGET_SIGMA_PX = 0.5
"""Standard deviation with which localizations are drawn in dense renderings."""

SINGLE = 0.5
"""Brightness of a single structure, such as one microtubule, in dense renderings; two
on top of each other have one, and more than two as much."""

MANY = 30_000
"""Localizations beyond which a rendering is drawn pixel by pixel."""

SWITCHED = 4
"""Structures that the switch knows, the first of `CLOUDS`; further ones are drawn for
networks without a switch."""

_BINNING = 4  # widefield images are made on pixels of 80 nm
_GREY_LEVELS = 10_000  # of a widefield image in a file


class Scene(NamedTuple):
    """An acquisition of one field and what its renderings are measured in."""

    acquisition: Acquisition
    """Dyes and conditions."""
    structure: CloudStructure
    """What carries the dyes."""
    counts: np.ndarray
    """(y, x) float32, localizations per pixel in the whole acquisition without errors,
    the margin included."""
    widefield: np.ndarray
    """(y / 4, x / 4) float32, dyes per coarse pixel, the margin included."""


class RenderingPairs(Source):
    """Renderings of few frames beside a widefield image, and of all frames.

    Inputs are localizations per pixel of a block of frames, and a widefield image
    between 0 and 1 on the same grid; one of the two may be missing, which is zero.
    Targets are renderings of the whole acquisition in units of the structure, so that
    they depend neither on the number of frames nor on what else lies in the field.
    False localizations and stray dyes are in the input alone.
    """

    kind: Literal["rendering_pairs"] = "rendering_pairs"
    """Type of the source."""
    structures: tuple[CloudStructure, ...] = ("microtubules",)
    """What carries the dyes, equally often."""
    switch: bool = False
    """Whether a third channel holds the number of the structure, 0 to 3."""
    crop_px: int = Field(default=256, ge=64, multiple_of=4)
    """Edge of the training images, px."""
    field_px: int = Field(default=512, ge=64, multiple_of=4)
    """Edge of the renderings that ``zoo simulate`` writes, px."""
    pixel_size_nm: Annotated[float, CONDITION] = Field(default=20.0, gt=0)
    """Pixel of the renderings, nm."""
    frames: Annotated[Range, CONDITION] = (60.0, 60_000.0)
    """Frames of the sparse rendering, log-uniform in some of the pairs."""
    usual_frames: Range = (100.0, 1000.0)
    """Frames in most of the pairs, log-uniform."""
    usual_share: float = Field(default=0.7, ge=0, le=1)
    """Share of those."""
    blinking: Blinking = Blinking()
    """How dyes blink and are localized."""
    without_widefield_share: float = Field(default=0.45, ge=0, le=1)
    """Share of pairs without a widefield image."""
    without_sparse_share: float = Field(default=0.08, ge=0, le=1)
    """Share of pairs with nothing but a widefield image."""
    noise_share: float = Field(default=0.04, ge=0, le=1)
    """Share of pairs of false localizations only, whose target is black."""
    noise_per_um2: Range = (0.3, 60.0)
    """Density of those, log-uniform."""
    widefield_sigma_nm: Annotated[Range, CONDITION] = (110.0, 190.0)
    """Standard deviation of the widefield microscope's spot, uniform, nm."""
    widefield_photons: Range = (30.0, 3000.0)
    """Brightest pixel of the widefield image, log-uniform, photons."""
    haze: Range = (0.0, 0.8)
    """Light from out of focus, uniform, in units of the light in focus."""
    brightness: Range = (0.3, 1.0)
    """Brightest pixel of a training image, log-uniform, in units of the brightest of
    the larger field that it stands for."""
    registration_nm: float = Field(default=20.0, ge=0)
    """Standard deviation of the shift between widefield image and localizations."""

    @field_validator("frames", "usual_frames", "widefield_photons", "brightness")
    @classmethod
    def _rising(cls, bounds: Range) -> Range:
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of positive bounds, lower one first")
        return bounds

    @model_validator(mode="after")
    def _known_to_the_switch(self) -> Self:
        known = list(CLOUDS)[:SWITCHED]
        beyond = [name for name in self.structures if name not in known]
        if self.switch and beyond:
            raise ValueError(
                f"the switch tells {', '.join(known)} apart, not {', '.join(beyond)}"
            )
        return self

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return renderings (y, x, 2 or 3) and the dense one (y, x, 1), float32."""
        scene = self.scene(rng, self.structure(rng), self.crop_px)
        return self.pair(rng, scene)

    def batch(
        self, rng: np.random.Generator, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs, two of each scene: in other frames, with another camera."""
        inputs: list[np.ndarray] = []
        targets: list[np.ndarray] = []
        while len(inputs) < count:
            scene = self.scene(rng, self.structure(rng), self.crop_px)
            for turn in (False, True)[: count - len(inputs)]:
                pair = self.pair(rng, scene)
                # a turn, and rows and columns in each other's place
                seen = [p[::-1].swapaxes(0, 1) if turn else p for p in pair]
                inputs.append(seen[0])
                targets.append(seen[1])
        return np.stack(inputs), np.stack(targets)

    def pair(
        self, rng: np.random.Generator, scene: Scene
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what a network learns from a scene; every call draws other frames."""
        if rng.random() < self.noise_share:
            return self._noise(rng, scene)
        usual = rng.random() < self.usual_share
        frames = round(_log_uniform(rng, self.usual_frames if usual else self.frames))
        sparse = self.sparse(rng, scene, frames=frames)
        widefield = self.widefield(rng, scene, part=True)
        missing = rng.random()
        if missing < self.without_widefield_share:
            widefield = np.zeros_like(widefield)
        elif missing > 1 - self.without_sparse_share:
            sparse = np.zeros_like(sparse)
        return self.joined(sparse, widefield, scene), self.dense(scene)[..., None]

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Return renderings of fields in 300 frames, and of all frames.

        Counts are localizations, and grey levels of the widefield image.  A single
        field has its table, too.
        """
        counts: list[np.ndarray] = []
        truth: list[np.ndarray] = []
        table: Localizations | None = None
        for _ in range(frames):
            scene = self.scene(rng, self.structure(rng), self.field_px)
            table = self.table(rng, scene, first=0, frames=300)
            sparse = histogram(table, self.field_px, self.pixel_size_nm)
            widefield = _GREY_LEVELS * self.widefield(rng, scene)
            counts.append(self.joined(sparse, widefield, scene).astype(np.uint16))
            truth.append(self.dense(scene))
        return Simulation(
            np.stack(counts),
            np.stack(truth),
            self.pixel_size_nm,
            axes="tyxc",
            table=table if frames == 1 else None,
        )

    def structure(self, rng: np.random.Generator) -> CloudStructure:
        """Draw what carries the dyes."""
        return self.structures[int(rng.integers(len(self.structures)))]

    def scene(
        self, rng: np.random.Generator, structure: CloudStructure, size_px: int
    ) -> Scene:
        """Draw dyes and the conditions of an acquisition.

        Parameters
        ----------
        rng
            Source of everything random.
        structure
            What carries the dyes.
        size_px
            Edge of the field without its margin, px.
        """
        whole_px = size_px + 2 * MARGIN_PX
        edge_nm = whole_px * self.pixel_size_nm
        dyes = cloud(rng, structure, edge_nm)
        acquisition = begin(rng, dyes, self.blinking, edge_nm=edge_nm)
        return self.as_scene(acquisition, structure, size_px)

    def as_scene(
        self, acquisition: Acquisition, structure: CloudStructure, size_px: int
    ) -> Scene:
        """Draw the dyes of an acquisition on the grid, margin included."""
        whole_px = size_px + 2 * MARGIN_PX
        dyes, edge_nm = acquisition.dyes, acquisition.edge_nm
        counts = drawn(dyes.x_nm, dyes.y_nm, acquisition.counts, edge_nm, whole_px)
        coarse = counts.reshape(whole_px // _BINNING, _BINNING, -1, _BINNING)
        return Scene(acquisition, structure, counts, coarse.sum(axis=(1, 3)))

    def sparse(
        self, rng: np.random.Generator, scene: Scene, *, frames: int
    ) -> np.ndarray:
        """Return localizations per pixel in a block of frames, (y, x) float32.

        The block begins anywhere in the first half of the acquisition.
        """
        a = scene.acquisition
        size = len(scene.counts) - 2 * MARGIN_PX
        frames = min(frames, a.total_frames)
        latest = max(min(a.total_frames // 2, a.total_frames - frames), 0)
        first = int(rng.integers(latest + 1))
        share = a.activity(first, first + frames)
        if share * float(scene.counts.sum()) < MANY:
            table = self.table(rng, scene, first=first, frames=frames)
            return np.minimum(histogram(table, size, self.pixel_size_nm), MOST_COUNTS)
        even = a.false_per_frame * frames / scene.counts.size
        sigma_px = a.error_nm / self.pixel_size_nm
        expected = _inner(gaussian_filter(share * scene.counts, sigma_px)) + even
        return np.minimum(rng.poisson(expected), MOST_COUNTS).astype(np.float32)

    def table(
        self, rng: np.random.Generator, scene: Scene, *, first: int, frames: int
    ) -> Localizations:
        """Return the localizations of a block of frames, those outside left out."""
        margin_nm = MARGIN_PX * self.pixel_size_nm
        table = localize(rng, scene.acquisition, first=first, frames=frames)
        x_nm, y_nm = table.x_nm - margin_nm, table.y_nm - margin_nm
        edge_nm = scene.acquisition.edge_nm - 2 * margin_nm
        inside = (x_nm >= 0) & (x_nm < edge_nm) & (y_nm >= 0) & (y_nm < edge_nm)
        return table.with_columns(x_nm=x_nm, y_nm=y_nm).select(inside)

    def dense(self, scene: Scene) -> np.ndarray:
        """Return the rendering of the whole acquisition, (y, x) float32 in [0, 1]."""
        a = scene.acquisition
        return dense_image(scene.counts, a, self.pixel_size_nm)

    def widefield(
        self, rng: np.random.Generator, scene: Scene, *, part: bool = False
    ) -> np.ndarray:
        """Return a widefield image between 0 and 1 on the grid of the renderings.

        Parameters
        ----------
        rng
            Source of optics, light and noise.
        scene
            What is in front of the camera.
        part
            Whether the image is a part of one that was scaled as a whole.
        """
        coarse_nm = _BINNING * self.pixel_size_nm
        sigma_px = rng.uniform(*self.widefield_sigma_nm) / coarse_nm
        image = gaussian_filter(scene.widefield, sigma_px)
        amount = rng.uniform(*self.haze)
        image = image + amount * gaussian_filter(scene.widefield, 4 * sigma_px)
        peak = max(float(image.max()), 1e-9)
        photons = _log_uniform(rng, self.widefield_photons)
        light = photons * (image / peak + rng.uniform(0.02, 0.3))
        light = rng.poisson(light) + rng.normal(0, 2, light.shape)
        shift_px = rng.normal(0, self.registration_nm / self.pixel_size_nm, 2)
        fine = _inner(_enlarged(light, _BINNING, shift_px))
        fine = (fine - fine.min()) / max(float(np.ptp(fine)), 1e-9)
        if part:
            gain = _log_uniform(rng, self.brightness)
            fine = gain * fine + rng.uniform(0, 0.1) * (1 - gain)
        return fine.astype(np.float32)

    def _noise(
        self, rng: np.random.Generator, scene: Scene
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return false localizations without any structure, and a black target."""
        size = len(scene.counts) - 2 * MARGIN_PX
        per_pixel = _log_uniform(rng, self.noise_per_um2) * 1e-6 * self.pixel_size_nm**2
        sparse = np.minimum(rng.poisson(per_pixel, (size, size)), MOST_COUNTS)
        dark = np.zeros((size, size), np.float32)
        return self.joined(sparse, dark, scene), dark[..., None]

    def joined(
        self, sparse: np.ndarray, widefield: np.ndarray, scene: Scene
    ) -> np.ndarray:
        """Return the channels that the network takes, (y, x, 2 or 3) float32."""
        channels = [sparse, widefield]
        if self.switch:
            number = list(CLOUDS).index(scene.structure)
            channels.append(np.full(sparse.shape, number))
        return np.stack(channels, axis=-1).astype(np.float32)


def dense_image(
    counts: np.ndarray, acquisition: Acquisition, pixel_size_nm: float
) -> np.ndarray:
    """Return a dense rendering in units of its structure, (y, x) float32 in [0, 1].

    Parameters
    ----------
    counts
        (y, x) localizations per pixel without errors, the margin included.
    acquisition
        Errors, and how dense a single structure is.
    pixel_size_nm
        Edge of a pixel.
    """
    sigma_px = float(np.hypot(acquisition.error_nm / pixel_size_nm, TARGET_SIGMA_PX))
    usual = max(acquisition.usual_counts * pixel_size_nm**2, 1e-9)
    image = gaussian_filter(counts, sigma_px, truncate=3.0) * np.float32(SINGLE / usual)
    return np.minimum(_inner(image), 1.0)


def histogram(table: Localizations, size_px: int, pixel_size_nm: float) -> np.ndarray:
    """Return localizations per pixel of a square field, (y, x) float32."""
    edge_nm = size_px * pixel_size_nm
    return drawn(table.x_nm, table.y_nm, None, edge_nm, size_px)


def drawn(
    x_nm: np.ndarray,
    y_nm: np.ndarray,
    weights: np.ndarray | None,
    edge_nm: float,
    size_px: int,
) -> np.ndarray:
    """Return the sum of weights, or the number of points, in every pixel, float32."""
    per_nm = size_px / edge_nm
    rows, columns = (np.floor(p * per_nm).astype(np.int64) for p in (y_nm, x_nm))
    inside = (rows >= 0) & (rows < size_px) & (columns >= 0) & (columns < size_px)
    flat = (rows * size_px + columns)[inside]
    kept = None if weights is None else weights[inside]
    image = np.bincount(flat, weights=kept, minlength=size_px**2)
    return image.reshape(size_px, size_px).astype(np.float32)


def _inner(image: np.ndarray) -> np.ndarray:
    return image[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]


def _enlarged(image: np.ndarray, factor: int, shift_px: np.ndarray) -> np.ndarray:
    """Return an image bilinearly enlarged and shifted by a few fine pixels."""
    size = len(image)
    rows, columns = (_weights(size, factor, shift) for shift in shift_px)
    return (rows @ image.astype(np.float32)) @ columns.T


def _weights(size: int, factor: int, shift: float) -> np.ndarray:
    """Return the matrix that enlarges an axis bilinearly, (factor * size, size)."""
    place = (np.arange(size * factor) + 0.5 - shift) / factor - 0.5
    place = np.clip(place, 0, size - 1)
    distance = np.abs(place[:, None] - np.arange(size))
    return np.maximum(1 - distance, 0).astype(np.float32)


def _log_uniform(rng: np.random.Generator, bounds: Range) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))
