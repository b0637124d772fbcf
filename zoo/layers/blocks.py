"""Activation functions that several networks share."""

from typing import Any

import keras

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops


def gelu(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return the exact Gaussian error linear unit, ``x · Φ(x)``.

    It is written with the error function: the activation of that name in Keras calls
    its complement, for which ONNX has no operator.  Hendrycks and Gimpel 2016,
    doi:10.48550/arXiv.1606.08415.

    Parameters
    ----------
    x
        Tensor of any shape.
    """
    return 0.5 * x * (1.0 + ops.erf(x * 0.7071067811865476))
