"""DeepSTORM3D trained for the Tetrapod, and for a mask that it designs for itself."""

from typing import Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.grid import Axis, Grid
from zoo.core.optimizers import Adam
from zoo.core.recipe import Budget, Recipe, Stage, Threshold
from zoo.inputs.frames import Frames
from zoo.losses import SpikesInVolume
from zoo.models._pupil_imaging import PUPIL_IMAGING
from zoo.models.deep_storm3d import DEEP_STORM3D, PEAK
from zoo.objectives.psf_design import PsfDesign
from zoo.physics.engineered import PUPILS
from zoo.physics.imaging_arrays import modes_up_to
from zoo.simulate.dense_emitters import DenseEmitters
from zoo.tasks.volume import Volume
from zoo.test_sets.dense_emitters import DenseEmitterTestSet

_TETRAPOD = PUPILS["tetrapod"]
_SOURCE = DenseEmitters(optics=_TETRAPOD)
HALO = 34
"""Camera pixels that the largest dilation of 16 looks aside."""

WIDE: dict[str, Any] = {
    "objective__loss__sigma_px": 2.5,
    "objective__loss__kernel_px": 15,
}
"""A kernel that shows the way to emitters that are still far from where they belong."""

BRIGHT: dict[str, Any] = {"source__photons": (30000.0, 60000.0)}
"""Bright emitters, whose positions are easy to see."""

FEW: dict[str, Any] = {"source__density_per_um2": (0.013, 0.12)}
"""Emitters far from each other; in small frames there would be none."""

DESIGN_PEAK = 100.0
"""Output of the decoder that a mask is designed with, as in the paper."""

EVEN: dict[str, Any] = {"objective__bound_power": 8.0}
"""Bounds of all depths become about alike.  The least mean bound is one of spots that
are spread wide at both ends of the depths, where a network then finds half as many."""

MASK: dict[str, Any] = EVEN | {
    "objective__phase": "mask",
    "objective__loss__sigma_px": 1.5,
    "objective__loss__kernel_px": 9,
    "objective__loss__peak": DESIGN_PEAK,
}
"""The mask moves, with a decoder at camera resolution."""

BOUND: dict[str, Any] = {"objective__phase": "bound"}
"""The mask moves alone, along the bound."""

BOUND_STAGES, BOUND_STEPS = 4, 60
"""Stages and steps of each in which the mask descends the mean bound, and then the
bounds of its worst depths."""


def frames_of(crop_px: int, margin_px: int) -> dict[str, Any]:
    """Return changes of a stage: edge and border of the training frames, px."""
    return {"source__crop_px": crop_px, "source__margin_px": margin_px}


def _contract(source: DenseEmitters) -> Contract:
    axis = Axis(scale=4, halo=HALO)
    return Contract(
        grid=Grid(
            output_axes="bzyxc",
            axes={"y": axis, "x": axis},
            planes=source.planes,
            outputs=("density",),
        ),
        input=Frames(),
        task=Volume(
            threshold=0.05,
            looks=2,
            ideal_peak=PEAK,
            z_first_nm=source.z_nm[0] + source.plane_nm / 2,
            z_step_nm=source.plane_nm,
            optics=_TETRAPOD,
        ),
    )


def thresholds(
    *,
    jaccard: tuple[float, float, float],
    lateral_nm: tuple[float, float, float],
    axial_nm: tuple[float, float, float],
) -> tuple[Threshold, ...]:
    """Return the scores to reach at 1, 10 and 34 emitters per frame."""
    bounds: list[Threshold] = []
    for count, least, lateral, axial in zip(
        (1, 10, 34), jaccard, lateral_nm, axial_nm, strict=True
    ):
        name = f"emitters/{count}"
        bounds += [
            Threshold(metric=f"{name}/jaccard", at_least=least),
            Threshold(metric=f"{name}/rmse_lateral_nm", at_most=lateral),
            Threshold(metric=f"{name}/rmse_axial_nm", at_most=axial),
        ]
    return tuple(bounds)


def localizing(
    epochs: tuple[int, int, int], *, steps: int, batch_size: int, sizes: dict[str, Any]
) -> tuple[Stage, ...]:
    """Return the stages of the network: wide and bright, bright, all conditions.

    The last comes in quarters, at whose ends the weights are kept.
    """
    easy = BRIGHT if sizes else BRIGHT | FEW
    quarters = [len(part) for part in np.array_split(range(epochs[2]), 4) if len(part)]
    ways = ((epochs[0], WIDE | easy), (epochs[1], easy), *((n, {}) for n in quarters))
    return tuple(
        Stage(epochs=count, steps=steps, batch_size=batch_size, changes=sizes | way)
        for count, way in ways
    )


def _designing(
    stages: int, *, steps: int, batch_size: int, sizes: dict[str, Any]
) -> tuple[Stage, ...]:
    """Return stages of one epoch each: the mask is kept at the end of every one.

    `BOUND_STAGES` of them come first in which the mask follows the mean bound, and as
    many in which it follows the bounds of its worst depths.
    """
    descent = min(steps, BOUND_STEPS)
    mean, even, both = (
        Stage(epochs=1, steps=count, batch_size=batch_size, changes=sizes | changes)
        for count, changes in (
            (descent, BOUND),
            (descent, BOUND | EVEN),
            (steps, MASK),
        )
    )
    descents = BOUND_STAGES * (mean,) + BOUND_STAGES * (even,)
    return descents + stages * (both,)


