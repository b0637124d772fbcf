"""Fourier channel attention: feature maps weighed by their amplitude spectra.

The transform is a product with cosine and sine matrices: ONNX has no complex numbers
that converters write, and a matrix runs everywhere.  The matrices belong to the size
of the input, not to a block; a network makes them once.
"""

from typing import Any, Literal, NamedTuple

import keras
import numpy as np
from keras import layers

from zoo.layers.resize import Convention, axis_positions, bilinear_matrix, resize_axes

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

Spectrum = Literal["normalised", "published"]
"""``published`` leaves the sum over all pixels as it is, which grows with the field,
and puts zero frequency at (n + 1) // 2, as the programs of Qiao et al. 2021 do.
``normalised`` divides by the square root of the number of pixels, so that noise and
texture have the same amplitude in a field of any size, and puts it at n // 2."""

SMALLEST = 1e-8
"""Amplitude added before the power, which has no slope at zero."""


class Basis(NamedTuple):
    """The matrices of one field size: waves along both axes and, if needed, resizing.

    Attributes
    ----------
    cos_y, sin_y : (y, y) float32
        Rows are frequencies from the most negative to the most positive.
    cos_x, sin_x : (x, x) float32
        The same along x.
    rows, columns : (size, y), (size, x) float32 or None
        Bilinear resizing of the spectrum; None if it keeps its size.
    """

    cos_y: keras.KerasTensor
    sin_y: keras.KerasTensor
    cos_x: keras.KerasTensor
    sin_x: keras.KerasTensor
    rows: keras.KerasTensor | None
    columns: keras.KerasTensor | None


def fourier_basis(
    x: keras.KerasTensor,
    *,
    size: int | None,
    reference_px: int = 1,
    spectrum: Spectrum = "normalised",
    resize: Convention = "half_pixel",
) -> Basis:
    """Make the matrices for tensors as high and wide as `x`.

    Parameters
    ----------
    x : (b, y, x, c)
        Only its size is used, which may be known at run time only.
    size
        Height and width that spectra are resized to, px; None for no resizing.  It
        is also left out where `x` is known to have this size.
    reference_px
        Normalised amplitudes are multiplied by this number: they are those that a
        square field of so many pixels a side has without normalisation.
    spectrum
        Normalisation and orientation.
    resize
        Convention of the resizing.

    Raises
    ------
    ValueError
        If `spectrum` or `resize` is unknown, or `size` not positive.
    """
    if size is not None and size < 1:
        raise ValueError(f"the size of spectra must be at least 1 px, not {size}")
    if spectrum not in ("normalised", "published"):
        raise ValueError(f"spectrum must be normalised or published, not {spectrum!r}")
    along_y, along_x = (axis_positions(x, axis=axis) for axis in (1, 2))
    rows = columns = None
    if size is not None and tuple(x.shape[1:3]) != (size, size):
        rows = bilinear_matrix(along_y, size, convention=resize)
        columns = bilinear_matrix(along_x, size, convention=resize)
    cos_y, sin_y = _waves(along_y, spectrum, float(reference_px))
    cos_x, sin_x = _waves(along_x, spectrum, float(reference_px))
    return Basis(cos_y, sin_y, cos_x, sin_x, rows, columns)


