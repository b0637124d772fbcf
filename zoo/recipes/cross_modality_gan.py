"""The cross-modality networks: confocal to STED, and TIRF to TIRF-SIM."""

from collections.abc import Mapping

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.optimizers import Adam
from zoo.core.recipe import Budget, BudgetName, Recipe, Stage, Threshold
from zoo.inputs.target_grid import TargetGrid
from zoo.layers.critics import STRIDED_CRITIC
from zoo.losses import MsePlusSsim
from zoo.models.cross_modality_gan import CROSS_MODALITY_GAN, STEP
from zoo.objectives.adversarial import Adversarial, Critic, WeightedLoss
from zoo.recipes._stages import critic_stages
from zoo.simulate.modalities import ModalityPairs
from zoo.tasks.image import ImageRestoration
from zoo.test_sets.modalities import EXAMPLE_PX, SCORED, ModalityTestSet

WIDTH = 16
"""Feature maps of the first block of the published packages; 1,395,361 parameters."""

HALO_PX = 144
"""Input pixels at a border of a tile that a neighbouring tile would change, px."""

PIXEL_LOSS = MsePlusSsim(rescale="match", error="logarithmic", ssim_weight=10.0)
"""Squared error and similarity, the terms of the paper, of images that are first given
the gain and offset of the target: its brightest pixel cannot be known from the input.
The error counts in decibels, so that sparse and dense images weigh the same."""

BUDGETS: dict[BudgetName, Budget] = {
    "smoke": Budget(
        stages=critic_stages((2, 1, 1), steps=20, batch=4, crop_px=64, fewer=2),
        learning_rate=1e-3,
        warmup_steps=4,
        validation_samples=4,
    ),
    "cpu": Budget(
        stages=critic_stages((20, 20, 6), steps=100, batch=8, crop_px=96, fewer=2),
        learning_rate=6e-4,
        mixed_precision=True,
        validation_samples=16,
        hours=2.0,
        workers=2,
    ),
    "gpu": Budget(
        stages=(Stage(epochs=60, steps=100, batch_size=16),),
        learning_rate=8e-4,
        hours=0.11,
        workers=2,
    ),
}
"""Trainings; the one on a GPU has a single stage, because every change of the graph or
of a size is compiled anew, and is simulated by three processes beside it."""


BEHIND = {
    "filaments/psnr_over_richardson_lucy": -1.3,
    "filaments/ssim_over_richardson_lucy": -0.02,
    "vesicles/psnr_over_richardson_lucy": -3.4,
    "vesicles/ms_ssim_over_richardson_lucy": -0.01,
    "mitochondria/micro_ssim_over_input": -0.02,
    "mitochondria/psnr_over_richardson_lucy": -0.6,
    "chromatin/psnr_over_richardson_lucy": -1.2,
    "chromatin/ssim_over_richardson_lucy": -0.05,
    "chromatin/ms_ssim_over_richardson_lucy": -0.02,
    "chromatin/micro_ssim_over_richardson_lucy": -0.03,
    "beads/psnr_over_richardson_lucy": -3.3,
    "beads/ms_ssim_over_richardson_lucy": -0.002,
}
"""Where confocal images are restored better by a deconvolution that is told the optics,
the noise and the background of every image, and how far the network may be behind."""


BEHIND_SIM = {
    "filaments/micro_ssim_over_richardson_lucy": -0.04,
    "actin/psnr_over_richardson_lucy": -0.6,
    "actin/ssim_over_richardson_lucy": -0.05,
    "actin/ms_ssim_over_richardson_lucy": -0.03,
    "actin/micro_ssim_over_richardson_lucy": -0.09,
    "pits/psnr_over_richardson_lucy": -0.3,
    "pits/ssim_over_richardson_lucy": -0.01,
    "pits/ms_ssim_over_richardson_lucy": -0.01,
    "pits/micro_ssim_over_richardson_lucy": -0.06,
    "vesicles/micro_ssim_over_richardson_lucy": -0.07,
    "nuclear_pores/psnr_over_richardson_lucy": -1.1,
    "nuclear_pores/ssim_over_richardson_lucy": -0.02,
    "nuclear_pores/ms_ssim_over_richardson_lucy": -0.02,
    "nuclear_pores/micro_ssim_over_richardson_lucy": -0.04,
    "membranes/psnr_over_richardson_lucy": -2.1,
    "chromatin/psnr_over_richardson_lucy": -0.5,
    "chromatin/ssim_over_richardson_lucy": -0.02,
    "chromatin/ms_ssim_over_richardson_lucy": -0.01,
    "chromatin/micro_ssim_over_richardson_lucy": -0.06,
    "beads/ssim_over_richardson_lucy": -0.01,
    "beads/ms_ssim_over_richardson_lucy": -0.01,
    "beads/micro_ssim_over_richardson_lucy": -0.02,
}
"""The same for TIRF images."""


