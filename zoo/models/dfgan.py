"""DFGAN: the deeper sibling of DFCAN, trained against a critic.

Qiao, Li, Guo, Liu, Jiang, Dai and Li 2021 (doi:10.1038/s41592-020-01048-5).  Trunk and
attention are those of DFCAN; `dfgan_reconstructed` stands behind the blind SIM
reconstruction that `zoo.models.dfcan_reconstructed` has.
"""

import keras

from zoo.core import papers
from zoo.core.network import Network
from zoo.layers.attention import Spectrum
from zoo.layers.dfcan_trunk import dfcan_trunk, entrance
from zoo.layers.resize import Convention
from zoo.layers.sim.trunk import reconstructed_trunk


def dfgan(
    *,
    scale: int = 2,
    channels: int = 1,
    tile: int | None = 128,
    width: int = 64,
    groups: int = 5,
    blocks: int = 10,
    gamma: float = 0.1,
    spectrum: Spectrum = "normalised",
    resize: Convention = "half_pixel",
    spectrum_px: int = 128,
    dtype: str = "float32",
) -> keras.Model:
    """Build the generator of DFGAN.

    With ``groups=4, blocks=4`` the layers are those of DFCAN, whose weights it can
    start from.

    Parameters
    ----------
    scale
        Output pixels per input pixel along an axis: 2 (linear) or 3 (non-linear SIM).
    channels
        Images that go in: 1 for widefield, 9 or 25 for raw SIM frames.
    tile
        Input height and width, px; None for any size.
    width, groups, blocks, gamma, dtype
        As for `zoo.layers.dfcan_trunk.dfcan_trunk`.
    spectrum
        ``published`` amplitudes grow with the field; ``normalised`` ones are the
        published where the field is `spectrum_px` wide and high, and everywhere what
        they are there.
    resize
        Convention of the resizing of spectra; the authors' program is ``legacy``.
    spectrum_px
        Height and width that spectra are resized to before they are weighed.

    Returns
    -------
    model : keras.Model
        (b, y, x, channels) scaled to [0, 1] to (b, scale * y, scale * x, 1) between 0
        and 1.

    Raises
    ------
    ValueError
        If a number is too small or an option unknown.
    """
    image, basis = entrance(
        channels, tile, spectrum_px, spectrum=spectrum, resize=resize
    )
    restored = dfcan_trunk(
        image,
        basis,
        scale=scale,
        width=width,
        groups=groups,
        blocks=blocks,
        gamma=gamma,
        dtype=dtype,
    )
    return keras.Model(image, restored, name="dfgan")


def dfgan_reconstructed(
    *,
    tile: int | None = 128,
    width: int = 64,
    groups: int = 5,
    blocks: int = 10,
    gamma: float = 0.1,
    spectrum: Spectrum = "normalised",
    resize: Convention = "half_pixel",
    spectrum_px: int = 128,
    informed: bool = False,
    dtype: str = "float32",
) -> keras.Model:
    """Build the generator of DFGAN for reconstructions of nine raw SIM frames.

    Layers and weights are those of `dfgan` with nine channels.

    Parameters
    ----------
    tile
        Input height and width, px; None for any size.
    width, groups, blocks, gamma, dtype
        As for `zoo.layers.dfcan_trunk.dfcan_trunk`.
    spectrum, resize, spectrum_px
        As for `dfgan`.
    informed
        Whether the pattern comes in a tenth channel instead of being estimated, as in
        training; see `zoo.layers.sim.entrance.told`.

    Returns
    -------
    model : keras.Model
        (b, y, x, 9) scaled to [0, 1] to (b, 2y, 2x, 1) between 0 and 1.

    Raises
    ------
    ValueError
        If a number is too small or an option unknown.
    """
    return reconstructed_trunk(
        "dfgan_reconstructed",
        tile=tile,
        width=width,
        groups=groups,
        blocks=blocks,
        gamma=gamma,
        spectrum=spectrum,
        resize=resize,
        spectrum_px=spectrum_px,
        informed=informed,
        dtype=dtype,
    )


DFGAN = Network(
    name="dfgan",
    build=dfgan,
    paper=papers.QIAO_2021,
    parameters=5_717_129,
    note=(
        "Layers and parameters are the published generator's; amplitudes of spectra "
        "are scaled so that the attention does not depend on the size of the field."
    ),
)

DFGAN_RECONSTRUCTED = Network(
    name="dfgan_reconstructed",
    build=dfgan_reconstructed,
    paper=papers.QIAO_2021,
    parameters=5_721_737,
    published=False,
    variant_of="dfgan",
    note=(
        "Not the published architecture: a blind SIM reconstruction stands before the "
        "first convolution of DFGAN, which sees the mean of the nine raw frames and "
        "Wiener reconstructions instead of the frames."
    ),
)
