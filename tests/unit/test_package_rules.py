"""Descriptions obey the rules by which every consumer computes the same."""

from pathlib import Path

import pytest
import yaml

from zoo.core.contract import Contract
from zoo.core.grid import Axis, Grid
from zoo.package.describe import describe, validate

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*/rdf.yaml"))
SPATIAL = {"y", "x", "channel"}


def consumers(rdf):
    """Assert what programs beyond bioimageio.core demand of a description."""
    assert rdf["format_version"] == "0.5.10"  # the newest that the Java library reads
    assert isinstance(rdf["documentation"], str)
    assert isinstance(rdf["license"], str)
    assert rdf["covers"]
    assert all(isinstance(cover, str) for cover in rdf["covers"])
    assert rdf["id"]  # released versions of deepImageJ need one
    assert "github_user" not in yaml.safe_dump(rdf)  # would make validation need a net
    ((tensor,), (output,)) = rdf["inputs"], rdf["outputs"]
    for end, steps in ((tensor, "preprocessing"), (output, "postprocessing")):
        for step in end[steps]:
            java_processing(step["id"], step.get("kwargs") or {})
    # tiling would lose an output without one
    assert "channel" in [axis["type"] for axis in output["axes"]]
    java_sizes(tensor, output)
    weights = rdf["weights"]
    assert [k for k, entry in weights.items() if not entry.get("parent")] == [
        "keras_v3"
    ]
    # the runtimes of Fiji take 15 to 17; one file
    assert weights["onnx"]["opset_version"] in (15, 16, 17)
    assert "external_data" not in weights["onnx"]
    assert "keras_hdf5" not in weights  # holds no operations between layers


def java_processing(name, kwargs):
    """Assert that the Java library computes a step as everybody else does."""
    assert name not in ("softmax", "scale_mean_variance", "custom")
    if name == "clip":
        assert {"min", "max"} <= set(kwargs)
    if name == "zero_mean_unit_variance":  # wrong per channel
        assert set(kwargs["axes"]) >= SPATIAL
    if name == "scale_range":  # percentiles are not interpolated
        assert (kwargs["min_percentile"], kwargs["max_percentile"]) == (0, 100)


def java_sizes(tensor, output):
    """Assert that the specification and the Java library agree about sizes.

    The specification computes ``in * in.scale / out.scale + offset``, the Java library
    of deepImageJ and Icy ``in * out.scale + 2 * offset``; it takes the halo at the
    input to be ``(halo + offset) / out.scale``.
    """
    inputs = {axis["id"]: axis for axis in tensor["axes"]}
    for axis in output["axes"]:
        size = axis.get("size")
        if not isinstance(size, dict):
            continue
        source = inputs[size["axis_id"]]
        assert "unit" not in axis | source  # would make scales more than factors
        into, out = source["scale"], axis["scale"]
        offset, halo = size["offset"], axis.get("halo", 0)
        taken = source["size"]
        least = taken if isinstance(taken, int) else taken["min"]
        assert least * into / out + offset == least * out + 2 * offset
        at_input = (halo + offset) / out
        assert at_input == int(at_input) == halo * out / into
        assert least > 2 * at_input


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parent.name)
def test_published_descriptions(path):
    consumers(yaml.safe_load(path.read_text(encoding="utf-8")))


VOLUME = Grid(
    input_axes="bzyxc",
    output_axes="bzyxc",
    axes={
        "z": Axis(halo=1, step=2, minimum=2),
        "y": Axis(scale=2, halo=3),
        "x": Axis(scale=2, halo=3),
    },
)
GRIDS = {
    "enlarged": Grid.square(scale=8, halo=4),
    "channels first": Grid(input_axes="bcyx", output_axes="bcyx"),
    "planes": Grid(
        output_axes="bzyxc",
        axes={"y": Axis(scale=4, halo=9), "x": Axis(scale=4, halo=9)},
        planes=5,
    ),
    "volume": VOLUME,
    "vector": Grid(
        output_axes="bc",
        axes={"y": Axis(size=16), "x": Axis(size=16)},
        outputs=("x", "y", "z"),
    ),
    "stepped": Grid.square(step=16, halo=40),
}


@pytest.mark.parametrize("tile", [False, True])
@pytest.mark.parametrize("name", GRIDS)
def test_any_axes(tmp_path, tiny, toy_package, name, tile):
    grid = GRIDS[name]
    sizes = {a: 96 if axis.size is None else axis.size for a, axis in grid.axes.items()}
    contract = tiny.TINY.contract.override(grid=grid, tile=sizes if tile else None)
    contract = Contract.model_validate(contract.model_dump())
    rdf = describe(toy_package(tiny.TINY.override(contract=contract), tmp_path / "p"))

    if tile or grid.is_fixed:  # test tensors of the toy have 16 px elsewhere
        validate(rdf, tmp_path / "p")
    consumers(rdf)
    out = {axis["id"]: axis for axis in rdf["outputs"][0]["axes"]}
    if name == "planes":
        assert out["z"] == {"id": "z", "type": "space", "size": 5}
        assert (out["y"]["scale"], out["y"]["halo"]) == (4.0, 36)
    if name == "vector":
        assert list(out) == ["batch", "channel"]
        assert out["channel"]["channel_names"] == ["x", "y", "z"]
        assert "sample_tensor" not in rdf["outputs"][0]
        assert "concatenable" not in rdf["inputs"][0]["axes"][1]
    if name == "volume":
        ins = {axis["id"]: axis for axis in rdf["inputs"][0]["axes"]}
        assert [ins[a]["scale"] for a in "zyx"] == [1.0, 4.0, 4.0]
        assert [out[a]["halo"] for a in "zyx"] == [1, 6, 6]


def test_image_packages_must_not_make_structure_out_of_noise(tiny):
    from zoo.package.acceptance import EVERY_IMAGE, bounds_of, within

    recipe = tiny.TINY_IMAGE
    assert bounds_of(recipe, {}) == recipe.acceptance
    rows = {"false_filaments_per_100_um2": 0.0, "false_spots_per_100_um2": 510.0}
    metrics = {"invention": {"noise": rows}}
    bounds = bounds_of(recipe, metrics)
    assert set(bounds) - set(recipe.acceptance) == set(EVERY_IMAGE[:2])
    (missed,) = within(EVERY_IMAGE[:2], metrics).missed
    assert missed == "invention/noise/false_spots_per_100_um2 = 510"
    of_its_own = EVERY_IMAGE[1].model_copy(update={"at_most": 600.0})
    allowed = recipe.override(acceptance=(of_its_own,))
    assert bounds_of(allowed, metrics) == (of_its_own, EVERY_IMAGE[0])
    assert not within(bounds_of(allowed, metrics), metrics | {"x": {}}).missed
