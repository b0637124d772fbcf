"""What ANNA-PALM's A-net is trained against: a critic and a consistency network.

Ouyang et al. 2018 (doi:10.1038/nbt.4106).
"""

from typing import Any

import keras
from keras import layers

from zoo.core import papers
from zoo.core.network import Network


def anna_palm_critic(
    *, channels: int = 4, width: int = 64, dtype: str = "float32"
) -> keras.Model:
    """Build the critic, which judges patches of 70 px.

    Parameters
    ----------
    channels
        Those of the input, the switch among them, and one of the image.
    width
        Channels of the first layer.
    dtype
        Precision of the layers; the scores are float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, channels) to (b, Y, X, 1) scores, high for targets.
    """
    image: Any = keras.Input((None, None, channels), name="shown", dtype="float32")
    x: Any = image
    for number, (share, strides) in enumerate([(1, 2), (2, 2), (4, 2), (8, 1)], 1):
        x = _patch_conv(
            x, share * width, strides=strides, name=f"conv{number}", dtype=dtype
        )
        if number > 1:
            x = _norm(x, name=f"norm{number}", dtype=dtype)
        x = layers.LeakyReLU(0.2, dtype=dtype, name=f"relu{number}")(x)
    scores = _patch_conv(x, 1, strides=1, name="scores", dtype="float32")
    return keras.Model(image, scores, name="anna_palm_critic")


def anna_palm_consistency(
    *, width: int = 8, dropout: float = 0.5, dtype: str = "float32"
) -> keras.Model:
    """Build the network that predicts the widefield image from a dense rendering.

    Parameters
    ----------
    width
        Channels of the first layer.
    dropout
        Share that is dropped behind every layer in training.
    dtype
        Precision of the layers; the last one is float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, 1) dense rendering to (b, y / 4, x / 4, 1) widefield image between
        0 and 1.
    """
    dense: Any = keras.Input((None, None, 1), name="dense", dtype="float32")
    x: Any = dense
    for number in (1, 2, 3):
        x = _wide_conv(x, width * 2 ** (number - 1), name=f"conv{number}", dtype=dtype)
        if number > 1:
            x = layers.MaxPooling2D(
                2, data_format="channels_last", dtype=dtype, name=f"pool{number}"
            )(x)
            x = _norm(x, name=f"norm{number}", dtype=dtype)
        if dropout:
            x = layers.Dropout(dropout, dtype=dtype, name=f"dropout{number}")(x)
        x = layers.LeakyReLU(0.2, dtype=dtype, name=f"relu{number}")(x)
    x = _wide_conv(x, 1, name="widefield", dtype="float32")
    blurred = layers.Activation("sigmoid", dtype="float32", name="sigmoid")(x)
    return keras.Model(dense, blurred, name="anna_palm_consistency")


def _patch_conv(x: Any, channels: int, *, strides: int, name: str, dtype: str) -> Any:
    small: Any = keras.initializers.RandomNormal(stddev=0.02)
    x = layers.ZeroPadding2D(
        1, data_format="channels_last", dtype=dtype, name=f"{name}_pad"
    )(x)
    return layers.Conv2D(
        channels,
        4,
        strides=strides,
        use_bias=False,
        kernel_initializer=small,
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )(x)


def _wide_conv(x: Any, channels: int, *, name: str, dtype: str) -> Any:
    small: Any = keras.initializers.RandomNormal(stddev=0.02)
    return layers.Conv2D(
        channels,
        5,
        padding="same",
        kernel_initializer=small,
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )(x)


def _norm(x: Any, *, name: str, dtype: str) -> Any:
    return layers.BatchNormalization(axis=-1, epsilon=1e-5, dtype=dtype, name=name)(x)


ANNA_PALM_CRITIC = Network(
    name="anna_palm_critic",
    build=anna_palm_critic,
    paper=papers.OUYANG_2018,
    parameters=2_766_592,
)

ANNA_PALM_CONSISTENCY = Network(
    name="anna_palm_consistency",
    build=anna_palm_consistency,
    paper=papers.OUYANG_2018,
    parameters=17_153,
)
