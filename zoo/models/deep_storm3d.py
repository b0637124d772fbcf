"""DeepSTORM3D: frames of overlapping engineered spots to a volume of emitters.

Nehme, Freedman, Gordon et al. 2020 (doi:10.1038/s41592-020-0853-5), and a variant of
our own that works at camera resolution: most operations of the published network run on
the enlarged frame.
"""

from typing import Any

import keras
from keras import layers

from zoo.core.network import Network
from zoo.core.papers import NEHME_2020

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

PEAK = 800.0
"""Output for an ideally recovered emitter, the scaling factor of the paper."""


def deep_storm3d(
    *,
    planes: int = 121,
    dilation: int = 16,
    width: int = 64,
    upsampling: int = 4,
    peak: float = PEAK,
    margin: int = 0,
    leak: float = 0.0,
    dtype: str = "float32",
) -> keras.Model:
    """Build the localization network of DeepSTORM3D.

    Six dilated units at camera resolution, each of which sees the normalised frame
    beside the features, two enlargements by replication, and units as wide as the
    volume is deep.  A unit convolves, rectifies and then normalises.

    Parameters
    ----------
    planes
        Depth of the volume.
    dilation
        Largest dilation, a power of two: 16 for spots as wide as a Tetrapod's, 4 for
        compact ones.
    width
        Feature maps.
    upsampling
        Fine pixels per camera pixel along an axis, a power of two.
    peak
        Value at which the volume is clipped.
    margin
        Camera pixels at every border of which no volume is made.  While training, what
        is costly, the enlarged part, is so spared where emitters are seen in part.
    leak
        Slope of the volume beyond its limits: without any, voxels that start outside
        learn nothing.  For training; packages clip.
    dtype
        Precision of the layers; the volume is float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, 1) to (b, planes, upsampling * y, upsampling * x, 1) between 0 and
        `peak`; y and x less twice the `margin`.

    Raises
    ------
    ValueError
        If a number is too small or no power of two.
    """
    _check(
        powers={"dilation": dilation, "upsampling": upsampling},
        positive={"planes": planes, "width": width, "peak": peak},
        others={"margin": margin, "leak": leak},
    )
    frame = keras.Input((None, None, 1), name="frame", dtype="float32")
    image, x = _trunk(frame, width, _dilations(dilation), dtype)
    x = layers.Concatenate(dtype=dtype, name="enlarge_beside")([x, image])
    x = _cropped(x, margin, dtype)
    for number in range(1, upsampling.bit_length()):
        x = layers.UpSampling2D(
            2, data_format="channels_last", dtype=dtype, name=f"deconv{number}_enlarge"
        )(x)
        x = _unit(x, width, 1, f"deconv{number}", dtype)
    x = _unit(x, planes, 1, "layer7", dtype)
    for number in (8, 9):
        y = _unit(x, planes, 1, f"layer{number}", dtype)
        x = layers.Add(dtype=dtype, name=f"layer{number}_add")([y, x])
    x = _conv(x, planes, 1, 1, "layer10", "float32")
    return keras.Model(frame, _volume(x, peak, leak), name="deep_storm3d")


def deep_storm3d_fast(
    *,
    planes: int = 80,
    dilation: int = 16,
    width: int = 64,
    head_width: int = 128,
    upsampling: int = 4,
    peak: float = PEAK,
    margin: int = 0,
    leak: float = 0.0,
    dtype: str = "float32",
) -> keras.Model:
    """Build the camera-resolution variant of DeepSTORM3D; not a published network.

    The dilated units of DeepSTORM3D, then some whose dilations fall to one, all at
    camera resolution; a pixel shuffle (Shi et al. 2016, doi:10.1109/CVPR.2016.207)
    writes the fine grid of every plane.

    Parameters
    ----------
    planes, dilation, width, upsampling, peak, margin, leak, dtype
        As for `deep_storm3d`.
    head_width
        Feature maps of which the fine grid is made.

    Returns
    -------
    model : keras.Model
        As that of `deep_storm3d`.

    Raises
    ------
    ValueError
        If a number is too small or no power of two.
    """
    _check(
        powers={"dilation": dilation, "upsampling": upsampling},
        positive={
            "planes": planes,
            "width": width,
            "head_width": head_width,
            "peak": peak,
        },
        others={"margin": margin, "leak": leak},
    )
    rising = _dilations(dilation)
    falling = tuple(rate for rate in (4, 2, 1) if rate <= dilation)
    frame = keras.Input((None, None, 1), name="frame", dtype="float32")
    _, x = _trunk(frame, width, rising + falling, dtype)
    x = _cropped(x, margin, dtype)
    x = _unit(x, head_width, 1, "head", dtype)
    # spikes are rare and high: near the empty volume at first, large steps then
    small: Any = keras.initializers.RandomNormal(stddev=0.003)
    x = layers.Conv2D(
        planes * upsampling**2,
        1,
        kernel_initializer=small,
        data_format="channels_last",
        dtype="float32",
        name="phases",
    )(x)
    x = ops.nn.depth_to_space(peak / 8 * x, upsampling, data_format="channels_last")
    return keras.Model(frame, _volume(x, peak, leak), name="deep_storm3d_fast")


