"""`zoo.predict.contract` and `zoo.predict.plan`: what a description promises."""

from types import SimpleNamespace

import pytest

from zoo.core.errors import BadInput, BadPackage
from zoo.io.description import tensors
from zoo.predict.contract import Contract, read_contract
from zoo.predict.engines import choose_engine
from zoo.predict.plan import BYTES_PER_OUTPUT_PIXEL, MEMORY_BYTES, make_plan


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
    assert (contract.task, contract.input_axes) == ("image", "bcyx")
    assert (contract.scale, contract.halo, contract.channels) == (2, 8, 3)
    assert (contract.minimum, contract.step, contract.fixed) == (32, 16, None)
    assert contract.batch is None


def test_physical_scales_and_fixed_sizes():
    rdf = _format_05(
        {"size": 64, "scale": 0.1}, {"size": REFERENCE, "scale": 0.0125}, batch=1
    )
    contract = read_contract(_package(rdf))
    assert (contract.scale, contract.fixed, contract.batch) == (8, (64, 64), 1)
    assert contract.halo is None
    rdf = _format_05({"size": 64}, {"size": 128})
    assert read_contract(_package(rdf)).scale == 2


def test_format_04():
    rdf = {
        "inputs": [{"name": "raw", "axes": "byxc", "shape": [1, 32, 32, 2]}],
        "outputs": [
            {
                "name": "out",
                "axes": "byxc",
                "shape": {
                    "reference_tensor": "raw",
                    "scale": [1, 2, 2, 1],
                    "offset": [0, 0, 0, 0],
                },
                "halo": [0, 8, 8, 0],
            }
        ],
    }
    contract = read_contract(_package(rdf))
    assert (contract.scale, contract.halo, contract.channels) == (2, 4, 2)
    assert contract.fixed == (32, 32)


@pytest.mark.parametrize(
    ("rdf", "message"),
    [
        (_format_05({"size": 64}, {"size": 32}), "1/2"),
        (_format_05({"size": 64}, {"size": {**REFERENCE, "offset": -4}}), "unknown"),
        (
            {
                "inputs": [{"name": "a", "axes": "bczyx", "shape": [1, 1, 8, 8, 8]}],
                "outputs": [{"name": "b", "axes": "bczyx", "shape": [1, 1, 8, 8, 8]}],
            },
            "two-dimensional",
        ),
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
    with pytest.raises(BadPackage, match=message):
        read_contract(_package(rdf))


def test_own_section_wins():
    rdf = _format_05({"size": 64, "scale": 64}, {"size": REFERENCE, "scale": 8})
    config = {
        "task": "density",
        "scale": 8,
        "halo": 4,
        "step": 1,
        "tile": 64,
        "ideal_peak": 48.4,
        "threshold": 0.3,
        "window_px": 5,
    }
    contract = read_contract(_package(rdf, config))
    assert (contract.task, contract.halo, contract.threshold) == ("density", 4, 0.3)
    assert (contract.window_px, contract.ideal_peak) == (5, 48.4)
    # the tile is for other programs; ours takes any frame from 8 x 8 px
    assert (contract.fixed, contract.minimum, contract.step) == (None, 8, 1)
    whole = read_contract(_package(rdf, config | {"halo": 0}))
    assert whole.fixed == (64, 64)
    with pytest.raises(BadPackage, match="no task"):
        read_contract(_package(rdf, {"scale": 8}))


def test_own_section_of_an_image_package():
    rdf = _format_05({"size": 64}, {"size": 128}, channels=9)
    config = {"task": "image", "scale": 2, "halo": 0, "tile": 64}
    bare = read_contract(_package(rdf, config))
    assert (bare.overlap, bare.reference, bare.frame_order) == (0, None, None)
    stated = {"overlap": 16, "reference": "mean", "frame_order": "angle-major"}
    contract = read_contract(_package(rdf, config | stated))
    assert (contract.overlap, contract.fixed) == (16, (64, 64))
    assert (contract.reference, contract.frame_order) == ("mean", "angle-major")
    # tiles that a halo makes exact are not blended
    local = read_contract(_package(rdf, config | stated | {"halo": 4}))
    assert (local.overlap, local.fixed) == (0, None)
    # nobody else's description says any of this
    foreign = read_contract(_package(rdf))
    assert (foreign.overlap, foreign.reference, foreign.frame_order) == (0, None, None)


@pytest.mark.parametrize("overlap", [-1, 64, 100])
def test_impossible_overlap(overlap):
    rdf = _format_05({"size": 64}, {"size": 128})
    config = {"task": "image", "scale": 2, "tile": 64, "overlap": overlap}
    with pytest.raises(BadPackage, match=f"overlap of {overlap} px .* 1 to 63 px"):
        read_contract(_package(rdf, config))


STORM = Contract(task="density", scale=8, halo=4)


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (128, 128), (256, 512), (2048, 64)])
def test_default_plan_stays_within_memory(size):
    plan = make_plan(STORM, *size)
    tall, wide = plan.tile
    pixels = plan.batch * tall * wide * STORM.scale**2
    assert pixels * BYTES_PER_OUTPUT_PIXEL <= MEMORY_BYTES
    assert plan.shape == size
    assert (len(plan.tiles) == 1) == (size[0] * size[1] <= 128 * 128)


