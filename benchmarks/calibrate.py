"""From beads to weights: how well optics are retrieved, and what that is worth.

    python benchmarks/calibrate.py --quick
    python benchmarks/calibrate.py --network smnet_astigmatism

The first table simulates microscopes with 0.8 rad (root mean square) of aberrations
that nobody knows, a stack of beads behind each, and what `zoo calibrate` makes of it:
the error of the Zernike coefficients, that of the blur, and the correlation of the
retrieved point-spread function with the true one, without noise, over ±800 nm.

With ``--network`` one of these microscopes goes the whole way: beads, `zoo calibrate`,
`zoo train NAME --set source.optics=optics.json`, which goes on from the published
weights if there are any, and a movie of one emitter per frame localized with the
published weights, with the new ones, and by maximum likelihood with the calibrated and
with the true optics, against the bound.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from common import print_machine, print_row

from zoo import catalog
from zoo.calibrate.optics import PupilCalibration, load_psf, read_optics
from zoo.calibrate.write import calibrate
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.physics.engineered import PUPILS
from zoo.physics.fisher import emitter_bound
from zoo.physics.mle import fit_emitters
from zoo.physics.phase_retrieval import DEFAULT_MODES
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spots import Psf

ABERRATION_RAD = 0.8
PLANES, Z_STEP_NM = 21, 100.0
FIELD_PX, REGION_PX = 61, 25
PHOTONS = (250.0, 1000.0, 5000.0, 20000.0)
"""Photons of a bead in every plane; 250 are about 5,000 in the whole stack."""
BACKGROUND_PHOTONS = 5.0
SEED = 1867
EDGE_NM = 100.0  # at both ends of the depths, where estimates are cut off


class Emitters(NamedTuple):
    """A movie of one emitter per frame, and where they are."""

    frames: np.ndarray
    """(n, y, x) photons."""
    truth: np.ndarray
    """(3, n) x, y from the centre of the central pixel, and z, nm."""
    bound: np.ndarray
    """(3, n) Cramér-Rao bounds of these, nm."""


def main() -> None:
    """Print the tables."""
    options = _options()
    print_machine(
        f"{ABERRATION_RAD} rad of unknown aberrations, one bead, {PLANES} planes of "
        f"{Z_STEP_NM:g} nm, {BACKGROUND_PHOTONS:g} background photons per pixel"
    )
    show_retrieval(
        seeds=1 if options.quick else options.seeds,
        levels=PHOTONS[2:3] if options.quick else PHOTONS,
    )
    if options.network:
        show_chain(options)


def microscope(seed: int) -> PupilOptics:
    """Return the astigmatic preset with further aberrations drawn at random."""
    rng = generator(SEED, seed)
    drawn = rng.normal(size=len(DEFAULT_MODES))
    drawn *= ABERRATION_RAD / np.linalg.norm(drawn)
    terms = dict(zip(DEFAULT_MODES, drawn.tolist(), strict=True))
    known = PUPILS["astigmatic"]
    for n, m, value in known.zernikes_rad:
        terms[n, m] = terms.get((n, m), 0.0) + value
    zernikes = tuple((n, m, value) for (n, m), value in terms.items())
    return known.override(zernikes_rad=zernikes, blur_nm=70.0)


def write_beads(path: Path, optics: PupilOptics, photons: float, seed: int) -> None:
    """Simulate a bead on the coverslip while the focal plane goes into the sample."""
    rng = generator(SEED, seed, 1)
    psf, middle = PupilPsf(optics), FIELD_PX * optics.pixel_nm / 2
    focus = Z_STEP_NM * (np.arange(PLANES) - (PLANES - 1) / 2) + rng.uniform(-80, 80)
    x, y = (np.full(PLANES, middle + rng.uniform(-50, 50)) for _ in range(2))
    spots = psf.images(x, y, np.zeros(PLANES), (FIELD_PX, FIELD_PX), focus_nm=focus)
    expected = photons * spots.clip(0) + BACKGROUND_PHOTONS
    tifffile.imwrite(path, rng.poisson(expected).astype(np.uint16))


def calibrated(folder: Path, optics: PupilOptics, photons: float, seed: int) -> Path:
    """Write beads and return the ``optics.json`` that `zoo calibrate` makes of them."""
    beads, output = folder / "beads.tif", folder / "optics.json"
    write_beads(beads, optics, photons, seed)
    calibrate(
        beads,
        output,
        pixel_nm=optics.pixel_nm,
        na=optics.na,
        wavelength_nm=optics.wavelength_nm,
        z_step_nm=Z_STEP_NM,
        immersion_index=optics.immersion_index,
        sample_index=optics.sample_index,
        region_px=REGION_PX,
        overwrite=True,
    )
    return output


def judge(path: Path, truth: PupilOptics) -> tuple[float, float, float]:
    """Return the errors of coefficients (rad) and blur (nm), and the correlation."""
    found = read_optics(path)
    if not isinstance(found, PupilCalibration):
        raise TypeError("beads give a pupil")
    terms = {(n, m): value for n, m, value in found.zernikes_rad}
    wanted = {(n, m): value for n, m, value in truth.zernikes_rad}
    error = [
        terms.get(mode, 0.0) - wanted.get(mode, 0.0) for mode in terms.keys() | wanted
    ]
    depths = np.linspace(-800.0, 800.0, 17)
    middle = np.full(len(depths), REGION_PX * truth.pixel_nm / 2)
    spots = [
        psf.images(middle, middle, depths, (REGION_PX, REGION_PX)).ravel()
        for psf in (load_psf(path), PupilPsf(truth))
    ]
    return (
        float(np.linalg.norm(error)),
        found.blur_nm - truth.blur_nm,
        float(np.corrcoef(*spots)[0, 1]),
    )


def show_retrieval(*, seeds: int, levels: Sequence[float]) -> None:
    """Print how well `zoo calibrate` does at several brightnesses."""
    widths = (20, 11, 11, 11, 12, 12, 11)
    print_row(
        ("photons per plane", "rad, median", "worst", "blur, nm", "correlation",
         "worst", "s per bead"),
        widths,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        for photons in levels:
            rows, began = [], time.perf_counter()
            for seed in range(seeds):
                optics = microscope(seed)
                path = calibrated(Path(name), optics, photons, seed)
                rows.append(judge(path, optics))
            rad, blur, correlation = np.array(rows).T
            print_row(
                (
                    f"{photons:,.0f}",
                    f"{np.median(rad):.3f}",
                    f"{rad.max():.3f}",
                    f"{np.abs(blur).max():.1f}",
                    f"{np.median(correlation):.4f}",
                    f"{correlation.min():.4f}",
                    f"{(time.perf_counter() - began) / seeds:.1f}",
                ),
                widths,
            )


def show_chain(options: argparse.Namespace) -> None:
    """Print what the calibration of a microscope is worth to a network."""
    from zoo.package.build import build_package
    from zoo.predict.predictor import Predictor

    truth = microscope(0)
    recipe = catalog.configured(options.network, {})
    size = recipe.contract.declared_size("x")
    if size is None:
        raise SystemExit(f"{options.network} takes no regions of one size")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        optics = calibrated(folder, truth, 5000.0, 0)
        changes = recipe.override(source__optics=str(optics)).source.model_dump()
        low, high = (float(z) for z in changes["z_nm"])
        movie = simulate(
            PupilPsf(truth),
            size=size,
            z_nm=(low + EDGE_NM, high - EDGE_NM),
            photons=changes["photons"],
            background=changes["background_photons"],
            frames=200 if options.quick else 2000,
        )
        published = _published(options.network)
        minutes = _train(options, optics, folder / "run", published)
        print(
            f"\n{options.network}, depths {low:.0f} to {high:.0f} nm, trained for "
            f"{minutes:.1f} min on the calibrated optics; error / bound"
        )
        widths = (34, 10, 10, 10, 12, 12, 12)
        print_row(("", "x", "y", "z", "x, nm", "y, nm", "z, nm"), widths)
        package = build_package(
            folder / "run", folder / "dist", formats=("keras",), score=False,
            name="calibrated",
        )  # fmt: skip
        for label, source in (("published", published), ("trained", package)):
            if source is None:
                continue
            model = Predictor(source, engine="keras")
            table = model.predict(
                movie.frames.astype(np.float32), pixel_size_nm=truth.pixel_nm
            ).localizations
            _show(label, movie, _positions(table))
        z_range = (low, high)
        for label, psf in (
            ("maximum likelihood, calibrated", load_psf(optics)),
            ("maximum likelihood, true optics", PupilPsf(truth)),
        ):
            fits = fit_emitters(psf, movie.frames, z_range_nm=z_range)
            middle = (size // 2 + 0.5) * truth.pixel_nm
            found = np.stack([fits.x_nm - middle, fits.y_nm - middle, fits.z_nm])
            _show(label, movie, found)


def simulate(
    psf: Psf,
    *,
    size: int,
    z_nm: tuple[float, float],
    photons: tuple[float, float],
    background: tuple[float, float],
    frames: int,
) -> Emitters:
    """Simulate a movie of one emitter per frame, within a pixel of the middle."""
    rng = generator(SEED, 7)
    middle = (size // 2 + 0.5) * psf.pixel_nm
    x, y = rng.uniform(-psf.pixel_nm, psf.pixel_nm, (2, frames))
    z = rng.uniform(*z_nm, frames)
    bright, dark = (
        np.exp(rng.uniform(*np.log(limits), frames)) for limits in (photons, background)
    )
    spots = psf.images(x + middle, y + middle, z, (size, size))
    bound = emitter_bound(
        psf,
        x + middle,
        y + middle,
        z,
        photons=bright,
        background_photons=dark,
        shape=(size, size),
    )
    expected = bright[:, None, None] * spots.clip(0) + dark[:, None, None]
    return Emitters(
        rng.poisson(expected).astype(float),
        np.stack([x, y, z]),
        np.stack([bound.x_nm, bound.y_nm, bound.z_nm]),
    )


def _published(network: str) -> str | None:
    """Return the name of the published package of a network, if there is one."""
    from zoo.core.errors import UnknownPackage
    from zoo.io.library import find_package

    try:
        find_package(network)
    except UnknownPackage:
        return None
    return network


def _train(
    options: argparse.Namespace, optics: Path, run: Path, published: str | None
) -> float:
    """Train a network for calibrated optics and return the minutes that it took."""
    words = ["train", options.network, "-o", str(run), "--quiet"]
    words += ["--set", f"source.optics={optics}"]
    for setting in options.set or ():
        words += ["--set", setting]
    if options.quick:
        words += ["--budget", "smoke"]
        words += [] if published is None else ["--start", published]
    began = time.perf_counter()
    command = [sys.executable, "-c", "from zoo.cli import main; main()", *words]
    subprocess.run(command, check=True)
    return (time.perf_counter() - began) / 60


def _positions(table: Localizations | None) -> np.ndarray:
    if table is None or table.z_nm is None:
        raise SystemExit("the network gives no depths")
    return np.stack([table.x_nm, table.y_nm, table.z_nm])


def _show(label: str, movie: Emitters, found: np.ndarray) -> None:
    error = found - movie.truth
    ratio = np.sqrt(np.mean((error / movie.bound) ** 2, axis=1))
    rmse = np.sqrt(np.mean(error**2, axis=1))
    cells: Sequence[Any] = [f"{value:.2f}" for value in ratio]
    cells = [*cells, *(f"{value:.1f}" for value in rmse)]
    print_row((label, *cells), (34, 10, 10, 10, 12, 12, 12))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one bead, smoke budget")
    parser.add_argument("--seeds", type=int, default=8, help="microscopes per row")
    parser.add_argument("--network", help="recipe to train for calibrated optics")
    parser.add_argument("--set", action="append", help="further settings of training")
    return parser.parse_args()


if __name__ == "__main__":
    main()
