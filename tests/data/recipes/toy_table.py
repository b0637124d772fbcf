"""A network that turns a sparse table of localizations into a dense image."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import keras
import numpy as np
from keras import layers, ops
from scipy.ndimage import gaussian_filter

from zoo.core.contract import CONDITION, Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Axis, Grid
from zoo.core.localizations import Localizations
from zoo.core.network import Network
from zoo.core.papers import NEHME_2018
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.core.recipe import Budget, Loss, Recipe, Simulation, Source, Stage, Threshold
from zoo.core.test_set import Case, Metrics, TestSet
from zoo.inputs.tables import Tables
from zoo.objectives.supervised import Supervised
from zoo.tasks.image import ImageRestoration

PIXEL_NM = 50.0


def toy_table(*, width: int = 8, dtype: str = "float32") -> Any:
    """Build three convolutions."""
    x = sparse = keras.Input((None, None, 1), name="sparse", dtype="float32")
    for number in (1, 2):
        x = layers.Conv2D(
            width, 5, padding="same", activation="relu", dtype=dtype, name=f"c{number}"
        )(x)
    dense = layers.Conv2D(
        1, 3, padding="same", activation="sigmoid", dtype="float32", name="dense"
    )(x)
    return keras.Model(sparse, dense, name="toy_table")


class LinesInTables(Source):
    """Straight lines, a few localizations on each."""

    kind: Literal["toy_lines"] = "toy_lines"
    """Type of the source."""
    pixel_size_nm: Annotated[float, CONDITION] = PIXEL_NM
    """Pixel of the rendering, nm."""
    size_px: int = 32
    """Edge of the rendering, px."""
    rows: int = 120
    """Localizations."""

    def line(self, rng: np.random.Generator) -> tuple[Localizations, np.ndarray]:
        """Return a table and the dense image (y, x)."""
        edge_nm = self.size_px * self.pixel_size_nm
        ends = rng.uniform(0, edge_nm, (3, 2, 2))
        along = rng.uniform(0, 1, 4000)[:, None]
        which = rng.integers(3, size=4000)
        points = ends[which, 0] + along * (ends[which, 1] - ends[which, 0])
        points += rng.normal(0, 15, points.shape)
        bins = np.linspace(0, edge_nm, self.size_px + 1)
        dense = np.histogram2d(points[:, 1], points[:, 0], (bins, bins))[0]
        dense = gaussian_filter(dense, 0.7)
        kept = points[: self.rows]
        inside = ((kept > 0) & (kept < edge_nm)).all(axis=1)
        table = Localizations(x_nm=kept[inside, 0], y_nm=kept[inside, 1])
        return table, np.clip(dense / np.quantile(dense, 0.98), 0, 1)

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a histogram scaled to [0, 1] and the dense image."""
        table, dense = self.line(rng)
        bins = np.arange(self.size_px + 1) * self.pixel_size_nm
        sparse = np.histogram2d(table.y_nm, table.x_nm, (bins, bins))[0]
        sparse = sparse / max(sparse.max(), 1)
        return (
            sparse[..., None].astype(np.float32),
            dense[..., None].astype(np.float32),
        )

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Return renderings of tables and dense images."""
        pairs = [self.sample(rng) for _ in range(frames)]
        sparse, dense = (np.stack([p[k][..., 0] for p in pairs]) for k in (0, 1))
        return Simulation(sparse, dense, self.pixel_size_nm)


class ToyTables(TestSet):
    """Two tables, scored by correlation with the dense image."""

    kind: Literal["toy_tables"] = "toy_tables"
    """Type of the test set."""

    def cases(self) -> Iterator[Case]:
        """Simulate the tables."""
        for number in range(2):
            table, dense = LinesInTables(size_px=40).line(generator(9, number))
            # the corners fix the field
            corner = np.array([1.0, 40 * PIXEL_NM - 1.0])
            table = Localizations(
                x_nm=np.append(table.x_nm, corner), y_nm=np.append(table.y_nm, corner)
            )
            yield Case("lines/all", table, dense, None)

    def example(self) -> np.ndarray:
        """Return a rendering."""
        source = LinesInTables(size_px=40)
        return source.sample(generator(9, 0))[0].astype(np.float32)

    def score(self, case: Case, found: Products) -> dict[str, float]:
        """Compare pixel by pixel."""
        image = found.image
        if image is None or image.shape != case.truth.shape:
            raise BadInput(f"an image of {case.truth.shape} px is needed")
        if not np.ptp(image):
            return {"pearson": 0.0}
        return {"pearson": float(np.corrcoef(image.ravel(), case.truth.ravel())[0, 1])}

    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return means over the tables."""
        mean = float(np.mean([row["pearson"] for _, row in scored]))
        return {"lines": {"all": {"pearson": mean}}}

    def perfect(self, case: Case) -> Products:
        """Return the truth."""
        return Products([Image("image", case.truth, "yx")])

    def nothing(self, case: Case) -> Products:
        """Return an empty image."""
        return Products([Image("image", np.zeros_like(case.truth), "yx")])


class PixelError(Loss):
    """Mean squared error of images."""

    kind: Literal["toy_pixel_error"] = "toy_pixel_error"
    """Type of the loss."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return one number per sample."""
        return ops.mean((target - prediction) ** 2, axis=(1, 2, 3))


AXIS = Axis(halo=5, minimum=8)

TOY_TABLE = Recipe(
    name="toy_table_lines",
    title="Toy network for tables",
    summary="Turns a sparse table into a dense image, to test what tables need.",
    network=Network(
        name="toy_table", build=toy_table, paper=NEHME_2018, parameters=1_889,
        published=False, note="Not the published architecture but a toy.",
    ),
    contract=Contract(
        grid=Grid(axes={"y": AXIS, "x": AXIS}, channels=("localizations",)),
        input=Tables(pixel_size_nm=PIXEL_NM),
        task=ImageRestoration(),
        tile={"y": 40, "x": 40},
    ),
    source=LinesInTables(),
    objective=Supervised(loss=PixelError()),
    test_set=ToyTables(),
    budgets={
        "smoke": Budget(
            stages=(Stage(epochs=5, steps=40, batch_size=8),),
            learning_rate=5e-3,
            warmup_steps=5,
        )
    },
    acceptance=(Threshold(metric="lines/all/pearson", at_least=0.6),),
    tags=("2d", "toy"),
)  # fmt: skip
