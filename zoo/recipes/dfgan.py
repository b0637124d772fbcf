"""DFGAN on simulated structured illumination, from the weights of DFCAN on."""

from typing import Any

from zoo.core.optimizers import Adam
from zoo.core.recipe import Budget, BudgetName, Stage
from zoo.layers.critics import FLAT_CRITIC
from zoo.models.dfgan import DFGAN, DFGAN_RECONSTRUCTED
from zoo.objectives.adversarial import Adversarial, Critic, WeightedLoss
from zoo.recipes.dfcan import (
    AS_SCORED,
    DFCAN_SIM,
    DFCAN_WIDEFIELD,
    FIELD_PX,
    PATCH_PX,
    SPECTRUM_PX,
)

OPTIONS: dict[str, Any] = {"groups": 4, "blocks": 4, "spectrum_px": SPECTRUM_PX}
"""The published packages have as many blocks as DFCAN, whose weights they start from:
1,930,753 parameters of one channel instead of 5,717,129."""

GAN = Adversarial(
    losses=(WeightedLoss(loss=AS_SCORED),),
    critics={
        "critic": Critic(
            network=FLAT_CRITIC,
            options={"width": 8},
            weight=0.1,
            optimizer=Adam(learning_rate=1e-4, beta_1=0.5),
        )
    },
)
"""Pixels as DFCAN has them, and the critic that sees the image alone."""

WITHOUT_CRITIC = {"objective__warm_up": True}
"""First stage: attention has another exponent than in DFCAN, and is learnt anew."""


def plan(
    epochs: tuple[int, int, int], *, steps: int, batch: int, patch_px: int
) -> tuple[Stage, ...]:
    """Return the stages of a training: without critic, with it, and on whole tiles.

    Parameters
    ----------
    epochs
        Epochs of the three.
    steps, batch
        Batches per epoch, and patches in each; of tiles a quarter as many of both.
    patch_px
        Edge of the patches, camera px.
    """
    patches = {"source__crop_px": patch_px}
    stages = (
        Stage(
            epochs=epochs[0],
            steps=steps,
            batch_size=batch,
            changes=patches | WITHOUT_CRITIC,
        ),
        Stage(epochs=epochs[1], steps=steps, batch_size=batch, changes=patches),
        Stage(epochs=epochs[2], steps=steps // 4, batch_size=max(batch // 4, 1)),
    )
    return tuple(stage for stage in stages if stage.epochs)


def budgets(patch_px: int) -> dict[BudgetName, Budget]:
    """Return trainings, which start from the published weights of DFCAN.

    The one on a GPU sees whole tiles in a single stage: every change of the graph or of
    a size is compiled anew.

    Parameters
    ----------
    patch_px
        Edge of the patches of the training on small machines, camera px.
    """
    return {
        "smoke": Budget(
            stages=plan((2, 1, 1), steps=12, batch=2, patch_px=32),
            learning_rate=5e-4,
            warmup_steps=4,
            validation_samples=2,
        ),
        "cpu": Budget(
            stages=plan((8, 16, 4), steps=100, batch=2, patch_px=patch_px),
            learning_rate=3e-4,
            mixed_precision=True,
            validation_samples=8,
            hours=2.0,
            workers=2,
        ),
        "gpu": Budget(
            stages=(Stage(epochs=40, steps=75, batch_size=4),),
            learning_rate=3e-4,
            hours=0.11,
            workers=3,
        ),
    }


DFGAN_SIM = DFCAN_SIM.override(
    name="dfgan_sim",
    title="DFGAN - nine raw SIM frames to one image",
    summary=(
        "Turns nine raw frames of two-dimensional structured illumination into one "
        "image on a grid twice as fine, without knowledge of the illumination pattern: "
        "our own blind SIM reconstruction in front of DFGAN, trained against a critic."
    ),
    network=DFGAN_RECONSTRUCTED,
    options=OPTIONS,
    objective=GAN,
    budgets=budgets(FIELD_PX),
    seed=2022,
)

DFGAN_WIDEFIELD = DFCAN_WIDEFIELD.override(
    name="dfgan_widefield",
    title="DFGAN - one widefield image to SIM resolution",
    summary=(
        "Turns one widefield or TIRF image into an image on a grid twice as fine, with "
        "the detail that structured illumination would have shown, sharpened by a "
        "critic: an estimate that follows from what cell structures look like."
    ),
    network=DFGAN,
    options=OPTIONS,
    objective=GAN,
    budgets=budgets(PATCH_PX),
    seed=2022,
)
