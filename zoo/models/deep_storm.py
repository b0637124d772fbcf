"""Deep-STORM: dense emitters of one frame as a density on a finer grid.

Nehme, Weiss, Michaeli and Shechtman 2018 (doi:10.1364/OPTICA.5.000458).
"""

import keras
from keras import layers

from zoo.core import papers
from zoo.core.network import Network


def deep_storm(
    *,
    upsampling: int = 8,
    mean: float = 0.0,
    std: float = 1.0,
    dtype: str = "float32",
) -> keras.Model:
    """Build Deep-STORM with normalisation and enlargement inside the graph.

    The published program scales a frame to [0, 1], enlarges it by replication and
    standardises it with two stored scalars before the network sees it.  Both last
    steps commute with replication and are part of this graph, which therefore takes
    camera frames scaled to [0, 1].  The trunk is an encoder and decoder without skip
    connections; convolutions carry no bias and are followed by batch normalisation.

    Parameters
    ----------
    upsampling
        Fine pixels per camera pixel along an axis; 4 or 8.  Four needs even frame
        sizes.
    mean, std
        Scalars that standardise a frame scaled to [0, 1].
    dtype
        Precision of the layers; the last one is float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, 1) to (b, upsampling * y, upsampling * x, 1), linear output; an
        isolated emitter recovered ideally peaks at 48.4.

    Raises
    ------
    ValueError
        If `upsampling` is neither 4 nor 8, or `std` is not positive.
    """
    if upsampling not in (4, 8):
        raise ValueError(f"upsampling must be 4 or 8, not {upsampling}")
    if std <= 0:
        raise ValueError(f"std must be positive, not {std}")
    frame = keras.Input((None, None, 1), name="frame", dtype="float32")
    x = layers.Rescaling(1.0 / std, -mean / std, dtype=dtype, name="standardise")(frame)
    x = layers.UpSampling2D(
        upsampling,
        data_format="channels_last",
        interpolation="nearest",
        dtype=dtype,
        name="enlarge",
    )(x)
    for number, (width, resize) in enumerate(_BLOCKS, start=1):
        x = _block(x, width, name=f"f{number}", dtype=dtype)
        if resize == "down":
            x = layers.MaxPooling2D(
                2, data_format="channels_last", dtype=dtype, name=f"f{number}_pool"
            )(x)
        elif resize == "up":
            x = layers.UpSampling2D(
                2, data_format="channels_last", dtype=dtype, name=f"f{number}_enlarge"
            )(x)
    density = layers.Conv2D(
        1,
        1,
        use_bias=False,
        kernel_initializer="orthogonal",
        data_format="channels_last",
        dtype="float32",
        name="density",
    )(x)
    return keras.Model(frame, density, name="deep_storm")


_BLOCKS = (
    (32, "down"),
    (64, "down"),
    (128, "down"),
    (512, "up"),
    (128, "up"),
    (64, "up"),
    (32, None),
)


def _block(
    x: keras.KerasTensor, width: int, *, name: str, dtype: str
) -> keras.KerasTensor:
    x = layers.Conv2D(
        width,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer="orthogonal",
        data_format="channels_last",
        dtype=dtype,
        name=f"{name}_conv",
    )(x)
    x = layers.BatchNormalization(axis=-1, dtype=dtype, name=f"{name}_norm")(x)
    return layers.ReLU(dtype=dtype, name=f"{name}_relu")(x)


DEEP_STORM = Network(
    name="deep_storm",
    build=deep_storm,
    paper=papers.NEHME_2018,
    parameters=1_366_208,
)
