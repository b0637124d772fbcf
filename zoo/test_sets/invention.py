"""What an image package invents: one test set for all of them.

Known objects are put under the microscope of a package's own test set
(`zoo.core.test_set.TestSet.bench`): lines with gaps, crossings, nothing but noise, haze
behind a few filaments, structures that no training shows, and conditions beyond those
of the training.  A classical method is judged beside the network on the same frames.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, SerializeAsAny, field_validator

from zoo.core.bench import Bench, Shot
from zoo.core.errors import BadInput
from zoo.core.names import near
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.core.test_set import Case, Metrics, ScoreTable, TestSet
from zoo.metrics.comparison import means
from zoo.metrics.images import affine_match, psnr
from zoo.metrics.invention import bridged, invented, rewired
from zoo.test_sets._invention_settings import SETTINGS, Draw, Setting, words_of
from zoo.test_sets.sim_images import SimImageTestSet, SimPairs

GROUP = "invention"
"""Group of the metrics."""

_TYPICAL = 0.9  # quantile of the structure's pixels that stands for its brightness
_SHOWN = 0.1  # of the brightest: a pixel of the structure
_FOUND = 0.5  # of the typical brightness: a pixel that must not be missed


_BY_NAME = {setting.name: setting for setting in SETTINGS}


class Facts(NamedTuple):
    """What is known of a case."""

    setting: Setting
    shot: Shot
    fine_nm: float
    """Pixel in units of `lengths`."""
    lengths: float
    places: np.ndarray | None
    directions: np.ndarray | None


class InventionTestSet(TestSet):
    """Known objects under the microscope of an image package."""

    kind: Literal["invention"] = "invention"
    """Kind of test set."""
    seed: int = Field(default=41, ge=0)
    """Seed, apart from every training seed."""
    of: SerializeAsAny[TestSet] = SimImageTestSet(
        conditions=SimPairs(modality="widefield", crop_px=128)
    )
    """Test set of the package, whose microscope is used."""
    photons: tuple[float, float] | None = None
    """Signal levels of the training; those of the bench if left out."""
    settings: tuple[str, ...] = tuple(_BY_NAME)
    """Names of the conditions that are shown."""

    @field_validator("of")
    @classmethod
    def _shows_any_sample(cls, value: TestSet) -> TestSet:
        if value.bench() is None:
            raise ValueError(
                f"of must be a test set that offers a bench; {value.kind} does not"
            )
        return value

    @field_validator("settings")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in _BY_NAME:
                raise ValueError(
                    f"no setting is named {name!r}; {near(name, _BY_NAME)}"
                )
        return value

    def cases(self) -> Iterator[Case]:
        """Simulate one case after the other.

        Inputs are as the bench gives them, truths ideal images of peak one, facts
        `Facts`.
        """
        order = list(_BY_NAME)
        bench = self._bench()
        for name in self.settings:
            setting = _BY_NAME[name]
            for number in range(setting.tiles):
                rng = generator(self.seed, order.index(name), number)
                yield _case(setting, bench, rng, number, self.photons)

    def example(self) -> np.ndarray:
        """Return the input of the first case, (y, x, c) float32."""
        return np.asarray(next(self.cases()).input[0], np.float32)

    def score(self, case: Case, found: Products) -> dict[str, float]:
        """Return what the network, the classical method and the ideal image show.

        Raises
        ------
        BadInput
            If there is no image, it does not lie on the target's grid or is not finite.
        """
        facts: Facts = case.facts
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
        image = (-1 if facts.shot.inverted else 1) * (image - facts.shot.floor)
        classical = np.asarray(list(facts.shot.baselines.values())[-1], float)
        values: dict[str, float] = {}
        shown = {"": image, "_baseline": classical}
        if facts.setting.kind in ("gaps", "crossings"):
            shown["_ideal"] = case.truth
        for ending, method in shown.items():
            judged = _judged(method, case.truth, facts)
            values |= {f"{name}{ending}": value for name, value in judged.items()}
        return values

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return means over fields: one group, conditions, metrics.

        ``bridged_percent`` of gaps, ``rewired_percent`` of crossings;
        ``false_filaments_per_100_um2``, ``false_spots_per_100_um2`` and
        ``false_area_percent``; ``psnr_db`` and ``missed_percent`` where there is a
        structure.  The same of the classical method end in ``_baseline``, those of the
        ideal image in ``_ideal``.
        """
        rows: dict[str, list[dict[str, float]]] = {}
        for name, values in scored:
            rows.setdefault(name.partition("/")[2], []).append(values)
        return {
            GROUP: {
                condition: {
                    metric: round(value, 3) if np.isfinite(value) else None
                    for metric, value in means(of).items()
                }
                for condition, of in rows.items()
            }
        }

    def perfect(self, case: Case) -> Products:
        """Return the ideal image, rounded as in a file of 16 bits."""
        steps = 2**16 - 1
        image = np.round(case.truth * steps) / steps
        shot: Shot = case.facts.shot
        image = shot.floor + (-image if shot.inverted else image)
        return Products([Image("image", image, "yx")])

    def nothing(self, case: Case) -> Products:
        """Return an image of an empty stage."""
        image = np.full_like(case.truth, case.facts.shot.floor)
        return Products([Image("image", image, "yx")])

    def covers(self) -> dict[str, tuple[float, float]]:
        """Return nothing: these cases leave the training conditions on purpose."""
        return {}

    def reduced(self) -> Self:
        """Return one condition of every kind."""
        return self.override(
            settings=("gap_250_nm", "crossing_90_deg", "noise", "usual")
        )

    def tables(self, metrics: Metrics) -> list[ScoreTable]:
        """Return tables of gaps, of crossings and of false objects."""
        return invention_tables(metrics)

    def _bench(self) -> Bench:
        """Return the microscope."""
        bench = self.of.bench()
        if bench is None:
            raise BadInput(f"the test set {self.of.kind} offers no bench")
        return bench


