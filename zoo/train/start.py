"""Beginning where another training ended instead of at random weights."""

import json
from collections.abc import Sequence
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
TRIED_PX = 48
"""Edge of an image that networks of any size are compared on."""
FROM_SCRATCH = "none"
"""What to start from in order not to start from published weights."""


def start_from(model: keras.Model, source: str | Path) -> dict[str, str | int]:
    """Give a network the weights of another one of its architecture.

    The kernel that meets the input may be that of a single-channel network: it is
    then spread evenly over the channels, so that the new network first does with the
    mean of its channels what the old one did with its only one.  Arrays may be
    smaller, too, where more channels enter or leave: they become the first ones, what
    enters beside them has no say in these at first, and what leaves beside them is as
    it was built.  More than half of them may be if the wider network then does what the
    narrow one did, as one does in which every channel stays by itself between the
    convolutions.  The new network may have arrays that the old one lacks, such as those
    of a switch between structures, if everything that the old one has is in the new one
    under its name: they stay as they were built.

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
        ``start_channels``: channels that the old network took, if fewer;
        ``start_wider``: number of its arrays that were smaller, if most were;
        ``start_new``: number of the arrays that stayed as they were built, if any.

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
    values, narrow = _read(file)
    paths = [] if narrow is None else [variable.path for variable in narrow.weights]
    variables = list(model.weights)
    if len(values) != len(variables):
        named = {variable.path: variable for variable in variables}
        if len(named) < len(variables) or not set(paths) <= set(named) or not paths:
            raise BadInput(
                f"{file} holds {len(values)} arrays, the network has "
                f"{len(variables)}; start from one of the same architecture"
            )
        variables = [named[path] for path in paths]
    by_channel = _by_channel(model)
    fitting = [
        _fitted(
            value,
            variable,
            file,
            first=not number,
            mixing=variable.path not in by_channel,
        )
        for number, (value, variable) in enumerate(zip(values, variables, strict=True))
    ]
    smaller = sum(
        old.shape != new.shape for old, new in zip(values, fitting, strict=True)
    )
    wider = 2 * smaller > len(values)
    built = model.get_weights() if wider else []
    for value, variable in zip(fitting, variables, strict=True):
        variable.assign(value)
    if wider and (narrow is None or not _do_the_same(narrow, model)):
        model.set_weights(built)
        raise BadInput(
            f"{file}: {smaller} of {len(values)} arrays are smaller than those of the "
            "network, which does something else with them; start from one of the same "
            "architecture and width"
        )
    record: dict[str, str | int] = {
        "start": f"{_name(file.parent)}/{file.name}",
        "start_sha256": sha256(file),
    }
    if values[0].shape[-2:-1] != fitting[0].shape[-2:-1]:
        record["start_channels"] = values[0].shape[-2]
    if wider:
        record["start_wider"] = smaller
    if len(variables) < len(model.weights):
        record["start_new"] = len(model.weights) - len(variables)
    return record


def start_from_mean(
    model: keras.Model, sources: Sequence[str | Path]
) -> dict[str, str | int]:
    """Give a network the mean of the weights of others that learnt from one another.

    Weights from before and after a training under other conditions lie in one valley
    of the loss: their mean does nearly as well under both (Wortsman et al. 2022,
    doi:10.1109/CVPR52688.2022.00780).

    Parameters
    ----------
    model
        Network to set.
    sources
        What to start from, each as `start_from` takes it; one named twice counts twice.

    Returns
    -------
    record
        As of `start_from`; ``start`` and ``start_sha256`` name all, commas between.

    Raises
    ------
    BadInput, UnknownPackage, BadPackage
        As `start_from`.
    """
    records: list[dict[str, str | int]] = []
    sums: list[np.ndarray] = []
    for source in sources:
        records.append(start_from(model, source))
        weights = model.get_weights()
        sums = [a + b for a, b in zip(sums, weights, strict=True)] if sums else weights
    if len(records) > 1:
        model.set_weights([total / len(records) for total in sums])
    merged = {key: value for record in records for key, value in record.items()}
    for key in ("start", "start_sha256"):
        merged[key] = ", ".join(str(record[key]) for record in records)
    return merged


def continuation(
    name: str,
    changes: dict[str, Any],
    *,
    start: Sequence[str],
    budget: str,
    data: Path | None = None,
) -> tuple[dict[str, Any], Sequence[str]]:
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
        Weights to start from that the user named, if any; `FROM_SCRATCH` for none at
        all.
    budget
        Training plan that the user chose; the one on two cores is replaced.
    data
        Folder of own pairs, if there is one.

    Returns
    -------
    changes, start
        As they were, or with the recipe's `retraining` in place of its plan, and the
        name of the package.

    Raises
    ------
    BadInput
        If weights are named beside `FROM_SCRATCH`.
    """
    if FROM_SCRATCH in start:
        if len(start) > 1:
            raise BadInput(
                f"--start {FROM_SCRATCH} leaves no room for other weights; leave it out"
            )
        return changes, ()
    recipe = catalog.recipe(name)
    if data is not None and isinstance(recipe.contract.task, ImageRestoration):
        return changes, start or _published(name)
    retraining = recipe.retraining
    about_the_source = [key for key in changes if key.split("__")[0] == "source"]
    if (
        retraining is None
        or start
        or budget != "cpu"
        or not changes
        or len(about_the_source) < len(changes)
    ):
        return changes, start
    published = _published(name)
    if not published:
        return changes, start
    return changes | {"budgets__cpu": retraining.model_dump(mode="json")}, published


