"""Frozen scans at several strengths of noise, beside enlargement and denoising."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, SerializeAsAny

from zoo.core.bench import Bench
from zoo.core.contract import conditions as training_conditions
from zoo.core.errors import BadInput
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.core.test_set import Case, Metrics, ScoreTable, TestSet
from zoo.metrics.baselines import bicubic
from zoo.metrics.comparison import agreement, frc_to_truth_px, means, similarity
from zoo.metrics.denoising import best_denoised, bilinear
from zoo.simulate.crappifiers import Crappifier
from zoo.simulate.fluorescence_scans import FluorescenceMovies, FluorescenceScans
from zoo.simulate.scans import GREY_LEVELS, SCALE, Dense, ElectronScans, Scans

LEVELS = {"half": 0.5, "trained": 1.0, "double": 2.0}
"""Conditions, and the factor of the crappifier's strengths in each."""

PUBLISHED = "published"
"""Condition of the published crappifier, whose grid stretches the view, where it is not
the registered one."""

OVERALL = "all"
"""Mean over all cases of a condition."""

METRICS = {
    "psnr": "PSNR [dB]",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "frc_nm": "FRC [nm]",
    "rsp": "RSP",
    "rse": "RSE",
}
"""Scores and their headings; RSP and RSE are known of networks alone."""

_NAMES = {
    "bilinear": "bilinear",
    "bicubic": "bicubic",
    "denoised": "denoised",
    "mean": "mean of frames",
}


class Scan(NamedTuple):
    """What a baseline may know about a case."""

    group: str
    """What the sample is."""
    condition: str
    """Strength of the noise."""
    coarse: np.ndarray
    """(c, y, x) scan, the middle channel that of the truth."""
    pixel_nm: float
    """Edge of a dense pixel."""


class Evidence(NamedTuple):
    """Metrics of one case."""

    group: str
    """What the sample is."""
    condition: str
    """Strength of the noise."""
    values: dict[str, float]
    """Metrics of the image and of the baselines."""


