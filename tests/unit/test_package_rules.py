import copy

import pytest

from zoo.package.rules import java_arithmetic, plain_style, sizes


def description(*, factor=8, tile=64, halo=32):
    space = {"type": "space", "size": tile, "scale": float(factor**2)}
    out = {"type": "space", "scale": float(factor), "halo": halo}
    channel = {"id": "channel", "type": "channel", "channel_names": ["a"]}
    return {
        "format_version": "0.5.10",
        "id": "some_package",
        "license": "BSD-3-Clause",
        "documentation": "README.md",
        "covers": ["cover.png"],
        "inputs": [
            {
                "id": "input",
                "axes": [
                    {"id": "batch", "type": "batch"},
                    {"id": "y", **space},
                    {"id": "x", **space},
                    channel,
                ],
                "preprocessing": [
                    {"id": "scale_range", "kwargs": {"axes": ["y", "x", "channel"]}}
                ],
            }
        ],
        "outputs": [
            {
                "id": "output",
                "axes": [
                    {"id": "batch", "type": "batch"},
                    *(
                        {
                            "id": axis,
                            "size": {"tensor_id": "input", "axis_id": axis},
                            **out,
                        }
                        for axis in "yx"
                    ),
                    dict(channel),
                ],
                "postprocessing": [{"id": "clip", "kwargs": {"min": 0, "max": 1}}],
            }
        ],
        "weights": {
            "keras_v3": {"source": "weights.keras"},
            "onnx": {"source": "m.onnx", "opset_version": 17, "parent": "keras_v3"},
        },
    }


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_squared_and_plain_factor_satisfy_both_formulas(factor):
    rdf = description(factor=factor, halo=4 * factor)
    assert java_arithmetic(rdf) == []
    assert plain_style(rdf) == []


def test_physical_pixel_sizes_are_wrong_in_java():
    rdf = description()
    for tensor, scale in ((rdf["inputs"][0], 0.1), (rdf["outputs"][0], 0.0125)):
        for axis in tensor["axes"][1:3]:
            axis["scale"] = scale
    found = java_arithmetic(rdf)
    assert "512 px by the specification and 0.8 px in Java" in found[0]


def test_a_halo_must_be_whole_at_the_input_and_leave_something():
    assert "not a whole number" in java_arithmetic(description(halo=20))[0]
    assert "too small for a halo of 32 px" in java_arithmetic(description(halo=256))[0]
    assert java_arithmetic(description(halo=248)) == []


def test_units_are_refused():
    rdf = description()
    rdf["outputs"][0]["axes"][1]["unit"] = "nanometer"
    assert "units break" in java_arithmetic(rdf)[0]


def test_an_output_must_refer_to_an_axis_that_exists():
    rdf = description()
    rdf["outputs"][0]["axes"][1]["size"]["axis_id"] = "z"
    assert "refers to no input axis" in java_arithmetic(rdf)[0]


def test_sizes_of_free_and_fixed_axes():
    assert sizes({"size": 64}) == [64]
    assert sizes({"size": {"min": 32, "step": 16}}) == [32, 48]
    assert sizes({"size": {"tensor_id": "input", "axis_id": "y"}}) == []


def change(path, value):
    def apply(rdf):
        *keys, last = path
        for key in keys:
            rdf = rdf[key]
        if value is None:
            del rdf[last]
        else:
            rdf[last] = value

    return apply


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format_version",), "0.5.12", "format_version is 0.5.12"),
        (("documentation",), {"source": "README.md"}, "documentation must be"),
        (("covers",), [{"source": "cover.png"}], "covers must be"),
        (("covers",), [], "no cover"),
        (("license",), None, "SPDX"),
        (("id",), None, "id is missing"),
        (("authors",), [{"name": "a", "github_user": "b"}], "need a network"),
        (("inputs",), [], "0 inputs"),
        (("outputs", 0, "postprocessing", 0, "kwargs", "max"), None, "both ends"),
        (("outputs", 0, "axes", 3, "id"), "c", "no channel axis"),
        (
            ("inputs", 0, "preprocessing", 0),
            {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}},
            "over y, x and channel",
        ),
        (("inputs", 0, "preprocessing", 0, "id"), "softmax", "does not have softmax"),
        (
            ("inputs", 0, "preprocessing", 0, "kwargs", "max_percentile"),
            99.8,
            "does not interpolate",
        ),
        (("weights", "onnx", "parent"), None, "here 2 have none"),
        (("weights", "onnx", "opset_version"), 18, "opset 18"),
        (("weights", "onnx", "external_data"), {"source": "x.data"}, "one file"),
        (
            ("weights", "keras_hdf5"),
            {"source": "w.h5", "parent": "keras_v3"},
            "keras_hdf5",
        ),
    ],
)
def test_what_some_consumer_cannot_read_is_found(path, value, message):
    rdf = copy.deepcopy(description())
    change(path, value)(rdf)

    found = plain_style(rdf)

    assert len(found) == 1
    assert message in found[0]
