"""The program of DFCAN's authors in NumPy, and checkpoints as Keras 2.2 wrote them.

It follows the description of the network (exact GELU, unnormalised transform, quadrants
swapped about (n + 1) // 2, corner-aligned resizing of TensorFlow 1), not our layers.
"""

import json

import h5py
import numpy as np
from scipy.special import erf

WIDTH, SPECTRUM = 16, 16


def convolutions(groups, blocks, *, channels=1, scale=2, width=WIDTH):
    """Return (kernel, bias) of every convolution in the order of the program."""
    rng = np.random.default_rng(21)
    shapes = [(3, channels, width)]
    for _ in range(groups * blocks):
        narrow = width // 16
        shapes += [(3, width, width)] * 3 + [(1, width, narrow), (1, narrow, width)]
    shapes += [(3, width, width * scale**2), (3, width, 1)]
    return [
        (
            rng.normal(0, 0.5 / np.sqrt(k * k * i), (k, k, i, o)).astype("float32"),
            rng.normal(0, 0.1, o).astype("float32"),
        )
        for k, i, o in shapes
    ]


def write(path, weights, *, first=1, order=None, config=None):
    """Write what Keras 2.2 writes: a group per layer, lists of names as attributes."""
    names = [f"conv2d_{first + n}" for n in range(len(weights))]
    layers = [("input_1", None)]
    for n, (name, pair) in enumerate(zip(names, weights, strict=True)):
        layers.append((name, pair))
        layers.append((f"lambda_{n + 1}", None))
    layers.append(("activation_1", None))
    if order is not None:
        layers = [layers[i] for i in order(len(layers))]
    with h5py.File(path, "w") as file:
        root = file if config is None else file.create_group("model_weights")
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
        root.attrs["layer_names"] = [name.encode() for name, _ in layers]
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.2.4"
        for name, pair in layers:
            group = root.create_group(name)
            stored = [] if pair is None else [f"{name}/kernel:0", f"{name}/bias:0"]
            group.attrs["weight_names"] = [item.encode() for item in stored]
            for item, array in zip(stored, pair or (), strict=True):
                group.create_dataset(item, data=array)
    return path


def conv(x, pair):
    kernel, bias = pair
    edge = kernel.shape[0] // 2
    height, width = x.shape[:2]
    padded = np.pad(x, [(edge, edge), (edge, edge), (0, 0)])
    return bias + sum(
        padded[i : i + height, j : j + width] @ kernel[i, j].astype(float)
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    )


def gelu(x):
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def corner_resized(x, size):
    for axis in (0, 1):
        length = x.shape[axis]
        place = np.minimum(np.arange(size) * length / size, length - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, length - 1)
        part = (place - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        x = np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part
    return x


def attended(x, pairs, gamma):
    amplitude = (np.abs(np.fft.fft2(x, axes=(0, 1))) + 1e-8) ** gamma
    swapped = np.roll(
        amplitude, [(n + 1) // 2 for n in amplitude.shape[:2]], axis=(0, 1)
    )
    y = np.maximum(conv(corner_resized(swapped, SPECTRUM), next(pairs)), 0)
    y = np.maximum(conv(y.mean((0, 1), keepdims=True), next(pairs)), 0)
    return x * sigmoid(conv(y, next(pairs)))


def reference(x, weights, groups, blocks, gamma, scale):
    pairs = iter(weights)
    x = gelu(conv(x, next(pairs)))
    for _ in range(groups):
        skip = x
        for _ in range(blocks):
            y = gelu(conv(x, next(pairs)))
            y = gelu(conv(y, next(pairs)))
            x = attended(y, pairs, gamma) + x
        x = x + skip
    x = gelu(conv(x, next(pairs)))
    height, width, depth = x.shape
    x = x.reshape(height, width, scale, scale, depth // scale**2)
    x = x.transpose(0, 2, 1, 3, 4).reshape(scale * height, scale * width, -1)
    return sigmoid(conv(x, next(pairs)))
