"""DFCAN: one widefield image or raw SIM frames in, a super-resolved image out.

Qiao, Li, Guo, Liu, Jiang, Dai and Li 2021 (doi:10.1038/s41592-020-01048-5).
"""

import math
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from zoo.core.network import Grid, Network, Paper
from zoo.layers.blocks import gelu
from zoo.layers.fourier import (
    Basis,
    Spectrum,
    fourier_basis,
    fourier_channel_attention,
)
from zoo.layers.reconstruction import MAPS, SCALE, reconstructions
from zoo.layers.resize import Convention

Frames = Literal["raw", "reconstructed"]
"""What the first layer of a network for nine raw frames sees: the frames, or their mean
and reconstructions (`zoo.layers.reconstruction.reconstructions`), nine maps as well."""

EMPTY = -3.2
"""Output before the sigmoid at the start of training: 0.04, about the mean of a picture
of cell structures.  A bias of zero starts at 0.5, from where the first steps push all
pixels down together until the sigmoid is flat and the output stays black."""

RECONSTRUCTED = "reconstructions"
"""Name of the layer whose output is the first convolution's input."""

SHOWN = (7.0, -4.6)
"""Gain and bias before the sigmoid with which a reconstruction is nearest to the
target, by least squares over simulated pictures."""

STRIPE_FEATURES = 3 / 16
"""Share of the feature maps of the first layer that `watch_stripes` turns."""

STRIPE_GAIN = 30.0
"""Weight of raw frames in them.  What stripes change in a frame is a hundredth of its
range: less gain would leave it where the activation is a straight line."""


