"""smNet as its authors' PyTorch port saves it.

The port keeps a whole module, or its state, under names that count layers:
``features.0`` is the first convolution, ``features.6`` to ``features.12`` are the
residual blocks, ``FCs.0`` and ``FCs.2`` the dense layers (Zhang et al. 2018,
doi:10.1038/s41592-018-0153-5).  It reads regions from MATLAB files backwards, so that
its tensors are (region, channel, x, y): kernels and the first dense layer are turned
here, and the converted network takes regions (y, x) like every other.

A network gives z, or x and y.  Those for orientations or aberrations have the same
layers or others, mean something else, and are refused.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from converters.mapping import MappingError, Move, apply_moves
from converters.packages import Origin, origin_of, refuse_filled, write_converted
from converters.readers import Checkpoint
from converters.torch_file import read_torch
from zoo.core.contract import Contract
from zoo.core.grid import Axis, Grid
from zoo.core.random import generator
from zoo.inputs.regions import Regions
from zoo.models.smnet import RESIDUAL_WIDTHS, SMNET, smnet
from zoo.package.describe import Identity
from zoo.physics.engineered import PUPILS
from zoo.physics.pupil import PupilPsf
from zoo.tasks.parameters import Parameters

Quantity = Literal["xy", "z"]

LIMITS: dict[Quantity, float] = {"xy": 2.0, "z": 20.0}
"""Clipping of outputs that the authors recommend: pixels, tenths of a micrometre."""

OPTIONS_FILE = "opt.txt"
"""Where the port writes its options, beside the checkpoints."""

LICENCE = ""
"""The authors' program states none."""

_STEM, _BLOCKS, _HEAD = 6, range(6, 6 + len(RESIDUAL_WIDTHS)), 13
_UNUSED = "counts batches; not needed for inference"


@dataclass(frozen=True)
class Layout:
    """What a checkpoint of the port holds."""

    quantity: Quantity
    """What the network estimates."""
    size: int
    """Edge of a region, px."""
    channels: int
    """Planes of a region."""
    outputs: int
    """Numbers per region."""
    limit: float
    """Outputs are clipped to plus and minus this, in label units."""


def load_smnet(path: str | Path) -> keras.Model:
    """Load a checkpoint of the PyTorch port.

    Parameters
    ----------
    path
        ``.pth`` file of a module or a ``state_dict``.

    Returns
    -------
    model : keras.Model
        Uncompiled `zoo.models.smnet.smnet`, (b, y, x, channels) photons to label units.

    Raises
    ------
    BadInput
        If the file cannot be read.
    MappingError
        If it is not such a network.
    """
    checkpoint = read_torch(path)
    return _model(checkpoint, read_layout(checkpoint, Path(path)))


def convert(
    source: str | Path, destination: str | Path, *, verify: bool = True
) -> Path:
    """Turn a checkpoint of the PyTorch port into a package.

    What is estimated and where outputs are clipped follows from the number of outputs,
    from the module where a whole one was saved, and from `OPTIONS_FILE` where it lies
    beside the checkpoint.

    Parameters
    ----------
    source
        ``.pth`` file of a module or a ``state_dict``.
    destination
        Folder to create, the package itself.
    verify
        Whether to run every weights entry with the official tool first.

    Returns
    -------
    package : Path
        With ``weights.keras`` and ``model.onnx``.

    Raises
    ------
    BadInput
        If the file cannot be read, or `destination` holds something already.
    MappingError
        If it is not such a network.
    BadPackage
        If what was written does not give the network's outputs.
    """
    path, directory = Path(source), Path(destination)
    checkpoint = read_torch(path)
    layout = read_layout(checkpoint, path)
    model = _model(checkpoint, layout)
    refuse_filled(directory)
    origin = origin_of(path, checkpoint.written_by)
    return write_converted(
        model,
        describe_network(layout, origin),
        directory,
        image=_test_regions(layout),
        origin=origin,
        prose=_prose(layout, origin),
        verify=verify,
    )


