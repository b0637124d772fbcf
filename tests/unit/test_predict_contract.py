"""`zoo.predict.contract` and `zoo.predict.plan`: what a description promises."""

from types import SimpleNamespace

import pytest

from zoo.core.contract import Contract
from zoo.core.errors import BadInput, BadPackage
from zoo.core.grid import Axis, Grid
from zoo.inputs.frames import Frames
from zoo.io.description import tensors
from zoo.predict.contract import read_contract
from zoo.predict.engines import choose_engine
from zoo.predict.plan import BYTES_PER_OUTPUT_PIXEL, MEMORY_BYTES, make_plan
from zoo.tasks.density import Density
from zoo.tasks.image import ImageRestoration


def _package(rdf, zoo=None):
    return SimpleNamespace(
        name="foreign",
        rdf=rdf,
        zoo=zoo or {},
        inputs=tensors(rdf, "inputs"),
        outputs=tensors(rdf, "outputs"),
        weights=rdf.get("weights", {}),
    )


def _format_05(source, target, *, channels=1, batch=None):
    """Sizes, scales and halos of y and x in format 0.5, channels first."""
    first = {"type": "batch"} if batch is None else {"type": "batch", "size": batch}
    names = [f"c{i}" for i in range(channels)]

    def axes(space):
        return [
            first,
            {"type": "channel", "channel_names": names},
            *({"type": "space", "id": axis, **space} for axis in "yx"),
        ]

    return {
        "inputs": [{"id": "raw", "axes": axes(source)}],
        "outputs": [{"id": "out", "axes": axes(target)}],
    }


REFERENCE = {"tensor_id": "raw", "axis_id": "y"}


def test_free_size_of_format_05():
    rdf = _format_05(
        {"size": {"min": 32, "step": 16}, "scale": 4},
        {"size": REFERENCE, "scale": 2, "halo": 16},
        channels=3,
    )
    contract = read_contract(_package(rdf))
    grid = contract.grid
    assert (contract.task.kind, grid.input_axes) == ("image", "bcyx")
    assert grid.axes["y"] == Axis(scale=2, halo=8, minimum=32, step=16)
    assert grid.channels == ("c0", "c1", "c2")
    assert contract.batch is None
    # nobody else's description says what is in the frames
    assert contract.input == Frames()


def test_physical_scales_and_fixed_sizes():
    rdf = _format_05(
        {"size": 64, "scale": 0.1}, {"size": REFERENCE, "scale": 0.0125}, batch=1
    )
    contract = read_contract(_package(rdf))
    assert contract.grid.axes["x"] == Axis(scale=8, size=64, halo=None)
    assert contract.batch == 1
    rdf = _format_05({"size": 64}, {"size": 128})
    assert read_contract(_package(rdf)).grid.scale("y") == 2


def _format_04(axes, shape, out_axes=None, out_shape=None):
    return {
        "inputs": [{"name": "raw", "axes": axes, "shape": shape}],
        "outputs": [
            {"name": "out", "axes": out_axes or axes, "shape": out_shape or shape}
        ],
    }


def test_format_04():
    rdf = _format_04("byxc", [1, 32, 32, 2])
    rdf["outputs"][0] |= {
        "shape": {
            "reference_tensor": "raw",
            "scale": [1, 2, 2, 1],
            "offset": [0, 0, 0, 0],
        },
        "halo": [0, 8, 8, 0],
    }
    grid = read_contract(_package(rdf)).grid
    assert grid.axes["y"] == Axis(scale=2, halo=4, size=32)
    assert len(grid.channels) == 2


def test_volumes_and_vectors_of_other_programs():
    grid = read_contract(
        _package(_format_04("bczyx", [1, 1, 8, 16, 16], None, [1, 1, 16, 16, 16]))
    ).grid
    assert (grid.space, grid.output_space) == ("zyx", "zyx")
    assert (grid.scale("z"), grid.scale("y")) == (2, 1)
    planes = _format_04("byxc", [1, 16, 16, 1], "bzyx", [1, 5, 16, 16])
    assert read_contract(_package(planes)).grid.planes == 5
    rdf = _format_05({"size": 16}, {"size": 16})
    rdf["outputs"][0]["axes"] = [
        {"type": "batch"},
        {"type": "channel", "channel_names": ["x_nm", "y_nm", "z_nm"]},
    ]
    contract = read_contract(_package(rdf))
    assert (contract.input.kind, contract.task.kind) == ("regions", "parameters")
    assert contract.task.columns == ("x_nm", "y_nm", "z_nm")
    rdf["outputs"][0]["axes"][1]["channel_names"] = ["cat", "dog"]
    with pytest.raises(BadPackage, match="numbers called cat, dog, not an image"):
        read_contract(_package(rdf))


