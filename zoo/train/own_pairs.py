"""A user's own pairs of images: found, checked, registered, split and written down."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.files import new_folder, sha256, write_json
from zoo.core.random import generator
from zoo.core.recipe import Recipe
from zoo.simulate.measured_images import MANIFEST, file_name, read_manifest
from zoo.train.registering import (
    PIXEL_TOLERANCE,
    Files,
    common_range,
    own_source,
    register,
)
from zoo.train.registration_map import MAP, Mapped, write_map

FOLDERS = ("input", "target")
"""Folders of a user's pairs; files of one field have one name in both."""
FEWEST = 2
"""Files that are needed: some to learn from, and one to judge by."""
_ENDINGS = re.compile(
    r"((\.ome)?\.(tiff?|btf|tf8|zarr)|\.npy|\.mrcs?|\.rec|\.st)$", re.IGNORECASE
)


def find_pairs(folder: Path) -> list[Files]:
    """Return the files of a folder with ``input/`` and ``target/``, by name.

    Raises
    ------
    BadInput
        If a folder is missing, names or numbers of files differ, or there are fewer
        than `FEWEST`.
    """
    found: list[dict[str, Path]] = []
    for end in FOLDERS:
        if not (folder / end).is_dir():
            raise BadInput(
                f"{folder} has no folder {end}; own pairs lie in input/ and target/, "
                "files of one field under one name in both"
            )
        found.append(_recordings(folder / end))
    inputs, targets = found
    odd = sorted(set(inputs) ^ set(targets))
    if odd:
        lone = odd[0]
        here, there = FOLDERS if lone in inputs else FOLDERS[::-1]
        raise BadInput(
            f"{folder / here} holds {lone}, {folder / there} does not "
            f"({len(inputs)} inputs, {len(targets)} targets); give every file of a "
            "field the same name in both folders"
        )
    if len(inputs) < FEWEST:
        count = len(inputs) or "no"
        raise BadInput(
            f"{folder} holds {count} pair{'' if count == 1 else 's'}; of a single one "
            "nothing can be held out, so that nobody would know whether training "
            "helped: give pairs of at least two fields, better ten (zoo evaluate "
            "--input --truth scores a package on one)"
        )
    return [Files(name, inputs[name], targets[name]) for name in sorted(inputs)]


def _recordings(folder: Path) -> dict[str, Path]:
    """Return the recordings of a folder by name without ending."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = _ENDINGS.sub("", path.name)
        if path.name.startswith(".") or name == path.name:
            continue
        if name in found:
            raise BadInput(
                f"{found[name]} and {path} have one name; rename or remove one of them"
            )
        found[name] = path
    return found


def prepare(
    recipe: Recipe, folder: Path, target: Path, *, only_px: int | None = None
) -> list[str]:
    """Register a user's pairs and write them into a folder.

    Parameters
    ----------
    recipe
        Its source is a `MeasuredImages`; contract and seed say how images are read and
        which are held out.
    folder
        Holds ``input/`` and ``target/``.
    target
        Receives the pairs, their list, and a picture of the local shifts; one that an
        earlier start has left is replaced.
    only_px
        Edge of the only tile that the network takes while it is trained, px; patches
        are as large as the smallest image allows where it takes any.

    Returns
    -------
    notes
        What a user should know about the pairs.

    Raises
    ------
    BadInput
        If the pairs do not fit the network or each other.
    """
    source = own_source(recipe)
    files = find_pairs(folder)
    shared_range = common_range(files, recipe)
    held_out = _held_out(len(files), source.held_out_share, recipe.seed)
    rows: list[dict[str, Any]] = []
    pixels: list[float | None] = []
    maps: list[Mapped] = []
    notes: list[str] = []
    with new_folder(target, replaces=_of_earlier_start(target)) as part:
        for number, pair in enumerate(files):
            found = register(pair, recipe, only_px=only_px, shared_range=shared_range)
            pixels.append(found.pixel_size_nm)
            notes += found.notes
            maps.append(Mapped(pair.name, found.inputs[0], found.local))
            for image, aim in zip(found.inputs, found.targets, strict=True):
                np.save(part / file_name("input", len(rows)), image)
                np.save(part / file_name("target", len(rows)), aim)
                rows.append(
                    {
                        "name": pair.name,
                        "part": "held_out" if number in held_out else "training",
                        "input_sha256": _hash(pair.input),
                        "target_sha256": _hash(pair.target),
                        "shift_px": [found.shift.y_px, found.shift.x_px],
                        "correlation": found.shift.correlation,
                        "local_shifts_px": found.local.tolist(),
                    }
                )
        write_map(part / MAP, maps, scale=source.scale)
        edges = [min(one.image.shape[:2]) for one in maps]
        manifest = {
            "pixel_size_nm": _one_size(files, pixels),
            "crop_px": only_px or _patch_px(source.crop_px, edges, recipe.contract),
            "pairs": rows,
        }
        write_json(part / MANIFEST, manifest)
    return list(dict.fromkeys(notes))


def _held_out(count: int, share: float, seed: int) -> set[int]:
    """Return which files are held out: at least one, and not all."""
    held = min(max(round(share * count), 1), count - 1)
    order = generator(seed, count).permutation(count)
    return {int(number) for number in order[:held]}


def _one_size(files: list[Files], pixels: list[float | None]) -> float | None:
    """Return the pixel size of all inputs; None if no file states it."""
    known = [(f, nm) for f, nm in zip(files, pixels, strict=True) if nm is not None]
    if not known:
        return None
    first, edge_nm = known[0]
    for other, nm in known[1:]:
        if abs(nm / edge_nm - 1) > PIXEL_TOLERANCE:
            raise BadInput(
                f"{first.input} has pixels of {edge_nm:.4g} nm, {other.input} of "
                f"{nm:.4g} nm; train on one pixel size at a time"
            )
    return edge_nm


def _patch_px(wanted: int, edges: list[int], contract: Contract) -> int:
    """Return the edge of patches that fit into every image and the network, px."""
    axis = contract.grid.axes["y"]
    room = max(min(wanted, *edges) - axis.minimum, 0)
    return axis.minimum + room // axis.step * axis.step


def _hash(path: Path) -> str | None:
    return sha256(path) if path.is_file() else None


def _of_earlier_start(target: Path) -> list[str] | None:
    """Return what a start that was killed has left in a folder, if it is one."""
    if not (target / MANIFEST).is_file():
        return None
    count = len(read_manifest(target)["pairs"])
    names = [file_name(end, n) for end in FOLDERS for n in range(count)]
    return [*names, MAP, MANIFEST]
