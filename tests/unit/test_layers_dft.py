"""Transforms by matrices against NumPy's, eagerly."""

import numpy as np
import pytest
from keras import ops

from zoo.layers.dft import backward, forward, frequencies, waves

SHAPE = (12, 9)


def tensors(*arrays):
    return [ops.convert_to_tensor(np.asarray(x, "float32")) for x in arrays]


def matrices(*, finer=1, shape=SHAPE):
    along = tensors(*(np.arange(n) for n in shape))
    return waves(*(frequencies(part, finer=finer) for part in along), *along)


def complex_image(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, 3, *SHAPE)) + 1j * rng.normal(size=(2, 3, *SHAPE))


@pytest.mark.parametrize("count", [8, 9])
@pytest.mark.parametrize("finer", [1, 2])
def test_frequencies_are_those_of_numpy(count, finer):
    (along,) = tensors(np.arange(count))
    found = ops.convert_to_numpy(frequencies(along, finer=finer))
    expected = np.fft.fftshift(np.fft.fftfreq(finer * count))
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_forward_is_the_fast_transform():
    image = complex_image(1)
    expected = np.fft.fftshift(np.fft.fft2(image), axes=(-2, -1))
    by = matrices()
    real, imaginary = (
        ops.convert_to_numpy(part)
        for part in forward(*tensors(image.real, image.imag), by)
    )
    np.testing.assert_allclose(real + 1j * imaginary, expected, atol=1e-4)
    (only,) = tensors(image.real)
    zero = forward(*tensors(image.real, 0 * image.imag), by)
    for part, same in zip(forward(only, None, by), zero, strict=True):
        assert np.allclose(ops.convert_to_numpy(part), ops.convert_to_numpy(same))


def test_finer_frequencies_are_those_of_a_padded_image():
    image = complex_image(2)
    size = tuple(2 * n for n in SHAPE)
    expected = np.fft.fftshift(np.fft.fft2(image, s=size), axes=(-2, -1))
    found = forward(*tensors(image.real, image.imag), matrices(finer=2))
    real, imaginary = (ops.convert_to_numpy(part) for part in found)
    np.testing.assert_allclose(real + 1j * imaginary, expected, atol=1e-4)


def test_backward_returns_the_real_part():
    image = complex_image(3)
    by = matrices()
    spectrum = forward(*tensors(image.real, image.imag), by)
    found = ops.convert_to_numpy(backward(*spectrum, by)) / np.prod(SHAPE)
    np.testing.assert_allclose(found, image.real, atol=1e-5)
