"""The separable variant of Deep-STORM, trained on crowded filaments."""

from zoo.core.grid import Grid
from zoo.core.recipe import Budget, Stage
from zoo.models.deep_storm_fast import DEEP_STORM_FAST
from zoo.recipes.deep_storm import (
    BRIGHT,
    DEEP_STORM_MICROTUBULES,
    curriculum,
    thresholds,
)

WAY = (
    BRIGHT | {"objective__loss__sparsity": 0.05},
    {"objective__loss__sparsity": 0.1},
    {},
)
"""Way to the full task, as in `zoo.recipes.deep_storm`: uniform frames of bright
emitters, then all conditions under a price that rises."""

DEEP_STORM_FAST_MICROTUBULES = DEEP_STORM_MICROTUBULES.override(
    name="deep_storm_fast_microtubules",
    title="Deep-STORM fast - dense emitters on filaments",
    summary=(
        "Finds overlapping fluorophores of crowded filaments in single frames, many "
        "times faster than Deep-STORM: the same task, an architecture of our own."
    ),
    network=DEEP_STORM_FAST,
    contract__grid=Grid.square(scale=8, halo=11, outputs=("density",)),
    contract__task__threshold=0.525,
    budgets={
        "smoke": Budget(
            stages=(
                *curriculum((2, 2, 2), steps=15, batch_size=4, crop_px=13, way=WAY),
            ),
            warmup_steps=5,
            validation_samples=8,
        ),
        "cpu": Budget(
            stages=(
                *curriculum((2, 2, 20), steps=250, batch_size=16, crop_px=20, way=WAY),
                Stage(epochs=2, steps=100, batch_size=16),
            ),
            learning_rate=2e-3,
            validation_samples=24,
            hours=2.0,
        ),
        "gpu": Budget(
            stages=(
                *curriculum((2, 3, 40), steps=400, batch_size=32, crop_px=20, way=WAY),
                Stage(epochs=10, steps=200, batch_size=32),
            ),
            learning_rate=2e-3,
            workers=12,
            validation_samples=64,
        ),
    },
    acceptance=thresholds(
        jaccard=(0.93, 0.87, 0.75), rmse_nm=(20, 30, 40), dense=(0.46, 0.87)
    ),
)
