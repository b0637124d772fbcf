"""DFGAN on simulated structured illumination, from the weights of DFCAN on."""

from typing import Any

from zoo.core.optimizers import Adam
from zoo.core.recipe import Budget, BudgetName, Stage
from zoo.layers.critics import FLAT_CRITIC
from zoo.models.dfgan import DFGAN, DFGAN_RECONSTRUCTED
from zoo.objectives.adversarial import Adversarial, Critic, WeightedLoss
from zoo.recipes._stages import critic_stages
from zoo.recipes.dfcan import (
    AS_SCORED,
    DFCAN_SIM,
    DFCAN_WIDEFIELD,
    PATCH_PX,
    SPECTRUM_PX,
    ahead_in_widefield,
    ahead_of_reconstruction,
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


BUDGETS: dict[BudgetName, Budget] = {
    "smoke": Budget(
        stages=critic_stages((2, 1, 1), steps=12, batch=2, crop_px=32, fewer=4),
        learning_rate=5e-4,
        warmup_steps=4,
        validation_samples=2,
    ),
    "cpu": Budget(
        stages=critic_stages((8, 16, 4), steps=100, batch=2, crop_px=PATCH_PX, fewer=4),
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
"""Trainings, which start from the published weights of DFCAN.  The one on a GPU sees
whole tiles in a single stage: every change of graph or size is compiled anew."""

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
    budgets=BUDGETS,
    source__clear=0.0,
    contract__task__looks=None,  # a mean of two is less sharp
    # the similarity of grainy dim images is what a critic costs
    acceptance=ahead_of_reconstruction(dim_ssim=-0.005),
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
    contract__task__looks=None,
    objective=GAN,
    budgets=BUDGETS,
    acceptance=ahead_in_widefield(dim_ssim=-0.005),
    seed=2022,
)
