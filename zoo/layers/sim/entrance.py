"""The layer at which the pattern of a whole recording may enter a graph.

See `zoo.core.sim_pattern` for the row of numbers.
"""

from typing import Any

import keras
from keras import layers

from zoo.core.sim_pattern import (
    ATTENUATION,
    CUTOFF,
    ENTRANCE,
    LENGTH,
    MODULATION,
    PHASORS,
    VECTORS,
)
from zoo.layers.dft import Tensor
from zoo.layers.sim.components import ORIENTATIONS
from zoo.layers.sim.pattern import PatternEstimate

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops


def through_entrance(pattern: PatternEstimate) -> PatternEstimate:
    """Pass an estimate through the layer whose output may be replaced.

    Parameters
    ----------
    pattern
        Estimated from the frames of a tile.

    Returns
    -------
    pattern : PatternEstimate
        What comes out of the layer; the clarity of the estimate is kept.
    """
    parts = (
        ops.reshape(pattern.vectors, (-1, 2 * ORIENTATIONS)),
        ops.reshape(pattern.phasors, (-1, 2 * ORIENTATIONS)),
        pattern.modulation,
        ops.reshape(pattern.cutoff, (-1, 1)),
        ops.reshape(pattern.attenuation, (-1, 1)),
    )
    row = layers.Concatenate(dtype="float32", name=ENTRANCE)(parts)
    return _read(row, clarity=pattern.clarity, gate=pattern.gate)


def _read(row: Tensor, *, clarity: Tensor, gate: Tensor) -> PatternEstimate:
    return PatternEstimate(
        vectors=ops.reshape(row[:, VECTORS], (-1, ORIENTATIONS, 2)),
        phasors=ops.reshape(row[:, PHASORS], (-1, ORIENTATIONS, 2)),
        modulation=row[:, MODULATION],
        cutoff=ops.reshape(row[:, CUTOFF], (-1,)),
        attenuation=ops.reshape(row[:, ATTENUATION], (-1,)),
        clarity=clarity,
        gate=gate,
    )


def told(frames: Tensor) -> PatternEstimate:
    """Return the pattern that the last channel holds, without looking at the others.

    Parameters
    ----------
    frames : (b, y, x, c + 1)
        From `zoo.core.sim_pattern.beside`.

    Returns
    -------
    pattern : PatternEstimate
        As told, and as clear as it is modulated.
    """
    row = frames[:, 0, :LENGTH, -1]
    return _read(row, clarity=row[:, MODULATION], gate=ops.sign(row[:, MODULATION]))


def enterable(model: keras.Model) -> keras.Model | None:
    """Return the network as a graph of two inputs; None if it has no entrance.

    The second input is a row per image, or one for all.  A row that is not zero takes
    the place of the estimate.

    Parameters
    ----------
    model
        Functional network of one input.
    """
    if not any(layer.name == ENTRANCE for layer in model.layers):
        return None
    # cutting a graph in two leaves marks on its layers
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    model = copy
    image: Any = model.inputs[0]
    estimate: Any = model.get_layer(ENTRANCE).output
    front = keras.Model(image, estimate)
    trunk = keras.Model([image, estimate], model.output)
    frames = keras.Input(image.shape[1:], name=image.name, dtype="float32")
    known = keras.Input((LENGTH,), name=ENTRANCE, dtype="float32")
    told = ops.max(ops.abs(known), axis=-1, keepdims=True) > 0
    row = ops.where(told, known, front(frames))
    return keras.Model([frames, known], trunk([frames, row]))
