"""The camera-resolution variant of Deep-STORM, trained like Deep-STORM."""

from zoo.core.grid import Grid
from zoo.core.recipe import Budget, Stage
from zoo.models.deep_storm_fast import DEEP_STORM_FAST
from zoo.recipes.deep_storm import DEEP_STORM_MICROTUBULES, curriculum, thresholds

DEEP_STORM_FAST_MICROTUBULES = DEEP_STORM_MICROTUBULES.override(
    name="deep_storm_fast_microtubules",
    title="Deep-STORM fast - dense emitters on filaments",
    summary=(
        "Finds overlapping fluorophores in single frames about eight times faster "
        "than Deep-STORM: the same task and loss, an architecture of our own."
    ),
    network=DEEP_STORM_FAST,
    contract__grid=Grid.square(scale=8, halo=10, outputs=("density",)),
    budgets=DEEP_STORM_MICROTUBULES.budgets
    | {
        "cpu": Budget(
            stages=(
                *curriculum((0, 0, 12, 8, 8, 8), steps=100, batch_size=8, crop_px=13),
                Stage(
                    epochs=16, steps=100, batch_size=16, changes={"source__crop_px": 13}
                ),
                Stage(epochs=6, steps=100, batch_size=8),
            ),
            validation_samples=24,
            hours=2.0,
        ),
    },
    acceptance=thresholds(jaccard=(0.93, 0.87, 0.75), rmse_nm=(20, 30, 40)),
)
