"""What is known of a recording enters a graph: Keras, ONNX, both engines, tiles."""

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.sim_pattern import ENTRANCE, LENGTH
from zoo.inputs.frames import Frames
from zoo.predict.forward import forward
from zoo.predict.plan import make_plan
from zoo.tasks.image import ImageRestoration

CONTRACT = Contract(
    grid=Grid.square(scale=1, size=8, overlap=4, channels=("a",)),
    input=Frames(),
    task=ImageRestoration(),
    preprocessing=(),
    postprocessing=(),
)


class Known:
    """A network that returns the row of each tile: its first number everywhere."""

    name = entry = "onnx"
    device = "CPU"
    enterable = True

    def __init__(self):
        self.versions = {}
        self.rows = []

    def __call__(self, batch, rows=None):
        self.rows.append(rows)
        level = np.zeros(len(batch)) if rows is None else rows[:, 0]
        return np.ones_like(batch) * level[:, None, None, None].astype(np.float32)


def run(engine, frames, knowledge, **options):
    sizes = {"y": frames.shape[1], "x": frames.shape[2]}
    plan = make_plan(options.pop("contract", CONTRACT), sizes, batch_size=2)
    contract = options.pop("given", CONTRACT)
    return forward(
        engine, contract, frames, plan=plan, knowledge=knowledge, first=5
    ), plan


def test_every_tile_gets_the_row_of_its_place():
    asked = []

    def knowledge(frame, start, size):
        asked.append((frame, start, size))
        return np.full(LENGTH, 100 * frame + start[1], np.float32)

    engine = Known()
    output, plan = run(engine, np.zeros((2, 8, 20, 1), np.float32), knowledge)
    starts = [tile[1].start for tile in plan.tiles]
    assert len(starts) > 2
    assert asked == [(f, (0, s), (8, 8)) for f in (5, 6) for s in starts]
    assert output[0, :, 0, 0].tolist() == [500.0] * 8
    assert output[1, :, -1, 0].tolist() == [600.0 + starts[-1]] * 8


def test_a_small_frame_lies_inside_its_tile():
    engine = Known()
    places = []

    def knowledge(_frame, start, _size):
        places.append(start)
        return np.zeros(LENGTH, np.float32)

    run(engine, np.zeros((1, 8, 8, 1), np.float32)[:, :, :8], knowledge)
    small = np.zeros((1, 8, 8, 1), np.float32)
    larger = CONTRACT.override(
        grid=Grid.square(scale=1, size=12, overlap=4, channels=("a",))
    )
    run(engine, small, knowledge, contract=larger, given=larger)
    assert places == [(0, 0), (-2, -2)]


def test_what_is_not_known_or_cannot_enter_is_not_told():
    frames = np.zeros((1, 8, 8, 1), np.float32)
    engine = Known()
    run(engine, frames, lambda *_: None)
    engine.enterable = False
    run(engine, frames, lambda *_: np.ones(LENGTH, np.float32))
    assert engine.rows == [None, None]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A network with an entrance in two formats, and its Keras model."""
    import keras
    from keras import layers, ops

    from zoo.package import export

    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 1), name="image")
    mean = ops.mean(image, axis=(1, 2))
    row = layers.Concatenate(name=ENTRANCE)([mean] * LENGTH)
    level = ops.reshape(ops.sum(row, axis=-1), (-1, 1, 1, 1))
    output = layers.Conv2D(1, 3, padding="same", name="last")(image) + level
    model = keras.Model(image, output)
    folder = tmp_path_factory.mktemp("entrance")
    export.export_keras(model, folder / "weights.keras")
    export.export_onnx(model, folder / "model.onnx")
    return folder, model


@pytest.mark.tensorflow
def test_programs_that_know_only_the_package_see_one_input(stored):
    import onnxruntime

    folder, model = stored
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        folder / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    assert [tensor.name for tensor in session.get_inputs()] == ["input"]
    (optional,) = session.get_overridable_initializers()
    assert optional.name == ENTRANCE
    image = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
    (alone,) = session.run(None, {"input": image})
    np.testing.assert_allclose(alone, np.asarray(model(image)), atol=1e-5)


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore:::keras", "ignore:::tensorflow")
def test_engines_agree_on_what_they_are_told(stored):
    from zoo.predict.engines import KerasEngine, OnnxEngine

    folder, model = stored
    image = np.random.default_rng(1).random((2, 8, 8, 1), np.float32)
    rows = np.zeros((2, LENGTH), np.float32)
    rows[1, 3] = 5.0  # the first image is left to itself
    expected = np.asarray(model(image)).copy()
    expected[1] += 5.0 - LENGTH * image[1].mean()
    for engine in (
        OnnxEngine(folder / "model.onnx", CONTRACT),
        KerasEngine(folder / "weights.keras", CONTRACT),
    ):
        assert engine.enterable
        np.testing.assert_allclose(engine(image, rows), expected, atol=1e-4)
        np.testing.assert_allclose(engine(image), np.asarray(model(image)), atol=1e-4)


@pytest.mark.tensorflow
def test_networks_without_entrance_are_as_before(tmp_path):
    import keras
    import onnx

    from zoo.layers.sim.entrance import enterable
    from zoo.package import export

    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Conv2D(1, 3, padding="same")(image))
    assert enterable(model) is None
    graph = onnx.load(export.export_onnx(model, tmp_path / "m.onnx")).graph
    assert [value.name for value in graph.input] == ["input"]
