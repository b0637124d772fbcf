"""Critics: networks that score how real an image looks; they train generators only.

Both end in a score without an activation: the published sigmoid is part of the loss
(`zoo.objectives.adversarial`).  They pool over the whole image and take any size.
"""

from typing import Any

import keras
from keras import layers

from zoo.core import papers
from zoo.core.network import Network

SLOPE = 0.1
"""Slope of the leaky rectifiers below zero."""

_BLOCKS = 5


def strided_critic(
    *, channels: int = 1, width: int = 64, dtype: str = "float32"
) -> keras.Model:
    """Build the critic of the cross-modality networks.

    Five blocks of two convolutions halve the image and double the feature maps; their
    mean over the image passes two dense layers (Wang et al. 2019,
    doi:10.1038/s41592-018-0239-0).  The image is not shown together with the input.

    Parameters
    ----------
    channels
        Channels of the image.
    width
        Feature maps of the first convolution; 64 is the paper's.
    dtype
        Precision of the layers; scores are float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, channels) to (b, 1), high for what looks real.

    Raises
    ------
    ValueError
        If `width` is not positive.
    """
    image, x = _head(channels, width, dtype)
    for block in range(1, _BLOCKS + 1):
        x = _conv(x, width, name=f"block{block}_conv1", dtype=dtype)
        width *= 2
        x = _conv(x, width, name=f"block{block}_conv2", dtype=dtype, stride=2)
    return _scored(image, x, width, name="strided_critic", dtype=dtype)


def flat_critic(
    *, channels: int = 1, width: int = 32, dtype: str = "float32"
) -> keras.Model:
    """Build the critic of DFGAN.

    Five blocks of two convolutions double the feature maps and keep the size of the
    image; their mean over the image passes two dense layers (Qiao et al. 2021,
    doi:10.1038/s41592-020-01048-5).

    Parameters
    ----------
    channels
        Channels of the image.
    width
        Feature maps of the first convolution; 32 is the paper's.
    dtype
        Precision of the layers; scores are float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, channels) to (b, 1), high for what looks real.

    Raises
    ------
    ValueError
        If `width` is not positive.
    """
    image, x = _head(channels, width, dtype)
    for block in range(_BLOCKS):
        for number in (1, 2):
            name = f"block{block + 1}_conv{number}"
            x = _conv(x, width << block, name=name, dtype=dtype)
    return _scored(image, x, 8 * width, name="flat_critic", dtype=dtype)


def _head(channels: int, width: int, dtype: str) -> tuple[Any, Any]:
    for name, value in (("channels", channels), ("width", width)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    image: Any = keras.Input((None, None, channels), name="image", dtype="float32")
    return image, _conv(image, width, name="head_conv", dtype=dtype)


def _scored(image: Any, x: Any, units: int, *, name: str, dtype: str) -> keras.Model:
    x = layers.GlobalAveragePooling2D(
        data_format="channels_last", dtype="float32", name="mean"
    )(x)
    x = layers.Dense(units, dtype=dtype, name="dense")(x)
    x = layers.LeakyReLU(SLOPE, dtype=dtype, name="dense_rectifier")(x)
    return keras.Model(
        image, layers.Dense(1, dtype="float32", name="score")(x), name=name
    )


def _conv(x: Any, width: int, *, name: str, dtype: str, stride: int = 1) -> Any:
    x = layers.Conv2D(
        width,
        3,
        strides=stride,
        padding="same",
        kernel_initializer="he_normal",  # pyright: ignore[reportArgumentType] Keras takes names
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )(x)
    return layers.LeakyReLU(SLOPE, dtype=dtype, name=f"{name}_rectifier")(x)


STRIDED_CRITIC = Network(
    name="strided_critic",
    build=strided_critic,
    paper=papers.WANG_2019,
    parameters=41_916_865,
    note="Trains the generator and is no part of any package.",
)

FLAT_CRITIC = Network(
    name="flat_critic",
    build=flat_critic,
    paper=papers.QIAO_2021,
    parameters=4_852_481,
    note="Trains the generator and is no part of any package.",
)
