"""Regions of single emitters behind a known pupil, with the bounds of their errors."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from zoo.core.contract import CONDITION, Contract, Range
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.core.recipe import Simulation, Source
from zoo.core.symmetry import SpotSymmetry, narrowed
from zoo.core.test_set import TestSet
from zoo.physics.engineered import PUPILS
from zoo.physics.fisher import emitter_bound
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spot_symmetry import has_symmetry
from zoo.physics.spots import Psf
from zoo.physics.zernike import ABERRATIONS
from zoo.simulate.optics import (
    AnyOptics,
    check_pixel,
    declared,
    depth_range_nm,
    psf_of,
)

COLUMNS = ("x_nm", "y_nm", "z_nm", "photons", "background_photons")
"""What can be said about an emitter."""

_DEPTHS, _RATIOS = 49, 17  # of the table of bounds
_DARKEST, _BRIGHTEST = 1e-6, 1.0  # background per pixel and photon of the emitter
_ALIKE = 8  # regions in a row from one microscope


class Emitters(NamedTuple):
    """Emitters, one per region, (n,) each."""

    x_nm: np.ndarray
    """Along columns, from the centre of the region's central pixel."""
    y_nm: np.ndarray
    """Along rows, likewise."""
    z_nm: np.ndarray
    """Depth."""
    photons: np.ndarray
    """Photons at the detector."""
    background_photons: np.ndarray
    """Photons per pixel without the emitter."""