def _check(
    *, powers: dict[str, int], positive: dict[str, float], others: dict[str, float]
) -> None:
    """Raise ValueError for numbers that are no power of two, not positive, negative."""
    for name, value in powers.items():
        if value < 1 or value & (value - 1):
            raise ValueError(f"{name} must be a power of two, not {value}")
    for name, number in positive.items():
        if number <= 0:
            raise ValueError(f"{name} must be positive, not {number}")
    for name, number in others.items():
        if number < 0:
            raise ValueError(f"{name} must not be negative, not {number}")


def _trunk(
    frame: Any, width: int, dilations: tuple[int, ...], dtype: str
) -> tuple[Any, Any]:
    """Return the normalised frame, and the features of units that all see it."""
    image = _norm(frame, "norm", dtype)
    x = _unit(image, width, 1, "layer1", dtype)
    for number, rate in enumerate(dilations, start=2):
        beside = layers.Concatenate(dtype=dtype, name=f"layer{number}_beside")
        y = _unit(beside([x, image]), width, rate, f"layer{number}", dtype)
        x = layers.Add(dtype=dtype, name=f"layer{number}_add")([y, x])
    return image, x


def _cropped(x: Any, margin: int, dtype: str) -> Any:
    if not margin:
        return x
    return layers.Cropping2D(
        margin, data_format="channels_last", dtype=dtype, name="margin"
    )(x)


def _volume(x: Any, peak: float, leak: float) -> Any:
    """Return (b, planes, y, x, 1) of (b, y, x, planes), clipped at zero and `peak`."""
    clipped = ops.clip(x, 0.0, peak)
    x = clipped + leak * (x - clipped) if leak else clipped
    return ops.expand_dims(ops.transpose(x, (0, 3, 1, 2)), -1)


def _dilations(largest: int) -> tuple[int, ...]:
    """Return the dilations of the second to sixth unit."""
    return tuple(rate if rate <= largest else 1 for rate in (1, 2, 4, 8, 16))


def _unit(x: Any, width: int, rate: int, name: str, dtype: str) -> Any:
    x = _conv(x, width, 3, rate, name, dtype)
    x = layers.LeakyReLU(0.2, dtype=dtype, name=f"{name}_relu")(x)
    return _norm(x, name, dtype)


def _conv(x: Any, width: int, kernel: int, rate: int, name: str, dtype: str) -> Any:
    if kernel > 1:  # padded beforehand: a dilated convolution exports as itself
        x = layers.ZeroPadding2D(
            rate, data_format="channels_last", dtype=dtype, name=f"{name}_pad"
        )(x)
    start: Any = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    return layers.Conv2D(
        width,
        kernel,
        dilation_rate=rate,
        kernel_initializer=start,
        data_format="channels_last",
        dtype=dtype,
        name=f"{name}_conv",
    )(x)


def _norm(x: Any, name: str, dtype: str) -> Any:
    return layers.BatchNormalization(
        axis=-1,
        momentum=0.9,
        epsilon=1e-5,
        dtype=dtype,
        name=name if name == "norm" else f"{name}_norm",
    )(x)


DEEP_STORM3D = Network(
    name="deep_storm3d", build=deep_storm3d, paper=NEHME_2020, parameters=612_703
)

DEEP_STORM3D_FAST = Network(
    name="deep_storm3d_fast",
    build=deep_storm3d_fast,
    paper=NEHME_2020,
    parameters=541_058,
    published=False,
    variant_of="deep_storm3d",
    note=(
        "Not the published architecture: dilated units at camera resolution with a "
        "pixel-shuffle head, trained on DeepSTORM3D's task with its loss."
    ),
)
