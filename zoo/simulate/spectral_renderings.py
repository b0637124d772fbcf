"""Renderings of several colours that spectral centroids tell apart, imperfectly.

In spectroscopic localization microscopy every localization has a spectral centroid;
windows of it are the colours.  Where the centroids of two dyes overlap, localizations
of one structure end in the colour of the other (Gaire et al. 2020,
doi:10.1364/BOE.391806).
"""

from itertools import pairwise
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from zoo.core.contract import CONDITION
from zoo.core.localizations import Localizations
from zoo.core.recipe import Simulation, Source
from zoo.simulate.acquisitions import Acquisition, Blinking, begin, localize
from zoo.simulate.dye_clouds import CloudStructure, cloud
from zoo.simulate.renderings import MARGIN_PX, dense_image, drawn

Range = tuple[float, float]

MOST_COUNTS = 10.0
"""Counts of sparse renderings are clipped here."""

GAIN = 0.25
"""What counts are multiplied with in front of the network."""

SHARE = 0.125
"""Share of the frames that the headline of the paper is about: an eighth."""

FEWEST = 300.0
"""Localizations in all frames below which a field is drawn again."""

_ATTEMPTS = 8

FIRST_NM = 600.0
"""Mean centroid of the first dye, nm."""


class SpectralScene(NamedTuple):
    """Acquisitions of the dyes of one field, which run at the same time."""

    acquisitions: tuple[Acquisition, ...]
    """Dyes and conditions of every colour."""
    counts: tuple[np.ndarray, ...]
    """(y, x) float32 localizations per pixel of every colour in the whole acquisition
    without errors, the margin included."""
    centroids_nm: tuple[float, ...]
    """Mean spectral centroid of every dye."""
    spread_nm: float
    """Standard deviation of the centroid at the median photon number."""

    @property
    def windows_nm(self) -> tuple[Range, ...]:
        """Windows that meet half way between the dyes."""
        edges = [0.5 * (a + b) for a, b in pairwise(self.centroids_nm)]
        return tuple(pairwise([0.0, *edges, 2000.0]))


