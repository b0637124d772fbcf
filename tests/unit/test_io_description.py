"""Descriptions that are YAML and yet describe no model are refused in one line."""

import pytest
import yaml

from zoo.core.errors import BadPackage
from zoo.io.description import parse_description, tensors

SOUND = {
    "format_version": "0.5.10",
    "inputs": [
        {
            "id": "a",
            "axes": [{"type": "batch"}, {"type": "space", "id": "x", "size": 8}],
            "preprocessing": [{"id": "clip", "kwargs": {"min": 0}}, {"id": "sigmoid"}],
        }
    ],
    "outputs": [{"id": "b", "axes": [{"type": "batch"}]}],
    "weights": {"onnx": {"source": "model.onnx"}},
}


def test_a_sound_one_is_read():
    rdf = parse_description(yaml.safe_dump(SOUND).encode(), "rdf.yaml")
    assert [step["id"] for step in tensors(rdf, "inputs")[0]["preprocessing"]] == [
        "clip",
        "sigmoid",
    ]


@pytest.mark.parametrize("weights", [[{"onnx": {}}], {"onnx": [{}]}, {"onnx": None}])
def test_weights_are_stated_by_format(weights):
    text = yaml.safe_dump(SOUND | {"weights": weights})
    with pytest.raises(BadPackage, match="does not state its weights by format"):
        parse_description(text.encode(), "rdf.yaml")


@pytest.mark.parametrize(
    "step", [{"kwargs": {}}, {"id": ["clip"]}, {"id": "clip", "kwargs": [1]}, "clip"]
)
def test_steps_have_names_and_arguments(step):
    tensor = SOUND["inputs"][0] | {"preprocessing": [step]}
    with pytest.raises(BadPackage, match="not described as the format rules"):
        tensors(SOUND | {"inputs": [tensor]}, "inputs")