def _published(name: str) -> tuple[str, ...]:
    """Return the name of a recipe if a package of it is at hand, else nothing."""
    from zoo.io.library import find_package

    try:
        find_package(name)
    except UnknownPackage:
        return ()
    return (name,)


def _read(file: Path) -> tuple[list[np.ndarray], Any | None]:
    """Return arrays, and their network where the file holds it."""
    if file.suffix == ".npz":
        return stored_weights(file), None
    network = load_network(file)
    return network.get_weights(), network


def _do_the_same(narrow: Any, wide: Any) -> bool:
    """Say whether two networks of one input make the same of an image of noise."""
    if len(wide.inputs) > 1:
        return False
    shape = [TRIED_PX if length is None else length for length in wide.input_shape[1:]]
    image = np.random.default_rng(0).random((1, *shape), np.float32)
    try:
        made = narrow.predict_on_batch(image)
        again = wide.predict_on_batch(image)
    except ValueError:  # they take different images
        return False
    return made.shape == again.shape and np.allclose(
        again, made, rtol=0, atol=1e-3 * np.abs(made).max()
    )


def _by_channel(model: keras.Model) -> set[str]:
    """Return the names of kernels that filter every channel by itself."""
    return {
        variable.path
        for layer in model.layers
        if isinstance(layer, keras.layers.DepthwiseConv2D)
        for variable in layer.weights
    }


def _fitted(
    value: np.ndarray, variable: Any, file: Path, *, first: bool, mixing: bool
) -> np.ndarray:
    """Return an array in the shape of a variable; see `start_from`."""
    shape = [int(length) for length in variable.shape]
    old = [int(length) for length in value.shape]
    if old == shape:
        return value
    kernel = len(shape) > 3 and old[:-2] == shape[:-2]
    if first and kernel and old[-2:] == [1, shape[-1]]:
        return np.repeat(value / shape[-2], shape[-2], axis=-2)
    bigger = any(a > b for a, b in zip(old, shape, strict=False))
    if len(old) != len(shape) or bigger or (len(shape) > 1 and not kernel):
        raise BadInput(
            f"{file}: {variable.path} has the shape {tuple(old)}, the network "
            f"needs {tuple(shape)}; start from one of the same architecture and width"
        )
    fitted = np.array(keras.ops.convert_to_numpy(variable.value))
    if kernel and mixing:
        fitted[..., old[-2] :, : old[-1]] = 0.0
    fitted[tuple(slice(0, length) for length in old)] = value
    return fitted


def _name(folder: Path) -> str:
    """Return the recipe that a folder is about, or the folder's own name."""
    record = folder / "recipe.json"
    if record.is_file():
        return str(json.loads(record.read_text(encoding="utf-8"))["name"])
    return folder.name
