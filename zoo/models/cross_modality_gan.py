"""Generator of the cross-modality networks: confocal to STED, TIRF to TIRF-SIM.

Wang, Rivenson, Jin, Wei, Gao, Günaydın, Bentolila, Kural and Ozcan 2019
(doi:10.1038/s41592-018-0239-0).
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from zoo.core import papers
from zoo.core.network import Network

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

LEVELS = 4
"""Times that the image is halved, and doubled again."""

STEP = 2**LEVELS
"""Heights and widths are multiples of this, px."""

SLOPE = 0.1
"""Slope of the leaky rectifiers below zero."""


def cross_modality_gan(
    *, width: int = 64, tile: int | None = None, dtype: str = "float32"
) -> keras.Model:
    """Build the generator: a U-Net of four levels with residual blocks on the way down.

    Input and output lie on one grid: an image of another microscope is brought to it
    before.  A block on the way down adds its input, with channels of zeros behind it,
    to three convolutions; one on the way up has no such sum.

    Parameters
    ----------
    width
        Feature maps of the first block, even; 64 is the paper's.
    tile
        Input height and width, px, a multiple of `STEP`; None for any.
    dtype
        Precision of the layers; the output is float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, 1) to (b, y, x, 1), sides multiples of `STEP`; the last layer is
        linear.

    Raises
    ------
    ValueError
        If `width` is odd or not positive, or `tile` no multiple of `STEP`.
    """
    if width < 2 or width % 2:
        raise ValueError(f"width must be even and at least 2, not {width}")
    if tile is not None and (tile < STEP or tile % STEP):
        raise ValueError(f"tile must be a multiple of {STEP} px, not {tile}")
    image: Any = keras.Input((tile, tile, 1), name="image", dtype="float32")
    x = image
    skips: list[Any] = []
    for level in range(LEVELS):
        x = _down(x, width << level, name=f"down{level}", dtype=dtype)
        skips.append(x)
        x = layers.AveragePooling2D(
            2, data_format="channels_last", dtype=dtype, name=f"down{level}_pool"
        )(x)
    x = _conv(x, int(x.shape[-1]), name="centre_conv", dtype=dtype)
    for level in reversed(range(LEVELS)):
        join = layers.Concatenate(dtype=dtype, name=f"up{level}_join")
        x = join([twice_as_fine(x), skips[level]])
        count = int(x.shape[-1])
        for number, maps in enumerate((count * 5 // 8, count * 5 // 8, count // 4)):
            x = _conv(x, maps, name=f"up{level}_conv{number + 1}", dtype=dtype)
    x = layers.Conv2D(
        1,
        3,
        padding="same",
        kernel_initializer=_kernel(),
        data_format="channels_last",
        dtype="float32",
        name="output_conv",
    )(x)
    return keras.Model(image, x, name="cross_modality_gan")


def twice_as_fine(x: Any) -> Any:
    """Enlarge feature maps twice by bilinear interpolation.

    Pixels are weighed 3 to 1 with their neighbours, as a resizing at pixel centres
    does; the border is continued.  It converts to every format where sides are free.

    Parameters
    ----------
    x : (b, y, x, c)

    Returns
    -------
    enlarged : (b, 2y, 2x, c)
    """
    before = ops.concatenate([x[:, :1], x[:, :-1]], axis=1)
    behind = ops.concatenate([x[:, 1:], x[:, -1:]], axis=1)
    phases: list[Any] = []
    for rows in (0.75 * x + 0.25 * before, 0.75 * x + 0.25 * behind):
        left = ops.concatenate([rows[:, :, :1], rows[:, :, :-1]], axis=2)
        right = ops.concatenate([rows[:, :, 1:], rows[:, :, -1:]], axis=2)
        phases += [0.75 * rows + 0.25 * left, 0.75 * rows + 0.25 * right]
    phases_first = ops.concatenate(phases, axis=-1)
    return ops.nn.depth_to_space(phases_first, 2, data_format="channels_last")


def show_input(model: keras.Model) -> None:
    """Make a network that is about to be trained return its input.

    Two units of opposite sign carry the input through the rectifiers of the finest
    level, since ``f(v) - f(-v) = (1 + slope) v``.  Training then starts from the
    image, not from noise.

    Parameters
    ----------
    model
        From `cross_modality_gan`.
    """
    down = model.get_layer("down0_conv3")
    kernel, bias = down.get_weights()
    kernel[..., 0] = 0  # the sum behind it adds the image here
    bias[0] = 0
    down.set_weights([kernel, bias])
    first = model.get_layer("up0_conv1")
    kernel, bias = first.get_weights()
    skip = kernel.shape[2] // 2  # the skipped maps lie behind the enlarged ones
    kernel[..., :2], bias[:2] = 0, 0
    kernel[1, 1, skip, :2] = 1.0, -1.0
    first.set_weights([kernel, bias])
    signs = np.array([1.0, -1.0], np.float32) / (1 + SLOPE)
    for name in ("up0_conv2", "up0_conv3"):
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        kernel[..., :2], bias[:2] = 0, 0
        kernel[1, 1, :2, 0], kernel[1, 1, :2, 1] = signs, -signs
        layer.set_weights([kernel, bias])
    last = model.get_layer("output_conv")
    kernel, bias = last.get_weights()
    kernel *= 0.01
    kernel[..., :2, 0], bias[:] = 0, 0
    kernel[1, 1, :2, 0] = signs
    last.set_weights([kernel, bias])


def _down(x: Any, count: int, *, name: str, dtype: str) -> Any:
    before = int(x.shape[-1])
    y = x
    for number, maps in enumerate(((before + count) // 2,) * 2 + (count,)):
        y = _conv(y, maps, name=f"{name}_conv{number + 1}", dtype=dtype)
    missing = ops.zeros_like(y[..., before:])
    same = layers.Concatenate(dtype=dtype, name=f"{name}_pad")([x, missing])
    return layers.Add(dtype=dtype, name=f"{name}_add")([y, same])


def _conv(x: Any, maps: int, *, name: str, dtype: str) -> Any:
    x = layers.Conv2D(
        maps,
        3,
        padding="same",
        kernel_initializer=_kernel(),
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )(x)
    return layers.LeakyReLU(SLOPE, dtype=dtype, name=f"{name}_rectifier")(x)


def _kernel() -> Any:
    """Return how weights are drawn: a variance of two by the number of outputs."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")


CROSS_MODALITY_GAN = Network(
    name="cross_modality_gan",
    build=cross_modality_gan,
    paper=papers.WANG_2019,
    parameters=22_306_753,
    note=(
        "The layers are those of the generator as the same laboratory's later programs "
        "have it; the code of the paper itself is not public."
    ),
    prepare=show_input,
)
