"""DFCAN and its variant behind a reconstruction: sizes, tiles, precision, formats."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops
from scipy.ndimage import gaussian_filter

from zoo.layers.sim.reconstruction import MAPS, reconstructions
from zoo.models.dfcan import DFCAN, dfcan
from zoo.models.dfcan_reconstructed import (
    SHOWN,
    dfcan_reconstructed,
    show_reconstruction,
)

# raised inside Keras where it reads its own variables
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

NARROW = {"width": 16, "groups": 1, "blocks": 2}


@pytest.mark.parametrize(
    ("channels", "scale", "parameters"),
    [(1, 2, 1_930_753), (9, 2, 1_935_361), (1, 3, 2_115_393), (25, 3, 2_129_217)],
)
def test_published_parameter_counts(channels, scale, parameters):
    model = dfcan(channels=channels, scale=scale)
    assert model.count_params() == parameters
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == parameters
    assert model.input_shape == (None, 128, 128, channels)
    assert model.output_shape == (None, 128 * scale, 128 * scale, 1)


@pytest.mark.parametrize(
    ("scale", "channels", "shape"), [(2, 1, (20, 33)), (3, 9, (17, 16))]
)
def test_free_sizes_are_multiplied_by_the_scale(scale, channels, shape):
    model = dfcan(**NARROW, scale=scale, channels=channels, tile=None, spectrum_px=16)
    image = np.random.default_rng(1).random((2, *shape, channels), "float32")
    output = ops.convert_to_numpy(model(image))
    assert output.shape == (2, scale * shape[0], scale * shape[1], 1)
    assert ((output > 0) & (output < 1)).all()


def test_weights_do_not_belong_to_a_tile():
    fixed = dfcan(**NARROW, tile=24, spectrum_px=24)
    free = dfcan(**NARROW, tile=None, spectrum_px=24)
    free.set_weights(fixed.get_weights())
    image = np.random.default_rng(2).random((1, 24, 24, 1), "float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(free(image)), ops.convert_to_numpy(fixed(image)), atol=1e-6
    )


def test_the_published_network_is_met_at_its_training_tile():
    published = dfcan(**NARROW, tile=None, spectrum_px=24, spectrum="published")
    normalised = dfcan(**NARROW, tile=None, spectrum_px=24)
    rng = np.random.default_rng(10)
    # as they come, those of the last layer are so small that nothing could differ
    weights = [rng.uniform(-0.3, 0.3, w.shape) for w in published.get_weights()]
    for network in (published, normalised):
        network.set_weights(weights)
    for side, same in ((24, True), (48, False)):
        image = rng.random((1, side, side, 1), "float32")
        change = ops.convert_to_numpy(normalised(image) - published(image))
        assert (np.abs(change).max() < 1e-6) == same


@pytest.mark.parametrize("seed", range(3))
def test_no_attention_is_dead_from_the_start(seed):
    keras.utils.set_random_seed(seed)
    model = dfcan(width=64, groups=2, blocks=4, tile=16, spectrum_px=16)
    squeezed = [x.output for x in model.layers if x.name.endswith("_squeeze")]
    image = np.random.default_rng(seed).random((2, 16, 16, 1), "float32")
    for units in keras.Model(model.input, squeezed)(image):
        assert (ops.convert_to_numpy(units) > 0).all()


def texture(side):
    """Return an image whose statistics are the same everywhere, in [0, 1]."""
    rng = np.random.default_rng(3)
    image = gaussian_filter((rng.random((side, side)) < 0.01).astype(float), 2.0)
    image += rng.normal(0, 0.01 * image.max(), image.shape)
    return (image - image.min()) / np.ptp(image)


def strong_attention(spectrum, rows):
    """Return a network whose attention is far from indifferent, at a 128 px tile."""
    keras.utils.set_random_seed(4)
    model = dfcan(**NARROW, tile=None, spectrum=spectrum)
    for layer in model.layers:
        if layer.name.endswith(("_squeeze", "_spectrum")):
            layer.kernel.assign(ops.abs(layer.kernel))
        if layer.name.endswith("_excite"):
            # bring the attention of a 128 px field to both sides of one half
            squeezed = keras.Model(model.input, layer.input)(rows[128])
            level = float(ops.max(squeezed))
            layer.kernel.assign(layer.kernel * (6.0 / level))
    names = [f"group1_block{n}_attention_excite" for n in (1, 2)]
    return keras.Model(
        model.input, [model.output, *(model.get_layer(n).output for n in names)]
    )


@pytest.mark.parametrize("spectrum", ["normalised", "published"])
def test_the_image_does_not_depend_on_the_size_of_the_field(spectrum):
    image = texture(502)[None, ..., None].astype("float32")
    rows = {}
    for side in (128, 256, 502):
        start = 251 - side // 2
        rows[side] = image[:, start : start + side, start : start + side]
    model = strong_attention(spectrum, rows)
    found = {}
    for side, crop in rows.items():
        restored, *weights = (ops.convert_to_numpy(part) for part in model(crop))
        middle = restored.shape[1] // 2
        # the convolutions of this narrow network reach 8 px
        inner = restored[0, middle - 108 : middle + 108, middle - 108 : middle + 108, 0]
        found[side] = inner, np.concatenate(weights).ravel()
    reference, own = found[128]
    assert np.ptp(own) > 0.5
    for side in (256, 502):
        change = np.abs(found[side][0] - reference).max() / np.ptp(reference)
        drift = np.abs(found[side][1] - own).max()
        if spectrum == "normalised":
            # what is left is the difference between two samples of the texture
            assert change < 0.004
            assert drift < 0.05
        else:
            assert drift > 0.08


def test_reduced_precision_keeps_spectra_and_output_in_float32():
    model = dfcan(**NARROW, tile=16, spectrum_px=16, dtype="mixed_bfloat16")
    assert model.get_layer("group1_block1_conv1").compute_dtype == "bfloat16"
    attention = model.get_layer("group1_block1_attention_spectrum")
    assert attention.compute_dtype == "float32"
    assert keras.backend.standardize_dtype(attention.input.dtype) == "float32"
    plain = dfcan(**NARROW, tile=16, spectrum_px=16)
    plain.set_weights(model.get_weights())
    image = np.random.default_rng(7).random((1, 16, 16, 1), "float32")
    output = model(image)
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    np.testing.assert_allclose(
        ops.convert_to_numpy(output), ops.convert_to_numpy(plain(image)), atol=0.02
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"scale": 1}, "scale must be at least 2, not 1"),
        ({"channels": 0}, "channels must be at least 1"),
        ({"tile": 0}, "tile must be at least 1"),
        ({"groups": 0}, "groups must be at least 1"),
        ({"gamma": 0.0}, "gamma must be positive"),
        ({"spectrum": "fft"}, "spectrum must be"),
        ({"resize": "nearest"}, "resize must be"),
        ({"spectrum_px": 0}, "size of spectra must be at least 1 px, not 0"),
    ],
)
def test_impossible_options_are_named(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        dfcan(**({**NARROW, "tile": None} | options))


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "options",
    [
        # published as dfcan_widefield and as dfcan_sim, whose files are compared
        # without this test
        pytest.param({"tile": 32, "spectrum_px": 32}, marks=pytest.mark.slow),
        pytest.param(
            {
                "tile": None,
                "spectrum_px": 24,
                "spectrum": "published",
                "resize": "legacy",
                "channels": 9,
                "scale": 3,
            },
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"tile": None, "spectrum_px": 24, "build": dfcan_reconstructed},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_format_gives_the_same_image(options, tmp_path):
    from zoo.io.keras_file import check_keras_file
    from zoo.package.export import export_keras, export_onnx, export_saved_model

    keras.utils.set_random_seed(8)
    options = dict(options)
    model = options.pop("build", dfcan)(**NARROW, **options)
    # each writer runs what it wrote at two sizes and refuses a difference of 1e-5
    path = export_keras(model, tmp_path / "weights.keras")
    export_onnx(model, tmp_path / "model.onnx")
    export_saved_model(model, tmp_path / "saved_model.zip")
    check_keras_file(path)
    image = np.random.default_rng(9).random(
        (1, 32, 32, model.input_shape[3]), "float32"
    )
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "expected.npy", ops.convert_to_numpy(model(image)))
    script = (
        "import keras, numpy as np, sys\n"
        "model = keras.saving.load_model('weights.keras', safe_mode=True)\n"
        "found = keras.ops.convert_to_numpy(model(np.load('image.npy')))\n"
        "assert abs(found - np.load('expected.npy')).max() < 1e-6\n"
        "assert not any(name.split('.')[0] == 'zoo' for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_reconstructing_adds_no_weights():
    model, other = dfcan_reconstructed(**NARROW), dfcan(**NARROW, channels=9)
    assert [w.path for w in model.weights] == [w.path for w in other.weights]
    other.set_weights(model.get_weights())
    assert DFCAN.published
    with pytest.raises(ValueError, match="tile must be at least 1, not 0"):
        dfcan_reconstructed(tile=0)


def test_a_network_for_reconstructions_begins_by_showing_them():
    keras.utils.set_random_seed(11)
    model = dfcan_reconstructed(**(NARROW | {"groups": 2}), tile=None)
    show_reconstruction(model)
    rng = np.random.default_rng(12)
    frames = gaussian_filter(rng.random((1, 32, 48, 9)), (0, 1.5, 1.5, 0))
    frames = (frames / frames.max()).astype("float32")
    maps = [
        ops.convert_to_numpy(part)[0, ..., 0]
        for part in reconstructions(ops.convert_to_tensor(frames))
    ]
    pixels = np.reshape(maps[1:], ((MAPS - 1) // 4, 2, 2, 32, 48)).mean(axis=0)
    whole = np.moveaxis(pixels, (2, 0, 3, 1), (0, 1, 2, 3)).reshape(64, 96)
    expected = 1 / (1 + np.exp(-(SHOWN[0] * whole + SHOWN[1])))
    found = ops.convert_to_numpy(model(frames))[0, ..., 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
