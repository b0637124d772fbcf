"""Several recordings through one package, each into a folder of its own."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo.core.errors import BadInput, ZooError
from zoo.predict.predictor import Predictor
from zoo.predict.progress import Progress
from zoo.predict.result import Result

_ENDINGS = (".ome.tiff", ".ome.tif", ".ome.zarr")


def result_folders(sources: Sequence[str], directory: Path) -> dict[str, Path]:
    """Return where the results of each recording go: a folder named like its file.

    Parameters
    ----------
    sources
        Paths of the recordings.
    directory
        Holds the folders.

    Raises
    ------
    BadInput
        If two recordings have the same name.

    Examples
    --------
    >>> folders = result_folders(["a/cell.ome.tif", "a/dish.tif"], Path("out"))
    >>> [folder.name for folder in folders.values()]
    ['cell', 'dish']
    """
    folders: dict[str, Path] = {}
    for source in sources:
        path = Path(source)
        name = path.stem
        for ending in _ENDINGS:
            if path.name.lower().endswith(ending):
                name = path.name[: -len(ending)]
        folder = directory / name
        taken = [other for other, place in folders.items() if place == folder]
        if taken:
            raise BadInput(
                f"the results of {taken[0]} and {source} would share the folder "
                f"{folder}; rename one, or predict them one by one"
            )
        folders[source] = folder
    return folders


def predict_each(
    predictor: Predictor,
    sources: Sequence[str],
    directory: Path,
    *,
    overwrite: bool = False,
    pixel_size_nm: float | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[str, Result]]:
    """Predict recordings one after the other; one that fails stops no other.

    Parameters
    ----------
    predictor
        The package.
    sources, directory
        As for `result_folders`.
    overwrite, pixel_size_nm, progress
        As for `Predictor.predict_to_folder`, for each of them.

    Yields
    ------
    source, result
        As soon as its files are there.

    Raises
    ------
    BadInput
        Behind the last one, if some could not be predicted.
    """
    failed: list[str] = []
    for source, folder in result_folders(sources, directory).items():
        try:
            result = predictor.predict_to_folder(
                source,
                folder,
                overwrite=overwrite,
                pixel_size_nm=pixel_size_nm,
                progress=progress,
            )
        except ZooError as error:
            failed.append(f"{source}: {error}")
            continue
        yield source, result
    if failed:
        rest = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise BadInput(
            f"{len(failed)} of {len(sources)} recordings gave no result: "
            f"{failed[0]}{rest}"
        )
