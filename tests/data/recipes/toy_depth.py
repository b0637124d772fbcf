"""A network for astigmatic spots: frames to a volume, localizations x, y and z."""

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
from zoo.inputs.frames import Frames
from zoo.objectives.supervised import Supervised
from zoo.tasks.density import Density

PLANES, FIRST_NM, STEP_NM = 4, -300.0, 150.0
PEAK = 10.0


def toy_depth(*, width: int = 24, planes: int = PLANES, dtype: str = "float32") -> Any:
    """Build convolutions at camera resolution and a shuffle into a finer volume."""
    x = frame = keras.Input((None, None, 1), name="frame", dtype="float32")
    for number in (1, 2, 3):
        x = layers.Conv2D(
            width, 3, padding="same", activation="relu", dtype=dtype, name=f"c{number}"
        )(x)
    x = layers.Conv2D(4 * planes, 3, padding="same", dtype="float32", name="head")(x)
    x = ops.nn.depth_to_space(x, 2)
    volume = ops.expand_dims(ops.transpose(x, (0, 3, 1, 2)), -1)
    return keras.Model(frame, volume, name="toy_depth")


class AstigmaticFrames(Source):
    """A few emitters per frame whose spots are elongated by defocus."""

    kind: Literal["toy_astigmatic_frames"] = "toy_astigmatic_frames"
    """Type of the source."""
    pixel_size_nm: Annotated[float, CONDITION] = 100.0
    """Camera pixel, nm."""
    photons: Annotated[Range, CONDITION] = (3000.0, 6000.0)
    """Photons per emitter."""
    size_px: int = 16
    """Edge of a frame, px."""

    def frame(
        self, rng: np.random.Generator, number: int = 1
    ) -> tuple[np.ndarray, Localizations]:
        """Return counts (y, x) and the emitters of a frame."""
        count, edge = int(rng.integers(1, 4)), self.size_px
        x, y = rng.uniform(3, edge - 3, (2, count))
        z = rng.uniform(FIRST_NM, FIRST_NM + PLANES * STEP_NM, count)
        photons = rng.uniform(*self.photons, count)
        wide_x, wide_y = (1.1 * np.hypot(1, (z + s) / 350) for s in (-200, 200))
        rows, columns = np.mgrid[:edge, :edge] + 0.5
        expected = np.full((edge, edge), 10.0)
        for i in range(count):
            spot = ((columns - x[i]) / wide_x[i]) ** 2 + (
                (rows - y[i]) / wide_y[i]
            ) ** 2
            area = 2 * np.pi * wide_x[i] * wide_y[i]
            expected += photons[i] / area * np.exp(-spot / 2)
        emitters = Localizations(
            x_nm=x * self.pixel_size_nm,
            y_nm=y * self.pixel_size_nm,
            z_nm=z,
            photons=photons,
            frame=np.full(count, number),
        )
        return rng.poisson(expected) + 100.0, emitters

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a frame scaled to [0, 1] and a volume with a peak per emitter."""
        counts, emitters = self.frame(rng)
        scaled = (counts - counts.min()) / np.ptp(counts)
        volume = np.zeros((PLANES, 2 * self.size_px, 2 * self.size_px, 1), np.float32)
        place = np.stack(
            [
                (emitters.z_nm - FIRST_NM) / STEP_NM,
                emitters.y_nm / self.pixel_size_nm * 2,
                emitters.x_nm / self.pixel_size_nm * 2,
            ]
        ).astype(int)
        volume[place[0], place[1], place[2], 0] = PEAK
        return scaled[..., None].astype(np.float32), volume

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Return a movie."""
        pairs = [self.frame(rng, number) for number in range(1, frames + 1)]
        counts = np.stack([pair[0] for pair in pairs]).astype(np.uint16)
        truth = Localizations.concatenate([pair[1] for pair in pairs])
        return Simulation(counts, truth, self.pixel_size_nm)


class ToyEmitters(TestSet):
    """A movie, scored by the share of emitters that are found where they are."""

    kind: Literal["toy_emitters"] = "toy_emitters"
    """Type of the test set."""
    frames: int = 40
    """Frames of the movie."""

    def cases(self) -> Iterator[Case]:
        """Simulate the movie."""
        movie = AstigmaticFrames(size_px=20).record(generator(5), frames=self.frames)
        yield Case("emitters/all", movie.counts, movie.truth, movie.pixel_size_nm)

    def example(self) -> np.ndarray:
        """Return its first frame, cut to the tile that the description states."""
        return next(self.cases()).input[0, ..., None].astype(np.float32)

    def score(self, case: Case, found: Products) -> dict[str, float]:
        """Match emitters with localizations nearer than 150 nm laterally."""
        table, truth = found.localizations, case.truth
        if table is None or table.z_nm is None:
            raise BadInput("a table with z is needed")
        hits, errors = 0, []
        for number in np.unique(truth.frame):
            here, there = table.frame == number, truth.frame == number
            taken: set[int] = set()
            for x, y, z in zip(
                truth.x_nm[there], truth.y_nm[there], truth.z_nm[there], strict=True
            ):
                distance = np.hypot(table.x_nm[here] - x, table.y_nm[here] - y)
                for i in np.argsort(distance):
                    if distance[i] < 150 and i not in taken:
                        taken.add(int(i))
                        hits += 1
                        errors.append(abs(table.z_nm[here][i] - z))
                        break
        return {
            "jaccard": hits / (len(truth) + len(table) - hits),
            "axial_error_nm": float(np.mean(errors)) if errors else float("nan"),
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
        """Return no emitters."""
        del case
        columns = ("x_nm", "y_nm", "z_nm", "frame")
        return Products([Table("localizations", Localizations.empty(columns))])


class VolumeError(Loss):
    """Mean squared error of volumes, more where emitters are."""

    kind: Literal["toy_volume_error"] = "toy_volume_error"
    """Type of the loss."""
    weight: float = 30.0
    """Weight of a voxel with an emitter."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return one number per sample."""
        weights = 1.0 + self.weight * target / PEAK
        return ops.mean(weights * (target - prediction) ** 2, axis=(1, 2, 3, 4))


AXIS = Axis(scale=2, halo=4, minimum=8)

TOY_DEPTH = Recipe(
    name="toy_depth_astigmatism",
    title="Toy network for depth",
    summary="Finds a few bright emitters in three dimensions, to test volumes.",
    network=Network(
        name="toy_depth", build=toy_depth, paper=NEHME_2018, parameters=14_128,
        published=False, note="Not the published architecture but a toy.",
    ),
    contract=Contract(
        grid=Grid(
            output_axes="bzyxc",
            axes={"y": AXIS, "x": AXIS},
            planes=PLANES,
            outputs=("density",),
        ),
        input=Frames(scaling=None),
        task=Density(
            ideal_peak=PEAK,
            threshold=1.5,
            window_px=5,
            window_planes=PLANES * 2 - 1,
            z_first_nm=FIRST_NM + STEP_NM / 2,
            z_step_nm=STEP_NM,
        ),
        tile={"y": 20, "x": 20},
    ),
    source=AstigmaticFrames(),
    objective=Supervised(loss=VolumeError()),
    test_set=ToyEmitters(),
    budgets={
        "smoke": Budget(
            stages=(Stage(epochs=8, steps=50, batch_size=16),),
            learning_rate=4e-3,
            warmup_steps=10,
            validation_samples=8,
        )
    },
    acceptance=(
        Threshold(metric="emitters/all/jaccard", at_least=0.5),
        Threshold(metric="emitters/all/axial_error_nm", at_most=150),
    ),
    tags=("3d", "toy"),
)  # fmt: skip
