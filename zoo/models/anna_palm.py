"""ANNA-PALM's A-net: from sparse rendering and widefield image to a dense rendering.

Ouyang, Aristov, Lelek, Hao and Zimmer 2018 (doi:10.1038/nbt.4106).  The U-Net is that
of pix2pix (Isola et al. 2017, doi:10.1109/CVPR.2017.632) with a switch between
structures.  Its critic and its consistency network are in `zoo.layers.anna_palm`.
"""

from typing import Any, Literal

import keras
import numpy as np
from keras import layers

from zoo.core import papers
from zoo.core.network import Network

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

Norm = Literal["batch", "moving", "instance"]
Scaling = Literal["published", "logarithmic"]
Coding = Literal["published", "places"]

WIDEST = 8
"""Channels of the inner levels, in units of the width."""

STRUCTURES = 4
"""Structures of the switch, numbered from 0."""

EPSILON = 1e-5
"""Added to variances, as published."""


def anna_palm(
    *,
    width: int = 64,
    levels: int = 8,
    switch: bool = True,
    coding: Coding = "published",
    norm: Norm = "batch",
    scaling: Scaling = "published",
    dropout: float = 0.5,
    tile: int | None = None,
    dtype: str = "float32",
) -> keras.Model:
    """Build the A-net.

    Parameters
    ----------
    width
        Channels of the first level; they double up to eight times as many.
    levels
        Halvings of the image; sides must be multiples of ``2**levels``.
    switch
        Whether a third channel of the input holds the number of the structure: 0
        microtubules, 1 nuclear pores, 2 actin, 3 mitochondria.
    coding
        How the switch counts.  ``published`` takes the number as it is, the largest in
        the image because what surrounds a small field is zero, so that the effect of
        structure 2 is twice that of 1.  ``places`` gives each of the
        structures from 1 on weights of its own and looks at the number where it stands,
        so that results do not depend on the tile.  In both, microtubules add nothing:
        a network without a switch is this one at 0.
    norm
        ``batch`` are the paper's statistics of the batch, in use as well: with one
        image, those of the tile.  ``moving`` are the averages over the training, so
        that results depend neither on the batch nor on the tile.  ``instance`` are
        those of the image.
    scaling
        ``published`` standardises the sparse channel and stretches the widefield, both
        by what the tile holds.  ``logarithmic`` takes ``ln(1 + counts)`` and the
        widefield as it comes: scaled to [0, 1], or zero where there is none.
    dropout
        Share that is dropped in the three inner levels of the decoder in training.
    tile
        Input height and width, px; None for any multiple.
    dtype
        Precision of the layers; the last one is float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, 2 or 3) counts per pixel, widefield intensities and number of the
        structure to (b, y, x, 1) between 0 and 1.

    Raises
    ------
    ValueError
        If a size is below one, `tile` is no multiple, or an option is unknown.
    """
    if min(width, levels) < 1:
        raise ValueError(
            f"width and levels must be at least 1, not {width} and {levels}"
        )
    if norm not in ("batch", "moving", "instance"):
        raise ValueError(f"norm must be batch, moving or instance, not {norm!r}")
    if scaling not in ("published", "logarithmic"):
        raise ValueError(f"scaling must be published or logarithmic, not {scaling!r}")
    if coding not in ("published", "places"):
        raise ValueError(f"coding must be published or places, not {coding!r}")
    if tile is not None and tile % 2**levels:
        raise ValueError(f"tile must be a multiple of {2**levels} px, not {tile}")
    widths = [width * min(2**level, WIDEST) for level in range(levels)]
    image: Any = keras.Input(
        (tile, tile, 3 if switch else 2), name="renderings", dtype="float32"
    )
    x = _scaled(image, scaling)
    structure = _structure(image[..., 2:], coding, dtype=dtype) if switch else None
    skips: list[Any] = []
    for level, channels in enumerate(widths, start=1):
        name = f"enc{level}"
        if level > 1:
            x = layers.LeakyReLU(0.2, dtype=dtype, name=f"{name}_relu")(x)
        x = _conv(x, channels, size=4, strides=2, name=f"{name}_conv", dtype=dtype)
        if structure is not None:
            if coding == "places":
                structure = layers.MaxPooling2D(
                    2, data_format="channels_last", dtype=dtype, name=f"{name}_place"
                )(structure)
            kind = _conv(
                structure, channels, size=1, name=f"{name}_switch", dtype=dtype
            )
            x = layers.Add(dtype=dtype, name=f"{name}_add")([x, kind])
        if level > 1:
            x = _normalised(x, norm, name=f"{name}_norm", dtype=dtype)
        skips.append(x)
    for level in range(levels, 1, -1):
        name = f"dec{level}"
        x = _enlarged(x, widths[level - 2], name=name, dtype=dtype)
        x = _normalised(x, norm, name=f"{name}_norm", dtype=dtype)
        if dropout and level > levels - 3:
            x = layers.Dropout(dropout, dtype=dtype, name=f"{name}_dropout")(x)
        x = layers.Concatenate(dtype=dtype, name=f"{name}_join")([x, skips[level - 2]])
    x = _enlarged(x, 1, name="dec1", dtype="float32")
    dense = 0.5 * (ops.tanh(x) + 1.0)
    return keras.Model(image, dense, name="anna_palm")


