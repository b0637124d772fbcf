"""smNet trained for the complex spot of its paper, and for astigmatic spots."""

from zoo.core.contract import Contract
from zoo.core.grid import Axis, Grid
from zoo.core.recipe import Budget, Recipe, Stage, Threshold
from zoo.inputs.regions import Regions
from zoo.losses import BoundWeighted
from zoo.models.smnet import SMNET
from zoo.objectives.supervised import Supervised
from zoo.physics.engineered import PUPILS
from zoo.simulate.single_emitters import SingleEmitters
from zoo.tasks.parameters import Parameters
from zoo.test_sets.single_emitters import SingleEmitterTestSet

COLUMNS = ("x_nm", "y_nm", "z_nm")
DEVIATIONS = ("uncertainty_x_nm", "uncertainty_y_nm", "uncertainty_z_nm")

LIMIT = 22.0
"""Outputs are clipped to this many tenths of a pixel or of a micrometre."""

GPU_HOURS = 0.055
"""Time that several trainings, side by side on one GPU, are given."""

BY_SIZE = {"objective__loss__error": "absolute"}
"""First stages: squares of errors that are many bounds large drown all others."""

_ASTIGMATIC = PUPILS["astigmatic"]
_COMPLEX = PUPILS["smnet_complex"]


def _factors(pixel_nm: float) -> tuple[float, float, float]:
    """Return the units of the outputs: a tenth of a pixel and of a micrometre."""
    return pixel_nm / 10, pixel_nm / 10, 100.0


def thresholds(
    *,
    nominal: tuple[float, float, float],
    bias: float,
    aberrated: tuple[float, float, float],
    within: tuple[float, float] = (0.6, 0.8),
    calibration: float = 0.06,
) -> tuple[Threshold, ...]:
    """Return the scores to reach, errors of x, y and z in units of their bounds.

    Parameters
    ----------
    nominal
        Root mean square errors under the declared optics, over all depths and photons.
    bias
        Largest mean error there at any depth.
    aberrated
        Root mean square errors at the end of the range of aberrations.
    within
        Share of errors within one stated deviation, under the declared optics.
    calibration
        Expected calibration error there, at most.
    """
    bounds: list[Threshold] = []
    for letter, least, most in zip("xyz", nominal, aberrated, strict=True):
        name = f"over_crlb_{letter}"
        bounds += [
            Threshold(metric=f"nominal/all/rmse_{name}", at_most=least),
            Threshold(metric=f"nominal/all/bias_{name}", at_most=bias),
            Threshold(metric=f"edge/aberrated/rmse_{name}", at_most=most),
        ]
    return (
        *bounds,
        Threshold(
            metric="nominal/all/within_1_sigma", at_least=within[0], at_most=within[1]
        ),
        Threshold(metric="nominal/all/within_2_sigma", at_least=0.9),
        Threshold(metric="nominal/all/calibration_error", at_most=calibration),
        Threshold(metric="nominal/all/missing", at_most=0),
    )


