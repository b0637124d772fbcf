"""Frozen pairs of two microscopes, structure by structure, beside classical methods."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
from pydantic import Field

from zoo.core.bench import Bench
from zoo.core.contract import conditions as training_conditions
from zoo.core.errors import BadInput
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.core.test_set import Case, Metrics, ScoreTable, TestSet, heading
from zoo.metrics.comparison import agreement, means, resolution_px, similarity
from zoo.metrics.filaments import filament_widths_nm
from zoo.metrics.microssim import Moments, micro_ssim, moments
from zoo.metrics.spot_widths import isolated_places, spot_widths_nm
from zoo.physics.cell_structures import CellStructure
from zoo.simulate.modalities import (
    ModalityPairs,
    ModalityScene,
    on_grid,
    scaled_target,
)
from zoo.test_sets._modality_baselines import METHODS, Exposure, baselines, response

SCORED: tuple[CellStructure, ...] = tuple(
    name
    for name in get_args(CellStructure)
    if name not in ("mixed", "diffuse", "nothing")
)
"""Structures that are scored."""

OVERALL = "all"
"""Mean over structures, or over signal levels."""

BORDER_PX = 12
"""Pixels at every side of an image that are not scored: what lies beyond is unknown."""

EXAMPLE_PX = 416
"""Edge of the example: a tile that other programs are told to use, px."""

WIDTH_REACH_PX = 14.0
"""Profiles across beads and filaments reach this far to either side, px."""

FEWEST_WIDTHS = 8
"""Widths below which a median says nothing."""

_SHOWN = {
    "psnr": "PSNR [dB]",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "micro_ssim": "MicroSSIM",
}
_WORDS = {
    "input": "input",
    "sharpened": "sharpened",
    "richardson_lucy": "Richardson-Lucy",
}


_ATTEMPTS = 20  # at a field in which enough of the sample lies
_LEAST_SHARE = 1e-3  # of the pixels that are brighter than a tenth of the brightest


class Comparison(NamedTuple):
    """Evidence of one test image."""

    structure: CellStructure
    """What the sample is."""
    photons: float
    """Signal level."""
    values: dict[str, float]
    """Metrics of the image and of the methods that need no training."""
    moments: dict[str, Moments]
    """Local moments of the image, under an empty name, and of the methods."""
    widths_nm: dict[str, np.ndarray]
    """Widths of isolated beads or straight filaments in image, input and target; empty
    for other structures."""


class ModalityTestSet(TestSet):
    """Images that follow from this declaration alone.

    The same samples and microscopes appear at every signal level; only the noise is
    new.  Every second sample was recorded with pixels twice as long as the target's, as
    users' files are, and is resampled by the prediction.
    """

    kind: Literal["modalities"] = "modalities"
    """Kind of test set."""
    seed: int = Field(default=20191, ge=0)
    """Seed, apart from every training seed."""
    structures: tuple[CellStructure, ...] = SCORED
    """Samples."""
    photon_levels: tuple[float, ...] = (20.0, 200.0)
    """Signal levels, photons per pixel of the input on the structure."""
    images: int = Field(default=2, ge=1)
    """Samples of every structure."""
    size_px: int = Field(default=256, ge=192)
    """Least edge of the images, px of the target."""
    conditions: ModalityPairs = ModalityPairs()
    """Microscopes and detectors; its structures and photons play no part."""

    def cases(self) -> Iterator[Case]:
        """Simulate one image after the other, structure by structure.

        Inputs are (1, y, x, 1) float32 counts, truths (Y, X) float32 between zero and
        one, facts an `Exposure`.
        """
        for structure in self.structures:
            for image in range(self.images):
                yield from self._levels(structure, image)

    def example(self) -> np.ndarray:
        """Return the counts of an image on the grid of the target, (y, x, 1)."""
        rng = generator(self.seed, 0, 0)
        structure = self.structures[0]
        scene = self.conditions.scene(
            rng,
            structure,
            size_px=EXAMPLE_PX,
            coarseness=1,
            pixel_nm=self.conditions.pixel_size_nm,
        )
        counts = self.conditions.expose(scene, rng, max(self.photon_levels))
        return counts[:EXAMPLE_PX, :EXAMPLE_PX, None].astype(np.float32)

    def score(self, case: Case, found: Products) -> Comparison:
        """Return the metrics of an image and of the methods beside it.

        Raises
        ------
        BadInput
            If there is no image, it does not lie on the target's grid or is not finite.
        """
        exposure = case.facts
        if "image" not in found.images:
            raise BadInput(
                f"{case.name} is scored by its image, and the package returns none"
            )
        image = np.asarray(found.images["image"].array, float)
        if image.shape != case.truth.shape or not np.isfinite(image).all():
            raise BadInput(
                f"the image of {case.name} must be finite and of the target's "
                f"{case.truth.shape} px, not {image.shape}"
            )
        edge = slice(BORDER_PX, -BORDER_PX)
        inner = (edge, edge)
        target = case.truth[inner]
        own = similarity(image[inner], target, data_range=1.0)
        values = own | {
            "resolution_nm": exposure.pixel_nm * resolution_px(image[inner])
        }
        values |= agreement(image[inner], exposure.image[inner])
        parts = {"": moments(image[inner], target)}
        for name, other in baselines(exposure):
            theirs = similarity(other[inner], target, data_range=1.0)
            parts[name] = moments(other[inner], target)
            values |= {f"{metric}_{name}": value for metric, value in theirs.items()}
            for metric in ("psnr", "ssim", "ms_ssim"):
                values[f"{metric}_over_{name}"] = own[metric] - theirs[metric]
        widths = _widths(exposure, image[inner], target, inner)
        return Comparison(exposure.structure, exposure.photons, values, parts, widths)

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return means over samples: structure (or ``all``), condition, metric.

        Conditions are the signal levels and ``all``.  Metrics: ``psnr`` (dB), ``ssim``,
        ``ms_ssim``, ``nrmse`` (Euclidean) after the affine match of least squares to
        the target, whose range is one; ``micro_ssim`` under one factor for all images;
        ``resolution_nm`` by decorrelation; ``rsp`` and ``rse`` against the input;
        ``fwhm_nm``, ``fwhm_input_nm`` and ``fwhm_target_nm``, medians over isolated
        beads or straight filaments; the
        first four of the methods that need no training, such as ``psnr_sharpened``, and
        by how much the network is ahead, such as ``ssim_over_richardson_lucy``.
        """
        evidence: list[Comparison] = [comparison for _, comparison in scored]
        names = list(evidence[0].moments) if evidence else []
        for name in names:
            found = micro_ssim([each.moments[name] for each in evidence])
            ending = f"_{name}" if name else ""
            for each, value in zip(evidence, found, strict=True):
                each.values[f"micro_ssim{ending}"] = value
        for each in evidence:
            for name in filter(None, names):
                lead = each.values["micro_ssim"] - each.values[f"micro_ssim_{name}"]
                each.values[f"micro_ssim_over_{name}"] = lead
        for structure in dict.fromkeys(each.structure for each in evidence):
            own = [each for each in evidence if each.structure == structure]
            for each in own:
                each.values.update(_median_widths(own, each.photons))
        rows: dict[CellStructure, dict[str, list[dict[str, float]]]] = {}
        for each in evidence:
            levels = rows.setdefault(each.structure, {})
            for condition in (f"{each.photons:g}", OVERALL):
                levels.setdefault(condition, []).append(each.values)
        metrics: Metrics = {
            structure: {
                name: _rounded(means(values)) for name, values in levels.items()
            }
            for structure, levels in rows.items()
        }
        conditions = dict.fromkeys(name for levels in rows.values() for name in levels)
        metrics[OVERALL] = {
            name: _rounded(means([means(levels[name]) for levels in rows.values()]))
            for name in conditions
        }
        return metrics

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
        """Return images of other samples."""
        return self.override(seed=self.seed + 1, images=1)

    def bench(self) -> Bench:
        """Return the microscopes in the middle of the conditions."""
        from zoo.test_sets._modality_bench import ModalityBench

        return ModalityBench(self.conditions)

    def reduced(self) -> Self:
        """Return one small image of every structure at the lowest and highest level."""
        levels = {min(self.photon_levels), max(self.photon_levels)}
        return self.override(images=1, photon_levels=tuple(sorted(levels)), size_px=192)

    def headlines(self, metrics: Metrics) -> Metrics:
        """Return the metrics without those of single signal levels."""
        return {
            structure: {OVERALL: rows[OVERALL]}
            for structure, rows in metrics.items()
            if OVERALL in rows
        }

    def tables(self, metrics: Metrics) -> list[ScoreTable]:
        """Return a table of structures, all levels together and level by level."""
        tables: list[ScoreTable] = []
        conditions = (name for rows in metrics.values() for name in rows)
        for condition in sorted(dict.fromkeys(conditions), key=lambda n: n != OVERALL):
            rows: dict[str, Mapping[str, Any]] = {
                structure: known[condition]
                for structure, known in metrics.items()
                if condition in known
            }
            words = "all signal levels"
            if condition != OVERALL:
                words = f"{condition} photons"
            tables.append(ScoreTable(words, _columns(rows), rows))
        return tables

    def _levels(self, structure: CellStructure, image: int) -> Iterator[Case]:
        number = get_args(CellStructure).index(structure)
        scene = self._scene(structure, number, image)
        target = scaled_target(scene.target, scene.faint)[..., 0]
        for photons in self.photon_levels:
            noise = generator(self.seed, number, image, round(1000 * photons))
            counts = self.conditions.expose(scene, noise, photons)
            gain, offset = response(counts, photons * scene.light)
            yield Case(
                name=f"{structure}/{photons:g}",
                input=counts[None, ..., None].astype(np.float32),
                truth=target,
                pixel_size_nm=scene.coarseness * scene.pixel_nm,
                facts=Exposure(
                    structure=structure,
                    photons=photons,
                    image=on_grid(counts, len(target)),
                    offset=offset,
                    background=gain * photons * scene.background,
                    microscope=scene.microscope,
                    pixel_nm=scene.pixel_nm,
                ),
            )

    def _scene(
        self, structure: CellStructure, number: int, image: int
    ) -> ModalityScene:
        """Return a sample of which enough is inside the field."""
        rng = generator(self.seed, number, image)

        def draw() -> ModalityScene:
            return self.conditions.scene(
                rng,
                structure,
                size_px=self.size_px,
                coarseness=1 + image % 2,
                pixel_nm=self.conditions.pixel_size_nm,
            )

        scene = draw()
        for _ in range(_ATTEMPTS):
            if float((scene.target > 0.1 * scene.target.max()).mean()) > _LEAST_SHARE:
                break
            scene = draw()
        return scene


