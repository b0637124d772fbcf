"""Packages built from trained networks: written aside, verified, put in place."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from zoo.core.errors import BadPackage
from zoo.core.processing import apply
from zoo.core.recipe import Recipe
from zoo.evaluate.report import plain
from zoo.io.packages import Package, find_package, specs_folder
from zoo.package import export
from zoo.package.archive import replace_folder, zip_folder
from zoo.package.compare import TOLERANCE, relative_error
from zoo.package.describe import FILES, describe, to_yaml, validate
from zoo.package.document import readme_text
from zoo.package.pictures import write_cover, write_sample
from zoo.package.source import (
    METRICS,
    RECIPE,
    WEIGHTS,
    Source,
    read_source,
    record_of,
    to_json,
)
from zoo.package.tensors import fixed_size, processing

FORMATS = tuple(FILES)
"""Formats of weights that can be asked for."""

_WRITERS: dict[str, Callable[..., Path]] = {
    "keras": export.export_keras,
    "onnx": export.export_onnx,
    "saved_model": export.export_saved_model,
}

DEFAULT_SIZE = 64
"""Height and width of the test picture where the recipe declares none, px."""


def build_package(
    source: str | Path,
    destination: str | Path | None = None,
    *,
    formats: Sequence[str] = ("keras", "onnx"),
    recipe: Recipe | None = None,
    score: bool = True,
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

    Returns
    -------
    package : Path
        The finished folder.

    Raises
    ------
    BadPackage
        If the source is neither a run nor a package, a format is unknown, or a
        check fails; then nothing has changed.
    """
    wanted = _checked_formats(formats)
    made = read_source(_source_folder(source), recipe=recipe)
    if made.packaged:  # damaged weights must not get a description that fits them
        package = Package(made.folder)
        for entry in package.weights:
            package.weights_path(entry)
    in_checkout = destination is None
    parent = _specs() if in_checkout else Path(destination or ".")
    parent.mkdir(parents=True, exist_ok=True)
    target = parent / made.recipe.name
    with tempfile.TemporaryDirectory(prefix=".building-", dir=parent) as name:
        folder = Path(name) / made.recipe.name
        folder.mkdir()
        _keep_prose(made, target, folder)
        if in_checkout:
            wanted = [name for name in wanted if name != "saved_model"]
        write_package(made, folder, formats=wanted, score=score)
        _require_verified(folder)
        if not in_checkout:
            archive = zip_folder(folder, Path(name) / f"{folder.name}.zip")
            archive.replace(parent / archive.name)
        replace_folder(folder, target)
    if in_checkout:
        from zoo.package.document import regenerate

        regenerate(parent.parent)
    return target


def write_package(
    made: Source, folder: Path, *, formats: Sequence[str] = FORMATS, score: bool = False
) -> None:
    """Write all files of a package into a folder, without verifying them.

    Parameters
    ----------
    made
        Run or package to take the weights from.
    folder
        Existing folder; a README in it keeps its prose.
    formats
        Weights to include beside ``keras``.
    score
        Whether to measure the scores if there are none of these weights.
    """
    recipe = made.recipe
    size = fixed_size(recipe) or DEFAULT_SIZE
    other = _second_size(recipe, size)
    model = export.load_keras(made.folder / WEIGHTS)
    for name, write in _WRITERS.items():
        known = made.folder / FILES[name]
        if made.packaged and known.is_file() and name in ("keras", *formats):
            shutil.copyfile(known, folder / known.name)
        elif name in ("keras", *formats):
            write(model, folder / known.name, sizes=(size, other))
    versions = made.export or {
        **export.versions(),
        "parameters": export.trainable_parameters(model),
    }
    image = _test_image(made, size)
    before, after = processing(recipe)
    axes = recipe.grid.axes
    raw = export.predict(model, apply(before, image, axes))
    output = _settled(made, apply(after, raw, axes).astype(np.float32))
    np.save(folder / "test_input.npy", image)
    np.save(folder / "test_output.npy", output)
    pixel = getattr(recipe.source, "pixel_size_nm", None)
    fine = None if pixel is None else pixel / recipe.grid.scale
    write_sample(folder / "sample_input.tif", image[0], pixel_size_nm=pixel)
    write_sample(folder / "sample_output.tif", output[0], pixel_size_nm=fine)
    write_cover(folder / "cover.png", image[0], output[0])

    current = made._replace(folder=folder, export=versions)
    (folder / RECIPE).write_text(record_of(current, versions), encoding="utf-8")
    _write_metrics(made, current, score=score)
    (folder / "README.md").write_text(readme_text(current), encoding="utf-8")
    rdf = describe(current)
    validate(rdf, folder)
    (folder / "rdf.yaml").write_text(to_yaml(rdf), encoding="utf-8")


