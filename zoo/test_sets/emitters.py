"""Frozen movies of emitters, scored as the SMLM challenge does."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Products, Table
from zoo.core.random import generator
from zoo.core.test_set import Case, Metrics, TestSet
from zoo.metrics.localizations import score
from zoo.metrics.uncertainty import paired, uncertainty_scores
from zoo.physics.camera import Camera, EmCcd, Scmos
from zoo.physics.crlb import gaussian_crlb
from zoo.simulate.frames import MARGIN_PX
from zoo.simulate.pairs import render, within

CAMERAS: dict[str, Camera] = {"emccd": EmCcd(), "scmos": Scmos()}
"""The two test cameras: the challenge's EM-CCD and a front-illuminated sCMOS."""

METRICS = (
    "jaccard",
    "precision",
    "recall",
    "rmse_lateral_nm",
    "rmse_axial_nm",
    "bias_x_nm",
    "bias_y_nm",
    "bias_z_nm",
    "efficiency",
    "jaccard_random",
    "tp",
    "fp",
    "fn",
    "rmse_over_crlb",
)
"""What is kept of the scores of a movie, as far as it exists."""


class Findings(NamedTuple):
    """Evidence of one movie: truth and localizations."""

    camera: str
    """Key of `CAMERAS`."""
    frames: int
    """Length of the movie."""
    truth: Localizations
    """Emitters inside the field, frames from 1."""
    localizations: Localizations
    """What the package returned."""


