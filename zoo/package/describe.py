"""The description of a package, ``rdf.yaml``, from what is declared and what is there.

Written in the plain style of format 0.5.10, the newest that the Java library of
deepImageJ and Icy and bioimageio.core before 0.11 read, and validated by the
official classes.
"""

import gc
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from zoo.core.config import Config
from zoo.core.errors import BadPackage
from zoo.core.recipe import Budget, Recipe
from zoo.evaluate.summary import headlines
from zoo.package.archive import read_members
from zoo.package.export import OPSET
from zoo.package.source import Source, read_metrics
from zoo.package.tensors import (
    file_entry,
    fixed_size,
    input_tensor,
    output_tensor,
    plain,
)

FORMAT_VERSION = "0.5.10"
AUTHORS = ("The superres-zoo authors",)
LICENSE = "BSD-3-Clause"
FILES = {
    "keras": "weights.keras",
    "onnx": "model.onnx",
    "saved_model": "saved_model.zip",
}
"""Weights files by the format's short name."""
ENTRIES = {
    "keras": "keras_v3",
    "onnx": "onnx",
    "saved_model": "tensorflow_saved_model_bundle",
}
"""Keys of the weights entries by the format's short name."""

_TASK_TAGS = {
    "density": ("image-reconstruction", "localization"),
    "image": ("image-restoration",),
    "parameters": ("localization",),
}
_COMMON_TAGS = ("super-resolution-microscopy", "tensorflow", "deepimagej")

DESCRIBED = frozenset(
    {
        "input_channels",
        "output_channels",
        "input_text",
        "output_text",
        "preprocessing",
        "postprocessing",
        "modality",
        "tile",
    }
)
"""Keys of a recipe's ``prediction`` that the description states elsewhere: with the
tensors, or for the collection; the rest is for our predictor."""

RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-4
"""Relative to the largest value of the test output."""


def describe(source: Source) -> dict[str, Any]:
    """Return the contents of ``rdf.yaml`` for the files in a folder.

    Nothing but those files, the recipe and the recorded run decide the result: no
    dates, no versions of programs that happen to be installed.

    Parameters
    ----------
    source
        Its folder holds weights, test tensors, samples, cover and README; each of
        `FILES` that exists becomes a weights entry.

    Raises
    ------
    BadPackage
        If a file is missing, or the sizes break a rule of the format.
    """
    recipe, folder = source.recipe, source.folder
    return {
        "format_version": FORMAT_VERSION,
        "type": "model",
        "id": recipe.name,
        "name": recipe.title,
        "description": recipe.summary,
        "authors": [{"name": name} for name in AUTHORS],
        "license": LICENSE,
        "cite": [
            {"text": recipe.network.paper.citation, "doi": recipe.network.paper.doi}
        ],
        "tags": tags(recipe),
        "links": ["deepimagej/deepimagej"],
        "documentation": "README.md",
        "covers": ["cover.png"],
        "inputs": [input_tensor(recipe, folder)],
        "outputs": [output_tensor(recipe, folder)],
        "weights": _weights(source),
        "config": {
            "bioimageio": _bioimageio(source),
            "superres_zoo": zoo_section(source),
        },
    }


def to_yaml(rdf: dict[str, Any]) -> str:
    """Return the text of ``rdf.yaml``; equal contents give equal text."""
    return yaml.safe_dump(
        rdf, sort_keys=False, allow_unicode=True, width=88, default_flow_style=False
    )


def validate(rdf: dict[str, Any], folder: Path) -> None:
    """Let the official classes read a description with the files that it names.

    Raises
    ------
    BadPackage
        If they refuse it; the message holds their reasons.
    """
    from bioimageio.spec import InvalidDescr, ValidationContext, build_description

    context = ValidationContext(
        root=folder, file_name="rdf.yaml", perform_io_checks=True
    )
    with warnings.catch_warnings():
        # the library leaves the files open that it reads; closed here, by collecting
        warnings.simplefilter("ignore", ResourceWarning)
        result = build_description(rdf, context=context)
        gc.collect()
    if isinstance(result, InvalidDescr):
        reasons = [
            f"{'.'.join(str(part) for part in error.loc)}: {error.msg}"
            for detail in result.validation_summary.details
            for error in detail.errors
        ]
        raise BadPackage(
            f"bioimageio.spec refuses the description: {'; '.join(reasons)}"
        )


def tags(recipe: Recipe) -> list[str]:
    """Return search words: those of the recipe, of its task and of the project."""
    words = (
        *recipe.tags,
        *_TASK_TAGS[recipe.network.task],
        *_COMMON_TAGS,
        recipe.network.name.replace("_", "-"),
    )
    return list(dict.fromkeys(words))


def training_conditions(recipe: Recipe) -> dict[str, list[Any]]:
    """Return ``[low, high]`` for every number that describes the training data.

    Examples
    --------
    ``pixel_size_nm: 100`` of a source becomes ``[100, 100]``; ranges stay as they
    are, switches and nested declarations are left out.
    """
    found: dict[str, list[Any]] = {}
    for name in type(recipe.source).model_fields:
        value = getattr(recipe.source, name)
        if isinstance(value, bool) or name == "scale":  # stated with the tensors
            continue
        if isinstance(value, (int, float)):
            found[name] = [value, value]
        elif (
            isinstance(value, (tuple, list))
            and len(value) == 2
            and all(isinstance(v, (int, float)) for v in value)
        ):
            found[name] = [value[0], value[1]]
    return found


