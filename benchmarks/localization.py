"""Single molecules in two and three dimensions: ours, SMAPpy and Picasso in one run.

    python -m pip install superres-zoo[bench]
    python benchmarks/localization.py --quick
    python benchmarks/localization.py --peers ENVIRONMENT/bin/python

Two movies of isolated emitters are simulated, one in focus behind an unaberrated
pupil, one at all depths behind an astigmatic one, and for the second a stack of beads,
from which every program makes its own calibration.  Emitters stand on a loose grid, so
that every localization has one true position it can be of; programs detect, fit and
are timed on the whole movie after a first run on its first frames.

Columns: share of the emitters that were found, localizations of none in a hundred, of
those matched how many are wrong by more than six bounds (percent), root mean square of
the remaining errors over the Cramér-Rao bound along x, y and z, median error along x,
slope of the error along z, frames and localizations per second.  Where the middle of a
calibrated spot is, along all three axes, is each program's own choice: median errors
are taken off before errors are judged, so that ``shift x`` (nm) moves the whole image,
and ``slope z`` (nm per µm) is what is wrong with depths beyond their zero.

``--peers`` names the Python of an environment with ``smappy-smlm`` and ``picassosr``,
which may want other versions of libraries than this project.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from common import in_fresh_process, print_machine, print_row

from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.metrics.matching import match
from zoo.physics.engineered import PUPILS
from zoo.physics.fisher import emitter_bound
from zoo.physics.pupil import PupilPsf

MOVIES = {"in focus": "unaberrated", "astigmatic": "astigmatic"}
"""Presets of the optics by movie."""
DEPTHS_NM = (-500.0, 500.0)
PHOTONS, BACKGROUND_PHOTONS = (1000.0, 10000.0), 20.0
OFFSET = 100.0
FIELD_PX, SPACING_PX, MARGIN_PX = 128, 36, 18
BEAD_PLANES, BEAD_STEP_NM, BEAD_PHOTONS = 61, 25.0, 20000.0
REGION_PX = 25  # of beads
FIT_PX = 21  # of our fits
OUTLIER = 6.0  # bounds
RADIUS_NM = 300.0
SEED = 2018
WIDTHS = (32, 8, 7, 8, 7, 7, 7, 9, 9, 11, 11)
HEADER = ("", "found", "false", "wrong", "x/σ", "y/σ", "z/σ", "shift x", "slope z",
          "frames/s", "locs/s")  # fmt: skip
NETWORKS = {
    "in focus": ("deep_storm_fast_microtubules",),
    "astigmatic": ("smnet_astigmatism", "zelger_vgg16_astigmatism"),
}
"""Packages of ours that take a movie; those that there are."""


def main() -> None:
    """Simulate, run everything, print tables."""
    options = _options()
    if options.case:
        print(json.dumps(ours(json.loads(options.case))))
        return
    frames = 60 if options.quick else options.frames
    print_machine(
        f"{frames} frames of {FIELD_PX} x {FIELD_PX} px, {PHOTONS[0]:,.0f} to "
        f"{PHOTONS[1]:,.0f} photons, {BACKGROUND_PHOTONS:g} per pixel in the background"
    )
    peers = options.peers or _peers_here()
    if peers is None:
        print("no peers: install superres-zoo[bench], or name a Python with --peers\n")
    with tempfile.TemporaryDirectory() as name:
        for title, preset in MOVIES.items():
            folder = Path(name) / preset
            folder.mkdir()
            case = simulate(folder, title, frames=frames, threads=options.threads)
            print(f"{title} ({preset})")
            print_row(HEADER, WIDTHS)
            for program in ("likelihood", *NETWORKS[title]):
                result = in_fresh_process(__file__, case | {"program": program})
                show(program, result, case)
            wanted = ["smappy", "picasso Gaussian"]
            wanted += ["picasso spline"] if case["beads"] else []
            for program in wanted if peers else ():
                result = run_peer(str(peers), case | {"program": program}, folder)
                show(f"{program} {result.get('version', '')}", result, case)
            print()


def simulate(folder: Path, title: str, *, frames: int, threads: int) -> dict[str, Any]:
    """Write movie, truth, bounds and beads; return what a user knows of them."""
    rng = generator(SEED, len(title))
    optics = PUPILS[MOVIES[title]]
    psf, pixel = PupilPsf(optics, dtype=np.float32), optics.pixel_nm
    deep = title != "in focus"
    centres = np.arange(MARGIN_PX, FIELD_PX - MARGIN_PX + 1, SPACING_PX)
    places = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
    count = len(places) * frames
    jitter = rng.uniform(-4.0, 4.0, (frames, len(places), 2))
    x_nm, y_nm = ((places + jitter).reshape(-1, 2) * pixel).T
    z_nm = rng.uniform(*DEPTHS_NM, count) if deep else np.zeros(count)
    photons = np.exp(rng.uniform(*np.log(PHOTONS), count))
    frame = np.repeat(np.arange(frames), len(places))
    movie = np.full((frames, FIELD_PX, FIELD_PX), BACKGROUND_PHOTONS, np.float32)
    half = SPACING_PX // 2 - 4
    bounds = np.empty((3, count))
    for start in range(0, count, 256):
        part = slice(start, start + 256)
        left, top = (np.floor(v[part] / pixel).astype(int) - half for v in (x_nm, y_nm))
        near = x_nm[part] - left * pixel, y_nm[part] - top * pixel, z_nm[part]
        shape = (2 * half + 1, 2 * half + 1)
        spots = photons[part, None, None] * psf.images(*near, shape).clip(0)
        bound = emitter_bound(
            psf, *near, photons=photons[part], background_photons=BACKGROUND_PHOTONS,
            shape=shape,
        )  # fmt: skip
        bounds[:, part] = bound.x_nm, bound.y_nm, bound.z_nm
        for t, row, column, spot in zip(frame[part], top, left, spots, strict=True):
            movie[t, row : row + shape[0], column : column + shape[1]] += spot
    np.save(folder / "movie.npy", (OFFSET + rng.poisson(movie)).astype(np.uint16))
    np.savez(
        folder / "truth.npz",
        frame=frame,
        x_nm=x_nm,
        y_nm=y_nm,
        z_nm=z_nm,
        bounds=bounds,
    )
    case: dict[str, Any] = {
        "movie": str(folder / "movie.npy"),
        "truth": str(folder / "truth.npz"),
        "table": str(folder / "table.npz"),
        "beads": None,
        "pixel_nm": pixel,
        "offset": OFFSET,
        "photons_per_count": 1.0,
        "na": optics.na,
        "wavelength_nm": optics.wavelength_nm,
        "index": optics.immersion_index,
        "z_step_nm": BEAD_STEP_NM,
        "region_px": REGION_PX,
        "sigma_px": 1.1,
        "cutoff": 1.7,
        "net_gradient": 600.0 if deep else 1500.0,
        "box_px": 13 if deep else 9,
        "spline_box_px": 17,
        "threads": threads,
    }
    if deep:
        case["beads"] = str(folder / "beads.tif")
        _write_beads(Path(case["beads"]), psf, places, rng)
    return case


def _write_beads(
    path: Path, psf: PupilPsf, places: np.ndarray, rng: np.random.Generator
) -> None:
    """Simulate beads on the coverslip while the focal plane goes into the sample."""
    focus = BEAD_STEP_NM * (np.arange(BEAD_PLANES) - (BEAD_PLANES - 1) / 2)
    stack = np.full((BEAD_PLANES, FIELD_PX, FIELD_PX), 5.0)
    edge = SPACING_PX - 7
    for column, row in places:
        left, top = column - edge // 2, row - edge // 2
        x, y = (np.full(BEAD_PLANES, v) for v in
                (edge / 2 + rng.uniform(-0.5, 0.5, 2)) * psf.pixel_nm)  # fmt: skip
        spots = psf.images(x, y, np.zeros(BEAD_PLANES), (edge, edge), focus_nm=focus)
        stack[:, top : top + edge, left : left + edge] += BEAD_PHOTONS * spots.clip(0)
    counts = (OFFSET + rng.poisson(stack)).astype(np.uint16)
    tifffile.imwrite(path, counts, photometric="minisblack")


def ours(case: dict[str, Any]) -> dict[str, Any]:
    """Run a fitter or package of this project in this process."""
    movie = np.load(case["movie"])
    began = time.perf_counter()
    fit = (_likelihood if case["program"] == "likelihood" else _package)(case)
    calibration = time.perf_counter() - began
    fit(movie[:20])
    began = time.perf_counter()
    table = fit(movie)
    seconds = time.perf_counter() - began
    np.savez(case["table"], **table)
    return {"seconds": seconds, "frames": len(movie), "calibration": calibration}


def _likelihood(case: dict[str, Any]) -> Any:
    """Return the detection and maximum-likelihood fit of this project."""
    from zoo.calibrate.optics import load_psf
    from zoo.calibrate.write import calibrate
    from zoo.physics.emitter_search import EmitterSearch
    from zoo.physics.emitters_in_frames import corners, cut
    from zoo.physics.mle import fit_emitters
    from zoo.physics.pupil import PupilOptics
    from zoo.physics.tabulated import tabulated_psf

    pixel, shape = case["pixel_nm"], (FIT_PX, FIT_PX)
    depths = None
    psf: Any = PupilPsf(
        PupilOptics(
            na=case["na"],
            wavelength_nm=case["wavelength_nm"],
            pixel_nm=pixel,
            immersion_index=case["index"],
            sample_index=case["index"],
            blur_nm=0.09 * case["wavelength_nm"],
        )
    )
    z_range = (-50.0, 50.0)
    if case["beads"]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "optics.json"
            calibrate(
                Path(case["beads"]), path, na=case["na"], pixel_nm=pixel,
                wavelength_nm=case["wavelength_nm"], z_step_nm=case["z_step_nm"],
                immersion_index=case["index"], sample_index=case["index"],
                camera_offset=case["offset"], region_px=case["region_px"],
            )  # fmt: skip
            psf = load_psf(path)
        z_range = depths = (DEPTHS_NM[0] - 150.0, DEPTHS_NM[1] + 150.0)
    spline = tabulated_psf(psf, z_range_nm=z_range, size_px=FIT_PX + 10)
    search = EmitterSearch(None, size_px=FIT_PX)

    def fit(movie: np.ndarray) -> dict[str, np.ndarray]:
        parts = []
        for start in range(0, len(movie), 100):
            frames = movie[start : start + 100] - case["offset"]
            found = search.find(frames)
            corner = corners(found.x_px, found.y_px, shape)
            inside = (corner >= 0).all(1) & (corner + FIT_PX <= FIELD_PX).all(1)
            corner, frame = corner[inside], found.frame[inside]
            regions = cut(frames, frame, corner, shape)
            fits = fit_emitters(spline, regions, z_range_nm=depths)
            top, left = corner.T * pixel
            rows = (frame + start, fits.x_nm + left, fits.y_nm + top, fits.z_nm)
            kept = _best(*rows[:3], fits.chi_square)
            parts.append([row[kept] for row in rows])
        frame, x, y, z = (
            np.concatenate(columns) for columns in zip(*parts, strict=True)
        )
        table = {"frame": frame, "x_nm": x, "y_nm": y}
        return table | ({} if depths is None else {"z_nm": z})

    return fit


def _best(
    frame: np.ndarray, x_nm: np.ndarray, y_nm: np.ndarray, misfit: np.ndarray
) -> np.ndarray:
    """Return which fits are no worse doubles of one in the same place."""
    from scipy.spatial import cKDTree

    places = np.stack([x_nm, y_nm, 10 * RADIUS_NM * frame], axis=1)
    kept = np.ones(len(frame), bool)
    for first, second in cKDTree(places).query_pairs(RADIUS_NM):
        kept[first if misfit[first] > misfit[second] else second] = False
    return kept


def _package(case: dict[str, Any]) -> Any:
    """Return the prediction of a package on a movie."""
    from zoo.predict.predictor import Predictor

    model = Predictor(case["program"])
    photons = case["beads"] is not None  # networks for regions take photons

    def fit(movie: np.ndarray) -> dict[str, np.ndarray]:
        frames = movie - np.float32(case["offset"]) if photons else movie
        result = model.predict(frames, pixel_size_nm=case["pixel_nm"])
        locs = result.localizations
        if locs is None:
            raise SystemExit(f"{case['program']} gives no localizations")
        table = {"frame": locs.frame - 1, "x_nm": locs.x_nm, "y_nm": locs.y_nm}
        return table | ({} if locs.z_nm is None else {"z_nm": locs.z_nm})

    return fit


def run_peer(python: str, case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run another program in its own environment."""
    path = folder / "case.json"
    path.write_text(json.dumps(case), encoding="utf-8")
    script = Path(__file__).with_name("peers.py")
    done = subprocess.run(
        [python, str(script), str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
    )
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["failed"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def show(label: str, result: dict[str, Any], case: dict[str, Any]) -> None:
    """Print a row of the table."""
    if "error" in result:
        print_row((label, *["-"] * (len(WIDTHS) - 1)), WIDTHS)
        print(f"  {result['error']}")
        return
    scores = score(case)
    rate = result["frames"] / result["seconds"]
    cells = [
        f"{scores['found']:.3f}",
        f"{scores['false']:.1f}",
        f"{scores['wrong']:.1f}",
        *(_cell(scores.get(axis), ".2f") for axis in "xyz"),
        f"{scores['shift_x']:.1f}",
        _cell(scores.get("slope_z"), ".0f"),
        f"{rate:.1f}",
        f"{scores['count'] / result['seconds']:.0f}",
    ]
    print_row((label, *cells), WIDTHS)


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def score(case: dict[str, Any]) -> dict[str, float]:
    """Compare a table with the truth."""
    truth, table = np.load(case["truth"]), np.load(case["table"])
    flat = [
        Localizations(x_nm=t["x_nm"], y_nm=t["y_nm"], frame=t["frame"] + 1)
        for t in (truth, table)
    ]
    pairs = match(*flat, radius_nm=RADIUS_NM)
    true, found = pairs.truth, pairs.found
    axes = "xyz" if case["beads"] and "z_nm" in table else "xy"
    error = np.stack([table[f"{a}_nm"][found] - truth[f"{a}_nm"][true] for a in axes])
    shift = np.median(error, axis=1)
    error -= shift[:, None]
    scores = {"shift_x": float(shift[0])}
    if "z" in axes:
        z_nm = truth["z_nm"][true]
        sound = np.abs(error[2]) < 5 * np.median(np.abs(error[2])) + 1
        slope = np.polyfit(z_nm[sound], error[2][sound], 1)[0]
        scores["slope_z"] = float(1000 * slope)
    ratio = error / truth["bounds"][: len(axes), true]
    wrong = np.abs(ratio).max(axis=0) > OUTLIER
    kept = np.sqrt(np.mean(ratio[:, ~wrong] ** 2, axis=1))
    scores |= dict(zip(axes, kept.tolist(), strict=True))
    return scores | {
        "count": float(len(table["frame"])),
        "found": len(true) / len(truth["frame"]),
        "false": 100 * (len(table["frame"]) - len(found)) / max(len(table["frame"]), 1),
        "wrong": 100 * float(wrong.mean()),
    }


def _peers_here() -> str | None:
    both = all(find_spec(name) for name in ("smappy", "picasso"))
    return sys.executable if both else None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="60 frames")
    parser.add_argument("--frames", type=int, default=1000, help="of each movie")
    parser.add_argument("--threads", type=int, default=2, help="that peers may use")
    parser.add_argument("--peers", type=Path, help="Python with the other programs")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
