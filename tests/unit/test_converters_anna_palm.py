"""Checkpoints of ANNA-PALM's authors: written by TensorFlow, computed independently."""

import keras
import numpy as np
import pytest

import zoo
from converters.checkpoints.anna_palm import convert, load_anna_palm
from converters.mapping import MappingError
from converters.registry import checkpoint
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.models.anna_palm import anna_palm

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow

WIDTH, LEVELS = 4, 4


def variables(*, switch, channels=2, levels=LEVELS, width=WIDTH):
    """Return variables by the names of the authors' program."""
    rng = np.random.default_rng(8)

    def kernel(*shape):
        return rng.normal(0, 0.3, shape).astype(np.float32)

    widths = [width * min(2**level, 8) for level in range(levels)]
    found = {}
    for level, wide in enumerate(widths, start=1):
        before = widths[level - 2] if level > 1 else 0
        scope = f"generator/encoder_{level}"
        found[f"{scope}/conv/filter"] = kernel(4, 4, before or channels, wide)
        if switch:
            found[f"{scope}/conv1x1/filter"] = kernel(1, 1, 1, wide)
        up = f"generator/decoder_{level}"
        joined = wide if level == levels else 2 * wide
        found[f"{up}/resizeconv/filter"] = kernel(3, 3, joined, before or 1)
        if level > 1:
            for part, size in ((scope, wide), (up, before)):
                found[f"{part}/batchnorm/offset"] = kernel(size)
                found[f"{part}/batchnorm/scale"] = 1 + kernel(size)
    return found


def others(tensors):
    """Return what else the program keeps in the file."""
    kept = {f"{name}/Adam": values for name, values in tensors.items()}
    kept |= {f"{name}/Adam_1": values for name, values in tensors.items()}
    kept["beta1_power"] = np.float32(0.5)
    kept["global_step"] = np.int64(7)
    kept["discriminator/layer_1/conv/filter"] = np.zeros((4, 4, 3, 2), np.float32)
    kept["squirrel_discriminator/layer_1/conv2d/bias"] = np.zeros(2, np.float32)
    return kept


def save(folder, tensors):
    everything = tensors | others(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "model-7"),
        tensor_names=list(everything),
        shape_and_slices=[""] * len(everything),
        tensors=[tf.constant(value) for value in everything.values()],
    )
    return folder / "model-7"


def published(tensors, image, *, number=None, levels=LEVELS):
    """Compute the published network, by its description alone; (1, y, x, 1)."""

    def normalised(x, scope):
        mean = tf.reduce_mean(x, (0, 1, 2))
        variance = tf.reduce_mean(tf.square(x - mean), (0, 1, 2))
        scale, offset = (tensors[f"{scope}/batchnorm/{n}"] for n in ("scale", "offset"))
        return (x - mean) / tf.sqrt(variance + 1e-5) * scale + offset

    def convolved(x, kernel, stride):
        x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        return tf.nn.conv2d(x, kernel, stride, "VALID")

    sparse = 2 * tf.image.per_image_standardization(image[..., :1]) - 1
    wide = image[..., 1:2]
    low, high = wide.min(), wide.max()
    wide = 2 * (wide - low) / max(50.0, high - low) - 1
    x = tf.concat([sparse, wide], -1)
    x = x[..., : tensors["generator/encoder_1/conv/filter"].shape[2]]
    layers = []
    for level in range(1, levels + 1):
        scope = f"generator/encoder_{level}"
        if level > 1:
            x = tf.where(x > 0, x, 0.2 * x)
        x = convolved(x, tensors[f"{scope}/conv/filter"], 2)
        if number is not None:
            x = x + number * tensors[f"{scope}/conv1x1/filter"][0, 0, 0]
        if level > 1:
            x = normalised(x, scope)
        layers.append(x)
    for level in range(levels, 0, -1):
        scope = f"generator/decoder_{level}"
        if level < levels:
            x = tf.concat([x, layers[level - 1]], -1)
        x = tf.repeat(tf.repeat(tf.nn.relu(x), 2, axis=1), 2, axis=2)
        x = convolved(x, tensors[f"{scope}/resizeconv/filter"], 1)
        if level > 1:
            x = normalised(x, scope)
    return (tf.tanh(x) + 1) / 2


