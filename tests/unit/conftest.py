"""Packages of toy recipes that lack but a network that could run; benchmarks."""

import importlib.util
import io
import json
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from zoo.core.grid import Grid

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RUN = {
    "budget": "smoke",
    "samples": 24,
    "seconds": 5400.0,
    "backend": "jax",
    "data": "/home/somebody",
    "settings": {},
}
EXPORT = {
    "keras": "3.15.1",
    "tensorflow": "2.21.0",
    "tf2onnx": "1.17.0",
    "parameters": 196,
}


@pytest.fixture(scope="session")
def tiny(toy_recipes):
    """Return the module of the two smallest toy recipes."""
    del toy_recipes
    from zoo.recipes import tiny  # pyright: ignore[reportAttributeAccessIssue]

    return tiny


@pytest.fixture
def benchmark_script(monkeypatch):
    """Return a function that imports a script of ``benchmarks/`` by its name."""

    def load(name):
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        spec = importlib.util.spec_from_file_location(
            f"{name}_benchmark", BENCHMARKS / f"{name}.py"
        )
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        assert spec.loader is not None
        spec.loader.exec_module(module)
        return module

    yield load
    sys.modules.pop("common", None)


@pytest.fixture
def toy_package():
    """Return a function that writes all files that a description names."""
    from zoo.package.examples import write_examples
    from zoo.package.trained import Trained, record_of
    from zoo.package.zips import write_zip

    def write(recipe, folder, *, metrics=None):
        folder.mkdir(parents=True, exist_ok=True)
        contract = recipe.promise
        lengths = {a: contract.declared_size(a) or 16 for a in contract.grid.space}
        write_examples(folder, contract, *tensors(contract.grid, lengths))
        metadata = b'{"keras_version": "3.15.1"}'
        write_zip(folder / "weights.keras", {"metadata.json": metadata})
        (folder / "model.onnx").write_bytes(b"onnx")
        (folder / "README.md").write_text("# A\n## Validation\n")
        trained = Trained(folder, recipe, RUN, EXPORT, packaged=True)
        (folder / "recipe.json").write_text(record_of(trained, EXPORT))
        if metrics is not None:
            (folder / "metrics.json").write_text(json.dumps(metrics))
        return trained

    return write


def tensors(grid: Grid, lengths: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return an input of counts and an output whose largest value is 42."""
    rng = np.random.default_rng(0)
    shapes = []
    for axes, sizes, names in (
        (grid.input_axes, lengths, grid.channels),
        (grid.output_axes, grid.output_size(lengths), grid.outputs),
    ):
        full = {"b": 1, "c": len(names)} | sizes
        shapes.append([full[letter] for letter in axes])
    image = rng.integers(90, 900, shapes[0]).astype(np.float32)
    output = rng.random(shapes[1], np.float32) * 42
    output.reshape(-1)[0] = 42
    return image, output


class Block:
    """Numbers that a pickle refers to by a key."""

    def __init__(self, array):
        self.array = array


class TensorPickler(pickle.Pickler):
    """Write arrays as PyTorch writes tensors; `blocks` are what they refer to."""

    def __init__(self, file, pytorch):
        super().__init__(file, protocol=2)
        self.pytorch, self.blocks = pytorch, []

    def reducer_override(self, item):
        if not isinstance(item, np.ndarray):
            return NotImplemented
        strides = tuple(s // item.itemsize for s in item.strides)
        return self.pytorch.utils._rebuild_tensor_v2, (
            Block(item), 0, item.shape, strides, False, OrderedDict(),
        )  # fmt: skip

    def persistent_id(self, item):
        if not isinstance(item, Block):
            return None
        self.blocks.append(item.array)
        torch = self.pytorch.torch
        kind = torch.FloatStorage if item.array.dtype == "f4" else torch.LongStorage
        return "storage", kind, str(len(self.blocks) - 1), "cpu", item.array.size


@pytest.fixture
def pytorch(monkeypatch):
    """Stand-ins for what pickles of PyTorch name; only their names are written.

    ``pytorch.write(path, content, zipped=...)`` writes the files that PyTorch does
    since version 1.6 or before, and returns their path.
    """

    def rebuild(*_):
        raise AssertionError

    def module(name, **items):
        made = types.ModuleType(name)
        for key, item in items.items():
            item.__module__, item.__qualname__, item.__name__ = name, key, key
            setattr(made, key, item)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    def classes(*names):
        return {name: type(name, (), {}) for name in names}

    def write(path, content, *, zipped):
        stream = io.BytesIO()
        if not zipped:
            for head in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
                pickle.dump(head, stream, protocol=2)
        pickler = TensorPickler(stream, stand_ins)
        pickler.dump(content)
        blocks = [block.tobytes("A") for block in pickler.blocks]
        if zipped:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("weights/data.pkl", stream.getvalue())
                archive.writestr("weights/byteorder", "little")
                for key, block in enumerate(blocks):
                    archive.writestr(f"weights/data/{key}", block)
                archive.writestr("weights/version", "3\n")
            return path
        pickle.dump([str(key) for key in range(len(blocks))], stream, protocol=2)
        for array, block in zip(pickler.blocks, blocks, strict=True):
            stream.write(array.size.to_bytes(8, "little") + block)
        path.write_bytes(stream.getvalue())
        return path

    stand_ins = types.SimpleNamespace(
        utils=module("torch._utils", _rebuild_tensor_v2=rebuild),
        torch=module("torch", **classes("FloatStorage", "LongStorage", "device")),
        nn=module("torch.nn", **classes("Net", "Hardtanh")),
        write=write,
    )
    return stand_ins
