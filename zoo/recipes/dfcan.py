"""DFCAN on simulated structured illumination: widefield images and raw frames."""

from typing import Any

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.recipe import Budget, BudgetName, Recipe, Stage, Threshold
from zoo.inputs.frames import Frames
from zoo.inputs.raw_frames import RawFrames
from zoo.losses import MsePlusSsim
from zoo.models.dfcan import DFCAN
from zoo.models.dfcan_reconstructed import DFCAN_RECONSTRUCTED
from zoo.objectives.supervised import Supervised
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.surroundings import Surroundings
from zoo.simulate.told_patterns import PatternErrors
from zoo.tasks.image import ImageRestoration
from zoo.test_sets.sim_images import SimImageTestSet

PATCH_PX = 64
"""Edge of the patches of most of the training; the end sees whole tiles, px."""

SPECTRUM_PX = 32
"""Edge that spectra are resized to; at the paper's 128 px the attention would take two
thirds of the time of a step on patches."""

UNSEEN = "er"
"""Structure that the first part of the training leaves out, to test on."""

FIRST = tuple(name for name in SimPairs().structures if name != UNSEEN)
"""What the first part of the training sees."""

AS_SCORED = MsePlusSsim(rescale="match", error="logarithmic", ssim_weight=10.0)
"""Loss that ends a training on raw frames: decibels after the best linear match, and as
much for a hundredth of similarity as for 0.4 dB.  In the plain sum, the squared error
of images with much light is next to nothing beside the similarity."""

PLAIN: dict[str, Any] = {
    f"objective__loss__{name}": value
    for name, value in MsePlusSsim().model_dump(exclude={"kind"}).items()
    if value != getattr(AS_SCORED, name)
}
"""What the stages before it change in that loss."""


