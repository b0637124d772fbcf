"""Confocal scans of fluorescent cells, single and as short movies."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, SerializeAsAny, field_validator
from scipy import ndimage

from zoo.core.contract import CONDITION
from zoo.core.random import generator
from zoo.core.recipe import Simulation
from zoo.physics.organelles import mitochondria
from zoo.physics.specimens import (
    SPECIMENS,
    Structure,
    render_labels,
    specimen,
    vary_brightness,
)
from zoo.physics.structures import Labels, vesicles
from zoo.simulate.crappifiers import SCALE, Crappifier, Fluorescence, Pssr2
from zoo.simulate.frames import Range
from zoo.simulate.scans import GREY_LEVELS, Dense, Place, Scans

FWHM_PER_SIGMA = 2.3548
"""Full width at half maximum of a Gaussian per standard deviation."""

CELL_PX = 576
"""Edge of the cells that crops are cut from, dense px."""

TIME_POINTS = 5
"""Frames that a movie network sees at once; the middle one is restored."""

_TURN_FRAMES = 40  # in which the drift of a long movie goes round in a circle
_DIM = 0.05  # of a scene's brightest pixel: what is darker counts as empty


class FluorescenceScans(Scans):
    """Fluorescent cell structures under a confocal microscope.

    The dense image is the structure blurred by the focus, with some light from out of
    focus, between 0 and 1; its degradation is the published final one for fluorescence,
    or PSSR2's (Fang et al. 2021, doi:10.1038/s41592-021-01080-z).
    """

    kind: Literal["fluorescence_scans"] = "fluorescence_scans"
    """Type of the source."""
    pixel_size_nm: Annotated[Range | float, CONDITION] = (120.0, 320.0)
    """Coarse pixel, log-uniform between two or the only one, nm."""
    crappifiers: tuple[SerializeAsAny[Crappifier], ...] = (
        Fluorescence(),
        Fluorescence(),
        Fluorescence(sampling="centres", variance=0.25),
        Pssr2(),
    )
    """Degradations, equally often; name one twice to see it twice as often."""
    brightness: Range = (0.4, 1.0)
    """Range of a training image, log-uniform, in units of that of the larger field that
    it stands for."""
    pedestal: Range = (0.0, 0.1)
    """Darkest pixel of a training image, uniform, in units of the range that its
    brightness leaves."""
    field_px: int = Field(default=128, ge=16, le=CELL_PX // SCALE, multiple_of=8)
    """Edge of the images that ``zoo simulate`` writes, coarse px."""
    scenes: int = Field(default=40, ge=1)
    """Clean scenes in the pool."""
    structures: tuple[Structure, ...] = tuple(SPECIMENS)
    """Samples, equally often."""
    focus_nm: Annotated[Range, CONDITION] = (150.0, 280.0)
    """Full width at half maximum of the focus, uniform, nm."""
    haze: Range = (0.0, 0.5)
    """Light from out of focus, uniform, in units of the light in focus."""
    haze_nm: Range = (500.0, 1500.0)
    """Standard deviation of its blur, uniform, nm."""
    background: Range = (0.0, 0.1)
    """Constant background, uniform, in units of the brightest pixel."""

    @field_validator("focus_nm", "haze", "haze_nm", "background")
    @classmethod
    def _not_negative(cls, bounds: Range) -> Range:
        if not 0 <= bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of bounds from 0, lower one first")
        return bounds

    def view(
        self,
        rng: np.random.Generator,
        number: int,
        size_px: int,
        pixel_nm: float,
    ) -> Dense:
        """Return part of a cell in focus."""
        scene_nm = self.scene_pixel_nm(number)
        structure = self.structure_of(number)
        scene = labelled_scene(self.scene_seed, number, structure, scene_nm)
        place = Place.draw(rng, size_px, pixel_nm / scene_nm, scene_px=CELL_PX)
        sample = place.turned(place.resampled(place.cut(scene).astype(np.float32)))
        image = self.in_focus(rng, [sample], pixel_nm)[0]
        return Dense(image[None], image, pixel_nm)

    def structure_of(self, number: int) -> Structure:
        """Return what a scene shows, which has nothing to do with its pixel."""
        order = generator(self.scene_seed, 1).permutation(self.scenes)
        return self.structures[int(order[number]) % len(self.structures)]

    def scene_name(self, number: int) -> str:
        """Return the name of the structure."""
        return self.structure_of(number)

    def in_focus(
        self, rng: np.random.Generator, samples: list[np.ndarray], pixel_nm: float
    ) -> np.ndarray:
        """Return images of the same sample at several times, (t, y, x), up to 1."""
        sigma_px = rng.uniform(*self.focus_nm) / FWHM_PER_SIGMA / pixel_nm
        amount, wide_nm = rng.uniform(*self.haze), rng.uniform(*self.haze_nm)
        ground = rng.uniform(*self.background)
        images = [ndimage.gaussian_filter(s, sigma_px, truncate=3) for s in samples]
        middle = images[len(images) // 2]
        peak = max(float(middle.max()), _DIM)
        haze = _haze(middle, wide_nm / pixel_nm)
        share = amount * float(middle.mean()) / max(float(haze.mean()), 1e-9)
        haze *= np.float32(share)
        whole = np.stack([image + haze for image in images]) / peak
        top = float(whole.max())
        return (ground + (1 - ground) * whole / max(top, 1.0)).astype(np.float32)


class FluorescenceMovies(FluorescenceScans):
    """Five frames of moving mitochondria and vesicles; the middle one is restored.

    Everything drifts, every organelle wanders, and the field is deformed slowly; each
    frame is degraded on its own.
    """

    kind: Literal["fluorescence_movies"] = "fluorescence_movies"  # pyright: ignore[reportIncompatibleVariableOverride] a kind of its own
    """Type of the source."""
    structures: tuple[Structure, ...] = ("mitochondria", "pits")
    """Samples: mitochondria, or vesicles under the name of pits, or both at once."""
    drift_px: Annotated[Range, CONDITION] = (0.0, 2.0)
    """Common motion per frame, uniform, dense px."""
    wander_px: Annotated[Range, CONDITION] = (0.0, 1.5)
    """Standard deviation of an organelle's steps along an axis, uniform, dense px."""
    bend_px: Range = (0.0, 3.0)
    """Amplitude of the slow deformation, uniform, dense px."""

    def view(
        self,
        rng: np.random.Generator,
        number: int,
        size_px: int,
        pixel_nm: float,
    ) -> Dense:
        """Return five frames of a part of a cell."""
        cell = moving_cell(
            self.scene_seed, number, self.structures, self.scene_pixel_nm(number)
        )
        motion = Motion.draw(rng, self, _organelles(cell))
        return self.filmed(rng, cell, motion, size_px, pixel_nm)

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Film a cell in 256 grey levels for any number of frames, (t, y, x).

        The truth (t, Y, X) is the cell without noise.  Its drift turns slowly, so that
        it stays in the field.
        """
        pixel_nm = self._pixel_nm(rng)
        crappifier = self._crappifier(rng)
        number = self.scene_of(pixel_nm)
        cell = moving_cell(
            self.scene_seed, number, self.structures, self.scene_pixel_nm(number)
        )
        motion = Motion.draw(rng, self, _organelles(cell), frames=frames)
        film = self.filmed(rng, cell, motion, SCALE * self.field_px, pixel_nm)
        coarse = self.degraded(rng, film, crappifier)
        return Simulation(
            np.round(GREY_LEVELS * coarse).astype(np.uint16),
            GREY_LEVELS * film.exposures,
            SCALE * pixel_nm,
        )

    def scene_name(self, number: int) -> str:
        """Return a name for all cells."""
        del number
        return "cells"

    def filmed(
        self,
        rng: np.random.Generator,
        cell: "MovingCell",
        motion: "Motion",
        size_px: int,
        pixel_nm: float,
    ) -> Dense:
        """Return a part of a cell while it moves."""
        size_nm = size_px * pixel_nm
        room = max(cell.field_nm - size_nm, 0)
        left, top = rng.uniform(0, room, 2) if room else (0.0, 0.0)
        margin = motion.reach_px * pixel_nm
        x, y = cell.labels.x_nm - left, cell.labels.y_nm - top
        near = (np.abs(x - size_nm / 2) < size_nm / 2 + margin) & (
            np.abs(y - size_nm / 2) < size_nm / 2 + margin
        )
        x, y = (np.asarray(v[near] / pixel_nm, np.float32) for v in (x, y))
        if rng.integers(2):
            x, y = y, x
        instance, brightness = cell.labels.instance[near], cell.brightness[near]
        samples: list[np.ndarray] = []
        flat = np.zeros(len(x))
        for dx, dy in motion.displacements(x, y, instance):
            labels = Labels(x + dx, y + dy, flat, instance)
            samples.append(
                render_labels(
                    labels, (size_px, size_px), pixel_nm=1.0, brightness=brightness
                )
            )
        images = self.in_focus(rng, samples, pixel_nm)
        return Dense(images, images[len(images) // 2], pixel_nm)


class MovingCell(NamedTuple):
    """Labels of a cell that can be moved organelle by organelle."""

    labels: Labels
    """Places and organelles."""
    brightness: np.ndarray
    """(n,) brightness of each."""
    field_nm: float
    """Edge of the field."""


class Motion(NamedTuple):
    """Where everything is in each frame; nothing is displaced in the middle one."""

    paths_px: np.ndarray
    """(frame, organelle, 2) displacement x, y."""
    waves: np.ndarray
    """(4, 5) amplitude, frequency x, y, phase and speed of deforming waves."""

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        source: FluorescenceMovies,
        organelles: int,
        *,
        frames: int = TIME_POINTS,
    ) -> "Motion":
        """Draw drift, random walks and deformation.

        The drift goes straight on for the frames that a network sees at once, and turns
        in longer movies.
        """
        speed, angle = rng.uniform(*source.drift_px), rng.uniform(0, 2 * np.pi)
        turn = 2 * np.pi / _TURN_FRAMES if frames > TIME_POINTS else 0.0
        angles = angle + turn * np.arange(frames)
        drift = speed * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        steps = rng.normal(
            drift[:, None], rng.uniform(*source.wander_px), (frames, organelles, 2)
        )
        paths = np.cumsum(steps, axis=0)
        waves = np.column_stack(
            [
                rng.uniform(*source.bend_px) * rng.uniform(0.2, 0.6, 4),
                *(rng.uniform(-1, 1, (2, 4)) * 0.06),
                rng.uniform(0, 2 * np.pi, 4),
                rng.normal(0, 0.3, 4),
            ]
        )
        return cls(paths - paths[frames // 2], waves)

    @property
    def reach_px(self) -> float:
        """Farthest that anything may come from, and the reach of the focus."""
        return float(np.abs(self.paths_px).max()) + 4 * self.waves[:, 0].max() + 16

    def displacements(
        self, x: np.ndarray, y: np.ndarray, instance: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield for every frame by how much labels are displaced, dense px."""
        waves = self.waves.astype(np.float32)
        angles = [fx * x + fy * y + phase for _, fx, fy, phase, _ in waves]
        parts = [(np.sin(angle), np.cos(angle)) for angle in angles]
        for frame in range(len(self.paths_px)):
            dx, dy = self.paths_px[frame].astype(np.float32)[instance].T
            for number, (sine, cosine) in enumerate(parts):
                size, *_, speed = waves[number]
                later = speed * (frame - len(self.paths_px) // 2)
                # the wave went on by an angle; its displacement is none in the middle
                now = size * (np.cos(later) - 1) * sine + size * np.sin(later) * cosine
                dx, dy = (dx + now, dy) if number % 2 else (dx, dy + now)
            yield dx, dy


def _organelles(cell: MovingCell) -> int:
    """Return how many organelles of a cell move on their own."""
    return int(cell.labels.instance.max(initial=0)) + 1


def _haze(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return a wide blur, computed on a grid eight times coarser."""
    small = image.reshape(image.shape[0] // 8, 8, image.shape[1] // 8, 8)
    wide = ndimage.gaussian_filter(small.mean(axis=(1, 3)), sigma_px / 8)
    zoomed = ndimage.zoom(wide, 8, order=1, grid_mode=True, mode="nearest")
    return np.asarray(zoomed, np.float32)


@lru_cache(maxsize=128)
def labelled_scene(
    seed: int, number: int, structure: Structure, pixel_nm: float
) -> np.ndarray:
    """Draw a scene of a labelled structure, (Y, X) float16, peaks about 1."""
    rng = generator(seed, number)
    image = specimen(rng, structure, (CELL_PX, CELL_PX), pixel_nm=pixel_nm)
    peak = float(np.percentile(image, 99.5)) or float(image.max())
    return (image / max(peak, 1e-9)).astype(np.float16)


@lru_cache(maxsize=128)
def moving_cell(
    seed: int, number: int, structures: tuple[Structure, ...], pixel_nm: float
) -> MovingCell:
    """Draw the labels of a cell of mitochondria and vesicles."""
    rng = generator(seed, number)
    field = CELL_PX * pixel_nm
    parts: list[Labels] = []
    if "mitochondria" in structures:
        parts.append(
            mitochondria(
                rng,
                field_nm=(field, field),
                density_per_um2=rng.uniform(0.04, 0.2),
                label="matrix" if rng.random() < 0.6 else "membrane",
                labels_per_um2=rng.uniform(150, 350),
            )
        )
    if "pits" in structures and (not parts or rng.random() < 0.5):
        parts.append(
            vesicles(
                rng,
                field_nm=(field, field),
                density_per_um2=rng.uniform(0.05, 0.4),
                diameter_nm=(100.0, 500.0),
                labels=(20, 100),
                spacing_nm=500.0,
            )
        )
    brightness = np.concatenate([vary_brightness(rng, part) for part in parts])
    first = 0
    numbers: list[np.ndarray] = []
    for part in parts:
        numbers.append(part.instance + first)
        first += int(part.instance.max(initial=-1)) + 1
    labels = Labels(
        np.concatenate([part.x_nm for part in parts]),
        np.concatenate([part.y_nm for part in parts]),
        np.concatenate([part.z_nm for part in parts]),
        np.concatenate(numbers),
    )
    mean = float(brightness.mean()) if len(labels) else 1.0
    return MovingCell(labels, brightness / (6 * mean), field)
