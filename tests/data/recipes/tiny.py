"""Two networks of a few hundred weights, for tests of packaging.

The folder of this file is added to the path of ``zoo.recipes`` by the tests.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np

from zoo.core.contract import CONDITION, Contract
from zoo.core.grid import Grid
from zoo.core.localizations import Localizations
from zoo.core.network import Network
from zoo.core.papers import NEHME_2018
from zoo.core.products import Image, Products, Table
from zoo.core.random import generator
from zoo.core.recipe import Budget, Loss, Recipe, Simulation, Source, Stage, Threshold
from zoo.core.test_set import Case, Metrics, TestSet
from zoo.inputs.frames import Frames
from zoo.inputs.raw_frames import RawFrames
from zoo.objectives.supervised import Supervised
from zoo.tasks.density import Density
from zoo.tasks.image import ImageRestoration


def tiny_density(*, width: int = 4, dtype: str = "float32") -> Any:
    """Build a local network that doubles the size: two convolutions and a shuffle."""
    import keras
    from keras import layers, ops

    frame = keras.Input((None, None, 1), name="frame", dtype="float32")
    x = layers.Conv2D(width, 3, padding="same", dtype=dtype, name="first")(frame)
    x = layers.BatchNormalization(dtype=dtype, name="norm")(x)
    x = layers.ReLU(dtype=dtype, name="relu")(x)
    x = layers.Conv2D(4, 3, padding="same", dtype="float32", name="second")(x)
    return keras.Model(frame, ops.nn.depth_to_space(x, 2), name="tiny_density")


def tiny_image(
    *,
    width: int = 6,
    channels: int = 1,
    tile: int | None = 24,
    dtype: str = "float32",
) -> Any:
    """Build a network with global context."""
    import keras
    from keras import layers, ops

    stack = keras.Input((tile, tile, channels), name="stack", dtype="float32")
    x = layers.Conv2D(width, 3, padding="same", dtype=dtype, name="first")(stack)
    attention = ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True))
    x = layers.Conv2D(
        4,
        3,
        padding="same",
        activation="sigmoid",
        bias_initializer=keras.initializers.Constant(-1.0),
        dtype="float32",
        name="second",
    )(x * attention)
    return keras.Model(stack, ops.nn.depth_to_space(x, 2), name="tiny_image")


class TinySource(Source):
    """Noise."""

    kind: Literal["tiny"] = "tiny"
    """Type of the source."""
    pixel_size_nm: Annotated[float, CONDITION] = 100.0
    """Camera pixel, nm."""
    photons: Annotated[tuple[float, float], CONDITION] = (300.0, 6000.0)
    """Photons per emitter, log-uniform."""
    background_photons: Annotated[tuple[float, float], CONDITION] = (2.0, 50.0)
    """Photons per pixel; varies over frames."""
    flips: bool = True
    """Whether images are mirrored."""

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return noise of both sizes."""
        return (
            rng.random((16, 16, 1), np.float32),
            rng.random((32, 32, 1), np.float32),
        )

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Return noise as counts, and no emitters."""
        counts = rng.poisson(100, (frames, 16, 16))
        return Simulation(counts, Localizations.empty(), self.pixel_size_nm)


class ChoosySource(TinySource):
    """Noise with names."""

    kind: Literal["choosy"] = "choosy"
    """Type of the source."""
    structures: tuple[str, ...] = ("er", "pits")
    """What is
    shown; no more."""
    tilt_rad: Annotated[float, CONDITION] = 0.05
    """Tilt."""


class TinyTestSet(TestSet):
    """One image, scored by nothing but its brightness."""

    kind: Literal["tiny"] = "tiny"
    """Type of the test set."""
    channels: int = 1
    """Channels of the image."""

    def example(self) -> np.ndarray:
        """Return camera counts with a few bright spots, (y, x, c)."""
        rng = generator(7)
        image = rng.poisson(120, (20, 24, self.channels)).astype(float)
        rows, columns = rng.integers(1, 19, (2, 12))
        image[rows, columns] += 900
        return image

    def cases(self) -> Iterator[Case]:
        """Return the one image."""
        yield Case("density/1", self.example()[None], None, pixel_size_nm=100.0)

    def score(self, case: Case, found: Products) -> Any:
        """Return whether there is anything."""
        del case
        return bool(found.images or found.tables)

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return one figure."""
        return {"density": {"1": {"jaccard": float(all(s for _, s in scored))}}}

    def perfect(self, case: Case) -> Products:
        """Return a table and an image."""
        del case
        image = Image("image", np.ones((4, 4)), "yx")
        return Products([Table("localizations", Localizations.empty()), image])

    def nothing(self, case: Case) -> Products:
        """Return nothing."""
        del case
        return Products()


class TinyLoss(Loss):
    """Mean squared error."""

    kind: Literal["tiny"] = "tiny"
    """Type of the loss."""
    weight: float = 2.0
    """Factor."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return one number per sample."""
        from keras import ops

        return self.weight * ops.mean((target - prediction) ** 2, axis=(1, 2, 3))


SMOKE = Budget(stages=(Stage(epochs=2, steps=3, batch_size=4),))

TINY = Recipe(
    name="tiny_noise",
    title="Tiny density network",
    summary="Doubles the size of noise.",
    network=Network(
        name="tiny_density", build=tiny_density, paper=NEHME_2018, parameters=196
    ),
    contract=Contract(
        grid=Grid.square(scale=2, halo=2),
        input=Frames(),
        task=Density(threshold=0.3, ideal_peak=10.0),
        tile={"y": 16, "x": 16},
    ),
    source=TinySource(),
    objective=Supervised(loss=TinyLoss()),
    test_set=TinyTestSet(),
    budgets={"smoke": SMOKE},
    acceptance=(Threshold(metric="density/1/jaccard", at_least=0.5),),
    tags=("2d", "noise"),
)

TINY_IMAGE = Recipe(
    name="tiny_stack",
    title="Tiny image network (nine channels)",
    summary="Turns nine images into one.",
    network=Network(
        name="tiny_image",
        build=tiny_image,
        paper=NEHME_2018,
        parameters=280,
        published=False,
    ),
    options={"channels": 9, "tile": 16},
    training_options={"tile": None},
    contract=Contract(
        grid=Grid.square(
            scale=2,
            size=16,
            overlap=4,
            channels=tuple(f"angle{a}_phase{p}" for a in (1, 2, 3) for p in (1, 2, 3)),
        ),
        input=RawFrames(),
        task=ImageRestoration(),
        input_text="Nine raw frames",
        output_text="One fine image",
        modality="structured illumination microscopy",
    ),
    source=TinySource(),
    objective=Supervised(loss=TinyLoss()),
    test_set=TinyTestSet(channels=9),
    budgets={"smoke": SMOKE},
)
