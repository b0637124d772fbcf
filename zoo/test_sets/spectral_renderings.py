"""Frozen acquisitions of several colours, from an eighth of their frames."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field
from scipy.ndimage import gaussian_filter

from zoo.core.contract import conditions as training_conditions
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.core.test_set import Case, Metrics, ScoreTable, TestSet
from zoo.metrics.comparison import means
from zoo.metrics.images import affine_match
from zoo.metrics.renderings import smoothed
from zoo.metrics.similarity import ms_ssim
from zoo.simulate.renderings import SINGLE, RenderingPairs, drawn
from zoo.simulate.spectral_renderings import (
    SHARE,
    SpectralPairs,
    SpectralScene,
)
from zoo.test_sets._gaps import GAPS_NM, Gaps, bridged, gapped_scene
from zoo.test_sets._rendering_scores import (
    INVENTED,
    NOISE_PER_UM2,
    TableLayout,
    laid_out,
)

DISTANCES_NM = (15.0, 25.0, 40.0)
"""Distances of neighbouring dyes' spectral centroids, nm."""

PRESENT = 0.2
"""Brightness in the truth from which a colour is there."""

ABSENT = 0.02
"""Brightness, blurred by 3 px, below which it is not."""

ALL = "all"
"""Mean over distances."""

APART_NM = 25.0
"""Distance of the spectra in fields with gaps and in pure noise."""

BANDWIDTH_PX = 1.5
"""Bandwidth of the kernel density estimate that gaps are looked at with, too."""


class Sorted(NamedTuple):
    """What thresholding of the spectral centroid makes of the same recording."""

    sparse: np.ndarray
    """(y, x, c) localizations per pixel in each window, an eighth of the frames."""
    full: np.ndarray
    """(y, x, c) likewise, of all frames."""
    own: np.ndarray
    """(c,) share of each dye's localizations that lie in another window."""
    gaps: Gaps | None = None
    """Where microtubules of the first colour are interrupted, in cases about that."""


