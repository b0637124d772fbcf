"""Deep-STORM trained for filaments labelled with bright dyes."""

from typing import Any

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.recipe import Budget, Recipe, Stage, Threshold
from zoo.inputs.frames import Frames
from zoo.losses import BlurredSpikes
from zoo.models.deep_storm import DEEP_STORM
from zoo.objectives.supervised import Supervised
from zoo.simulate.filament_frames import FilamentFrames
from zoo.tasks.crowding import Crowding
from zoo.tasks.density import Density
from zoo.test_sets.filaments import FilamentTestSet

BRIGHT = {
    "source__photons": (1500.0, 6000.0),
    "source__background_photons": (2.0, 40.0),
    "source__filament_share": 0.0,
    "source__empty_share": 0.0,
}
"""Conditions under which positions are easy to see."""


def _loss(**changes: float) -> dict[str, Any]:
    return {f"objective__loss__{name}": value for name, value in changes.items()}


CURRICULUM = (
    BRIGHT | _loss(sigma_px=4.0, kernel_px=25, sparsity=0.002),
    BRIGHT | _loss(sigma_px=2.0, kernel_px=13, sparsity=0.01),
    BRIGHT | _loss(sparsity=0.05),
    _loss(sparsity=0.1),
    _loss(sparsity=0.25),
    _loss(sparsity=0.5),
)
"""Way to the full task.  With the full price on every response from the start, or
with spots that are narrow against the first guesses, the network stays at the
all-zero output; so blurs narrow, conditions widen and the price rises in steps."""


def curriculum(
    epochs: tuple[int, ...],
    *,
    steps: int,
    batch_size: int,
    crop_px: int,
    way: tuple[dict[str, Any], ...] = CURRICULUM,
) -> list[Stage]:
    """Return the stages that lead to the full task.

    Parameters
    ----------
    epochs
        Epochs in each step of the way; 0 leaves a step out.
    steps
        Batches per epoch.
    batch_size
        Samples per batch.
    crop_px
        Edge of the training frames, camera px.
    way
        Changes to the recipe, step by step.
    """
    return [
        Stage(
            epochs=count,
            steps=steps,
            batch_size=batch_size,
            changes={"source__crop_px": crop_px} | changes,
        )
        for count, changes in zip(epochs, way, strict=True)
        if count
    ]


def thresholds(
    *,
    jaccard: tuple[float, float, float],
    rmse_nm: tuple[float, float, float],
    dense: tuple[float, float],
) -> tuple[Threshold, ...]:
    """Return the scores to reach on uniform emitters, crowds and frames without any.

    Parameters
    ----------
    jaccard, rmse_nm
        At 1, 3 and 6 emitters per square micrometre.
    dense
        Jaccard index within 50 nm and correlation of the summed image on dense tubes.
    """
    bounds = []
    for density, least, most in zip((1, 3, 6), jaccard, rmse_nm, strict=True):
        name = f"density/{density}"
        bounds += [
            Threshold(metric=f"{name}/jaccard", at_least=least),
            Threshold(metric=f"{name}/rmse_lateral_nm", at_most=most),
            Threshold(metric=f"{name}/bias_x_nm", at_least=-1, at_most=1),
            Threshold(metric=f"{name}/bias_y_nm", at_least=-1, at_most=1),
        ]
    bounds += [
        Threshold(metric="empty/all/false_per_100_frames", at_most=1),
        Threshold(metric="dense/115/jaccard_50", at_least=dense[0]),
        Threshold(metric="dense/115/pcc", at_least=dense[1]),
    ]
    for condition, most in (("empty", 2), ("haze", 40), ("wide", 10)):
        name = f"false/{condition}/false_per_100_frames"
        bounds.append(Threshold(metric=name, at_most=most))
    return tuple(bounds)


DEEP_STORM_MICROTUBULES = Recipe(
    name="deep_storm_microtubules",
    title="Deep-STORM - dense emitters on filaments",
    summary=(
        "Finds overlapping fluorophores in single frames of a localization microscopy "
        "recording and returns their density on an eight times finer grid."
    ),
    network=DEEP_STORM,
    options={"mean": 0.13, "std": 0.12},
    contract=Contract(
        grid=Grid.square(scale=8, halo=4, outputs=("density",)),
        input=Frames(scaling="spots"),
        task=Density(
            threshold=0.5,
            ideal_peak=49.2,
            window_px=5,
            crowding=Crowding(),
        ),
        tile={"y": 64, "x": 64},
    ),
    source=FilamentFrames(empty_share=0.15, haze_share=0.45),
    objective=Supervised(loss=BlurredSpikes(sparsity=0.5)),
    test_set=FilamentTestSet(),
    budgets={
        "smoke": Budget(
            stages=(
                *curriculum((1, 1, 1, 1, 1, 1), steps=10, batch_size=4, crop_px=13),
                Stage(
                    epochs=1, steps=20, batch_size=4, changes={"source__crop_px": 13}
                ),
            ),
            warmup_steps=5,
            validation_samples=8,
        ),
        "cpu": Budget(
            stages=(
                *curriculum((4, 6, 12, 8, 8, 8), steps=100, batch_size=4, crop_px=13),
                Stage(
                    epochs=24, steps=100, batch_size=8, changes={"source__crop_px": 13}
                ),
                Stage(epochs=4, steps=50, batch_size=8),
            ),
            mixed_precision=True,
            validation_samples=24,
            hours=2.0,
        ),
        # goes on from published weights: zoo train --start
        "gpu": Budget(
            stages=(Stage(epochs=25, steps=200, batch_size=32),),
            mixed_precision=True,
            workers=2,
            hours=0.055,
        ),
    },
    acceptance=thresholds(
        jaccard=(0.94, 0.87, 0.73), rmse_nm=(20, 30, 40), dense=(0.38, 0.85)
    ),
    tags=(
        "single-molecule-localization-microscopy",
        "smlm",
        "storm",
        "microtubules",
        "cytoskeleton",
        "2d",
        "fluorescence-light-microscopy",
    ),
)
