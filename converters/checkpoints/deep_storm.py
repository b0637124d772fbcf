"""Deep-STORM and the networks of AutoDS as their authors' Keras programs save them.

Deep-STORM (Nehme et al. 2018, doi:10.1364/OPTICA.5.000458) is a pair of files: weights
in HDF5, with layers ``conv-CNNF1``, ``BN-CNNF1``, … ``Prediction``, and a MATLAB file
with the two numbers ``mean_test`` and ``std_test`` that standardise a frame scaled to
[0, 1].  The ZeroCostDL4Mic notebook writes the same layers, and both numbers to
``model_metadata.mat``.  Keras 1 called kernels ``…_W`` and the moving variance
``…_running_std``; both are read.

AutoDS ("One-click image reconstruction in single-molecule localization microscopy via
deep learning", Saguy et al. 2025, PMC12647142) has a graph of its own, layers ``F1``,
``BN_1``, … ``conv_upsample1``, …, works at camera resolution, and standardises every
frame by its own mean and deviation.  One of its several networks becomes one package;
which of them suits a patch is a choice that AutoDS makes and this project does not.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from converters.autods import AUTODS, HALO_PX, WIDTHS, autods
from converters.deep_storm_files import FACTOR, Scalars, read_scalars, weights_in
from converters.mapping import MappingError, Move, apply_moves
from converters.packages import Origin, origin_of, refuse_filled, write_converted
from converters.readers import Checkpoint, read_keras2
from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.random import generator
from zoo.inputs.frames import Frames
from zoo.models.deep_storm import DEEP_STORM, deep_storm
from zoo.package.describe import Identity
from zoo.physics.spots import GaussianPsf
from zoo.tasks.density import Density

LICENCE = "MIT"
"""Of both programs, which is all that can be known."""

TILE = 64
"""Height and width that other programs are told to use, px."""

EPSILON = 1e-3
"""What normalisations add to the variance, the default of Keras."""

_HALO = {8: 4, 4: 8}
"""Camera pixels at the border of a tile that others would change, by upsampling."""
_ROLES = {"W": "kernel", "b": "bias", "running_mean": "moving_mean",
          "running_std": "moving_variance"}  # fmt: skip
"""Weights of Keras 1 by their names since Keras 2."""


def load_deep_storm(path: str | Path, *, upsampling: int = 8) -> keras.Model:
    """Load weights of Deep-STORM or AutoDS.

    Parameters
    ----------
    path
        HDF5 file from ``save`` or ``save_weights`` of Keras 1 or 2.
    upsampling
        Fine pixels per camera pixel of a Deep-STORM, 4 or 8, which its weights do not
        tell; those of AutoDS do.

    Returns
    -------
    model : keras.Model
        Uncompiled `zoo.models.deep_storm.deep_storm` or `autods`; both take frames
        that are standardised already.

    Raises
    ------
    BadInput
        If the file cannot be read.
    MappingError
        If it is neither.
    """
    checkpoint = read_keras2(path)
    if not _is_autods(checkpoint, Path(path)):
        return _filled(deep_storm(upsampling=upsampling), checkpoint, _DEEP_STORM)
    doublings = sum(name.startswith("conv_upsample") for name in checkpoint.layers)
    model = autods(upsampling=2 ** max(doublings, 1))
    return _filled(model, checkpoint, _autods_names(doublings))


def convert(
    source: str | Path, destination: str | Path, *, verify: bool = True
) -> Path:
    """Turn weights of Deep-STORM or AutoDS into a package.

    The package scales frames as the program does; all of it is declared, so that
    every consumer does the same.

    Parameters
    ----------
    source
        HDF5 file, or the folder that holds one.  For Deep-STORM the MATLAB file with
        ``mean_test`` and ``std_test`` must lie in the same folder.
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
        If a file is missing or cannot be read, or `destination` holds something.
    MappingError
        If the weights are neither Deep-STORM's nor AutoDS's.
    BadPackage
        If what was written does not give the network's outputs.
    """
    path, directory = weights_in(Path(source)), Path(destination)
    checkpoint = read_keras2(path)
    alone = _is_autods(checkpoint, path)
    scalars = read_scalars(path, needed=not alone)
    upsampling = 8 if scalars is None else scalars.upsampling
    model = load_deep_storm(path, upsampling=upsampling)
    refuse_filled(directory)
    origin = origin_of(path, checkpoint.written_by)
    identity = describe_network(model, scalars, origin, own_graph=alone)
    return write_converted(
        model,
        identity,
        directory,
        image=_test_frame(),
        origin=origin,
        prose=_prose(identity, scalars, origin),
        verify=verify,
    )


def describe_network(
    model: keras.Model, scalars: Scalars | None, origin: Origin, *, own_graph: bool
) -> Identity:
    """Return what a converted network is and promises.

    Parameters
    ----------
    model
        The network.
    scalars
        Numbers that lay beside the weights.
    origin
        The checkpoint.
    own_graph
        Whether it is a network of AutoDS.
    """
    factor = FACTOR if scalars is None else scalars.factor
    # what price and blur leave of an isolated spike
    peak = round((factor - math.pi) / 2, 1)
    space = ["channel", "y", "x"]
    if own_graph or scalars is None:
        upsampling = 2 ** sum(
            isinstance(layer, layers.UpSampling2D) for layer in model.layers
        )
        grid = Grid.square(scale=upsampling, halo=HALO_PX, outputs=("density",))
        before: tuple[dict[str, Any], ...] = (
            {"id": "zero_mean_unit_variance", "kwargs": {"axes": space, "eps": 1e-6}},
        )
        name, network = "autods", AUTODS
    else:
        upsampling = scalars.upsampling
        grid = Grid.square(
            scale=upsampling,
            halo=_HALO[upsampling],
            step=8 // upsampling,
            outputs=("density",),
        )
        percentiles = {"min_percentile": 0.0, "max_percentile": 100.0, "eps": 1e-6}
        number = {"mean": scalars.mean, "std": scalars.std}
        before = (
            {"id": "scale_range", "kwargs": {"axes": space} | percentiles},
            {"id": "fixed_zero_mean_unit_variance", "kwargs": number},
        )
        name, network = "deep_storm", DEEP_STORM
    title = "AutoDS" if own_graph else "Deep-STORM"
    return Identity(
        name=f"{name}_converted_{origin.sha256[:8]}",
        title=f"{title} - converted checkpoint ({upsampling}x)",
        summary=(
            "Finds overlapping fluorophores in single frames of a localization "
            "microscopy recording and returns their density on a grid "
            f"{upsampling} times finer, with weights of the authors' program. The "
            "checkpoint does not say what they were trained on."
        ),
        network=network,
        contract=Contract(
            grid=grid,
            input=Frames(scaling=None if own_graph else "spots"),
            task=Density(threshold=0.2, ideal_peak=peak, window_px=3),
            preprocessing=before,
            tile={"y": TILE, "x": TILE},
        ),
        tags=(
            "single-molecule-localization-microscopy",
            "smlm",
            "storm",
            "2d",
            "fluorescence-light-microscopy",
        ),
        licence=LICENCE,
    )


def _is_autods(checkpoint: Checkpoint, path: Path) -> bool:
    """Say which of the two networks it is, by the names of layers."""
    names = checkpoint.layers
    if "conv-CNNF1" in names and "Prediction" in names:
        return False
    if "F1" in names and "conv_upsample1" in names and "Prediction" in names:
        return True
    listed = ", ".join(list(names)[:4]) or "none"
    raise MappingError(
        f"{path} is neither Deep-STORM (layers conv-CNNF1, …, Prediction) nor AutoDS "
        f"(F1, …, conv_upsample1, …, Prediction); its layers are {listed}, …"
    )


_DEEP_STORM = {
    **{f"conv-CNNF{n}": f"f{n}_conv" for n in range(1, 8)},
    **{f"BN-CNNF{n}": f"f{n}_norm" for n in range(1, 8)},
    "Prediction": "density",
}


def _autods_names(doublings: int) -> dict[str, str]:
    """Return our names of layers by theirs."""
    count = len(WIDTHS) + 1
    return (
        {f"F{n}": f"f{n}_conv" for n in range(1, count)}
        | {f"BN_{n}": f"f{n}_norm" for n in range(1, count)}
        | {f"conv_upsample{n}": f"up{n}_conv" for n in range(1, doublings + 1)}
        | {f"BN_upsample{n}": f"up{n}_norm" for n in range(1, doublings + 1)}
        | {"Prediction": "density"}
    )


def _filled(
    model: keras.Model, checkpoint: Checkpoint, names: dict[str, str]
) -> keras.Model:
    _check_epsilon(checkpoint)
    apply_moves(model, checkpoint.tensors, list(_moves(checkpoint, names)))
    return model


def _check_epsilon(checkpoint: Checkpoint) -> None:
    """Compare what normalisations add to the variance, if the file describes them."""
    config: Any = (checkpoint.config or {}).get("config", {})
    described = config.get("layers", []) if isinstance(config, dict) else config
    for layer in described:
        stated = layer["config"].get("epsilon", EPSILON)
        if abs(stated - EPSILON) > 1e-9:
            raise MappingError(
                f"layer {layer['config'].get('name')!r} adds {stated:g} to variances; "
                f"networks of these programs add {EPSILON:g}"
            )


def _moves(checkpoint: Checkpoint, names: dict[str, str]) -> Iterator[Move]:
    for theirs, ours in names.items():
        for tensor in checkpoint.layers.get(theirs, ()):
            # Keras 1 repeats the layer in front of the weight
            weight = tensor.rpartition("/")[2].removeprefix(f"{theirs}_")
            yield Move(f"{ours}/{_ROLES.get(weight, weight)}", (tensor,))


def _test_frame() -> np.ndarray:
    """Return a frame of simulated emitters, (1, y, x, 1) float32 counts."""
    rng, size, pixel_nm = generator(2018, 0, 0), TILE, 100.0
    psf = GaussianPsf(pixel_nm=pixel_nm, sigma_x_nm=110.0)
    x, y = rng.uniform(0, size * pixel_nm, (2, 60))
    spots = psf.images(x, y, np.zeros(60), (size, size))
    photons = np.tensordot(rng.uniform(1000, 3000, 60), spots, 1) + 20.0
    return (100.0 + rng.poisson(photons))[None, ..., None].astype(np.float32)


def _prose(
    identity: Identity, scalars: Scalars | None, origin: Origin
) -> dict[str, str]:
    own_graph = identity.network.name == AUTODS.name
    programs = ", ".join(f"{name} {text}" for name, text in origin.written_by.items())
    if own_graph or scalars is None:
        scaling = (
            "Frames are standardised by their own mean and deviation, as AutoDS does "
            "with whole frames before it cuts them. AutoDS chooses one of several "
            "networks for every patch and takes 0.5 off its output; this package is "
            "one of the networks, alone. "
        )
        shift = "half a fine pixel too far right and down"
    else:
        scaling = (
            "Frames are scaled to [0, 1] and standardised with the stored mean "
            f"{scalars.mean:.5g} and deviation {scalars.std:.5g}. "
        )
        shift = "half a fine pixel too far left and up"
    return {
        "Intended use": (
            "Comparing with published results, and recordings like those that the "
            "weights were trained for. Whoever has the checkpoint knows which these "
            "are; nothing in it says so."
        ),
        "Not for": (
            "Other pixel sizes, widths of spots, densities of emitters or signal "
            "levels than those of the training. Counting photons: the density has no "
            "unit."
        ),
        "Data": (
            "Unknown to this package. The test input is a frame of simulated emitters "
            "and only shows that every weights format computes the same."
        ),
        "Training": (
            f"Not trained here. Converted from `{origin.file}` (SHA-256 "
            f"`{origin.sha256}`"
            + (f", written by {programs}" if programs else "")
            + "), a checkpoint in the layout of the authors' Keras program: every "
            "tensor of it is used once, every weight of the network set once. The "
            f"licence stated here, {LICENCE}, is that of their program; ask whoever "
            "trained the weights before passing them on."
        ),
        "Validation": (
            "Not scored. `zoo evaluate FOLDER --input FILE --truth FILE` measures it "
            "on recordings whose truth is known."
        ),
        "Limits": (
            f"{scaling}The authors' training labels round positions in a way that puts "
            f"localizations {shift} on average; nothing corrects for it here. The "
            "threshold and the expected height of a spike are those of the authors' "
            "target, not measured."
        ),
    }