class SpectralTestSet(TestSet):
    """Fields at several distances of the spectra that follow from this declaration.

    Groups: ``distance``; ``gaps``, true gaps in microtubules of the first colour, the
    others dark; and ``noise``, false localizations of any colour and nothing else.
    """

    kind: Literal["spectral_renderings"] = "spectral_renderings"
    """Kind of test set."""
    seed: int = Field(default=20201, ge=0)
    """Seed, apart from every training seed."""
    fields: int = Field(default=4, ge=1)
    """Fields at every distance."""
    distances_nm: tuple[float, ...] = DISTANCES_NM
    """Distances of neighbouring dyes' spectral centroids."""
    spread_nm: float = Field(default=7.5, gt=0)
    """Standard deviation of centroids at the median photon number."""
    size_px: int = Field(default=256, ge=176)
    """Edge of the fields, px."""
    conditions: SpectralPairs = SpectralPairs()
    """Structures, dyes and blinking; its distances and spreads play no part."""

    def cases(self) -> Iterator[Case]:
        """Simulate one field after the other.

        Inputs are (1, y, x, c) localizations per pixel, float32, truths (y, x, c)
        float32 in [0, 1], facts `Sorted`.
        """
        for distance_nm in self.distances_nm:
            for number in range(self.fields):
                scene = self._scene(distance_nm, number)
                rng = generator(self.seed, number, round(distance_nm), 1)
                table, dye = self.conditions.table(rng, scene, share=SHARE)
                everything, _ = self.conditions.table(rng, scene, share=1.0)
                facts = Sorted(
                    self._counts(table, scene),
                    self._counts(everything, scene),
                    _misplaced(table, dye, scene),
                )
                yield Case(
                    name=f"distance/{distance_nm:g}",
                    input=self.conditions.sparse(table, scene)[None],
                    truth=self.conditions.dense(scene),
                    pixel_size_nm=self.conditions.pixel_size_nm,
                    facts=facts,
                )
        yield from self._gaps()
        yield from self._noise()

    def example(self) -> np.ndarray:
        """Return the sparse rendering of one field, (y, x, c) float32."""
        scene = self._scene(self.distances_nm[0], 0)
        rng = generator(self.seed, 0, 0, 2)
        table, _ = self.conditions.table(rng, scene, share=SHARE)
        return self.conditions.sparse(table, scene)

    def score(self, case: Case, found: Products) -> dict[str, float]:
        """Return similarity and cross-talk of an image, and of thresholding.

        Of gaps and noise, what is made of them.

        Raises
        ------
        BadInput
            If there is no image, it does not lie on the target's grid or is not finite.
        """
        if "image" not in found.images:
            raise BadInput(
                f"{case.name} is scored by its image, and the package returns none"
            )
        image = np.asarray(found.images["image"].array, float)
        if image.shape != case.truth.shape or not np.isfinite(image).all():
            raise BadInput(
                f"the image of {case.name} must be finite and of the target's "
                f"shape {case.truth.shape}, not {image.shape}"
            )
        facts: Sorted = case.facts
        if case.name.startswith("noise"):
            # half of what a single structure has
            return {"false_area_percent": 100 * float((image > SINGLE / 2).mean())}
        if facts.gaps is not None:
            pixel_nm = self.conditions.pixel_size_nm
            blurred = smoothed(facts.sparse[..., 0], BANDWIDTH_PX)
            shown = {"": image[..., 0], "_kde": blurred, "_truth": case.truth[..., 0]}
            return {
                f"bridged{name}_percent": bridged(each, facts.gaps, pixel_nm)
                for name, each in shown.items()
            }
        return {
            "ms_ssim": likeness(image, case.truth),
            "ms_ssim_eighth": likeness(facts.sparse, case.truth),
            "ms_ssim_all_frames": likeness(facts.full, case.truth),
            "crosstalk_percent": crosstalk_percent(image, case.truth),
            "crosstalk_windows_percent": crosstalk_percent(facts.full, case.truth),
            "misplaced_percent": 100 * float(np.nanmean(facts.own)),
        }

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return means over fields for every distance, and over all of them.

        Conditions of ``gaps`` are lengths in nm, of ``noise`` localizations per µm².
        ``ms_ssim`` is that of the image, colour by colour after an affine match,
        ``ms_ssim_eighth`` and ``ms_ssim_all_frames`` those of histograms of the same
        frames and of eight times as many, sorted by windows of the spectral centroid.
        ``crosstalk_percent`` is the light in other colours where a single structure
        lies, ``crosstalk_windows_percent`` that of the windows, and
        ``misplaced_percent`` the localizations that fall into a wrong window.
        """
        rows: dict[str, dict[str, list[dict[str, float]]]] = {}
        for name, values in scored:
            group, _, condition = name.partition("/")
            rows.setdefault(group, {}).setdefault(condition, []).append(values)
        found = {
            group: {condition: means(each) for condition, each in of.items()}
            for group, of in rows.items()
        }
        distances = found["distance"]
        distances[ALL] = means(list(distances.values()))
        for row in distances.values():
            row["ms_ssim_over_all_frames"] = row["ms_ssim"] - row["ms_ssim_all_frames"]
            row["crosstalk_left"] = (
                row["crosstalk_percent"] / row["crosstalk_windows_percent"]
                if row["crosstalk_windows_percent"]
                else np.nan
            )
        return {
            group: {
                condition: {
                    name: round(value, 4) if np.isfinite(value) else None
                    for name, value in row.items()
                }
                for condition, row in of.items()
            }
            for group, of in found.items()
        }

    def perfect(self, case: Case) -> Products:
        """Return the dense renderings, rounded as in a file of 16 bits."""
        steps = 2**16 - 1
        image = np.round(case.truth * steps) / steps
        return Products([Image("image", image, "yxc")])

    def nothing(self, case: Case) -> Products:
        """Return black images."""
        return Products([Image("image", np.zeros_like(case.truth), "yxc")])

    def covers(self) -> dict[str, tuple[float, float]]:
        """Return distances, spreads and the share of the frames."""
        covered = training_conditions(self.conditions)
        return covered | {
            "distance_nm": (min(self.distances_nm), max(self.distances_nm)),
            "spread_nm": (self.spread_nm, self.spread_nm),
            "share": (SHARE, SHARE),
        }

    def calibrating(self) -> Self:
        """Return other fields."""
        return self.override(seed=self.seed + 1, fields=2)

    def reduced(self) -> Self:
        """Return one small field at every distance."""
        return self.override(fields=1, size_px=176)

    def tables(self, metrics: Metrics) -> list[ScoreTable]:
        """Return similarity and cross-talk by distance, and of gaps and noise."""
        layout: tuple[TableLayout, ...] = (
            (
                "distance",
                "distance of spectra [nm]",
                {
                    "ms_ssim": "MS-SSIM",
                    "ms_ssim_eighth": "histogram",
                    "ms_ssim_all_frames": "histogram, 8x the frames",
                    "crosstalk_percent": "cross-talk [%]",
                    "crosstalk_windows_percent": "windows [%]",
                    "misplaced_percent": "misplaced [%]",
                },
            ),
            *INVENTED,
        )
        return laid_out(metrics, layout)

    def headlines(self, metrics: Metrics) -> Metrics:
        """Return distances and noise."""
        return {group: of for group, of in metrics.items() if group != "gaps"}

    def _gaps(self) -> Iterator[Case]:
        """Yield microtubules of the first colour that are truly interrupted."""
        plain = RenderingPairs(
            blinking=self.conditions.blinking,
            pixel_size_nm=self.conditions.pixel_size_nm,
        )
        like = self._scene(APART_NM, 0)
        others = len(like.acquisitions) - 1
        for number, gap_nm in enumerate(GAPS_NM):
            rng = generator(self.seed, 100, number)
            drawn_scene, gaps = gapped_scene(rng, plain, self.size_px, gap_nm)
            acquisition = drawn_scene.acquisition
            dark = acquisition._replace(
                dyes=acquisition.dyes.within(-1.0, 0.0),
                counts=acquisition.counts[:0],
            )
            nothing = np.zeros_like(drawn_scene.counts)
            scene = like._replace(
                acquisitions=(acquisition, *(dark,) * others),
                counts=(drawn_scene.counts, *(nothing,) * others),
            )
            table, dye = self.conditions.table(rng, scene, share=SHARE)
            sparse = self._counts(table, scene)
            yield Case(
                name=f"gaps/{gap_nm:g}",
                input=self.conditions.sparse(table, scene)[None],
                truth=self.conditions.dense(scene),
                pixel_size_nm=self.conditions.pixel_size_nm,
                facts=Sorted(sparse, sparse, _misplaced(table, dye, scene), gaps),
            )

    def _noise(self) -> Iterator[Case]:
        """Yield false localizations, whose centroids lie anywhere."""
        edge_nm = self.size_px * self.conditions.pixel_size_nm
        scene = self._scene(APART_NM, 0)
        low, high = scene.centroids_nm[0], scene.centroids_nm[-1]
        for number, density in enumerate(NOISE_PER_UM2):
            rng = generator(self.seed, 200, number)
            count = rng.poisson(density * edge_nm**2 * 1e-6)
            x_nm, y_nm = rng.uniform(0, edge_nm, (2, count))
            table = Localizations(
                x_nm=x_nm,
                y_nm=y_nm,
                wavelength_nm=rng.uniform(low - APART_NM, high + APART_NM, count),
            )
            counts = self._counts(table, scene)
            yield Case(
                name=f"noise/{density:g}",
                input=self.conditions.sparse(table, scene)[None],
                truth=np.zeros_like(counts, np.float32),
                pixel_size_nm=self.conditions.pixel_size_nm,
                facts=Sorted(counts, counts, np.full(counts.shape[-1], np.nan)),
            )

    def _scene(self, distance_nm: float, number: int) -> SpectralScene:
        """Return the same structures and dyes at every distance."""
        conditions = self.conditions.override(dark_share=0.0)
        scene = conditions.scene(generator(self.seed, number), self.size_px)
        first = scene.centroids_nm[0]
        count = len(scene.centroids_nm)
        return scene._replace(
            centroids_nm=tuple(first + distance_nm * n for n in range(count)),
            spread_nm=self.spread_nm,
        )

    def _counts(self, table: Localizations, scene: SpectralScene) -> np.ndarray:
        """Return all localizations of every window, however many."""
        edge_nm = self.size_px * self.conditions.pixel_size_nm
        wavelength: Any = table.wavelength_nm
        colors: list[np.ndarray] = []
        for low, high in scene.windows_nm:
            inside = (wavelength >= low) & (wavelength < high)
            x_nm, y_nm = table.x_nm[inside], table.y_nm[inside]
            colors.append(drawn(x_nm, y_nm, None, edge_nm, self.size_px))
        return np.stack(colors, axis=-1)


def likeness(images: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean over colours of MS-SSIM after the affine match.

    Parameters
    ----------
    images, truth
        (y, x, c); colours that are empty in the truth are left out.
    """
    values = [
        ms_ssim(affine_match(image, goal), goal, data_range=1.0)
        for image, goal in zip(
            np.moveaxis(images, -1, 0), np.moveaxis(truth, -1, 0), strict=True
        )
        if np.ptp(goal)
    ]
    return float(np.mean(values))


