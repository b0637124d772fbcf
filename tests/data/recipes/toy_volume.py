"""A network for volumes: z planes that lie too far apart, to twice as many."""

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
from zoo.core.papers import NEHME_2018
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.core.recipe import Budget, Loss, Recipe, Simulation, Source, Stage, Threshold
from zoo.core.test_set import Case, Metrics, TestSet
from zoo.inputs.frames import Frames
from zoo.objectives.supervised import Supervised
from zoo.tasks.image import ImageRestoration


def toy_volume(*, width: int = 8, dtype: str = "float32") -> Any:
    """Build a 3-D convolution on either side of an enlargement along depth."""
    stack = keras.Input((None, None, None, 1), name="stack", dtype="float32")
    x = layers.Conv3D(
        width, 3, padding="same", activation="relu", dtype=dtype, name="first"
    )(stack)
    x = layers.UpSampling3D((2, 1, 1), dtype=dtype, name="enlarge")(x)
    x = layers.Conv3D(1, 3, padding="same", dtype="float32", name="second")(x)
    coarse = layers.UpSampling3D((2, 1, 1), dtype="float32", name="repeat")(stack)
    sharp = layers.Add(dtype="float32", name="add")([x, coarse])
    return keras.Model(stack, sharp, name="toy_volume")


class SmoothVolumes(Source):
    """Blurred points in a volume of which every second plane is seen."""

    kind: Literal["toy_volumes"] = "toy_volumes"
    """Type of the source."""
    pixel_size_nm: Annotated[float, CONDITION] = 100.0
    """Pixel, nm."""
    photons: Annotated[Range, CONDITION] = (200.0, 400.0)
    """Photons per point."""
    depth_px: int = 4
    """Planes that are seen."""
    size_px: int = 12
    """Edge of a plane, px."""

    def volume(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return counts (z, y, x) and the truth (2z, y, x) between 0 and 1."""
        shape = (2 * self.depth_px, self.size_px, self.size_px)
        points = np.zeros(shape)
        places = tuple(rng.integers(n, size=8) for n in shape)
        np.add.at(points, places, rng.uniform(*self.photons, 8))
        truth = gaussian_filter(points, (1.5, 1.2, 1.2))
        truth = (truth - truth.min()) / max(np.ptp(truth), 1e-9)
        seen = (truth[::2] + truth[1::2]) / 2
        return rng.poisson(400 * seen) + 100.0, truth

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a volume (z, y, x, 1) scaled to [0, 1] and its target."""
        counts, truth = self.volume(rng)
        scaled = (counts - counts.min()) / np.ptp(counts)
        return (
            scaled[..., None].astype(np.float32),
            truth[..., None].astype(np.float32),
        )

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Return volumes, (t, z, y, x), and their truth."""
        pairs = [self.volume(rng) for _ in range(frames)]
        return Simulation(
            np.stack([p[0] for p in pairs]).astype(np.uint16),
            np.stack([p[1] for p in pairs]),
            self.pixel_size_nm,
        )


class ToyVolumes(TestSet):
    """A few volumes, scored by correlation and by error."""

    kind: Literal["toy_volume_set"] = "toy_volume_set"
    """Type of the test set."""

    def cases(self) -> Iterator[Case]:
        """Simulate the volumes."""
        source = SmoothVolumes(depth_px=6, size_px=20)
        for number in range(2):
            made = source.record(generator(8, number), frames=1)
            yield Case("volumes/all", made.counts, made.truth[0], made.pixel_size_nm)

    def example(self) -> np.ndarray:
        """Return the first volume."""
        return next(self.cases()).input[0, ..., None].astype(np.float32)

    def score(self, case: Case, found: Products) -> dict[str, float]:
        """Compare voxel by voxel."""
        image = found.image
        if image is None or image.shape != case.truth.shape:
            raise BadInput(f"a volume of {case.truth.shape} px is needed")
        if not np.ptp(image):
            return {"pearson": 0.0, "mse": float(np.mean((image - case.truth) ** 2))}
        return {
            "pearson": float(np.corrcoef(image.ravel(), case.truth.ravel())[0, 1]),
            "mse": float(np.mean((image - case.truth) ** 2)),
        }

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return means over the volumes."""
        rows = [row for _, row in scored]
        means = {name: float(np.mean([r[name] for r in rows])) for name in rows[0]}
        return {"volumes": {"all": means}}

    def perfect(self, case: Case) -> Products:
        """Return the truth."""
        return Products([Image("image", case.truth, "zyx")])

    def nothing(self, case: Case) -> Products:
        """Return an empty volume."""
        return Products([Image("image", np.zeros_like(case.truth), "zyx")])


class VoxelError(Loss):
    """Mean squared error of volumes."""

    kind: Literal["toy_voxel_error"] = "toy_voxel_error"
    """Type of the loss."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return one number per sample."""
        return ops.mean((target - prediction) ** 2, axis=(1, 2, 3, 4))


LATERAL = Axis(halo=2, minimum=8)

TOY_VOLUME = Recipe(
    name="toy_volume_points",
    title="Toy network for volumes",
    summary="Doubles the number of planes of a volume, to test what volumes need.",
    network=Network(
        name="toy_volume", build=toy_volume, paper=NEHME_2018, parameters=441,
        published=False, note="Not the published architecture but a toy.",
    ),
    contract=Contract(
        grid=Grid(
            input_axes="bzyxc",
            output_axes="bzyxc",
            axes={"z": Axis(scale=2, halo=2, minimum=4), "y": LATERAL, "x": LATERAL},
        ),
        input=Frames(scaling=None),
        task=ImageRestoration(),
        tile={"z": 6, "y": 20, "x": 20},
    ),
    source=SmoothVolumes(),
    objective=Supervised(loss=VoxelError()),
    test_set=ToyVolumes(),
    budgets={
        "smoke": Budget(
            stages=(Stage(epochs=4, steps=30, batch_size=8),),
            learning_rate=1e-2,
            warmup_steps=5,
            validation_samples=4,
        )
    },
    acceptance=(
        Threshold(metric="volumes/all/pearson", at_least=0.9),
        Threshold(metric="volumes/all/mse", at_most=0.01),
    ),
    tags=("3d", "toy"),
)  # fmt: skip
