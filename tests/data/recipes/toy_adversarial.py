"""A generator for images twice as fine, trained against two critics."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import keras
import numpy as np
from keras import layers, ops
from scipy.ndimage import gaussian_filter

from zoo.core.contract import CONDITION, Contract, Range
from zoo.core.errors import BadInput
from zoo.core.grid import Axis, Grid
from zoo.core.network import Network
from zoo.core.optimizers import Adam
from zoo.core.papers import NEHME_2018
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.core.recipe import Budget, Loss, Recipe, Simulation, Source, Stage, Threshold
from zoo.core.test_set import Case, Metrics, TestSet
from zoo.inputs.frames import Frames
from zoo.objectives.adversarial import Adversarial, Companion, Critic, WeightedLoss
from zoo.tasks.image import ImageRestoration


def toy_adversarial(*, width: int = 12, dtype: str = "float32") -> Any:
    """Build three convolutions and a shuffle."""
    x = image = keras.Input((None, None, 1), name="image", dtype="float32")
    for number in (1, 2):
        x = layers.Conv2D(
            width, 3, padding="same", activation="relu", dtype=dtype, name=f"c{number}"
        )(x)
    x = layers.Conv2D(4, 3, padding="same", dtype="float32", name="head")(x)
    fine = ops.nn.depth_to_space(x, 2)
    return keras.Model(image, fine, name="toy_adversarial")


def toy_critic(*, channels: int = 1, width: int = 8, dtype: str = "float32") -> Any:
    """Build a patch critic: a score for every neighbourhood."""
    x = image = keras.Input((None, None, channels), name="shown", dtype="float32")
    for number in (1, 2):
        x = layers.Conv2D(
            width, 3, strides=2, padding="same", dtype=dtype, name=f"c{number}"
        )(x)
        x = layers.LeakyReLU(0.1, dtype=dtype, name=f"c{number}_relu")(x)
    scores = layers.Conv2D(1, 1, dtype="float32", name="scores")(x)
    return keras.Model(image, scores, name="toy_critic")


def toy_consistency(*, dtype: str = "float32") -> Any:
    """Build a network that predicts the input from a fine image."""
    fine = keras.Input((None, None, 1), name="fine", dtype="float32")
    coarse = layers.Conv2D(1, 4, strides=2, padding="same", dtype=dtype, name="blur")(
        fine
    )
    return keras.Model(fine, coarse, name="toy_consistency")


class DotPairs(Source):
    """Blurred dots on a coarse grid and sharper ones on a fine grid."""

    kind: Literal["toy_dots"] = "toy_dots"
    """Type of the source."""
    pixel_size_nm: Annotated[float, CONDITION] = 100.0
    """Camera pixel, nm."""
    photons: Annotated[Range, CONDITION] = (300.0, 600.0)
    """Photons in the brightest pixel."""
    size_px: int = 16
    """Edge of an input, px."""

    def pair(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return counts (y, x) and the truth (2y, 2x) between 0 and 1."""
        fine = np.zeros((2 * self.size_px, 2 * self.size_px))
        count = self.size_px**2 // 20
        places = rng.integers(2 * self.size_px, size=(2, count))
        np.add.at(fine, tuple(places), rng.uniform(0.5, 1, count))
        truth = gaussian_filter(fine, 0.8)
        truth /= truth.max()
        coarse = gaussian_filter(fine, 2.4)
        coarse = coarse.reshape(self.size_px, 2, self.size_px, 2).mean((1, 3))
        light = rng.uniform(*self.photons) * coarse / coarse.max()
        return rng.poisson(light + 5.0) + 100.0, truth

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return an image scaled to [0, 1] and its target."""
        counts, truth = self.pair(rng)
        scaled = (counts - counts.min()) / np.ptp(counts)
        return (
            scaled[..., None].astype(np.float32),
            truth[..., None].astype(np.float32),
        )

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Return images and their truth."""
        pairs = [self.pair(rng) for _ in range(frames)]
        return Simulation(
            np.stack([p[0] for p in pairs]).astype(np.uint16),
            np.stack([p[1] for p in pairs]),
            self.pixel_size_nm,
        )