class SingleEmitters(Source):
    """Regions around single emitters, in photons, and their parameters with bounds.

    Every region has an aberration, a microscope and a brightness of its own.  The
    target holds the parameters and behind them their Cramér-Rao bounds for the optics
    without further aberration, both in units of `factors`, as
    `zoo.losses.BoundWeighted` takes them (Zhang et al. 2018,
    doi:10.1038/s41592-018-0153-5).
    """

    kind: Literal["single_emitters"] = "single_emitters"
    """Type of the source."""
    optics: AnyOptics = PUPILS["astigmatic"]
    """Objective, pixel and aberrations that all regions have in common; or the path of
    an ``optics.json`` of ``zoo calibrate``, with which pixel and depths become those of
    the calibration."""
    pixel_size_nm: Annotated[float, CONDITION] = Field(
        default_factory=lambda fields: fields["optics"].pixel_nm, gt=0
    )
    """Camera pixel referred to the sample, nm; that of the optics if left out."""
    size_px: int = Field(default=32, ge=8)
    """Edge of a region, px."""
    columns: tuple[str, ...] = ("x_nm", "y_nm", "z_nm")
    """Parameters in the target, such as ``x_nm``."""
    factors: tuple[float, ...] = (10.0, 10.0, 100.0)
    """Unit of every parameter, in that of its column."""
    z_nm: Annotated[Range, CONDITION] = (-600.0, 600.0)
    """Depths, uniform, nm."""
    lateral_px: float = Field(default=2.0, ge=0)
    """Largest distance from the centre of the central pixel along x and y, px."""
    margin: float = Field(default=0.08, ge=0)
    """Share by which depths and distances go beyond, so that estimates at the ends of
    the range are not drawn inwards."""
    photons: Annotated[Range, CONDITION] = (1000.0, 10000.0)
    """Photons of an emitter at the detector, log-uniform."""
    background_photons: Annotated[Range, CONDITION] = (1.0, 50.0)
    """Photons per pixel without the emitter, log-uniform."""
    read_noise_e: Range = (0.0, 1.6)
    """Standard deviation of the read noise, uniform over regions, electrons."""
    aberration_rad: Range = (0.0, 0.2)
    """Root mean square of a further aberration, uniform over regions, rad.  This and
    the next three need optics given by a pupil."""
    na_spread: float = Field(default=0.02, ge=0)
    """Half of the range of numerical apertures."""
    index_spread: float = Field(default=0.01, ge=0)
    """Half of the range of refractive indices of the sample."""
    blur_spread: float = Field(default=0.15, ge=0, lt=1)
    """Half of the range of blurs, relative."""
    microscopes: int = Field(default=24, ge=1)
    """Number of different apertures, indices and blurs."""
    neighbour_share: float = Field(default=0.1, ge=0, le=1)
    """Share of regions into whose border another emitter shines."""
    neighbour_px: Range = (10.0, 22.0)
    """Distance of that emitter from the central pixel, uniform, px."""
    pupil_samples: int = Field(default=64, ge=32)
    """Points along the diameter of the pupil."""

    @model_validator(mode="before")
    @classmethod
    def _as_calibrated(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(
            values.get("optics"), (str, Path)
        ):
            return values
        optics = declared(values["optics"])
        taken: dict[str, Any] = values | {"optics": optics}
        old_nm = taken.get("pixel_size_nm", optics.pixel_nm)
        taken["pixel_size_nm"] = optics.pixel_nm
        if "factors" in taken and "columns" in taken:  # of x and y, they count pixels
            taken["factors"] = tuple(
                factor * optics.pixel_nm / old_nm
                if name in ("x_nm", "y_nm")
                else factor
                for name, factor in zip(taken["columns"], taken["factors"], strict=True)
            )
        covered = depth_range_nm(values["optics"]) or depth_range_nm(optics)
        if covered is not None:
            low, high = taken.get("z_nm", covered)
            both = max(low, covered[0]), min(high, covered[1])
            taken["z_nm"] = both if both[0] < both[1] else covered
        return taken

    @field_validator("photons", "background_photons")
    @classmethod
    def _rising(cls, bounds: Range) -> Range:
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of positive bounds, lower one first")
        return bounds

    @field_validator("z_nm", "read_noise_e", "aberration_rad", "neighbour_px")
    @classmethod
    def _ordered(cls, bounds: Range) -> Range:
        if bounds[0] > bounds[1]:
            raise ValueError("must be a pair of bounds, lower one first")
        return bounds

    @model_validator(mode="after")
    def _units_of_columns(self) -> Self:
        for name in self.columns:
            if name not in COLUMNS:
                raise ValueError(f"columns must be of {', '.join(COLUMNS)}, not {name}")
        if len(self.factors) != len(self.columns) or min(self.factors) <= 0:
            raise ValueError("factors must be positive and as many as the columns")
        check_pixel(self.optics, self.pixel_size_nm)
        return self

    @property
    def middle_nm(self) -> float:
        """Distance of the central pixel's centre from the region's outer corner, nm."""
        return (self.size_px // 2 + 0.5) * self.pixel_size_nm

    @property
    def drawn_nm(self) -> Range:
        """Depths with their margin, as far as the optics are known."""
        low, high = self.z_nm
        beyond = self.margin * (high - low) / 2
        limits = depth_range_nm(self.optics) or (-np.inf, np.inf)
        return max(low - beyond, limits[0]), min(high + beyond, limits[1])

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a region (y, x, 1), photons, and its target (2 * columns,)."""
        regions, targets = self.batch(rng, 1)
        return regions[0], targets[0]

    def batch(
        self, rng: np.random.Generator, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return regions (b, y, x, 1) and targets; see `zoo.core.recipe.Source`."""
        emitters = self.emitters(rng, count)
        read_noise_e = rng.uniform(*self.read_noise_e, count)
        expected = self._expected(rng, emitters)
        regions = rng.poisson(expected).astype(np.float32)
        regions += read_noise_e[:, None, None] * rng.standard_normal(
            regions.shape, np.float32
        )
        bounds = self.bounds(emitters, read_noise_e)
        parts = [
            np.stack([values[c] for c in self._places], axis=1)
            for values in (np.stack(emitters), bounds)
        ]
        scaled = [part / np.asarray(self.factors) for part in parts]
        return (
            regions[..., None].astype(np.float32),
            np.concatenate(scaled, axis=1).astype(np.float32),
        )

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Return regions and the table that they should give."""
        emitters = self.emitters(rng, frames)
        counts = rng.poisson(self._expected(rng, emitters))
        truth = Localizations(**emitters._asdict(), frame=np.arange(1, frames + 1))
        return Simulation(
            np.minimum(counts, 65535).astype(np.uint16), truth, self.pixel_size_nm
        )

    def packaged_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options with as much of a symmetry as spots of these optics have."""
        wanted = options.get("symmetry", "none")
        optics = self.optics if isinstance(self.optics, PupilOptics) else None
        low, high = self.z_nm

        def holds(symmetry: SpotSymmetry) -> bool:
            return optics is not None and has_symmetry(
                optics, symmetry, both_sides=low == -high
            )

        if wanted == "none":
            return dict(options)
        return {**options, "symmetry": narrowed(wanted, holds)}

    def settle(self, contract: Contract, test_set: TestSet) -> tuple[Contract, TestSet]:
        """Return contract and test set for these optics, depths and units."""
        optics = self.optics.override(pixel_nm=self.pixel_size_nm)
        task: dict[str, Any] = {}
        if "optics" in type(contract.task).model_fields:
            task["optics"] = optics if isinstance(optics, PupilOptics) else None
        columns = getattr(contract.task, "columns", ())
        if columns[: len(self.columns)] == self.columns:
            repeats = len(columns) // len(self.columns)
            task["factors"] = repeats * self.factors
        changes = {f"task__{name}": value for name, value in task.items()}
        known = type(test_set).model_fields
        shared = {"optics": optics, "z_nm": self.z_nm, "size_px": self.size_px}
        return contract.override(**changes), test_set.override(
            **{name: value for name, value in shared.items() if name in known}
        )

    def emitters(self, rng: np.random.Generator, count: int) -> Emitters:
        """Draw emitters."""
        reach_nm = (1 + self.margin) * self.lateral_px * self.pixel_size_nm
        x_nm, y_nm = rng.uniform(-reach_nm, reach_nm, (2, count))
        z_nm = rng.uniform(*self.drawn_nm, count)
        photons, background = (
            low * (high / low) ** rng.random(count)
            for low, high in (self.photons, self.background_photons)
        )
        return Emitters(x_nm, y_nm, z_nm, photons, background)

    def bounds(self, emitters: Emitters, read_noise_e: np.ndarray) -> np.ndarray:
        """Return Cramér-Rao bounds, (5, n), of emitters in the middle of the region.

        They scale with photons when background and photons keep their ratio, so that a
        table over depth and that ratio says all; it is interpolated linearly.
        """
        level = emitters.background_photons + read_noise_e**2
        table = _bound_table(self)  # pyright: ignore[reportArgumentType]
        depth, ratio = _table_axes(self)
        logarithms = np.log(level / emitters.photons)
        row = np.clip(
            (emitters.z_nm - depth[0]) / (depth[1] - depth[0]), 0, _DEPTHS - 1
        )
        column = (logarithms - np.log(ratio[0])) / np.log(ratio[1] / ratio[0])
        column = np.clip(column, 0, _RATIOS - 1)
        i = np.minimum(row.astype(int), _DEPTHS - 2)
        j = np.minimum(column.astype(int), _RATIOS - 2)
        u, v = row - i, column - j
        share = (
            (1 - u) * (1 - v) * table[:, i, j]
            + u * (1 - v) * table[:, i + 1, j]
            + (1 - u) * v * table[:, i, j + 1]
            + u * v * table[:, i + 1, j + 1]
        )
        root = np.sqrt(emitters.photons)
        return np.exp(share) * np.stack([1 / root, 1 / root, 1 / root, root, root])

    @property
    def _places(self) -> list[int]:
        return [COLUMNS.index(name) for name in self.columns]

    def _expected(self, rng: np.random.Generator, emitters: Emitters) -> np.ndarray:
        """Return the expected photons of regions, (n, y, x)."""
        count = len(emitters.photons)
        images = (
            self._images(rng, emitters.x_nm, emitters.y_nm, emitters.z_nm)
            * emitters.photons[:, None, None]
        )
        beside = np.flatnonzero(rng.random(count) < self.neighbour_share)
        distance_nm = rng.uniform(*self.neighbour_px, count) * self.pixel_size_nm
        angle = rng.uniform(0, 2 * np.pi, count)
        light = emitters.photons * rng.uniform(0.3, 1.0, count)
        depth = rng.uniform(*self.z_nm, count)
        if len(beside):
            images[beside] += light[beside, None, None] * self._images(
                rng,
                (distance_nm * np.cos(angle))[beside],
                (distance_nm * np.sin(angle))[beside],
                depth[beside],
            )
        return np.maximum(images, 0) + emitters.background_photons[:, None, None]

    def _images(
        self,
        rng: np.random.Generator,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
    ) -> np.ndarray:
        """Return shares of photons, (n, y, x), every region with its own optics."""
        count, shape = len(x_nm), (self.size_px, self.size_px)
        # few calls of many emitters are faster than the opposite
        which = rng.integers(self.microscopes, size=-(-count // _ALIKE))
        which = np.repeat(which, _ALIKE)[:count]
        weights = rng.standard_normal((count, len(ABERRATIONS)))
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
        weights *= rng.uniform(*self.aberration_rad, count)[:, None]
        images = np.empty((count, *shape), np.float32)
        for number in np.unique(which):
            part = which == number
            # frozen declarations of hashable fields can be hashed
            psf, basis = _microscope(self, int(number))  # pyright: ignore[reportArgumentType]
            places = x_nm[part] + self.middle_nm, y_nm[part] + self.middle_nm
            if isinstance(psf, PupilPsf):
                phase = np.tensordot(weights[part].astype(np.float32), basis, axes=1)
                images[part] = psf.images(*places, z_nm[part], shape, phase_rad=phase)
            else:
                images[part] = psf.images(*places, z_nm[part], shape)
        return images


def nominal_psf(source: SingleEmitters) -> Psf:
    """Return the point-spread function without any further aberration."""
    return psf_of(
        source.optics, pixel_nm=source.pixel_size_nm, samples=source.pupil_samples
    )


def microscope(source: SingleEmitters, number: int) -> PupilOptics:
    """Return the optics of one of the microscopes, without any aberration of its own.

    They come in pairs of opposites and together are the one in the middle: depths in
    that one would be biased by the mean of the few that are drawn.

    Raises
    ------
    TypeError
        If the source has no pupil.
    """
    optics = source.optics
    if not isinstance(optics, PupilOptics):
        raise TypeError("a measured point-spread function is a single microscope's")
    pair, opposite = divmod(number, 2)
    off = generator(source.microscopes, pair).uniform(-1, 1, 3)
    na, index, blur = -off if opposite else off
    return optics.override(
        pixel_nm=source.pixel_size_nm,
        na=min(optics.na + source.na_spread * na, 0.995 * optics.immersion_index),
        sample_index=optics.sample_index + source.index_spread * index,
        blur_nm=optics.blur_nm * (1 + source.blur_spread * blur),
    )


@lru_cache(maxsize=256)
def _microscope(source: SingleEmitters, number: int) -> tuple[Psf, np.ndarray]:
    """Return one of the microscopes and the aberrations at its pupil, if it has one."""
    if not isinstance(source.optics, PupilOptics):
        return nominal_psf(source), np.empty(0)
    drawn = microscope(source, number)
    psf = PupilPsf(drawn, samples=source.pupil_samples, dtype=np.float32)
    return psf, psf.zernike_basis(ABERRATIONS).astype(np.float32)


def _table_axes(source: SingleEmitters) -> tuple[np.ndarray, np.ndarray]:
    depths = np.linspace(*source.drawn_nm, _DEPTHS)
    return depths, np.geomspace(_DARKEST, _BRIGHTEST, _RATIOS)


@lru_cache(maxsize=8)
def _bound_table(source: SingleEmitters) -> np.ndarray:
    """Return logarithms of bounds for one photon, (5, depths, ratios)."""
    depths, ratios = _table_axes(source)
    z_nm, ratio = (grid.ravel() for grid in np.meshgrid(depths, ratios, indexing="ij"))
    middle = np.full(len(z_nm), source.middle_nm)
    bound = emitter_bound(
        nominal_psf(source),
        middle,
        middle,
        z_nm,
        photons=1.0,
        background_photons=ratio,
        shape=(source.size_px, source.size_px),
    )
    values = np.stack([getattr(bound, name) for name in COLUMNS])
    return np.log(values).reshape(5, _DEPTHS, _RATIOS)