class ScanTestSet(TestSet):
    """Scans that follow from this declaration alone, of scenes no training has seen.

    The same views appear at every strength of noise.
    """

    kind: Literal["scans"] = "scans"
    """Kind of test set."""
    seed: int = Field(default=20213, ge=0)
    """Seed of scenes and noise, apart from every training seed."""
    images: int = Field(default=5, ge=1)
    """Views."""
    levels: tuple[str, ...] = (*LEVELS, PUBLISHED)
    """Conditions."""
    conditions: SerializeAsAny[Scans] = ElectronScans()
    """Samples and degradations; of these the first."""

    def cases(self) -> Iterator[Case]:
        """Simulate one scan after the other.

        Inputs are (1, y, x, c) float32 grey levels, truths (4 y, 4 x) float32 between
        0 and 1, facts a `Scan`.
        """
        for image in range(self.images):
            group, dense = self._view(image)
            for condition in self.levels:
                crappifier = self._crappifier(condition)
                if crappifier is None:
                    continue
                coarse = self._coarse(image, condition, dense, crappifier)
                yield Case(
                    name=f"{group}/{condition}",
                    input=np.moveaxis(coarse, 0, -1)[None],
                    truth=dense.truth,
                    pixel_size_nm=SCALE * dense.pixel_nm,
                    facts=Scan(group, condition, coarse, dense.pixel_nm),
                )

    def example(self) -> np.ndarray:
        """Return one of the scans, (y, x, c) float32 grey levels."""
        _, dense = self._view(0)
        crappifier = self.conditions.crappifiers[0]
        coarse = self._coarse(0, "trained", dense, crappifier)
        return np.ascontiguousarray(np.moveaxis(coarse, 0, -1))

    def score(self, case: Case, found: Products) -> Evidence:
        """Return the metrics of an image and of the baselines.

        Raises
        ------
        BadInput
            If there is no image, it does not lie on the target's grid or is not finite.
        """
        truth, scan = np.asarray(case.truth, float), case.facts
        if "image" not in found.images:
            raise BadInput(
                f"{case.name} is scored by its image, and the package returns none"
            )
        image = np.asarray(found.images["image"].array, float)
        if image.shape != truth.shape or not np.isfinite(image).all():
            raise BadInput(
                f"the image of {case.name} must be finite and of the target's "
                f"{truth.shape} px, not {image.shape}"
            )
        low, high = np.percentile(truth, (0.1, 99.9))
        truth = (truth - low) / max(high - low, 1e-9)
        own = similarity(image, truth, data_range=1.0)
        middle = scan.coarse[len(scan.coarse) // 2]
        frc_px = frc_to_truth_px(image, truth)
        values = own | {"frc_nm": scan.pixel_nm * frc_px} | agreement(image, middle)
        for name, baseline in baselines(scan, truth):
            theirs = similarity(baseline, truth, data_range=1.0)
            values |= {f"{metric}_{name}": theirs[metric] for metric in own}
            frc_px = frc_to_truth_px(baseline, truth)
            values[f"frc_nm_{name}"] = scan.pixel_nm * frc_px
            values |= {f"{m}_over_{name}": own[m] - theirs[m] for m in ("psnr", "ssim")}
        return Evidence(scan.group, scan.condition, values)

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return means over views: sample (or ``all``), condition, metric.

        Metrics: ``psnr`` (dB), ``ssim``, ``ms_ssim`` and ``nrmse`` (Euclidean) after
        the affine match of least squares to the truth, whose percentiles 0.1 and 99.9
        become 0 and 1; ``frc_nm``, the detail up to which image and truth correlate;
        ``rsp`` and ``rse`` (grey levels) against the scan; all but these two of
        ``bilinear``, ``bicubic`` and ``denoised`` (the denoised and enlarged scan that
        is nearest to the truth), and for movies of the ``mean`` of the frames; and by
        how much the network is ahead, such as ``ssim_over_bilinear``.
        """
        rows: dict[str, dict[str, list[dict[str, float]]]] = {}
        for _, evidence in scored:
            for group in (OVERALL, evidence.group):
                of_group = rows.setdefault(group, {})
                of_group.setdefault(evidence.condition, []).append(evidence.values)
        return {
            group: {
                condition: {
                    metric: round(value, 4) if np.isfinite(value) else None
                    for metric, value in means(values).items()
                }
                for condition, values in conditions.items()
            }
            for group, conditions in rows.items()
        }

    def perfect(self, case: Case) -> Products:
        """Return the target as image, rounded as in a file of 16 bits."""
        steps = 2**16 - 1
        return Products([Image("image", np.round(case.truth * steps) / steps, "yx")])

    def nothing(self, case: Case) -> Products:
        """Return a black image."""
        return Products([Image("image", np.zeros_like(case.truth), "yx")])

    def covers(self) -> dict[str, tuple[float, float]]:
        """Return the strengths and the conditions of the samples."""
        factors = [LEVELS[name] for name in self.levels if name in LEVELS] or [1.0]
        strength = (min(factors), max(factors))
        return training_conditions(self.conditions) | {"strength": strength}

    def bench(self) -> Bench:
        """Return the microscope in the middle of the conditions."""
        from zoo.test_sets._scan_bench import ScanBench

        return ScanBench(self.conditions)

    def calibrating(self) -> Self:
        """Return views of other scenes."""
        return self.override(seed=self.seed + 1, images=3)

    def reduced(self) -> Self:
        """Return one small view under every condition."""
        return self.override(images=1, conditions__crop_px=48)

    def headlines(self, metrics: Metrics) -> Metrics:
        """Return the means over all samples."""
        return {OVERALL: metrics[OVERALL]} if OVERALL in metrics else metrics

    def tables(self, metrics: Metrics) -> list[ScoreTable]:
        """Return a table of conditions over all samples, and one of samples."""
        tables: list[ScoreTable] = []
        rows: dict[str, Mapping[str, Any]] = dict(metrics.get(OVERALL, {}))
        if rows:
            tables.append(ScoreTable("noise", _columns(rows), rows))
        single: dict[str, Mapping[str, Any]] = {
            group: of_group["trained"]
            for group, of_group in metrics.items()
            if group != OVERALL and "trained" in of_group
        }
        if single:
            columns = _columns(single, ("psnr", "ssim"))
            tables.append(ScoreTable("sample, noise as trained", columns, single))
        return tables

    def _view(self, image: int) -> tuple[str, Dense]:
        """Return the name of a sample and a view of it, as it was frozen."""
        source = self.conditions.override(scene_seed=self.seed, scenes=40)
        rng = generator(self.seed, image)
        low, high = np.log(source.pixel_sizes_nm)
        share = (image + 0.5) / self.images
        number = source.scene_of(float(np.exp(low + share * (high - low))) / SCALE)
        pixel_nm = source.scene_pixel_nm(number)
        dense = source.view(rng, number, SCALE * source.crop_px, pixel_nm)
        return source.scene_name(number), dense

    def _crappifier(self, condition: str) -> Crappifier | None:
        """Return the degradation of a condition; None if it is that of another."""
        first = self.conditions.crappifiers[0]
        if condition != PUBLISHED:
            return first.stronger(LEVELS[condition])
        published = Crappifier.model_validate({"kind": first.kind})
        return None if published == first else published

    def _coarse(
        self, image: int, condition: str, dense: Dense, crappifier: Crappifier
    ) -> np.ndarray:
        """Return the grey levels of a scan, (c, y, x) float32."""
        noise = generator(self.seed, image, 1 + self.levels.index(condition))
        coarse = self.conditions.degraded(noise, dense, crappifier)
        return np.round(GREY_LEVELS * coarse).astype(np.float32)


class FluorescenceTestSet(ScanTestSet):
    """Confocal scans of every structure."""

    kind: Literal["fluorescence_scans"] = "fluorescence_scans"  # pyright: ignore[reportIncompatibleVariableOverride] a kind of its own
    """Kind of test set."""
    levels: tuple[str, ...] = tuple(LEVELS)
    """Conditions."""
    conditions: SerializeAsAny[Scans] = FluorescenceScans()
    """Samples and degradations; of these the first."""


class MovieTestSet(FluorescenceTestSet):
    """Confocal movies of cells that move at several speeds."""

    kind: Literal["fluorescence_movies"] = "fluorescence_movies"  # pyright: ignore[reportIncompatibleVariableOverride] a kind of its own
    """Kind of test set."""
    conditions: SerializeAsAny[Scans] = FluorescenceMovies()
    """Samples and degradations; of these the first."""


def baselines(scan: Scan, truth: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and image of the methods that need no training."""
    middle = scan.coarse[len(scan.coarse) // 2]
    scale = truth.shape[0] // middle.shape[0]
    yield "bilinear", bilinear(middle, scale)
    yield "bicubic", bicubic(middle, scale)
    yield "denoised", best_denoised(middle, truth)
    if len(scan.coarse) > 1:
        yield "mean", bilinear(scan.coarse.mean(axis=0), scale)


def _columns(
    rows: Mapping[str, Mapping[str, Any]], metrics: Sequence[str] = tuple(METRICS)
) -> dict[str, str]:
    """Return the metrics that have a value and their headings, in order."""
    columns: dict[str, str] = {}
    for metric in metrics:
        columns[metric] = METRICS[metric]
        columns |= {f"{metric}_{method}": name for method, name in _NAMES.items()}
    known = {n for row in rows.values() for n, v in row.items() if v is not None}
    return {name: words for name, words in columns.items() if name in known}
