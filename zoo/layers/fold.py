"""Inference graphs with fewer operations: enlargement folded into the convolution.

A 3 x 3 convolution behind a twofold enlargement by replication sees each input pixel
two or four times.  Its value at the four output pixels of an input pixel is that of
four 2 x 2 convolutions of the input itself, whose kernels are sums of the 3 x 3
kernel's entries: 16 instead of 36 multiplications.  The graph computes the same
function, up to rounding, from the same weights.
"""

from collections.abc import Callable, Set
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from zoo.core.folding import phase_kernels


class Chain(NamedTuple):
    """An enlargement and what alone follows it, layer by layer."""

    enlarge: layers.UpSampling2D
    """Twofold enlargement by replication."""
    pad: layers.ZeroPadding2D | None
    """Border of one pixel around that, where the convolution adds none."""
    convolution: layers.Conv2D
    """3 x 3, as wide as its input with the border, stride and dilation 1, linear."""
    norm: layers.BatchNormalization | None
    """Batch normalisation of its output, at inference a gain and an offset."""
    relu: layers.ReLU | None
    """Rectifier behind that."""
    point: layers.Conv2D | None
    """1 x 1 convolution behind that, which may stand before the shuffle, too."""


def foldable(model: keras.Model) -> list[Chain]:
    """Return the enlargements that can be folded, with what follows them.

    Parameters
    ----------
    model
        Functional network.
    """
    chains: list[Chain] = []
    for layer in model.layers:
        if not (
            isinstance(layer, layers.UpSampling2D)
            and tuple(layer.size) == (2, 2)
            and layer.interpolation == "nearest"
            and layer.data_format == "channels_last"
        ):
            continue
        convolution = _only_reader(layer)
        pad = convolution if _is_border(convolution) else None
        if pad is not None:
            convolution = _only_reader(pad)
        if not _is_plain(convolution, padding="same" if pad is None else "valid"):
            continue
        norm: Any = _only_reader(convolution)
        norm = norm if isinstance(norm, layers.BatchNormalization) else None
        relu: Any = _only_reader(norm or convolution)
        plain = isinstance(relu, layers.ReLU) and not relu.negative_slope
        relu = relu if plain and relu.max_value is None and not relu.threshold else None
        point: Any = _only_reader(relu or norm or convolution)
        point = point if _is_plain(point, 1) else None
        chains.append(Chain(layer, pad, convolution, norm, relu, point))
    return chains


def folded(model: keras.Model) -> keras.Model:
    """Return a network that computes the same with enlargements folded.

    Parameters
    ----------
    model
        Functional network with its weights; left as it is.

    Returns
    -------
    model : keras.Model
        The same object if nothing can be folded, otherwise a network for inference
        in float32; it shares the layers that are not folded.
    """
    chains = {chain.convolution.name: chain for chain in foldable(model)}
    if not chains:
        return model
    gone = {
        layer.name
        for chain in chains.values()
        for layer in (chain.enlarge, chain.pad, chain.norm, chain.relu, chain.point)
        if layer is not None
    }

    taken = {operation.name for operation in model.operations}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name in gone:
            return args[0]
        if layer.name in chains:
            return _four_phases(args[0], chains[layer.name], taken)
        return layer(*args, **kwargs)

    return keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=call
    )


def _only_reader(layer: Any) -> Any:
    readers = [node.operation for node in layer._outbound_nodes]
    return readers[0] if len(readers) == 1 else None


def _is_border(layer: Any) -> bool:
    return (
        type(layer) is layers.ZeroPadding2D
        and tuple(map(tuple, layer.padding)) == ((1, 1), (1, 1))
        and layer.data_format == "channels_last"
    )


def _is_plain(layer: Any, size: int = 3, padding: str = "same") -> bool:
    return (
        type(layer) is layers.Conv2D
        and tuple(layer.kernel_size) == (size, size)
        and (layer.padding == padding or size == 1)
        and tuple(layer.strides) == tuple(layer.dilation_rate) == (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.activation is keras.activations.linear
    )


def _four_phases(x: Any, chain: Chain, taken: Set[str]) -> Any:
    kernel, bias = _gained(chain)
    kernels = phase_kernels(kernel)
    # what acts on single pixels may stand before the shuffle
    phases = [
        _phase(x, chain, kernels[p, q], bias, p, q) for p in (0, 1) for q in (0, 1)
    ]
    if chain.point is not None:
        phases = [chain.point(phase) for phase in phases]
    together = _named_anew(lambda: ops.concatenate(phases, axis=-1), taken)
    return _named_anew(
        lambda: ops.nn.depth_to_space(together, 2, data_format="channels_last"), taken
    )


def _named_anew(apply: Callable[[], Any], taken: Set[str]) -> Any:
    """Apply an operation of a graph until its numbered name is a new one.

    In a network that was read from a file, names of other operations count from 0, as
    those that are made in this process do.
    """
    result = apply()
    while result._keras_history.operation.name in taken:
        result = apply()
    return result


def _gained(chain: Chain) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias of a convolution with its normalisation in them."""
    kernel, *rest = chain.convolution.get_weights()
    bias = rest[0] if rest else np.zeros(kernel.shape[-1], np.float32)
    norm: Any = chain.norm
    if norm is None:
        return kernel, bias

    def value(variable: Any, default: float) -> Any:
        return default if variable is None else ops.convert_to_numpy(variable)

    variance = value(norm.moving_variance, 1.0).astype(np.float64)
    gain = value(norm.gamma, 1.0) / np.sqrt(variance + norm.epsilon)
    offset = value(norm.beta, 0.0) + gain * (bias - value(norm.moving_mean, 0.0))
    return (kernel * gain).astype(np.float32), offset.astype(np.float32)


def _phase(
    x: Any, chain: Chain, kernel: np.ndarray, bias: np.ndarray, p: int, q: int
) -> Any:
    """Convolve with the kernel of one phase; even rows look back, odd ones ahead."""
    name = f"{chain.convolution.name}_phase{p}{q}"
    padded = layers.ZeroPadding2D(
        ((1 - p, p), (1 - q, q)), data_format="channels_last", name=f"{name}_pad"
    )(x)
    convolution = layers.Conv2D(
        kernel.shape[-1],
        2,
        activation="linear" if chain.relu is None else "relu",
        data_format="channels_last",
        name=name,
    )
    y = convolution(padded)
    convolution.set_weights([kernel, bias])
    return y
