"""Deep-STORM trained for filaments labelled with bright dyes."""

from zoo.core.recipe import Budget, Recipe, Stage, Threshold
from zoo.losses import BlurredSpikes
from zoo.models.deep_storm import DEEP_STORM
from zoo.simulate.benchmark import DensityBenchmark
from zoo.simulate.frames import DensityFrames

SPARSITY_RAMP = (0.05, 0.15, 0.3, 0.6)
"""With the full weight from the start the network stays at the all-zero output."""


def ramp(epochs: int, *, steps: int, batch_size: int, crop_px: int) -> list[Stage]:
    """Return stages that raise the price of a response towards its final value."""
    return [
        Stage(
            epochs=epochs,
            steps=steps,
            batch_size=batch_size,
            changes={"source__crop_px": crop_px, "loss__sparsity": sparsity},
        )
        for sparsity in SPARSITY_RAMP
    ]


def thresholds(
    *, jaccard: tuple[float, float, float], rmse_nm: tuple[float, float, float]
) -> tuple[Threshold, ...]:
    """Return the scores to reach at 1, 3 and 6 emitters per square micrometre."""
    bounds = []
    for density, least, most in zip((1, 3, 6), jaccard, rmse_nm, strict=True):
        name = f"density/{density}"
        bounds += [
            Threshold(metric=f"{name}/jaccard", at_least=least),
            Threshold(metric=f"{name}/rmse_lateral_nm", at_most=most),
            Threshold(metric=f"{name}/bias_x_nm", at_least=-1, at_most=1),
            Threshold(metric=f"{name}/bias_y_nm", at_least=-1, at_most=1),
        ]
    bounds.append(Threshold(metric="empty/all/false_per_100_frames", at_most=1))
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
    source=DensityFrames(),
    benchmark=DensityBenchmark(),
    loss=BlurredSpikes(),
    budgets={
        "smoke": Budget(
            stages=(
                *ramp(1, steps=10, batch_size=8, crop_px=13),
                Stage(
                    epochs=1,
                    steps=20,
                    batch_size=8,
                    changes={"source__crop_px": 13},
                ),
            ),
            warmup_steps=5,
            validation_samples=8,
        ),
        "cpu": Budget(
            stages=(
                *ramp(2, steps=100, batch_size=16, crop_px=13),
                Stage(
                    epochs=40,
                    steps=100,
                    batch_size=16,
                    changes={"source__crop_px": 13},
                ),
                Stage(epochs=4, steps=50, batch_size=16),
            ),
            mixed_precision=True,
            validation_samples=48,
        ),
        "gpu": Budget(
            stages=(
                *ramp(2, steps=200, batch_size=32, crop_px=26),
                Stage(epochs=40, steps=200, batch_size=32),
                Stage(
                    epochs=2,
                    steps=100,
                    batch_size=8,
                    changes={"source__crop_px": 64},
                ),
            ),
            workers=12,
            validation_samples=64,
        ),
    },
    acceptance=thresholds(jaccard=(0.90, 0.85, 0.70), rmse_nm=(25, 45, 60)),
    tags=(
        "single-molecule-localization-microscopy",
        "smlm",
        "storm",
        "microtubules",
        "cytoskeleton",
        "2d",
        "fluorescence-light-microscopy",
    ),
    prediction={"tile": 64, "threshold": 0.3, "window_px": 5},
)