def dfcan(
    *,
    scale: int = 2,
    channels: int = 1,
    frames: Frames = "raw",
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

    Residual groups of residual blocks run at the input's resolution; in each block the
    channels are weighed by their Fourier spectra over the whole field.  A pixel
    shuffle enlarges the result.  Weights do not depend on `tile`, which may differ
    between training and use.

    Parameters
    ----------
    scale
        Output pixels per input pixel along an axis; the paper's are 2 (linear) and 3
        (non-linear SIM).
    channels
        Images that go in: 1 for widefield, 9 or 25 for raw SIM frames.
    frames
        ``raw`` is the published network.  ``reconstructed`` finds the stripes of nine
        raw frames and reconstructs them before the first layer; layers and weights are
        the same.
    tile
        Input height and width, px; None for any size.  A network of free size always
        resizes its spectra, which costs some speed.
    width
        Feature maps.
    groups, blocks
        Residual groups, and blocks in each.
    gamma
        Exponent of the amplitudes.
    spectrum
        ``published`` amplitudes grow with the field, and the weights of the channels
        with them.  ``normalised`` divides by the square root of the number of pixels
        and multiplies by `spectrum_px`: the published network where the field is
        `spectrum_px` wide and high, and everywhere what it does there.
    resize
        Convention of the resizing of spectra; the authors' program is ``legacy``.
    spectrum_px
        Height and width that spectra are resized to before they are weighed.
    dtype
        Precision of the layers; spectra and the output are float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, channels) scaled to [0, 1] to (b, scale * y, scale * x, 1) between 0
        and 1.

    Raises
    ------
    ValueError
        If a number is too small, an option is unknown, or frames other than nine are to
        be reconstructed, or on another scale than 2.
    """
    for name, value, least in (
        ("scale", scale, 2),
        ("channels", channels, 1),
        ("width", width, 1),
        ("groups", groups, 1),
        ("blocks", blocks, 1),
        ("spectrum_px", spectrum_px, 1),
        ("tile", 1 if tile is None else tile, 1),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    if gamma <= 0:
        raise ValueError(f"gamma must be positive, not {gamma}")
    if frames not in ("raw", "reconstructed"):
        raise ValueError(f"frames must be raw or reconstructed, not {frames!r}")
    if frames == "reconstructed" and (channels, scale) != (MAPS, SCALE):
        raise ValueError(
            f"frames=reconstructed needs {MAPS} channels and scale {SCALE}, not "
            f"{channels} and {scale}"
        )
    image: Any = keras.Input((tile, tile, channels), name="image", dtype="float32")
    basis = fourier_basis(
        image,
        size=spectrum_px,
        reference_px=spectrum_px,
        spectrum=spectrum,
        resize=resize,
    )
    x = image
    if frames == "reconstructed":
        join = layers.Concatenate(dtype="float32", name=RECONSTRUCTED)
        x = join(reconstructions(image))
    x = gelu(_conv(x, width, name="head_conv", dtype=dtype))
    for group in range(1, groups + 1):
        first = x
        for block in range(1, blocks + 1):
            name = f"group{group}_block{block}"
            x = _block(x, basis, gamma=gamma, name=name, dtype=dtype)
        x = layers.Add(dtype=dtype, name=f"group{group}_add")([x, first])
    x = gelu(_conv(x, width * scale**2, name="tail_conv", dtype=dtype))
    x = ops.nn.depth_to_space(x, scale, data_format="channels_last")
    # the type checker knows names of initializers only
    kernel: Any = keras.initializers.RandomUniform(-1e-3, 1e-3)
    bias: Any = keras.initializers.Constant(EMPTY)
    restored = layers.Conv2D(
        1,
        3,
        padding="same",
        activation="sigmoid",
        kernel_initializer=kernel,
        bias_initializer=bias,
        data_format="channels_last",
        dtype="float32",
        name="output_conv",
    )(x)
    return keras.Model(image, restored, name="dfcan")


def _block(
    x: keras.KerasTensor, basis: Basis, *, gamma: float, name: str, dtype: str
) -> keras.KerasTensor:
    width = int(x.shape[-1])
    y = gelu(_conv(x, width, name=f"{name}_conv1", dtype=dtype))
    y = gelu(_conv(y, width, name=f"{name}_conv2", dtype=dtype))
    y = fourier_channel_attention(
        y, basis, name=f"{name}_attention", gamma=gamma, dtype=dtype
    )
    return layers.Add(dtype=dtype, name=f"{name}_add")([y, x])


def _conv(
    x: keras.KerasTensor, width: int, *, name: str, dtype: str
) -> keras.KerasTensor:
    return layers.Conv2D(
        width, 3, padding="same", data_format="channels_last", dtype=dtype, name=name
    )(x)


def watch_stripes(model: keras.Model) -> None:
    """Make a network that is about to be trained look at stripes.

    What nine raw frames hold beyond their mean, shifted frequencies, can only be used
    by multiplying frames with one another.  Small weights leave every layer close to a
    straight line: gradients of either sign cancel, since the phases are random, and a
    training ends with a network that takes the mean of the frames, however long.  So
    some feature maps, those with the smallest kernels, become the components of an
    orientation's phases, ``sum of cos(2 pi k / phases + offset)`` times frame `k`,
    large enough for the activation to bend.  Layers do not read those maps to begin
    with; they learn to.

    Parameters
    ----------
    model
        DFCAN; one whose channels are not raw frames of equally many orientations and
        phases, three or more of each, stays as it is.
    """
    phases = math.isqrt(model.input_shape[-1])
    if phases < 3 or phases**2 != model.input_shape[-1]:
        return
    head = model.get_layer("head_conv")
    kernel, bias = head.get_weights()
    count = int(STRIPE_FEATURES * kernel.shape[-1])
    chosen = np.argsort(np.abs(kernel).sum(axis=(0, 1, 2)))[:count]
    smooth = np.outer([1, 2, 1], [1, 2, 1]) / 16
    offsets = math.ceil(count / phases)
    kernel[..., chosen] = 0
    for number, feature in enumerate(chosen):
        offset, orientation = divmod(number, phases)
        turns = np.arange(phases) / phases + offset / offsets
        frames = slice(orientation * phases, (orientation + 1) * phases)
        waves = STRIPE_GAIN * np.cos(2 * np.pi * turns)
        kernel[:, :, frames, feature] = smooth[..., None] * waves
    bias[chosen] = 0
    head.set_weights([kernel, bias])
    for layer in model.layers:
        if layer.name == "tail_conv" or layer.name.endswith("_conv1"):
            kernel, bias = layer.get_weights()
            kernel[:, :, chosen] = 0
            layer.set_weights([kernel, bias])


def show_reconstruction(model: keras.Model) -> None:
    """Make a network that is about to be trained show what it is given.

    The mean of the reconstructions is carried through all layers: two units of opposite
    sign carry a number through the activation, since ``gelu(v) - gelu(-v) = v``, and
    blocks add nothing to those feature maps to begin with.  Training then starts from a
    reconstruction squeezed by the sigmoid, not from noise.

    Parameters
    ----------
    model
        DFCAN with ``frames="reconstructed"``.
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
        # every group adds what it was given to what came of it
        kernel[1, 1, pair[:, None], shown] = np.outer(signs, signs) / 2**groups
        bias[shown] = 0
    tail.set_weights([kernel, bias])
    kernel, bias = (np.zeros_like(part) for part in last.get_weights())
    kernel[1, 1, :2, 0] = SHOWN[0] * signs
    bias[:] = SHOWN[1]
    last.set_weights([kernel, bias])


def prepare(model: keras.Model) -> None:
    """Give a network that is about to be trained the start that its input needs.

    Parameters
    ----------
    model
        DFCAN; one for single images stays as it is.
    """
    if any(layer.name == RECONSTRUCTED for layer in model.layers):
        show_reconstruction(model)
    else:
        watch_stripes(model)


DFCAN = Network(
    name="dfcan",
    task="image",
    build=dfcan,
    paper=Paper(
        authors="Qiao C, Li D, Guo Y, Liu C, Jiang T, Dai Q, Li D",
        title=(
            "Evaluation and development of deep neural networks for image "
            "super-resolution in optical microscopy"
        ),
        journal="Nature Methods 18, 194-202",
        year=2021,
        doi="10.1038/s41592-020-01048-5",
    ),
    grid=Grid(axes="byxc", scale=2, tile=128, channels=1),
    parameters=1_930_753,
    note=(
        "Layers and parameters are the published ones; amplitudes of spectra are "
        "scaled so that the attention does not depend on the size of the field."
    ),
    prepare=prepare,
)
