"""ANNA-PALM on simulated acquisitions: few frames of a table to a dense rendering."""

from typing import Any

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.optimizers import Adam
from zoo.core.recipe import Budget, BudgetName, Recipe, Stage, Threshold
from zoo.inputs.renderings import Renderings
from zoo.layers.anna_palm import ANNA_PALM_CONSISTENCY, ANNA_PALM_CRITIC
from zoo.losses_renderings import RenderingSimilarity, WidefieldSimilarity
from zoo.models.anna_palm import ANNA_PALM
from zoo.objectives.adversarial import Adversarial, Companion, Critic, WeightedLoss
from zoo.simulate.dye_clouds import CloudStructure
from zoo.simulate.renderings import MOST_COUNTS, RenderingPairs
from zoo.tasks.image import ImageRestoration
from zoo.test_sets.renderings import RenderingTestSet

PIXEL_NM = 20.0
"""Pixel of the renderings, as published, nm."""

LEVELS = 5
"""Halvings in the published packages: what lies farther away than 2 µm has no say."""

HALO_PX = 96
"""How far an output pixel of that network sees, 93 px, in whole steps of the tiles of
other programs."""

TILE_PX = 384
"""Edge that other programs are told to use, px."""

SMALL_PX = 128
"""Edge of the images of small trainings, px."""

ALONE = {"objective__warm_up": True}
"""Stages without the critic."""

CRITIC_WIDTH = 24
"""Channels of the critic's first layer; 64 in the paper, for a wider generator."""

_SLOW = Adam(learning_rate=2e-4, beta_1=0.5)

BUDGETS: dict[BudgetName, Budget] = {
    "smoke": Budget(
        stages=(
            Stage(
                epochs=2,
                steps=8,
                batch_size=4,
                changes=ALONE | {"source__crop_px": 64},
            ),
            Stage(epochs=1, steps=2, batch_size=2, changes={"source__crop_px": 64}),
        ),
        learning_rate=2e-3,
        warmup_steps=5,
        validation_samples=4,
    ),
    "cpu": Budget(
        stages=(
            Stage(
                epochs=30,
                steps=200,
                batch_size=4,
                changes=ALONE | {"source__crop_px": SMALL_PX},
            ),
            Stage(epochs=6, steps=100, batch_size=2),
        ),
        learning_rate=1e-3,
        validation_samples=16,
        hours=2.0,
        workers=2,
    ),
    "gpu": Budget(
        stages=(
            # one stage: a second one would be compiled anew
            Stage(epochs=22, steps=200, batch_size=16),
        ),
        learning_rate=1e-3,
        warmup_steps=100,
        workers=2,
        hours=0.11,
    ),
}

ANNA_PALM_MICROTUBULES = Recipe(
    name="anna_palm_microtubules",
    title="ANNA-PALM - microtubules from few frames",
    summary=(
        "Turns the localizations of some hundred frames of microtubules, with a "
        "widefield image of the field or without, into the rendering that a long "
        "acquisition would give: an estimate that follows from what microtubules look "
        "like."
    ),
    network=ANNA_PALM,
    options={
        "width": 24,
        "levels": LEVELS,
        "switch": False,
        "norm": "moving",
        "scaling": "logarithmic",
        "dropout": 0.0,
    },
    contract=Contract(
        grid=Grid.square(
            halo=HALO_PX,
            step=2**LEVELS,
            channels=("localizations", "widefield"),
        ),
        input=Renderings(pixel_size_nm=PIXEL_NM, second="widefield"),
        task=ImageRestoration(),
        preprocessing=({"id": "clip", "kwargs": {"min": 0.0, "max": MOST_COUNTS}},),
        tile={"y": TILE_PX, "x": TILE_PX},
        input_text=(
            "Localizations per pixel of 20 nm; widefield image on the same grid, from "
            "0 to 1, or zeros"
        ),
        output_text=(
            "Dense rendering between 0 and 1: a single microtubule has about one half"
        ),
        modality="single-molecule localization microscopy",
    ),
    source=RenderingPairs(),
    objective=Adversarial(
        losses=(WeightedLoss(loss=RenderingSimilarity(), weight=50.0),),
        critics={
            "critic": Critic(
                network=ANNA_PALM_CRITIC,
                options={"channels": 3, "width": CRITIC_WIDTH},
                loss="least_squares",
                weight=1.0,
                conditional=True,
                optimizer=_SLOW,
            )
        },
        companions={
            "consistency": Companion(
                network=ANNA_PALM_CONSISTENCY,
                against="input",
                channels=(1,),
                loss=WidefieldSimilarity(similarity=0.84, widest_px=8.0),
                weight=25.0,
                optimizer=_SLOW,
            )
        },
        optimizer=Adam(),
    ),
    test_set=RenderingTestSet(),
    budgets=BUDGETS,
    seed=2018,
    acceptance=(
        Threshold(metric="table/300/ms_ssim", at_least=0.72),
        Threshold(metric="table/300/frames_saved", at_least=5.0),
        Threshold(metric="widefield/300/frames_saved", at_least=10.0),
        Threshold(metric="table/3000/ms_ssim", at_least=0.92),
        Threshold(metric="gaps/300/bridged_percent", at_most=15.0),
        Threshold(metric="gaps/500/bridged_percent", at_most=10.0),
        Threshold(metric="noise/5/false_area_percent", at_most=0.2),
        Threshold(metric="noise/20/false_area_percent", at_most=0.2),
        # where it is wrong about a microtubule hardly shows in turned views
        Threshold(metric="image_uncertainty/all/rank_element", at_least=0.45),
    ),
    tags=(
        "single-molecule-localization-microscopy",
        "smlm",
        "storm",
        "palm",
        "dna-paint",
        "microtubules",
        "fluorescence-light-microscopy",
        "2d",
    ),
)

