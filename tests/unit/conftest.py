"""Packages of toy recipes, complete but for a network that could run."""

import json

import numpy as np
import pytest

from zoo.core.grid import Grid

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
def toy_package():
    """Return a function that writes all files that a description names."""
    from zoo.package.build import write_examples
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
