"""A user's own pairs of images as training pairs, registered beforehand."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, field_validator
from scipy.ndimage import gaussian_filter, maximum_filter

from zoo.core.contract import CONDITION
from zoo.core.errors import BadInput
from zoo.core.recipe import Simulation, Source
from zoo.core.symmetry import SYMMETRIES
from zoo.simulate.frames import Range

MANIFEST = "pairs.json"
"""File in a folder of registered pairs that lists them."""

Part = Literal["training", "held_out"]
Selection = Literal["foreground", "bright"]

FEWEST_PLACES = 1000
"""Centres of patches that an image offers at least, if it has as many pixels."""
_FOREGROUND = 0.01  # by which it exceeds its surroundings, of the target's range
_LOWERED = 0.8  # factor of that threshold until there are enough places
_NARROW_PX, _WIDE_PX = 1.0, 50.0  # Gaussians whose difference is compared with it
_BRIGHT, _BRIGHT_PERCENTILE = 0.4, 99.9


class MeasuredImages(Source):
    """Patches of registered pairs of images, as ``zoo train --data`` prepares them.

    Images are scaled as a prediction would scale them, whole; patches are cut out of
    them afterwards.  Training and held-out patches never come from one file.
    """

    kind: Literal["measured_images"] = "measured_images"
    """Type of the source."""
    folder: Path = Field(default=Path(), exclude=True)
    """Registered pairs; where they lie is no part of the declaration."""
    pairs_sha256: str = ""
    """SHA-256 of their list, which names the files, their hashes and their shifts."""
    crop_px: int = Field(default=64, ge=8)
    """Edge of the patches, input px."""
    scale: int = Field(default=1, ge=1)
    """Target pixels per input pixel along an axis."""
    pixel_size_nm: Annotated[float, CONDITION] = Field(default=100.0, gt=0)
    """Pixel of the inputs, nm; taken from the files where they state it."""
    selection: Selection = "foreground"
    """Where patches are centred: on what exceeds its surroundings in the target, the
    difference of a narrow and a wide Gaussian (Qiao et al. 2021,
    doi:10.1038/s41592-020-01048-5), or within half a patch of what exceeds 0.4 times
    the 99.9th percentile of the target (Weigert et al. 2018,
    doi:10.1038/s41592-018-0216-7)."""
    symmetries: bool = True
    """Whether patches are flipped and turned, both images alike."""
    gain: Range = (1.0, 1.0)
    """Factor that both images of a patch are dimmed by, log-uniform: a recording to
    come may hold something brighter."""
    max_shift_px: float = Field(default=10.0, gt=0)
    """Longest shift between input and target that is corrected, input px."""
    held_out_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the files that are held out to judge by."""
    part: Part = "training"
    """Whether pairs to learn from or to judge by are drawn."""

    @field_validator("gain")
    @classmethod
    def _rising(cls, bounds: Range) -> Range:
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of positive bounds, lower one first")
        return bounds

    def held_out(self) -> Self:
        """Return the source of patches to judge by: of other files, as they are."""
        return self.override(part="held_out", symmetries=False, gain=(1.0, 1.0))

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a patch of an input (y, x, c) and its target (sy, sx, c), float32."""
        numbers = numbers_of(self.folder, self.part)
        number = numbers[int(rng.integers(len(numbers)))]
        image, target = read_pair(self.folder, number)
        if min(image.shape[:2]) < self.crop_px:
            raise BadInput(
                f"a registered image is {image.shape[0]} x {image.shape[1]} px, "
                f"patches {self.crop_px}; give larger images or --set source.crop_px"
            )
        places = _places(
            str(self.folder), number, self.selection, self.crop_px, self.scale
        )
        place = int(places[int(rng.integers(len(places)))])
        corner = [
            int(np.clip(centre - self.crop_px // 2, 0, size - self.crop_px))
            for centre, size in zip(
                divmod(place, image.shape[1]), image.shape[:2], strict=True
            )
        ]
        patch = _cut(image, corner, self.crop_px, 1)
        aim = _cut(target, corner, self.crop_px, self.scale)
        if self.symmetries:
            symmetry = SYMMETRIES[int(rng.integers(len(SYMMETRIES)))]
            patch, aim = symmetry.apply(patch), symmetry.apply(aim)
        factor = np.float32(np.exp(rng.uniform(*np.log(self.gain))))
        return np.ascontiguousarray(factor * patch), np.ascontiguousarray(factor * aim)

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:  # noqa: ARG002
        """Return the first registered pairs, cut to the smallest of them."""
        numbers = numbers_of(self.folder, self.part)[:frames]
        pairs = [read_pair(self.folder, number) for number in numbers]
        height, width = (min(pair.input.shape[a] for pair in pairs) for a in (0, 1))
        inputs = np.stack([pair.input[:height, :width] for pair in pairs])
        fine = (self.scale * height, self.scale * width)
        targets = np.stack([pair.target[: fine[0], : fine[1], 0] for pair in pairs])
        if inputs.shape[-1] == 1:
            return Simulation(inputs[..., 0], targets, self.pixel_size_nm)
        return Simulation(inputs, targets, self.pixel_size_nm, "tyxc")


class ImagePair(NamedTuple):
    """A registered pair, scaled as a network takes it."""

    input: np.ndarray
    """(y, x, c) float32."""
    target: np.ndarray
    """(sy, sx, c) float32, between 0 and 1."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the list of the registered pairs in a folder.

    Raises
    ------
    BadInput
        If there is none.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BadInput(
            f"{folder} holds no registered pairs; zoo train NAME --data DIR makes them"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def numbers_of(folder: Path, part: Part) -> list[int]:
    """Return the numbers of the pairs to learn from, or to judge by."""
    return _numbers(str(folder), part)


def read_pair(folder: Path, number: int) -> ImagePair:
    """Return a registered pair; pixels are read when they are used."""
    images = (
        np.load(folder / file_name(end, number), mmap_mode="r")
        for end in ("input", "target")
    )
    return ImagePair(*images)


def file_name(end: Literal["input", "target"], number: int) -> str:
    """Return the name of one image of a registered pair."""
    return f"{end}-{number:05d}.npy"


@lru_cache(maxsize=8)
def _numbers(folder: str, part: Part) -> list[int]:
    pairs = read_manifest(Path(folder))["pairs"]
    return [number for number, pair in enumerate(pairs) if pair["part"] == part]


def foreground(target: np.ndarray) -> np.ndarray:
    """Return the pixels that exceed their surroundings, flat numbers.

    The threshold is lowered until there are `FEWEST_PLACES`, or a quarter of the image.

    Parameters
    ----------
    target : (y, x)
        The target on the input's grid, between 0 and 1.
    """
    narrow = gaussian_filter(target, _NARROW_PX, mode="nearest")
    excess = (narrow - gaussian_filter(target, _WIDE_PX, mode="nearest")).ravel()
    fewest = min(FEWEST_PLACES, excess.size // 4)
    threshold = _FOREGROUND
    while np.count_nonzero(excess > threshold) < fewest and threshold > 1e-6:
        threshold *= _LOWERED
    found = np.flatnonzero(excess > threshold)
    return found if len(found) else np.arange(excess.size)


def bright(target: np.ndarray, crop_px: int) -> np.ndarray:
    """Return the pixels with something bright within half a patch, flat numbers.

    Parameters
    ----------
    target : (y, x)
        The target on the input's grid, between 0 and 1.
    crop_px
        Edge of a patch, px.
    """
    threshold = _BRIGHT * float(np.percentile(target, _BRIGHT_PERCENTILE))
    near = maximum_filter(target, max(crop_px // 2, 1), mode="nearest")
    found = np.flatnonzero(near.ravel() > threshold)
    return found if len(found) else np.arange(target.size)


@lru_cache(maxsize=512)
def _places(
    folder: str, number: int, selection: Selection, crop_px: int, scale: int
) -> np.ndarray:
    """Return where patches of an image are centred, flat numbers of input pixels."""
    target = read_pair(Path(folder), number).target.mean(axis=-1)
    height, width = (size // scale for size in target.shape)
    coarse = target.reshape(height, scale, width, scale).mean(axis=(1, 3))
    found = foreground(coarse) if selection == "foreground" else bright(coarse, crop_px)
    return found.astype(np.int32)


def _cut(image: np.ndarray, corner: list[int], edge: int, scale: int) -> np.ndarray:
    rows, columns = (slice(scale * c, scale * (c + edge)) for c in corner)
    return np.asarray(image[rows, columns], np.float32)
