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
from zoo.core.grid import Grid
from zoo.core.processing import apply
from zoo.core.recipe import Recipe
from zoo.io.library import find_package
from zoo.io.package import Package, specs_folder
from zoo.package import export
from zoo.package.checks import require_verified
from zoo.package.describe import (
    COVER,
    EXAMPLES,
    PICTURE,
    attachments,
    describe,
    to_yaml,
    validate,
)
from zoo.package.document import pictures, readme_text, regenerate
from zoo.package.images import write_cover, write_sample
from zoo.package.own import refuse_borrowed_name, with_identity
from zoo.package.replacement import (
    refuse_foreign,
    require_own_archive,
    written_before,
)
from zoo.package.scores import calibrated, write_metrics
from zoo.package.tensors import output_names, test_size
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
    write_examples(folder, contract, image, output)
    scene = trained.recipe.test_set.scene()
    if scene is not None:
        image, output = with_surroundings(model, contract, scene)
    write_picture(folder / COVER, contract, image, output)

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


def forward(model: Any, contract: Contract, image: np.ndarray) -> np.ndarray:
    """Return the output for an input in its own units, float32."""
    grid = contract.grid
    raw = export.predict(model, apply(contract.before, image, grid.input_axes))
    return apply(contract.after, raw, grid.output_axes).astype(np.float32)


def write_examples(
    folder: Path, contract: Contract, image: np.ndarray, output: np.ndarray
) -> None:
    """Write test tensors and the samples that show them."""
    grid = contract.grid
    pixel = _pixel_sizes(contract)
    fine = {a: pixel[a] / grid.scale(a) for a in pixel if a in grid.output_axes}
    step = getattr(contract.task, "z_step_nm", None)
    if grid.planes and step:
        fine["z"] = step
    ends = (("input", image, grid.input_axes, pixel),
            ("output", output, grid.output_axes, fine))  # fmt: skip
    for file, (end, tensor, axes, sizes) in zip(EXAMPLES, ends, strict=True):
        np.save(folder / file, tensor)
        letters = axes.replace("b", "")
        if letters != "c":
            one = tensor.take(0, axes.index("b"))
            path = folder / f"sample_{end}.tif"
            write_sample(path, one, letters, pixel_size_nm=sizes)


def write_picture(
    path: Path, contract: Contract, image: np.ndarray, output: np.ndarray
) -> None:
    """Write the cover that shows an input of a network and what comes out."""
    grid = contract.grid
    before, after = grid.input_axes, grid.output_axes
    write_cover(
        path,
        image.take(0, before.index("b")),
        output.take(0, after.index("b")),
        (before.replace("b", ""), after.replace("b", "")),
        names=output_names(contract),
    )


def cut_example(example: np.ndarray, contract: Contract, name: str) -> np.ndarray:
    """Return a test input with the axes of the network, cut to the declared lengths.

    Parameters
    ----------
    example
        ([z,] y, x, c) float32.
    contract
        Declares axes and lengths; those that it leaves free are at most
        `zoo.package.tensors.test_size`.
    name
        Name of the package, for messages.

    Raises
    ------
    BadPackage
        If the example has other axes, or is smaller than declared.
    """
    grid = contract.grid
    letters = grid.space + "c"
    if example.ndim != len(letters):
        raise BadPackage(
            f"the example of {name} has {example.ndim} axes, its contract wants "
            f"{', '.join(letters)}"
        )
    for place, letter in enumerate(grid.space):
        axis, size = grid.axes[letter], contract.declared_size(letter)
        length = example.shape[place]
        if size is None:  # the largest length that the network takes
            most = min(length, test_size(grid, letter))
            steps = (most - axis.minimum) // axis.step
            size = axis.minimum + max(steps, 0) * axis.step
        if length < size:
            raise BadPackage(
                f"the example of {name} has {length} px along {letter}, its contract "
                f"declares {size} px"
            )
        example = example.take(range(size), axis=place)
    return _on_axes(example, grid)


def _on_axes(example: np.ndarray, grid: Grid) -> np.ndarray:
    """Return ([z,] y, x, c) as a batch of one with the axes of the network's input."""
    tensor = example.astype(np.float32)[None]
    if "c" not in grid.input_axes:
        tensor = tensor[..., 0]
    present = "b" + grid.space + ("c" if "c" in grid.input_axes else "")
    order = [present.index(letter) for letter in grid.input_axes]
    return np.ascontiguousarray(tensor.transpose(order))


def with_surroundings(
    model: Any, contract: Contract, scene: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return input and output of a whole field, which is continued beyond its borders.

    Parameters
    ----------
    model
        The network.
    contract
        Declares axes and halo.
    scene
        ([z,] y, x, c) float32.

    Returns
    -------
    image, output : ndarray
        With the axes of the network; the output is cut to the field.
    """
    grid = contract.grid
    image = _on_axes(scene, grid)
    halos = {letter: grid.axes[letter].halo or 0 for letter in grid.space}
    margins = [(n, n) for n in (halos.get(letter, 0) for letter in grid.input_axes)]
    output = forward(model, contract, np.pad(image, margins, contract.input.border))
    inner = (
        slice(n, size - n)
        for letter, size in zip(grid.output_axes, output.shape, strict=True)
        for n in (halos.get(letter, 0) * grid.scale(letter),)
    )
    return image, output[tuple(inner)]


def _test_input(trained: Trained, contract: Contract) -> np.ndarray:
    """Return the test input; a package keeps its own."""
    known = trained.folder / EXAMPLES[0]
    if trained.packaged and known.is_file():
        return np.load(known)
    recipe = trained.recipe
    return cut_example(recipe.test_set.example(), contract, recipe.name)


def _pixel_sizes(contract: Contract) -> dict[str, float]:
    """Return the edge of an input pixel where training knew a single one, nm."""
    sizes: dict[str, float] = {}
    for condition, letters in (("pixel_size_nm", "yx"), ("z_step_nm", "z")):
        low, high = contract.training.get(condition, (0.0, 1.0))
        if low == high:
            sizes |= {letter: low for letter in letters if letter in contract.grid.axes}
    return sizes


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