STRUCTURES: tuple[CloudStructure, ...] = (
    "microtubules",
    "nuclear_pores",
    "actin",
    "mitochondria",
)
"""Structures in the order of the switch."""

_FOUR = RenderingPairs(structures=STRUCTURES, switch=True)

_MIXED: dict[BudgetName, Budget] = {
    **BUDGETS,
    # batches of four fields: statistics are those of all structures together
    "cpu": Budget(
        stages=(
            Stage(
                epochs=30,
                steps=100,
                batch_size=8,
                changes=ALONE | {"source__crop_px": SMALL_PX},
            ),
            Stage(epochs=6, steps=25, batch_size=8),
        ),
        learning_rate=7e-4,
        warmup_steps=100,
        validation_samples=16,
        hours=2.0,
        workers=2,
    ),
}

_CRITIC: dict[str, Any] = {"channels": 4, "width": CRITIC_WIDTH}

ANNA_PALM_STRUCTURES = ANNA_PALM_MICROTUBULES.override(
    name="anna_palm_structures",
    title="ANNA-PALM - four structures from few frames",
    summary=(
        "Turns the localizations of some hundred frames of microtubules, nuclear "
        "pores, actin or mitochondria, which a switch tells apart, with a widefield "
        "image of the field or without, into the rendering that a long acquisition "
        "would give: an estimate that follows from what these structures look like."
    ),
    options__switch=True,
    options__coding="places",
    contract__grid__channels=("localizations", "widefield", "structure"),
    contract__input=Renderings(
        pixel_size_nm=PIXEL_NM, second="widefield", structures=STRUCTURES
    ),
    contract__preprocessing=(
        {"id": "clip", "kwargs": {"min": 0.0, "max": MOST_COUNTS}},
    ),
    contract__input_text=(
        "Localizations per 20 nm pixel; widefield in [0, 1] or 0; 0 microtubules, 1 "
        "nuclear pores, 2 actin, 3 mitochondria"
    ),
    contract__output_text=(
        "Dense rendering between 0 and 1: a single structure of its kind has about half"
    ),
    source=_FOUR,
    objective__critics__critic__options=_CRITIC,
    test_set=RenderingTestSet(conditions=_FOUR, fields=8),
    budgets=_MIXED,
    seed=20180,
    acceptance=(
        Threshold(metric="table/300/frames_saved", at_least=2.0),
        Threshold(metric="widefield/300/frames_saved", at_least=4.0),
        Threshold(metric="noise/5/false_area_percent", at_most=0.5),
    ),
    tags=(
        "single-molecule-localization-microscopy",
        "smlm",
        "storm",
        "palm",
        "dna-paint",
        "microtubules",
        "nuclear-pores",
        "actin",
        "mitochondria",
        "fluorescence-light-microscopy",
        "2d",
    ),
)
