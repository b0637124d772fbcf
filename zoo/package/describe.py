"""The description of a package, ``rdf.yaml``, from what is declared and what is there.

Written in the plain style of format 0.5.10, the newest that the Java library of
deepImageJ and Icy and bioimageio.core before 0.11 read, and validated by the
official classes.
"""

import gc
import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from zoo.core.config import Config
from zoo.core.contract import Contract
from zoo.core.errors import BadPackage
from zoo.core.formats import FORMATS, KERAS, ONNX, SAVED_MODEL
from zoo.core.network import Network
from zoo.core.recipe import Budget, Loss
from zoo.evaluate.further import headlines
from zoo.package import own_card
from zoo.package.acceptance import accepted
from zoo.package.export import OPSET
from zoo.package.project import repository
from zoo.package.tensors import file_entry, input_tensor, output_tensor, plain, stated
from zoo.package.trained import Trained, read_metrics
from zoo.package.zips import read_members

FORMAT_VERSION = "0.5.10"
SECTION_VERSION = 2
"""Version of ``config.superres_zoo``."""
VERSION = "0.1.0"
"""Version of the packages, raised by a release that changes one."""
AUTHORS = ("The superres-zoo authors",)
LICENSE = "BSD-3-Clause"

EXAMPLES = ("test_input.npy", "test_output.npy")
"""Test tensors of a package."""

COVER = "cover.png"
PICTURE = ".png"
"""How the names of further pictures end, which a card shows."""

_COMMON_TAGS = ("super-resolution-microscopy", "tensorflow", "deepimagej")

RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-4
"""Relative to the largest value of the test output."""


class Identity(NamedTuple):
    """What a package is, apart from its files and its training."""

    name: str
    """Name of the package."""
    title: str
    """Human-readable name, 5 to 64 characters."""
    summary: str
    """What it does, in one or two sentences."""
    network: Network
    """The architecture."""
    contract: Contract
    """What the package promises."""
    tags: tuple[str, ...] = ()
    """Search words beyond those of the task and the project."""
    authors: tuple[str, ...] = AUTHORS
    """Who made it."""
    licence: str = LICENSE
    """SPDX identifier; empty if nobody states one."""
    address: str = ""
    """Repository that it comes from; empty if there is none."""


def identity_of(trained: Trained) -> Identity:
    """Return what a recipe says about its package, or a user about one of his own."""
    recipe, own = trained.recipe, trained.own
    return Identity(
        recipe.name if own is None else own.name,
        recipe.title if own is None else own.title,
        recipe.summary if own is None else own_card.summary(trained),
        recipe.network,
        recipe.promise,
        recipe.tags,
        AUTHORS if own is None else own.authors,
        address=(repository() or "") if own is None else "",
    )


def describe(trained: Trained) -> dict[str, Any]:
    """Return the contents of ``rdf.yaml`` for a trained network in a folder.

    Nothing but the files, the recipe and the recorded run decide the result: no
    dates, no versions of programs that happen to be installed.

    Parameters
    ----------
    trained
        Its folder holds weights, test tensors, samples, cover and README; each of
        `zoo.core.formats.FORMATS` that exists becomes a weights entry, further arrays
        and networks become attachments.

    Raises
    ------
    BadPackage
        If a file is missing, or the format cannot express the contract.
    """
    kept = ("budget", "samples", "steps", "seconds", "backend")
    further: dict[str, Any] = {
        "run": {key: trained.run[key] for key in kept if key in trained.run}
    }
    if trained.own is not None:
        further = {"recipe": trained.recipe.name, **further}
    outcome = accepted(trained)
    if outcome is not None:
        further["bounds"] = {"held": outcome.held, "of": outcome.of}
    scores = read_metrics(trained.folder)
    if scores is not None:
        further["evaluations"] = headlines(trained.recipe.test_set, scores)
    return describe_files(
        identity_of(trained),
        trained.folder,
        trained.export,
        training=_training(trained),
        further=further,
    )


