"""Parameters of one emitter, aberrations included, by the convolutions of VGG16.

Zelger, Kaser, Rossboth, Velas, Schütz and Jesacher 2018 (doi:10.1364/OE.26.033166).
The paper names the backbone, the L1 loss and the outputs; size of the region, dense
layers and scaling are not published and are choices of this project.
"""

from typing import Any

import keras
from keras import layers

from zoo.core.network import Network
from zoo.core.papers import ZELGER_2018
from zoo.core.symmetry import SpotSymmetry
from zoo.layers.views import seen, together

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

GROUPS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Feature maps and convolutions before each pooling, as in VGG16."""


def zelger_vgg16(
    *,
    size: int = 32,
    outputs: int = 5,
    dense: int = 512,
    width: float = 1.0,
    photons: float = 100.0,
    deviations: int = 0,
    symmetry: SpotSymmetry = "none",
    dtype: str = "float32",
) -> keras.Model:
    """Build the VGG16 that estimates position, signal and background together.

    Photon counts are turned into ``2 sqrt(counts / photons + 3/8)``, which keeps their
    absolute height and makes Poisson noise about equal everywhere.

    Parameters
    ----------
    size
        Height and width of a region, px; at least 32.
    outputs
        Numbers returned: x, y, z, photons and background, then Zernike amplitudes.
    dense
        Units of the two dense layers.
    width
        Factor of all feature maps; 1 is VGG16.
    photons
        Counts that the square root takes for one.
    deviations
        Further outputs, one for each of the first: the expected size of its error.  No
        part of the published network.
    symmetry
        What spots share with themselves: the network then looks at every region from
        as many sides and returns the mean.  No part of the published network, and not
        for Zernike amplitudes.
    dtype
        Precision of the layers; outputs are float32 in any case.

    Returns
    -------
    model : keras.Model
        (b, y, x, 1) photons to (b, outputs + deviations), outputs about between -1 and
        1, deviations positive.

    Raises
    ------
    ValueError
        If the region is smaller than 32 px, a number is not positive, there are
        neither no deviations nor as many as outputs, or outputs other than three or
        five are to be put together from several views.
    """
    if size < 32:
        raise ValueError(f"size must be at least 32 px, not {size}")
    for name, value in (
        ("outputs", outputs),
        ("dense", dense),
        ("width", width),
        ("photons", photons),
    ):
        if value <= 0:
            raise ValueError(f"{name} must be positive, not {value}")
    if deviations not in (0, outputs):
        raise ValueError(
            f"deviations must be 0 or as many as the {outputs} outputs, not "
            f"{deviations}"
        )
    if symmetry != "none" and outputs not in (3, 5):
        raise ValueError(
            f"symmetry {symmetry!r} needs 3 outputs, x, y, z, or 5, with photons and "
            f"background, not {outputs}"
        )
    region = keras.Input((size, size, 1), name="region", dtype="float32")
    views = seen(region, symmetry)
    x: Any = 2.0 * ops.sqrt(ops.maximum(views, 0.0) / photons + 0.375)
    for group, (maps, count) in enumerate(GROUPS, start=1):
        for number in range(1, count + 1):
            x = layers.Conv2D(
                max(round(maps * width), 1),
                3,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                data_format="channels_last",
                dtype=dtype,
                name=f"group{group}_conv{number}",
            )(x)
        x = layers.MaxPooling2D(
            2, data_format="channels_last", dtype=dtype, name=f"group{group}_pool"
        )(x)
    x = layers.Flatten(dtype=dtype, name="flat")(x)
    for number in (1, 2):
        x = layers.Dense(
            dense,
            activation="relu",
            kernel_initializer="he_normal",
            dtype=dtype,
            name=f"dense{number}",
        )(x)
    values = layers.Dense(outputs, dtype="float32", name="values")(x)
    if deviations:
        raw = layers.Dense(deviations, dtype="float32", name="deviations")(x)
        # errors begin at a percent of the range
        spread = ops.exp(ops.clip(raw, -8.0, 8.0) - 4.0)
        values = ops.concatenate([values, spread], axis=-1)
    values = together(values, symmetry, deviations=deviations)
    return keras.Model(region, values, name="zelger_vgg16")


ZELGER_VGG16 = Network(
    name="zelger_vgg16",
    build=zelger_vgg16,
    paper=ZELGER_2018,
    parameters=15_241_413,
    note=(
        "VGG16 with one input channel and a head of 512, 512 and five units; the paper "
        "publishes the backbone and the loss, not the head."
    ),
)
