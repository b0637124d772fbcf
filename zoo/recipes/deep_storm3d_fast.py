"""The camera-resolution variant of DeepSTORM3D, trained for the Tetrapod."""

from zoo.core.grid import Axis
from zoo.core.recipe import Budget
from zoo.models.deep_storm3d import DEEP_STORM3D_FAST
from zoo.recipes.deep_storm3d import (
    DEEP_STORM3D_TETRAPOD,
    frames_of,
    localizing,
    thresholds,
)

HALO = 40
"""Camera pixels that the dilations look aside together."""

DEEP_STORM3D_FAST_TETRAPOD = DEEP_STORM3D_TETRAPOD.override(
    name="deep_storm3d_fast_tetrapod",
    title="DeepSTORM3D fast - dense emitters in 3D by a Tetrapod",
    summary=(
        "Finds overlapping emitters in three dimensions over a depth of 4 µm, from "
        "single frames that were taken through a Tetrapod phase mask, several times "
        "faster than DeepSTORM3D: the same task, an architecture of our own."
    ),
    network=DEEP_STORM3D_FAST,
    contract__grid__axes={axis: Axis(scale=4, halo=HALO) for axis in ("y", "x")},
    budgets=DEEP_STORM3D_TETRAPOD.budgets
    | {
        "cpu": Budget(
            stages=localizing(
                (4, 4, 24), steps=100, batch_size=2, sizes=frames_of(96, 16)
            ),
            learning_rate=1e-3,
            mixed_precision=True,
            hours=2.0,
        ),
    },
    acceptance=thresholds(
        jaccard=(0.9, 0.8, 0.6), lateral_nm=(18, 20, 24), axial_nm=(26, 30, 34)
    ),
)
