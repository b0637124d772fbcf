"""Packages of the published Deep-STORM as models of the ZeroCostDL4Mic notebook.

The notebook "Deep-STORM (2D)" of von Chamier et al. 2021
(doi:10.1038/s41467-021-22518-0) takes a folder as a pretrained model: weights of its
own network, which works on the frame that is already scaled, standardised and enlarged,
two scalars and two factors in a MATLAB file, and a training log whose learning rate
training continues with.  All of that follows from a package.
"""

import csv
import json
import math
import shutil
from itertools import zip_longest
from pathlib import Path
from typing import Any

import keras
import numpy as np
import scipy.io
from keras import layers

from converters.packages import refuse_filled
from zoo.core.errors import BadPackage
from zoo.core.files import scratch
from zoo.core.formats import KERAS
from zoo.io.keras_network import load_network
from zoo.io.library import open_package
from zoo.io.package import Package
from zoo.predict.contract import read_contract
from zoo.tasks.density import Density

NORMALIZATION_FACTOR = 100.0
"""Height that targets are scaled to, in the paper and here; the notebook measures its
threshold and its response in this unit."""

_BLOCKS = (
    *((width, "MaxPooling2D 2x2") for width in (32, 64, 128)),
    *((width, "UpSampling2D 2x2 nearest") for width in (512, 128, 64)),
    (32, None),
)


def to_zerocostdl4mic(package: str | Path, directory: str | Path) -> Path:
    """Write the folder that the ZeroCostDL4Mic Deep-STORM notebook loads.

    Parameters
    ----------
    package
        Name, folder, zip or address of a package of the published network.
    directory
        Folder to create.

    Returns
    -------
    directory : Path
        With ``best.weights.keras`` and ``last.weights.keras`` (the same weights),
        ``model_metadata.mat``, ``README.txt`` and, if the package or the run it came
        from keeps a log, ``Quality Control/training_evaluation.csv``.

    Raises
    ------
    BadInput
        If `directory` holds something already.
    BadPackage
        If the package is not the published Deep-STORM, or what was written does not
        give its outputs.
    """
    directory = Path(directory)
    refuse_filled(directory)
    opened = open_package(str(package), needs=KERAS.entry)
    path = opened.weights_path(KERAS.entry)
    model = load_network(path)
    network, standardise, upsampling = split(model, opened.name)
    mean = -float(standardise.offset) / float(standardise.scale)
    std = 1.0 / float(standardise.scale)

    directory.parent.mkdir(parents=True, exist_ok=True)
    with scratch(directory) as aside:
        part = aside / directory.name
        part.mkdir()
        best = part / "best.weights.keras"
        network.save(best)
        _check(best, network, model, mean=mean, std=std, upsampling=upsampling)
        shutil.copyfile(best, part / "last.weights.keras")
        metadata = {
            "mean_test": mean,
            "std_test": std,
            "upsampling_factor": upsampling,
            "Normalization factor": NORMALIZATION_FACTOR,
        }
        scipy.io.savemat(part / "model_metadata.mat", metadata)
        logged = training_log(opened.folder)
        if logged:
            _write_log(part / "Quality Control" / "training_evaluation.csv", logged)
        text = _readme(opened, upsampling=upsampling, logged=bool(logged))
        (part / "README.txt").write_text(text, encoding="utf-8")
        if directory.exists():
            directory.rmdir()
        part.rename(directory)
    return directory


def split(model: Any, name: str) -> tuple[Any, layers.Rescaling, int]:
    """Take the published network out of a packaged one.

    Parameters
    ----------
    model : keras.Model
        Standardisation, enlargement, then the network.
    name
        What to call the package in an error.

    Returns
    -------
    network : keras.Model
        (b, Y, X, 1) to (b, Y, X, 1) on the fine grid, sharing the weights of `model`.
    standardise : keras.layers.Rescaling
        What comes first.
    upsampling : int
        Fine pixels per camera pixel.

    Raises
    ------
    BadPackage
        If the layers are not those of the paper.
    """
    chain = [x for x in model.layers if not isinstance(x, layers.InputLayer)]
    found = [_signature(layer) for layer in chain]
    published = _published(found[1] if len(found) > 1 else "")
    for have, want in zip_longest(found, published, fillvalue="nothing"):
        if have != want:
            raise BadPackage(
                f"{name} is not the published Deep-STORM, the only network that the "
                f"ZeroCostDL4Mic notebook can load: it has {have} where {want} belongs"
            )
    standardise, enlarge, *trunk = chain
    start = tensor = keras.Input((None, None, 1), name="enlarged_frame")
    for layer in trunk:
        tensor = layer(tensor)
    network = keras.Model(start, tensor, name="deep_storm")
    return network, standardise, int(enlarge.size[0])


def training_log(folder: Path) -> list[dict[str, float]]:
    """Return loss, validation loss and learning rate of each epoch, if kept.

    They are looked for in ``history.csv`` and in ``run.history`` of ``recipe.json``.
    Epochs with a figure that is not finite are left out, the notebook cannot read them.
    """
    rows: list[dict[str, Any]] = []
    if (folder / "history.csv").is_file():
        with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    elif (folder / "recipe.json").is_file():
        recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        rows = recipe.get("run", {}).get("history", [])
    names = ("loss", "val_loss", "learning_rate")
    complete = [
        row for row in rows if not {row.get(name) for name in names} & {None, ""}
    ]
    figures = [{name: float(row[name]) for name in names} for row in complete]
    return [row for row in figures if all(map(math.isfinite, row.values()))]