def read_layout(checkpoint: Checkpoint, path: Path) -> Layout:
    """Return what a checkpoint holds, from its shapes and what is stated beside.

    Raises
    ------
    MappingError
        If it is no network for positions.
    """
    shapes = {name: tensor.shape for name, tensor in checkpoint.tensors.items()}
    first, dense, last = (
        shapes.get(name, ())
        for name in ("features.0.weight", "FCs.0.weight", "FCs.2.weight")
    )
    if not (
        len(first) == 4
        and first[2:] == (7, 7)
        and len(dense) == len(last) == 2
        and dense[0] == last[1] == 10
    ):
        raise MappingError(
            f"{path} is not an smNet for positions: layers features.0, FCs.0 and FCs.2 "
            f"have the shapes {first}, {dense} and {last}; networks for aberrations "
            "have other layers and are not converted"
        )
    size = round(dense[1] ** 0.5)
    if size**2 != dense[1]:
        raise MappingError(
            f"{path} is for regions of {dense[1]} pixels that are not square, whose "
            "edges it does not state"
        )
    stated = _stated(path.with_name(OPTIONS_FILE))
    outputs = int(last[0])
    mode = stated.get("mode", {1: "z", 2: "xy"}.get(outputs, "aberration"))
    wanted: dict[Any, tuple[Quantity, int]] = {"xy": ("xy", 2), "z": ("z", 1)}
    if mode not in wanted or wanted[mode][1] != outputs:
        raise MappingError(
            f"{path} gives {outputs} numbers for {mode!r}; only networks for 'xy' "
            "(two numbers) and 'z' (one) are converted"
        )
    quantity = wanted[mode][0]
    words = (checkpoint.config or {}).get("Hardtanh", {})
    limit = words.get("max_val", stated.get("crange", LIMITS[quantity]))
    return Layout(quantity, size, int(first[1]), outputs, float(limit))


def describe_network(layout: Layout, origin: Origin) -> Identity:
    """Return what a converted network is and promises."""
    columns = {"xy": ("x_nm", "y_nm"), "z": ("z_nm",)}[layout.quantity]
    what = {"xy": "x and y", "z": "z"}[layout.quantity]
    planes = tuple(f"plane_{n}" for n in range(1, layout.channels + 1))
    edge = Axis(size=layout.size)
    return Identity(
        name=f"smnet_converted_{origin.sha256[:8]}",
        title=f"smNet - converted checkpoint ({what} - {layout.size} px)",
        summary=(
            f"Estimates {what} of the one emitter in a region of {layout.size} x "
            f"{layout.size} px, with weights of the authors' PyTorch port. The "
            "checkpoint does not say which microscope they were trained for."
        ),
        network=SMNET.override(
            note="Layers and scaling as in the authors' PyTorch port.",
        ),
        contract=Contract(
            grid=Grid(
                output_axes="bc",
                axes={"y": edge, "x": edge},
                channels=planes if layout.channels > 1 else ("intensity",),
                outputs=columns,
            ),
            input=Regions(),
            task=Parameters(columns=columns, **_units(layout.quantity)),
            preprocessing=(),
        ),
        tags=("single-molecule-localization-microscopy", "smlm", "3d"),
        licence=LICENCE,
    )


def _units(quantity: Quantity) -> dict[str, Any]:
    """Return what labels are in: camera pixels, or tenths of a micrometre."""
    if quantity == "xy":
        return {"per_pixel": ("x_nm", "y_nm")}
    return {"factors": (100.0,)}


