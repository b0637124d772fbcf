"""The graph of AutoDS, which only converted checkpoints use.

"One-click image reconstruction in single-molecule localization microscopy via deep
learning", Saguy et al. 2025, PMC12647142.
"""

from typing import Any

import keras
from keras import layers

from zoo.core import papers
from zoo.core.network import Network

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

WIDTHS = (32, 64, 128, 256, 128, 64)
"""Feature maps of the convolutions at camera resolution."""

HALO_PX = 9
"""Camera pixels at the border of a tile that others would change."""


def autods(*, upsampling: int = 8, dtype: str = "float32") -> keras.Model:
    """Build a network of AutoDS.

    Six convolutions at camera resolution, then one after each doubling.

    Parameters
    ----------
    upsampling
        Fine pixels per camera pixel along an axis, a power of two.
    dtype
        Precision of the layers; the last one is float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, 1) standardised frames to (b, upsampling * y, upsampling * x, 1),
        linear output.

    Raises
    ------
    ValueError
        If `upsampling` is no power of two from 2 on.
    """
    doublings = upsampling.bit_length() - 1
    if upsampling != 2**doublings or doublings < 1:
        raise ValueError(f"upsampling must be a power of two, not {upsampling}")
    frame = keras.Input((None, None, 1), name="frame", dtype="float32")
    x: Any = frame
    for number, width in enumerate(WIDTHS, start=1):
        x = _unit(x, width, 3, f"f{number}", dtype)
    for number in range(1, doublings + 1):
        x = _doubled(x, f"up{number}", dtype)
        x = _unit(x, 32, 5, f"up{number}", dtype)
    density = layers.Conv2D(
        1,
        1,
        use_bias=False,
        data_format="channels_last",
        dtype="float32",
        name="density",
    )(x)
    return keras.Model(frame, density, name="autods")


def _doubled(x: Any, name: str, dtype: str) -> Any:
    """Interpolate linearly at the centres of pixels half as large.

    Replication, then the kernel (1, 2, 1)/4, which is twice the mean of two neighbours:
    layers that every weights format has at any size.
    """
    stock: Any = {"data_format": "channels_last", "dtype": dtype}
    x = layers.UpSampling2D(2, name=f"{name}_enlarge", **stock)(x)
    x = ops.concatenate([x[:, :1], x, x[:, -1:]], axis=1)
    x = ops.concatenate([x[:, :, :1], x, x[:, :, -1:]], axis=2)
    for part in ("first", "second"):
        mean = layers.AveragePooling2D(2, strides=1, name=f"{name}_{part}", **stock)
        x = mean(x)
    return x


def _unit(x: Any, width: int, kernel: int, name: str, dtype: str) -> Any:
    x = layers.Conv2D(
        width,
        kernel,
        padding="same",
        data_format="channels_last",
        dtype=dtype,
        name=f"{name}_conv",
    )(x)
    x = layers.BatchNormalization(axis=-1, dtype=dtype, name=f"{name}_norm")(x)
    return layers.ReLU(dtype=dtype, name=f"{name}_relu")(x)


AUTODS = Network(
    name="autods",
    build=autods,
    paper=papers.NEHME_2018,
    parameters=860_736,
    published=False,
    variant_of="deep_storm",
    note=(
        "The graph of AutoDS (Saguy et al. 2025), which is trained for Deep-STORM's "
        "target with its loss but convolves at camera resolution."
    ),
)
