"""What several tests share: toy recipes and a small package that needs no framework."""

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

if "PYTEST_XDIST_WORKER" in os.environ:
    # every worker keeps a core busy; waiting threads would take those of the others
    for _name in ("OMP_NUM", "OPENBLAS_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"):
        os.environ.setdefault(f"{_name}_THREADS", "1")

RECIPES = Path(__file__).parent / "data" / "recipes"


@pytest.fixture(scope="session")
def toy_recipes():
    """Make the recipes of ``tests/data/recipes`` known to the catalogue."""
    import zoo.recipes

    with pytest.MonkeyPatch.context() as patch:
        path = [*zoo.recipes.__path__, str(RECIPES)]
        patch.setattr(zoo.recipes, "__path__", path)
        yield RECIPES


@pytest.fixture(scope="session")
def small_package(tmp_path_factory):
    """Write a package that enlarges a frame twice: a density with the brightest peaks.

    It holds ONNX and the parts of a Keras file that are read before anything is built.
    Tests must not change it; `checkout` has a copy.
    """
    return write_package(tmp_path_factory.mktemp("specs") / "tiny_spots")


@pytest.fixture
def checkout(tmp_path, small_package, monkeypatch):
    """Stand in for a checkout with one package, no cache, no network; return specs/."""
    from zoo.io import package

    root = tmp_path / "checkout"
    shutil.copytree(small_package, root / "specs" / small_package.name)
    (root / "pyproject.toml").write_text('name = "superres-zoo"', encoding="utf-8")
    (root / "zoo").mkdir()
    index = json.dumps({"base_url": None, "packages": {}})
    (root / "zoo" / "index.json").write_text(index, encoding="utf-8")
    monkeypatch.setattr(package, "ROOT", root / "zoo")
    monkeypatch.setenv("SUPERRES_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SUPERRES_ZOO_URL", raising=False)
    return root / "specs"


@pytest.fixture
def zoo(capsys):
    """Return a function that runs a command in this process: exit code, out, err."""
    from zoo import cli

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            cli.main([str(word) for word in words])
        streams = capsys.readouterr()
        return int(stop.value.code or 0), streams.out, streams.err

    return call


def write_package(folder: Path) -> Path:
    """Write the package of `small_package` into a new folder."""
    folder.mkdir(parents=True)
    write_network(folder / "model.onnx")
    write_keras(folder / "weights.keras")

    def tensor(kind, scale, size):
        axes = [
            {"type": "batch"},
            *(
                {"type": "space", "id": axis, "size": size(axis), "scale": scale}
                for axis in ("y", "x")
            ),
            {"type": "channel", "channel_names": ["intensity"]},
        ]
        return {"id": kind, "axes": axes, "data": {"type": "float32"}}

    by_extremes = {"id": "scale_range", "kwargs": {"axes": ["y", "x", "channel"]}}
    axis = {"scale": 2, "minimum": 16}
    rdf = {
        "type": "model",
        "format_version": "0.5.10",
        "id": folder.name,
        "name": "Tiny spots",
        "description": "Enlarges frames.",
        "license": "BSD-3-Clause",
        "documentation": "README.md",
        "cite": [{"text": "Somebody 2018", "doi": "10.1/x"}],
        "inputs": [
            tensor("frame", 4.0, lambda _: {"min": 16, "step": 1})
            | {"preprocessing": [by_extremes]}
        ],
        "outputs": [
            tensor("out", 2.0, lambda axis: {"tensor_id": "frame", "axis_id": axis})
        ],
        "weights": {
            "keras_v3": {
                "source": "weights.keras",
                "sha256": sha256(folder / "weights.keras"),
            },
            "onnx": {
                "source": "model.onnx",
                "sha256": sha256(folder / "model.onnx"),
                "parent": "keras_v3",
            },
        },
        "config": {
            "superres_zoo": {
                "version": 2,
                "network": "tiny",
                "published_architecture": False,
                "parameters": 1234,
                "contract": {
                    "grid": {"axes": {"y": axis, "x": axis}, "outputs": ["density"]},
                    "input": {"kind": "frames", "scaling": "spots"},
                    "task": {
                        "kind": "density",
                        "threshold": 0.5,
                        "ideal_peak": 1.0,
                        "window_px": 9,
                    },
                    "training": {
                        "pixel_size_nm": [90.0, 110.0],
                        "density_per_um2": [0.001, 9.0],
                    },
                },
                "run": {"budget": "smoke", "samples": 4000},
                "evaluations": {
                    "density": {"1": {"jaccard": 0.91, "rmse_lateral_nm": 21.0}}
                },
            }
        },
    }
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")
    (folder / "README.md").write_text(
        "# Tiny\n\n## Description\n\nEnlarges.\n\n## Intended use\n\nTests of the "
        "program.\n\n## Not for\n\n* cells\n* anything else\n",
        encoding="utf-8",
    )
    return folder


def write_network(path: Path) -> None:
    """Write an ONNX graph that enlarges (b, y, x, 1) twice."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    scales = numpy_helper.from_array(np.array([1, 2, 2, 1], np.float32), "scales")
    free = [None, None, None, 1]
    graph = helper.make_graph(
        [helper.make_node("Resize", ["frame", "", "scales"], ["out"], mode="nearest")],
        "enlarge",
        [helper.make_tensor_value_info("frame", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, free)],
        [scales],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def write_keras(path: Path, *, layer: str = "Rescaling") -> None:
    """Write the parts of a ``.keras`` file that are read before anything is built."""
    only = {
        "module": "keras.layers",
        "class_name": layer,
        "config": {"name": "only"},
        "registered_name": None,
    }
    config = {
        "module": "keras",
        "class_name": "Functional",
        "registered_name": None,
        "config": {"layers": [only]},
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", b"")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