def _stated(path: Path) -> dict[str, Any]:
    """Return mode and clipping from the port's list of options, if it is there."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8", errors="replace")[:100_000]
    mode = re.search(r"'mode: ', '(\w+)'", text)
    limit = re.search(r"'crange: ', ([\d.]+)\b", text)
    found: dict[str, Any] = {}
    found |= {"mode": mode[1]} if mode else {}
    return found | ({"crange": float(limit[1])} if limit else {})


def _model(checkpoint: Checkpoint, layout: Layout) -> keras.Model:
    model = smnet(
        size=layout.size,
        channels=layout.channels,
        outputs=layout.outputs,
        limit=layout.limit,
    )
    counters = [n for n in checkpoint.tensors if n.endswith("num_batches_tracked")]
    apply_moves(
        model,
        checkpoint.tensors,
        list(_moves(layout.size)),
        left_out=dict.fromkeys(counters, _UNUSED),
    )
    return model


def _moves(size: int) -> Iterator[Move]:
    """State where every tensor of the port goes."""
    for number, ours in ((0, "stem1"), (3, "stem2")):
        yield from _unit("features", number, ours)
    before = 128
    for number, width in zip(_BLOCKS, RESIDUAL_WIDTHS, strict=True):
        theirs, ours = f"features.{number}", f"res{number - _STEM + 1}"
        for part, role in ((0, "first"), (3, "second"), (6, "third")):
            yield from _unit(
                f"{theirs}.residual", part, f"{ours}_{role}", prelu=role != "third"
            )
        if width != before:
            yield from _unit(f"{theirs}.identity", 0, f"{ours}_shortcut", prelu=False)
        yield _slope(f"{theirs}.prelu", ours, 4)
        before = width
    for number, ours in ((13, "head1"), (16, "head2"), (19, "head3")):
        yield from _unit("features", number, ours)
    yield Move("dense1/kernel", ("FCs.0.weight",), _turned_dense(size))
    yield Move("dense1/bias", ("FCs.0.bias",))
    yield _slope("FCs.1", "dense1", 2)
    yield Move("dense2/kernel", ("FCs.2.weight",), np.transpose)
    yield Move("dense2/bias", ("FCs.2.bias",))


def _unit(theirs: str, number: int, ours: str, *, prelu: bool = True) -> Iterator[Move]:
    """State the way of a convolution, its normalisation and its slope."""
    conv, norm = f"{theirs}.{number}", f"{theirs}.{number + 1}"
    # (out, in, x, y) to (y, x, in, out)
    yield Move(
        f"{ours}_conv/kernel", (f"{conv}.weight",), lambda w: w.transpose(3, 2, 1, 0)
    )
    yield Move(f"{ours}_conv/bias", (f"{conv}.bias",))
    for source, target in (
        ("weight", "gamma"),
        ("bias", "beta"),
        ("running_mean", "moving_mean"),
        ("running_var", "moving_variance"),
    ):
        yield Move(f"{ours}_norm/{target}", (f"{norm}.{source}",))
    if prelu:
        yield _slope(f"{theirs}.{number + 2}", ours, 4)


def _slope(theirs: str, ours: str, axes: int) -> Move:
    """State the way of the one slope of a layer, which ours keeps with all axes."""
    shape = (1,) * (axes - 1)
    return Move(
        f"{ours}_prelu/alpha", (f"{theirs}.weight",), lambda w: w.reshape(shape)
    )


def _turned_dense(size: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return what turns the weights of pixels (x, y) to pixels (y, x)."""

    def turned(weight: np.ndarray) -> np.ndarray:
        units = len(weight)
        return weight.reshape(units, size, size).transpose(2, 1, 0).reshape(-1, units)

    return turned


def _test_regions(layout: Layout) -> np.ndarray:
    """Return the region of one simulated emitter, (1, y, x, c) float32 photons."""
    optics = PUPILS["smnet_complex"]
    psf, middle = PupilPsf(optics), (layout.size // 2 + 0.5) * optics.pixel_nm
    rng = generator(2018, 0, 0)
    depths = 300.0 * np.arange(layout.channels)
    x, y = (np.full(layout.channels, middle + shift) for shift in (50.0, -80.0))
    images = psf.images(x, y, depths, (layout.size, layout.size))
    photons = rng.poisson(20000.0 * images.clip(0) + 5.0)
    return np.moveaxis(photons, 0, -1)[None].astype(np.float32)


def _prose(layout: Layout, origin: Origin) -> dict[str, str]:
    what = {"xy": "x and y", "z": "z"}[layout.quantity]
    units = {
        "xy": "pixels, which the pixel size of the recording turns to nanometres",
        "z": "tenths of a micrometre, here given in nanometres",
    }[layout.quantity]
    return {
        "Intended use": (
            "Comparing with published results, and regions of the microscope that the "
            "weights were trained for. Whoever has the checkpoint knows which that is; "
            "nothing in it says so."
        ),
        "Not for": (
            "Other point-spread functions, pixel sizes or depths than those of the "
            "training; regions with more than one emitter or none; counts whose camera "
            "offset has not been taken off."
        ),
        "Data": (
            "Unknown to this package. The test input is one simulated emitter and only "
            "shows that every weights format computes the same."
        ),
        "Training": (
            f"Not trained here. Converted from `{origin.file}` (SHA-256 "
            f"`{origin.sha256}`), a checkpoint in the layout of the authors' PyTorch "
            "port: every tensor of it is used once, every weight of the network set "
            "once. Their program states no licence, and neither does this package; ask "
            "whoever trained the weights before passing them on."
        ),
        "Validation": (
            "Not scored. `zoo evaluate FOLDER --input FILE --truth FILE` measures it "
            "on regions whose truth is known."
        ),
        "Limits": (
            f"The network gives {what} only, in {units}, clipped to ±{layout.limit:g} "
            "of these units, without an uncertainty. The port transposes regions while "
            "it reads them; here they are (y, x), with x to the right and y downwards "
            "from the centre of the central pixel."
        ),
    }
