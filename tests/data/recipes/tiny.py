"""Two networks of a few hundred weights, for tests of packaging.

The folder of this file is added to the path of ``zoo.recipes`` by the tests.
"""

from typing import Any, Literal

import numpy as np

from zoo.core.config import Config
from zoo.core.localizations import Localizations
from zoo.core.network import Grid, Network, Paper
from zoo.core.random import generator
from zoo.core.recipe import Budget, Loss, Recipe, Recording, Source, Stage, Threshold


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
    pixel_size_nm: float = 100.0
    """Camera pixel, nm."""
    photons: tuple[float, float] = (300.0, 6000.0)
    """Photons per emitter, log-uniform."""
    background_photons: tuple[float, float] = (2.0, 50.0)
    """Photons per pixel; varies over frames."""
    flips: bool = True
    """Whether images are mirrored."""

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return noise of both sizes."""
        return (
            rng.random((16, 16, 1), np.float32),
            rng.random((32, 32, 1), np.float32),
        )

    def record(self, rng: np.random.Generator, *, frames: int) -> Recording:
        """Return noise as counts, and no emitters."""
        counts = rng.poisson(100, (frames, 16, 16))
        return Recording(counts, Localizations.empty(), self.pixel_size_nm)


class ChoosySource(TinySource):
    """Noise with names."""

    structures: tuple[str, ...] = ("er", "pits")
    """What is
    shown; no more."""
    tilt_rad: float = 0.05
    """Tilt."""


class TinyBenchmark(Config):
    """One picture."""

    channels: int = 1
    """Channels of the picture."""

    def example(self) -> np.ndarray:
        """Return camera counts with a few bright spots, (y, x, c)."""
        rng = generator(7)
        picture = rng.poisson(120, (20, 24, self.channels)).astype(float)
        rows, columns = rng.integers(1, 19, (2, 12))
        picture[rows, columns] += 900
        return picture


class TinyLoss(Loss):
    """Mean squared error."""

    weight: float = 2.0
    """Factor."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return one number per sample."""
        from keras import ops

        return self.weight * ops.mean((target - prediction) ** 2, axis=(1, 2, 3))


PAPER = Paper(
    authors="Nehme E et al.",
    title="Deep-STORM",
    journal="Optica 5, 458",
    year=2018,
    doi="10.1364/OPTICA.5.000458",
)
SMOKE = Budget(stages=(Stage(epochs=2, steps=3, batch_size=4),))

TINY = Recipe(
    name="tiny_noise",
    title="Tiny density network",
    summary="Doubles the size of noise.",
    network=Network(
        name="tiny_density",
        task="density",
        build=tiny_density,
        paper=PAPER,
        grid=Grid(scale=2, halo=2),
        parameters=196,
        ideal_peak=10.0,
    ),
    source=TinySource(),
    benchmark=TinyBenchmark(),
    loss=TinyLoss(),
    budgets={"smoke": SMOKE},
    acceptance=(Threshold(metric="density/1/jaccard", at_least=0.5),),
    tags=("2d", "noise"),
    prediction={"tile": 16, "threshold": 0.3, "window_px": 3},
)

TINY_IMAGE = Recipe(
    name="tiny_stack",
    title="Tiny image network (nine channels)",
    summary="Turns nine images into one.",
    network=Network(
        name="tiny_image",
        task="image",
        build=tiny_image,
        paper=PAPER,
        grid=Grid(scale=2, tile=24),
        parameters=280,
        published=False,
    ),
    options={"channels": 9, "tile": 16},
    training_options={"tile": None},
    source=TinySource(),
    benchmark=TinyBenchmark(channels=9),
    loss=TinyLoss(),
    budgets={"smoke": SMOKE},
    prediction={
        "overlap": 4,
        "reference": "mean",
        "frame_order": "angle-major",
        "input_channels": [f"angle{a}_phase{p}" for a in (1, 2, 3) for p in (1, 2, 3)],
        "input_text": "Nine raw frames",
        "output_text": "One fine image",
        "modality": "structured illumination microscopy",
    },
)