@pytest.mark.parametrize(
    ("rdf", "message"),
    [
        (_format_05({"size": 64}, {"size": 32}), "1/2 along y"),
        (_format_05({"size": 64}, {"size": {**REFERENCE, "offset": -4}}), "unknown"),
        (_format_04("btyx", [1, 8, 8, 8]), "images and volumes"),
        (_format_04("bzyx", [1, 8, 8, 8], "byx", [1, 8, 8]), "unknown factor along z"),
        (
            {
                "inputs": [
                    {"name": n, "axes": "byx", "shape": [1, 8, 8]} for n in "ab"
                ],
                "outputs": [{"name": "c", "axes": "byx", "shape": [1, 8, 8]}],
            },
            "2 input tensors",
        ),
    ],
)
def test_what_cannot_be_run(rdf, message):
    with pytest.raises(BadPackage, match=message) as caught:
        read_contract(_package(rdf))
    assert "\n" not in str(caught.value)


STORM = Contract(
    grid=Grid.square(scale=8, halo=4),
    input=Frames(scaling="spots"),
    task=Density(threshold=0.3, window_px=5, ideal_peak=48.4),
    tile={"y": 64, "x": 64},
    training={"pixel_size_nm": (90.0, 110.0)},
)


def _own(**changes):
    """Return a package of this zoo whose section differs from that of `STORM`."""
    rdf = _format_05({"size": 64, "scale": 64}, {"size": REFERENCE, "scale": 8})
    for tensor in (rdf["inputs"][0], rdf["outputs"][0]):
        batch, channel, *space = tensor["axes"]
        tensor["axes"] = [batch, *space, channel]
    without = {"preprocessing", "postprocessing"}
    contract = STORM.model_dump(mode="json", exclude_none=True, exclude=without)
    return _package(rdf, {"version": 2, "contract": contract} | changes), contract


def test_own_section_is_the_contract():
    package, _ = _own()
    contract = read_contract(package)
    assert contract.override(preprocessing=None, postprocessing=None) == STORM
    # what stands with the tensors is taken from there
    assert (contract.before, contract.after) == ((), ())


def test_what_is_wrong_with_an_own_section_is_named():
    _, contract = _own()
    task = contract["task"]
    for changes, message in (
        (
            {"version": 1},
            "written by an earlier version; make it anew with zoo package",
        ),
        ({"version": 3}, "written by another version"),
        ({"contract": None}, "holds no contract"),
        ({"contract": contract | {"halo": 4}}, "halo: there is no such field"),
        (
            {"contract": contract | {"task": task | {"treshold": 1}}},
            "task.treshold: there is no such field",
        ),
        (
            {"contract": contract | {"task": task | {"kind": "densety"}}},
            "no task is of the kind 'densety'; did you mean density",
        ),
        (
            {
                "contract": contract
                | {"grid": contract["grid"] | {"input_axes": "bcyx"}}
            },
            "has tensors byxc and byxc, its section for this zoo says bcyx and byxc",
        ),
    ):
        with pytest.raises(BadPackage, match=message) as caught:
            read_contract(_own(**changes)[0])
        assert "\n" not in str(caught.value)


def _image(**axis):
    """Return an image package with equal promises for y and x."""
    axis = Axis(**{"halo": 0} | axis)
    grid = Grid(axes={"y": axis, "x": axis})
    return Contract(grid=grid, input=Frames(), task=ImageRestoration())


def _plan(contract, *lengths, **options):
    return make_plan(
        contract, dict(zip(contract.grid.space, lengths, strict=True)), **options
    )


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (128, 128), (256, 512), (2048, 64)])
def test_default_plan_stays_within_memory(size):
    plan = _plan(STORM, *size)
    tall, wide = plan.tile
    assert plan.batch * tall * wide * 64 * BYTES_PER_OUTPUT_PIXEL <= MEMORY_BYTES
    assert plan.shape == size
    assert (len(plan.tiles) == 1) == (size[0] * size[1] <= 128 * 128)


def test_volumes_stay_whole_along_their_short_axis():
    axis = Axis(halo=4, minimum=8)
    grid = Grid(
        input_axes="bzyxc",
        output_axes="bzyxc",
        axes={"z": Axis(halo=2, scale=2, minimum=4, step=2), "y": axis, "x": axis},
    )
    volumes = Contract(grid=grid, input=Frames(), task=ImageRestoration())
    plan = _plan(volumes, 21, 500, 500)
    assert plan.shape == (22, 500, 500)
    assert plan.tile[0] == 22
    assert len(plan.tiles) > 1
    pixels = plan.batch * plan.tile[0] * plan.tile[1] * plan.tile[2] * 2
    assert pixels * BYTES_PER_OUTPUT_PIXEL <= MEMORY_BYTES
    assert _plan(volumes, 21, 500, 500, tile=40).tile == (22, 40, 40)
    with pytest.raises(BadInput, match="3 x 500 x 500 px are smaller than the 4 x 8 x"):
        _plan(volumes, 3, 500, 500)


