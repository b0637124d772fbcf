"""smNet: parameters of one emitter from its region, by a residual network.

Zhang, Liu, Chaurasia et al. 2018 (doi:10.1038/s41592-018-0153-5).  One network gives
one group of parameters; `smnet` with ``branches`` puts several of them into one graph.
"""

from typing import Any

import keras
from keras import layers

from zoo.core.network import Network
from zoo.core.papers import ZHANG_2018

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

RESIDUAL_WIDTHS = (128, 128, 128, 256, 256, 256, 256)
"""Feature maps of the seven residual blocks."""


def smnet(
    *,
    size: int = 32,
    channels: int = 1,
    outputs: int = 1,
    limit: float = 20.0,
    branches: int = 1,
    dtype: str = "float32",
) -> keras.Model:
    """Build smNet.

    Every region is divided by its own maximum inside the graph.  No layer pools: the
    size of the region is kept until the dense layers, which fix it.

    Parameters
    ----------
    size
        Height and width of a region, px.
    channels
        Planes of a region: 1, or 2 for biplane detection.
    outputs
        Numbers that a branch returns: 1 for z, 2 for x and y.
    limit
        Outputs are clipped to plus and minus this, in label units: 20 for z in tenths
        of a micrometre, 2 for x and y in pixels.
    branches
        Independent networks in the graph; the paper trains one for every group of
        parameters.
    dtype
        Precision of the layers; outputs are float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, channels) photons to (b, branches * outputs), branch by branch.

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    for name, value in (
        ("size", size),
        ("channels", channels),
        ("outputs", outputs),
        ("limit", limit),
        ("branches", branches),
    ):
        if value <= 0:
            raise ValueError(f"{name} must be positive, not {value}")
    region = keras.Input((size, size, channels), name="region", dtype="float32")
    brightest = ops.max(region, axis=(1, 2, 3), keepdims=True)
    scaled = region / ops.maximum(brightest, 1e-6)
    prefixes = [""] if branches == 1 else [f"branch{n + 1}_" for n in range(branches)]
    values = [_branch(scaled, size, outputs, limit, p, dtype) for p in prefixes]
    together = values[0] if branches == 1 else ops.concatenate(values, axis=-1)
    return keras.Model(region, together, name="smnet")


def _branch(
    x: Any, size: int, outputs: int, limit: float, prefix: str, dtype: str
) -> Any:
    """Return the clipped outputs of one published network."""
    x = _unit(x, 64, 7, f"{prefix}stem1", dtype)
    x = _unit(x, 128, 5, f"{prefix}stem2", dtype)
    before = 128
    for number, width in enumerate(RESIDUAL_WIDTHS, start=1):
        x = _residual(x, before, width, f"{prefix}res{number}", dtype)
        before = width
    for number, width in enumerate((128, 64, 1), start=1):
        x = _unit(x, width, 1, f"{prefix}head{number}", dtype)
    x = layers.Reshape((size * size,), dtype=dtype, name=f"{prefix}flat")(x)
    x = _dense(x, 10, f"{prefix}dense1", dtype)
    x = _prelu(x, f"{prefix}dense1", dtype)
    x = _dense(x, outputs, f"{prefix}dense2", "float32")
    return ops.clip(x, -limit, limit)


def _residual(x: Any, before: int, width: int, name: str, dtype: str) -> Any:
    shortcut = x
    if before != width:
        shortcut = _conv(x, width, 1, f"{name}_shortcut", dtype)
        shortcut = _norm(shortcut, f"{name}_shortcut", dtype)
    x = _unit(x, width // 4, 3, f"{name}_first", dtype)
    x = _unit(x, width // 2, 3, f"{name}_second", dtype)
    x = _norm(_conv(x, width, 3, f"{name}_third", dtype), f"{name}_third", dtype)
    x = layers.Add(dtype=dtype, name=f"{name}_add")([x, shortcut])
    return _prelu(x, name, dtype)


def _unit(x: Any, width: int, kernel: int, name: str, dtype: str) -> Any:
    """Convolve, normalise and rectify with a learnt slope."""
    x = _norm(_conv(x, width, kernel, name, dtype), name, dtype)
    return _prelu(x, name, dtype)


def _conv(x: Any, width: int, kernel: int, name: str, dtype: str) -> Any:
    return layers.Conv2D(
        width,
        kernel,
        padding="same",
        kernel_initializer=_uniform(),
        data_format="channels_last",
        dtype=dtype,
        name=f"{name}_conv",
    )(x)


def _norm(x: Any, name: str, dtype: str) -> Any:
    return layers.BatchNormalization(
        axis=-1, momentum=0.9, epsilon=1e-3, dtype=dtype, name=f"{name}_norm"
    )(x)


def _prelu(x: Any, name: str, dtype: str) -> Any:
    """Rectify with one learnt slope for the whole layer."""
    return layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.25),  # pyright: ignore[reportArgumentType]
        shared_axes=list(range(1, len(x.shape))),
        dtype=dtype,
        name=f"{name}_prelu",
    )(x)


def _uniform() -> Any:
    """Start within one over the root of the inputs, as the authors' frameworks do."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def _dense(x: Any, units: int, name: str, dtype: str) -> Any:
    return layers.Dense(
        units,
        kernel_initializer=_uniform(),
        dtype=dtype,
        name=name,
    )(x)


SMNET = Network(name="smnet", build=smnet, paper=ZHANG_2018, parameters=2_679_059)
