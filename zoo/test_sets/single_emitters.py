"""Frozen regions of single emitters, judged by the bounds of their errors."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Products, Table
from zoo.core.random import generator
from zoo.core.test_set import Case, Metrics, ScoreTable, TestSet
from zoo.physics.engineered import PUPILS
from zoo.physics.fisher import PixelNoise, emitter_bound
from zoo.physics.mle import fit_emitters
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spots import Psf
from zoo.physics.tabulated import tabulated_psf
from zoo.physics.zernike import ABERRATIONS
from zoo.simulate.optics import AnyOptics, depth_range_nm, psf_of
from zoo.test_sets import _full_field as field
from zoo.test_sets._estimates import (
    AXES,
    DEVIATIONS,
    SIGNALS,
    Estimates,
    Known,
    pooled_values,
    score_tables,
)

POOLED = "all"
"""Condition that holds the regions of all others in its group."""

MOVIE = "movie"
"""Group of the movies of a whole field."""

_BEYOND = 0.1  # of the range of depths, that fits may go beyond it


class SingleEmitterTestSet(TestSet):
    """Regions over all depths and brightnesses, and at the edges of the conditions.

    *nominal* – the declared optics at several photon numbers; *edge* – one condition at
    a time at the end of the range that the network was trained on.  Bounds are those of
    five unknown parameters with the optics known, but for the aberration, against the
    declared ones.
    """

    kind: Literal["single_emitters"] = "single_emitters"
    """Kind of test set."""
    seed: int = Field(default=20182, ge=0)
    """Seed, apart from every training seed."""
    optics: AnyOptics = PUPILS["astigmatic"]
    """Objective, pixel and aberrations; edges that change them need a pupil."""
    size_px: int = Field(default=32, ge=8)
    """Edge of a region, px."""
    z_nm: tuple[float, float] = (-600.0, 600.0)
    """First and last depth, nm."""
    depths: int = Field(default=13, ge=2)
    """Number of depths, from end to end."""
    lateral_px: float = Field(default=1.5, ge=0)
    """Largest distance from the centre of the central pixel along x and y, px."""
    photon_levels: tuple[float, ...] = (1000.0, 3000.0, 10000.0)
    """Photons of the emitters."""
    background_photons: float = Field(default=10.0, gt=0)
    """Photons per pixel without the emitter."""
    regions: int = Field(default=40, ge=1)
    """Regions per depth and brightness."""
    edge_regions: int = Field(default=16, ge=1)
    """Regions per depth at every edge."""
    edge_background_photons: tuple[float, float] = (1.0, 50.0)
    """Least and most background."""
    aberration_rad: float = Field(default=0.2, ge=0)
    """Root mean square of the aberration at that edge, rad."""
    na_spread: float = Field(default=0.02, ge=0)
    """Deviation of the numerical aperture at its edges."""
    index_spread: float = Field(default=0.01, ge=0)
    """Deviation of the refractive index of the sample at its edge."""
    blur_spread: float = Field(default=0.15, ge=0, lt=1)
    """Relative deviation of the blur at its edge."""
    read_noise_e: float = Field(default=1.6, ge=0)
    """Read noise at that edge, electrons."""
    neighbour_px: tuple[float, float] = (14.0, 22.0)
    """Distance of another emitter at that edge, px."""
    pupil_samples: int = Field(default=64, ge=32)
    """Points along the diameter of the pupil."""
    movie_densities_per_um2: tuple[float, ...] = (0.02, 0.2)
    """Emitters per µm² in every frame of a movie of the whole field; a movie each."""
    movie_frames: int = Field(default=20, ge=1)
    """Frames of a movie."""
    movie_px: int = Field(default=128, ge=64)
    """Edge of its field, px."""

    def cases(self) -> Iterator[Case]:
        """Simulate one stack of regions after the other.

        Inputs are (n, y, x) uint16 photons, truths tables with one row per region,
        facts what is `Known`; then movies, (t, y, x) uint16 photons, and what is
        `FieldKnown`, their emitters under the declared optics over all conditions.
        """
        for number, photons in enumerate(self.photon_levels):
            rng = generator(self.seed, 1, number)
            yield self._case(f"nominal/{photons:g}", rng, photons, self.regions)
        low, high = self.edge_background_photons
        dim, bright = min(self.photon_levels), max(self.photon_levels)
        middle = sorted(self.photon_levels)[len(self.photon_levels) // 2]
        edges: dict[str, dict[str, Any]] = {
            "dim_and_hazy": {"photons": dim, "background": high},
            "bright_and_dark": {"photons": bright, "background": low},
            "read_noise": {"read_noise_e": self.read_noise_e},
            "neighbour": {"neighbour": True},
            **{name: {"optics": optics} for name, optics in self._edge_optics.items()},
        }
        if isinstance(self.optics, PupilOptics):
            edges["aberrated"] = {"aberration_rad": self.aberration_rad}
        for number, (name, changes) in enumerate(edges.items()):
            rng = generator(self.seed, 2, number)
            conditions = {"photons": middle, "count": self.edge_regions} | changes
            yield self._case(f"edge/{name}", rng, **conditions)
        for number, density in enumerate(self.movie_densities_per_um2):
            yield self._movie(density, generator(self.seed, 4, number))

    def example(self) -> np.ndarray:
        """Return a region of medium brightness, (y, x, 1) float32."""
        number = len(self.photon_levels) // 2
        rng = generator(self.seed, 1, number)
        case = self._case("example", rng, self.photon_levels[number], 1)
        return case.input[0, ..., None].astype(np.float32)

    def score(self, case: Case, found: Products) -> Estimates | field.FieldEvidence:
        """Return what was found beside the truth, region by region or frame by frame.

        Raises
        ------
        BadInput
            If there is no table of localizations.
        """
        table = found.localizations
        if table is None:
            raise BadInput(
                f"{case.name} is scored by its localizations, and the package returns "
                "none"
            )
        if isinstance(case.facts, field.FieldKnown):
            return field.field_evidence(case.truth, table, case.facts)
        count = len(case.truth)
        estimates: dict[str, np.ndarray] = {}
        row = table.frame - 1
        for name in table.columns:
            values = np.asarray(getattr(table, name))
            if name != "frame" and values.dtype.kind == "f":
                estimates[name] = np.full(count, np.nan)
                estimates[name][row] = values
        known: Known = case.facts
        middle_nm = self._middle_nm
        fits = fit_emitters(
            self._fitting_psf(), known.images, z_range_nm=self._fitted_nm
        )
        fitted = fits.columns(middle_nm)
        return Estimates(
            case.truth, known, estimates, fitted, self._centroids(known.images)
        )

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return the metrics of every condition.

        ``nominal/<photons>`` and ``nominal/all``, ``edge/<condition>`` and
        ``depth/<nm>``, which pools the brightnesses of the nominal optics, and
        ``movie/<emitters per µm²>``.
        """
        metrics: Metrics = {"nominal": {}, "depth": {}, "edge": {}, MOVIE: {}}
        nominal = [e for name, e in scored if name.startswith("nominal/")]
        for name, evidence in scored:
            group, condition = name.split("/")
            metrics[group][condition] = (
                field.field_values(evidence)
                if group == MOVIE
                else pooled_values([evidence])
            )
        if nominal:
            metrics["nominal"][POOLED] = pooled_values(nominal)
            for number, z_nm in enumerate(np.linspace(*self.z_nm, self.depths)):
                sign = "minus_" if round(z_nm) < 0 else ""
                values = pooled_values(nominal, depth=number)
                metrics["depth"][f"{sign}{abs(round(z_nm))}"] = {
                    name: value
                    for name, value in values.items()
                    if name.startswith(("rmse_over", "bias_over"))
                }
        return {group: rows for group, rows in metrics.items() if rows}

    def perfect(self, case: Case) -> Products:
        """Return an efficient estimator's results: errors as large as their bounds.

        They are normally distributed, and two neighbours' cancel.
        """
        from scipy.special import ndtri

        if isinstance(case.facts, field.FieldKnown):
            return Products([Table("localizations", case.truth)])
        known: Known = case.facts
        pairs = -(-len(case.truth) // 2)
        sizes = ndtri(0.5 + (np.arange(pairs) + 0.5) / (2 * pairs))
        columns: dict[str, np.ndarray] = {}
        for number, name in enumerate((*AXES.values(), *SIGNALS.values())):
            bound = getattr(known.bounds, name)
            off = generator(self.seed, 3, number).permutation(sizes)
            off = np.stack([off, -off], axis=1).ravel()[: len(bound)]
            columns[name] = getattr(case.truth, name) + off * bound
        columns |= {DEVIATIONS[a]: getattr(known.bounds, AXES[a]) for a in AXES}
        return Products([Table("localizations", case.truth.with_columns(**columns))])

    def nothing(self, case: Case) -> Products:
        """Return the middle of every region, and no emitter of a movie."""
        if isinstance(case.facts, field.FieldKnown):
            none = np.empty(0, int)
            return Products([Table("localizations", case.truth.select(none))])
        zero = np.zeros(len(case.truth))
        columns = dict.fromkeys((*AXES.values(), *SIGNALS.values()), zero)
        return Products([Table("localizations", case.truth.with_columns(**columns))])

    def covers(self) -> dict[str, tuple[float, float]]:
        """Return photons, background, depths and the pixel."""
        pixel_nm = self.optics.pixel_nm
        return {
            "photons": (min(self.photon_levels), max(self.photon_levels)),
            "background_photons": self.edge_background_photons,
            "z_nm": self.z_nm,
            "pixel_size_nm": (pixel_nm, pixel_nm),
        }

    def reduced(self) -> Self:
        """Return a set of two regions per condition and depth, and short movies."""
        return self.override(regions=2, edge_regions=2, movie_frames=2)

    def headlines(self, metrics: Metrics) -> Metrics:
        """Return the metrics of the declared optics, and of movies."""
        return {name: metrics[name] for name in ("nominal", MOVIE) if name in metrics}

    def tables(self, metrics: Metrics) -> list[ScoreTable]:
        """Lay out errors over bounds beside the baselines, calibration, and depths."""
        return score_tables(metrics)

    @property
    def _edge_optics(self) -> dict[str, PupilOptics]:
        optics = self.optics
        if not isinstance(optics, PupilOptics):
            return {}
        highest = min(optics.na + self.na_spread, 0.995 * optics.immersion_index)
        changes = {
            "low_aperture": {"na": optics.na - self.na_spread},
            "high_aperture": {"na": highest},
            "lower_index": {"sample_index": optics.sample_index - self.index_spread},
            "blurred": {"blur_nm": optics.blur_nm * (1 + self.blur_spread)},
        }
        return {name: optics.override(**change) for name, change in changes.items()}

    @property
    def _middle_nm(self) -> float:
        return (self.size_px // 2 + 0.5) * self.optics.pixel_nm

    @property
    def _fitted_nm(self) -> tuple[float, float]:
        low, high = self.z_nm
        beyond = _BEYOND * (high - low)
        limits = depth_range_nm(self.optics) or (-np.inf, np.inf)
        return max(low - beyond, limits[0]), min(high + beyond, limits[1])

    def _fitting_psf(self) -> Psf:
        """Return the declared optics; a pupil as a table, which fits faster."""
        psf = psf_of(self.optics, samples=self.pupil_samples)
        if not isinstance(psf, PupilPsf):
            return psf
        return tabulated_psf(
            psf,
            z_range_nm=self._fitted_nm,
            size_px=self.size_px + 8,
        )

    def _case(
        self,
        name: str,
        rng: np.random.Generator,
        photons: float,
        count: int,
        *,
        optics: Any = None,
        background: float | None = None,
        aberration_rad: float = 0.0,
        read_noise_e: float = 0.0,
        neighbour: bool = False,
    ) -> Case:
        optics = self.optics if optics is None else optics
        level = self.background_photons if background is None else background
        depth = np.repeat(np.arange(self.depths), count)
        shape, middle_nm = (self.size_px, self.size_px), self._middle_nm
        reach_nm = self.lateral_px * optics.pixel_nm
        x_nm, y_nm = rng.uniform(-reach_nm, reach_nm, (2, len(depth)))
        z_nm = np.linspace(*self.z_nm, self.depths)[depth]
        psf = psf_of(optics, samples=self.pupil_samples)
        place = x_nm + middle_nm, y_nm + middle_nm, z_nm
        if aberration_rad and isinstance(psf, PupilPsf):
            weights = rng.standard_normal((len(depth), len(ABERRATIONS)))
            weights *= aberration_rad / np.linalg.norm(weights, axis=1, keepdims=True)
            phase = np.tensordot(weights, psf.zernike_basis(ABERRATIONS), axes=1)
            images = psf.images(*place, shape, phase_rad=phase)
        else:
            images = psf.images(*place, shape)
        expected = level + photons * np.maximum(images, 0.0)
        if neighbour:
            angle = rng.uniform(0, 2 * np.pi, len(depth))
            distance_nm = rng.uniform(*self.neighbour_px, len(depth)) * optics.pixel_nm
            beside = psf.images(
                distance_nm * np.cos(angle) + middle_nm,
                distance_nm * np.sin(angle) + middle_nm,
                z_nm[::-1],
                shape,
            )
            expected += photons * np.maximum(beside, 0.0)
        counts = rng.poisson(expected) + read_noise_e * rng.standard_normal(
            expected.shape
        )
        bound = emitter_bound(
            psf,
            *place,
            photons=photons,
            background_photons=level,
            shape=shape,
            noise=PixelNoise(read_variance_e2=read_noise_e**2),
        )
        truth = Localizations(
            x_nm=x_nm,
            y_nm=y_nm,
            z_nm=z_nm,
            photons=np.full(len(depth), photons),
            background_photons=np.full(len(depth), level),
            frame=np.arange(1, len(depth) + 1),
        )
        taken = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
        return Case(name, taken, truth, optics.pixel_nm, Known(depth, bound, taken))

    def _movie(self, density_per_um2: float, rng: np.random.Generator) -> Case:
        pixel_nm = self.optics.pixel_nm
        psf = psf_of(self.optics, samples=self.pupil_samples)
        movie = field.emitter_movie(
            psf,
            field.Conditions(
                self.z_nm,
                (min(self.photon_levels), max(self.photon_levels)),
                self.edge_background_photons,
            ),
            rng,
            density_per_um2=density_per_um2,
            frames=self.movie_frames,
            field_px=self.movie_px,
            pixel_nm=pixel_nm,
        )
        known = field.field_known(psf, movie, region_px=self.size_px, pixel_nm=pixel_nm)
        name = f"{MOVIE}/{density_per_um2:g}"
        return Case(name, movie.frames, movie.truth, pixel_nm, known)

    def _centroids(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return centres of gravity above the median of the border."""
        border = np.concatenate(
            [images[:, edge].astype(float) for edge in (0, -1)]
            + [images[:, :, edge].astype(float) for edge in (0, -1)],
            axis=1,
        )
        light = images - np.median(border, axis=1)[:, None, None]
        place = (np.arange(self.size_px) - self.size_px // 2) * self.optics.pixel_nm
        total = light.sum(axis=(1, 2))
        total = np.where(total > 0, total, np.nan)
        return {
            "x_nm": (light.sum(axis=1) * place).sum(axis=1) / total,
            "y_nm": (light.sum(axis=2) * place).sum(axis=1) / total,
        }
