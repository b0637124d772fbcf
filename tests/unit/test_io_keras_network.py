"""`zoo.io.keras_network`: no network is larger than the weights of its file."""

import json
import zipfile

import numpy as np
import pytest

from zoo.core.errors import BadPackage
from zoo.io.keras_network import load_network


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A saved network, and a function that changes its description."""
    import keras

    x = keras.Input((None, None, 2), name="frame")
    y = keras.layers.Conv2D(4, 3, padding="same", name="conv")(x)
    y = keras.layers.BatchNormalization(name="norm")(y)
    model = keras.Model(x, keras.layers.Conv2D(1, 1, name="last")(y))
    path = tmp_path_factory.mktemp("network") / "a.keras"
    model.save(path)

    def changed(target, number=1, **options):
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name == "config.json":
                    config = json.loads(content)
                    layer = config["config"]["layers"][number]
                    layer["config"] |= options
                    content = json.dumps(config).encode()
                new.writestr(name, content)
        return target

    return model, path, changed


def waiting():
    """Return how many variables Keras would give memory at the next occasion."""
    from keras.src.backend.common import global_state

    return len(global_state.get_global_attribute("uninitialized_variables", []))


def test_a_network_is_loaded_as_keras_does(network):
    model, path, _ = network
    before = waiting()
    loaded = load_network(path)
    assert waiting() == before
    image = np.random.default_rng(0).random((1, 8, 8, 2), np.float32)
    np.testing.assert_array_equal(loaded(image), model(image))
    assert [v.path for v in loaded.variables] == [v.path for v in model.variables]


@pytest.mark.parametrize(
    "options",
    [{"number": 3, "filters": 4 * 10**9}, {"number": 1, "kernel_size": [60_000] * 2}],
)
def test_layers_larger_than_their_weights_get_no_memory(network, tmp_path, options):
    _, _, changed = network
    before = waiting()
    with pytest.raises(BadPackage, match=r"a network of \d\S* values and holds"):
        load_network(changed(tmp_path / "b.keras", **options))
    assert waiting() == before


def test_a_network_that_cannot_be_built_leaves_nothing(network, tmp_path):
    _, _, changed = network
    before = waiting()
    with pytest.raises((TypeError, ValueError)):
        load_network(changed(tmp_path / "b.keras", nothing_like_it=1))
    with pytest.raises(BadPackage, match="is not a \\.keras file"):
        load_network(__file__)
    assert waiting() == before
