"""DFCAN and the DFGAN generator as their authors' Keras 2 program saves them.

The program names no layers: a checkpoint lists ``conv2d_1``, ``conv2d_2``, … in the
order in which the network is built, between ``lambda``, ``multiply`` and ``add`` layers
without weights.  That order is the only key (Qiao et al. 2021,
doi:10.1038/s41592-020-01048-5).
"""

import re
from pathlib import Path

import keras

from converters.mapping import MappingError, Move, apply_moves
from converters.readers import Checkpoint, read_keras2
from zoo.layers.fourier import Spectrum
from zoo.models.dfcan import dfcan

LAYOUTS = {"DFCAN": (4, 4, 0.8), "DFGAN": (5, 10, 0.1)}
"""Groups, blocks to a group and exponent of the two published networks."""


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
        if count == 3 + 5 * stated[0] * stated[1]:
            return int(stated[0]), int(stated[1]), float(stated[2])
    known = ", ".join(
        f"{name} has {3 + 5 * groups * blocks}"
        for name, (groups, blocks, _) in LAYOUTS.items()
    )
    raise MappingError(
        f"{path} has {count} convolutions ({known}); state groups and blocks if it is "
        "another size of the network"
    )


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
