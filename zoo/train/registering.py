"""One pair of files: read as a prediction reads it, checked, scaled, registered."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from scipy.ndimage import shift as shifted

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.processing import apply
from zoo.core.recipe import Recipe
from zoo.inputs.recording import RESCALING, rescales
from zoo.metrics.baselines import bicubic
from zoo.metrics.registration import Shift, local_shifts, shift_between
from zoo.simulate.measured_images import MeasuredImages
from zoo.train.registration_map import MAP

if TYPE_CHECKING:
    from zoo.io.stacks import Stack

T = TypeVar("T")

LEAST_CORRELATION = 0.2
"""Correlation of input and target, registered and smoothed, below which they show
different fields."""
SURE_CORRELATION = 0.5
"""Correlation that a long shift, or that of a block, is believed from: some shift makes
other images alike, too."""
CORRECTED_PX = 0.05
"""Shift from which targets are moved, input px; less is within its error."""
UNEVEN_PX = 0.5
"""Local shift that a user is told about, input px."""
TARGET_PERCENTILES = (1.0, 99.9)
"""What becomes 0 and 1 in a target."""
PIXEL_TOLERANCE = 0.02
"""Relative difference of pixel sizes that counts as none."""
SMALLEST_PX = 16
"""Least edge of an image, input px."""
_SMOOTH_PX = 1.5  # of input pixels, before images are compared
_BLOCK_PX = 48  # of input pixels, for local shifts
_MEAN_OF = 16  # frames of a file, at most


class Files(NamedTuple):
    """Input and target of one field."""

    name: str
    input: Path
    target: Path


class Registered(NamedTuple):
    """A file's pairs, scaled and registered, and what was found out about them."""

    inputs: list[np.ndarray]
    """(y, x, c) float32 each."""
    targets: list[np.ndarray]
    """(sy, sx, c) float32 each."""
    shift: Shift
    """Of the target against the input, target px."""
    local: np.ndarray
    """(rows, columns, 3) shifts that are left, target px, and correlations."""
    pixel_size_nm: float | None
    notes: list[str]


def own_source(recipe: Recipe) -> MeasuredImages:
    """Return the source of a recipe for own pairs."""
    if not isinstance(recipe.source, MeasuredImages):
        raise TypeError(f"{recipe.name} draws from {recipe.source.kind}")
    return recipe.source


def register(
    pair: Files,
    recipe: Recipe,
    *,
    only_px: int | None = None,
    shared_range: tuple[float, float] | None = None,
) -> Registered:
    """Read a pair of files, scale them, and bring the target onto its input.

    Parameters
    ----------
    pair
        The files.
    recipe
        Says how they are read, and how far apart they may lie.
    only_px
        Edge of the only tile that the network takes while it is trained, px; None if
        it takes any.
    shared_range
        What becomes 0 and 1 in every target; None to find it for each.

    Raises
    ------
    BadInput
        If they do not fit the network or each other, or lie further apart than the
        source of the recipe allows.
    """
    source, contract = own_source(recipe), recipe.contract
    with _opened(pair, recipe) as (recording, aims):
        _check_sizes(pair, recording, aims, source)
        frames = range(recording.frames)
        inputs = [_ready(recording, contract, n) for n in frames]
        # compared is what the file shows: scaled inputs may be clipped
        shown = _grey(recording.read(n, n + 1)[0] for n in _some(frames))
        read = (aims.read(n, n + 1)[0] for n in range(aims.frames))
        targets = [_scaled(aim, shared_range) for aim in read]
        pixel_nm = recording.pixel_size_nm.get("x")
        notes = [*recording.warnings(), *(f"{aims.source}: {n}" for n in aims.notes)]
    for what, image in ((pair.input, inputs[0]), (pair.target, targets[0])):
        if not np.ptp(image) > 0:
            raise BadInput(
                f"{what} is constant; leave this pair out, nothing is to be learnt"
            )
    scale = source.scale
    shift = shift_between(
        _grey(_some(targets)), _fine(shown, scale), smooth_px=_SMOOTH_PX * scale
    )
    _check_shift(pair, shift, source, pixel_nm)
    inputs.append(shown[..., None])
    if shift.length_px > CORRECTED_PX * scale:
        inputs, targets = _corrected(inputs, targets, shift, scale)
    inputs, targets = _whole_steps(inputs, targets, contract, scale)
    shown = inputs.pop()[..., 0]
    smallest = min(inputs[0].shape[:2])
    least = SMALLEST_PX if only_px is None else only_px
    if smallest < least:
        raise BadInput(
            f"{pair.input} is {smallest} px wide where both images overlap, at least "
            f"{least} px are needed; give larger images"
        )
    local = local_shifts(
        _grey(_some(targets)),
        _fine(shown, scale),
        block_px=_BLOCK_PX * scale,
        smooth_px=_SMOOTH_PX * scale,
    )
    largest = uneven_px(local) / scale
    if largest > UNEVEN_PX:
        notes.append(
            f"{pair.name}: parts of the target still lie up to {largest:.1f} px off "
            f"({MAP} shows where); training on it blurs, register it elastically first"
        )
    return Registered(inputs, targets, shift, local, pixel_nm, notes)


