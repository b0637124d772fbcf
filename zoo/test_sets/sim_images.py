"""Frozen images of every structure at every signal level, beside classical methods."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from zoo.core.bench import Bench
from zoo.core.contract import conditions as training_conditions
from zoo.core.errors import BadInput
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.core.test_set import Case, Metrics, ScoreTable, TestSet, heading
from zoo.metrics.baselines import (
    bicubic,
    richardson_lucy,
    richardson_lucy_iterations,
    wiener,
    wiener_estimated,
)
from zoo.metrics.comparison import agreement, means, resolution_px, similarity
from zoo.physics.camera import Camera
from zoo.physics.illumination import Pattern
from zoo.physics.optics import Optics
from zoo.physics.specimens import SPECIMENS, Structure
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import SimScene, expose, scaled_counts, scaled_target

SIGNAL_LEVELS = (15.0, 25.0, 40.0, 60.0, 95.0, 150.0, 240.0, 380.0, 600.0)
"""Nine signal levels over the range of BioSR, photons per pixel on the structure."""

DIM_PHOTONS = 100.0
"""Signal level that tells ``below_100`` from ``above_100``."""

OVERALL = "all"
"""Mean over structures, or over signal levels."""

CONDITIONS = {
    OVERALL: "all signal levels",
    "below_100": "below 100 photons",
    "above_100": "above 100 photons",
}
"""Conditions that stand for several signal levels."""

_SHOWN = {"psnr": "PSNR [dB]", "ssim": "SSIM", "ms_ssim": "MS-SSIM", "nrmse": "NRMSE"}
_METHODS = {
    "bicubic": "bicubic",
    "richardson_lucy": "Richardson-Lucy",
    "wiener": "Wiener",
    "wiener_estimated": "Wiener, estimated pattern",
}
_ONLY = {"wiener_estimated": ("psnr", "ssim")}
"""Metrics by which a method is shown, if not by all: tables stay readable."""


class Exposure(NamedTuple):
    """What a classical method may know about a test image."""

    structure: Structure
    """What the sample is."""
    photons: float
    """Signal level, photons per pixel on the structure and exposure."""
    frames: np.ndarray
    """(frame, y, x) float64, photons that the camera measured."""
    optics: Optics
    """Microscope that took it."""
    pattern: Pattern
    """Illumination pattern of the raw frames; of no meaning for widefield images."""
    background_photons: float
    """Uniform background per pixel and exposure."""


class Comparison(NamedTuple):
    """Evidence of one test image."""

    structure: Structure
    """What the sample is."""
    photons: float
    """Signal level, photons per pixel on the structure and exposure."""
    values: dict[str, float]
    """Metrics of the image and of the baselines."""


class SimImageTestSet(TestSet):
    """Images that follow from this declaration alone.

    The same samples and microscopes appear at every signal level and under both kinds
    of illumination; only the noise is new.
    """

    kind: Literal["sim_images"] = "sim_images"
    """Kind of test set."""
    seed: int = Field(default=20211, ge=0)
    """Seed, apart from every training seed."""
    structures: tuple[Structure, ...] = tuple(SPECIMENS)
    """Samples."""
    photon_levels: tuple[float, ...] = SIGNAL_LEVELS
    """Signal levels, photons per pixel on the structure and exposure."""
    images: int = Field(default=2, ge=1)
    """Samples of every structure."""
    conditions: SimPairs = SimPairs(crop_px=128)
    """Illumination, microscopes and cameras; its structures and photons play no
    part."""

    def cases(self) -> Iterator[Case]:
        """Simulate one image after the other, structure by structure.

        Inputs are (1, y, x, 1 or 9) float32, truths (2y, 2x) float32 between zero and
        one, facts an `Exposure`.
        """
        order = list(SPECIMENS)
        for structure in self.structures:
            for image in range(self.images):
                yield from self._levels(structure, order.index(structure), image)

    def example(self) -> np.ndarray:
        """Return the counts of one of the images, (y, x, 1 or 9) float32.

        The first sample of the first structure at the middle signal level: an image to
        show and to test with, simulated without the others.
        """
        structure = self.structures[0]
        number = list(SPECIMENS).index(structure)
        photons = sorted(self.photon_levels)[len(self.photon_levels) // 2]
        camera, origin, scene = self._sample(structure, number, 0)
        counts = self._counts(scene, camera, origin, (number, 0), photons)
        return np.ascontiguousarray(np.moveaxis(counts, 0, -1), dtype=np.float32)

    def score(self, case: Case, found: Products) -> Comparison:
        """Return the metrics of an image and of the classical methods beside it.

        Raises
        ------
        BadInput
            If there is no image, it does not lie on the target's grid or is not finite.
        """
        target, exposure = case.truth, case.facts
        if "image" not in found.images:
            raise BadInput(
                f"{case.name} is scored by its image, and the package returns none"
            )
        image = np.asarray(found.images["image"].array, float)
        if image.shape != target.shape or not np.isfinite(image).all():
            raise BadInput(
                f"the image of {case.name} must be finite and of the target's "
                f"{target.shape} px, not {image.shape}"
            )
        reference = exposure.frames.mean(axis=0)
        fine_nm = self.conditions.pixel_size_nm * len(reference) / len(target)
        own = similarity(image, target, data_range=1.0)
        values = own | {"resolution_nm": fine_nm * resolution_px(image)}
        values |= agreement(image, reference)
        for name, baseline in baselines(exposure):
            theirs = similarity(baseline, target, data_range=1.0)
            values |= {f"{metric}_{name}": value for metric, value in theirs.items()}
            values |= {f"{m}_over_{name}": own[m] - theirs[m] for m in ("psnr", "ssim")}
        return Comparison(exposure.structure, exposure.photons, values)

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return means over samples: structure (or ``all``), condition, metric.

        Conditions are the signal levels, ``all`` and, as means over levels,
        ``below_100`` and ``above_100``.  Metrics: ``psnr`` (dB), ``ssim``, ``ms_ssim``,
        ``nrmse`` (Euclidean) after the affine match of least squares to the target,
        whose range is one; ``resolution_nm`` by decorrelation; ``rsp`` and ``rse``
        (photons per camera pixel) against the mean of the frames; the first four of
        ``bicubic`` (of the mean of the frames) and ``richardson_lucy``, or of
        ``wiener`` (told the pattern) and ``wiener_estimated`` (left to estimate it),
        such as ``psnr_wiener``; and by how much the network is ahead, such as
        ``ssim_over_bicubic``.
        """
        rows: dict[tuple[str, float], list[dict[str, float]]] = {}
        for _, comparison in scored:
            key = comparison.structure, comparison.photons
            rows.setdefault(key, []).append(comparison.values)
        values = {key: means(of_level) for key, of_level in rows.items()}
        structures = list(dict.fromkeys(structure for structure, _ in values))
        levels = list(dict.fromkeys(photons for _, photons in values))
        for photons in levels:
            values[OVERALL, photons] = means([values[s, photons] for s in structures])
        return {
            structure: _conditions({p: values[structure, p] for p in levels})
            for structure in (*structures, OVERALL)
        }

    def perfect(self, case: Case) -> Products:
        """Return the target as image, rounded as in a file of 16 bits."""
        steps = 2**16 - 1
        return Products([Image("image", np.round(case.truth * steps) / steps, "yx")])

    def nothing(self, case: Case) -> Products:
        """Return a black image."""
        return Products([Image("image", np.zeros_like(case.truth), "yx")])

    def covers(self) -> dict[str, tuple[float, float]]:
        """Return signal levels and the conditions of the microscopes."""
        levels = (min(self.photon_levels), max(self.photon_levels))
        return training_conditions(self.conditions) | {"photons": levels}

    def calibrating(self) -> Self:
        """Return images of other samples at a few signal levels."""
        levels = sorted(self.photon_levels)
        few = dict.fromkeys((levels[len(levels) // 5], levels[-1 - len(levels) // 4]))
        return self.override(seed=self.seed + 1, images=2, photon_levels=tuple(few))

    def bench(self) -> Bench:
        """Return the microscope in the middle of the conditions."""
        from zoo.test_sets._sim_bench import SimBench

        return SimBench(self.conditions)

    def reduced(self) -> Self:
        """Return one small image of every structure at the lowest and highest level."""
        levels = {min(self.photon_levels), max(self.photon_levels)}
        return self.override(
            images=1, photon_levels=tuple(sorted(levels)), conditions__crop_px=32
        )

    def headlines(self, metrics: Metrics) -> Metrics:
        """Return the metrics without those of single signal levels."""
        return {
            structure: {name: row for name, row in rows.items() if name in CONDITIONS}
            for structure, rows in metrics.items()
        }

    def tables(self, metrics: Metrics) -> list[ScoreTable]:
        """Return a table of structures for each range of levels, and PSNR by level.

        A metric of the network stands beside that of the classical methods.
        """
        tables: list[ScoreTable] = []
        for condition, words in CONDITIONS.items():
            rows: dict[str, Mapping[str, Any]] = {
                structure: conditions[condition]
                for structure, conditions in metrics.items()
                if condition in conditions
            }
            if rows:
                tables.append(ScoreTable(words, _columns(rows), rows))
        names = (name for conditions in metrics.values() for name in conditions)
        levels = [name for name in dict.fromkeys(names) if name not in CONDITIONS]
        if levels:
            by_level: dict[str, Mapping[str, Any]] = {
                structure: {p: conditions.get(p, {}).get("psnr") for p in levels}
                for structure, conditions in metrics.items()
            }
            columns = {photons: photons for photons in levels}
            tables.append(ScoreTable("PSNR [dB] by photons", columns, by_level))
        return tables

    def _levels(self, structure: Structure, number: int, image: int) -> Iterator[Case]:
        camera, origin, scene = self._sample(structure, number, image)
        target = scaled_target(scene)[..., 0]
        for photons in self.photon_levels:
            counts = self._counts(scene, camera, origin, (number, image), photons)
            yield Case(
                name=f"{structure}/{photons:g}",
                input=scaled_counts(counts)[None],
                truth=target,
                pixel_size_nm=self.conditions.pixel_size_nm,
                facts=Exposure(
                    structure=structure,
                    photons=photons,
                    frames=camera.to_photons(counts, origin=origin),
                    optics=scene.optics,
                    pattern=scene.pattern,
                    background_photons=photons * scene.background,
                ),
            )

    def _sample(
        self, structure: Structure, number: int, image: int
    ) -> tuple[Camera, tuple[int, int], SimScene]:
        """Return the camera, where on it the image lies, and what is before it."""
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


def baselines(exposure: Exposure) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and image (2y, 2x) of the methods that need no training.

    Enlargement and deconvolution of a widefield image; enlargement of the mean of raw
    frames, and their Wiener reconstruction.
    """
    yield "bicubic", bicubic(exposure.frames.mean(axis=0))
    if len(exposure.frames) == 1:
        yield (
            "richardson_lucy",
            richardson_lucy(
                exposure.frames[0],
                exposure.optics,
                iterations=richardson_lucy_iterations(exposure.photons),
                background=exposure.background_photons,
            ),
        )
        return
    light = {"photons": exposure.photons, "background": exposure.background_photons}
    frames, optics = exposure.frames, exposure.optics
    yield "wiener", wiener(frames, exposure.pattern, optics, **light)
    yield "wiener_estimated", wiener_estimated(frames, optics, **light)


def _conditions(by_level: dict[float, dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Return the metrics of each level and means over levels, rounded."""
    groups = {f"{photons:g}": [row] for photons, row in by_level.items()}
    groups[OVERALL] = list(by_level.values())
    groups["below_100"] = [r for p, r in by_level.items() if p < DIM_PHOTONS]
    groups["above_100"] = [r for p, r in by_level.items() if p >= DIM_PHOTONS]
    return {
        name: {
            metric: round(value, 4) if np.isfinite(value) else None
            for metric, value in means(rows).items()
        }
        for name, rows in groups.items()
        if rows
    }


def _columns(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the metrics that exist and their headings, in the order of a table."""
    columns: dict[str, str] = {}
    for metric, words in _SHOWN.items():
        columns[metric] = words
        for method, name in _METHODS.items():
            if metric in _ONLY.get(method, _SHOWN):
                columns[f"{metric}_{method}"] = name
    columns |= {name: heading(name) for name in ("resolution_nm", "rsp", "rse")}
    known = {
        name
        for row in rows.values()
        for name, value in row.items()
        if isinstance(value, (int, float))
    }
    return {name: words for name, words in columns.items() if name in known}
