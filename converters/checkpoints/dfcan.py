"""DFCAN and the DFGAN generator as their authors' Keras 2 program saves them.

The program names no layers: a checkpoint lists ``conv2d_1``, ``conv2d_2``, … in the
order in which the network is built, between ``lambda``, ``multiply`` and ``add`` layers
without weights.  That order is the only key (Qiao et al. 2021,
doi:10.1038/s41592-020-01048-5).

`load_dfcan` gives the network, `convert` a package.
"""

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np

from converters.mapping import MappingError, Move, apply_moves
from converters.packages import Origin, origin_of, refuse_filled, write_converted
from converters.readers import Checkpoint, read_keras2
from zoo.core.contract import Contract, Input
from zoo.core.grid import Grid
from zoo.core.random import generator
from zoo.inputs.frames import Frames
from zoo.inputs.raw_frames import RawFrames
from zoo.layers.attention import Spectrum
from zoo.models.dfcan import DFCAN, dfcan
from zoo.package.describe import Identity
from zoo.simulate.sim_images import RAW_FRAMES, SimPairs
from zoo.simulate.sim_scenes import expose
from zoo.tasks.image import ImageRestoration

LAYOUTS = {"DFCAN": (4, 4, 0.8), "DFGAN": (5, 10, 0.1)}
"""Groups, blocks to a group and exponent of the two published networks."""

TILE = 128
"""Height and width of the program's training patches and of its resized spectra, px:
the only size at which the attention sees amplitudes as in the training."""

OVERLAP = 1 / 4
"""Part of a tile by which neighbours in a larger image overlap and are blended."""

LICENCE = "MIT"
"""Of the authors' program, which is all that can be known."""

_PHOTONS = 150.0  # signal level of the test image


def load_dfcan(
    path: str | Path,
    *,
    tile: int | None = None,
    spectrum_px: int = 128,
    spectrum: Spectrum = "published",
    groups: int | None = None,
    blocks: int | None = None,
    gamma: float | None = None,
) -> keras.Model:
    """Load a checkpoint of the authors' program.

    Input channels, scale and width follow from the shapes in the file, and which of
    the two published networks it is from the number of its layers.  The spectra are
    oriented, scaled and resized as in that program.

    Parameters
    ----------
    path
        File from ``save`` or ``save_weights``; the program calls it ``weights.best``.
    tile
        Input height and width, px; None for any size.
    spectrum_px
        Size to which spectra are resized; the program's constant.
    spectrum
        ``published`` reproduces the program at any size; ``normalised`` does at
        `spectrum_px`, the size of its training, and behaves elsewhere as it does there.
    groups, blocks, gamma
        Residual groups, blocks in each and exponent of the amplitudes, for a network
        that is neither of `LAYOUTS`.

    Returns
    -------
    model : keras.Model
        Uncompiled `zoo.models.dfcan.dfcan`.

    Raises
    ------
    BadInput
        If the file cannot be read.
    MappingError
        If it is not such a network.
    """
    checkpoint = read_keras2(path)
    pairs = _convolutions(checkpoint, path)
    groups, blocks, gamma = _layout(len(pairs), (groups, blocks, gamma), path)
    _check_exponent(checkpoint, gamma, path)
    head, tail = (checkpoint.tensors[pairs[place][0]].shape for place in (0, -2))
    if len(head) != 4 or len(tail) != 4 or not _scale(tail[3], head[3]):
        raise MappingError(
            f"{path} is not a DFCAN: its first and last-but-one convolutions have the "
            f"shapes {head} and {tail}"
        )
    model = dfcan(
        scale=_scale(tail[3], head[3]),
        channels=head[2],
        tile=tile,
        width=head[3],
        groups=groups,
        blocks=blocks,
        gamma=gamma,
        spectrum=spectrum,
        resize="legacy",
        spectrum_px=spectrum_px,
    )
    moves = [
        Move(f"{name}/{kind}", (source,))
        for name, pair in zip(_our_names(groups, blocks), pairs, strict=True)
        for kind, source in zip(("kernel", "bias"), pair, strict=True)
    ]
    apply_moves(model, checkpoint.tensors, moves)
    return model


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    tile: int = TILE,
    verify: bool = True,
) -> Path:
    """Turn a checkpoint of the authors' program into a package.

    The package is the network as that program ran it: spectra unnormalised, in its
    orientation, resized by its rule, on tiles of the size of its training patches,
    after scaling by the extremes of all channels.  It has no recipe, states no training
    conditions and no scores, because the checkpoint does not tell them.

    Parameters
    ----------
    source
        File from ``save`` or ``save_weights``, of 1 channel (widefield), 9 or 25 (raw
        SIM frames) or any other number, and any scale; both follow from its tensors.
    destination
        Folder to create, the package itself.
    tile
        Height and width that the network takes, px.
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
        If it is not a DFCAN, such as the generator of DFGAN.
    BadPackage
        If what was written does not give the network's outputs.

    Notes
    -----
    The ZeroCostDL4Mic notebook of the same name writes files of the same layout, whose
    training resized spectra to the edge of its patches.  They can be told apart only by
    who has them, and come out right where those patches had 128 px.
    """
    path, directory = Path(source), Path(destination)
    checkpoint = read_keras2(path)
    count = len(_convolutions(checkpoint, path))
    groups, blocks, _ = LAYOUTS["DFGAN"]
    if count == _convolution_count(groups, blocks):
        raise MappingError(
            f"{path} holds the generator of DFGAN, which is another network; convert "
            "it with --as dfgan"
        )
    groups, blocks, gamma = LAYOUTS["DFCAN"]
    model = load_dfcan(path, tile=tile, groups=groups, blocks=blocks, gamma=gamma)
    refuse_filled(directory)
    origin = origin_of(path, checkpoint.written_by)
    identity = describe_network(model, origin)
    return write_converted(
        model,
        identity,
        directory,
        image=test_image(identity.contract),
        origin=origin,
        prose=prose(tile, origin),
        verify=verify,
    )