class SpectralPairs(Source):
    """Sparse renderings with cross-talk, and dense ones of the structures themselves.

    A field holds one structure per colour.  Inputs are localizations per pixel in a
    block of frames, sorted into colours by their spectral centroid; targets are
    renderings of all frames, every localization in the colour of its dye.
    """

    kind: Literal["spectral_pairs"] = "spectral_pairs"
    """Type of the source."""
    structures: tuple[CloudStructure, ...] = ("microtubules", "mitochondria")
    """Structure of every colour, the shortest wavelength first."""
    alternatives: tuple[CloudStructure, ...] = ("microtubules", "peroxisomes")
    """What the first colour shows instead in some fields, equally often; only for two
    colours."""
    crop_px: int = Field(default=128, ge=32)
    """Edge of the training images, px."""
    field_px: int = Field(default=384, ge=64)
    """Edge of the renderings that ``zoo simulate`` writes, px."""
    pixel_size_nm: Annotated[float, CONDITION] = Field(default=20.0, gt=0)
    """Pixel of the renderings, nm."""
    share: Annotated[Range, CONDITION] = (1 / 16, 1 / 4)
    """Share of the frames in the sparse rendering, log-uniform."""
    distance_nm: Annotated[Range, CONDITION] = (15.0, 40.0)
    """Distance of neighbouring dyes' centroids, uniform, nm."""
    spread_nm: Annotated[Range, CONDITION] = (5.0, 10.0)
    """Standard deviation of centroids at the median photon number, uniform, nm."""
    dark_share: float = Field(default=0.1, ge=0, le=1)
    """Share of colours that are empty in a field, at most all but one."""
    blinking: Blinking = Blinking(
        total_frames=20_000, localizations=(4.0, 20.0), false_share=(0.0, 0.05)
    )
    """How dyes blink and are localized."""

    @field_validator("share", "distance_nm", "spread_nm")
    @classmethod
    def _rising(cls, bounds: Range) -> Range:
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of positive bounds, lower one first")
        return bounds

    @model_validator(mode="after")
    def _several_colors(self) -> Self:
        if len(self.structures) < 2:
            raise ValueError("structures must name two or more, one per colour")
        return self

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return sparse (y, x, c) and dense renderings (y, x, c), float32."""
        return self.pair(rng, self.scene(rng, self.crop_px))

    def batch(
        self, rng: np.random.Generator, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs, four of each scene: in other frames and directions."""
        inputs: list[np.ndarray] = []
        targets: list[np.ndarray] = []
        while len(inputs) < count:
            scene = self.scene(rng, self.crop_px)
            for turns in range(min(4, count - len(inputs))):
                sparse, dense = self.pair(rng, scene)
                inputs.append(np.rot90(sparse, turns))
                targets.append(np.rot90(dense, turns))
        return np.stack(inputs), np.stack(targets)

    def pair(
        self, rng: np.random.Generator, scene: SpectralScene
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what a network learns from a scene; every call draws other frames."""
        share = float(np.exp(rng.uniform(*np.log(self.share))))
        table, _ = self.table(rng, scene, share=share)
        if not len(table):
            table, _ = self.table(rng, scene, share=1.0)
        return GAIN * self.sparse(table, scene), self.dense(scene)

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Return renderings of fields in an eighth of the frames, and of all.

        Counts are localizations; the truth has a plane (t, colour, y, x) per colour.  A
        single field has its table with spectral centroids, too.
        """
        counts: list[np.ndarray] = []
        truth: list[np.ndarray] = []
        table: Localizations | None = None
        for _ in range(frames):
            scene = self.scene(rng, self.field_px)
            table, _ = self.table(rng, scene, share=SHARE)
            counts.append(self.sparse(table, scene).astype(np.uint16))
            truth.append(np.moveaxis(self.dense(scene), -1, 0))
        return Simulation(
            np.stack(counts),
            np.stack(truth),
            self.pixel_size_nm,
            axes="tyxc",
            table=table if frames == 1 else None,
        )

    def scene(self, rng: np.random.Generator, size_px: int) -> SpectralScene:
        """Draw the structures of a field, their dyes and how these blink.

        Fields that hold next to nothing are drawn again a few times.

        Parameters
        ----------
        rng
            Source of everything random.
        size_px
            Edge of the field without its margin, px.
        """
        scene = self._scene(rng, size_px)
        for _ in range(_ATTEMPTS):
            inner = (slice(MARGIN_PX, -MARGIN_PX),) * 2
            if sum(float(counts[inner].sum()) for counts in scene.counts) > FEWEST:
                break
            scene = self._scene(rng, size_px)
        return scene

    def _scene(self, rng: np.random.Generator, size_px: int) -> SpectralScene:
        whole_px = size_px + 2 * MARGIN_PX
        edge_nm = whole_px * self.pixel_size_nm
        names = list(self.structures)
        if len(names) == 2:
            names[0] = self.alternatives[int(rng.integers(len(self.alternatives)))]
        dark = rng.random(len(names)) < self.dark_share
        if dark.all():
            dark[int(rng.integers(len(names)))] = False
        acquisitions: list[Acquisition] = []
        for name, empty in zip(names, dark, strict=True):
            dyes = cloud(rng, name, edge_nm)
            if empty:
                dyes = dyes.within(-1.0, 0.0)
            acquisitions.append(begin(rng, dyes, self.blinking, edge_nm=edge_nm))
        # one microscope: the errors of all colours are those of the first
        first = acquisitions[0]
        same = [
            a._replace(precision_nm=first.precision_nm, photons=first.photons)
            for a in acquisitions
        ]
        counts = tuple(
            drawn(a.dyes.x_nm, a.dyes.y_nm, a.counts, edge_nm, whole_px) for a in same
        )
        steps = rng.uniform(*self.distance_nm, len(names) - 1)
        return SpectralScene(
            tuple(same),
            counts,
            tuple(float(FIRST_NM + step) for step in (0.0, *np.cumsum(steps))),
            rng.uniform(*self.spread_nm),
        )

    def table(
        self, rng: np.random.Generator, scene: SpectralScene, *, share: float
    ) -> tuple[Localizations, np.ndarray]:
        """Return the localizations of a block of frames, and the dye of each.

        The block is `share` of the acquisition and lies anywhere in it.  Positions are
        counted from the corner of the field; those outside are left out.
        """
        margin_nm = MARGIN_PX * self.pixel_size_nm
        total = self.blinking.total_frames
        frames = max(round(share * total), 1)
        first = int(rng.integers(total - frames + 1))
        tables: list[Localizations] = []
        for acquisition, mean_nm in zip(
            scene.acquisitions, scene.centroids_nm, strict=True
        ):
            table = localize(rng, acquisition, first=first, frames=frames)
            photons = table.photons
            light = 1.0 if photons is None else photons / acquisition.photons
            error_nm = scene.spread_nm / np.sqrt(light)
            noise = rng.normal(0, 1, len(table))
            tables.append(table.with_columns(wavelength_nm=mean_nm + noise * error_nm))
        dye = np.repeat(np.arange(len(tables)), [len(t) for t in tables])
        table = Localizations.concatenate(tables)
        x_nm, y_nm = table.x_nm - margin_nm, table.y_nm - margin_nm
        edge_nm = scene.acquisitions[0].edge_nm - 2 * margin_nm
        inside = (x_nm >= 0) & (x_nm < edge_nm) & (y_nm >= 0) & (y_nm < edge_nm)
        table = table.with_columns(x_nm=x_nm, y_nm=y_nm)
        return table.select(inside), dye[inside]

    def sparse(self, table: Localizations, scene: SpectralScene) -> np.ndarray:
        """Return localizations per pixel of every window, (y, x, c) float32."""
        size = len(scene.counts[0]) - 2 * MARGIN_PX
        return sorted_counts(table, scene.windows_nm, size, self.pixel_size_nm)

    def dense(self, scene: SpectralScene) -> np.ndarray:
        """Return renderings of the whole acquisition, (y, x, c) float32 in [0, 1]."""
        images = [
            dense_image(counts, acquisition, self.pixel_size_nm)
            for counts, acquisition in zip(
                scene.counts, scene.acquisitions, strict=True
            )
        ]
        return np.stack(images, axis=-1)


def sorted_counts(
    table: Localizations,
    windows_nm: tuple[Range, ...],
    size_px: int,
    pixel_size_nm: float,
) -> np.ndarray:
    """Return localizations per pixel whose centroid lies in each window, (y, x, c).

    Parameters
    ----------
    table
        Localizations with spectral centroids.
    windows_nm
        Bounds of the centroid of every colour; the upper one belongs to the next.
    size_px
        Edge of the square field, px.
    pixel_size_nm
        Edge of a pixel.
    """
    wavelength = table.wavelength_nm
    if wavelength is None:
        raise ValueError("the table has no wavelength_nm")
    edge_nm = size_px * pixel_size_nm
    colors: list[np.ndarray] = []
    for low, high in windows_nm:
        inside = (wavelength >= low) & (wavelength < high)
        x_nm, y_nm = table.x_nm[inside], table.y_nm[inside]
        colors.append(drawn(x_nm, y_nm, None, edge_nm, size_px))
    return np.minimum(np.stack(colors, axis=-1), MOST_COUNTS)