def _scaled(image: Any, scaling: Scaling) -> Any:
    """Return sparse rendering and widefield image as the first layer takes them."""
    sparse, widefield = image[..., :1], image[..., 1:2]
    join = layers.Concatenate(dtype="float32", name="channels")
    if scaling == "logarithmic":
        sparse = ops.log(1.0 + ops.maximum(sparse, 0.0))
        return join([sparse, widefield])
    away = sparse - ops.mean(sparse, axis=(1, 2), keepdims=True)
    deviation = ops.sqrt(ops.mean(ops.square(away), axis=(1, 2), keepdims=True))
    # the floor of images without any localization: one over the root of the pixels
    pixels = ops.sum(ops.ones_like(sparse), axis=(1, 2), keepdims=True)
    sparse = 2.0 * away / ops.maximum(deviation, ops.rsqrt(pixels)) - 1.0
    low = ops.min(widefield, axis=(1, 2), keepdims=True)
    span = ops.max(widefield, axis=(1, 2), keepdims=True) - low
    # fifty grey levels at least, lest noise of an empty image be blown up
    widefield = 2.0 * (widefield - low) / ops.maximum(span, 50.0) - 1.0
    return join([sparse, widefield])


def _structure(number: Any, coding: Coding, *, dtype: str) -> Any:
    """Return what the switch adds to each level, before its weights."""
    if coding == "published":
        return layers.GlobalMaxPooling2D(
            keepdims=True, data_format="channels_last", dtype=dtype, name="switch"
        )(number)
    others = np.arange(1, STRUCTURES, dtype=np.float32)
    # one where the number is that of the structure, nothing at its neighbours
    return ops.relu(1.0 - ops.abs(number - others))


def _conv(
    x: Any, channels: int, *, size: int, name: str, dtype: str, strides: int = 1
) -> Any:
    small: Any = keras.initializers.RandomNormal(stddev=0.02)
    return layers.Conv2D(
        channels,
        size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=small,
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )(x)


def _enlarged(x: Any, channels: int, *, name: str, dtype: str) -> Any:
    x = layers.ReLU(dtype=dtype, name=f"{name}_relu")(x)
    x = layers.UpSampling2D(
        2, data_format="channels_last", dtype=dtype, name=f"{name}_enlarge"
    )(x)
    return _conv(x, channels, size=3, name=f"{name}_conv", dtype=dtype)


def _normalised(x: Any, norm: Norm, *, name: str, dtype: str) -> Any:
    around_one: Any = keras.initializers.RandomNormal(mean=1.0, stddev=0.02)
    if norm == "instance":
        return layers.GroupNormalization(
            groups=-1,
            axis=-1,
            epsilon=EPSILON,
            gamma_initializer=around_one,
            dtype=dtype,
            name=name,
        )(x)
    if norm == "batch":
        # a layer would use averages over the training; behind this, it only scales
        mean, variance = ops.moments(x, axes=(0, 1, 2), keepdims=True)
        x = (x - mean) * ops.rsqrt(variance + EPSILON)
    return layers.BatchNormalization(
        axis=-1,
        momentum=0.98,
        epsilon=EPSILON,
        gamma_initializer=around_one,
        dtype=dtype,
        name=name,
    )(x)


ANNA_PALM = Network(
    name="anna_palm",
    build=anna_palm,
    paper=papers.OUYANG_2018,
    parameters=39_158_464,
    note=(
        "Layers and parameters are the published ones; packages have fewer channels "
        "and levels, and normalisation that depends neither on batch nor on tile."
    ),
)
