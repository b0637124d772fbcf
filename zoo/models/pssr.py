"""PSSR: undersampled noisy scans in, dense clean images out, by a residual U-Net.

Fang, Monroe, Novak et al. 2021 (doi:10.1038/s41592-021-01080-z).
"""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from zoo.core.network import Network
from zoo.core.papers import FANG_2021
from zoo.layers.resize import axis_positions, resize_axes

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

STAGE_BLOCKS = (3, 4, 6, 3)
"""Residual blocks of the four stages, those of a ResNet of 34 layers."""

STEP_PX = 8
"""Sides are multiples of this, so that no stage meets an odd length, input px."""

SCALE = 4
"""Output pixels per input pixel along an axis."""

_COARSEST = 2  # height and width of the first decoded map
_AFTER_ATTENTION = 3  # number of the decoder block that ends with self-attention


class _Style(NamedTuple):
    """What all layers of a graph share."""

    dtype: str


def pssr(
    *,
    tile: int | None = 128,
    channels: int = 1,
    width: int = 64,
    dtype: str = "float32",
) -> keras.Model:
    """Build the residual U-Net of point-scanning super-resolution.

    The input is enlarged fourfold by bilinear interpolation, and everything else runs
    on the fine grid.  The bottleneck of the encoder is the mean of its last maps over
    the whole field; the decoder begins there with two by two pixels, and its third
    block ends with self-attention: an output pixel depends on the whole field.

    Layers and widths are the published ones with plain convolutions: no weight
    normalisation, whose gains are no parameters of the function, and no spectral
    normalisation of the attention, whose logits are divided by the root of their
    length instead.

    Weights do not depend on `tile`, which may differ between training and use.

    Parameters
    ----------
    tile
        Input height and width, a multiple of 8 px; None for any such size.
    channels
        Images that go in: 1, or the 5 time points of a movie.
    width
        Feature maps of the first encoder stage; the paper's is 64.  All others are in
        proportion.
    dtype
        Precision of the layers; the output is float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, channels) to (b, 4 y, 4 x, 1), the image at the time of the middle
        channel.

    Raises
    ------
    ValueError
        If a number is too small or the tile no multiple of 8.
    """
    for name, value, least in (("channels", channels, 1), ("width", width, 8)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    if tile is not None and (tile < STEP_PX or tile % STEP_PX):
        raise ValueError(f"tile must be a multiple of {STEP_PX} px, not {tile}")
    style = _Style(dtype)
    scan: Any = keras.Input((tile, tile, channels), name="image", dtype="float32")
    enlarged = bilinear_enlargement(scan)
    skips, x = _encoder(enlarged, width, style)
    context = layers.GlobalAveragePooling2D(
        keepdims=True, data_format="channels_last", dtype=dtype, name="context_mean"
    )(x)
    y = ops.relu(_norm(context, style, name="context_norm"))
    y = _conv(y, 16 * width, 3, style, name="middle_conv1", activation="relu")
    y = _conv(y, 8 * width, 3, style, name="middle_conv2", activation="relu")
    for number, skip in enumerate(reversed(skips), start=1):
        y = _decoder_block(y, skip, style, number=number, last=number == len(skips))
    y = _shuffle(y, int(y.shape[-1]), style, name="up6")
    y = ops.concatenate([y, ops.cast(enlarged, y.dtype)], axis=-1)
    maps = int(y.shape[-1])
    inner = _conv(y, maps // 2, 3, style, name="final_conv1", activation="relu")
    inner = _conv(inner, maps, 3, style, name="final_conv2", activation="relu")
    y = layers.Add(dtype=dtype, name="final_add")([y, inner])
    image = _conv(y, 1, 1, _Style("float32"), name="output_conv")
    return keras.Model(scan, image, name="pssr")


def bilinear_enlargement(x: Any) -> Any:
    """Enlarge images fourfold by bilinear interpolation, pixel centres aligned.

    The sixteen fine pixels of a pixel are weighted sums of it and of its neighbours,
    which are laid out by a pixel shuffle: it runs at any size and in every format.

    Parameters
    ----------
    x : (b, y, x, c) float32

    Returns
    -------
    enlarged : (b, 4 y, 4 x, c) float32
    """
    columns = [_phases(part, axis=2) for part in _phases(x, axis=1)]
    parts = [part for row in columns for part in row]
    return ops.nn.depth_to_space(
        ops.concatenate(parts, axis=-1), SCALE, data_format="channels_last"
    )


def _phases(x: Any, *, axis: int) -> list[Any]:
    """Return the four fine pixels along an axis, each for all pixels at once."""
    before, behind = _shifted(x, axis=axis, by=-1), _shifted(x, axis=axis, by=1)
    found: list[Any] = []
    for phase in range(SCALE):
        place = (phase + 0.5) / SCALE - 0.5
        share = abs(place)
        found.append((1 - share) * x + share * (before if place < 0 else behind))
    return found


def _shifted(x: Any, *, axis: int, by: int) -> Any:
    """Return the neighbours along an axis; border pixels are their own."""

    def part(first: int | None, stop: int | None) -> Any:
        cut = slice(first, stop)
        return x[tuple(cut if a == axis else slice(None) for a in range(4))]

    side = x.shape[axis]
    # a known length stays known
    last = -1 if side is None else side - 1
    if by < 0:
        return ops.concatenate([part(0, 1), part(0, last)], axis=axis)
    return ops.concatenate([part(1, side), part(last, side)], axis=axis)


def _encoder(x: Any, width: int, style: _Style) -> tuple[list[Any], Any]:
    """Return the maps that the decoder sees again, finest first, and the last."""
    half = width // 2
    x = _conv(x, half, 3, style, name="stem_conv1", stride=2, bias=False)
    x = _conv(ops.relu(x), half, 3, style, name="stem_conv2", bias=False)
    x = _conv(ops.relu(x), width, 3, style, name="stem_conv3", bias=False)
    x = ops.relu(x)
    skips = [x]
    # maps are not negative: zeros around them are no maxima
    x = layers.ZeroPadding2D(1, data_format="channels_last", dtype=style.dtype)(x)
    x = layers.MaxPooling2D(
        3, 2, padding="valid", data_format="channels_last", dtype=style.dtype
    )(x)
    for stage, blocks in enumerate(STAGE_BLOCKS, start=1):
        maps = width * 2 ** (stage - 1)
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            name = f"enc{stage}_block{block}"
            x = _residual_block(x, maps, style, stride=stride, name=name)
        skips.append(x)
    return skips, x


def _residual_block(x: Any, maps: int, style: _Style, *, stride: int, name: str) -> Any:
    """Return a block of one 1 x 1 and one 3 x 3 convolution beside a shortcut."""
    y = ops.relu(_conv(x, maps, 1, style, name=f"{name}_conv1", bias=False))
    y = _conv(y, maps, 3, style, name=f"{name}_conv2", stride=stride, bias=False)
    short = x
    if stride > 1:
        short = layers.AveragePooling2D(
            2, 2, padding="same", data_format="channels_last", dtype=style.dtype
        )(short)
    if int(short.shape[-1]) != maps:
        short = _conv(short, maps, 1, style, name=f"{name}_shortcut", bias=False)
    return ops.relu(layers.Add(dtype=style.dtype, name=f"{name}_add")([y, short]))


def _decoder_block(x: Any, skip: Any, style: _Style, *, number: int, last: bool) -> Any:
    """Return maps twice as fine, joined with those of the encoder."""
    name = f"up{number}"
    x = _blurred(_shuffle(x, int(x.shape[-1]) // 2, style, name=name))
    if number == 1:
        x = _to_size_of(x, skip)
    skip = _norm(skip, style, name=f"{name}_norm")
    x = ops.relu(ops.concatenate([x, skip], axis=-1))
    maps = int(x.shape[-1]) // (2 if last else 1)
    x = _conv(x, maps, 3, style, name=f"{name}_conv1", activation="relu")
    x = _conv(x, maps, 3, style, name=f"{name}_conv2", activation="relu")
    if number == _AFTER_ATTENTION:
        x = _attention(x, style, name=f"{name}_attention")
    return x


def _shuffle(x: Any, maps: int, style: _Style, *, name: str) -> Any:
    """Return `maps` maps twice as fine, by a 1 x 1 convolution and a pixel shuffle."""
    x = _conv(x, 4 * maps, 1, style, name=f"{name}_shuffle", activation="relu")
    return ops.nn.depth_to_space(x, 2, data_format="channels_last")


def _blurred(x: Any) -> Any:
    """Return the mean of every pixel and its neighbours above and left.

    It takes the pattern off that a pixel shuffle leaves (Sugawara et al. 2018,
    doi:10.48550/arXiv.1806.02658).
    """
    for axis in (1, 2):
        x = 0.5 * (x + _shifted(x, axis=axis, by=-1))
    return x


def _to_size_of(x: Any, like: Any) -> Any:
    """Return the coarsest map enlarged by replication to the size of another."""
    known = np.arange(_COARSEST, dtype=np.float32)[None]
    matrices: list[Any] = []
    for axis in (1, 2):
        side = like.shape[axis]
        if side is not None:
            source = (np.arange(side) * _COARSEST // side)[:, None]
            # an array, not a tensor: exporters take tensors for further inputs
            matrices.append((source == known).astype(np.float32))
            continue
        positions = axis_positions(like, axis=axis)
        step = (ops.max(positions) + 1.0) / _COARSEST
        source = ops.floor((positions + 0.5) / step)
        matrices.append(ops.cast(ops.abs(source[:, None] - known) < 0.5, x.dtype))
    return ops.cast(resize_axes(x, *matrices), x.dtype)


def _attention(x: Any, style: _Style, *, name: str) -> Any:
    """Return maps with what similar pixels anywhere in the field hold added.

    Zhang et al. 2019 (doi:10.48550/arXiv.1805.08318).
    """
    maps = int(x.shape[-1])
    short = max(maps // 8, 1)
    query, key, value = (
        _conv(x, count, 1, style, name=f"{name}_{role}", bias=False)
        for role, count in (("query", short), ("key", short), ("value", maps))
    )
    # axes are kept apart: a free size could not be folded and unfolded
    logits = ops.einsum("byxc,buvc->byxuv", query, key)
    logits = ops.cast(logits, "float32") / short**0.5
    shares = ops.exp(logits - ops.max(logits, axis=(3, 4), keepdims=True))
    shares = shares / ops.sum(shares, axis=(3, 4), keepdims=True)
    mixed = ops.einsum("byxuv,buvc->byxc", ops.cast(shares, value.dtype), value)
    # one number for all pixels and maps, which starts so small that it adds nothing
    start: Any = keras.initializers.Constant(1e-3)
    gain = layers.Dense(
        1, use_bias=False, kernel_initializer=start, dtype=style.dtype, name=name
    )
    return x + ops.squeeze(gain(ops.expand_dims(mixed, -1)), -1)


def _norm(x: Any, style: _Style, *, name: str) -> Any:
    """Return maps normalised over the batch, with offsets that start at 0.001."""
    offset: Any = keras.initializers.Constant(1e-3)
    return layers.BatchNormalization(
        axis=-1,
        momentum=0.9,
        epsilon=1e-5,
        beta_initializer=offset,
        dtype=style.dtype,
        name=name,
    )(x)


def _conv(
    x: Any,
    maps: int,
    kernel: int,
    style: _Style,
    *,
    name: str,
    stride: int = 1,
    bias: bool = True,
    activation: str | None = None,
) -> Any:
    if stride > 1 and kernel > 1:
        # centred as in the published network: padding "same" is not, for even sides
        x = layers.ZeroPadding2D(1, data_format="channels_last", dtype=style.dtype)(x)
    return layers.Conv2D(
        maps,
        kernel,
        strides=stride,
        padding="valid" if stride > 1 else "same",
        use_bias=bias,
        activation=activation,
        kernel_initializer="he_normal",
        data_format="channels_last",
        dtype=style.dtype,
        name=name,
    )(x)


def begin_with_bilinear(model: keras.Model) -> None:
    """Let a network start as bilinear interpolation, free of shuffling patterns.

    Its last convolution passes the enlarged input on, the mean of the channels where
    there are several, and the four kernels behind every pixel shuffle are equal (Aitken
    et al. 2017, doi:10.48550/arXiv.1707.02937).

    Parameters
    ----------
    model
        Network with random weights, as `pssr` builds it; changed in place.
    """
    for layer in model.layers:
        if layer.name.endswith("_shuffle"):
            kernel, bias = layer.get_weights()
            maps = kernel.shape[-1] // 4
            layer.set_weights([np.tile(kernel[..., :maps], 4), bias])
    channels = int(model.inputs[0].shape[-1])
    last: Any = model.get_layer("output_conv")
    kernel, bias = (np.zeros_like(part) for part in last.get_weights())
    kernel[..., -channels:, 0] = 1.0 / channels
    last.set_weights([kernel, bias])
    # what is added to the input in front of it begins at zero, too
    inner: Any = model.get_layer("final_conv2")
    inner.set_weights([0.1 * inner.get_weights()[0], inner.get_weights()[1]])


PSSR = Network(
    name="pssr",
    build=pssr,
    paper=FANG_2021,
    parameters=48_925_120,
    note=(
        "Layers and widths are the published ones; parameters are counted without the "
        "gains of weight normalisation, which is left out."
    ),
    prepare=begin_with_bilinear,
)
