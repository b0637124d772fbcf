"""PSSR: what the conformance of networks does not ask."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from zoo.models.pssr import begin_with_bilinear, bilinear_enlargement, pssr

# Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


def values(tensor) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def test_the_input_is_enlarged_as_scipy_does_it():
    image = np.random.default_rng(0).random((1, 8, 12, 2), np.float32)
    found = values(bilinear_enlargement(image))[0]
    for channel in range(2):
        expected = ndimage.zoom(
            image[0, ..., channel], 4, order=1, grid_mode=True, mode="nearest"
        )
        np.testing.assert_allclose(found[..., channel], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("option", "rule"),
    [
        ({"tile": 30}, "tile must be a multiple of 8 px, not 30"),
        ({"channels": 0}, "channels must be at least 1, not 0"),
        ({"width": 4}, "width must be at least 8, not 4"),
    ],
)
def test_impossible_options_are_refused(option, rule):
    with pytest.raises(ValueError, match=rule):
        pssr(**option)


def test_prepared_weights_begin_near_bilinear_interpolation():
    keras.utils.set_random_seed(1)
    model = pssr(tile=None, width=8, channels=2)
    begin_with_bilinear(model)
    image = np.random.default_rng(1).random((1, 32, 32, 2), np.float32)
    found = values(model(image, training=False))[0, ..., 0]
    expected = values(bilinear_enlargement(image)).mean(axis=-1)[0]
    assert np.abs(found - expected).mean() < 0.2
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9
    kernel = model.get_layer("up2_shuffle").get_weights()[0]
    maps = kernel.shape[-1] // 4
    np.testing.assert_array_equal(kernel[..., :maps], kernel[..., maps : 2 * maps])

    # weights do not depend on the tile, and neither does the function
    fixed = pssr(tile=32, width=8, channels=2)
    fixed.set_weights(model.get_weights())
    assert fixed.output_shape == (None, 128, 128, 1)
    again = values(fixed(image, training=False))[0, ..., 0]
    np.testing.assert_allclose(again, found, atol=1e-5)