class ToyImages(TestSet):
    """A few images, scored by correlation with the truth."""

    kind: Literal["toy_images"] = "toy_images"
    """Type of the test set."""

    def cases(self) -> Iterator[Case]:
        """Simulate the images."""
        for number in range(3):
            made = DotPairs(size_px=24).record(generator(4, number), frames=1)
            yield Case("dots/all", made.counts, made.truth[0], made.pixel_size_nm)

    def example(self) -> np.ndarray:
        """Return the first image."""
        return next(self.cases()).input[0, ..., None].astype(np.float32)

    def score(self, case: Case, found: Products) -> dict[str, float]:
        """Compare pixel by pixel."""
        image = found.image
        if image is None or image.shape != case.truth.shape:
            raise BadInput(f"an image of {case.truth.shape} px is needed")
        if not np.ptp(image):
            return {"pearson": 0.0}
        return {"pearson": float(np.corrcoef(image.ravel(), case.truth.ravel())[0, 1])}

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return means over the images."""
        mean = float(np.mean([row["pearson"] for _, row in scored]))
        return {"dots": {"all": {"pearson": mean}}}

    def perfect(self, case: Case) -> Products:
        """Return the truth."""
        return Products([Image("image", case.truth, "yx")])

    def nothing(self, case: Case) -> Products:
        """Return an empty image."""
        return Products([Image("image", np.zeros_like(case.truth), "yx")])


class DotError(Loss):
    """Mean squared error of images."""

    kind: Literal["toy_dot_error"] = "toy_dot_error"
    """Type of the loss."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return one number per sample."""
        return ops.mean((target - prediction) ** 2, axis=(1, 2, 3))


def network(name: str, build: Any, parameters: int) -> Network:
    """Declare one of the networks of this file."""
    return Network(
        name=name, build=build, paper=NEHME_2018, parameters=parameters,
        published=False, note="Not the published architecture but a toy.",
    )  # fmt: skip


GENERATOR = network("toy_adversarial", toy_adversarial, 1_864)
CRITIC = network("toy_critic", toy_critic, 673)
CONSISTENCY = network("toy_consistency", toy_consistency, 17)
AXIS = Axis(scale=2, halo=3, minimum=8)

TOY_ADVERSARIAL = Recipe(
    name="toy_adversarial_dots",
    title="Toy network with critics",
    summary="Turns blurred dots into sharper ones on a finer grid, to test critics.",
    network=GENERATOR,
    contract=Contract(
        grid=Grid(axes={"y": AXIS, "x": AXIS}),
        input=Frames(scaling=None, diffraction_limited=True),
        task=ImageRestoration(),
        tile={"y": 24, "x": 24},
    ),
    source=DotPairs(),
    objective=Adversarial(
        losses=(WeightedLoss(loss=DotError(), weight=20.0),),
        critics={
            "critic": Critic(network=CRITIC, weight=0.02, every=2),
            "pair_critic": Critic(
                network=CRITIC,
                options={"channels": 2},
                conditional=True,
                loss="least_squares",
                weight=0.02,
                optimizer=Adam(learning_rate=2e-3),
            ),
        },
        companions={
            "consistency": Companion(
                network=CONSISTENCY,
                against="input",
                loss=DotError(),
                optimizer=Adam(),
            )
        },
    ),
    test_set=ToyImages(),
    budgets={
        "smoke": Budget(
            stages=(
                Stage(
                    epochs=2,
                    steps=40,
                    batch_size=8,
                    changes={"objective__warm_up": True},
                ),
                Stage(epochs=3, steps=40, batch_size=8),
            ),
            learning_rate=4e-3,
            warmup_steps=5,
            validation_samples=4,
        )
    },
    acceptance=(Threshold(metric="dots/all/pearson", at_least=0.6),),
    tags=("2d", "toy"),
)  # fmt: skip