def crosstalk_percent(images: np.ndarray, truth: np.ndarray) -> float:
    """Return the light in other colours where only one structure lies, per cent.

    Colours are first brought to their brightness in the truth, by one factor each that
    is fitted where the structure of that colour lies.

    Parameters
    ----------
    images, truth
        (y, x, c).
    """
    near = np.stack([gaussian_filter(c, 3) for c in np.moveaxis(truth, -1, 0)], -1)
    scaled = np.zeros_like(images, dtype=float)
    for color in range(truth.shape[-1]):
        there = truth[..., color] > PRESENT
        light = float(images[there, color].sum())
        if light:
            scaled[..., color] = (
                images[..., color] * float(truth[there, color].sum()) / light
            )
    wrong = right = 0.0
    for color in range(truth.shape[-1]):
        others = [other for other in range(truth.shape[-1]) if other != color]
        alone = (truth[..., color] > PRESENT) & (near[..., others] < ABSENT).all(-1)
        right += float(scaled[alone, color].sum())
        wrong += float(np.maximum(scaled[alone][:, others], 0).sum())
    return 100 * wrong / (wrong + right) if wrong + right else 0.0


def _misplaced(
    table: Localizations, dye: np.ndarray, scene: SpectralScene
) -> np.ndarray:
    """Return the share of each dye's localizations that lie in another window."""
    wavelength: Any = table.wavelength_nm
    shares = np.full(len(scene.windows_nm), np.nan)
    for number, (low, high) in enumerate(scene.windows_nm):
        own = wavelength[dye == number]
        if len(own):
            shares[number] = np.mean((own < low) | (own >= high))
    return shares
