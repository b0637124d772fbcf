"""Frozen acquisitions, rendered from few frames to all, beside classical renderings."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from zoo.core.contract import conditions as training_conditions
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.core.test_set import Case, Metrics, ScoreTable, TestSet
from zoo.metrics.comparison import means
from zoo.metrics.renderings import by_precision, smoothed
from zoo.simulate.dye_clouds import CLOUDS, CloudStructure
from zoo.simulate.renderings import (
    MOST_COUNTS,
    SINGLE,
    RenderingPairs,
    Scene,
    dense_image,
    histogram,
)
from zoo.test_sets._gaps import GAPS_NM, Gaps, bridged, gapped_scene
from zoo.test_sets._rendering_scores import (
    BANDWIDTHS_PX,
    INVENTED,
    NOISE_PER_UM2,
    TableLayout,
    bandwidth_px,
    frames_for,
    laid_out,
    likeness,
    long_image,
)

__all__ = ["BANDWIDTHS_PX", "RenderingTestSet", "frames_for", "likeness"]

LEVELS = (60, 120, 300, 600, 1200, 3000, 6000, 12_000, 30_000, 60_000)
"""Frames of the sparse rendering; the last is the whole acquisition."""

HEADLINE = 300
"""Frames from which the saving is told."""

EXAMPLE_PX = 384
"""Least edge of the example, px: the tile that other programs are told to use."""

WIDEFIELD_LEVELS = (0, 60, 300, 3000)
"""Frames at which there is a widefield image, too; none at 0."""

GAP_FRAMES = 1000
"""Frames of the renderings with gaps."""

_METHODS = {
    "ms_ssim": "network",
    "ms_ssim_histogram": "histogram",
    "ms_ssim_gaussian": "Gaussian by precision",
    "ms_ssim_kde": "kernel density",
}


class Rendered(NamedTuple):
    """What a classical method may know about a test image."""

    frames: int
    """Frames of the sparse rendering."""
    table: Localizations
    """Their localizations, nm from the corner of the field."""
    gaps: Gaps | None = None
    """Where microtubules are interrupted, in cases about that."""
    structure: CloudStructure = "microtubules"
    """What the table shows."""


class RenderingTestSet(TestSet):
    """Acquisitions that follow from this declaration alone.

    Groups: ``table`` without a widefield image, ``widefield`` with one, ``gaps`` with
    true gaps in microtubules, and ``noise`` without any structure.  With several
    structures, a group for each of them is as ``table``, which is then the mean over
    all, and ``switched`` are tables whose switch says the next structure instead.
    """

    kind: Literal["renderings"] = "renderings"
    """Kind of test set."""
    seed: int = Field(default=20181, ge=0)
    """Seed, apart from every training seed."""
    fields: int = Field(default=4, ge=1)
    """Acquisitions."""
    levels: tuple[int, ...] = LEVELS
    """Frames of the sparse rendering."""
    size_px: int = Field(default=256, ge=176)
    """Edge of the fields, px."""
    conditions: RenderingPairs = RenderingPairs()
    """Structures, dyes, blinking and microscopes."""

    def cases(self) -> Iterator[Case]:
        """Simulate one acquisition after the other.

        Inputs are (1, y, x, c) float32, truths (y, x) float32 in [0, 1], facts
        `Rendered`.
        """
        for number in range(self.fields):
            scene = self._scene(number)
            order = _order(scene, self.conditions, self.seed, number)
            truth = self._long(order, scene)
            widefield = self.conditions.widefield(
                generator(self.seed, number, 7), scene
            )
            group = scene.structure if self._several else "table"
            for frames in self.levels:
                yield self._case(group, order, frames, truth, scene)
            if self._several and self.conditions.switch:
                yield self._case("switched", order, HEADLINE, truth, self._other(scene))
            for frames in WIDEFIELD_LEVELS:
                yield self._case("widefield", order, frames, truth, scene, widefield)
        yield from self._gaps()
        yield from self._noise()

    def example(self) -> np.ndarray:
        """Return the rendering of 300 frames with a widefield image, (y, x, c)."""
        rng = generator(self.seed, 0, 8)
        size = max(self.size_px, EXAMPLE_PX)
        scene = self.conditions.scene(rng, self.conditions.structures[0], size)
        table = self.conditions.table(rng, scene, first=0, frames=HEADLINE)
        image = self.conditions.widefield(rng, scene)
        counts = histogram(table, size, self.conditions.pixel_size_nm)
        counts = np.minimum(counts, MOST_COUNTS)
        return self.conditions.joined(counts, image, scene)

    def score(self, case: Case, found: Products) -> dict[str, Any]:
        """Return how an image compares with the dense one, and the classical ones.

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
                f"{case.truth.shape} px, not {image.shape}"
            )
        facts: Rendered = case.facts
        group = case.name.partition("/")[0]
        if group == "noise":
            # half of what one microtubule has
            return {"false_area_percent": 100 * float((image > SINGLE / 2).mean())}
        values = {"ms_ssim": likeness(image, case.truth)}
        pixel_nm = self.conditions.pixel_size_nm
        counts = histogram(facts.table, self.size_px, pixel_nm)
        kde = smoothed(counts, self._bandwidth(facts))
        if facts.gaps is not None:
            values["bridged_percent"] = bridged(image, facts.gaps, pixel_nm)
            values["bridged_kde_percent"] = bridged(kde, facts.gaps, pixel_nm)
            values["bridged_truth_percent"] = bridged(case.truth, facts.gaps, pixel_nm)
            return values
        if group == "table" or group in CLOUDS:
            gaussian = by_precision(facts.table, self.size_px, pixel_size_nm=pixel_nm)
            values["ms_ssim_histogram"] = likeness(counts, case.truth)
            values["ms_ssim_gaussian"] = likeness(gaussian, case.truth)
            values["ms_ssim_kde"] = likeness(kde, case.truth)
            values["localizations"] = float(len(facts.table))
        return values

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return means over fields: group, condition, metric.

        Conditions of ``table``, structures, ``switched`` and ``widefield`` are frames,
        of ``gaps`` lengths in nm, of ``noise`` localizations per µm².  ``ms_ssim`` is
        that of the image after the affine match of least squares to the dense
        rendering, whose range is one, and ``ms_ssim_histogram``, ``_gaussian`` (by the
        precision of each localization) and ``_kde`` those of classical renderings of
        the same table.
        ``frames_saved`` is how many times more frames the histogram needs for the same,
        at most what the acquisition has.
        """
        rows: dict[str, dict[str, list[dict[str, float]]]] = {}
        for name, values in scored:
            group, _, condition = name.partition("/")
            for each in ("table", group) if group in CLOUDS else (group,):
                rows.setdefault(each, {}).setdefault(condition, []).append(values)
        found: Metrics = {
            group: {condition: dict(means(each)) for condition, each in of.items()}
            for group, of in rows.items()
        }
        for group in ("table", "widefield", *CLOUDS):
            # what the widefield image adds is counted in frames of the same tables
            curve = found.get("table" if group == "widefield" else group, {})
            frames = [int(condition) for condition in curve]
            reached = [row["ms_ssim_histogram"] for row in curve.values()]
            for condition, row in found.get(group, {}).items():
                needed = frames_for(row["ms_ssim"], frames, reached)
                if int(condition):
                    row["frames_saved"] = needed / int(condition)
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
        """Return the dense rendering, rounded as in a file of 16 bits."""
        steps = 2**16 - 1
        return Products([Image("image", np.round(case.truth * steps) / steps, "yx")])

    def nothing(self, case: Case) -> Products:
        """Return a black image."""
        return Products([Image("image", np.zeros_like(case.truth), "yx")])

    def covers(self) -> dict[str, tuple[float, float]]:
        """Return the frames and the conditions of the acquisitions."""
        covered = training_conditions(self.conditions)
        return covered | {"frames": (float(min(self.levels)), float(max(self.levels)))}

    def calibrating(self) -> Self:
        """Return other acquisitions, of few frames and of many."""
        fields = max(len(self.conditions.structures), 2)
        levels = (min(self.levels), HEADLINE, 3000)
        return self.override(seed=self.seed + 1, fields=fields, levels=levels)

    def reduced(self) -> Self:
        """Return small fields, one of each structure, at three numbers of frames."""
        fields = len(self.conditions.structures)
        return self.override(fields=fields, levels=(60, HEADLINE, 3000), size_px=176)

    def headlines(self, metrics: Metrics) -> Metrics:
        """Return the table's curve at 300 and 3000 frames, gaps and noise."""
        chosen = {str(HEADLINE), "3000"}
        curves = {"table", *CLOUDS}
        return {
            group: {
                c: row for c, row in of.items() if group not in curves or c in chosen
            }
            for group, of in metrics.items()
        }

    def tables(self, metrics: Metrics) -> list[ScoreTable]:
        """Return the curve over frames, and what is made of gaps and noise."""
        curve = _METHODS | {"frames_saved": "frames saved"}
        layout: tuple[TableLayout, ...] = (
            ("table", "frames", curve),
            *((kind, "frames, " + kind.replace("_", " "), curve) for kind in CLOUDS),
            ("switched", "frames, switch of the next", {"ms_ssim": "MS-SSIM"}),
            (
                "widefield",
                "frames, with widefield",
                {"ms_ssim": "MS-SSIM", "frames_saved": "frames saved"},
            ),
            *INVENTED,
        )
        return laid_out(metrics, layout)

    def _scene(self, number: int) -> Scene:
        rng = generator(self.seed, number)
        kinds = self.conditions.structures
        return self.conditions.scene(rng, kinds[number % len(kinds)], self.size_px)

    @property
    def _several(self) -> bool:
        """Whether there is more than one structure."""
        return len(self.conditions.structures) > 1

    def _other(self, scene: Scene) -> Scene:
        """Return a scene that says to be the next structure."""
        kinds = self.conditions.structures
        place = kinds.index(scene.structure)
        return scene._replace(structure=kinds[(place + 1) % len(kinds)])

    def _long(self, table: Localizations, scene: Scene) -> np.ndarray:
        """Return the rendering of a whole acquisition, as bright as a target."""
        counts = histogram(table, self.size_px, self.conditions.pixel_size_nm)
        return long_image(counts, scene.acquisition, self.conditions.pixel_size_nm)

    def _case(
        self,
        group: str,
        order: Localizations,
        frames: int,
        truth: np.ndarray,
        scene: Scene,
        widefield: np.ndarray | None = None,
    ) -> Case:
        """Return the first frames of an acquisition."""
        table = order.select(order.frame <= frames)
        return Case(
            name=f"{group}/{frames}",
            input=self._input(table, scene, widefield),
            truth=truth,
            pixel_size_nm=self.conditions.pixel_size_nm,
            facts=Rendered(frames, table, structure=scene.structure),
        )

    def _input(
        self, table: Localizations, scene: Scene, widefield: np.ndarray | None
    ) -> np.ndarray:
        counts = histogram(table, self.size_px, self.conditions.pixel_size_nm)
        if widefield is None:
            widefield = np.zeros_like(counts)
        counts = np.minimum(counts, MOST_COUNTS)
        return self.conditions.joined(counts, widefield, scene)[None]

    def _gaps(self) -> Iterator[Case]:
        """Yield microtubules side by side that are truly interrupted."""
        for number, gap_nm in enumerate(GAPS_NM):
            rng = generator(self.seed, 100, number)
            scene, gaps = gapped_scene(rng, self.conditions, self.size_px, gap_nm)
            truth = dense_image(
                scene.counts, scene.acquisition, self.conditions.pixel_size_nm
            )
            table = self.conditions.table(rng, scene, first=0, frames=GAP_FRAMES)
            yield Case(
                name=f"gaps/{gap_nm:g}",
                input=self._input(table, scene, None),
                truth=truth,
                pixel_size_nm=self.conditions.pixel_size_nm,
                facts=Rendered(GAP_FRAMES, table, gaps),
            )

    def _noise(self) -> Iterator[Case]:
        """Yield false localizations and nothing else, said to be each structure."""
        edge_nm = self.size_px * self.conditions.pixel_size_nm
        first = self._scene(0)
        for number, density in enumerate(NOISE_PER_UM2):
            rng = generator(self.seed, 200, number)
            count = rng.poisson(density * edge_nm**2 * 1e-6)
            x_nm, y_nm = rng.uniform(0, edge_nm, (2, count))
            table = Localizations(x_nm=x_nm, y_nm=y_nm)
            for structure in self.conditions.structures:
                scene = first._replace(structure=structure)
                yield Case(
                    name=f"noise/{density:g}",
                    input=self._input(table, scene, None),
                    truth=np.zeros((self.size_px, self.size_px), np.float32),
                    pixel_size_nm=self.conditions.pixel_size_nm,
                    facts=Rendered(0, table, structure=structure),
                )

    def _bandwidth(self, facts: Rendered) -> float:
        conditions = self.conditions.override(structures=(facts.structure,))
        return bandwidth_px(conditions.model_dump_json(), self.seed, facts.frames)


def _order(
    scene: Scene, source: RenderingPairs, seed: int, number: int
) -> Localizations:
    """Return the whole acquisition, frame by frame."""
    rng = generator(seed, number, 9)
    total = scene.acquisition.total_frames
    return source.table(rng, scene, first=0, frames=total)