_TINY, _SMALL = frames_of(32, 4), frames_of(40, 6)

DEEP_STORM3D_TETRAPOD = Recipe(
    name="deep_storm3d_tetrapod",
    title="DeepSTORM3D - dense emitters in 3D by a Tetrapod",
    summary=(
        "Finds overlapping emitters in three dimensions over a depth of 4 µm, from "
        "single frames that were taken through a Tetrapod phase mask."
    ),
    network=DEEP_STORM3D,
    options={"planes": _SOURCE.planes},
    training_options={"leak": 0.01},
    contract=_contract(_SOURCE),
    source=_SOURCE,
    objective=PsfDesign(loss=SpikesInVolume(peak=PEAK), optics=PUPIL_IMAGING),
    test_set=DenseEmitterTestSet(optics=_TETRAPOD),
    budgets={
        "smoke": Budget(
            stages=localizing((2, 1, 1), steps=8, batch_size=2, sizes=_TINY),
            learning_rate=2e-3,
            warmup_steps=5,
        ),
        "cpu": Budget(
            stages=localizing((4, 4, 16), steps=100, batch_size=2, sizes=_SMALL),
            learning_rate=1e-3,
            mixed_precision=True,
            hours=2.0,
        ),
        "gpu": Budget(
            stages=localizing((2, 3, 35), steps=300, batch_size=8, sizes={}),
            learning_rate=1e-3,
            mixed_precision=True,
            hours=0.11,
        ),
    },
    retraining=Budget(
        stages=(Stage(epochs=24, steps=100, batch_size=2, changes=_SMALL),),
        learning_rate=5e-4,
        mixed_precision=True,
        hours=2.0,
    ),
    acceptance=thresholds(
        jaccard=(0.95, 0.92, 0.76), lateral_nm=(18, 18, 22), axial_nm=(20, 25, 32)
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

_DESIGN: dict[str, Any] = {
    "start": "clear",
    "degree": 9,
    "mirrored": True,
    "bound_weight": 30.0,
}
"""A mask of Zernike modes that starts from zero; errors of the decoder and the bound of
single emitters count about alike.  Modes that are not alike on both sides of the axes
gain nothing: with all modes the same mask is found, turned."""

LEARNED_RAD = {
    (2, 0): 0.7509,
    (2, 2): -2.0983,
    (4, 0): 1.3222,
    (4, 2): -3.8042,
    (4, 4): 0.2651,
    (6, 0): 0.6299,
    (6, 2): -0.9297,
    (6, 4): 0.1676,
    (6, 6): 0.6036,
    (8, 0): 0.1948,
    (8, 2): -0.4487,
    (8, 4): 0.0796,
    (8, 6): 0.0732,
    (8, 8): 0.0116,
}
"""Mask of the published package, rad by Zernike mode; a training begins without any."""

DEEP_STORM3D_LEARNED = DEEP_STORM3D_TETRAPOD.override(
    name="deep_storm3d_learned",
    title="DeepSTORM3D - dense emitters in 3D by a learned mask",
    summary=(
        "Finds overlapping emitters in three dimensions over a depth of 4 µm, from "
        "single frames that were taken through a phase mask which was learned together "
        "with the network."
    ),
    contract__task__threshold=0.07,
    source=_SOURCE.with_mask(
        np.array(
            [LEARNED_RAD.get(mode, 0.0) for mode in modes_up_to(_DESIGN["degree"])],
            np.float32,
        )
    ),
    objective=PsfDesign(
        loss=SpikesInVolume(peak=PEAK),
        optics=PUPIL_IMAGING,
        optics_options=_DESIGN,
        decoder=DEEP_STORM3D,
        decoder_options={
            "planes": 40,
            "dilation": 1,
            "upsampling": 1,
            "peak": DESIGN_PEAK,
            "leak": 0.01,
        },
        mask_optimizer=Adam(learning_rate=1e-3),
    ),
    retraining=None,
    acceptance=thresholds(
        jaccard=(0.9, 0.78, 0.66), lateral_nm=(14, 20, 24), axial_nm=(20, 26, 31)
    ),
    budgets={
        "smoke": Budget(
            stages=(
                *_designing(1, steps=8, batch_size=4, sizes=_TINY),
                *localizing((1, 1, 1), steps=8, batch_size=2, sizes=_TINY),
            ),
            learning_rate=2e-3,
            warmup_steps=5,
        ),
        "cpu": Budget(
            stages=(
                *_designing(4, steps=100, batch_size=2, sizes=_SMALL),
                *localizing((4, 4, 16), steps=100, batch_size=2, sizes=_SMALL),
            ),
            learning_rate=1e-3,
            mixed_precision=True,
            hours=2.0,
        ),
        "gpu": Budget(
            stages=(
                *_designing(5, steps=300, batch_size=16, sizes={}),
                *localizing((2, 3, 35), steps=300, batch_size=8, sizes={}),
            ),
            learning_rate=1e-3,
            mixed_precision=True,
            hours=0.11,
        ),
    },
).settled()
