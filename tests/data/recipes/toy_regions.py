"""A network that reads position and photons of one emitter from its region."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import keras
import numpy as np
from keras import layers, ops

from zoo.core.contract import CONDITION, Contract, Range
from zoo.core.errors import BadInput
from zoo.core.grid import Axis, Grid
from zoo.core.localizations import Localizations
from zoo.core.network import Network
from zoo.core.papers import NEHME_2018
from zoo.core.products import Products, Table
from zoo.core.random import generator
from zoo.core.recipe import Budget, Loss, Recipe, Simulation, Source, Stage, Threshold
from zoo.core.test_set import Case, Metrics, TestSet
from zoo.inputs.regions import Regions
from zoo.objectives.supervised import Supervised
from zoo.tasks.parameters import Parameters

EDGE = 9
COLUMNS = ("x_nm", "y_nm", "photons")
FACTORS = (100.0, 100.0, 1000.0)


def toy_regions(*, width: int = 8, dtype: str = "float32") -> Any:
    """Build two convolutions and two dense layers for regions of a fixed size."""
    region = keras.Input((EDGE, EDGE, 1), name="region", dtype="float32")
    x = layers.Conv2D(
        width, 3, padding="same", activation="relu", dtype=dtype, name="first"
    )(ops.log(1.0 + region / 100.0))
    x = layers.Conv2D(
        width, 3, strides=2, activation="relu", dtype=dtype, name="second"
    )(x)
    x = layers.Reshape((16 * width,), dtype=dtype, name="flat")(x)
    x = layers.Dense(32, activation="relu", dtype=dtype, name="dense")(x)
    values = layers.Dense(len(COLUMNS), dtype="float32", name="values")(x)
    return keras.Model(region, values, name="toy_regions")


class RegionsOfEmitters(Source):
    """Regions around single emitters, photons."""

    kind: Literal["toy_regions"] = "toy_regions"
    """Type of the source."""
    pixel_size_nm: Annotated[float, CONDITION] = 100.0
    """Camera pixel, nm."""
    photons: Annotated[Range, CONDITION] = (1000.0, 4000.0)
    """Photons per emitter."""

    def region(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return counts (y, x) and x, y (from the centre) and photons."""
        x, y = rng.uniform(-1.5, 1.5, 2)
        photons = rng.uniform(*self.photons)
        place = np.arange(EDGE) - EDGE // 2
        spot = np.exp(-((place - y) ** 2)[:, None] / 2.42 - (place - x) ** 2 / 2.42)
        counts = rng.poisson(photons / 7.6 * spot + 5.0)
        size = self.pixel_size_nm
        return counts.astype(np.float32), np.array([x * size, y * size, photons])

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a region (y, x, 1) and its values in units of `FACTORS`."""
        counts, values = self.region(rng)
        return counts[..., None], (values / FACTORS).astype(np.float32)

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Return regions and the table that they should give."""
        pairs = [self.region(rng) for _ in range(frames)]
        values = np.stack([pair[1] for pair in pairs])
        truth = Localizations(
            x_nm=values[:, 0],
            y_nm=values[:, 1],
            photons=values[:, 2],
            frame=np.arange(1, frames + 1),
        )
        return Simulation(np.stack([p[0] for p in pairs]), truth, self.pixel_size_nm)


class ToyParameters(TestSet):
    """Regions, scored by root mean square errors."""

    kind: Literal["toy_parameters"] = "toy_parameters"
    """Type of the test set."""

    def cases(self) -> Iterator[Case]:
        """Simulate the regions."""
        made = RegionsOfEmitters().record(generator(6), frames=100)
        yield Case("emitters/all", made.counts, made.truth, made.pixel_size_nm)

    def example(self) -> np.ndarray:
        """Return the first region."""
        return next(self.cases()).input[0, ..., None].astype(np.float32)

    def score(self, case: Case, found: Products) -> dict[str, float]:
        """Compare row by row."""
        table, truth = found.localizations, case.truth
        if table is None or table.photons is None or len(table) != len(truth):
            raise BadInput("one row with photons is needed for every region")
        lateral = np.hypot(table.x_nm - truth.x_nm, table.y_nm - truth.y_nm)
        return {
            "rmse_lateral_nm": float(np.sqrt(np.mean(lateral**2))),
            "rmse_photons": float(
                np.sqrt(np.mean((table.photons - truth.photons) ** 2))
            ),
        }

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return group, condition and figures."""
        return {
            name.partition("/")[0]: {name.partition("/")[2]: row}
            for name, row in scored
        }

    def perfect(self, case: Case) -> Products:
        """Return the truth."""
        return Products([Table("localizations", case.truth)])

    def nothing(self, case: Case) -> Products:
        """Return the middle of every region."""
        zero = np.zeros(len(case.truth))
        table = case.truth.with_columns(x_nm=zero, y_nm=zero, photons=zero)
        return Products([Table("localizations", table)])


class SquaredError(Loss):
    """Mean squared error of vectors."""

    kind: Literal["toy_squared_error"] = "toy_squared_error"
    """Type of the loss."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return one number per sample."""
        return ops.mean((target - prediction) ** 2, axis=-1)


TOY_REGIONS = Recipe(
    name="toy_regions_gaussian",
    title="Toy network for regions",
    summary="Reads position and photons of one emitter, to test regions.",
    network=Network(
        name="toy_regions", build=toy_regions, paper=NEHME_2018, parameters=4_891,
        published=False, note="Not the published architecture but a toy.",
    ),
    contract=Contract(
        grid=Grid(
            output_axes="bc",
            axes={"y": Axis(size=EDGE), "x": Axis(size=EDGE)},
            outputs=COLUMNS,
        ),
        input=Regions(),
        task=Parameters(columns=COLUMNS, factors=FACTORS),
        preprocessing=(),
    ),
    source=RegionsOfEmitters(),
    objective=Supervised(loss=SquaredError()),
    test_set=ToyParameters(),
    budgets={
        "smoke": Budget(
            stages=(Stage(epochs=6, steps=60, batch_size=32),),
            learning_rate=4e-3,
            warmup_steps=10,
        )
    },
    acceptance=(
        Threshold(metric="emitters/all/rmse_lateral_nm", at_most=40),
        Threshold(metric="emitters/all/rmse_photons", at_most=700),
    ),
    tags=("2d", "toy"),
)  # fmt: skip