def renderings(size=64):
    rng = np.random.default_rng(4)
    counts = rng.poisson(0.3, (1, size, size, 1))
    wide = rng.integers(20, 230, (1, size, size, 1))
    return np.concatenate([counts, wide], -1).astype(np.float32)


@pytest.mark.parametrize("number", [None, 0, 3])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_published_network_is_reproduced(tmp_path, number, channels):
    tensors = variables(switch=number is not None, channels=channels)
    model = load_anna_palm(save(tmp_path, tensors))
    image = renderings()
    expected = published(tensors, image, number=number).numpy()
    assert expected.std() > 0.1
    if number is not None:
        image = np.concatenate([image, np.full_like(image[..., :1], number)], -1)
    found = keras.ops.convert_to_numpy(model(image, training=False))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_published_size_has_the_published_count():
    tensors = variables(switch=True, levels=8, width=64)
    shapes = sorted(values.shape for values in tensors.values())
    assert sum(int(np.prod(shape)) for shape in shapes) == 39_158_464
    assert shapes == sorted(tuple(w.shape) for w in anna_palm().trainable_weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder_1/conv/filter": None}, "it has no generator/encoder_1/conv/filter"),
        (
            {"decoder_3/resizeconv/filter": None},
            "has no generator/decoder_3/resizeconv",
        ),
        ({"encoder_3/batchnorm/scale": None}, "no tensor: encoder_3/batchnorm/scale"),
        (
            {"encoder_2/conv/filter": (4, 4, 4, 6)},
            "encoder_2/conv/filter has the shape",
        ),
        ({"encoder_1/conv/filter": (4, 4, 3, 4)}, "takes 3 channels"),
        ({"encoder_1/conv/filter": (4, 4, 2, 0)}, "are not those of an A-net"),
        ({"encoder_2/conv/filter": (0, 0, 4, 8)}, "where .4, 4, 4, 8. is expected"),
        ({"encoder_1/conv1x1/filter": (1, 1, 4, 4)}, "a switch of 4 channels"),
        ({"decoder_2/deconv/filter": (4, 4, 4, 8)}, "by transposed convolutions"),
        ({"decoder_1_0/resizeconv/filter": (3, 3, 8, 1)}, "image and its uncertainty"),
        ({"encoder_9/conv/filter": (4, 4, 4, 4)}, "left over: encoder_9/conv/filter"),
    ],
)
def test_other_networks_are_refused_in_one_line(tmp_path, change, message):
    tensors = variables(switch=True)
    for name, shape in change.items():
        name = f"generator/{name}"
        del_ = tensors.pop(name, None)
        assert shape is not None or del_ is not None
        if shape is not None:
            tensors[name] = np.zeros(shape, np.float32)
    with pytest.raises(MappingError, match=message) as caught:
        load_anna_palm(save(tmp_path, tensors))
    assert "\n" not in str(caught.value)


def test_a_tile_must_fit_the_depth(tmp_path):
    path = save(tmp_path, variables(switch=False))
    with pytest.raises(BadInput, match="tile must be a multiple of 16 px, not 24"):
        load_anna_palm(path, tile=24)


@pytest.mark.parametrize("switch", [False, True])
def test_the_package_says_what_is_known(tmp_path, switch):
    path = save(tmp_path, variables(switch=switch))
    convert_anna_palm = checkpoint("anna_palm")
    assert convert_anna_palm is convert
    folder = convert_anna_palm(path, tmp_path / "package", tile=64, verify=False)
    x_nm, y_nm = np.random.default_rng(1).uniform(0, 1280, (2, 900))
    table = Localizations(x_nm=x_nm, y_nm=y_nm)
    told = {"structure": "actin"} if switch else {}
    network = zoo.load(folder, field_um=1.28, **told)
    found = network.predict(table).images["image"].array
    counts = np.histogram2d(y_nm, x_nm, bins=64, range=[(0, 1280)] * 2)[0]
    image = np.stack([counts, np.zeros_like(counts)], -1)[None].astype(np.float32)
    expected = published(variables(switch=switch), image, number=2 if switch else None)
    np.testing.assert_allclose(found, expected.numpy()[0, ..., 0], atol=1e-4)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "model-7.data-00000-of-00001" in text
    assert "Not scored" in text
    with pytest.raises(BadInput, match="exists already"):
        convert(path, folder)
