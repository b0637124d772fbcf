"""DeepSTORM3D as its authors' program saves it: ``weights_best_loss.pkl``.

A PyTorch ``state_dict`` with the names ``norm``, ``layer1`` to ``layer9`` and
``deconv1``, ``deconv2`` with ``conv`` and ``bn``, and ``layer10`` (Nehme et al. 2020,
doi:10.1038/s41592-020-0853-5).  It is read without PyTorch, and refused if it holds
anything but tensors.  What the tensors do not say - depths, scaling of frames, origin
of the labels - is taken from `SETTINGS_FILE` beside it, from what the user says, or
from the program's demonstrations; `converters.deep_storm3d_settings` and
`converters.deep_storm3d_training` work that out.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from pydantic import ValidationError

from converters.deep_storm3d_settings import SETTINGS_FILE, Given, Training, settled
from converters.deep_storm3d_training import measured
from converters.mapping import MappingError, Move, apply_moves
from converters.packages import Origin, origin_of, refuse_filled, write_converted
from converters.readers import Checkpoint
from converters.torch_file import read_torch
from zoo.core.config import one_line
from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Axis, Grid
from zoo.inputs.frames import Frames
from zoo.models.deep_storm3d import DEEP_STORM3D, deep_storm3d
from zoo.package.describe import Identity
from zoo.package.tensors import VOLUME_PX
from zoo.physics.engineered import PUPILS
from zoo.tasks.volume import Volume
from zoo.test_sets.dense_emitters import DenseEmitterTestSet

WIDTH, UPSAMPLING = 64, 4
"""Feature maps, and fine pixels per camera pixel, of the authors' network."""

_UNUSED = "counts batches; not needed for inference"
_UNITS = (*(f"layer{number}" for number in range(1, 10)), "deconv1", "deconv2")
_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load_deep_storm3d(path: str | Path, *, dilation: int = 16) -> keras.Model:
    """Load a checkpoint of the authors' program.

    Parameters
    ----------
    path
        The ``.pkl`` file of a ``state_dict``.
    dilation
        Largest dilation, which the tensors do not tell: 16 or 4.

    Returns
    -------
    model : keras.Model
        Uncompiled `zoo.models.deep_storm3d.deep_storm3d`: scaled frames to volumes on
        the grid of the authors' labels.

    Raises
    ------
    BadInput
        If the file cannot be read or holds anything but tensors.
    MappingError
        If it is not such a network.
    """
    checkpoint = read_torch(path, only_tensors=True)
    return _model(checkpoint, planes_in(checkpoint, Path(path)), dilation=dilation)


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    verify: bool = True,
    **settings: Any,
) -> Path:
    """Turn a checkpoint of the authors' program into a package.

    Parameters
    ----------
    source
        The ``.pkl`` file of a ``state_dict``.  Of `SETTINGS_FILE` beside it, which the
        program writes, only plain values are read.
    destination
        Folder to create, the package itself.
    verify
        Whether to run every weights entry with the official tool first.
    **settings
        Fields of `converters.deep_storm3d_settings.Given`; they override what is found.

    Returns
    -------
    package : Path
        With ``weights.keras`` and ``model.onnx``.

    Raises
    ------
    BadInput
        If a file cannot be read, holds anything but data, leaves something open that a
        package must know, or `destination` holds something already.
    MappingError
        If it is not such a network.
    BadPackage
        If what was written does not give the network's outputs.
    """
    path, directory = Path(source), Path(destination)
    checkpoint = read_torch(path, only_tensors=True)
    planes = planes_in(checkpoint, path)
    try:
        given = Given.model_validate(settings)
    except ValidationError as error:
        raise BadInput(f"{path.name}: {one_line(error)}") from error
    refuse_filled(directory)
    origin = origin_of(path, checkpoint.written_by)
    training = settled(planes, given, path, origin.sha256)

    def network(dilation: int) -> keras.Model:
        return _model(checkpoint, planes, dilation=dilation)

    training, errors = measured(training, network, checkpoint.tensors)
    identity = describe_network(training, planes, origin, errors)
    frames = _frames(training)
    model = placed(network(training.dilation or 16), training.label_shift_px or 0)
    return write_converted(
        model,
        identity,
        directory,
        image=frames.example()[None, :VOLUME_PX, :VOLUME_PX],
        scene=frames.scene(),
        origin=origin,
        prose=_prose(training, identity, origin),
        verify=verify,
    )