def zoo_section(source: Source) -> dict[str, Any]:
    """Return ``config.superres_zoo``, which the predictor and `zoo show` read."""
    recipe = source.recipe
    network = recipe.network
    section: dict[str, Any] = {
        "version": 1,
        "network": network.name,
        "published_architecture": network.published,
        "task": network.task,
        "parameters": _trained_parameters(source),
        "scale": recipe.grid.scale,
        "halo": recipe.grid.halo,
        "step": recipe.grid.step,
        "tile": fixed_size(recipe),
        "ideal_peak": network.ideal_peak,
    }
    section |= {k: v for k, v in recipe.prediction.items() if k not in DESCRIBED}
    section["training"] = training_conditions(recipe)
    kept = ("budget", "samples", "steps", "seconds", "backend")
    section["run"] = {key: source.run[key] for key in kept if key in source.run}
    scores = read_metrics(source.folder)
    if scores is not None:
        section["evaluations"] = headlines(
            {
                group: conditions
                for group, conditions in scores.items()
                if isinstance(conditions, dict)
            }
        )
    return plain({k: v for k, v in section.items() if v is not None})


def tolerance(test_output: np.ndarray) -> dict[str, Any]:
    """Return what may differ in reproducing a test output.

    The default of the format, 1e-3 in absolute terms, tests nothing where outputs
    are small; here it is a ten-thousandth of the largest value, rounded down to one
    digit.

    Examples
    --------
    >>> tolerance(np.array([0.0, 42.0]))["absolute_tolerance"]
    0.004
    """
    largest = ABSOLUTE_TOLERANCE * float(np.abs(test_output).max(initial=0.0))
    absolute = 0.0
    if largest > 0:
        digit = 10.0 ** math.floor(math.log10(largest))
        absolute = float(f"{math.floor(largest / digit * (1 + 1e-12)) * digit:.0e}")
    return {
        "relative_tolerance": RELATIVE_TOLERANCE,
        "absolute_tolerance": absolute,
        "mismatched_elements_per_million": 10,
    }


def _weights(source: Source) -> dict[str, Any]:
    folder, versions = source.folder, source.export
    entries: dict[str, Any] = {}
    if (folder / FILES["keras"]).is_file():
        entries["keras_v3"] = {
            **file_entry(folder, FILES["keras"]),
            "keras_version": _keras_version(folder / FILES["keras"]),
            "backend": ["tensorflow", versions["tensorflow"]],
            "comment": (
                "Stock layers only; settings that Keras before 3.15 does not know are "
                "left out where they have their default value."
            ),
        }
    if (folder / FILES["onnx"]).is_file():
        entries["onnx"] = {
            **file_entry(folder, FILES["onnx"]),
            "opset_version": OPSET,
            "parent": "keras_v3",
        }
    if (folder / FILES["saved_model"]).is_file():
        entries["tensorflow_saved_model_bundle"] = {
            **file_entry(folder, FILES["saved_model"]),
            "tensorflow_version": versions["tensorflow"],
            "parent": "keras_v3",
            "comment": "Frozen graph; also loads in TensorFlow 2.7.",
        }
    if "keras_v3" not in entries:
        raise BadPackage(
            f"{folder} holds no {FILES['keras']}, the parent of all formats"
        )
    return entries


def _bioimageio(source: Source) -> dict[str, Any]:
    recipe = source.recipe
    test_output = np.load(source.folder / "test_output.npy")
    section: dict[str, Any] = {
        "reproducibility_tolerance": [tolerance(test_output)],
        "architecture_type": recipe.network.name[:32],
        "architecture_description": recipe.network.note or None,
        "modality": recipe.prediction.get("modality", "fluorescence microscopy"),
        "task": {
            "density": "single-molecule localization",
            "image": "super-resolution image restoration",
            "parameters": "single-molecule parameter estimation",
        }[recipe.network.task],
        "model_parameter_count": _trained_parameters(source),
        "training": _training(source),
    }
    return plain({key: value for key, value in section.items() if value is not None})


def _training(source: Source) -> dict[str, Any]:
    recipe, run = source.recipe, source.run
    details: dict[str, Any] = {
        "loss_function": type(recipe.loss).__name__,
        "loss_function_kwargs": _numbers_of(recipe.loss),
        "optimizer": "Adam",
    }
    budget = recipe.budgets.get(run.get("budget", ""))  # type: ignore[call-overload]
    if budget is not None:
        details |= {
            "training_epochs": sum(stage.epochs for stage in budget.stages),
            "training_batch_size": _usual_batch(budget),
            "initial_learning_rate": budget.learning_rate,
            "learning_rate_schedule": (
                f"linear rise over {budget.warmup_steps} steps, "
                "cosine fall to a hundredth"
                + "".join(f"; once more from {peak:g}" for peak, _ in budget.cycles[1:])
            ),
        }
    if "seconds" in run:
        details["training_duration"] = round(run["seconds"] / 3600, 3)
    return details


def _usual_batch(budget: Budget) -> int:
    """Return the batch size in which most samples were seen."""
    seen: dict[int, int] = {}
    for stage in budget.stages:
        size = stage.batch_size
        seen[size] = seen.get(size, 0) + stage.epochs * stage.steps * size
    return max(seen, key=lambda size: seen[size])


def _numbers_of(declaration: Config) -> dict[str, Any]:
    return {
        name: value
        for name, value in declaration.model_dump(mode="json").items()
        if isinstance(value, (int, float, str)) and name != "kind"
    }


def _trained_parameters(source: Source) -> int:
    """Return the trainable parameters, from the package's own record if it has one."""
    recorded = source.export.get("parameters")
    return source.recipe.network.parameters if recorded is None else int(recorded)


def _keras_version(path: Path) -> str:
    import json

    return str(json.loads(read_members(path)["metadata.json"])["keras_version"])
