"""The A-net of ANNA-PALM as its authors' TensorFlow 1 program saves it.

The program (AnetLib; Ouyang et al. 2018, doi:10.1038/nbt.4106) names its variables by
scopes: ``generator/encoder_2/conv/filter``, ``.../conv1x1/filter`` for the switch,
``.../batchnorm/offset`` and ``scale``, ``generator/decoder_2/resizeconv/filter``.
Kernels have the layout of Keras.  Its normalisation has the statistics of the batch and
no others.  Critic, consistency network, counters and what Adam keeps of each variable
stand in the same file; nothing is made of them.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from converters.mapping import MappingError, Move, apply_moves
from converters.packages import Origin, origin_of, refuse_filled, write_converted
from converters.tensor_bundle import bundle_prefix, read_bundle
from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Grid
from zoo.core.random import generator
from zoo.inputs.renderings import Renderings
from zoo.models.anna_palm import ANNA_PALM, EPSILON, WIDEST, anna_palm
from zoo.package.describe import Identity
from zoo.simulate.renderings import RenderingPairs, histogram
from zoo.tasks.image import ImageRestoration

TILE = 512
"""Edge of the images that the program trains on, px."""

PIXEL_NM = 20.0
"""Pixel of its renderings, nm."""

STRUCTURES = ("microtubules", "nuclear_pores", "actin", "mitochondria")
"""Structures in the order of the published switch."""

LICENCE = ""
"""Nothing in a checkpoint states one."""

_SCOPE = "generator/"
_GREY_LEVELS = 255.0
_FRAMES = 300


def load_anna_palm(path: str | Path, *, tile: int | None = None) -> keras.Model:
    """Load an A-net of the authors' program.

    Width, depth, switch and number of channels follow from the file.  A network that
    sees no widefield image becomes one whose weights for it are zero.

    Parameters
    ----------
    path
        Checkpoint, as for `converters.tensor_bundle.bundle_prefix`.
    tile
        Input height and width, px; None for any multiple.

    Returns
    -------
    model : keras.Model
        Uncompiled `zoo.models.anna_palm.anna_palm` with the statistics of the batch.

    Raises
    ------
    BadInput
        If the file cannot be read, or `tile` does not fit the depth.
    MappingError
        If it is not such a network.
    """
    found, _ = read_bundle(path, wanted=_is_weight)
    tensors = {name.removeprefix(_SCOPE): values for name, values in found.items()}
    levels, switch = _layout(tensors, path)
    if tile is not None and (tile < 1 or tile % 2**levels):
        raise BadInput(f"tile must be a multiple of {2**levels} px, not {tile}")
    first = tensors["encoder_1/conv/filter"]
    model = anna_palm(
        width=first.shape[-1],
        levels=levels,
        switch=switch,
        norm="batch",
        scaling="published",
        tile=tile,
    )
    moves: list[Move] = []
    for level in range(1, levels + 1):
        for ours, theirs, conv in (
            (f"enc{level}", f"encoder_{level}", "conv"),
            (f"dec{level}", f"decoder_{level}", "resizeconv"),
        ):
            wider = _with_widefield if theirs == "encoder_1" else None
            moves.append(
                Move(f"{ours}_conv/kernel", (f"{theirs}/{conv}/filter",), wider)
            )
            if switch and conv == "conv":
                moves.append(
                    Move(f"{ours}_switch/kernel", (f"{theirs}/conv1x1/filter",))
                )
            if level == 1:
                continue
            offset, scale = (f"{theirs}/batchnorm/{n}" for n in ("offset", "scale"))
            moves.append(Move(f"{ours}_norm/beta", (offset,)))
            moves.append(Move(f"{ours}_norm/gamma", (scale,)))
            # the statistics are taken in front of the layer, which changes nothing more
            still = np.zeros(tensors.get(offset, np.zeros(1)).shape, np.float32)
            for role, values in (("mean", still), ("variance", still + 1 - EPSILON)):
                added = f"{theirs}/batchnorm/moving_{role}"
                tensors[added] = values
                moves.append(Move(f"{ours}_norm/moving_{role}", (added,)))
    apply_moves(model, tensors, moves)
    return model


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    tile: int = TILE,
    verify: bool = True,
) -> Path:
    """Turn a checkpoint of the authors' program into a package.

    Parameters, result and errors are those of `converters.checkpoints.dfcan.convert`,
    but that `source` is a checkpoint's ``.index``, the beginning of its files' names,
    or their folder.
    """
    directory = Path(destination)
    refuse_filled(directory)
    model = load_anna_palm(source, tile=tile)
    prefix = bundle_prefix(source)
    data = sorted(prefix.parent.glob(f"{prefix.name}.data-*-of-*"))
    origin = origin_of(data[0], {})
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
    """Return what is known about an A-net of somebody else."""
    _, tile, _, channels = model.input_shape
    switch = channels == 3
    names = ("localizations", "widefield", "structure")[:channels]
    gains = [1.0, _GREY_LEVELS, 1.0][:channels]
    wide = int(model.get_layer("enc1_conv").filters)
    return Identity(
        name=f"anna_palm_converted_{origin.sha256[:8]}",
        title="ANNA-PALM - converted checkpoint",
        summary=(
            "Turns the localizations of few frames, with a widefield image of the "
            "field or without, into a dense rendering, with weights of the authors' "
            "program. The checkpoint does not say what they were trained on."
        ),
        network=ANNA_PALM.override(
            note="Normalisation and scaling by each tile, as in the authors' program."
            if wide == 64
            else f"{wide} channels in the first layer instead of the published 64."
        ),
        contract=Contract(
            grid=Grid.square(size=tile, overlap=tile // 4, channels=names),
            input=Renderings(
                pixel_size_nm=PIXEL_NM,
                second="widefield",
                structures=STRUCTURES if switch else (),
            ),
            task=ImageRestoration(),
            preprocessing=(
                # grey levels of a widefield image, whose range is at least fifty
                {
                    "id": "scale_linear",
                    "kwargs": {"axis": "channel", "gain": gains, "offset": 0.0},
                },
                {"id": "clip", "kwargs": {"min": 0.0, "max": _GREY_LEVELS}},
            ),
        ),
        tags=("single-molecule-localization-microscopy", "smlm", "storm", "palm", "2d"),
        licence=LICENCE,
    )


def test_image(contract: Contract) -> np.ndarray:
    """Return a simulated rendering of 300 frames of microtubules, (1, y, x, c)."""
    tile = contract.declared_size("y") or TILE
    source = RenderingPairs(switch=len(contract.grid.channels) == 3)
    rng = generator(2018, 0, 0)
    scene = source.scene(rng, "microtubules", tile)
    table = source.table(rng, scene, first=0, frames=_FRAMES)
    counts = histogram(table, tile, source.pixel_size_nm)
    return source.joined(counts, source.widefield(rng, scene), scene)[None]


def prose(tile: int, origin: Origin) -> dict[str, str]:
    """Return the texts of the card of a converted checkpoint, by heading."""
    return {
        "Intended use": (
            "Comparing with published results, and tables like those that the weights "
            "were trained on. Whoever has the checkpoint knows which these are; it "
            "does not say so."
        ),
        "Not for": (
            "Structures that the training did not show, other pixels than 20 nm, and "
            "measurements: the image is an estimate, and filaments are known to be "
            "invented where there is nothing but background."
        ),
        "Data": (
            "Unknown to this package. The test input is a simulated acquisition of "
            "microtubules and only shows that every weights format computes the same."
        ),
        "Training": (
            f"Not trained here. Converted from `{origin.file}` (SHA-256 "
            f"`{origin.sha256}`), a checkpoint of the authors' TensorFlow 1 program: "
            "every tensor of its generator is used once, every weight of the network "
            "set once. No licence is stated: the program's library is under MIT, the "
            "rest of it under a licence that forbids commercial use; ask whoever "
            "trained the weights before passing them on."
        ),
        "Validation": (
            "Not scored. `zoo evaluate FOLDER --input FILE --truth FILE` measures it "
            "on images whose truth is known."
        ),
        "Limits": (
            f"The network takes {tile} px and normalises by what these hold, so that "
            "results depend on the tile, as in the program. Larger fields are cut into "
            "overlapping tiles. The widefield image is stretched to 255 grey levels; "
            "the program leaves one of less than 50 dark."
        ),
    }


def _is_weight(name: str) -> bool:
    """Say whether a variable is one of the generator's, and not what Adam keeps."""
    return name.startswith(_SCOPE) and not re.search(r"/Adam(_\d+)?$", name)


