"""Frozen movies of crowded filaments beside those of uniform emitters.

The movies are made by other means than the training frames of
`zoo.simulate.filament_frames`: filaments are arcs that merge into bundles and labelled
microtubules, every movie shows one structure in many frames, and photon numbers are
gamma distributed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field
from scipy.ndimage import gaussian_filter

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Image, Products, Table
from zoo.core.random import generator
from zoo.core.test_set import Case, Metrics
from zoo.metrics.crowds import crowd_scores, false_per_100_frames, image_scores
from zoo.metrics.uncertainty import paired
from zoo.physics.structures import microtubules
from zoo.simulate.frames import MARGIN_PX
from zoo.simulate.pairs import render, within
from zoo.test_sets.emitters import CAMERAS, EmitterTestSet, uncertainty_group

CROWDED = ("dense", "bundled", "tubes", "crossing")
"""Groups of crowded filaments."""

FALSE = "false"
"""Group of movies in which crowds are not to be found."""

FINE = 8
"""Fine pixels per camera pixel of the perfect image."""


class CrowdedScores(NamedTuple):
    """Evidence of one movie of filaments."""

    values: dict[str, float]
    """Scores of the movie."""
    pairs: Any = None
    """Localizations with their errors, as `zoo.metrics.uncertainty.paired` has them."""


class FilamentTestSet(EmitterTestSet):
    """Movies of crowded filaments on both cameras, and of what is no emitter.

    To those of `EmitterTestSet` come ``dense/<sigma>`` – one longer movie of tubes;
    ``bundled/<sigma>`` – tubes with twice as many emitters, of which a third have a
    neighbour within 45 nm, at local densities of 10, 31 and 55 emitters per square
    micrometre (10th, 50th and 90th percentile over emitters, within 250 nm);
    ``tubes/<sigma>`` – arcs that run together into bundles and apart again, with
    hollow walls; ``crossing/<sigma>`` – labelled microtubules that cross anywhere;
    ``false/empty``, ``false/haze`` and ``false/wide`` – background alone, a static
    background in the shape of a cell, and isolated emitters with wide spots.
    """

    wanted: ClassVar[Mapping[str, Any]] = {"density": True}
    kind: Literal["filaments"] = "filaments"  # pyright: ignore[reportIncompatibleVariableOverride]
    """Kind of test set."""
    filament_seed: int = Field(default=20482, ge=0)
    """Seed of the movies of filaments, apart from every training seed."""
    psf_sigmas_nm: tuple[float, ...] = (100.0, 130.0, 160.0)
    """Standard deviations of the spots on filaments, nm."""
    filament_photons: float = 2000.0
    """Mean photons per emitter and frame on filaments, gamma distributed."""
    photon_shape: float = Field(default=4.0, gt=0)
    """Shape of the gamma distribution; the relative spread is its inverse root."""
    filament_background_photons: float = 30.0
    """Photons per pixel without emitters, movies of filaments."""
    emitters_per_frame: tuple[int, ...] = (60, 130, 220)
    """Emitters per frame in the field and its margins, each in an equal part of a
    movie."""
    filament_frames: int = Field(default=60, ge=3)
    """Frames per structure, width and camera."""
    movie_sigma_nm: float = 115.0
    """Standard deviation of the spots of the longer movie, nm."""
    movie_emitters: int = Field(default=150, ge=1)
    """Emitters per frame of the longer movie, in the field and its margins."""
    movie_frames: int = Field(default=180, ge=3)
    """Frames of the longer movie per camera."""
    bundled_emitters: int = Field(default=300, ge=1)
    """Emitters per frame of the most crowded movie, in the field and its margins."""
    bundled_frames: int = Field(default=60, ge=4)
    """Frames of the most crowded movie per camera."""
    false_frames: int = Field(default=100, ge=1)
    """Frames of each kind without crowds per camera."""
    wide_sigma_nm: float = 160.0
    """Standard deviation of the isolated wide spots, nm."""

    @property
    def field_nm(self) -> float:
        """Edge of the field, nm."""
        return self.field_px * self.pixel_size_nm

    def cases(self) -> Iterator[Case]:
        """Simulate one movie after the other, uniform emitters first."""
        yield from super().cases()
        for index, camera in enumerate(CAMERAS):
            yield from self._crowded(index, camera)
            yield from self._false(index, camera)
            yield self.bundled(index, camera)

    def score(self, case: Case, found: Products) -> Any:
        """Return the localizations of uniform emitters, or the scores of filaments.

        Raises
        ------
        BadInput
            If there is no table, or no image beside it.
        """
        group = case.name.partition("/")[0]
        if group not in (*CROWDED, FALSE):
            return super().score(case, found)
        density = found.images.get("density")
        if found.localizations is None or density is None:
            raise BadInput(
                f"{case.name} is scored by localizations and the summed image, and the "
                "package does not return both"
            )
        frames = len(case.input)
        if group == FALSE:
            rate = false_per_100_frames(case.truth, found.localizations, frames=frames)
            return CrowdedScores({"false_per_100_frames": rate})
        return CrowdedScores(
            crowd_scores(
                case.truth, found.localizations, field_nm=self.field_nm, frames=frames
            )
            | image_scores(
                density.array,
                case.truth,
                pixel_size_nm=self.field_nm / density.array.shape[0],
            ),
            paired(case.truth, found.localizations, field_nm=self.field_nm),
        )

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return the metrics of `EmitterTestSet`, and means over cameras of the rest.

        ``dense``, ``bundled``, ``tubes`` and ``crossing`` hold those of
        `zoo.metrics.crowds`, ``false`` the localizations that belong to no emitter per
        100 frames.
        """
        uniform = [(n, s) for n, s in scored if not isinstance(s, CrowdedScores)]
        metrics = super().metrics(uniform)
        stated = metrics.pop("uncertainty", {})
        rows: dict[str, list[dict[str, float]]] = {}
        for name, scores in scored:
            if isinstance(scores, CrowdedScores):
                rows.setdefault(name, []).append(scores.values)
        for name, values in rows.items():
            group, condition = name.split("/")
            means = {
                metric: float(np.mean([row[metric] for row in values]))
                for metric in values[0]
            }
            metrics.setdefault(group, {})[condition] = {
                metric: round(mean, 4) if np.isfinite(mean) else None
                for metric, mean in means.items()
            }
        pairs: dict[str, list[Any]] = {}
        for name, scores in scored:
            if isinstance(scores, CrowdedScores) and scores.pairs is not None:
                pairs.setdefault(name.replace("/", " "), []).append(scores.pairs)
        stated = stated | uncertainty_group(pairs).get("uncertainty", {})
        return metrics | ({"uncertainty": stated} if stated else {})

    def perfect(self, case: Case) -> Products:
        """Return the truth, and its histogram on a grid eight times as fine."""
        edge = self.field_px * FINE
        image = np.histogram2d(
            case.truth.y_nm,
            case.truth.x_nm,
            bins=edge,
            range=[(0, self.field_nm), (0, self.field_nm)],
        )[0]
        return Products(
            [
                Table("localizations", case.truth),
                Image("density", image.astype(np.float32), "yx"),
            ]
        )

    def nothing(self, case: Case) -> Products:
        """Return a table without rows and an empty image."""
        del case
        empty = np.zeros((self.field_px * FINE,) * 2, np.float32)
        return Products(
            [
                Table("localizations", Localizations.empty()),
                Image("density", empty, "yx"),
            ]
        )

    def covers(self) -> dict[str, tuple[float, float]]:
        """Return ranges over both kinds of movies."""
        ranges = super().covers()
        sigmas = (self.psf_sigma_nm, self.movie_sigma_nm, *self.psf_sigmas_nm)
        backgrounds = (self.background_photons, self.filament_background_photons)
        return ranges | {
            "psf_sigma_nm": (min(sigmas), max(sigmas)),
            "background_photons": (min(backgrounds), max(backgrounds)),
        }

    def calibrating(self) -> Self:
        """Return movies of the same conditions, half as long, of other seeds."""
        return (
            super()
            .calibrating()
            .override(
                filament_seed=self.filament_seed + 1,
                filament_frames=max(3, self.filament_frames // 2),
                movie_frames=max(3, self.movie_frames // 2),
                bundled_frames=max(4, self.bundled_frames // 2),
                false_frames=1,
            )
        )

    def reduced(self) -> Self:
        """Return a set of a few frames, all conditions kept."""
        return (
            super()
            .reduced()
            .override(
                filament_frames=3, movie_frames=3, bundled_frames=4, false_frames=1
            )
        )

    def dense(self, index: int, camera: str) -> Case:
        """Simulate the longer movie of tubes on one camera, by its number and name."""
        rng = generator(self.filament_seed, 4, 0, index)
        name, sigma_nm = f"dense/{self.movie_sigma_nm:g}", self.movie_sigma_nm
        means = [self.movie_emitters] * self.movie_frames
        places_nm = tubes(rng, self._edge_nm)
        return self._movie(rng, name, camera, places_nm, sigma_nm, means)

    def bundled(self, index: int, camera: str) -> Case:
        """Simulate the most crowded movie on one camera, by its number and name."""
        rng = generator(self.filament_seed, 5, 0, index)
        name, sigma_nm = f"bundled/{self.movie_sigma_nm:g}", self.movie_sigma_nm
        means = [self.bundled_emitters] * self.bundled_frames
        places_nm = tubes(rng, self._edge_nm)
        return self._movie(rng, name, camera, places_nm, sigma_nm, means)

    @property
    def _edge_nm(self) -> float:
        """Edge of the field with its margins, nm."""
        return self.field_nm + 2 * MARGIN_PX * self.pixel_size_nm

    def _crowded(self, index: int, camera: str) -> Iterator[Case]:
        edge_nm = self._edge_nm
        yield self.dense(index, camera)
        kinds = self.emitters_per_frame
        means = [
            kinds[frame * len(kinds) // self.filament_frames]
            for frame in range(self.filament_frames)
        ]
        structures = {"tubes": tubes, "crossing": crossing_microtubules}
        for group, (word, structure) in enumerate(structures.items()):
            for number, sigma_nm in enumerate(self.psf_sigmas_nm):
                rng = generator(self.filament_seed, 1 + group, number, index)
                name, places_nm = f"{word}/{sigma_nm:g}", structure(rng, edge_nm)
                yield self._movie(rng, name, camera, places_nm, sigma_nm, means)

    def _false(self, index: int, camera: str) -> Iterator[Case]:
        flat = np.ones((self.field_px, self.field_px))
        none = [Localizations.empty()] * self.false_frames
        rng = generator(self.filament_seed, 3, 0, index)
        yield self._exposed(rng, "false/empty", camera, none, flat)
        rng = generator(self.filament_seed, 3, 1, index)
        cell = flat + 3 * static_cell(rng, self.field_px)
        yield self._exposed(rng, "false/haze", camera, none, cell)
        rng = generator(self.filament_seed, 3, 2, index)
        lattice = [self._lattice(rng) for _ in range(self.false_frames)]
        yield self._exposed(rng, "false/wide", camera, lattice, flat)

    def _movie(
        self,
        rng: np.random.Generator,
        name: str,
        camera: str,
        places_nm: np.ndarray,
        sigma_nm: float,
        means: list[int],
    ) -> Case:
        frames: list[Localizations] = []
        for mean in means:
            chosen = rng.choice(len(places_nm), rng.poisson(mean))
            place = places_nm[chosen] - MARGIN_PX * self.pixel_size_nm
            frames.append(self._blinking(rng, place, sigma_nm))
        flat = np.ones((self.field_px, self.field_px))
        return self._exposed(rng, name, camera, frames, flat)

    def _lattice(self, rng: np.random.Generator) -> Localizations:
        spacing_px = 13
        nodes = np.arange(spacing_px / 2, self.field_px - spacing_px / 4, spacing_px)
        place = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
        place = (place + rng.uniform(-1, 1, place.shape)) * self.pixel_size_nm
        return self._blinking(rng, place, self.wide_sigma_nm)

    def _blinking(
        self, rng: np.random.Generator, place_nm: np.ndarray, sigma_nm: float
    ) -> Localizations:
        count, shape = len(place_nm), self.photon_shape
        photons = rng.gamma(shape, self.filament_photons / shape, count)
        return Localizations(
            x_nm=place_nm[:, 0],
            y_nm=place_nm[:, 1],
            photons=np.maximum(photons, 300.0),
            sigma_nm=np.full(count, sigma_nm),
        )

    def _exposed(
        self,
        rng: np.random.Generator,
        name: str,
        camera: str,
        frames: list[Localizations],
        background: np.ndarray,
    ) -> Case:
        shape = (self.field_px, self.field_px)
        counts: list[np.ndarray] = []
        truth: list[Localizations] = []
        for number, emitters in enumerate(frames, start=1):
            expected = self.filament_background_photons * background
            if len(emitters):
                expected = expected + render(
                    emitters, shape, pixel_size_nm=self.pixel_size_nm
                )
            counts.append(CAMERAS[camera].expose(expected, rng))
            kept = emitters.select(within(emitters, self.field_nm, self.field_nm))
            truth.append(kept.with_columns(frame=np.full(len(kept), number)))
        return Case(
            name=name,
            input=np.stack(counts),
            truth=Localizations.concatenate(truth),
            pixel_size_nm=self.pixel_size_nm,
            facts=camera,
        )


def tubes(rng: np.random.Generator, edge_nm: float) -> np.ndarray:
    """Return dye places on hollow tubes that merge into bundles, (n, 2) nm.

    Tubes of 30 nm diameter, dyes included, are arcs in groups of four: where a group
    meets, its tubes lie 30 nm apart, and at the ends of the field up to a micrometre.

    Parameters
    ----------
    rng
        Source of the arcs and the places.
    edge_nm
        Edge of the square field.
    """
    along = np.linspace(-0.75, 0.75, 3000)
    parts = []
    for _ in range(3):
        angle, bend = rng.uniform(0, np.pi), rng.uniform(-0.25, 0.25)
        meeting = rng.uniform(-0.3, 0.3)
        middle = rng.uniform(0.3, 0.7, 2) * edge_nm
        for rank in range(4):
            opening = (rank - 1.5) * rng.uniform(0.0, 0.4) * edge_nm
            apart = 30.0 * (rank - 1.5) + opening * (along - meeting) ** 2
            across = bend * edge_nm * along**2 + apart
            across = across + 15.0 * np.cos(rng.uniform(0, 2 * np.pi, len(along)))
            x = middle[0] + edge_nm * along * np.cos(angle) - across * np.sin(angle)
            y = middle[1] + edge_nm * along * np.sin(angle) + across * np.cos(angle)
            parts.append(np.stack([x, y], axis=1))
    places = np.concatenate(parts)
    return places[((places >= 0) & (places < edge_nm)).all(axis=1)]


def crossing_microtubules(rng: np.random.Generator, edge_nm: float) -> np.ndarray:
    """Return dye places on microtubules that cross, (n, 2) nm; see `microtubules`."""
    labels = microtubules(rng, field_nm=(edge_nm, edge_nm), filaments=14)
    return np.stack([labels.x_nm, labels.y_nm], axis=1)


def static_cell(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Return the haze of a cell with a nucleus and granules, (y, x) from 0 to 1.

    An ellipse with a ragged edge as sharp as the optics allow, a darker nucleus, and
    granules of two pixels and more.
    """
    y, x = np.mgrid[:size_px, :size_px] / size_px - 0.5
    turn = rng.uniform(0, np.pi)
    u = np.cos(turn) * x + np.sin(turn) * y
    v = np.cos(turn) * y - np.sin(turn) * x
    angle = np.arctan2(v, u)
    ragged = (
        1
        + 0.08 * np.sin(5 * angle + rng.uniform(0, 6))
        + 0.05 * np.sin(11 * angle + rng.uniform(0, 6))
    )
    distance = np.hypot(u / 0.42, v / 0.3) / ragged
    cell = np.clip(1.2 - 0.4 * distance, 0, 1) * (distance < 1)
    cell = cell * np.where(np.hypot(u + 0.08, v) < 0.1, 0.5, 1.0)
    grain = gaussian_filter(rng.normal(size=cell.shape), 2.0, mode="wrap")
    cell = cell * (1 + 0.15 * grain / grain.std())
    return np.clip(gaussian_filter(cell, 1.3), 0, 1)