TABLES: dict[str, dict[str, str]] = {
    "invented: gaps": {
        "bridged_percent": "bridged [%]",
        "bridged_percent_baseline": "classical",
        "bridged_percent_ideal": "ideal image",
    },
    "invented: crossings": {
        "rewired_percent": "rewired [%]",
        "rewired_percent_baseline": "classical",
        "rewired_percent_ideal": "ideal image",
    },
    "invented: objects": {
        "false_filaments_per_100_um2": "false filaments per 100 µm²",
        "false_filaments_per_100_um2_baseline": "classical",
        "false_spots_per_100_um2": "false spots per 100 µm²",
        "false_spots_per_100_um2_baseline": "classical",
        "missed_percent": "missed [%]",
        "missed_percent_baseline": "classical",
        "psnr_db": "PSNR [dB]",
        "psnr_db_baseline": "classical",
    },
}
"""Metrics and their headings by the corner of a table."""


def invention_tables(metrics: Metrics) -> list[ScoreTable]:
    """Return tables of gaps, of crossings and of false objects."""
    found = metrics.get(GROUP, {})
    tables: list[ScoreTable] = []
    for corner, columns in TABLES.items():
        rows: dict[str, Mapping[str, Any]] = {
            words_of(name): row
            for name, row in found.items()
            if set(columns) & set(row)
        }
        known = {name for row in rows.values() for name in row}
        kept = {name: words for name, words in columns.items() if name in known}
        if rows:
            tables.append(ScoreTable(corner, kept, rows))
    return tables


def _case(
    setting: Setting,
    bench: Bench,
    rng: np.random.Generator,
    number: int,
    photons: tuple[float, float] | None,
) -> Case:
    """Draw and expose one field."""
    shape, fine_nm, margin = bench.grid(setting.pixel_factor)
    facts: dict[str, np.ndarray] = {}
    levels = bench.photons if photons is None else photons
    stage = setting.draw(Draw(rng, shape, fine_nm, number, facts, levels))
    shot = bench.shoot(stage, rng, pixel_factor=setting.pixel_factor)
    peak = float(shot.target.max())
    places = facts.get("places")
    return Case(
        name=f"{GROUP}/{setting.named(bench.lengths)}",
        input=shot.input,
        truth=shot.target / peak if peak > 0 else shot.target,
        pixel_size_nm=shot.pixel_size_nm,
        facts=Facts(
            setting,
            shot,
            fine_nm,
            bench.lengths,
            None if places is None else places - margin * fine_nm,
            facts.get("directions"),
        ),
    )


def _judged(image: np.ndarray, truth: np.ndarray, facts: Facts) -> dict[str, float]:
    """Return what one image of a case shows."""
    setting, pixel_nm = facts.setting, facts.fine_nm
    if facts.places is not None and facts.directions is not None:
        inside = ((facts.places > 0) & (facts.places < len(truth) * pixel_nm)).all(1)
        places, directions = facts.places[inside], facts.directions[inside]
        if setting.kind == "gaps":
            wrong = bridged(
                image, places, directions, gap_nm=setting.value, pixel_nm=pixel_nm
            )
            return {"bridged_percent": 100 * float(wrong.mean())}
        if setting.kind == "crossings":
            wrong = rewired(image, places, directions, pixel_nm=pixel_nm)
            return {"rewired_percent": 100 * float(wrong.mean())}
    if setting.kind == "noise":
        return _objects(image, None, facts)
    structure = truth[truth >= _SHOWN * float(truth.max())]
    typical = float(np.quantile(structure, _TYPICAL))
    matched = affine_match(image, truth)
    missed = matched[truth >= _FOUND * typical] < _FOUND / 2 * typical
    return _objects(matched / typical, truth / typical, facts) | {
        "missed_percent": 100 * float(missed.mean()),
        "psnr_db": psnr(matched, truth, data_range=1.0),
    }


def _objects(
    image: np.ndarray, truth: np.ndarray | None, facts: Facts
) -> dict[str, float]:
    """Return false objects per area."""
    found = invented(image, truth, pixel_nm=facts.fine_nm)
    field_um2 = found.field_um2 * facts.lengths**2
    return {
        "false_filaments_per_100_um2": 100 * found.filaments / field_um2,
        "false_spots_per_100_um2": 100 * found.spots / field_um2,
        "false_area_percent": 100 * found.area_um2 / found.field_um2,
    }