def describe_network(model: keras.Model, origin: Origin) -> Identity:
    """Return what a converted network is and promises.

    Raw frames have names where they are those of three orientations with three phases
    or of five with five; their mean is then a widefield image of the field.
    """
    _, tile, _, channels = _shape(model)
    scale = _shape(model, output=True)[1] // tile
    turns = {RAW_FRAMES: 3, 25: 5}.get(channels)
    names = tuple(f"image_{number}" for number in range(1, channels + 1))
    taken, source = f"{channels} images", Frames(scaling="image")
    if channels == 1:
        names, taken = ("intensity",), "one widefield image"
        source = Frames(scaling="image", diffraction_limited=True)
    raw: Input = source
    if turns is not None:
        taken = f"{channels} raw SIM frames"
        raw = RawFrames(orientations=turns, phases=turns)
        count = range(1, turns + 1)
        names = tuple(f"angle{a}_phase{p}" for a in count for p in count)
    width = int(model.get_layer("head_conv").filters)
    grid = Grid.square(
        scale=scale, size=tile, overlap=round(OVERLAP * tile), channels=names
    )
    return Identity(
        name=f"dfcan_converted_{origin.sha256[:8]}",
        title=f"DFCAN - converted checkpoint ({channels} channels - {scale}x)",
        summary=(
            f"Turns {taken} into one image on a grid {scale} times as fine, with "
            "weights of the authors' program. The checkpoint does not say what they "
            "were trained on."
        ),
        network=DFCAN.override(
            published=width == 64,
            note=(
                "Spectra unnormalised, oriented and resized as in the authors' program."
            ),
        ),
        contract=Contract(grid=grid, input=raw, task=ImageRestoration()),
        tags=(
            "structured-illumination-microscopy",
            "fluorescence-light-microscopy",
            "2d",
        ),
        licence=LICENCE,
    )


def _shape(model: Any, *, output: bool = False) -> tuple[int, int, int, int]:
    return model.output_shape if output else model.input_shape


