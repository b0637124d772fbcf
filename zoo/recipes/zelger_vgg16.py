"""Zelger's VGG16 trained for astigmatic spots: position, photons and background."""

from zoo.core.contract import Contract
from zoo.core.grid import Axis, Grid
from zoo.core.recipe import Budget, Recipe, Stage
from zoo.inputs.regions import Regions
from zoo.losses import BoundWeighted
from zoo.models.zelger_vgg16 import ZELGER_VGG16
from zoo.objectives.supervised import Supervised
from zoo.physics.engineered import PUPILS
from zoo.recipes.smnet import thresholds
from zoo.simulate.single_emitters import SingleEmitters
from zoo.tasks.parameters import Parameters
from zoo.test_sets.single_emitters import SingleEmitterTestSet

COLUMNS = ("x_nm", "y_nm", "z_nm", "photons", "background_photons")
FACTORS = (200.0, 200.0, 600.0, 10000.0, 50.0)
"""Units of the outputs, so that most lie between -1 and 1."""

DEVIATIONS = (
    "uncertainty_x_nm",
    "uncertainty_y_nm",
    "uncertainty_z_nm",
    "uncertainty_photons",
    "uncertainty_background_photons",
)

ZELGER_VGG16_ASTIGMATISM = Recipe(
    name="zelger_vgg16_astigmatism",
    title="Zelger VGG16 - emitters in 3D by astigmatism",
    summary=(
        "Estimates position, photons and background of a single emitter from its "
        "region in a localization microscopy recording with a cylindrical lens, and "
        "how far off each estimate may be."
    ),
    network=ZELGER_VGG16,
    options={
        "width": 0.33,
        "photons": 4.0,
        "deviations": 5,
        "symmetry": "quarter_turns",
    },
    training_options={"symmetry": "none"},
    contract=Contract(
        grid=Grid(
            output_axes="bc",
            axes={"y": Axis(size=32), "x": Axis(size=32)},
            channels=("photons",),
            outputs=COLUMNS + DEVIATIONS,
        ),
        input=Regions(),
        task=Parameters(
            columns=COLUMNS + DEVIATIONS,
            factors=2 * FACTORS,
            optics=PUPILS["astigmatic"],
        ),
        preprocessing=(),
    ),
    source=SingleEmitters(columns=COLUMNS, factors=FACTORS),
    objective=Supervised(
        loss=BoundWeighted(error="absolute", weights=(1.0, 1.0, 1.0, 0.5, 0.25))
    ),
    test_set=SingleEmitterTestSet(),
    budgets={
        "smoke": Budget(
            stages=(Stage(epochs=4, steps=60, batch_size=32),),
            warmup_steps=20,
            validation_samples=64,
        ),
        "cpu": Budget(
            stages=(
                Stage(epochs=8, steps=500, batch_size=32),
                Stage(epochs=18, steps=500, batch_size=64),
            ),
            mixed_precision=True,
            validation_samples=512,
            hours=2.0,
        ),
        # goes on from published weights: zoo train --start
        "gpu": Budget(
            stages=(Stage(epochs=28, steps=100, batch_size=256),),
            workers=2,
            hours=0.055,
        ),
    },
    retraining=Budget(
        stages=(Stage(epochs=16, steps=400, batch_size=64),),
        learning_rate=5e-4,
        mixed_precision=True,
        validation_samples=512,
        hours=0.5,
    ),
    acceptance=thresholds(nominal=(1.2, 1.2, 1.2), bias=0.5, aberrated=(1.6, 1.6, 2.2)),
    tags=(
        "single-molecule-localization-microscopy",
        "smlm",
        "storm",
        "astigmatism",
        "3d",
        "fluorescence-light-microscopy",
    ),
)