def test_batches_follow_the_area():
    assert make_plan(STORM, 32, 32).batch > make_plan(STORM, 64, 64).batch > 1
    assert make_plan(STORM, 128, 128).batch == 1
    assert make_plan(STORM, 128, 128, batch_size=3).batch == 3
    assert make_plan(STORM, 128, 128, batch_size=3).chunk == 3
    assert make_plan(Contract(task="image", batch=1), 32, 32).batch == 1


def test_sizes_are_padded_to_what_the_network_takes():
    pooling = Contract(task="image", minimum=16, step=16, halo=16)
    plan = make_plan(pooling, 70, 33)
    assert (plan.shape, plan.tile) == ((80, 48), (80, 48))
    plan = make_plan(pooling, 150, 33, tile=64)
    assert (plan.shape, plan.tile) == ((160, 48), (64, 48))


@pytest.mark.parametrize(
    ("contract", "tile", "message"),
    [
        (STORM, 4, "8 px or more"),
        (STORM, 8, "halo of 4 px"),
        (Contract(task="image", minimum=16, step=16), 40, "steps of 16 px"),
        (Contract(task="image", fixed=(64, 64)), 32, "64 x 64 px only"),
    ],
)
def test_impossible_tiles(contract, tile, message):
    with pytest.raises(BadInput, match=message):
        make_plan(contract, 100, 100, tile=tile)


def test_small_frames_are_refused():
    with pytest.raises(BadInput, match="7 x 64 px are smaller than the 8 x 8 px"):
        make_plan(STORM, 7, 64)
    with pytest.raises(BadInput, match="63 x 64 px are smaller than the 64 x 64 px"):
        make_plan(Contract(task="image", minimum=64), 63, 64)


def test_fixed_tile_is_filled_by_small_frames_from_8_px():
    contract = Contract(task="image", scale=2, fixed=(64, 64), overlap=16)
    plan = make_plan(contract, 8, 63)
    assert (plan.shape, plan.tile, plan.offset) == ((64, 64), (64, 64), (28, 0))
    assert (len(plan.tiles), plan.blended) == (1, False)
    plan = make_plan(contract, 65, 13)
    assert (plan.shape, plan.tile, plan.offset) == ((65, 64), (64, 64), (0, 25))
    assert (len(plan.tiles), plan.blended) == (2, True)
    for size in ((7, 64), (64, 7)):
        with pytest.raises(BadInput, match="smaller than the 8 x 8 px"):
            make_plan(contract, *size)


def test_fixed_tile_without_overlap_is_joined_hard():
    """As packages of other programs declare it: an eighth of the tile is not kept."""
    plan = make_plan(Contract(task="image", fixed=(64, 64), halo=None), 100, 100)
    assert not plan.blended
    assert plan.tiles[0].x.stop - plan.tiles[0].x.keep_stop >= 64 // 8


def test_fixed_tile_of_a_network_with_steps():
    """One size holds whole steps: frames need no padding to them."""
    plan = make_plan(Contract(task="image", fixed=(64, 64), step=16), 100, 75)
    assert (plan.shape, plan.tile) == ((100, 75), (64, 64))


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
    package = SimpleNamespace(name="foreign", weights=dict.fromkeys(entries))
    assert choose_engine(package, kind) == chosen


def test_engine_uses_a_graphics_card_that_only_keras_knows(monkeypatch):
    monkeypatch.setattr("zoo.predict.engines._keras_only_gpu", lambda _: True)
    package = SimpleNamespace(name="p", weights={"onnx": {}, "keras_v3": {}})
    assert choose_engine(package) == "keras"
    assert choose_engine(package, "onnx") == "onnx"


def test_engine_without_weights():
    package = SimpleNamespace(name="foreign", weights={"torchscript": {}})
    with pytest.raises(BadPackage, match="torchscript weights; onnx and keras_v3"):
        choose_engine(package)