def test_image(contract: Contract) -> np.ndarray:
    """Return a simulated image of microtubules, (1, y, x, c) float32 counts."""
    channels = len(contract.grid.channels)
    modality = "sim" if channels == RAW_FRAMES else "widefield"
    light = SimPairs(modality=modality, crop_px=contract.declared_size("y") or TILE)
    rng = generator(2021, 0, 0)
    scene = light.scene(rng, "microtubules")
    camera = light.camera.draw(rng)
    counts = [
        expose(scene, rng, camera, _PHOTONS, origin=(0, 0))
        for _ in range(channels // light.exposures)
    ]
    frames = np.moveaxis(np.concatenate(counts), 0, -1).astype(np.float32)
    return np.ascontiguousarray(frames[None])


def prose(tile: int, origin: Origin) -> dict[str, str]:
    """Return the texts of the card of a converted checkpoint, by heading."""
    programs = ", ".join(f"{name} {text}" for name, text in origin.written_by.items())
    return {
        "Intended use": (
            "Comparing with published results, and images like those that the "
            "weights were trained on. Whoever has the checkpoint knows which these "
            "are; nothing in it says so."
        ),
        "Not for": (
            "Other structures, pixel sizes, magnifications or signal levels than those "
            "of the training: the image will look sharp and show what the training "
            "images showed. Measurements of brightness: the output has no unit."
        ),
        "Data": (
            "Unknown to this package. The test input is a simulated image of "
            "microtubules and only shows that every weights format computes the same."
        ),
        "Training": (
            f"Not trained here. Converted from `{origin.file}` (SHA-256 "
            f"`{origin.sha256}`"
            + (f", written by {programs}" if programs else "")
            + "), a checkpoint in the layout of the authors' Keras 2 program: every "
            "tensor of it is used once, every weight of the network set once. The "
            f"licence stated here, {LICENCE}, is that of their program; ask whoever "
            "trained the weights before passing them on."
        ),
        "Validation": (
            "Not scored. `zoo evaluate FOLDER --input FILE --truth FILE` measures it "
            "on images whose truth is known."
        ),
        "Limits": (
            f"The network takes {tile} px, the size of the program's training patches; "
            "larger images are cut into overlapping tiles of that size, which the "
            "program itself does not do: run on a whole image, its attention sees "
            "larger amplitudes than in the training. Spectra are resized to "
            f"{TILE} px; a checkpoint of the ZeroCostDL4Mic notebook has the same "
            "layout, but its spectra have the size of its patches."
        ),
    }


def _convolutions(checkpoint: Checkpoint, path: str | Path) -> list[tuple[str, str]]:
    """Return the names of kernel and bias of every convolution, in order."""
    pairs: list[tuple[str, str]] = []
    numbers: list[int] = []
    for layer, names in checkpoint.layers.items():
        if not names:
            continue
        if [name.rpartition("/")[2] for name in names] != ["kernel", "bias"]:
            raise MappingError(
                f"{path} is not a DFCAN: layer {layer} holds {', '.join(names)} "
                "instead of a kernel and a bias"
            )
        pairs.append((names[0], names[1]))
        found = re.fullmatch(r"conv2d(?:_(\d+))?", layer)
        numbers += [int(found[1] or 0)] if found else []
    if len(numbers) == len(pairs) and numbers != sorted(numbers):
        raise MappingError(
            f"{path} does not list its convolutions in the order of their numbers, "
            "which is the only key to their places"
        )
    return pairs


def _layout(
    count: int, given: tuple[int | None, int | None, float | None], path: str | Path
) -> tuple[int, int, float]:
    """Return groups, blocks and exponent: as given, or as the number of layers says."""
    for groups, blocks, gamma in LAYOUTS.values():
        stated = tuple(
            own if own is not None else published
            for own, published in zip(given, (groups, blocks, gamma), strict=True)
        )
        if count == _convolution_count(int(stated[0]), int(stated[1])):
            return int(stated[0]), int(stated[1]), float(stated[2])
    known = ", ".join(
        f"{name} has {_convolution_count(groups, blocks)}"
        for name, (groups, blocks, _) in LAYOUTS.items()
    )
    raise MappingError(
        f"{path} has {count} convolutions ({known}); state groups and blocks if it is "
        "another size of the network"
    )


def _convolution_count(groups: int, blocks: int) -> int:
    return 3 + 5 * groups * blocks


def _check_exponent(checkpoint: Checkpoint, gamma: float, path: str | Path) -> None:
    """Compare the exponent with the one in the description, if the file has one."""
    layers = (checkpoint.config or {}).get("config", {}).get("layers", [])
    for layer in layers:
        stated = (layer["config"].get("arguments") or {}).get("gamma")
        if stated is not None and abs(stated - gamma) > 1e-6:
            raise MappingError(
                f"{path} was made with the exponent {stated}, not {gamma}; state it "
                "as gamma"
            )


def _scale(tail: int, width: int) -> int:
    """Return the factor of the pixel shuffle, 0 if there is no whole one."""
    scale = round((tail / width) ** 0.5)
    return scale if scale > 1 and scale**2 * width == tail else 0


def _our_names(groups: int, blocks: int) -> list[str]:
    """Return the names of the convolutions in the order of the program."""
    roles = ("conv1", "conv2", "attention_spectrum", "attention_squeeze")
    return [
        "head_conv",
        *(
            f"group{group}_block{block}_{role}"
            for group in range(1, groups + 1)
            for block in range(1, blocks + 1)
            for role in (*roles, "attention_excite")
        ),
        "tail_conv",
        "output_conv",
    ]