def example_image(recipe: Recipe) -> np.ndarray:
    """Return one picture of the recipe's frozen test set, (y, x, c) float32.

    A test set that has a method ``example`` says itself which picture stands for
    it; otherwise it is the first frame of the middle one of the recordings in the
    first group.

    Raises
    ------
    BadPackage
        If the test set has neither method.
    """
    benchmark = recipe.benchmark
    example = getattr(benchmark, "example", None)
    recordings = getattr(benchmark, "recordings", None)
    if callable(example):
        picture = np.asarray(example())
    elif callable(recordings):
        made: list = list(recordings())  # type: ignore[call-overload]
        group = made[0].name.partition("/")[0]
        names = [r.name for r in made if r.name.partition("/")[0] == group]
        distinct = list(dict.fromkeys(names))
        chosen = next(r for r in made if r.name == distinct[len(distinct) // 2])
        picture = np.asarray(chosen.counts[0])
    else:
        raise BadPackage(
            f"the test set {type(benchmark).__name__} of {recipe.name} has neither "
            "example() nor recordings(); a package needs a test picture"
        )
    picture = picture[..., None] if picture.ndim == 2 else picture
    return picture.astype(np.float32)


def _test_image(made: Source, size: int) -> np.ndarray:
    """Return the test input, (1, y, x, c) float32; a package keeps its own."""
    known = made.folder / "test_input.npy"
    if made.packaged and known.is_file():
        return np.load(known)
    picture = example_image(made.recipe)
    if min(picture.shape[:2]) < size:
        raise BadPackage(
            f"the test picture of {made.recipe.name} has {picture.shape[0]} x "
            f"{picture.shape[1]} px, its package declares {size} px"
        )
    return np.ascontiguousarray(picture[None, :size, :size])


def _second_size(recipe: Recipe, size: int) -> int:
    """Return another size that the network takes; the same one if its tile is fixed."""
    grid = recipe.grid
    if grid.tile is not None:
        return size
    return max(grid.step, (size * 3 // 4) // grid.step * grid.step)


def _settled(made: Source, output: np.ndarray) -> np.ndarray:
    """Keep a package's test output where a new one differs by rounding only."""
    known = made.folder / "test_output.npy"
    if made.packaged and known.is_file():
        before = np.load(known)
        if relative_error(output, before) <= TOLERANCE:
            return before
    return output


def _write_metrics(made: Source, current: Source, *, score: bool) -> None:
    """Keep the scores of kept weights, or measure them."""
    folder = current.folder
    known = made.folder / METRICS
    if made.packaged and known.is_file():
        shutil.copyfile(known, folder / METRICS)
        return
    if not score:
        return
    from zoo.package.score import score_package

    # the predictor reads a complete package, the scores still missing in its card
    (folder / "README.md").write_text(readme_text(current), encoding="utf-8")
    (folder / "rdf.yaml").write_text(to_yaml(describe(current)), encoding="utf-8")
    metrics = plain(score_package(folder, current.recipe))
    (folder / METRICS).write_text(to_json(metrics), encoding="utf-8")


def _keep_prose(made: Source, target: Path, folder: Path) -> None:
    """Start from the README that was written by hand, wherever it is."""
    for place in (target, made.folder if made.packaged else None, _published(made)):
        if place is not None and (place / "README.md").is_file():
            shutil.copyfile(place / "README.md", folder / "README.md")
            return


def _published(made: Source) -> Path | None:
    specs = specs_folder()
    return None if specs is None else specs / made.recipe.name


def _require_verified(folder: Path) -> None:
    from zoo.package.verify import verify

    report = verify(folder)
    if not report.ok:
        reasons = "; ".join(f"{row.name}: {row.detail}" for row in report.failed)
        raise BadPackage(f"{folder.name} was not written, it fails: {reasons}")


def _checked_formats(formats: Sequence[str]) -> list[str]:
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise BadPackage(
            f"no format is named {', '.join(unknown)}; there are {', '.join(FORMATS)}"
        )
    return ["keras", *(name for name in FORMATS[1:] if name in formats)]


def _source_folder(source: str | Path) -> Path:
    path = Path(source)
    if path.is_dir():
        return path
    return find_package(str(source))


def _specs() -> Path:
    specs = specs_folder()
    if specs is None:
        raise BadPackage(
            "there is no checkout with a folder specs/ to write to; name a folder "
            "with -o"
        )
    return specs
