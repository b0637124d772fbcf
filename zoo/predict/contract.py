"""What a package promises about its tensors, read from its description.

Packages of this zoo say everything in ``config.superres_zoo``; for those of other
programs the same is worked out from the tensors of ``rdf.yaml``, formats 0.5 and 0.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from zoo.core.errors import BadPackage
from zoo.core.processing import Operation
from zoo.io.description import Tensor, axis_letters
from zoo.io.packages import Package

SMALLEST_FRAME = 8
"""Frames below this edge hold nothing that a network could use, px."""
DEFAULT_THRESHOLD = 0.2
"""Fraction of the ideal peak, for density packages that state none."""


@dataclass(frozen=True)
class Contract:
    """How to feed a network and what its output is."""

    task: str
    """``image``, ``density`` or ``parameters``."""
    input_axes: str = "byxc"
    """Axis letters of the input tensor, in the network's order."""
    output_axes: str = "byxc"
    """Axis letters of the output tensor, in the network's order."""
    channels: int = 1
    """Channels of the input."""
    scale: int = 1
    """Output pixels per input pixel along an axis."""
    halo: int | None = 0
    """Input pixels at a tile's edge that are not trusted; None if not declared."""
    minimum: int = SMALLEST_FRAME
    """Smallest height and width, px."""
    step: int = 1
    """Heights and widths are ``minimum + n * step``, px."""
    fixed: tuple[int, int] | None = None
    """The only height and width that the network takes, px."""
    overlap: int = 0
    """Input pixels by which neighbouring tiles of a network with a `fixed` size
    overlap at least and are blended; 0 if not declared."""
    batch: int | None = None
    """The only batch size that the network takes."""
    preferred_batch: int = 2
    """Frames of 64 x 64 px that are best given to the network at once."""
    preprocessing: tuple[Operation, ...] = ()
    """Declared steps before the network."""
    postprocessing: tuple[Operation, ...] = ()
    """Declared steps after the network."""
    ideal_peak: float = 1.0
    """Output at the peak of an ideal isolated emitter (density task)."""
    threshold: float = DEFAULT_THRESHOLD
    """Fraction of `ideal_peak` that a localization exceeds (density task)."""
    window_px: int = 3
    """Window of a local maximum on the fine grid (density task)."""
    centroid_px: int | None = None
    """Window of the centre of gravity; `window_px` if left out (density task)."""
    reference: str | None = None
    """What of the input is a diffraction-limited picture of the same field, on the
    input's grid: ``mean``, the mean over channels; None if nothing is."""
    frame_order: str | None = None
    """Order of raw frames in the channels, such as ``angle-major``; None for other
    inputs."""
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Ranges of the conditions under which the network was trained."""


def read_contract(package: Package) -> Contract:
    """Read what a package promises.

    Raises
    ------
    BadPackage
        If it has several inputs or outputs, tensors that are not two-dimensional
        images, or an output that is not an integer enlargement of the input.
    """
    name = package.name
    for kind, tensors in (("input", package.inputs), ("output", package.outputs)):
        if len(tensors) != 1:
            raise BadPackage(
                f"{name} has {len(tensors)} {kind} tensors; "
                "packages with one input and one output can be run"
            )
    axes: list[str] = []
    for kind, tensors in (("input", package.inputs), ("output", package.outputs)):
        try:
            axes.append(axis_letters(tensors[0]))
        except ValueError as error:
            raise BadPackage(f"{name}, {kind} tensor: {error}") from error
        if not {"b", "y", "x"} <= set(axes[-1]) or set(axes[-1]) - set("byxc"):
            raise BadPackage(
                f"{name} has an {kind} tensor with axes {axes[-1]}; "
                "only two-dimensional images (b, y, x and c) can be run"
            )
    source, target = _by_id(package.inputs[0]), _by_id(package.outputs[0])
    shared: dict[str, Any] = {
        "input_axes": axes[0],
        "output_axes": axes[1],
        "channels": _channels(source.get("channel")),
        "preprocessing": tuple(package.inputs[0].get("preprocessing") or ()),
        "postprocessing": tuple(package.outputs[0].get("postprocessing") or ()),
        "batch": source["batch"].get("size"),
    }
    if package.zoo:
        return Contract(**shared, **_ours(package.zoo, name))
    return Contract(**shared, **_foreign(source, target, name))


def _ours(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what ``config.superres_zoo`` states."""
    if "task" not in config:
        raise BadPackage(f"{name} states no task in config.superres_zoo")
    step = int(config.get("step") or 1)
    halo = int(config.get("halo") or 0)
    # with a halo, the tile is only what other programs are told to use
    tile = None if halo else config.get("tile")
    smallest = int(config.get("minimum") or max(SMALLEST_FRAME, step))
    stated: dict[str, Any] = {
        "task": config["task"],
        "scale": int(config.get("scale") or 1),
        "halo": halo,
        "step": step,
        "minimum": -(-smallest // step) * step,
        "fixed": (int(tile), int(tile)) if tile else None,
        "training": config.get("training") or {},
    }
    for key, kind in (
        ("ideal_peak", float),
        ("threshold", float),
        ("window_px", int),
        ("centroid_px", int),
        ("preferred_batch", int),
        ("reference", str),
        ("frame_order", str),
    ):
        if config.get(key) is not None:
            stated[key] = kind(config[key])
    if tile and (overlap := int(config.get("overlap") or 0)):
        if not 0 < overlap < int(tile):
            raise BadPackage(
                f"{name} states an overlap of {overlap} px in config.superres_zoo; "
                f"between tiles of {int(tile)} px it must be 1 to {int(tile) - 1} px"
            )
        stated["overlap"] = overlap
    return stated


def _foreign(
    source: dict[str, dict[str, Any]], target: dict[str, dict[str, Any]], name: str
) -> dict[str, Any]:
    """Work out scale, halo and sizes from the tensors of any description."""
    sizes = [source[axis].get("size") for axis in "yx"]
    scales = [_enlargement(source[axis], target[axis]) for axis in "yx"]
    if scales[0] != scales[1] or scales[0] is None or scales[0].denominator != 1:
        shown = " and ".join("unknown" if s is None else str(s) for s in scales)
        raise BadPackage(
            f"{name} enlarges an image by {shown} along y and x; "
            "one whole number for both is needed"
        )
    scale = int(scales[0])
    halos = [target[axis].get("halo") for axis in "yx"]
    stated: dict[str, Any] = {
        "task": "image",
        "scale": scale,
        "halo": None
        if None in halos
        else max(-(-int(halo or 0) // scale) for halo in halos),
    }
    if all(isinstance(size, int) for size in sizes):
        return stated | {"fixed": (sizes[0], sizes[1])}
    steps = [int((s or {}).get("step") or 1) for s in sizes if not isinstance(s, int)]
    smallest = [
        s if isinstance(s, int) else int((s or {}).get("min") or 1) for s in sizes
    ]
    return stated | {"step": max(steps), "minimum": max(smallest)}


def _enlargement(
    source: Mapping[str, Any], target: Mapping[str, Any]
) -> Fraction | None:
    """Return output pixels per input pixel along an axis, None if it is unclear."""
    size, given = target.get("size"), source.get("size")
    if isinstance(size, int):
        return Fraction(size, given) if isinstance(given, int) else None
    if not isinstance(size, Mapping) or size.get("offset"):
        return None
    ratio = Fraction(source.get("scale", 1)) / Fraction(target.get("scale", 1))
    return ratio.limit_denominator(64)


def _by_id(tensor: Tensor) -> dict[str, dict[str, Any]]:
    return {axis["id"]: axis for axis in tensor["axes"]}


def _channels(axis: Mapping[str, Any] | None) -> int:
    if axis is None:
        return 1
    if "channel_names" in axis:
        return len(axis["channel_names"])
    size = axis.get("size", 1)
    return size if isinstance(size, int) else int(size.get("min", 1))
