"""What tables say of light, width and background, held against the truth.

    python benchmarks/spot_light.py --quick

Movies of the test conditions of both packages for spots in a plane, under another seed
than the frozen sets: uniform emitters at several densities and tubes, on both cameras,
whose offset and gain are told.  Of localizations within 100 nm of an emitter: photons
over the true ones, median with 16th and 84th percentile, and the share within a factor
of 2.5; offset, median over the true background; bkgstd, median over the noise of that
background alone; sigma, median and root mean square deviation over the true width.  The
cost is the processor time of measuring over that of the prediction, least of a few.
"""

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from common import print_machine, print_row

import zoo
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.core.test_set import Case
from zoo.metrics.matching import match
from zoo.metrics.sampling import spectral_sigma
from zoo.physics.camera import Camera, EmCcd, Scmos
from zoo.physics.spot_light import spot_light
from zoo.test_sets.emitters import CAMERAS
from zoo.test_sets.filaments import FilamentTestSet

PACKAGES = ("deep_storm_microtubules", "deep_storm_fast_microtubules")
SEED = 9173
PIXEL_NM = 100.0
RADIUS_NM, FACTOR = 100.0, 2.5
REPEATS = 3
HEADER = ("", "rows", "photons", "16 %", "84 %", "in 2.5x", "offset", "bkgstd",
          "sigma", "rms", "cost")  # fmt: skip
WIDTHS = (24, 7, 9, 7, 7, 9, 8, 8, 8, 7, 8)


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=40, help="of each movie, 40")
    parser.add_argument("--quick", action="store_true", help="10 frames")
    parser.add_argument("--package", choices=PACKAGES, action="append")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    frames = 10 if chosen.quick else chosen.frames
    rows: list[dict[str, Any]] = []
    for name in chosen.package or PACKAGES:
        if not chosen.json:
            print_machine(f"{name}, {frames} frames of 64 x 64 px")
            print_row(HEADER, WIDTHS)
        for camera, case, background in movies(frames):
            row = {"package": name, "camera": camera, "case": case.name}
            row |= measured(name, CAMERAS[camera], case, background)
            rows.append(row)
            if not chosen.json:
                show(row)
    if chosen.json:
        print(json.dumps(rows))


def movies(frames: int) -> Iterator[tuple[str, Case, float]]:
    """Yield camera, movie and its background, photons per pixel."""
    declared = FilamentTestSet(
        frames=frames, filament_frames=frames, movie_frames=frames, filament_seed=SEED
    )
    for index, camera in enumerate(CAMERAS):
        for number, density in enumerate(declared.densities_per_um2):
            rng = generator(SEED, 1, number, index)
            case = declared.density(rng, camera, density)
            yield camera, case, declared.background_photons
        tubes = declared.dense(index, camera)
        yield camera, tubes, declared.filament_background_photons


def measured(
    name: str, camera: Camera, case: Case, background: float
) -> dict[str, Any]:
    """Return how far a table is from the truth, and what measuring costs."""
    movie, dark = case.input, camera.offset_adu
    per_adu = photons_per_adu(camera)
    told = {"offset_adu": dark, "photons_per_adu": per_adu}
    table = run(zoo.load(name, **told), movie)[0]
    plain = zoo.load(name, light=False)
    cost = [run(plain, movie)[1] for _ in range(REPEATS)]
    light = [seconds(movie, table) for _ in range(REPEATS)]
    pairs = match(case.truth, table, radius_nm=RADIUS_NM)
    found, true = table.select(pairs.found), case.truth.select(pairs.truth)
    ratio = found.photons / true.photons
    width = found.sigma_nm / true.sigma_nm
    empty = camera.expose(np.full((64, 64), background), generator(SEED, 9))
    noise = float(np.std((empty - dark) * per_adu))
    inside = (ratio > 1 / FACTOR) & (ratio < FACTOR)
    low, middle, high = np.percentile(ratio, (16, 50, 84))
    return {
        "rows": len(table),
        "photons": middle,
        "photons_16": low,
        "photons_84": high,
        "within": float(inside.mean()),
        "offset": float(np.median(found.background_photons) / background),
        "bkgstd": float(np.median(found.noise_photons) / noise),
        "sigma": float(np.median(width)),
        "sigma_rms": float(np.sqrt(np.mean((width - 1) ** 2))),
        "cost": min(light) / min(cost),
    }


def run(model: Any, movie: np.ndarray) -> tuple[Localizations, float]:
    """Return the table of a movie, and the processor time that it took."""
    model.predict(movie[:2], pixel_size_nm=PIXEL_NM)  # weights are read
    start = time.process_time()
    table = model.predict(movie, pixel_size_nm=PIXEL_NM).localizations
    return table, time.process_time() - start


def seconds(movie: np.ndarray, table: Localizations) -> float:
    """Return the processor time of measuring, that of the usual width included."""
    start = time.process_time()
    sigma_px = spectral_sigma(movie[:: max(1, len(movie) // 24)])
    places = table.x_nm / PIXEL_NM, table.y_nm / PIXEL_NM
    spot_light(movie, table.frame - 1, *places, sigma_px=sigma_px)
    return time.process_time() - start


def photons_per_adu(camera: Camera) -> float:
    """Return photons at the detector per count."""
    if isinstance(camera, EmCcd):
        return camera.e_per_adu / camera.em_gain / camera.quantum_efficiency
    if isinstance(camera, Scmos):
        return 1 / camera.adu_per_e / camera.quantum_efficiency
    raise TypeError(f"the gain of a {type(camera).__name__} is not known")


def show(row: dict[str, Any]) -> None:
    """Print a row of the table."""
    ratios = [row[k] for k in ("photons", "photons_16", "photons_84")]
    rest = [row[k] for k in ("offset", "bkgstd", "sigma", "sigma_rms")]
    cells = [f"{row['case']} {row['camera']}", row["rows"]]
    cells += [f"{value:.2f}" for value in ratios]
    cells += [f"{100 * row['within']:.1f} %"]
    cells += [f"{value:.2f}" for value in rest]
    print_row([*cells, f"{100 * row['cost']:.1f} %"], WIDTHS)


if __name__ == "__main__":
    main()
