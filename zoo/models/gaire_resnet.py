"""Residual network for sparse, spectrally mixed renderings of several colours.

Gaire, Zhang, Li, Yu, Zhang and Ying 2020 (doi:10.1364/BOE.391806) describe a residual
network that takes all colours together; its layers are not published, and those here
are our design in the manner of SRResNet (Ledig et al. 2017, doi:10.1109/CVPR.2017.19)
without enlargement.
"""

from typing import Any

import keras
from keras import layers

from zoo.core import papers
from zoo.core.network import Network


def gaire_resnet(
    *,
    colors: int = 3,
    width: int = 64,
    blocks: int = 16,
    dtype: str = "float32",
) -> keras.Model:
    """Build the residual network.

    All convolutions are 3 x 3, so that an output pixel sees ``2 * blocks + 3`` px in
    every direction.

    Parameters
    ----------
    colors
        Channels of input and output.
    width
        Channels of the trunk.
    blocks
        Residual blocks of two convolutions each.
    dtype
        Precision of the layers; the last one is float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, colors) sparse to (b, y, x, colors) dense renderings; the input is
        added to what the trunk makes of it.

    Raises
    ------
    ValueError
        If a size is below one.
    """
    if min(colors, width, blocks) < 1:
        raise ValueError(
            "colors, width and blocks must be at least 1, "
            f"not {colors}, {width}, {blocks}"
        )
    sparse: Any = keras.Input((None, None, colors), name="renderings", dtype="float32")
    x = _conv(sparse, width, name="stem_conv", dtype=dtype)
    stem = x = layers.ReLU(dtype=dtype, name="stem_relu")(x)
    for number in range(1, blocks + 1):
        name = f"block{number}"
        y = _conv(x, width, name=f"{name}_first_conv", dtype=dtype)
        y = _norm(y, name=f"{name}_first_norm", dtype=dtype)
        y = layers.ReLU(dtype=dtype, name=f"{name}_relu")(y)
        y = _conv(y, width, name=f"{name}_second_conv", dtype=dtype)
        y = _norm(y, name=f"{name}_second_norm", dtype=dtype)
        x = layers.Add(dtype=dtype, name=f"{name}_add")([x, y])
    x = _conv(x, width, name="trunk_conv", dtype=dtype)
    x = _norm(x, name="trunk_norm", dtype=dtype)
    x = layers.Add(dtype=dtype, name="trunk_add")([x, stem])
    x = _conv(x, colors, name="head_conv", dtype="float32")
    dense = layers.Add(dtype="float32", name="input_add")([x, sparse])
    return keras.Model(sparse, dense, name="gaire_resnet")


def _conv(x: Any, channels: int, *, name: str, dtype: str) -> Any:
    return layers.Conv2D(
        channels,
        3,
        padding="same",
        kernel_initializer="he_normal",
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )(x)


def _norm(x: Any, *, name: str, dtype: str) -> Any:
    return layers.BatchNormalization(axis=-1, momentum=0.98, dtype=dtype, name=name)(x)


GAIRE_RESNET = Network(
    name="gaire_resnet",
    build=gaire_resnet,
    paper=papers.GAIRE_2020,
    parameters=1_226_371,
    note=(
        "The paper's residual network is not published layer by layer; this is our "
        "design of it, which packages use at half its width."
    ),
)
