"""DFCAN behind a blind SIM reconstruction; not a published network.

The trunk is that of Qiao, Li, Guo, Liu, Jiang, Dai and Li 2021
(doi:10.1038/s41592-020-01048-5), whose first convolution sees nine raw frames.  Here it
sees their mean and Wiener reconstructions for the illumination pattern that is
estimated from the frames, nine maps as well.
"""

import keras
import numpy as np

from zoo.core import papers
from zoo.core.network import Network
from zoo.layers.attention import Spectrum
from zoo.layers.resize import Convention
from zoo.layers.sim.reconstruction import MAPS, SCALE
from zoo.layers.sim.trunk import reconstructed_trunk

SHOWN = (7.0, -4.6)
"""Gain and bias before the sigmoid with which a reconstruction is nearest to the
target, by least squares over simulated images."""


def dfcan_reconstructed(
    *,
    tile: int | None = 128,
    width: int = 64,
    groups: int = 4,
    blocks: int = 4,
    gamma: float = 0.8,
    spectrum: Spectrum = "normalised",
    resize: Convention = "half_pixel",
    spectrum_px: int = 128,
    informed: bool = False,
    dtype: str = "float32",
) -> keras.Model:
    """Build DFCAN for reconstructions of three orientations with three phases each.

    Layers and weights are those of `zoo.models.dfcan` with nine channels.

    Parameters
    ----------
    tile
        Input height and width, px; None for any size.
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
        "dfcan_reconstructed",
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


def show_reconstruction(model: keras.Model) -> None:
    """Make a network that is about to be trained show the reconstruction it is given.

    The mean of the reconstructions is carried through all layers: two units of opposite
    sign carry a number through the activation, since ``gelu(v) - gelu(-v) = v``, and
    blocks add nothing to those feature maps to begin with.  Training then starts from a
    reconstruction squeezed by the sigmoid, not from noise.

    Parameters
    ----------
    model
        From `dfcan_reconstructed`.
    """
    fine = SCALE**2
    head, tail, last = (
        model.get_layer(name) for name in ("head_conv", "tail_conv", "output_conv")
    )
    kernel, bias = head.get_weights()
    carriers = np.argsort(np.abs(kernel).sum(axis=(0, 1, 2)))[: 2 * fine]
    signs = np.array([1.0, -1.0], np.float32)
    kernel[..., carriers] = 0
    bias[carriers] = 0
    pairs = carriers.reshape(fine, 2)
    for number, pair in enumerate(pairs):
        kernel[1, 1, 1 + number :: fine, pair] = signs[:, None] * fine / (MAPS - 1)
    head.set_weights([kernel, bias])
    for layer in model.layers:
        if layer.name.endswith("_conv2"):
            kernel, bias = layer.get_weights()
            kernel[..., carriers] = 0
            bias[carriers] = 0
            layer.set_weights([kernel, bias])
    groups = sum(
        layer.name.startswith("group") and layer.name.count("_") == 1
        for layer in model.layers
    )
    kernel, bias = tail.get_weights()
    width = kernel.shape[-1] // fine
    for number, pair in enumerate(pairs):
        shown = number * width + np.arange(2)
        kernel[..., shown] = 0
        # every group adds its input to its output
        kernel[1, 1, pair[:, None], shown] = np.outer(signs, signs) / 2**groups
        bias[shown] = 0
    tail.set_weights([kernel, bias])
    kernel, bias = (np.zeros_like(part) for part in last.get_weights())
    kernel[1, 1, :2, 0] = SHOWN[0] * signs
    bias[:] = SHOWN[1]
    last.set_weights([kernel, bias])


DFCAN_RECONSTRUCTED = Network(
    name="dfcan_reconstructed",
    build=dfcan_reconstructed,
    paper=papers.QIAO_2021,
    parameters=1_935_361,
    published=False,
    variant_of="dfcan",
    note=(
        "Not the published architecture: a blind SIM reconstruction stands before the "
        "first convolution of DFCAN, which sees the mean of the nine raw frames and "
        "Wiener reconstructions instead of the frames."
    ),
    prepare=show_reconstruction,
)
