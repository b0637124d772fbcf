"""PSSR on simulated scans: electron micrographs, confocal images and short movies."""

from typing import Any

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.optimizers import Adam
from zoo.core.recipe import Budget, BudgetName, Recipe, Stage, Threshold
from zoo.inputs.frames import Frames
from zoo.inputs.movie_frames import MovieFrames
from zoo.losses import MsePlusSsim
from zoo.models.pssr import PSSR
from zoo.objectives.supervised import Supervised
from zoo.simulate.fluorescence_scans import (
    TIME_POINTS,
    FluorescenceMovies,
    FluorescenceScans,
)
from zoo.simulate.scans import ElectronScans
from zoo.tasks.image import ImageRestoration
from zoo.test_sets.scans import (
    LEVELS,
    PUBLISHED,
    FluorescenceTestSet,
    MovieTestSet,
    ScanTestSet,
)

TILE_PX = 128
"""Edge of the tiles of the paper, coarse px; the network sees all of a tile at once."""

OVER_DENOISED = {
    "half": (0.2, 0.0),
    "trained": (0.05, 0.0),
    "double": (-0.2, -0.05),
    PUBLISHED: (0.05, 0.0),
}
"""How far micrographs are ahead of the tuned denoiser in each noise: dB, and SSIM."""

PATCH_PX = 64
"""Edge of the patches of most of the training; the end sees whole tiles, coarse px."""

WIDTH = 12
"""Feature maps of the first encoder stage of our weights; the paper has 64."""