def ahead(behind: Mapping[str, float] | None = None) -> tuple[Threshold, ...]:
    """Return the lead over input and deconvolution that is asked for: any at all.

    Structure by structure, and by every measure of similarity.

    Parameters
    ----------
    behind
        Least leads, negative ones, where none is asked for.
    """
    least = behind or {}
    names = [
        (structure, f"{name}_over_{method}")
        for structure in SCORED
        for method in ("input", "richardson_lucy")
        for name in ("psnr", "ssim", "ms_ssim", "micro_ssim")
    ]
    return tuple(
        Threshold(
            metric=f"{structure}/all/{name}",
            at_least=least.get(f"{structure}/{name}", 0.0),
        )
        for structure, name in names
    )


CROSS_MODALITY_GAN_CONFOCAL_STED = Recipe(
    name="cross_modality_gan_confocal_sted",
    title="Cross-modality GAN - confocal to STED",
    summary=(
        "Turns a confocal image into an estimate of the STED image of the same field, "
        "on a grid of 25 nm to which it resamples the input: what follows from what "
        "cell structures look like, not a measurement."
    ),
    network=CROSS_MODALITY_GAN,
    options={"width": WIDTH},
    contract=Contract(
        grid=Grid.square(halo=HALO_PX, step=STEP),
        input=TargetGrid(),
        task=ImageRestoration(),
        tile={"y": EXAMPLE_PX, "x": EXAMPLE_PX},
        input_text="Confocal image, resampled to pixels of 25 nm",
        output_text="Estimate of the STED image, intensities between 0 and 1",
        modality="confocal microscopy",
    ),
    source=ModalityPairs(modality="confocal_sted", pixel_size_nm=25.0),
    objective=Adversarial(
        losses=(WeightedLoss(loss=PIXEL_LOSS),),
        critics={
            "critic": Critic(
                network=STRIDED_CRITIC,
                options={"width": 16},
                weight=0.1,
                optimizer=Adam(learning_rate=1e-4, beta_1=0.5),
            )
        },
    ),
    test_set=ModalityTestSet(),
    budgets=BUDGETS,
    acceptance=ahead(BEHIND),
    seed=2019,
    tags=(
        "sted",
        "confocal",
        "cross-modality",
        "fluorescence-light-microscopy",
        "microtubules",
        "actin",
        "mitochondria",
        "nuclear-pores",
        "endoplasmic-reticulum",
        "clathrin",
        "2d",
    ),
)

CROSS_MODALITY_GAN_TIRF_SIM = CROSS_MODALITY_GAN_CONFOCAL_STED.override(
    name="cross_modality_gan_tirf_sim",
    acceptance=ahead(BEHIND_SIM),
    title="Cross-modality GAN - TIRF to TIRF-SIM",
    summary=(
        "Turns a TIRF image into an estimate of the structured-illumination image of "
        "the same field, on a grid of 31.3 nm to which it resamples the input: what "
        "follows from what cell structures look like, not a measurement."
    ),
    contract__input_text="TIRF image, resampled to pixels of 31.3 nm",
    contract__output_text="Estimate of the TIRF-SIM image, intensities between 0 and 1",
    contract__modality="TIRF microscopy",
    source__modality="tirf_sim",
    source__pixel_size_nm=31.3,
    source__coarseness=(1, 2, 2, 3),
    source__haze=(0.0, 0.6),
    test_set__conditions__modality="tirf_sim",
    test_set__conditions__pixel_size_nm=31.3,
    test_set__conditions__haze=(0.0, 0.6),
    tags=(
        "tirf",
        "structured-illumination-microscopy",
        "sim",
        "cross-modality",
        "fluorescence-light-microscopy",
        "clathrin",
        "microtubules",
        "actin",
        "mitochondria",
        "endoplasmic-reticulum",
        "2d",
    ),
)