def test_batches_follow_the_area():
    assert _plan(STORM, 32, 32).batch > _plan(STORM, 64, 64).batch > 1
    assert _plan(STORM, 128, 128).batch == 1
    assert _plan(STORM, 128, 128, batch_size=3).batch == 3
    assert _plan(STORM, 128, 128, batch_size=3).chunk == 3
    assert _plan(_image().override(batch=1), 32, 32).batch == 1


def test_sizes_are_padded_to_what_the_network_takes():
    pooling = _image(minimum=16, step=16, halo=16)
    plan = _plan(pooling, 70, 33)
    assert (plan.shape, plan.tile) == ((80, 48), (80, 48))
    plan = _plan(pooling, 150, 33, tile=64)
    assert (plan.shape, plan.tile) == ((160, 48), (64, 48))


@pytest.mark.parametrize(
    ("contract", "tile", "message"),
    [
        (STORM, 4, "8 px or more"),
        (STORM, 8, "halo of 4 px"),
        (_image(minimum=16, step=16), 40, "steps of 16 px"),
        (_image(size=64), 32, "64 x 64 px only"),
    ],
)
def test_impossible_tiles(contract, tile, message):
    with pytest.raises(BadInput, match=message):
        _plan(contract, 100, 100, tile=tile)


def test_small_frames_are_refused():
    with pytest.raises(BadInput, match="7 x 64 px are smaller than the 8 x 8 px"):
        _plan(STORM, 7, 64)
    with pytest.raises(BadInput, match="63 x 64 px are smaller than the 64 x 64 px"):
        _plan(_image(minimum=64), 63, 64)


def test_fixed_tile_is_filled_by_small_frames_from_8_px():
    contract = _image(scale=2, size=64, overlap=16)
    plan = _plan(contract, 8, 63)
    assert (plan.shape, plan.tile, plan.offset) == ((64, 64), (64, 64), (28, 0))
    assert (len(plan.tiles), plan.blended) == (1, False)
    plan = _plan(contract, 65, 13)
    assert (plan.shape, plan.tile, plan.offset) == ((65, 64), (64, 64), (0, 25))
    assert (len(plan.tiles), plan.blended, plan.seams) == (2, True, False)
    for size in ((7, 64), (64, 7)):
        with pytest.raises(BadInput, match="smaller than the 8 x 8 px"):
            _plan(contract, *size)


def test_fixed_tile_without_overlap_is_joined_hard():
    """As packages of other programs declare it: an eighth of the tile is not kept."""
    plan = _plan(_image(size=64, halo=None), 100, 100)
    assert (plan.blended, plan.seams) == (False, True)
    _, x = plan.tiles[0]
    assert x.stop - x.keep_stop >= 64 // 8


def test_fixed_tile_of_a_network_with_steps():
    """One size holds whole steps: frames need no padding to them."""
    plan = _plan(_image(size=64, step=16), 100, 75)
    assert (plan.shape, plan.tile) == ((100, 75), (64, 64))


def test_vectors_need_frames_of_the_size_of_the_network():
    axis = Axis(size=32)
    grid = Grid(output_axes="bc", axes={"y": axis, "x": axis})
    contract = Contract(grid=grid, input=Frames(), task=ImageRestoration())
    assert _plan(contract, 32, 32).tile == (32, 32)
    for lengths in ((32, 40), (16, 32)):
        with pytest.raises(BadInput, match="takes frames of 32 x 32 px only"):
            _plan(contract, *lengths)


@pytest.mark.parametrize(
    ("entries", "kind", "chosen"),
    [
        (["onnx", "keras_v3"], "auto", "onnx"),
        (["keras_v3"], "auto", "keras"),
        (["pytorch_state_dict", "onnx"], "auto", "onnx"),
        (["onnx", "keras_v3"], "keras", "keras"),
    ],
)
def test_engine_by_entries(entries, kind, chosen, monkeypatch):
    monkeypatch.setattr("zoo.predict.engines._keras_only_gpu", lambda _: False)
    weights = dict.fromkeys(entries)
    package = SimpleNamespace(name="foreign", weights=weights, present=entries)
    assert choose_engine(package, kind) == chosen


def test_engine_uses_a_graphics_card_that_only_keras_knows(monkeypatch):
    monkeypatch.setattr("zoo.predict.engines._keras_only_gpu", lambda _: True)
    weights = {"onnx": {}, "keras_v3": {}}
    package = SimpleNamespace(name="p", weights=weights, present=list(weights))
    assert choose_engine(package) == "keras"
    assert choose_engine(package, "onnx") == "onnx"


def test_engine_without_weights():
    weights = {"torchscript": {}}
    package = SimpleNamespace(name="foreign", weights=weights, present=list(weights))
    with pytest.raises(BadPackage, match="torchscript weights; onnx and keras_v3"):
        choose_engine(package)