def plan(
    epochs: tuple[int, int],
    *,
    steps: int,
    batch: int,
    patch_px: int = PATCH_PX,
    whole_px: int = TILE_PX,
) -> tuple[Stage, ...]:
    """Return the stages of a training on patches and then on whole tiles.

    Parameters
    ----------
    epochs
        Epochs of the two; a stage of none is left out.
    steps
        Batches per epoch on patches; tiles get half as many.
    batch
        Patches per batch; tiles are a quarter as many, as they are four times as
        large.
    patch_px, whole_px
        Edges, coarse px.
    """
    stages = (
        Stage(
            epochs=epochs[0],
            steps=steps,
            batch_size=batch,
            changes={"source__crop_px": patch_px},
        ),
        Stage(
            epochs=epochs[1],
            steps=max(steps // 2, 1),
            batch_size=max(batch // 4, 2),
            changes={"source__crop_px": whole_px},
        ),
    )
    return tuple(stage for stage in stages if stage.epochs)


BUDGETS: dict[BudgetName, Budget] = {
    "smoke": Budget(
        stages=plan((4, 0), steps=10, batch=4, patch_px=32),
        learning_rate=2e-3,
        warmup_steps=4,
        validation_samples=2,
    ),
    "cpu": Budget(
        stages=plan((24, 3), steps=60, batch=8),
        learning_rate=1e-3,
        mixed_precision=True,
        validation_samples=4,
        hours=2.0,
        workers=2,
    ),
    "gpu": Budget(
        stages=plan((12, 2), steps=150, batch=16),
        learning_rate=1.5e-3,
        hours=0.11,
        workers=2,
    ),
}


def ahead(
    condition: str,
    psnr: float,
    ssim: float,
    *,
    denoised: tuple[float, float] = (0.0, 0.0),
) -> tuple[Threshold, ...]:
    """Return by how much a network must be ahead of enlargement, and of denoising.

    Parameters
    ----------
    condition
        Strength of the noise, as in the names of the scores.
    psnr, ssim
        Lower bounds of the lead over bilinear enlargement, all samples, dB and 1.
    denoised
        The same two over the denoiser that is tuned by the truth.
    """
    bounds = {
        "psnr_over_bilinear": psnr,
        "ssim_over_bilinear": ssim,
        "psnr_over_denoised": denoised[0],
        "ssim_over_denoised": denoised[1],
    }
    return tuple(
        Threshold(metric=f"all/{condition}/{name}", at_least=least)
        for name, least in bounds.items()
    )


def tiles(channels: tuple[str, ...] = ("intensity",)) -> Grid:
    """Return the grid of PSSR for these channels: whole tiles that are blended."""
    return Grid.square(scale=4, size=TILE_PX, overlap=32, step=8, channels=channels)


# darker than the darkest and brighter than the brightest pixel of a noisy scan there
# may be a little more
WITHIN: dict[str, Any] = {"id": "clip", "kwargs": {"min": -0.5, "max": 2.0}}

TAGS = ("point-scanning", "undersampling", "denoising", "2d")

PSSR_EM = Recipe(
    name="pssr_em",
    title="PSSR - undersampled electron micrographs 4x finer",
    summary=(
        "Turns a noisy electron micrograph of brain tissue, scanned with a sixteenth "
        "of the pixels, into a clean one on a grid four times as fine."
    ),
    network=PSSR,
    options={"width": WIDTH},
    training_options={"tile": None},
    contract=Contract(
        grid=tiles(),
        input=Frames(),
        # errors grow with the stain
        task=ImageRestoration(brightness=-0.1, looks=4),
        postprocessing=(WITHIN,),
        input_text="Coarse, noisy electron micrograph; membranes dark or bright",
        output_text=(
            "Clean image on a grid four times as fine; 0 and 1 are the darkest and "
            "the brightest pixel of the input"
        ),
        modality="electron microscopy",
    ),
    source=ElectronScans(),
    objective=Supervised(
        loss=MsePlusSsim(ssim_weight=0.0),
        optimizer=Adam(beta_2=0.99, weight_decay=1e-3),
    ),
    test_set=ScanTestSet(),
    budgets=BUDGETS,
    acceptance=(
        *(
            bound
            for level, denoised in OVER_DENOISED.items()
            for bound in ahead(level, 1.5, 0.1, denoised=denoised)
        ),
        # what strong noise hides in sections hangs on chance, which nothing tells
        Threshold(metric="image_uncertainty/all/rank_element", at_least=0.25),
    ),
    seed=2021,
    tags=("electron-microscopy", "em", "sem", "tem", "neuropil", *TAGS),
)

PSSR_FLUORESCENCE = PSSR_EM.override(
    name="pssr_fluorescence",
    title="PSSR - undersampled confocal images 4x finer",
    summary=(
        "Turns a noisy confocal image, scanned with a sixteenth of the pixels, into a "
        "clean one on a grid four times as fine."
    ),
    contract__task=ImageRestoration(brightness=0.3, looks=2),
    contract__input_text="Coarse, noisy confocal image of a fluorescent structure",
    contract__modality="fluorescence microscopy",
    source=FluorescenceScans(),
    acceptance=(
        *(bound for level in LEVELS for bound in ahead(level, 1.0, 0.05)),
        # salt that is left of an empty field; the tuned denoiser leaves 10
        Threshold(metric="invention/noise/false_spots_per_100_um2", at_most=8.0),
    ),
    test_set=FluorescenceTestSet(),
    tags=(
        "confocal",
        "fluorescence-light-microscopy",
        "mitochondria",
        "microtubules",
        "actin",
        "endoplasmic-reticulum",
        *TAGS,
    ),
)

PSSR_MOVIE = PSSR_FLUORESCENCE.override(
    name="pssr_movie",
    title="PSSR - movies of undersampled confocal images 4x finer",
    summary=(
        "Turns five successive frames of a noisy confocal movie, scanned with a "
        "sixteenth of the pixels, into a clean image of the middle one on a grid four "
        "times as fine."
    ),
    options={"width": WIDTH, "channels": TIME_POINTS},
    contract__grid=tiles(tuple(f"frame{n}" for n in range(1, TIME_POINTS + 1))),
    contract__input=MovieFrames(),
    contract__task=ImageRestoration(looks=2),
    contract__input_text=(
        "Five successive coarse, noisy frames of a confocal movie, as channels"
    ),
    source=FluorescenceMovies(),
    acceptance=tuple(
        bound
        for level in LEVELS
        for bound in ahead(level, 2.5, 0.1, denoised=(1.5, -0.07))
    ),
    test_set=MovieTestSet(),
    tags=(
        "confocal",
        "fluorescence-light-microscopy",
        "live-cell",
        "movie",
        "mitochondria",
        *TAGS,
    ),
)
