"""Frozen frames of overlapping engineered spots, scored as DeepSTORM3D was.

Nehme et al. 2020 (doi:10.1038/s41592-020-0853-5): 1, 10 or 34 emitters in a frame of
121 x 121 px, none of them near its border, matched within 100 nm along each direction.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Products, Table
from zoo.core.random import generator
from zoo.core.test_set import Case, Metrics, ScoreTable, TestSet, heading
from zoo.metrics.estimates import coverage
from zoo.metrics.localizations import score
from zoo.metrics.matching import match
from zoo.physics.engineered import PUPILS
from zoo.physics.surfaces import surface
from zoo.simulate.dense_emitters import (
    CORE_UM2,
    DenseEmitters,
    Emitters,
)
from zoo.simulate.optics import AnyOptics

MATCH_NM = 100.0
"""Largest distance of a match, laterally and axially, nm."""

METRICS = (
    "jaccard",
    "precision",
    "recall",
    "rmse_lateral_nm",
    "rmse_axial_nm",
    "bias_x_nm",
    "bias_y_nm",
    "bias_z_nm",
    "jaccard_random",
    "tp",
    "fp",
    "fn",
)
"""What is kept of the scores of a condition, as far as it exists."""

_ERRORS = (
    "jaccard",
    "precision",
    "recall",
    "rmse_lateral_nm",
    "rmse_axial_nm",
    "jaccard_random",
)
_BIAS = ("bias_x_nm", "bias_y_nm", "bias_z_nm")
_EXAMPLE_PX, _CORNER_PX = 64, 24
_SCENE_PX, _SCENE_EMITTERS = 128, 14


class Findings(NamedTuple):
    """Evidence of one condition: truth and localizations."""

    frames: int
    """Number of frames."""
    truth: Localizations
    """Emitters, frames from 1."""
    localizations: Localizations
    """What the package returned."""


class DenseEmitterTestSet(TestSet):
    """Frames with a number of emitters over the whole range of depths, and empty ones.

    Frames are few, because a volume of 121 planes takes seconds of a processor.
    """

    kind: Literal["dense_emitters"] = "dense_emitters"
    """Kind of test set."""
    seed: int = Field(default=20203, ge=0)
    """Seed, apart from every training seed."""
    optics: AnyOptics = PUPILS["tetrapod"]
    """Objective, pixel and phase mask."""
    pixel_size_nm: float = Field(
        default_factory=lambda fields: fields["optics"].pixel_nm, gt=0
    )
    """Camera pixel, nm; that of the optics if left out."""
    z_nm: tuple[float, float] = (0.0, 4000.0)
    """Depths of the emitters, nm."""
    photons: tuple[float, float] = (10000.0, 60000.0)
    """Photons of an emitter, evenly distributed."""
    floor_photons: tuple[float, float] = (20.0, 30.0)
    """Least background in a field, evenly distributed, photons per pixel."""
    crest_photons: tuple[float, float] = (100.0, 150.0)
    """Largest background in a field, which varies smoothly in between."""
    blur_px: tuple[float, float] = (0.75, 1.25)
    """Standard deviation of the Gaussian blur of an emitter, px."""
    size_px: int = Field(default=121, ge=32)
    """Edge of the frames, camera px."""
    border_px: int = Field(default=20, ge=0)
    """Border without emitters, camera px."""
    emitters: tuple[int, ...] = (1, 10, 34)
    """Emitters per frame, by condition."""
    frames: tuple[int, ...] = (12, 8, 6)
    """Frames of each condition."""
    empty_frames: int = Field(default=3, ge=1)
    """Frames without emitters."""

    def cases(self) -> Iterator[Case]:
        """Simulate one movie after the other; equal declarations give equal counts.

        Inputs are (t, y, x) uint16, truths tables of emitters.
        """
        for number, (count, frames) in enumerate(
            zip(self.emitters, self.frames, strict=True)
        ):
            rng = generator(self.seed, 1, number)
            yield self._case(rng, f"emitters/{count}", np.full(frames, count))
        rng = generator(self.seed, 2, 0)
        yield self._case(rng, "empty/all", np.zeros(self.empty_frames, int))

    def example(self) -> np.ndarray:
        """Return a frame with an emitter in its upper left corner, (y, x, 1) float32.

        The corner is what becomes the test input of a package, whose volume would
        otherwise be empty.
        """
        rng = generator(self.seed, 3, 0)
        middle = _EXAMPLE_PX / 2
        emitters = self._emitters(rng, 1, _EXAMPLE_PX, middle - 0.5)
        frame = self._exposed(rng, emitters, _EXAMPLE_PX)
        start = round(middle) - _CORNER_PX // 2
        return np.roll(frame, (-start, -start), (0, 1))[..., None].astype(np.float32)

    def scene(self) -> np.ndarray:
        """Return a frame with whole spots, (y, x, 1) float32."""
        rng = generator(self.seed, 4, 0)
        emitters = self._emitters(rng, _SCENE_EMITTERS, _SCENE_PX, self.border_px)
        return self._exposed(rng, emitters, _SCENE_PX)[..., None].astype(np.float32)

    def score(self, case: Case, found: Products) -> Findings:
        """Return the localizations beside the truth.

        Raises
        ------
        BadInput
            If there is no table of localizations with depths.
        """
        table = found.localizations
        if table is None or table.z_nm is None:
            raise BadInput(
                f"{case.name} is scored by its localizations x, y and z, and the "
                "package returns none"
            )
        return Findings(len(case.input), case.truth, table)

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return `METRICS` of every number of emitters.

        ``emitters/<per frame>``, with the share of errors within one and two stated
        standard deviations where they are stated, and
        ``empty/all/false_per_100_frames``.
        """
        metrics: Metrics = {"emitters": {}, "empty": {}}
        for name, findings in scored:
            group, condition = name.split("/")
            if group == "empty":
                false = len(findings.localizations)
                metrics[group][condition] = {
                    "frames": findings.frames,
                    "false_localizations": false,
                    "false_per_100_frames": round(100 * false / findings.frames, 3),
                }
            else:
                metrics[group][condition] = self._values(findings)
        return {group: rows for group, rows in metrics.items() if rows}

    def perfect(self, case: Case) -> Products:
        """Return the truth as localizations."""
        return Products([Table("localizations", case.truth)])

    def nothing(self, case: Case) -> Products:
        """Return a table without rows."""
        del case
        rows = Localizations.empty(("x_nm", "y_nm", "frame", "z_nm"))
        return Products([Table("localizations", rows)])

    def covers(self) -> dict[str, tuple[float, float]]:
        """Return depths, brightness, background, densities and the pixel."""
        density = [count / CORE_UM2 for count in self.emitters]
        return {
            "z_nm": self.z_nm,
            "photons": self.photons,
            "background_photons": (self.floor_photons[0], self.crest_photons[1]),
            "density_per_um2": (min(density), max(density)),
            "pixel_size_nm": (self.pixel_size_nm, self.pixel_size_nm),
        }

    def calibrating(self) -> Self:
        """Return a further set to measure errors on that are to be stated."""
        frames = [max(8, 20 // count) for count in self.emitters]
        return self.override(seed=self.seed + 1, frames=tuple(frames))

    def reduced(self) -> Self:
        """Return a set of single frames, all conditions kept."""
        return self.override(frames=(1,) * len(self.emitters), empty_frames=1)

    def headlines(self, metrics: Metrics) -> Metrics:
        """Return the metrics by number of emitters."""
        return {name: metrics[name] for name in ("emitters",) if name in metrics}

    def tables(self, metrics: Metrics) -> list[ScoreTable]:
        """Lay out scores, biases with coverage, and empty frames."""
        tables: list[ScoreTable] = []
        rows = metrics.get("emitters", {})
        covered = ("within_1_sigma", "within_2_sigma")
        covered += tuple(f"{name}_z" for name in covered)
        for names in (_ERRORS, (*_BIAS, *covered)):
            shown = {
                name: heading(name)
                for name in names
                if any(row.get(name) is not None for row in rows.values())
            }
            if shown:
                tables.append(ScoreTable("emitters per frame", shown, dict(rows)))
        if "empty" in metrics:
            columns = {"false_per_100_frames": "false per 100 frames"}
            tables.append(ScoreTable("empty frames", columns, dict(metrics["empty"])))
        return tables

    @property
    def _source(self) -> DenseEmitters:
        """What the frames are drawn by."""
        return DenseEmitters(
            optics=self.optics,
            pixel_size_nm=self.pixel_size_nm,
            z_nm=self.z_nm,
            photons=self.photons,
            blur_px=self.blur_px,
        )

    def _case(self, rng: np.random.Generator, name: str, numbers: np.ndarray) -> Case:
        frames, tables = [], []
        for number, count in enumerate(numbers, start=1):
            emitters = self._emitters(rng, int(count), self.size_px, self.border_px)
            frames.append(self._exposed(rng, emitters, self.size_px))
            tables.append(
                Localizations(
                    x_nm=emitters.x_nm,
                    y_nm=emitters.y_nm,
                    z_nm=emitters.z_nm,
                    photons=emitters.photons,
                    frame=np.full(count, number),
                )
            )
        truth = Localizations.concatenate(tables)
        return Case(name, np.stack(frames), truth, self.pixel_size_nm)

    def _emitters(
        self, rng: np.random.Generator, count: int, size_px: int, border_px: float
    ) -> Emitters:
        """Draw emitters inside the border of a frame."""
        low = border_px * self.pixel_size_nm
        high = (size_px - border_px) * self.pixel_size_nm
        return Emitters(
            x_nm=rng.uniform(low, high, count),
            y_nm=rng.uniform(low, high, count),
            z_nm=rng.uniform(*self.z_nm, count),
            photons=rng.uniform(*self.photons, count),
            blur_nm=rng.uniform(*self.blur_px, count) * self.pixel_size_nm,
        )

    def _exposed(
        self, rng: np.random.Generator, emitters: Emitters, size_px: int
    ) -> np.ndarray:
        """Return counts, one per photon, on a background that varies smoothly."""
        centre = size_px / 2 + rng.uniform(-10, 10, 2)
        width = rng.uniform(size_px / 5, 2 * size_px / 5, 2)
        limits = rng.uniform(*self.floor_photons), rng.uniform(*self.crest_photons)
        angle = rng.uniform(-np.pi / 4, np.pi / 4)
        background = surface(np.array([*limits, *centre, *width, angle]), size_px)
        light = self._source.light(emitters, size_px=size_px) + background
        return np.minimum(rng.poisson(light), 65535).astype(np.uint16)

    def _values(self, findings: Findings) -> dict[str, Any]:
        truth, found = findings.truth, findings.localizations
        values = score(
            truth,
            found,
            field_nm=self.size_px * self.pixel_size_nm,
            border_nm=0.0,
            radius_nm=MATCH_NM,
            axial_radius_nm=MATCH_NM,
        )
        pairs = match(truth, found, radius_nm=MATCH_NM, axial_radius_nm=MATCH_NM)
        for column, axes, end in (
            ("uncertainty_nm", ("x_nm", "y_nm"), ""),
            ("uncertainty_z_nm", ("z_nm",), "_z"),
        ):
            stated = getattr(found, column)
            if stated is None or not len(pairs):
                continue
            off = [
                getattr(found, axis)[pairs.found] - getattr(truth, axis)[pairs.truth]
                for axis in axes
            ]
            errors = np.concatenate(off)
            sigmas = np.tile(stated[pairs.found], len(axes))
            for count in (1, 2):
                values[f"within_{count}_sigma{end}"] = coverage(
                    errors, sigmas, float(count)
                )
        kept = (*METRICS, *(name for name in values if name.startswith("within_")))
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name in kept
            if (value := values.get(name)) is not None and np.isfinite(value)
        }
