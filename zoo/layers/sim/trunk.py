"""The trunk of DFCAN and of DFGAN's generator behind a blind SIM reconstruction."""

import keras
from keras import layers

from zoo.layers.attention import Spectrum
from zoo.layers.dfcan_trunk import dfcan_trunk, entrance
from zoo.layers.resize import Convention
from zoo.layers.sim.reconstruction import FRAMES, SCALE, reconstructions


def reconstructed_trunk(
    name: str,
    *,
    tile: int | None,
    width: int,
    groups: int,
    blocks: int,
    gamma: float,
    spectrum: Spectrum,
    resize: Convention,
    spectrum_px: int,
    informed: bool,
    dtype: str,
) -> keras.Model:
    """Build a network that sees the mean of nine raw frames and reconstructions.

    Parameters
    ----------
    name
        Of the network.
    tile
        Input height and width, px; None for any size.
    width, groups, blocks, gamma, dtype
        As for `zoo.layers.dfcan_trunk.dfcan_trunk`.
    spectrum, resize
        As for `zoo.layers.attention.fourier_basis`.
    spectrum_px
        Height and width that spectra are resized to before they are weighed.
    informed
        Whether the pattern comes in a tenth channel instead of being estimated; see
        `zoo.layers.sim.entrance.told`.

    Returns
    -------
    model : keras.Model
        (b, y, x, 9) scaled to [0, 1] to (b, 2y, 2x, 1) between 0 and 1.

    Raises
    ------
    ValueError
        If a number is too small or an option unknown.
    """
    channels = FRAMES + informed
    image, basis = entrance(
        channels, tile, spectrum_px, spectrum=spectrum, resize=resize
    )
    join = layers.Concatenate(dtype="float32", name="reconstructions")
    restored = dfcan_trunk(
        join(reconstructions(image, informed=informed)),
        basis,
        scale=SCALE,
        width=width,
        groups=groups,
        blocks=blocks,
        gamma=gamma,
        dtype=dtype,
    )
    return keras.Model(image, restored, name=name)