def plan(
    epochs: tuple[int, int, int, int],
    *,
    steps: int,
    batch: int,
    patch_px: int = PATCH_PX,
    changes: dict[str, Any] | None = None,
) -> tuple[Stage, ...]:
    """Return the stages of a training; one of no epochs is left out.

    The first minimises the squared error alone: similarity rewards a background that
    is exactly black so much that a network which has not found the structures yet
    turns black everywhere, and stays so.  It and the second leave `UNSEEN` out; the
    third sees patches of all structures, the fourth whole tiles.

    Parameters
    ----------
    epochs
        Epochs of the four.
    steps
        Batches per epoch on patches; tiles get half as many.
    batch
        Patches per batch; tiles are a quarter as many, as they are four times as
        large.
    patch_px
        Edge of the patches, camera px.
    changes
        Settings of the recipe that differ in all of them.
    """
    changes = changes or {}
    patches = changes | {"source__crop_px": patch_px}
    first = patches | {"source__structures": FIRST}
    on_patches = (
        (epochs[0], first | {"objective__loss__ssim_weight": 0.0}),
        (epochs[1], first),
        (epochs[2], patches),
    )
    stages = (
        *(
            Stage(epochs=count, steps=steps, batch_size=batch, changes=changes)
            for count, changes in on_patches
        ),
        Stage(
            epochs=epochs[3],
            steps=steps // 2,
            batch_size=max(batch // 4, 1),
            changes=changes,
        ),
    )
    return tuple(stage for stage in stages if stage.epochs)


def again(
    epochs: tuple[int, int],
    *,
    restart: float,
    steps: int = 100,
    batch: int = 4,
    patch_px: int = PATCH_PX,
    changes: dict[str, Any] | None = None,
) -> tuple[Stage, ...]:
    """Return the stages of another fall of the learning rate, on all structures.

    Parameters
    ----------
    epochs
        Epochs on patches, then on whole tiles.
    restart
        Learning rate that it begins with.
    steps
        Batches per epoch on patches; tiles get half as many.
    batch
        Patches per batch; tiles are a quarter as many.
    patch_px
        Edge of the patches, camera px.
    changes
        Settings of the recipe that differ in them.
    """
    first, *others = plan(
        (0, 0, *epochs), steps=steps, batch=batch, patch_px=patch_px, changes=changes
    )
    return first.override(restart=restart), *others


GPU_HOURS = 0.055
"""Time that several trainings, side by side on one GPU, are given."""

BUDGETS: dict[BudgetName, Budget] = {
    "smoke": Budget(
        stages=plan((1, 1, 0, 0), steps=12, batch=2, patch_px=32, changes=PLAIN)
        + plan((0, 0, 1, 0), steps=12, batch=2, patch_px=32),
        learning_rate=1e-3,
        warmup_steps=4,
        validation_samples=2,
    ),
    "cpu": Budget(
        stages=plan((1, 11, 10, 4), steps=100, batch=4, changes=PLAIN)
        + again((22, 4), restart=4e-4),
        learning_rate=5e-4,
        mixed_precision=True,
        validation_samples=8,
        hours=2.0,
        workers=2,
    ),
    "gpu": Budget(
        stages=again((24, 6), restart=4e-4, steps=100, batch=16),
        learning_rate=4e-4,
        workers=3,
        hours=GPU_HOURS,
    ),
}
"""Trainings; the one on a GPU goes on from published weights (``zoo train --start``),
under conditions that are drawn wider than those which they began with."""

FRAMES = tuple(
    f"angle{angle}_phase{phase}" for angle in (1, 2, 3) for phase in (1, 2, 3)
)
"""Names of the raw frames in the order that the network takes them."""


def tiles(channels: tuple[str, ...] = ("intensity",)) -> Grid:
    """Return the grid of DFCAN for these channels: tiles that are blended."""
    return Grid.square(scale=2, size=128, overlap=32, channels=channels)


def ahead(
    baseline: str,
    *,
    psnr: float = 0.0,
    ssim: float = 0.0,
    condition: str = "all",
) -> tuple[Threshold, ...]:
    """Return by how much a network has to be ahead of a classical method.

    Parameters
    ----------
    baseline
        Method, as in the names of the scores.
    psnr, ssim
        Lower bounds of the lead on every structure, dB and 1.
    condition
        Signal levels that are averaged.
    """
    bounds = []
    for structure in SimPairs().structures:
        for figure, least in (("psnr", psnr), ("ssim", ssim)):
            name = f"{structure}/{condition}/{figure}_over_{baseline}"
            bounds.append(Threshold(metric=name, at_least=least))
    return tuple(bounds)


def ahead_in_widefield(*, dim_ssim: float = 0.0) -> tuple[Threshold, ...]:
    """Return what a network for single images has to be ahead of, and by how much.

    Parameters
    ----------
    dim_ssim
        Lower bound of the similarity's lead over Richardson-Lucy in dim images.
    """
    return (
        ahead("bicubic", psnr=3.0, ssim=0.15)
        + ahead("richardson_lucy")
        + ahead("richardson_lucy", ssim=dim_ssim, condition="below_100")
        + ahead("richardson_lucy", condition="above_100")
    )


def ahead_of_reconstruction(
    *, dim_ssim: float = 0.02, bright_psnr: float = -0.85, bright_ssim: float = -0.005
) -> tuple[Threshold, ...]:
    """Return what a network for raw frames has to be ahead of, and by how much.

    With much light and little haze, the middle of which the frozen set is, the Wiener
    reconstruction that is told everything is hard to pass.

    Parameters
    ----------
    dim_ssim
        Lower bound of the similarity's lead over Wiener reconstructions of dim images.
    bright_psnr, bright_ssim
        Lower bounds of the lead over those of bright ones, dB and 1.
    """
    bright = {"psnr": bright_psnr, "ssim": bright_ssim}
    return (
        ahead("bicubic", psnr=6.0, ssim=0.2)
        + ahead("wiener", psnr=0.4, ssim=dim_ssim, condition="below_100")
        + ahead("wiener", **bright, condition="above_100")
    )


RAW_BUDGETS: dict[BudgetName, Budget] = {
    **BUDGETS,
    "cpu": BUDGETS["cpu"].override(
        stages=plan((0, 6, 20, 3), steps=100, batch=4, changes=PLAIN)
        + again((7, 2), restart=2e-4, changes=PLAIN)
        + again((28, 20), restart=3e-4),
        learning_rate=3e-4,
    ),
}
"""Trainings on raw frames, whose pattern the network is told; that for small machines
starts from widefield weights (``zoo train --start``): the same structures, noise and
optics.  The one on a GPU goes on from published weights."""

SURROUNDINGS = Surroundings(
    stain=(0.0, 1.0),
    texture=(0.0, 1.0),
    light_ratio=(1.0, 2.0),
    without_pattern=0.08,
    unequal_steps=0.04,
)
"""What real images have beside a structure; see `zoo.simulate.surroundings`."""

LOOKS = 2
"""Views of a frame that are averaged; the uncertainty needs the second anyway."""

CLEAR = 0.4
"""Share of images without them: networks that saw none lost up to a decibel on them."""

DFCAN_SIM = Recipe(
    name="dfcan_sim",
    title="DFCAN - nine raw SIM frames to one image",
    summary=(
        "Turns nine raw frames of two-dimensional structured illumination into one "
        "image on a grid twice as fine, without knowledge of the illumination pattern: "
        "our own blind SIM reconstruction in front of DFCAN."
    ),
    network=DFCAN_RECONSTRUCTED,
    options={"spectrum_px": SPECTRUM_PX},
    training_options={"tile": None},
    contract=Contract(
        grid=tiles(FRAMES),
        input=RawFrames(orientations=3, phases=3, order="angle-major"),
        task=ImageRestoration(looks=LOOKS),
        input_text=(
            "Raw frames of two-beam structured illumination: three phases of the first "
            "orientation, then of the second, then of the third"
        ),
        output_text="Super-resolved image, intensities between 0 and 1",
        # The pattern vector v is a float32 in cycles per pixel: one ulp of it turns the
        # plane wave at the border of 128 px by 2 pi 64 * 3e-8 = 1.2e-5 rad, and so does
        # one ulp of the turns there.  Three of them, at full modulation, are 3.6e-5 of
        # the output; the largest difference seen is 1.1e-5 (Zen 3), with SSE4.1 and
        # AVX2 emulated 8e-6.  Wrong weights show in the kernels, which are compared
        # directly.  The other packages estimate no pattern and keep 1e-5.
        tolerance=5e-5,
    ),
    source=SimPairs(
        modality="sim",
        crop_px=128,
        told=PatternErrors(),
        haze=(0.0, 2.0),
        background=(0.02, 2.0),
        background_spacing="logarithmic",
        surroundings=SURROUNDINGS,
        clear=CLEAR,
    ),
    objective=Supervised(loss=AS_SCORED),
    test_set=SimImageTestSet(),
    budgets=RAW_BUDGETS,
    acceptance=ahead_of_reconstruction(bright_psnr=0.0, bright_ssim=-0.006),
    seed=2021,
    tags=(
        "structured-illumination-microscopy",
        "sim",
        "widefield",
        "fluorescence-light-microscopy",
        "microtubules",
        "actin",
        "clathrin",
        "endoplasmic-reticulum",
        "mitochondria",
        "2d",
    ),
)

DFCAN_WIDEFIELD = DFCAN_SIM.override(
    name="dfcan_widefield",
    title="DFCAN - one widefield image to SIM resolution",
    summary=(
        "Turns one widefield or TIRF image into an image on a grid twice as fine, with "
        "the detail that structured illumination would have shown: an estimate that "
        "follows from what cell structures look like."
    ),
    network=DFCAN,
    contract__grid=tiles(),
    contract__input=Frames(scaling="image", diffraction_limited=True),
    contract__input_text="Widefield or TIRF image, camera counts",
    contract__tolerance=1e-5,
    budgets=BUDGETS,
    acceptance=ahead_in_widefield(),
    source__modality="widefield",
    source__told=None,
    source__clear=0.0,
    source__photons=(5.0, 600.0),
    test_set__conditions__modality="widefield",
)
