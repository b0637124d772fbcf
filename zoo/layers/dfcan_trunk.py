"""Trunk of DFCAN: residual groups with Fourier channel attention and a pixel shuffle.

Qiao, Li, Guo, Liu, Jiang, Dai and Li 2021 (doi:10.1038/s41592-020-01048-5).
"""

from typing import Any

import keras
from keras import layers, ops

from zoo.layers.attention import (
    Basis,
    Spectrum,
    fourier_basis,
    fourier_channel_attention,
)
from zoo.layers.blocks import gelu
from zoo.layers.resize import Convention

DARK = -3.2
"""Output before the sigmoid at the start of training: 0.04, about the mean of an image
of cell structures.  A bias of zero starts at 0.5, from where the first steps push all
pixels down together until the sigmoid is flat and the output stays black."""


def entrance(
    channels: int,
    tile: int | None,
    spectrum_px: int,
    *,
    spectrum: Spectrum,
    resize: Convention,
) -> tuple[Any, Any]:
    """Return the input of a DFCAN or DFGAN and the matrices for its spectra.

    Parameters
    ----------
    channels
        Images that go in.
    tile
        Input height and width, px; None for any size.
    spectrum_px
        Height and width that spectra are resized to.
    spectrum, resize
        As for `zoo.layers.attention.fourier_basis`.

    Raises
    ------
    ValueError
        If a number is too small or an option unknown.
    """
    for name, value in (("channels", channels), ("tile", tile)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    image: Any = keras.Input((tile, tile, channels), name="image", dtype="float32")
    basis = fourier_basis(
        image,
        size=spectrum_px,
        reference_px=spectrum_px,
        spectrum=spectrum,
        resize=resize,
    )
    return image, basis


def dfcan_trunk(
    maps: Any,
    basis: Basis,
    *,
    scale: int,
    width: int,
    groups: int,
    blocks: int,
    gamma: float,
    dtype: str,
) -> Any:
    """Restore a super-resolved image from feature maps at the camera's resolution.

    Residual groups of residual blocks run at the resolution of the maps; in each block
    the channels are weighed by their Fourier spectra over the whole field.  A pixel
    shuffle enlarges the result.

    Parameters
    ----------
    maps : (b, y, x, c)
        What the first convolution sees.
    basis
        Matrices for spectra of maps of this size.
    scale
        Output pixels per pixel of the maps along an axis.
    width
        Feature maps.
    groups, blocks
        Residual groups, and blocks in each.
    gamma
        Exponent of the amplitudes.
    dtype
        Precision of the layers; spectra and the output are float32 in any case.

    Returns
    -------
    image : (b, scale * y, scale * x, 1) float32
        Between 0 and 1.

    Raises
    ------
    ValueError
        If a number is too small.
    """
    for name, value, least in (
        ("scale", scale, 2),
        ("width", width, 1),
        ("groups", groups, 1),
        ("blocks", blocks, 1),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    if gamma <= 0:
        raise ValueError(f"gamma must be positive, not {gamma}")
    x = gelu(_conv(maps, width, name="head_conv", dtype=dtype))
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
    bias: Any = keras.initializers.Constant(DARK)
    return layers.Conv2D(
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