def planes_in(checkpoint: Checkpoint, path: Path) -> int:
    """Return the planes of depth of a checkpoint.

    Raises
    ------
    MappingError
        If it is no localization network of DeepSTORM3D.
    """
    tensors = checkpoint.tensors
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    planes = shapes.get("layer10.weight", (0,))[0]
    wanted = {
        "layer1.conv.weight": (WIDTH, 1, 3, 3),
        "layer6.conv.weight": (WIDTH, WIDTH + 1, 3, 3),
        "deconv2.conv.weight": (WIDTH, WIDTH, 3, 3),
        "layer7.conv.weight": (planes, WIDTH, 3, 3),
        "layer10.weight": (planes, planes, 1, 1),
    }
    other = [name for name, shape in wanted.items() if shapes.get(name) != shape]
    if other:
        hint = ""
        if "phase_mask" in shapes or "layer10.weight" in shapes:
            hint = "; networks that design a mask have other layers, not converted here"
        raise MappingError(
            f"{path} is not a localization network of DeepSTORM3D: "
            f"{other[0]} has the shape {shapes.get(other[0], 'of nothing')}{hint}"
        )
    return int(planes)


def placed(model: keras.Model, shift_px: int) -> keras.Model:
    """Return the network with its volume moved by fine pixels down and to the right.

    Labels of the authors' later program lie two fine pixels from where emitters are;
    moved back, volume and frame cover the same field.
    """
    if not shift_px:
        return model
    volume: Any = layers.ZeroPadding3D(
        ((0, 0), (shift_px, 0), (shift_px, 0)), name="place_pad"
    )(model.output)
    volume = layers.Cropping3D(
        ((0, 0), (0, shift_px), (0, shift_px)), name="place_crop"
    )(volume)
    return keras.Model(model.input, volume, name=model.name)


def describe_network(
    training: Training,
    planes: int,
    origin: Origin,
    errors: Mapping[str, Any] | None = None,
) -> Identity:
    """Return what a converted network is and promises."""
    low, high = training.z_range_nm
    step = (high - low) / planes
    dilation = training.dilation or 16
    halo = halo_px(dilation) + bool(training.label_shift_px)
    axis = Axis(scale=UPSAMPLING, halo=halo)
    conditions: dict[str, tuple[float, float]] = {
        "z_nm": (low, high),
        "pixel_size_nm": (training.pixel_size_nm, training.pixel_size_nm),
    }
    if training.photons is not None:
        conditions["photons"] = training.photons
    return Identity(
        name=f"deep_storm3d_converted_{origin.sha256[:8]}",
        title=f"DeepSTORM3D - converted checkpoint ({planes} planes)",
        summary=(
            "Localizes overlapping emitters in x, y and z in frames with the spots of "
            f"a phase mask, from {low / 1000:g} to {high / 1000:g} µm, with weights of "
            "the authors' PyTorch program."
        ),
        network=DEEP_STORM3D.override(
            note="Layers as in the authors' program, which published the weights.",
        ),
        contract=Contract(
            grid=Grid(output_axes="bzyxc", axes={"y": axis, "x": axis}, planes=planes),
            input=Frames(),
            task=Volume(
                threshold=0.1 if training.normalisation == "frame" else 0.05,
                ideal_peak=training.peak,
                z_first_nm=low + step / 2,
                z_step_nm=step,
                optics=training.optics,
                **(errors or {}),
            ),
            preprocessing=_scaling(training),
            training=conditions,
        ),
        tags=("single-molecule-localization-microscopy", "smlm"),
        licence=training.licence,
    )


def halo_px(dilation: int) -> int:
    """Return how far a voxel looks into the frame, camera px.

    Examples
    --------
    >>> halo_px(16), halo_px(4)
    (34, 12)
    """
    rates = (rate if rate <= dilation else 1 for rate in (1, 1, 2, 4, 8, 16))
    return sum(rates) + 2  # the fine layers: 1 px at 2x and 4 px at 4x