def _layout(tensors: Mapping[str, np.ndarray], path: str | Path) -> tuple[int, bool]:
    """Return the number of levels, and whether there is a switch."""
    first = tensors.get("encoder_1/conv/filter")
    if first is None:
        raise MappingError(
            f"{path} is not an A-net: it has no {_SCOPE}encoder_1/conv/filter"
        )
    if first.ndim != 4 or first.shape[:2] != (4, 4) or not first.shape[-1]:
        raise MappingError(
            f"{path}: kernels of {first.shape} are not those of an A-net"
        )
    for name in tensors:
        if "/deconv/" in name:
            raise MappingError(
                f"{path} enlarges by transposed convolutions ({name}); only the "
                "published form, resizing and convolution, is supported"
            )
        if re.match(r"decoder_1_\d", name):
            raise MappingError(
                f"{path} returns an image and its uncertainty ({name}); only networks "
                "of one output are supported"
            )
    if first.shape[2] not in (1, 2):
        raise MappingError(
            f"{path} takes {first.shape[2]} channels; supported are localizations, and "
            "a widefield image"
        )
    control = tensors.get("encoder_1/conv1x1/filter")
    if control is not None and control.shape[2:3] != (1,):
        raise MappingError(
            f"{path} has a switch of {control.shape[2]} channels; only the published "
            "number is supported"
        )
    levels = 1
    while f"encoder_{levels + 1}/conv/filter" in tensors and levels < 12:
        levels += 1
    _check_kernels(tensors, levels, path)
    return levels, control is not None


def _check_kernels(
    tensors: Mapping[str, np.ndarray], levels: int, path: str | Path
) -> None:
    """Compare kernels with the widths, before memory is taken for a network of them."""
    first = tensors["encoder_1/conv/filter"].shape
    widths = [first[3] * min(2**level, WIDEST) for level in range(levels)]
    expected = {}
    for level, width in enumerate(widths, start=1):
        before = widths[level - 2] if level > 1 else 1
        entering = first[2] if level == 1 else before
        expected[f"encoder_{level}/conv/filter"] = (4, 4, entering, width)
        joined = width if level == levels else 2 * width
        expected[f"decoder_{level}/resizeconv/filter"] = (3, 3, joined, before)
    for name, shape in expected.items():
        if name not in tensors:
            raise MappingError(f"{path} is not an A-net: it has no {_SCOPE}{name}")
        if tensors[name].shape != shape:
            raise MappingError(
                f"{path}: {_SCOPE}{name} has the shape {tensors[name].shape}, where "
                f"{shape} is expected"
            )


def _with_widefield(kernel: np.ndarray) -> np.ndarray:
    """Return the first kernel for two channels, the second one unseen if missing."""
    if kernel.shape[2] == 2:
        return kernel
    return np.concatenate([kernel, np.zeros_like(kernel)], axis=2)