def uneven_px(local: np.ndarray) -> float:
    """Return the largest local shift that can be believed, px.

    Parameters
    ----------
    local : (rows, columns, 3)
        As `zoo.metrics.registration.local_shifts` returns it.
    """
    lengths = np.hypot(local[..., 0], local[..., 1])
    # a block without structure has a shift, too
    sure = local[..., 2] > SURE_CORRELATION
    return float(lengths[sure].max()) if sure.any() else 0.0


@contextmanager
def _opened(pair: Files, recipe: Recipe) -> Iterator[tuple[Any, "Stack"]]:
    """Open an input as a prediction does, and its target."""
    from zoo.io.stacks import open_stack

    contract = recipe.contract
    kind = type(contract.input).options
    # the network is to learn the user's own pixel
    known = "resample" in kind.model_fields
    options = kind.model_validate({"resample": False} if known else {})
    recording: Any = contract.input.open(
        pair.input, contract, name=recipe.name, options=options
    )
    try:
        if len(recording.groups) != 1:
            raise BadInput(
                f"{pair.input} has several channels, {recipe.name} learns from one; "
                "save each as a file of its own, with its target"
            )
        aims = open_stack(pair.target, channels=len(contract.grid.outputs))
        try:
            yield recording, aims
        finally:
            aims.close()
    finally:
        recording.close()


def _check_sizes(
    pair: Files, recording: Any, aims: "Stack", source: MeasuredImages
) -> None:
    """Refuse a pair whose numbers of images, sizes or pixels do not fit."""
    scale = source.scale
    if recording.frames != aims.frames:
        raise BadInput(
            f"{pair.input} holds {recording.frames} images, {pair.target} "
            f"{aims.frames}; give one target for every input"
        )
    coarse = (recording.sizes["y"], recording.sizes["x"])
    fine = (aims.height, aims.width)
    if fine != (scale * coarse[0], scale * coarse[1]):
        wanted = f"{scale * coarse[0]} x {scale * coarse[1]} px"
        if fine[0] < coarse[0] or fine[1] < coarse[1]:
            why = "the target is coarser than its input; perhaps they are exchanged"
        elif scale == 1:
            why = "resample the input to the pixels of the target first"
        else:
            why = f"crop both to one field and resample the target to {wanted}"
        raise BadInput(
            f"{pair.target} has {fine[0]} x {fine[1]} px, for {pair.input} with "
            f"{coarse[0]} x {coarse[1]} px this network makes {wanted}: {why}"
        )
    input_nm, target_nm = recording.pixel_size_nm.get("x"), aims.pixel_size_nm
    if input_nm is None or target_nm is None:
        return
    ratio = input_nm / target_nm
    if abs(ratio / scale - 1) > PIXEL_TOLERANCE:
        coarser = " (the target is coarser than its input)" if ratio < 1 else ""
        raise BadInput(
            f"{pair.input} has pixels of {input_nm:.4g} nm, {pair.target} of "
            f"{target_nm:.4g} nm{coarser}; this network makes pixels of "
            f"{input_nm / scale:.4g} nm: resample the target, or put its pixel size "
            "right if it is wrong"
        )


