"""Packages built from trained networks: written aside, verified, put in place."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.errors import BadInput, BadPackage
from zoo.core.extras import require
from zoo.core.files import (
    new_folder,
    refuse_existing,
    replacing,
    scratch,
    swap_folder,
    write_text,
)
from zoo.core.formats import FORMATS, KERAS, ONNX, SAVED_MODEL
from zoo.core.recipe import Recipe
from zoo.io.library import find_package
from zoo.io.package import Package, specs_folder
from zoo.package import export
from zoo.package.checks import require_verified
from zoo.package.describe import (
    EXAMPLES,
    PICTURE,
    attachments,
    describe,
    to_yaml,
    validate,
)
from zoo.package.document import pictures, readme_text, regenerate
from zoo.package.examples import (
    cut_example,
    forward,
    with_surroundings,
    write_examples,
)
from zoo.package.own import refuse_borrowed_name, with_identity
from zoo.package.replacement import (
    refuse_foreign,
    require_own_archive,
    written_before,
)
from zoo.package.scores import calibrated, write_metrics
from zoo.package.trained import RECIPE, Trained, read_trained, record_of
from zoo.package.zips import zip_folder


def build_package(
    source: str | Path,
    destination: str | Path | None = None,
    *,
    formats: Sequence[str] = (KERAS.name, ONNX.name),
    recipe: Recipe | None = None,
    score: bool = True,
    overwrite: bool = False,
    name: str | None = None,
    title: str | None = None,
    authors: Sequence[str] = (),
) -> Path:
    """Build a package and put it in place only if it passes its verification.

    Parameters
    ----------
    source
        A run folder, or the name or folder of a package, whose weights are kept.
    destination
        Folder that receives ``<name>/`` and ``<name>.zip``; by default the package
        goes to ``specs/<name>/`` of the checkout, without an archive and without a
        SavedModel, which can be made from it at any time.
    formats
        Weights to include: ``keras`` (always there), ``onnx``, ``saved_model``.
    recipe
        The declaration that the run started from, if ``zoo.recipes`` does not hold
        it.
    score
        Whether to measure the scores of weights that have none.
    overwrite
        Whether the folder and the archive of an earlier run may be replaced.  Files
        that it did not write stay; where one of them is in the way, nothing is written.
        In the checkout the package is always replaced.
    name
        Name of the package, which a run of a recipe whose package is published needs:
        that name belongs to the published weights.
    title, authors
        Of a package with a name of its own.

    Returns
    -------
    package : Path
        The finished folder.

    Raises
    ------
    BadInput
        If something stands in the place of folder or archive that may not be replaced,
        or `name` is not possible or missing.
    MissingExtra
        If the extra ``package`` is not installed.
    BadPackage
        If the source is neither a run nor a package, a format is unknown, or a
        check fails; then nothing has changed.
    """
    require("bioimageio", "tf2onnx")
    chosen = _checked_formats(formats)
    trained = read_trained(_source_folder(source), recipe=recipe)
    if trained.packaged:  # damaged weights must not get a description that fits them
        package = Package(trained.folder)
        for entry in package.weights:
            package.weights_path(entry)
    prose = trained.folder if trained.packaged and name is None else None
    trained = with_identity(trained, name, title=title, authors=authors)
    if destination is None:
        return _into_checkout(trained, chosen, score=score)
    refuse_borrowed_name(trained)
    target = Path(destination) / trained.name
    archive = target.with_name(f"{target.name}.zip")
    refuse_existing(archive, overwrite=overwrite)
    require_own_archive(archive)
    written = written_before(target) if overwrite else None
    with new_folder(target, replaces=written, sources=[trained.folder]) as place:
        with scratch(target) as part:
            folder = part / target.name
            folder.mkdir()
            _keep_prose(trained, target, prose, folder)
            write_package(trained, folder, formats=chosen, score=score)
            require_verified(folder)
            refuse_foreign(target, folder, written or [])
            for file in sorted(folder.iterdir()):
                shutil.move(file, place / file.name)
        with replacing(archive, overwrite=overwrite) as part:
            zip_folder(place, part)
    return target


def _into_checkout(trained: Trained, formats: Sequence[str], *, score: bool) -> Path:
    """Put a package into ``specs/``, and what is generated from it beside it."""
    if trained.own is not None:
        raise BadInput(f"{trained.name} is not published; name a folder with -o")
    parent = _specs()
    target = parent / trained.recipe.name
    with scratch(target) as part:
        folder = part / target.name
        folder.mkdir()
        _keep_prose(
            trained, target, trained.folder if trained.packaged else None, folder
        )
        chosen = [name for name in formats if name != SAVED_MODEL.name]
        write_package(trained, folder, formats=chosen, score=score)
        require_verified(folder)
        swap_folder(folder, target)
    regenerate(parent.parent)
    return target


def write_package(
    trained: Trained,
    folder: Path,
    *,
    formats: Sequence[str] = tuple(FORMATS),
    score: bool = False,
) -> None:
    """Write all files of a package into a folder, without verifying them.

    Parameters
    ----------
    trained
        Run or package to take the weights from.
    folder
        Existing folder; a README in it keeps its prose.
    formats
        Weights to include beside ``keras``.
    score
        Whether to measure the scores if there are none of these weights.
    """
    contract = trained.recipe.promise
    model = export.load_keras(trained.folder / KERAS.file)
    image = _test_input(trained, contract)
    write_weights(
        model,
        folder,
        [KERAS.name, *formats],
        known=trained.folder if trained.packaged else None,
        shape=image.shape,
    )
    versions = trained.export or export.record(model)
    for name in _further_results(trained):
        shutil.copyfile(trained.folder / name, folder / name)
    kept = trained.folder / EXAMPLES[1]
    if trained.packaged and kept.is_file():  # verified against these weights below
        output = np.load(kept)
    else:
        output = forward(model, contract, image)
    scene = trained.recipe.test_set.scene()
    shown = None if scene is None else with_surroundings(model, contract, scene)
    write_examples(folder, contract, image, output, scene=shown)

    current = trained._replace(folder=folder, export=versions)
    if score:
        current = calibrated(trained, current)
    write_text(folder / RECIPE, record_of(current, versions))
    write_metrics(trained, current, score=score)
    write_text(folder / "README.md", readme_text(current))
    rdf = describe(current)
    validate(rdf, folder)
    write_text(folder / "rdf.yaml", to_yaml(rdf))


def write_weights(
    model: Any,
    folder: Path,
    formats: Sequence[str],
    *,
    shape: tuple[int, ...],
    known: Path | None = None,
) -> None:
    """Write the weights in some formats, or copy those that a package has.

    Parameters
    ----------
    model
        The network.
    folder
        Where to write.
    formats
        Names of formats.
    shape
        Shape of an input that the network takes.
    known
        Folder of a package with the same weights.
    """
    writers: dict[str, Callable[[Path], Any]] = {
        KERAS.name: lambda path: export.export_keras(model, path),
        ONNX.name: lambda path: export.export_onnx(model, path, shape=shape),
        SAVED_MODEL.name: lambda path: export.export_saved_model(model, path),
    }
    for name, form in FORMATS.items():
        if name not in formats:
            continue
        if known is not None and (known / form.file).is_file():
            shutil.copyfile(known / form.file, folder / form.file)
        else:
            writers[name](folder / form.file)


def _test_input(trained: Trained, contract: Contract) -> np.ndarray:
    """Return the test input; a package keeps its own."""
    known = trained.folder / EXAMPLES[0]
    if trained.packaged and known.is_file():
        return np.load(known)
    recipe = trained.recipe
    return cut_example(recipe.test_set.example(), contract, recipe.name)


def _further_results(trained: Trained) -> list[str]:
    """Return the files of what a training made beside the network."""
    found = attachments(trained.folder)
    if trained.packaged:  # pictures come with the prose that shows them
        return [name for name in found if not name.endswith(PICTURE)]
    return [name for name in found if name in trained.run.get("results", ())]


def _keep_prose(
    trained: Trained, target: Path, source: Path | None, folder: Path
) -> None:
    """Start from the README that was written by hand, with its pictures."""
    published = specs_folder()
    places = (
        target,
        source,
        None if published is None else published / trained.name,
    )
    for place in places:
        if place is not None and (place / "README.md").is_file():
            text = (place / "README.md").read_text(encoding="utf-8")
            for name in ("README.md", *pictures(text)):
                if (place / name).is_file():
                    shutil.copyfile(place / name, folder / name)
            return


def _checked_formats(formats: Sequence[str]) -> list[str]:
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise BadPackage(
            f"no format is named {', '.join(unknown)}; there are {', '.join(FORMATS)}"
        )
    return [name for name in FORMATS if name in {KERAS.name, *formats}]


def _source_folder(source: str | Path) -> Path:
    path = Path(source)
    return path if path.is_dir() else find_package(str(source), needs=KERAS.entry)


def _specs() -> Path:
    specs = specs_folder()
    if specs is None:
        raise BadPackage(
            "there is no checkout with a folder specs/ to write to; name a folder "
            "with -o"
        )
    return specs