def _published(enlarge: str) -> list[str]:
    """List the layers of the published network, in order, as `_signature` does.

    `enlarge` is that of the layer that enlarges the frame, if it does so as allowed.
    """
    allowed = [f"UpSampling2D {factor}x{factor} nearest" for factor in (8, 4)]
    wanted = ["Rescaling", enlarge if enlarge in allowed else allowed[0]]
    for width, resize in _BLOCKS:
        wanted += [f"Conv2D 3x3 to {width}", "BatchNormalization", "ReLU"]
        wanted += [resize] if resize else []
    return [*wanted, "Conv2D 1x1 to 1"]


def _signature(layer: Any) -> str:
    """Say what a layer computes, leaving out what the published network has."""
    kind = type(layer).__name__
    config = layer.get_config()
    usual: dict[str, Any] = {}
    match kind:
        case "Conv2D":
            kind += f" {_times(config['kernel_size'])} to {config['filters']}"
            usual = {"use_bias": False, "activation": "linear", "strides": (1, 1)}
            usual |= {"dilation_rate": (1, 1), "groups": 1}
            if config["kernel_size"] != (1, 1):
                usual["padding"] = "same"
        case "BatchNormalization":
            usual = {"epsilon": 1e-3, "center": True, "scale": True, "axis": -1}
        case "ReLU":
            usual = {"max_value": None, "negative_slope": 0, "threshold": 0}
        case "MaxPooling2D":
            kind += f" {_times(config['pool_size'])}"
            usual = {"strides": config["pool_size"], "padding": "valid"}
        case "UpSampling2D":
            kind += f" {_times(config['size'])} {config['interpolation']}"
    unusual = [
        f"{name} {config[name]}"
        for name, value in usual.items()
        if config[name] != value
    ]
    return f"{kind} ({', '.join(unusual)})" if unusual else kind


def _times(size: tuple[int, int]) -> str:
    return "x".join(map(str, size))


def _check(
    path: Path, network: Any, model: Any, *, mean: float, std: float, upsampling: int
) -> None:
    """Compute as the notebook does, from the written file, and compare."""
    fresh = keras.models.clone_model(network)
    fresh.load_weights(path)
    frame = np.random.default_rng(0).random((1, 12, 16, 1), dtype="float32")
    expected = np.asarray(model(frame, training=False))
    enlarged = np.kron((frame - mean) / std, np.ones((1, upsampling, upsampling, 1)))
    found = np.asarray(fresh(enlarged.astype("float32"), training=False))
    error = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30)
    if not error <= 1e-5:
        raise BadPackage(
            f"the network for the notebook differs from the package by {error:.1e} of "
            "the largest output, nothing was written; please report it"
        )


def _write_log(path: Path, logged: list[dict[str, float]]) -> None:
    path.parent.mkdir()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["loss", "val_loss", "learning rate"])
        writer.writerows(
            [row["loss"], row["val_loss"], row["learning_rate"]] for row in logged
        )


def _readme(package: Package, *, upsampling: int, logged: bool) -> str:
    contract = read_contract(package)
    pixels = [f"{nm:g}" for nm in contract.training.get("pixel_size_nm", ())]
    task = contract.task if isinstance(contract.task, Density) else Density()
    peak = task.ideal_peak / NORMALIZATION_FACTOR
    threshold = task.threshold * peak
    lines = [
        f"{package.name} for the ZeroCostDL4Mic notebook Deep-STORM (2D)",
        "",
        "Predict (section 6): give this folder as prediction_model_path. Train on",
        "(section 4.3): Use_pretrained_model, Model_from_file, this folder as",
        "pretrained_model_path. 'best' and 'last' are the same weights.",
        "",
        f"Upsampling factor: {upsampling}. Threshold: {threshold:.3f} corresponds to",
        f"this package's own ({peak:.3f} is the peak of an isolated emitter);",
        f"neighborhood_size: {task.window_px}.",
        "",
        "Coordinates: this network's fine pixel k covers [k, k+1) fine pixels, and its",
        "centre is (k + 0.5) fine pixels from the outer corner of the image. The",
        "notebook reports k times the fine pixel. Add half a fine pixel to x and y:",
        f"{100 / upsampling / 2:g} nm for camera pixels of 100 nm.",
        "",
        "The notebook scales every frame by its own minimum and maximum. Frames",
        "without emitters, or with a hot pixel, are better left to 'zoo predict'.",
    ]
    if pixels:
        between = " to ".join(dict.fromkeys(pixels))
        lines += ["", f"Trained for camera pixels of {between} nm."]
    if not logged:
        lines += ["", "The package keeps no training log: the notebook will continue"]
        lines += ["training with the learning rate that its form shows."]
    lines += [
        "",
        f"Licence: {package.rdf.get('license', 'see the package')}. Please cite:",
    ]
    for entry in package.rdf.get("cite", []):
        lines.append(f"- {entry['text']} {entry.get('doi') or entry.get('url') or ''}")
    lines.append(
        "- von Chamier et al. 2021, Nature Communications 12, 2276 (the notebook) "
        "10.1038/s41467-021-22518-0"
    )
    return "\n".join(lines) + "\n"
