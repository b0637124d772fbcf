"""Crappifiers fitted to a user's microscope by a few pairs of real scans."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.core.errors import BadInput
from zoo.core.files import refuse_existing, write_json
from zoo.io.stacks import open_stack
from zoo.simulate.crappifier_statistics import Pair
from zoo.simulate.crappifier_strengths import KNOWN, LEVELS, Fit, fit_sampling
from zoo.simulate.crappifiers import SCALE, Crappifier, Sampling

ALIKE = 1.3
"""Samplings that fit worse by up to this factor are not told from the best."""


def fit_folder(
    folder: Path, output: Path, *, kind: str, overwrite: bool = False
) -> list[str]:
    """Fit a crappifier to the pairs of a folder, write it down and say how to use it.

    Strengths, and how the coarse grid is read off the dense one.

    Parameters
    ----------
    folder
        Folder with ``input`` and ``target``, see `read_pairs`.
    output
        JSON file to write.
    kind
        Kind of the crappifier.
    overwrite
        Whether a file is replaced.

    Returns
    -------
    lines : list of str
        What was found, for people; what pairs do not tell is said.

    Raises
    ------
    BadInput
        If the kind is unknown, has no strength, or pairs cannot be read.
    """
    refuse_existing(output, overwrite=overwrite)
    try:
        Crappifier.find(kind)
    except ValueError as error:
        raise BadInput(str(error)) from error
    start = everything(Crappifier.model_validate({"kind": kind}))
    pairs = read_pairs(folder)
    fits = fit_sampling(start, pairs)
    best = next(iter(fits.values()))
    declared = best.crappifier.model_dump(mode="json")
    content = {
        "crappifier": declared,
        "misfit": best.criterion,
        "pairs": len(pairs),
        "relative_errors": best.errors,
        "samplings": {name: found.distance for name, found in fits.items()},
    }
    write_json(output, content)
    setting = json.dumps([declared], separators=(",", ":"))
    return [
        *described(fits),
        f"train with: --set 'source.crappifiers={setting}' "
        "--set 'source.strength=[0.8,1.25]'",
        str(output),
    ]


def everything(crappifier: Crappifier) -> Crappifier:
    """Return a crappifier all of whose strengths are above zero and can be fitted."""
    changes = {
        name: float((low * high) ** 0.5)
        for name, (low, high) in crappifier.strengths.items()
        if getattr(crappifier, name) == 0
    }
    return crappifier.override(**changes)


def described(fits: dict[Sampling, Fit]) -> list[str]:
    """Return what was found and what was not, for people.

    Parameters
    ----------
    fits
        By sampling, the best one first.
    """
    sampling, best = next(iter(fits.items()))
    chosen = best.crappifier
    found = ", ".join(
        f"{name} {getattr(chosen, name):.4g} {_known(error)}"
        for name, error in best.errors.items()
    )
    lines = [
        f"{chosen.kind}, sampled by {sampling}: {found}; misfit {best.criterion:.2f} "
        "(1 is chance)"
    ]
    others = [n for n, f in fits.items() if f.distance < ALIKE * best.distance][1:]
    if others:
        lines.append(
            f"these pairs do not tell {sampling} from {' or '.join(others)}; more or "
            "larger pairs may"
        )
    for one, other in best.traded:
        lines.append(
            f"{one} and {other} trade off in these pairs, and only both together are "
            "known; pairs with brighter and darker parts may tell them apart"
        )
    traded = {name for pair in best.traded for name in pair}
    for name, error in best.errors.items():
        if error > KNOWN and name not in traded:
            lines.append(
                f"{name} makes next to no difference in these pairs, {_known(error)}; "
                "more or larger pairs may tell it"
            )
    return lines


def _known(error: float) -> str:
    return f"± {100 * error:.0f} %" if error < 1 else "(unknown)"


def read_pairs(folder: Path) -> list[Pair]:
    """Read coarse and dense scans from ``input`` and ``target`` in a folder.

    Grey levels of 8-bit files keep their meaning; others are divided by the maximum of
    all files of their folder.

    Raises
    ------
    BadInput
        If names, numbers or sizes of the two do not fit each other.
    """
    files = {name: _files(folder / name) for name in ("input", "target")}
    if list(files["input"]) != list(files["target"]):
        odd = sorted(set(files["input"]) ^ set(files["target"]))
        raise BadInput(
            f"every file in {folder / 'input'} needs one of the same name in "
            f"{folder / 'target'}; {', '.join(odd[:3])} has none"
        )
    images = {
        kind: [_image(p) for p in paths.values()] for kind, paths in files.items()
    }
    peaks = {kind: _white(of_kind) for kind, of_kind in images.items()}
    pairs: list[Pair] = []
    for name, coarse, dense in zip(
        files["input"], images["input"], images["target"], strict=True
    ):
        if dense.shape != tuple(SCALE * side for side in coarse.shape):
            raise BadInput(
                f"the target of {name} must have {SCALE} times the pixels of its "
                f"input, {coarse.shape}, along both sides, not {dense.shape}"
            )
        pairs.append(Pair(coarse / peaks["input"], dense / peaks["target"]))
    return pairs


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise BadInput(
            f"{folder} is missing; pairs are files of the same names in the folders "
            "input and target"
        )
    found = {p.stem: p for p in sorted(folder.iterdir()) if not p.name.startswith(".")}
    if not found:
        raise BadInput(f"{folder} is empty; put one file for each pair there")
    return found


def _image(path: Path) -> np.ndarray:
    with open_stack(path) as stack:
        if stack.frames != 1 or stack.channels != 1:
            raise BadInput(
                f"{path} must hold one image of one channel, not {stack.frames} frames "
                f"of {stack.channels}; split it"
            )
        return np.asarray(stack.read(0, 1)[0, ..., 0], np.float32)


def _white(images: Sequence[np.ndarray]) -> np.float32:
    """Return the value that becomes 1."""
    peak = max(float(image.max()) for image in images)
    whole = all(bool((image == np.round(image)).all()) for image in images)
    return np.float32(LEVELS - 1 if whole and 1 < peak < LEVELS else max(peak, 1e-9))
