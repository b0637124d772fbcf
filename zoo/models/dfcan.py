"""DFCAN: a widefield image or raw SIM frames in, a super-resolved image out.

Qiao, Li, Guo, Liu, Jiang, Dai and Li 2021 (doi:10.1038/s41592-020-01048-5).
"""

import keras

from zoo.core import papers
from zoo.core.network import Network
from zoo.layers.attention import Spectrum
from zoo.layers.dfcan_trunk import dfcan_trunk, entrance
from zoo.layers.resize import Convention


def dfcan(
    *,
    scale: int = 2,
    channels: int = 1,
    tile: int | None = 128,
    width: int = 64,
    groups: int = 4,
    blocks: int = 4,
    gamma: float = 0.8,
    spectrum: Spectrum = "normalised",
    resize: Convention = "half_pixel",
    spectrum_px: int = 128,
    dtype: str = "float32",
) -> keras.Model:
    """Build the deep Fourier channel attention network.

    Weights do not depend on `tile`, which may differ between training and use.

    Parameters
    ----------
    scale
        Output pixels per input pixel along an axis; the paper's are 2 (linear) and 3
        (non-linear SIM).
    channels
        Images that go in: 1 for widefield, 9 or 25 for raw SIM frames.
    tile
        Input height and width, px; None for any size.  A network of free size always
        resizes its spectra, which costs some speed.
    width, groups, blocks, gamma, dtype
        As for `zoo.layers.dfcan_trunk.dfcan_trunk`.
    spectrum
        ``published`` amplitudes grow with the field, and the weights of the channels
        with them.  ``normalised`` ones are the published where the field is
        `spectrum_px` wide and high, and everywhere what they are there.
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
    return keras.Model(image, restored, name="dfcan")


DFCAN = Network(
    name="dfcan",
    build=dfcan,
    paper=papers.QIAO_2021,
    parameters=1_930_753,
    note=(
        "Layers and parameters are the published ones; amplitudes of spectra are "
        "scaled so that the attention does not depend on the size of the field."
    ),
)
