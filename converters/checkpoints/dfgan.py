"""The generator of DFGAN as its authors' Keras 2 program saves it.

The layout is that of `converters.checkpoints.dfcan`, with 5 groups of 10 blocks (Qiao
et al. 2021, doi:10.1038/s41592-020-01048-5).  The program keeps the discriminator in a
file of its own, which nothing is made of.
"""

from pathlib import Path

import keras

from converters.checkpoints.dfcan import (
    LAYOUTS,
    TILE,
    describe_network,
    load_dfcan,
    prose,
    test_image,
)
from converters.mapping import MappingError
from converters.packages import origin_of, refuse_filled, write_converted
from converters.readers import read_keras2
from zoo.layers.attention import Spectrum
from zoo.models.dfgan import DFGAN, dfgan


def load_dfgan(
    path: str | Path,
    *,
    tile: int | None = None,
    spectrum_px: int = 128,
    spectrum: Spectrum = "published",
    groups: int | None = None,
    blocks: int | None = None,
) -> keras.Model:
    """Load a generator of the authors' program.

    Parameters
    ----------
    path
        File from ``save`` or ``save_weights``.
    tile, spectrum_px, spectrum
        As for `converters.checkpoints.dfcan.load_dfcan`.
    groups, blocks
        Residual groups and blocks in each; the published 5 and 10 if left out.

    Returns
    -------
    model : keras.Model
        Uncompiled `zoo.models.dfgan.dfgan`.

    Raises
    ------
    BadInput
        If the file cannot be read.
    MappingError
        If it is not such a network: a checkpoint of DFCAN, or the discriminator.
    """
    published = LAYOUTS["DFGAN"]
    groups = published[0] if groups is None else groups
    blocks = published[1] if blocks is None else blocks
    loaded = load_dfcan(
        path,
        tile=tile,
        spectrum_px=spectrum_px,
        spectrum=spectrum,
        groups=groups,
        blocks=blocks,
        gamma=published[2],
    )
    head, tail = (loaded.get_layer(f"{name}_conv") for name in ("head", "tail"))
    width = int(head.filters)
    model = dfgan(
        scale=round((int(tail.filters) / width) ** 0.5),
        channels=int(loaded.input_shape[-1]),
        tile=tile,
        width=width,
        groups=groups,
        blocks=blocks,
        gamma=published[2],
        spectrum=spectrum,
        resize="legacy",
        spectrum_px=spectrum_px,
    )
    model.set_weights(loaded.get_weights())
    return model


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    tile: int = TILE,
    verify: bool = True,
) -> Path:
    """Turn a generator of the authors' program into a package.

    Parameters, result and errors are those of `converters.checkpoints.dfcan.convert`,
    but that `source` is the generator of DFGAN, of any number of channels and scale.
    """
    path, directory = Path(source), Path(destination)
    try:
        model = load_dfgan(path, tile=tile)
    except MappingError as error:
        raise MappingError(
            f"{error}; --as dfgan takes the generator of DFGAN, --as dfcan the "
            "checkpoints of DFCAN"
        ) from error
    refuse_filled(directory)
    origin = origin_of(path, read_keras2(path).written_by)
    likewise = describe_network(model, origin)
    identity = likewise._replace(
        name=f"dfgan_converted_{origin.sha256[:8]}",
        title=likewise.title.replace("DFCAN", "DFGAN"),
        network=DFGAN.override(
            published=likewise.network.published,
            note=(
                "Spectra unnormalised, oriented and resized as in the authors' program."
            ),
        ),
    )
    return write_converted(
        model,
        identity,
        directory,
        image=test_image(identity.contract),
        origin=origin,
        prose=prose(tile, origin),
        verify=verify,
    )