class EmitterTestSet(TestSet):
    """Movies of uniformly distributed emitters, each condition on both cameras.

    *density* – frames at several emitter densities; *photons* – emitters on a
    jittered lattice, too far apart to overlap, at several brightnesses; *empty* –
    background only.
    """

    kind: Literal["emitters"] = "emitters"
    """Kind of test set."""
    seed: int = Field(default=20181, ge=0)
    """Seed, apart from every training seed."""
    field_px: int = Field(default=64, ge=16)
    """Edge of the frames, camera px."""
    pixel_size_nm: float = 100.0
    """Camera pixel, nm."""
    psf_sigma_nm: float = 110.0
    """Standard deviation of a spot, nm."""
    photons: float = 2250.0
    """Photons per emitter and frame."""
    background_photons: float = 20.0
    """Photons per pixel without emitters."""
    densities_per_um2: tuple[float, ...] = (1.0, 3.0, 6.0)
    """Emitters per square micrometre and frame."""
    frames: int = Field(default=60, ge=1)
    """Frames per density and camera."""
    photon_levels: tuple[float, ...] = (500.0, 1000.0, 2250.0, 5000.0)
    """Photons of the isolated emitters."""
    isolated_frames: int = Field(default=20, ge=1)
    """Frames per brightness and camera."""
    spacing_px: int = Field(default=13, ge=8)
    """Lattice constant of the isolated emitters, camera px."""
    empty_frames: int = Field(default=100, ge=1)
    """Frames without emitters per camera."""

    def cases(self) -> Iterator[Case]:
        """Simulate one movie after the other; equal declarations give equal counts.

        Inputs are (t, y, x) uint16, truths tables of emitters, facts the camera.
        """
        for index, camera in enumerate(CAMERAS):
            for number, density in enumerate(self.densities_per_um2):
                rng = generator(self.seed, 1, number, index)
                yield self.density(rng, camera, density)
            for number, photons in enumerate(self.photon_levels):
                rng = generator(self.seed, 2, number, index)
                yield self.isolated(rng, camera, photons)
            rng = generator(self.seed, 3, 0, index)
            none = [Localizations.empty()] * self.empty_frames
            yield self._record(rng, "empty/all", camera, none)

    def example(self) -> np.ndarray:
        """Return the first frame at the middle density, (y, x, 1) float32."""
        number = len(self.densities_per_um2) // 2
        rng = generator(self.seed, 1, number, 0)
        camera = next(iter(CAMERAS))
        movie = self.density(rng, camera, self.densities_per_um2[number]).input
        return movie[0, ..., None].astype(np.float32)

    def density(self, rng: np.random.Generator, camera: str, density: float) -> Case:
        """Simulate the movie of one density on one camera."""
        edge_px = self.field_px + 2 * MARGIN_PX
        mean = density * (edge_px * self.pixel_size_nm / 1000) ** 2
        frames: list[Localizations] = []
        for _ in range(self.frames):
            count = rng.poisson(mean)
            x_px, y_px = rng.uniform(-MARGIN_PX, self.field_px + MARGIN_PX, (2, count))
            frames.append(self.emitters(rng, x_px, y_px, self.photons))
        return self._record(rng, f"density/{density:g}", camera, frames)

    def isolated(self, rng: np.random.Generator, camera: str, photons: float) -> Case:
        """Simulate the movie of isolated emitters of one brightness on one camera."""
        first = self.spacing_px / 2
        nodes = np.arange(first, self.field_px - first / 2, self.spacing_px)
        y_px, x_px = (axis.ravel() for axis in np.meshgrid(nodes, nodes, indexing="ij"))
        frames: list[Localizations] = []
        for _ in range(self.isolated_frames):
            dx, dy = rng.uniform(-1, 1, (2, x_px.size))
            frames.append(self.emitters(rng, x_px + dx, y_px + dy, photons))
        return self._record(rng, f"photons/{photons:g}", camera, frames)

    def emitters(
        self,
        rng: np.random.Generator,
        x_px: np.ndarray,
        y_px: np.ndarray,
        photons: float,
    ) -> Localizations:
        """Return the emitters of a frame; a test set with depth draws z here."""
        del rng
        return Localizations(
            x_nm=x_px * self.pixel_size_nm,
            y_nm=y_px * self.pixel_size_nm,
            photons=np.full(len(x_px), photons),
            sigma_nm=np.full(len(x_px), self.psf_sigma_nm),
        )

    def image(self, emitters: Localizations) -> np.ndarray:
        """Return the expected photons of emitters, (y, x), without background."""
        shape = (self.field_px, self.field_px)
        return render(emitters, shape, pixel_size_nm=self.pixel_size_nm)

    def bound_nm(self, truth: Localizations, camera: str) -> np.ndarray | None:
        """Return the bound ``sqrt(var x + var y)`` of each isolated emitter, (n,) nm.

        None where no bound is known.
        """
        pixel_nm = self.pixel_size_nm
        bound = gaussian_crlb(
            truth.x_nm / pixel_nm,
            truth.y_nm / pixel_nm,
            sigma_px=self.psf_sigma_nm / pixel_nm,
            photons=np.asarray(truth.photons),
            background_photons=self.background_photons,
            camera=CAMERAS[camera],
            window_px=self.spacing_px,
            shape=(self.field_px, self.field_px),
        )
        return np.hypot(bound.x_px, bound.y_px) * pixel_nm

    def score(self, case: Case, found: Products) -> Findings:
        """Return the localizations beside the truth.

        Raises
        ------
        BadInput
            If there is no table of localizations.
        """
        if found.localizations is None:
            raise BadInput(
                f"{case.name} is scored by its localizations, and the package returns "
                "none"
            )
        return Findings(case.facts, len(case.input), case.truth, found.localizations)

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return `METRICS` of every condition.

        ``density/<emitters per µm²>`` pools both cameras, ``density_emccd`` and
        ``density_scmos`` tell them apart; ``photons_<camera>/<photons>`` holds isolated
        emitters with ``rmse_over_crlb``; ``empty/all/false_per_100_frames`` counts what
        is found where nothing is.  Of packages that state errors ``uncertainty`` holds
        `zoo.metrics.uncertainty.uncertainty_scores` of every condition.
        """
        metrics: Metrics = {}
        pooled: dict[str, list[Findings]] = {}
        none: list[Findings] = []
        for name, findings in scored:
            group, condition = name.split("/")
            if group == "empty":
                none.append(findings)
                continue
            bound = None
            if group == "density":
                pooled.setdefault(condition, []).append(findings)
            else:
                bound = self.bound_nm(findings.truth, findings.camera)
            values = self._values(findings.truth, findings.localizations, bound)
            metrics.setdefault(f"{group}_{findings.camera}", {})[condition] = values
        for condition, parts in pooled.items():
            values = self._values(
                _one_after_another((part.truth, part.frames) for part in parts),
                _one_after_another((part.localizations, part.frames) for part in parts),
            )
            metrics.setdefault("density", {})[condition] = values
        if none:
            false = sum(len(findings.localizations) for findings in none)
            frames = sum(findings.frames for findings in none)
            metrics["empty"] = {
                "all": {
                    "frames": frames,
                    "false_localizations": false,
                    "false_per_100_frames": round(100 * false / frames, 3),
                }
            }
        order = [g for g in ("density", "empty") if g in metrics]
        ordered = {
            group: metrics[group] for group in dict.fromkeys(order + sorted(metrics))
        }
        return ordered | self.uncertainty(scored)

    def uncertainty(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return how true stated errors are, by condition; nothing if none are."""
        parts: dict[str, list[Any]] = {}
        for name, findings in scored:
            evidence = (findings.truth, findings.localizations)
            pair = paired(*evidence, field_nm=self.field_px * self.pixel_size_nm)
            parts.setdefault(name.replace("/", " "), []).append(pair)
        return uncertainty_group(parts)

    def perfect(self, case: Case) -> Products:
        """Return the truth as localizations."""
        return Products([Table("localizations", case.truth)])

    def nothing(self, case: Case) -> Products:
        """Return a table without rows."""
        del case
        return Products([Table("localizations", Localizations.empty())])

    def covers(self) -> dict[str, tuple[float, float]]:
        """Return densities, brightness, background, widths of spots and the pixel."""
        photons = (self.photons, *self.photon_levels)
        density = self.densities_per_um2
        return {
            "psf_sigma_nm": (self.psf_sigma_nm, self.psf_sigma_nm),
            "density_per_um2": (min(density), max(density)),
            "photons": (min(photons), max(photons)),
            "background_photons": (self.background_photons, self.background_photons),
            "pixel_size_nm": (self.pixel_size_nm, self.pixel_size_nm),
        }

    def calibrating(self) -> Self:
        """Return movies of the same conditions, half as long, of another seed."""
        return self.override(
            seed=self.seed + 1,
            frames=-(-self.frames // 2),
            isolated_frames=-(-self.isolated_frames // 2),
            empty_frames=1,
        )

    def reduced(self) -> Self:
        """Return a set of single frames, all conditions kept."""
        return self.override(frames=1, isolated_frames=1, empty_frames=1)

    def _values(
        self,
        truth: Localizations,
        localizations: Localizations,
        bound_nm: np.ndarray | None = None,
    ) -> dict[str, Any]:
        field_nm = self.field_px * self.pixel_size_nm
        values = score(truth, localizations, field_nm=field_nm, bound_nm=bound_nm)
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name in METRICS
            if (value := values.get(name)) is not None
        }

    def _record(
        self,
        rng: np.random.Generator,
        name: str,
        camera: str,
        frames: list[Localizations],
    ) -> Case:
        edge_nm = self.field_px * self.pixel_size_nm
        counts: list[np.ndarray] = []
        truth: list[Localizations] = []
        for number, emitters in enumerate(frames, start=1):
            expected = np.full((self.field_px, self.field_px), self.background_photons)
            if len(emitters):
                expected += self.image(emitters)
            counts.append(CAMERAS[camera].expose(expected, rng))
            kept = emitters.select(within(emitters, edge_nm, edge_nm))
            truth.append(kept.with_columns(frame=np.full(len(kept), number)))
        return Case(
            name=name,
            input=np.stack(counts),
            truth=Localizations.concatenate(truth),
            pixel_size_nm=self.pixel_size_nm,
            facts=camera,
        )


def uncertainty_group(parts: Mapping[str, Sequence[Any]]) -> Metrics:
    """Return the group ``uncertainty`` from what `paired` found, by condition."""
    rows = {name: uncertainty_scores(found) for name, found in parts.items()}
    rounded = {
        name: {
            metric: round(value, 4) if isinstance(value, float) else value
            for metric, value in row.items()
        }
        for name, row in rows.items()
        if row
    }
    return {"uncertainty": rounded} if rounded else {}


def _one_after_another(movies: Iterable[tuple[Localizations, int]]) -> Localizations:
    """Join tables of movies as if one had been taken after the other."""
    shifted: list[Localizations] = []
    first = 0
    for table, frames in movies:
        shifted.append(table.with_columns(frame=table.frame + first))
        first += frames
    return Localizations.concatenate(shifted)
