"""Spectra, resizing matrices and GELU against NumPy, SciPy and Keras' own resizing."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import erf

from zoo.layers.attention import (
    amplitude_spectrum,
    fourier_basis,
    fourier_channel_attention,
)
from zoo.layers.blocks import gelu
from zoo.layers.resize import axis_positions, bilinear_matrix, resize_axes

# raised inside Keras where it reads its own variables
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


def function(build, shape=(None, None, 2)):
    """Return a NumPy function of a symbolic one."""
    image = keras.Input(shape)
    model = keras.Model(image, build(image))
    return lambda x: ops.convert_to_numpy(model(np.asarray(x, "float32")))


def spectrum(*, size=None, gamma=1.0, shape=(None, None, 2), **options):
    return function(
        lambda x: amplitude_spectrum(
            x, fourier_basis(x, size=size, **options), gamma=gamma
        ),
        shape,
    )


@pytest.mark.parametrize("shape", [(16, 16), (17, 24), (31, 15)])
@pytest.mark.parametrize("kind", ["normalised", "published"])
def test_amplitude_is_that_of_the_fast_transform(shape, kind):
    x = np.random.default_rng(1).normal(size=(2, *shape, 2)) + 0.5
    expected = np.abs(np.fft.fft2(x, axes=(1, 2)))
    if kind == "normalised":
        expected = np.fft.fftshift(expected, axes=(1, 2)) / np.sqrt(np.prod(shape))
    else:
        expected = np.fft.ifftshift(expected, axes=(1, 2))
    found = spectrum(spectrum=kind)(x)
    np.testing.assert_allclose(found, expected, atol=2e-6 * expected.max())


@pytest.mark.parametrize("gamma", [0.8, 0.1])
def test_power_and_floor_are_those_of_the_paper(gamma):
    x = np.random.default_rng(2).normal(size=(1, 12, 12, 2))
    x[..., 1] = 0
    amplitude = np.abs(np.fft.ifftshift(np.fft.fft2(x, axes=(1, 2)), axes=(1, 2)))
    expected = (amplitude + 1e-8) ** gamma
    found = spectrum(spectrum="published", gamma=gamma)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_large_fields_keep_their_phases():
    # a single wave: its energy must not leak through rounded angles
    n = 502
    wave = np.cos(2 * np.pi * 247 * np.arange(n) / n)
    found = spectrum(shape=(None, None, 1))(np.tile(wave, (n, 1))[None, ..., None])
    found = found[0, :, :, 0]
    expected = np.zeros((n, n))
    expected[n // 2, [n // 2 - 247, n // 2 + 247]] = n / 2
    np.testing.assert_allclose(found, expected, atol=2e-4 * n / 2)


def test_normalised_amplitudes_are_those_of_a_field_of_reference_size():
    x = np.random.default_rng(8).random((1, 16, 16, 2))
    plain = spectrum(spectrum="published")(x)
    scaled = spectrum(spectrum="normalised", reference_px=16)(x)
    np.testing.assert_allclose(scaled, plain, atol=1e-6 * plain.max())
    tiled = np.tile(x, (1, 2, 3, 1))
    # a periodic image keeps its waves: their amplitude grows with the field
    found = spectrum(spectrum="normalised", reference_px=16)(tiled)
    np.testing.assert_allclose(
        found[:, ::2, ::3], plain * np.sqrt(6), atol=1e-5 * plain.max()
    )


def test_noise_has_one_normalised_amplitude_in_any_field():
    rng = np.random.default_rng(3)
    run = spectrum(size=32, gamma=0.8)
    means = [run(rng.normal(size=(4, n, n, 2))).mean() for n in (32, 64, 126)]
    # the mean of |F|^0.8 for normal real and imaginary parts of variance one half
    np.testing.assert_allclose(means, 0.8873, rtol=0.02)


@pytest.mark.parametrize(("height", "width"), [(12, 12), (30, 17), (8, 12)])
def test_half_pixel_resizing_is_that_of_keras(height, width):
    x = np.random.default_rng(4).random((2, height, width, 3)).astype("float32")

    def resized(image):
        rows, columns = (
            bilinear_matrix(axis_positions(image, axis=axis), 12) for axis in (1, 2)
        )
        return resize_axes(image, rows, columns)

    expected = ops.image.resize(
        x,
        (12, 12),
        interpolation="bilinear",
        antialias=False,
        data_format="channels_last",
    )
    found = function(resized, (None, None, 3))(x)
    np.testing.assert_allclose(found, ops.convert_to_numpy(expected), atol=1e-6)


@pytest.mark.parametrize("length", [8, 16, 17, 5])
def test_legacy_resizing_samples_multiples_of_the_step(length):
    values = np.random.default_rng(5).random(length)
    image = np.tile(values[None, :, None, None], (1, 1, 3, 1))
    matrix = function(
        lambda x: bilinear_matrix(axis_positions(x, axis=1), 8, convention="legacy"),
        (None, None, 1),
    )(image)
    places = np.minimum(np.arange(8) * length / 8, length - 1)
    np.testing.assert_allclose(
        matrix @ values, np.interp(places, np.arange(length), values), atol=1e-6
    )
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)


def test_nothing_is_resized_where_the_size_is_known_to_fit():
    fixed, free = keras.Input((16, 16, 1)), keras.Input((None, None, 1))
    assert fourier_basis(fixed, size=16).rows is None
    assert fourier_basis(fixed, size=None).rows is None
    assert fourier_basis(free, size=16).rows is not None
    x = np.random.default_rng(6).random((1, 16, 16, 1))
    np.testing.assert_array_equal(
        spectrum(size=16, shape=(16, 16, 1))(x),
        spectrum(size=16, shape=(None, None, 1))(x),
    )


def test_attention_weighs_channels_by_the_formula():
    rng = np.random.default_rng(7)
    image = keras.Input((8, 8, 32))
    model = keras.Model(
        image,
        fourier_channel_attention(
            image, fourier_basis(image, size=8), name="a", gamma=0.8
        ),
    )
    model.set_weights([rng.normal(0, 0.2, w.shape) for w in model.weights])
    kernels = {w.path: ops.convert_to_numpy(w) for w in model.weights}
    x = rng.normal(size=(2, 8, 8, 32)).astype("float32")
    amplitude = np.abs(np.fft.fftshift(np.fft.fft2(x, axes=(1, 2)), axes=(1, 2))) / 8
    padded = np.pad(amplitude**0.8, [(0, 0), (1, 1), (1, 1), (0, 0)])
    mixed = kernels["a_spectrum/bias"] + sum(
        padded[:, i : i + 8, j : j + 8] @ kernels["a_spectrum/kernel"][i, j]
        for i in range(3)
        for j in range(3)
    )
    mean = np.maximum(mixed, 0).mean((1, 2))
    narrow = mean @ kernels["a_squeeze/kernel"][0, 0] + kernels["a_squeeze/bias"]
    assert narrow.shape == (2, 2)
    wide = np.maximum(narrow, 0) @ kernels["a_excite/kernel"][0, 0]
    weights = 1 / (1 + np.exp(-wide - kernels["a_excite/bias"]))
    expected = x * weights[:, None, None, :]
    np.testing.assert_allclose(
        ops.convert_to_numpy(model(x)), expected, atol=1e-5 * np.abs(expected).max()
    )


def test_gelu_is_exact():
    x = np.linspace(-6, 6, 301).reshape(1, -1, 1, 1)
    expected = 0.5 * x * (1 + erf(x / np.sqrt(2)))
    found = function(gelu, (None, None, 1))(x)
    np.testing.assert_allclose(found, expected, atol=5e-7)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"spectrum": "raw"}, "normalised or published"),
        ({"size": 4, "resize": "corners"}, "half_pixel or legacy"),
    ],
)
def test_unknown_names_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        fourier_basis(keras.Input((8, 8, 1)), **{"size": None, **options})
