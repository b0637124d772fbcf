"""`zoo.predict.engines`: the Keras engine; ONNX Runtime is covered by the predictor."""

from types import SimpleNamespace

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.errors import BadPackage
from zoo.core.grid import Grid
from zoo.inputs.frames import Frames
from zoo.predict.engines import KerasEngine, make_engine, thread_count
from zoo.predict.forward import forward
from zoo.predict.plan import make_plan
from zoo.tasks.image import ImageRestoration

CONTRACT = Contract(
    grid=Grid.square(scale=2, halo=2),
    input=Frames(),
    task=ImageRestoration(),
    preprocessing=(),
    postprocessing=(),
)

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:::keras", "ignore:::tensorflow"),
]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A stored network that enlarges twice and convolves, with its Keras model."""
    import keras

    keras.utils.set_random_seed(3)
    frame = keras.Input((None, None, 1))
    x = keras.layers.UpSampling2D(2)(frame)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    model = keras.Model(frame, keras.layers.Conv2D(1, 3, padding="same")(x))
    path = tmp_path_factory.mktemp("keras") / "weights.keras"
    model.save(path)
    return path, model


def test_output_is_that_of_the_network(network):
    path, model = network
    engine = KerasEngine(path, CONTRACT)
    batch = np.random.default_rng(0).random((3, 10, 13, 1), dtype=np.float32)
    output = engine(batch)
    assert (output.shape, output.dtype) == ((3, 20, 26, 1), np.float32)
    np.testing.assert_allclose(output, np.asarray(model(batch)), atol=1e-6)
    assert set(engine.versions) == {"keras", "backend"}


def test_tiles_equal_the_whole(network):
    engine = KerasEngine(network[0], CONTRACT)
    frames = np.random.default_rng(1).random((2, 40, 33, 1), dtype=np.float32)
    sizes = {"y": 40, "x": 33}
    whole = forward(engine, CONTRACT, frames, plan=make_plan(CONTRACT, sizes))
    plan = make_plan(CONTRACT, sizes, tile=16, batch_size=5)
    assert len(plan.tiles) > 4
    tiled = forward(engine, CONTRACT, frames, plan=plan)
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


def test_file_is_inspected_before_it_is_loaded(network, tmp_path):
    import zipfile

    path = tmp_path / "weights.keras"
    with zipfile.ZipFile(network[0]) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                content = content.replace(b'"UpSampling2D"', b'"Lambda"')
            new.writestr(name, content)
    axes = [{"id": i, "size": 16} for i in ("y", "x")]
    axes = [{"id": "batch"}, *axes, {"id": "channel"}]
    package = SimpleNamespace(
        name="foreign",
        zoo={},
        weights={"keras_v3": {}},
        present=["keras_v3"],
        weights_path=lambda _: path,
        inputs=[{"axes": axes}],
        outputs=[{"axes": axes}],
    )
    with pytest.raises(BadPackage, match="Lambda layer"):
        make_engine(package)


def test_file_that_keras_cannot_load(network, tmp_path):
    import zipfile

    path = tmp_path / "weights.keras"
    with zipfile.ZipFile(network[0]) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                content = content.replace(b'"UpSampling2D"', b'"UpSampling3D"')
            new.writestr(name, content)
    with pytest.raises(BadPackage, match="cannot be loaded by Keras"):
        KerasEngine(path, CONTRACT)


def test_threads():
    assert thread_count() >= 1