def _check_shift(
    pair: Files, shift: Shift, source: MeasuredImages, pixel_nm: float | None
) -> None:
    """Refuse a pair that shows different fields or lies too far apart."""
    scale = source.scale
    y_px, x_px = shift.y_px / scale, shift.x_px / scale
    length = shift.length_px / scale
    where = f"{y_px:+.1f} px along y and {x_px:+.1f} px along x"
    if pixel_nm is not None:
        where += f" ({length * pixel_nm:.0f} nm)"
    far = length > source.max_shift_px
    least = SURE_CORRELATION if far else LEAST_CORRELATION
    if shift.correlation < least:
        raise BadInput(
            f"{pair.target} does not show what {pair.input} does: at the best shift, "
            f"{where}, they correlate by {shift.correlation:.2f}, {least:g} is the "
            "least; check the pair, its rotation and magnification"
        )
    if far:
        raise BadInput(
            f"{pair.target} is shifted by {where} against {pair.input}; up to "
            f"{source.max_shift_px:g} px are corrected: register the images first, or "
            f"give --set source.max_shift_px={int(np.ceil(length + 1))}"
        )


def _ready(recording: Any, contract: Contract, number: int) -> np.ndarray:
    """Return an input (y, x, c) scaled as a prediction scales it."""
    frame = recording.read(number, number + 1)
    scaled = recording.scaled(frame, 0)
    before = contract.before
    if scaled is not None:
        before = tuple(step for step in before if step["id"] not in RESCALING)
    ready = apply(before, frame if scaled is None else scaled, "byxc")
    return ready[0].astype(np.float32)


def common_range(pairs: list[Files], recipe: Recipe) -> tuple[float, float] | None:
    """Return what becomes 0 and 1 in all targets; None where each has its own range.

    Where inputs are scaled to their own range, no network can know how bright a target
    was; where they are not, it can, and is to keep that.
    """
    if rescales(recipe.contract):
        return None
    from zoo.io.stacks import open_stack

    channels = len(recipe.contract.grid.outputs)
    highs: list[float] = []
    for pair in pairs:
        with open_stack(pair.target, channels=channels) as stack:
            highs += [
                float(np.percentile(stack.read(n, n + 1), TARGET_PERCENTILES[1]))
                for n in range(stack.frames)
            ]
    return 0.0, float(np.median(highs))


def _scaled(target: np.ndarray, known: tuple[float, float] | None) -> np.ndarray:
    """Return a target between 0 and 1, its channels on one scale."""
    low, high = known or (float(p) for p in np.percentile(target, TARGET_PERCENTILES))
    if not high > low:  # little that is very bright
        low, high = float(target.min()), float(target.max())
    if not high > low:
        return np.zeros(target.shape, np.float32)
    return np.clip((target - low) / (high - low), 0, 1).astype(np.float32)


def _some(images: Sequence[T]) -> Sequence[T]:
    """Return some of them, evenly spread."""
    return images[:: max(len(images) // _MEAN_OF, 1)]


def _grey(images: Iterable[np.ndarray]) -> np.ndarray:
    """Return the mean of images and their channels, (y, x)."""
    return np.mean([image.mean(axis=-1) for image in images], axis=0)


def _fine(image: np.ndarray, scale: int) -> np.ndarray:
    return bicubic(image, scale) if scale > 1 else image


def _corrected(
    inputs: list[np.ndarray], targets: list[np.ndarray], shift: Shift, scale: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Move targets onto their inputs, and cut off what one of them does not show."""
    moved = [
        shifted(aim, (-shift.y_px, -shift.x_px, 0), order=3, mode="nearest")
        for aim in targets
    ]
    cut: list[int] = [
        int(np.ceil(abs(along) / scale)) for along in (shift.y_px, shift.x_px)
    ]
    return (
        [_inside(image, cut, 1) for image in inputs],
        [_inside(np.clip(aim, 0, 1), cut, scale) for aim in moved],
    )


def _inside(image: np.ndarray, cut: list[int], scale: int) -> np.ndarray:
    rows, columns = (
        slice(scale * margin, size - scale * margin)
        for margin, size in zip(cut, image.shape[:2], strict=True)
    )
    return image[rows, columns]


def _whole_steps(
    inputs: list[np.ndarray], targets: list[np.ndarray], contract: Contract, scale: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Cut images to lengths that the network takes."""
    lengths: list[int] = []
    for letter, size in zip("yx", inputs[0].shape[:2], strict=True):
        axis = contract.grid.axes[letter]
        steps = max(size - axis.minimum, 0) // axis.step
        lengths.append(axis.minimum + steps * axis.step)
    height, width = lengths
    return (
        [image[:height, :width] for image in inputs],
        [aim[: scale * height, : scale * width] for aim in targets],
    )
