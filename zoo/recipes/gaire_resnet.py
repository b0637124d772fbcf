"""Gaire's residual network on simulated spectroscopic acquisitions."""

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.recipe import Budget, Recipe, Stage, Threshold
from zoo.inputs.renderings import Renderings
from zoo.losses import MsePlusSsim
from zoo.models.gaire_resnet import GAIRE_RESNET
from zoo.objectives.supervised import Supervised
from zoo.simulate.spectral_renderings import GAIN, MOST_COUNTS, SpectralPairs
from zoo.tasks.image import ImageRestoration
from zoo.test_sets.spectral_renderings import SpectralTestSet

PIXEL_NM = 20.0
"""Pixel of the renderings, nm."""

BLOCKS = 16
"""Residual blocks."""

WIDTH = 32
"""Channels of the published packages, half of the design's: four times as fast."""

TILE_PX = 256
"""Edge that other programs are told to use, px."""

TWO_COLORS = SpectralPairs()
THREE_COLORS = SpectralPairs(structures=("microtubules", "mitochondria", "peroxisomes"))


def ahead(*, apart: float = 0.0) -> tuple[Threshold, ...]:
    """Return what an eighth of the frames must be as good as.

    Parameters
    ----------
    apart
        Lower bound of the lead over all frames for spectra that are 40 nm apart.
    """
    lead = {15: 0.0, 25: 0.0, 40: apart}
    return (
        Threshold(metric="distance/all/ms_ssim", at_least=0.84),
        *(
            Threshold(
                metric=f"distance/{distance}/ms_ssim_over_all_frames", at_least=least
            )
            for distance, least in lead.items()
        ),
        Threshold(metric="distance/15/crosstalk_left", at_most=0.85),
    )


GAIRE_RESNET_TWO_COLOR = Recipe(
    name="gaire_resnet_two_color",
    title="Gaire residual network - two colors from few frames",
    summary=(
        "Turns renderings of two colors from an eighth of the frames of a "
        "spectroscopic localization microscopy recording, mixed where the spectra "
        "overlap, into dense renderings of either structure."
    ),
    network=GAIRE_RESNET,
    options={"colors": 2, "width": WIDTH, "blocks": BLOCKS},
    contract=Contract(
        grid=Grid.square(
            halo=2 * BLOCKS + 3,
            channels=("color1", "color2"),
            outputs=("color1", "color2"),
        ),
        input=Renderings(pixel_size_nm=PIXEL_NM, second="colors"),
        task=ImageRestoration(),
        preprocessing=(
            {"id": "clip", "kwargs": {"min": 0.0, "max": MOST_COUNTS}},
            {"id": "scale_linear", "kwargs": {"gain": GAIN, "offset": 0.0}},
        ),
        tile={"y": TILE_PX, "x": TILE_PX},
        input_text=(
            "Localizations per pixel of 20 nm in each window of the spectral centroid"
        ),
        output_text="Dense rendering of every color, between 0 and 1",
        modality="spectroscopic single-molecule localization microscopy",
    ),
    source=TWO_COLORS,
    objective=Supervised(loss=MsePlusSsim(ssim_weight=0.0)),
    test_set=SpectralTestSet(),
    budgets={
        "smoke": Budget(
            stages=(
                Stage(
                    epochs=3, steps=12, batch_size=4, changes={"source__crop_px": 64}
                ),
            ),
            learning_rate=2e-3,
            warmup_steps=5,
            validation_samples=4,
        ),
        "cpu": Budget(
            stages=(
                Stage(
                    epochs=30, steps=200, batch_size=8, changes={"source__crop_px": 64}
                ),
                Stage(epochs=4, steps=100, batch_size=4),
            ),
            learning_rate=1e-3,
            validation_samples=16,
            hours=2.0,
            workers=2,
        ),
        "gpu": Budget(
            stages=(Stage(epochs=20, steps=200, batch_size=16),),
            learning_rate=1e-3,
            workers=2,
            hours=0.11,
        ),
    },
    seed=2020,
    acceptance=ahead(),
    tags=(
        "single-molecule-localization-microscopy",
        "smlm",
        "spectroscopy",
        "multicolor",
        "microtubules",
        "mitochondria",
        "fluorescence-light-microscopy",
        "2d",
    ),
)

_COLORS = ("color1", "color2", "color3")

GAIRE_RESNET_THREE_COLOR = GAIRE_RESNET_TWO_COLOR.override(
    name="gaire_resnet_three_color",
    title="Gaire residual network - three colors from few frames",
    summary=(
        "Turns renderings of three colors from an eighth of the frames of a "
        "spectroscopic localization microscopy recording, mixed where the spectra "
        "overlap, into dense renderings of every structure."
    ),
    options={"colors": 3, "width": WIDTH, "blocks": BLOCKS},
    contract__grid=Grid.square(halo=2 * BLOCKS + 3, channels=_COLORS, outputs=_COLORS),
    source=THREE_COLORS,
    test_set=SpectralTestSet(conditions=THREE_COLORS),
    # thresholds of three colors that are well apart hardly err
    acceptance=(
        *ahead(apart=-0.02),
        Threshold(metric="distance/all/ms_ssim_over_all_frames", at_least=0.0),
    ),
)
