"""Emitters of full-field movies: found, missed, invented, and how precisely placed.

Two movies of fixed seeds, with 0.02 and 0.2 emitters/µm² in every frame, drawn with the
optics and the conditions of a package; emitters lie beyond the frame's border, too.
They are searched, cut out and estimated as ``zoo predict`` does it.

Usage: python benchmarks/full_field.py NAME [FRAMES] [FIELD_PX]

NAME is a package whose task states optics, or one of the presets of
`zoo.physics.engineered.PUPILS`, for which there is no network and only the baseline is
shown: maximum likelihood from the most similar of templates.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import print_machine, print_row

from zoo.core.contract import Contract
from zoo.core.grid import Axis, Grid
from zoo.core.products import Products
from zoo.core.random import generator
from zoo.inputs.regions import Regions
from zoo.physics.emitter_model import known_model
from zoo.physics.engineered import PUPILS
from zoo.physics.mle import fit_emitters
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.predict.options import split_options
from zoo.predict.predictor import Predictor
from zoo.tasks.parameters import Parameters
from zoo.test_sets._full_field import (
    Conditions,
    Movie,
    emitter_movie,
    field_evidence,
    field_known,
)

SEED = 2018
"""Not a seed of training."""
DENSITIES_PER_UM2 = (0.02, 0.2)
PLACES = ("x_nm", "y_nm", "z_nm")
WIDTHS = (10, 26, 9, 7, 8, 10, 9, 9, 9, 9, 7, 9)
HEADS = (
    "per µm²",
    "estimates",
    "emitters",
    "recall",
    "false/fr",
    "precision",
    "lateral",
    "axial",
    "/bound xy",
    "/bound z",
    "misfit",
    "frames/s",
)


def simulated(
    contract: Contract, density_per_um2: float, frames: int, px: int
) -> Movie:
    """Draw a movie under the training conditions of a package."""
    optics = contract.task.optics  # pyright: ignore[reportAttributeAccessIssue]
    return emitter_movie(
        PupilPsf(optics, dtype=np.float32),
        Conditions(
            contract.training["z_nm"],
            contract.training["photons"],
            contract.training["background_photons"],
        ),
        generator(SEED, round(1000 * density_per_um2)),
        density_per_um2=density_per_um2,
        frames=frames,
        field_px=px,
        pixel_nm=optics.pixel_nm,
    )


def declared(optics: PupilOptics, size_px: int) -> Contract:
    """Return what a package for a preset would promise."""
    deep = optics == PUPILS["smnet_complex"]
    return Contract(
        grid=Grid(
            output_axes="bc",
            axes={"y": Axis(size=size_px), "x": Axis(size=size_px)},
            outputs=PLACES,
        ),
        input=Regions(),
        task=Parameters(columns=PLACES, optics=optics),
        preprocessing=(),
        training={
            "z_nm": (-2000.0, 2000.0) if deep else (-600.0, 600.0),
            "photons": (10000.0, 30000.0) if deep else (1000.0, 10000.0),
            "background_photons": (1.0, 10.0) if deep else (1.0, 50.0),
            "pixel_size_nm": (optics.pixel_nm, optics.pixel_nm),
        },
    )


def fitted(contract: Contract, frames: np.ndarray) -> tuple[Products, dict[str, Any]]:
    """Return what maximum likelihood makes of the regions that are found."""
    task: Any = contract.task
    size = contract.grid.axes["x"].size or 0
    optics = task.optics
    model = known_model(optics, size, contract.training["z_nm"])
    middle_nm = (size // 2 + 0.5) * optics.pixel_nm
    options = split_options(contract, "the preset")
    recording: Any = contract.input.open(
        frames,
        contract,
        name="the preset",
        options=options.input,
        pixel_size_nm=optics.pixel_nm,
    )
    running = contract.task.start(recording, contract, options.task)
    products = []
    for first, regions in recording.chunks(256):
        fits = fit_emitters(model.psf, regions[..., 0], z_range_nm=model.z_range_nm)
        values = fits.columns(middle_nm)
        factors = task.factors or (1.0,) * len(task.columns)
        output = [
            values.get(name, np.ones(len(regions))) / factor
            for name, factor in zip(task.columns, factors, strict=True)
        ]
        products += running.add(regions, np.stack(output, axis=1), first)
    return Products([*products, *running.finish()]), running.report()


def network(name: str, **options: Any) -> Callable[..., Any]:
    """Return a function that runs a package on frames."""
    predictor = Predictor(name, **options)

    def run(contract: Contract, frames: np.ndarray) -> tuple[Products, dict[str, Any]]:
        optics: Any = contract.task
        result = predictor.predict(frames, pixel_size_nm=optics.optics.pixel_nm)
        return result, result.report

    return run


def scored(
    contract: Contract, movie: Movie, run: Callable[..., Any], cells: tuple[str, str]
) -> None:
    """Print a row of the table."""
    task: Any = contract.task
    optics, size = task.optics, contract.grid.axes["x"].size or 0
    start = time.perf_counter()
    products, report = run(contract, movie.frames)
    seconds = time.perf_counter() - start
    truth, found = movie.truth, products.localizations
    psf = PupilPsf(optics, dtype=np.float32)
    known = field_known(psf, movie, region_px=size, pixel_nm=optics.pixel_nm)
    evidence = field_evidence(truth, found, known)
    scores, over = evidence.scores, evidence.over
    lateral, axial = (
        np.sqrt(np.mean(np.square(np.concatenate([over[a] for a in axes]))))
        for axes in ("xy", "z")
    )
    row = (
        *cells,
        scores["tp"] + scores["fn"],
        f"{scores['recall']:.3f}",
        f"{scores['fp'] / len(movie.frames):.2f}",
        f"{scores['precision']:.3f}",
        f"{scores['rmse_lateral_nm']:.1f}",
        f"{scores['rmse_axial_nm']:.1f}",
        f"{lateral:.2f}",
        f"{axial:.2f}",
        report["scrutiny"]["misfits"],
        f"{len(movie.frames) / seconds:.2f}",
    )
    print_row([str(cell) for cell in row], WIDTHS)


def main(name: str, frames: int = 40, px: int = 128) -> None:
    """Print a row per movie and way of estimating."""
    ways: dict[str, Callable[..., Any]] = {"maximum likelihood": fitted}
    if name in PUPILS:
        contract = declared(PUPILS[name], 32)
    else:
        contract = Predictor(name).contract
        ways = {
            "network": network(name),
            "network, all kept": network(name, max_misfit=float("inf")),
            "network, refined": network(name, refine=True),
        } | ways
    print_machine(f"{name}, {frames} frames of {px} px")
    print_row(HEADS, WIDTHS)
    for density in DENSITIES_PER_UM2:
        movie = simulated(contract, density, frames, px)
        for way, run in ways.items():
            scored(contract, movie, run, (f"{density:g}", way))


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:4]))
