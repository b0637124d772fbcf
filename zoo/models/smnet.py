"""smNet: parameters of one emitter from its region, by a residual network.

Zhang, Liu, Chaurasia et al. 2018 (doi:10.1038/s41592-018-0153-5).  One network gives
one group of parameters; `smnet` with ``branches`` puts several of them into one graph.
"""

from typing import Any, NamedTuple

import keras
from keras import layers

from zoo.core.network import Network
from zoo.core.papers import ZHANG_2018
from zoo.core.symmetry import SpotSymmetry
from zoo.layers.views import seen, together

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

_STRIDED = 4  # number of the residual block that takes the stride

RESIDUAL_WIDTHS = (128, 128, 128, 256, 256, 256, 256)
"""Feature maps of the seven residual blocks."""


def smnet(
    *,
    size: int = 32,
    channels: int = 1,
    outputs: int = 1,
    limit: float = 20.0,
    branches: int = 1,
    width: float = 1.0,
    stem_stride: int = 1,
    stride: int = 1,
    dense: int = 10,
    deviations: int = 0,
    symmetry: SpotSymmetry = "none",
    dtype: str = "float32",
) -> keras.Model:
    """Build smNet.

    Every region is divided by its own maximum inside the graph.  No layer pools: unless
    there is a stride, the size of the region is kept until the dense layers, which fix
    it.

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
    width
        Factor of all feature maps but the last, single one; 1 is the paper's.
    stem_stride
        Stride of the second convolution; the paper's networks have none.
    stride
        Stride of the fourth residual block: 1 where the paper finds positions, 4 where
        it finds aberrations.
    dense
        Units of the dense layer in front of the outputs.
    deviations
        Further outputs behind all others, one for each: the expected size of its error.
        They know the brightness that the division takes away.  No part of the published
        network.
    symmetry
        What spots share with themselves: the network then looks at every region from
        as many sides and returns the mean.  No part of the published network; for x, y
        and z in this order.
    dtype
        Precision of the layers; outputs are float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, channels) photons to (b, branches * outputs + deviations), branch by
        branch; deviations are positive.

    Raises
    ------
    ValueError
        If a number is not positive, there are neither no deviations nor as many as
        other outputs, or other outputs than three are to be put together from several
        views.
    """
    for name, value in (
        ("size", size),
        ("channels", channels),
        ("outputs", outputs),
        ("limit", limit),
        ("branches", branches),
        ("width", width),
        ("stem_stride", stem_stride),
        ("stride", stride),
        ("dense", dense),
    ):
        if value <= 0:
            raise ValueError(f"{name} must be positive, not {value}")
    if deviations not in (0, branches * outputs):
        raise ValueError(
            f"deviations must be 0 or as many as the {branches * outputs} outputs, not "
            f"{deviations}"
        )
    coarse, rest = divmod(size, stem_stride * stride)
    if rest:
        raise ValueError(
            f"size must be a multiple of the strides, not {size} of {stem_stride} and "
            f"{stride}"
        )
    if symmetry != "none" and branches * outputs != len("xyz"):
        raise ValueError(
            f"symmetry {symmetry!r} needs the outputs x, y, z, not {branches * outputs}"
        )
    region = keras.Input((size, size, channels), name="region", dtype="float32")
    views = seen(region, symmetry)
    brightest = ops.max(views, axis=(1, 2, 3), keepdims=True)
    scaled = views / ops.maximum(brightest, 1e-6)
    prefixes = [""] if branches == 1 else [f"branch{n + 1}_" for n in range(branches)]
    plan = _Plan(width, stem_stride, stride, coarse**2, dense, dtype)
    features = [_branch(scaled, plan, prefix) for prefix in prefixes]
    values = [
        ops.clip(_dense(x, outputs, f"{prefix}dense2", "float32"), -limit, limit)
        for x, prefix in zip(features, prefixes, strict=True)
    ]
    if deviations:
        each = deviations // branches
        spreads = [
            _dense(x, each, f"{prefix}deviations", "float32")
            for x, prefix in zip(features, prefixes, strict=True)
        ]
        spread = spreads[0] if branches == 1 else ops.concatenate(spreads, axis=-1)
        # of equal shapes, the brighter one has errors smaller by the root of the light
        light = ops.log(ops.maximum(ops.reshape(brightest, (-1, 1)), 1e-6))
        values.append(ops.exp(ops.clip(spread - 0.5 * light, -10.0, 10.0)))
    said = values[0] if len(values) == 1 else ops.concatenate(values, axis=-1)
    said = together(said, symmetry, deviations=deviations)
    return keras.Model(region, said, name="smnet")


class _Plan(NamedTuple):
    """Sizes of a branch."""

    width: float
    stem_stride: int
    stride: int
    pixels: int
    """Pixels in front of the dense layers."""
    dense: int
    dtype: str


def _branch(x: Any, plan: _Plan, prefix: str) -> Any:
    """Return the features of one published network, in front of its outputs."""
    dtype = plan.dtype
    x = _unit(x, _scaled(64, plan.width), 7, f"{prefix}stem1", dtype)
    before = _scaled(128, plan.width)
    x = _unit(x, before, 5, f"{prefix}stem2", dtype, plan.stem_stride)
    for number, maps in enumerate(RESIDUAL_WIDTHS, start=1):
        after = _scaled(maps, plan.width)
        stride = plan.stride if number == _STRIDED else 1
        x = _residual(x, before, after, f"{prefix}res{number}", dtype, stride)
        before = after
    for number, maps in enumerate((128, 64), start=1):
        x = _unit(x, _scaled(maps, plan.width), 1, f"{prefix}head{number}", dtype)
    x = _unit(x, 1, 1, f"{prefix}head3", dtype)
    x = layers.Reshape((plan.pixels,), dtype=dtype, name=f"{prefix}flat")(x)
    x = _dense(x, plan.dense, f"{prefix}dense1", dtype)
    return _prelu(x, f"{prefix}dense1", dtype)


def _scaled(maps: int, width: float) -> int:
    """Return a number of feature maps that residual blocks can divide by four."""
    return max(4 * round(maps * width / 4), 4)


def _residual(
    x: Any, before: int, width: int, name: str, dtype: str, stride: int
) -> Any:
    shortcut = x
    if before != width or stride > 1:
        shortcut = _conv(x, width, 1, f"{name}_shortcut", dtype, stride)
        shortcut = _norm(shortcut, f"{name}_shortcut", dtype)
    x = _unit(x, width // 4, 3, f"{name}_first", dtype)
    x = _unit(x, width // 2, 3, f"{name}_second", dtype, stride)
    x = _norm(_conv(x, width, 3, f"{name}_third", dtype), f"{name}_third", dtype)
    x = layers.Add(dtype=dtype, name=f"{name}_add")([x, shortcut])
    return _prelu(x, name, dtype)


def _unit(
    x: Any, width: int, kernel: int, name: str, dtype: str, stride: int = 1
) -> Any:
    """Convolve, normalise and rectify with a learnt slope."""
    x = _norm(_conv(x, width, kernel, name, dtype, stride), name, dtype)
    return _prelu(x, name, dtype)


def _conv(
    x: Any, width: int, kernel: int, name: str, dtype: str, stride: int = 1
) -> Any:
    return layers.Conv2D(
        width,
        kernel,
        strides=stride,
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
