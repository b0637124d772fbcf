"""Beginning where another training ended instead of at random weights."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo import catalog
from zoo.core.errors import BadInput, UnknownPackage
from zoo.core.files import sha256
from zoo.core.formats import KERAS
from zoo.io.keras_network import load_network
from zoo.tasks.image import ImageRestoration
from zoo.train.checkpoint import stored_weights

WEIGHTS = KERAS.file
FROM_SCRATCH = "none"
"""What to start from in order not to start from published weights."""


def start_from(model: keras.Model, source: str | Path) -> dict[str, str | int]:
    """Give a network the weights of another one of its architecture.

    The kernel that meets the input may be that of a single-channel network: it is
    then spread evenly over the channels, so that the new network first does with the
    mean of its channels what the old one did with its only one.

    Parameters
    ----------
    model
        Network to set.
    source
        ``.keras`` file, checkpoint ``.npz`` of a run, the folder of a run or package,
        or the name of a package; of the last three ``weights.keras`` is taken.

    Returns
    -------
    record
        ``start``: what was read, without where it lay; ``start_sha256``: its hash;
        ``start_channels``: 1, if the kernel of a single channel was spread.

    Raises
    ------
    BadInput
        If the folder has no weights, or the weights are of another architecture.
    UnknownPackage
        If there is neither a file nor a package of this name.
    BadPackage
        If a ``.keras`` file holds anything but stock layers.
    """
    path = Path(source)
    if not path.exists():
        # needs what a machine that only trains may not have
        from zoo.io.library import find_package

        path = find_package(str(source), needs=KERAS.entry)
    file = path / WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise BadInput(
            f"{path} holds no {WEIGHTS}; name a package, a finished run, a .keras file "
            "or a checkpoint .npz to start from"
        )
    values = _read(file)
    if len(values) != len(model.weights):
        raise BadInput(
            f"{file} holds {len(values)} arrays, the network has "
            f"{len(model.weights)}; start from one of the same architecture"
        )
    fitting = [
        _fitted(value, variable, file)
        for value, variable in zip(values, model.weights, strict=True)
    ]
    for value, variable in zip(fitting, model.weights, strict=True):
        variable.assign(value)
    record: dict[str, str | int] = {
        "start": f"{_name(file.parent)}/{file.name}",
        "start_sha256": sha256(file),
    }
    if values[0].shape != fitting[0].shape:
        record["start_channels"] = 1
    return record


def continuation(
    name: str,
    changes: dict[str, Any],
    *,
    start: str | None,
    budget: str,
    data: Path | None = None,
) -> tuple[dict[str, Any], str | None]:
    """Return settings and weights of a training that may go on from published ones.

    It does if a package of its name is at hand, nothing else was asked for, and it
    learns from own pairs of images, or the source alone is changed and its recipe
    foresees it for that.

    Parameters
    ----------
    name
        Name of a recipe.
    changes
        Settings, as `zoo.core.config.parse_settings` returns them.
    start
        Weights to start from that the user named; `FROM_SCRATCH` for none at all.
    budget
        Training plan that the user chose; the one on two cores is replaced.
    data
        Folder of own pairs, if there is one.

    Returns
    -------
    changes, start
        As they were, or with the recipe's `retraining` in place of its plan, and the
        name of the package.
    """
    if start == FROM_SCRATCH:
        return changes, None
    recipe = catalog.recipe(name)
    if data is not None and isinstance(recipe.contract.task, ImageRestoration):
        return changes, start or _published(name)
    retraining = recipe.retraining
    about_the_source = [key for key in changes if key.split("__")[0] == "source"]
    if (
        retraining is None
        or start is not None
        or budget != "cpu"
        or not changes
        or len(about_the_source) < len(changes)
    ):
        return changes, start
    published = _published(name)
    if published is None:
        return changes, start
    return changes | {"budgets__cpu": retraining.model_dump(mode="json")}, published


def _published(name: str) -> str | None:
    """Return the name of a recipe if a package of it is at hand."""
    from zoo.io.library import find_package

    try:
        find_package(name)
    except UnknownPackage:
        return None
    return name


def _read(file: Path) -> list[np.ndarray]:
    if file.suffix == ".npz":
        return stored_weights(file)
    return load_network(file).get_weights()


def _fitted(value: np.ndarray, variable: Any, file: Path) -> np.ndarray:
    shape = tuple(variable.shape)
    if value.shape == shape:
        return value
    if len(shape) > 3 and value.shape == (*shape[:-2], 1, shape[-1]):
        return np.repeat(value / shape[-2], shape[-2], axis=-2)
    raise BadInput(
        f"{file}: {variable.path} has the shape {value.shape}, the network needs "
        f"{shape}; start from one of the same architecture and width"
    )


def _name(folder: Path) -> str:
    """Return the recipe that a folder is about, or the folder's own name."""
    record = folder / "recipe.json"
    if record.is_file():
        return str(json.loads(record.read_text(encoding="utf-8"))["name"])
    return folder.name