def describe_files(
    identity: Identity,
    folder: Path,
    export: Mapping[str, Any],
    *,
    training: Mapping[str, Any] | None = None,
    further: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the contents of ``rdf.yaml`` for any network in a folder.

    Parameters
    ----------
    identity
        What the package is.
    folder
        As for `describe`.
    export
        Versions of the programs that wrote the formats and the number of trainable
        ``parameters``.
    training
        ``config.bioimageio.training``; left out if nothing is known.
    further
        Entries of ``config.superres_zoo`` behind the contract.

    Raises
    ------
    BadPackage
        If a file is missing, or the format cannot express the contract.
    """
    network = identity.network
    parameters = int(export.get("parameters", network.parameters))
    rdf: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "type": "model",
        "id": identity.name,
        "name": identity.title,
        "description": identity.summary,
        "version": VERSION,
        "authors": [{"name": name} for name in identity.authors],
        "license": identity.licence or None,
        "cite": [{"text": network.paper.citation, "doi": network.paper.doi}],
        "tags": tags(identity),
        "links": ["deepimagej/deepimagej"],
        "documentation": "README.md",
        "covers": [COVER],
        "inputs": [input_tensor(identity.contract, folder)],
        "outputs": [output_tensor(identity.contract, folder)],
        "weights": _weights(folder, export),
    }
    if identity.address:
        owner = identity.address.split("/")[-2]
        rdf["git_repo"] = identity.address
        rdf["maintainers"] = [
            {"name": name, "github_user": owner} for name in identity.authors[:1]
        ]
    attached = attachments(folder)
    if attached:
        rdf["attachments"] = [file_entry(folder, name) for name in attached]
    rdf["config"] = {
        "bioimageio": _bioimageio(identity, folder, parameters, training),
        "superres_zoo": {
            "version": SECTION_VERSION,
            "network": network.name,
            "published_architecture": network.published,
            "parameters": parameters,
            "contract": contract_section(identity.contract),
            **plain(dict(further or {})),
        },
    }
    return rdf


def contract_section(contract: Contract) -> dict[str, Any]:
    """Return a contract as the description states it, without pre- and postprocessing.

    Those stand with the tensors, where every program reads them.
    """
    section: dict[str, Any] = stated(contract)
    for elsewhere in ("preprocessing", "postprocessing"):
        section.pop(elsewhere, None)
    return section


def attachments(folder: Path) -> list[str]:
    """Return arrays, networks and pictures in a folder beside tensors, weights, cover.

    A training may make more than the network that is packaged: a phase mask, critics;
    cards may show pictures.
    """
    known = {*EXAMPLES, KERAS.file, COVER}
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix in (".npy", ".keras", PICTURE) and path.name not in known
    )


def to_yaml(rdf: dict[str, Any]) -> str:
    """Return the text of ``rdf.yaml``; equal contents give equal text."""
    return yaml.safe_dump(
        rdf, sort_keys=False, allow_unicode=True, width=88, default_flow_style=False
    )


def validate(rdf: dict[str, Any], folder: Path) -> None:
    """Let the official classes read a description with the files that it names.

    Addresses are checked for their form only: no network is needed.

    Raises
    ------
    BadPackage
        If they refuse it; the message holds their reasons.
    """
    from bioimageio.spec import InvalidDescr, ValidationContext, build_description

    remote = ("git_repo", "maintainers")
    local = {name: value for name, value in rdf.items() if name not in remote}
    for content in (rdf, local) if len(local) < len(rdf) else (local,):
        context = ValidationContext(
            root=folder, file_name="rdf.yaml", perform_io_checks=content is local
        )
        with warnings.catch_warnings():
            # the library leaves files open that it reads; closed here, by collecting
            warnings.simplefilter("ignore", ResourceWarning)
            result = build_description(content, context=context)
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


def tags(identity: Identity) -> list[str]:
    """Return search words: those of the package, of its task and of the project."""
    words = (
        *identity.tags,
        *identity.contract.task.tags,
        *_COMMON_TAGS,
        identity.network.name.replace("_", "-"),
    )
    return list(dict.fromkeys(words))


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


def _weights(folder: Path, versions: Mapping[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if not (folder / KERAS.file).is_file():
        raise BadPackage(f"{folder} holds no {KERAS.file}, the parent of all formats")
    details[KERAS.name] = {
        "keras_version": _keras_version(folder / KERAS.file),
        "backend": ["tensorflow", versions["tensorflow"]],
        "comment": (
            "Stock layers only; settings that Keras before 3.15 does not know are "
            "left out where they have their default value."
        ),
    }
    details[ONNX.name] = {"opset_version": OPSET, "parent": KERAS.entry}
    details[SAVED_MODEL.name] = {
        "tensorflow_version": versions["tensorflow"],
        "parent": KERAS.entry,
        "comment": "Frozen graph; also loads in TensorFlow 2.7.",
    }
    return {
        form.entry: {**file_entry(folder, form.file), **details[name]}
        for name, form in FORMATS.items()
        if (folder / form.file).is_file()
    }


def _bioimageio(
    identity: Identity,
    folder: Path,
    parameters: int,
    training: Mapping[str, Any] | None,
) -> dict[str, Any]:
    output = np.load(folder / EXAMPLES[1])
    differs = tolerance(output)
    # the format allows a hundredth of the largest value, which may be negative
    allowed = differs["absolute_tolerance"] <= 0.01 * output.max()
    section: dict[str, Any] = {
        "reproducibility_tolerance": [differs] if allowed else None,
        "architecture_type": identity.network.name[:32],
        "architecture_description": identity.network.note or None,
        "modality": identity.contract.modality,
        "task": identity.contract.task.title or None,
        "model_parameter_count": parameters,
        "training": training,
    }
    return plain({key: value for key, value in section.items() if value is not None})


def _training(trained: Trained) -> dict[str, Any]:
    """Return what the official section on training has fields for."""
    recipe, run = trained.recipe, trained.run
    objective = recipe.objective
    parts = {name: getattr(objective, name) for name in type(objective).model_fields}
    losses = [part for part in parts.values() if isinstance(part, Loss)]
    details: dict[str, Any] = {}
    if losses:
        details["loss_function"] = " + ".join(type(loss).__name__ for loss in losses)
    if len(losses) == 1:
        details["loss_function_kwargs"] = _numbers_of(losses[0])
    optimizer: Any = parts.get("optimizer")
    if optimizer is not None:
        details["optimizer"] = optimizer.name
    budget = recipe.budgets.get(run.get("budget", ""))  # type: ignore[call-overload]
    if budget is not None:
        details |= {
            "training_epochs": sum(stage.epochs for stage in budget.stages),
            "training_batch_size": _usual_batch(budget),
            "initial_learning_rate": budget.learning_rate,
        }
        if optimizer is not None:
            details["learning_rate_schedule"] = optimizer.schedule_text(budget)
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


def _keras_version(path: Path) -> str:
    return str(json.loads(read_members(path)["metadata.json"])["keras_version"])
