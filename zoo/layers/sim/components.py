"""Components of raw SIM frames and the plane waves that shift them.

Structured illumination adds shifted copies of a sample's spectrum, the side bands, to
its central band.  Three phases of an orientation separate them (Gustafsson 2000,
doi:10.1046/j.1365-2818.2000.00710.x).
"""

from typing import Any

import keras
import numpy as np

from zoo.layers.dft import Parts, Tensor

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

ORIENTATIONS = 3
PHASES = 3


def components(frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Separate the central band of all frames and the side band of every orientation.

    Parameters
    ----------
    frames : (b, y, x, 9)
        Three phases of the first orientation, then of the second, then of the third.

    Returns
    -------
    mean, cosine, sine
        (b, 1, y, x) and twice (b, 3, y, x): two thirds of the sum of an orientation's
        frames times the cosine and the sine of equal steps.  ``cosine - 1j * sine`` is
        what a microscope shows of modulation times sample times the plane wave.
    """
    steps = 2 * np.pi * np.arange(PHASES) / PHASES
    eye = np.eye(ORIENTATIONS)
    cosine, sine = (
        ops.matmul(
            frames, np.kron(eye, 2 / PHASES * wave(steps)[:, None]).astype("float32")
        )
        for wave in (np.cos, np.sin)
    )
    parts = ops.mean(frames, axis=-1, keepdims=True), cosine, sine
    mean, cosine, sine = (ops.transpose(part, (0, 3, 1, 2)) for part in parts)
    return mean, cosine, sine


def plane_waves(
    vectors: Tensor, phasors: Tensor, along_y: Tensor, along_x: Tensor
) -> Parts:
    """Return cosine and sine of an orientation's first phase, (b, orientation, y, x).

    Parameters
    ----------
    vectors, phasors : (b, orientation, 2)
        Of a `zoo.layers.sim.pattern.PatternEstimate`.
    along_y, along_x : (y,), (x,)
        Positions, from the middle of the image.
    """
    shape = (-1, ORIENTATIONS, 1, 1)
    f_y, f_x = (ops.reshape(vectors[..., axis], shape) for axis in (0, 1))
    turns = f_y * ops.expand_dims(along_y, 1) + f_x * along_x
    angle = 2 * np.pi * (turns - ops.floor(turns))
    cos, sin = ops.cos(angle), ops.sin(angle)
    first_cos, first_sin = (ops.reshape(phasors[..., part], shape) for part in (0, 1))
    return cos * first_cos - sin * first_sin, sin * first_cos + cos * first_sin


def mean_length(vectors: Tensor) -> Tensor:
    """Return the mean length of the pattern vectors of every image, (b,)."""
    return ops.mean(ops.sqrt(ops.sum(vectors * vectors, axis=-1)), axis=-1)
