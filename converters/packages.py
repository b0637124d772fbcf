"""Packages of converted checkpoints: told what is known about them and no more.

A package of our own says how it was trained, because its recipe is declared.  A
checkpoint of somebody else says nothing of that kind, so its package has no recipe, no
training conditions and no scores; it names the file that it was made from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.core.errors import BadInput
from zoo.core.files import scratch, sha256, write_text
from zoo.core.formats import KERAS, ONNX
from zoo.package import export
from zoo.package.build import write_weights
from zoo.package.card import citation, tensors_table
from zoo.package.checks import require_verified
from zoo.package.describe import Identity, describe_files, to_yaml, validate
from zoo.package.document import SECTIONS
from zoo.package.examples import forward, with_surroundings, write_examples


@dataclass(frozen=True)
class Origin:
    """Where the weights of a package come from."""

    file: str
    """Name of the checkpoint."""
    sha256: str
    """Its hash."""
    written_by: Mapping[str, str]
    """Versions of the programs that wrote it, as far as it states them."""


def origin_of(path: Path, written_by: Mapping[str, str]) -> Origin:
    """Return the origin of weights that were read from a file."""
    return Origin(path.name, sha256(path), dict(written_by))


def refuse_filled(directory: Path) -> None:
    """Raise unless a folder can be created, or is there and empty.

    Raises
    ------
    BadInput
        If it holds something, or is a file.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise BadInput(f"{directory} exists already; choose another folder")


def write_converted(
    model: keras.Model,
    identity: Identity,
    directory: Path,
    *,
    image: np.ndarray,
    origin: Origin,
    prose: Mapping[str, str],
    scene: np.ndarray | None = None,
    verify: bool = True,
) -> Path:
    """Write the package of a converted checkpoint, complete or not at all.

    Parameters
    ----------
    model
        The network with the weights of the checkpoint.
    identity
        Name, network, contract and licence.
    directory
        Folder to create, the package itself.
    image
        Test input, float32 with the axes of the contract's input.
    origin
        The checkpoint.
    prose
        Texts of the README by heading; those on tensors and citation are made here.
    scene
        ([z,] y, x, c) float32, what the cover shows in place of the test input.
    verify
        Whether to run every weights entry with the official tool before the package
        is put in place.

    Returns
    -------
    directory : Path

    Raises
    ------
    BadInput
        If `directory` holds something already.
    BadPackage
        If a format cannot be written, or a check fails.
    """
    refuse_filled(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with scratch(directory) as part:
        folder = part / directory.name
        folder.mkdir()
        _write(model, identity, folder, image, origin, prose, scene)
        if verify:
            require_verified(folder)
        if directory.exists():
            directory.rmdir()
        folder.rename(directory)
    return directory


def _write(
    model: keras.Model,
    identity: Identity,
    folder: Path,
    image: np.ndarray,
    origin: Origin,
    prose: Mapping[str, str],
    scene: np.ndarray | None,
) -> None:
    contract = identity.contract
    write_weights(model, folder, (KERAS.name, ONNX.name), shape=image.shape)
    shown = None if scene is None else with_surroundings(model, contract, scene)
    output = forward(model, contract, image)
    write_examples(folder, contract, image, output, scene=shown)
    write_text(folder / "README.md", _readme(identity, prose))
    source: dict[str, Any] = {
        "file": origin.file,
        "sha256": origin.sha256,
        "written_by": dict(origin.written_by),
    }
    versions = export.record(model)
    rdf = describe_files(identity, folder, versions, further={"converted_from": source})
    validate(rdf, folder)
    write_text(folder / "rdf.yaml", to_yaml(rdf))


def _readme(identity: Identity, prose: Mapping[str, str]) -> str:
    texts = {
        "Description": identity.summary,
        "Input and output": tensors_table(identity.contract),
        "Citation": citation(identity.network),
        **prose,
    }
    parts = [f"# {identity.title}\n"]
    parts += [f"## {heading}\n\n{texts[heading].strip()}\n" for heading in SECTIONS]
    return "\n".join(parts)
