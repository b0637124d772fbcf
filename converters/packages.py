"""Packages of converted checkpoints: told what is known about them and no more.

A package of our own says how it was trained, because its recipe is declared.  A
checkpoint of somebody else says nothing of that kind, so its package has no recipe, no
training conditions and no scores; it names the file that it was made from.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.core.errors import BadInput, BadPackage
from zoo.core.processing import apply
from zoo.core.recipe import Recipe
from zoo.package import export
from zoo.package.archive import sha256
from zoo.package.card import citation, tensors_table
from zoo.package.describe import FILES, describe, to_yaml, validate
from zoo.package.document import SECTIONS
from zoo.package.pictures import write_cover, write_sample
from zoo.package.source import Source
from zoo.package.tensors import processing


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


def refuse_existing(directory: Path) -> None:
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
    recipe: Recipe,
    directory: Path,
    *,
    image: np.ndarray,
    origin: Origin,
    prose: Mapping[str, str],
    licence: str,
    verify: bool = True,
) -> Path:
    """Write the package of a converted checkpoint, complete or not at all.

    Parameters
    ----------
    model
        The network with the weights of the checkpoint, of a fixed size.
    recipe
        What describes the tensors: name, title, summary, network, prediction.  Its
        source, test set and loss play no part.
    directory
        Folder to create, the package itself.
    image : (1, y, x, c) float32
        Test input.
    origin
        The checkpoint.
    prose
        Texts of the README by heading; those on tensors and citation are made here.
    licence
        SPDX identifier.
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
        If an exported format differs from the model, or a check fails.
    """
    refuse_existing(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{directory.name}-", dir=directory.parent
    ) as scratch:
        folder = Path(scratch) / directory.name
        folder.mkdir()
        _write(model, recipe, folder, image, origin, prose, licence)
        if verify:
            _require_verified(folder)
        if directory.exists():
            directory.rmdir()
        folder.rename(directory)
    return directory


def _write(
    model: keras.Model,
    recipe: Recipe,
    folder: Path,
    image: np.ndarray,
    origin: Origin,
    prose: Mapping[str, str],
    licence: str,
) -> None:
    sizes = (image.shape[1], image.shape[2])
    export.export_keras(model, folder / FILES["keras"], sizes=sizes)
    export.export_onnx(model, folder / FILES["onnx"], sizes=sizes)
    before, after = processing(recipe)
    axes = recipe.network.grid.axes
    output = apply(after, export.predict(model, apply(before, image, axes)), axes)
    np.save(folder / "test_input.npy", image)
    np.save(folder / "test_output.npy", output.astype(np.float32))
    write_sample(folder / "sample_input.tif", image[0], pixel_size_nm=None)
    write_sample(folder / "sample_output.tif", output[0], pixel_size_nm=None)
    write_cover(folder / "cover.png", image[0], output[0])
    parameters = export.trainable_parameters(model)
    versions = {**export.versions(), "parameters": parameters}
    made = Source(folder, recipe, {}, versions, packaged=False)
    readme = _readme(made, prose)
    (folder / "README.md").write_text(readme, encoding="utf-8")
    rdf = _described(made, origin, licence)
    validate(rdf, folder)
    (folder / "rdf.yaml").write_text(to_yaml(rdf), encoding="utf-8")


def _described(made: Source, origin: Origin, licence: str) -> dict[str, Any]:
    """Return the contents of ``rdf.yaml`` without anything about a training."""
    rdf = describe(made)
    rdf["license"] = licence
    rdf["config"]["bioimageio"].pop("training", None)
    section = rdf["config"]["superres_zoo"]
    for key in ("training", "run", "evaluations"):
        section.pop(key, None)
    section["converted_from"] = {
        "file": origin.file,
        "sha256": origin.sha256,
        "written_by": dict(origin.written_by),
    }
    return rdf


def _readme(made: Source, prose: Mapping[str, str]) -> str:
    texts = {
        "Description": made.recipe.summary,
        "Input and output": tensors_table(made),
        "Citation": citation(made),
        **prose,
    }
    parts = [f"# {made.recipe.title}\n"]
    parts += [f"## {heading}\n\n{texts[heading].strip()}\n" for heading in SECTIONS]
    return "\n".join(parts)


def _require_verified(folder: Path) -> None:
    from zoo.package.verify import verify

    report = verify(folder)
    if not report.ok:
        reasons = "; ".join(f"{row.name}: {row.detail}" for row in report.failed)
        raise BadPackage(f"{folder.name} was not written, it fails: {reasons}")
