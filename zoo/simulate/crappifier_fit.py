"""Crappifiers fitted to a user's microscope by a few pairs of real scans."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from zoo.core.errors import BadInput
from zoo.core.files import refuse_existing, write_json
from zoo.core.random import generator
from zoo.io.stacks import open_stack
from zoo.simulate.crappifiers import SCALE, Crappifier, sampled

LEVELS = 256
"""Grey levels; residuals lie between -256 and 255."""

CLASSES = 6
"""Classes of brightness in which histograms are compared: noise that grows with the
brightness is told from noise that does not."""

_DRAWS = 2  # of the noise per pair
_BIN = 1 / 3  # width of a bin, in deviations of the residuals
_STARTS = 7  # on a logarithmic grid of each strength
_STEPS = 30  # of the simplex


class Pair(NamedTuple):
    """A coarse scan and a dense one of the same field."""

    coarse: np.ndarray
    """(y, x) float32 between 0 and 1."""
    dense: np.ndarray
    """(4 y, 4 x) float32 between 0 and 1."""


class Fit(NamedTuple):
    """A crappifier whose strengths fit pairs."""

    crappifier: Crappifier
    """The degradation."""
    criterion: float
    """What is left of the criterion of `misfit`."""


def fit(crappifier: Crappifier, pairs: Sequence[Pair], *, seed: int = 0) -> Fit:
    """Find the strengths of a crappifier that make dense scans like the coarse ones.

    Parameters
    ----------
    crappifier
        Kind of degradation; strengths that are zero stay zero.
    pairs
        Registered scans.
    seed
        Seed of the noise, which is the same for all strengths that are compared.

    Returns
    -------
    fit : Fit

    Raises
    ------
    BadInput
        If there is no pair or nothing to be fitted.
    """
    names = [name for name in crappifier.strengths if getattr(crappifier, name) > 0]
    if not pairs or not names:
        raise BadInput(
            f"a fit needs pairs and a crappifier with a strength, not {len(pairs)} "
            f"pairs and {crappifier.kind}"
        )
    low, high = np.log([crappifier.strengths[name] for name in names]).T

    def at(logs: np.ndarray) -> Crappifier:
        values = np.exp(np.clip(logs, low, high))
        return crappifier.override(
            **{n: float(v) for n, v in zip(names, values, strict=True)}
        )

    def cost(logs: np.ndarray) -> float:
        return misfit(at(logs), pairs, seed=seed)

    best = np.log([float(getattr(crappifier, name)) for name in names])
    for _ in range(2 if len(names) > 1 else 1):
        for place in range(len(names)):
            tries = np.repeat(best[None], _STARTS, axis=0)
            tries[:, place] = np.linspace(low[place], high[place], _STARTS)
            tries = np.concatenate([best[None], tries])
            best = tries[int(np.argmin([cost(t) for t in tries]))]
    simplex = np.vstack([best, best + 0.3 * np.eye(len(best))])
    found: Any = minimize(
        cost,
        best,
        method="Nelder-Mead",
        options={
            "initial_simplex": simplex,
            "maxfev": _STEPS * len(best),
            "xatol": 5e-3,
            "fatol": 1e-7,
        },
    )
    return Fit(at(np.asarray(found.x)), float(found.fun))


def fit_folder(
    folder: Path, output: Path, *, kind: str, overwrite: bool = False
) -> list[str]:
    """Fit a crappifier to the pairs of a folder, write it down and say how to use it.

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
        What was found, for people.

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
    start = Crappifier.model_validate({"kind": kind})
    pairs = read_pairs(folder)
    found = fit(start, pairs)
    declared = found.crappifier.model_dump(mode="json")
    content = {"crappifier": declared, "misfit": found.criterion, "pairs": len(pairs)}
    write_json(output, content)
    strengths = ", ".join(
        f"{name} {getattr(found.crappifier, name):.4g}" for name in start.strengths
    )
    setting = json.dumps([declared], separators=(",", ":"))
    return [
        f"{kind}: {strengths}; misfit {found.criterion:.2f} (1 is chance)",
        f"train with: --set 'source.crappifiers={setting}' "
        "--set 'source.strength=[0.8,1.25]'",
        str(output),
    ]


def misfit(crappifier: Crappifier, pairs: Sequence[Pair], *, seed: int = 0) -> float:
    """Return how much a crappifier's residuals differ from those of real scans.

    PSSR2's criterion (doi:10.1186/s44330-024-00020-5) compares residuals of a coarse
    scan against the sampled dense one: ``mean((h_real - h_crappified)**2)`` of their
    histograms, and the absolute difference of their means.  Here each of the two is in
    units of what chance makes of it, or else the mean of the noise, which is an
    accident, would decide.  Bins are a third of the residuals' deviation wide, at least
    one grey level, in which chance weighs least, and all is averaged over classes of
    brightness.

    Parameters
    ----------
    crappifier
        Degradation with its strengths.
    pairs
        Registered scans.
    seed
        Seed of the noise.
    """
    real: list[np.ndarray] = []
    made: list[np.ndarray] = []
    bright: list[np.ndarray] = []
    for number, pair in enumerate(pairs):
        smooth = sampled(pair.dense, crappifier.sampling)
        for draw in range(_DRAWS):
            noisy = crappifier(pair.dense, generator(seed, number, draw))
            made.append((noisy - smooth).ravel())
            real.append((pair.coarse - smooth).ravel())
            bright.append(smooth.ravel())
    residuals = [(LEVELS - 1) * np.concatenate(parts) for parts in (real, made)]
    light = np.concatenate(bright)
    bounds = np.quantile(light, np.arange(1, CLASSES) / CLASSES)
    groups = np.searchsorted(bounds, light)
    width = max(round(_BIN * float(residuals[0].std())), 1)
    edges = np.arange(-LEVELS, LEVELS + width, width) - 0.5
    total = 0.0
    for group in range(CLASSES):
        mine = groups == group
        if not mine.any():
            continue
        parts = [r[mine] for r in residuals]
        counts = [np.histogram(part, edges)[0] / _DRAWS for part in parts]
        pixels = int(mine.sum()) / _DRAWS
        total += float(np.mean((counts[0] - counts[1]) ** 2) / np.mean(sum(counts)))
        chance = sum(float(part.var()) for part in parts) / pixels
        apart = abs(float(parts[0].mean() - parts[1].mean()))
        total += apart / max(chance, 1e-6) ** 0.5
    return total / CLASSES


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