SMNET_ASTIGMATISM = Recipe(
    name="smnet_astigmatism",
    title="smNet - emitters in 3D by astigmatism",
    summary=(
        "Finds the position in three dimensions of a single emitter from its region in "
        "a localization microscopy recording with a cylindrical lens, and how far off "
        "it may be."
    ),
    network=SMNET,
    options={
        "outputs": 3,
        "limit": LIMIT,
        "width": 0.375,
        "stem_stride": 2,
        "stride": 2,
        "dense": 32,
        "deviations": 3,
        "symmetry": "half_turn",
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
            factors=2 * _factors(_ASTIGMATIC.pixel_nm),
            optics=_ASTIGMATIC,
        ),
        preprocessing=(),
    ),
    source=SingleEmitters(
        optics=_ASTIGMATIC,
        columns=COLUMNS,
        factors=_factors(_ASTIGMATIC.pixel_nm),
        neighbour_px=(14.0, 22.0),
    ),
    objective=Supervised(loss=BoundWeighted()),
    test_set=SingleEmitterTestSet(optics=_ASTIGMATIC),
    budgets={
        "smoke": Budget(
            stages=(
                Stage(epochs=3, steps=60, batch_size=16, changes=BY_SIZE),
                Stage(epochs=1, steps=40, batch_size=16),
            ),
            learning_rate=2e-3,
            warmup_steps=20,
            validation_samples=32,
        ),
        "cpu": Budget(
            stages=(
                Stage(epochs=8, steps=500, batch_size=16, changes=BY_SIZE),
                Stage(epochs=6, steps=400, batch_size=32),
            ),
            learning_rate=1.5e-3,
            mixed_precision=True,
            validation_samples=256,
            hours=2.0,
        ),
        # goes on from published weights: zoo train --start
        "gpu": Budget(
            stages=(Stage(epochs=20, steps=100, batch_size=128),),
            learning_rate=1e-3,
            workers=2,
            hours=GPU_HOURS,
        ),
    },
    retraining=Budget(
        stages=(
            Stage(epochs=6, steps=400, batch_size=32, changes=BY_SIZE),
            Stage(epochs=12, steps=400, batch_size=32),
        ),
        learning_rate=1e-3,
        mixed_precision=True,
        validation_samples=256,
        hours=0.5,
    ),
    acceptance=thresholds(nominal=(1.2, 1.2, 1.2), bias=0.5, aberrated=(1.6, 1.6, 2.3)),
    tags=(
        "single-molecule-localization-microscopy",
        "smlm",
        "storm",
        "astigmatism",
        "3d",
        "fluorescence-light-microscopy",
    ),
)

SMNET_COMPLEX = SMNET_ASTIGMATISM.override(
    name="smnet_complex",
    title="smNet - emitters in 3D by a complex spot",
    summary=(
        "Finds the position in three dimensions of a single emitter over a depth of "
        "4 µm from its region in a localization microscopy recording through a pupil "
        "with strong aberrations, and how far off it may be."
    ),
    contract__task__factors=2 * _factors(_COMPLEX.pixel_nm),
    contract__task__optics=_COMPLEX,
    source=SingleEmitters(
        optics=_COMPLEX,
        columns=COLUMNS,
        factors=_factors(_COMPLEX.pixel_nm),
        z_nm=(-2000.0, 2000.0),
        photons=(10000.0, 30000.0),
        background_photons=(1.0, 10.0),
        neighbour_px=(18.0, 26.0),
        pupil_samples=96,
    ),
    test_set=SingleEmitterTestSet(
        optics=_COMPLEX,
        z_nm=(-2000.0, 2000.0),
        photon_levels=(10000.0, 20000.0, 30000.0),
        background_photons=5.0,
        edge_background_photons=(1.0, 10.0),
        neighbour_px=(18.0, 26.0),
        pupil_samples=96,
    ),
    acceptance=thresholds(
        nominal=(1.5, 1.45, 2.0),
        bias=0.5,
        aberrated=(1.85, 1.85, 2.75),
        within=(0.6, 0.85),
        calibration=0.12,
    ),
    options__width=0.75,
    options__symmetry="mirror",
    budgets__cpu__stages=(
        Stage(epochs=9, steps=500, batch_size=16, changes=BY_SIZE),
        Stage(epochs=8, steps=400, batch_size=32),
    ),
    budgets__gpu=Budget(
        stages=(
            Stage(epochs=8, steps=350, batch_size=64, changes=BY_SIZE),
            Stage(epochs=20, steps=150, batch_size=128),
        ),
        learning_rate=2e-3,
        workers=4,
        hours=GPU_HOURS,
    ),
    tags=(
        "single-molecule-localization-microscopy",
        "smlm",
        "storm",
        "engineered-psf",
        "3d",
        "fluorescence-light-microscopy",
    ),
)