def _widths(
    exposure: Exposure,
    image: np.ndarray,
    target: np.ndarray,
    inner: tuple[slice, slice],
) -> dict[str, np.ndarray]:
    """Return widths of beads or filaments in image, input and target, nm."""
    images = {"": image, "_input": exposure.image[inner], "_target": target}
    pixel_nm = exposure.pixel_nm
    if exposure.structure == "beads":
        places = isolated_places(target, apart_px=WIDTH_REACH_PX)
        return {
            name: spot_widths_nm(
                shown, places, pixel_size_nm=pixel_nm, half_length_px=WIDTH_REACH_PX
            )
            for name, shown in images.items()
        }
    if exposure.structure in ("filaments", "microtubules"):
        return {
            name: filament_widths_nm(
                shown,
                pixel_size_nm=pixel_nm,
                half_length_px=WIDTH_REACH_PX,
                smooth_px=2.5,
            )
            for name, shown in images.items()
        }
    return {}


def _median_widths(evidence: Sequence[Comparison], photons: float) -> dict[str, float]:
    """Return medians over all images of a structure at one signal level."""
    medians: dict[str, float] = {}
    for name in ("", "_input", "_target"):
        of_level = [
            each.widths_nm[name]
            for each in evidence
            if each.photons == photons and name in each.widths_nm
        ]
        widths = np.concatenate([np.empty(0), *of_level])
        if len(widths) >= FEWEST_WIDTHS:
            medians[f"fwhm{name}_nm"] = float(np.median(widths))
    return medians


def _rounded(row: Mapping[str, float]) -> dict[str, Any]:
    return {
        metric: round(value, 4) if np.isfinite(value) else None
        for metric, value in row.items()
    }


def _columns(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the metrics that exist and their headings, in the order of a table."""
    columns: dict[str, str] = {}
    for metric, words in _SHOWN.items():
        columns[metric] = words
        columns |= {f"{metric}_{method}": _WORDS[method] for method in METHODS}
    widths = ("fwhm_nm", "fwhm_input_nm", "fwhm_target_nm")
    for name in ("resolution_nm", "rsp", "rse", *widths):
        columns[name] = heading(name)
    known = {
        name
        for row in rows.values()
        for name, value in row.items()
        if isinstance(value, (int, float))
    }
    return {name: words for name, words in columns.items() if name in known}
