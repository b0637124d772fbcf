"""What an image package invents: one test set for all of them.

Known objects are put under the microscope of a package's own test set
(`zoo.core.test_set.TestSet.bench`): lines with gaps, crossings, nothing but noise, haze
behind a few filaments, structures that no training shows, and conditions beyond those
of the training.  A classical method is judged beside the network on the same frames.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, SerializeAsAny, field_validator

from zoo.core.bench import Bench, Shot, Stage
from zoo.core.errors import BadInput
from zoo.core.names import near
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.core.test_set import Case, Metrics, ScoreTable, TestSet
from zoo.metrics.comparison import means
from zoo.metrics.images import affine_match, psnr
from zoo.metrics.invention import bridged, invented, rewired
from zoo.physics import phantoms
from zoo.physics.specimens import Structure, specimen
from zoo.test_sets.sim_images import SimImageTestSet, SimPairs

GROUP = "invention"
"""Group of the metrics."""

BEYOND = 4.0
"""Times the light, or less of it, for half and double the noise."""
PIXELS = 0.2
"""How far camera pixels are from the trained one, relatively."""

_TYPICAL = 0.9  # quantile of the structure's pixels that stands for its brightness
_SHOWN = 0.1  # of the brightest: a pixel of the structure
_FOUND = 0.5  # of the typical brightness: a pixel that must not be missed


class Setting(NamedTuple):
    """One condition of the test set."""

    name: str
    """Name of the condition."""
    kind: Literal["gaps", "crossings", "noise", "image"]
    """What is judged."""
    words: str
    """What it is, for tables."""
    draw: Callable[["_Draw"], Stage]
    """Draws what is on the stage."""
    value: float = 0.0
    """Width of gaps (nm), angle of crossings (degrees)."""
    pixel_factor: float = 1.0
    """Camera pixel in units of the trained one."""
    tiles: int = 2
    """Fields that are shown."""


class _Draw(NamedTuple):
    """What a setting is drawn with."""

    rng: np.random.Generator
    shape: tuple[int, int]
    fine_nm: float
    number: int
    facts: dict[str, np.ndarray]

    photons: tuple[float, float]

    @property
    def light(self) -> float:
        """A signal level in the middle of the training."""
        low, high = self.photons
        return float(np.sqrt(low * high))

    def sample(self, structure: Structure) -> np.ndarray:
        """Return a specimen as in the training."""
        return specimen(self.rng, structure, self.shape, pixel_nm=self.fine_nm)

    def trained(self) -> np.ndarray:
        """Return a specimen of filaments or of spots, in turn."""
        return self.sample(("microtubules", "pits")[self.number % 2])


def _gaps(width_nm: float) -> Callable[[_Draw], Stage]:
    def draw(d: _Draw) -> Stage:
        drawn = phantoms.gap_lines(d.rng, d.shape, pixel_nm=d.fine_nm, gap_nm=width_nm)
        d.facts.update(places=drawn.places_nm, directions=drawn.directions)
        return Stage(drawn.image, d.light)

    return draw


def _crossings(angle_deg: float) -> Callable[[_Draw], Stage]:
    def draw(d: _Draw) -> Stage:
        drawn = phantoms.crossings(
            d.rng, d.shape, pixel_nm=d.fine_nm, angle_deg=angle_deg
        )
        d.facts.update(places=drawn.places_nm, directions=drawn.arms)
        return Stage(drawn.image, d.light)

    return draw


def _noise(d: _Draw) -> Stage:
    low, high = d.photons
    level = (low / 3, np.sqrt(low * high), high / 2)[d.number % 3]
    return Stage(np.zeros(d.shape, np.float32), float(level))


def _haze(amount: float) -> Callable[[_Draw], Stage]:
    def draw(d: _Draw) -> Stage:
        lines = phantoms.gap_lines(
            d.rng, d.shape, pixel_nm=d.fine_nm, gap_nm=0.0, spacing_nm=3500.0
        )
        haze = d.sample(("microtubules", "er")[d.number % 2])
        defocus = (700.0, 1300.0)[d.number % 2]
        return Stage(
            lines.image, d.light, haze=haze, haze_amount=amount, defocus_nm=defocus
        )

    return draw


def _untrained(
    shape_of: Callable[..., np.ndarray],
) -> Callable[[_Draw], Stage]:
    return lambda d: Stage(shape_of(d.rng, d.shape, pixel_nm=d.fine_nm), d.light)


def _usual(d: _Draw) -> Stage:
    return Stage(d.trained(), d.light)


def _doubled(d: _Draw) -> Stage:
    return Stage(d.trained(), d.photons[0] / BEYOND)


def _halved(d: _Draw) -> Stage:
    return Stage(d.trained(), d.photons[1] * BEYOND)


def _uneven(d: _Draw) -> Stage:
    y, x = (np.linspace(-1, 1, n) for n in d.shape)
    light = np.exp(-((y[:, None] - 0.3) ** 2 + (x[None, :] + 0.2) ** 2) / 0.9)
    return Stage(d.trained(), d.light, light=light.astype(np.float32))


def _background(d: _Draw) -> Stage:
    y, x = (np.linspace(0, 1, n) for n in d.shape)
    ramp = 0.8 * x[None, :] * np.ones_like(y)[:, None]
    ramp += 0.5 * np.exp(-((y[:, None] - 0.6) ** 2 + (x[None, :] - 0.4) ** 2) / 0.05)
    return Stage(d.trained(), d.light, ramp=ramp.astype(np.float32))


GAPS_NM = (90.0, 120.0, 180.0, 250.0, 350.0)
"""Widths of gaps."""
ANGLES_DEG = (30.0, 60.0, 90.0)
"""Angles of crossings."""

SETTINGS: tuple[Setting, ...] = (
    *(
        Setting(f"gap_{w:g}_nm", "gaps", f"gaps of {w:g} nm", _gaps(w), w, tiles=1)
        for w in GAPS_NM
    ),
    *(
        Setting(f"crossing_{a:g}_deg", "crossings", f"crossings at {a:g}°",
                _crossings(a), a)
        for a in ANGLES_DEG
    ),
    Setting("noise", "noise", "nothing but noise", _noise, tiles=3),
    Setting("haze", "image", "haze as strong as the structure", _haze(1.0)),
    Setting("haze_doubled", "image", "haze twice as strong", _haze(2.0)),
    Setting("rings", "image", "never trained: rings", _untrained(phantoms.rings),
            tiles=1),
    Setting("discs", "image", "never trained: discs", _untrained(phantoms.discs),
            tiles=1),
    Setting("clouds", "image", "never trained: clouds", _untrained(phantoms.clouds),
            tiles=1),
    Setting("dot_grid", "image", "never trained: lattice of dots",
            _untrained(phantoms.dot_grid), tiles=1),
    Setting("usual", "image", "as in the training", _usual),
    Setting("noise_halved", "image", "half the least trained noise", _halved),
    Setting("noise_doubled", "image", "twice the strongest trained noise", _doubled),
    Setting("pixels_smaller", "image", "pixels 20 % smaller", _usual,
            pixel_factor=1 - PIXELS),
    Setting("pixels_larger", "image", "pixels 20 % larger", _usual,
            pixel_factor=1 + PIXELS),
    Setting("light_uneven", "image", "uneven illumination", _uneven),
    Setting("background_uneven", "image", "uneven background", _background),
)  # fmt: skip
"""All conditions, in the order of tables."""

_BY_NAME = {setting.name: setting for setting in SETTINGS}


class Facts(NamedTuple):
    """What is known of a case."""

    setting: Setting
    shot: Shot
    fine_nm: float
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
        return Products([Image("image", np.round(case.truth * steps) / steps, "yx")])

    def nothing(self, case: Case) -> Products:
        """Return a black image."""
        return Products([Image("image", np.zeros_like(case.truth), "yx")])

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
            setting.words: found[setting.name]
            for setting in SETTINGS
            if set(columns) & set(found.get(setting.name, {}))
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
    stage = setting.draw(_Draw(rng, shape, fine_nm, number, facts, levels))
    shot = bench.shoot(stage, rng, pixel_factor=setting.pixel_factor)
    peak = float(shot.target.max())
    places = facts.get("places")
    return Case(
        name=f"{GROUP}/{setting.name}",
        input=shot.input,
        truth=shot.target / peak if peak > 0 else shot.target,
        pixel_size_nm=shot.pixel_size_nm,
        facts=Facts(
            setting,
            shot,
            fine_nm,
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
        return _objects(image, None, pixel_nm)
    structure = truth[truth >= _SHOWN * float(truth.max())]
    typical = float(np.quantile(structure, _TYPICAL))
    matched = affine_match(image, truth)
    missed = matched[truth >= _FOUND * typical] < _FOUND / 2 * typical
    return _objects(matched / typical, truth / typical, pixel_nm) | {
        "missed_percent": 100 * float(missed.mean()),
        "psnr_db": psnr(matched, truth, data_range=1.0),
    }


def _objects(
    image: np.ndarray, truth: np.ndarray | None, pixel_nm: float
) -> dict[str, float]:
    """Return false objects per area."""
    found = invented(image, truth, pixel_nm=pixel_nm)
    return {
        "false_filaments_per_100_um2": 100 * found.filaments / found.field_um2,
        "false_spots_per_100_um2": 100 * found.spots / found.field_um2,
        "false_area_percent": 100 * found.area_um2 / found.field_um2,
    }