def _scaling(training: Training) -> tuple[dict[str, Any], ...] | None:
    """Return the declared preprocessing: by its extremes, or by two numbers."""
    if training.normalisation == "frame":
        return None
    offset, scale = training.global_factors
    return (
        {
            "id": "scale_linear",
            "kwargs": {"gain": 1 / scale, "offset": -offset / scale},
        },
    )


def _model(checkpoint: Checkpoint, planes: int, *, dilation: int) -> keras.Model:
    model = deep_storm3d(planes=planes, dilation=dilation)
    counters = [n for n in checkpoint.tensors if n.endswith("num_batches_tracked")]
    apply_moves(
        model,
        checkpoint.tensors,
        list(_moves()),
        left_out=dict.fromkeys(counters, _UNUSED),
    )
    return model


def _moves() -> Iterator[Move]:
    """State where every tensor of the program goes."""
    for target, source in _NORM.items():
        yield Move(f"norm/{target}", (f"norm.{source}",))
    for unit in _UNITS:
        yield Move(f"{unit}_conv/kernel", (f"{unit}.conv.weight",), _turned)
        yield Move(f"{unit}_conv/bias", (f"{unit}.conv.bias",))
        for target, source in _NORM.items():
            yield Move(f"{unit}_norm/{target}", (f"{unit}.bn.{source}",))
    yield Move("layer10_conv/kernel", ("layer10.weight",), _turned)
    yield Move("layer10_conv/bias", ("layer10.bias",))


def _turned(weight: np.ndarray) -> np.ndarray:
    """Turn a kernel from (out, in, y, x) to (y, x, in, out)."""
    return weight.transpose(2, 3, 1, 0)


def _frames(training: Training) -> DenseEmitterTestSet:
    """Return what simulates frames of the checkpoint's microscope."""
    optics = training.optics or PUPILS["tetrapod"]
    depths = training.z_range_nm if training.optics else (0.0, 4000.0)
    return DenseEmitterTestSet(optics=optics, z_nm=depths)


def _prose(training: Training, identity: Identity, origin: Origin) -> dict[str, str]:
    contract = identity.contract
    low, high = training.z_range_nm
    scaling = (
        "Every frame is scaled to [0, 1] by its extremes."
        if training.normalisation == "frame"
        else "Counts are taken as they are: subtract the minimum of every pixel over "
        "the recording first, as the authors did."
    )
    shift = (
        f"Labels of this checkpoint lie {training.label_shift_px} fine pixels from "
        "where emitters are; the volume is moved back, so that localizations are not "
        "shifted by 55 nm."
        if training.label_shift_px
        else "Labels of this checkpoint lie where emitters are. The published "
        "post-processing adds two fine pixels, 55 nm, which are right for later "
        "checkpoints only; nothing is added here."
    )
    known = "; ".join(f"{what}: {where}" for what, where in training.stated.items())
    checked = training.checked or (
        "Not scored: the checkpoint came without its phase mask, without which no "
        "frames can be simulated. `zoo evaluate FOLDER --input FILE --truth FILE` "
        "measures it on frames whose truth is known."
    )
    return {
        "Intended use": (
            "Frames of the microscope and phase mask that the weights were trained for "
            f"({training.pixel_size_nm:g} nm camera pixel, emitters {low / 1000:g} to "
            f"{high / 1000:g} µm deep), and comparing with published results."
        ),
        "Not for": (
            "Other phase masks, depths or camera pixels; frames smaller than a spot."
        ),
        "Data": (
            "The test input is one simulated emitter; it shows that every weights "
            "format computes the same."
        ),
        "Training": (
            f"Not trained here. Converted from `{origin.file}` (SHA-256 "
            f"`{origin.sha256}`): every tensor of it is used once, every weight of the "
            f"network set once. Where the rest comes from: {known}."
        ),
        "Validation": checked,
        "Limits": (
            f"{scaling} {shift} Emitters nearer than 20 px to the border were never "
            "trained. Other programs take whole frames: tiles without an overlap of "
            f"{contract.grid.axes['x'].halo} px show seams."
        ),
    }


__all__ = [
    "SETTINGS_FILE",
    "convert",
    "describe_network",
    "halo_px",
    "load_deep_storm3d",
    "placed",
    "planes_in",
]