def amplitude_spectrum(
    x: keras.KerasTensor, basis: Basis, *, gamma: float = 1.0
) -> keras.KerasTensor:
    """Return the centred amplitude of the Fourier transform, raised to a power.

    Without resizing and with ``gamma=1`` this is
    ``abs(fftshift(fft2(u))) * reference_px / sqrt(h·w)`` of every channel u, or the
    unnormalised amplitude if the basis says so.

    Parameters
    ----------
    x : (b, y, x, c) float32
        Feature maps.
    basis
        Matrices for their size, from `fourier_basis`.
    gamma
        Exponent of the amplitude, taken before resizing.

    Returns
    -------
    spectrum : (b, size, size, c) float32
        ``(b, y, x, c)`` where the basis does not resize.
    """
    even, odd = ops.matmul(basis.cos_x, x), ops.matmul(basis.sin_x, x)
    even, odd = (ops.transpose(part, (0, 2, 1, 3)) for part in (even, odd))
    real = ops.matmul(basis.cos_y, even) - ops.matmul(basis.sin_y, odd)
    imaginary = ops.matmul(basis.sin_y, even) + ops.matmul(basis.cos_y, odd)
    power = ops.square(real) + ops.square(imaginary)
    # of the power, not of its root: the root has no finite slope where a map is empty;
    # by logarithm, as TensorFlow's power takes a quarter of a training step on a CPU
    amplitude = ops.exp(0.5 * gamma * ops.log(power + SMALLEST**2))
    amplitude = ops.transpose(amplitude, (0, 2, 1, 3))
    if basis.rows is None or basis.columns is None:
        return amplitude
    return resize_axes(amplitude, basis.rows, basis.columns)


def fourier_channel_attention(
    x: keras.KerasTensor,
    basis: Basis,
    *,
    name: str,
    gamma: float = 0.8,
    reduction: int = 16,
    dtype: str = "float32",
) -> keras.KerasTensor:
    """Weigh channels by what their spectra look like (Qiao et al. 2021).

    A 3 x 3 convolution runs over the spectra, its mean over all frequencies passes a
    bottleneck of two 1 x 1 convolutions, and the sigmoid of the result multiplies the
    channels (doi:10.1038/s41592-020-01048-5).  Every weight therefore depends on the
    whole field.

    The first of the two starts out averaging: its inputs are not negative, and with
    weights of either sign all its few rectified units would be dead in one block out
    of sixteen, which then could not learn.

    Parameters
    ----------
    x : (b, y, x, c)
        Feature maps.
    basis
        Matrices for their size.
    name
        Prefix of the layers' names.
    gamma
        Exponent of the amplitude.
    reduction
        Factor by which the bottleneck is narrower than `x`.
    dtype
        Precision of the product; the spectra are float32 in any case.

    Returns
    -------
    weighted : (b, y, x, c)
    """
    channels = int(x.shape[-1])
    spectra = amplitude_spectrum(ops.cast(x, "float32"), basis, gamma=gamma)
    y = _conv(spectra, channels, 3, "relu", name=f"{name}_spectrum")
    y = layers.GlobalAveragePooling2D(
        keepdims=True, data_format="channels_last", dtype="float32", name=f"{name}_mean"
    )(y)
    y = _conv(
        y,
        max(channels // reduction, 1),
        1,
        "relu",
        name=f"{name}_squeeze",
        start=keras.initializers.RandomUniform(0.0, 2.0 / channels),
    )
    y = _conv(y, channels, 1, "sigmoid", name=f"{name}_excite")
    return layers.Multiply(dtype=dtype, name=f"{name}_weigh")([x, y])


def _conv(
    x: keras.KerasTensor,
    width: int,
    kernel: int,
    activation: str,
    *,
    name: str,
    start: Any = "glorot_uniform",
) -> keras.KerasTensor:
    return layers.Conv2D(
        width,
        kernel,
        padding="same",
        activation=activation,
        kernel_initializer=start,
        data_format="channels_last",
        dtype="float32",
        name=name,
    )(x)


def _waves(
    positions: keras.KerasTensor, spectrum: Spectrum, reference: float
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return cosines and sines of all frequencies along an axis, (n, n)."""
    count = ops.max(positions) + 1.0
    lowest = (
        ops.floor(count / 2.0) if spectrum == "normalised" else ops.ceil(count / 2.0)
    )
    turns = ops.expand_dims(positions - lowest, 1) * ops.expand_dims(positions, 0)
    # whole turns are taken off first: float32 is exact for integers, not for angles
    turns = turns - count * ops.floor(turns / count)
    angle = turns * (2.0 * np.pi) / count
    cosine, sine = ops.cos(angle), ops.sin(angle)
    if spectrum == "normalised":
        scale = ops.sqrt(reference / count)
        return cosine * scale, sine * scale
    return cosine, sine
