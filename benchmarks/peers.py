"""Other programs on the movies of `localization.py`, in an environment of their own.

    python benchmarks/peers.py CASE.json

A case names a program, a movie (.npy, counts), a stack of beads (TIFF) or none, and
what a user types in.  The program calibrates itself with the beads, fits the first
frames, which compiles what has to be compiled, and then the whole movie on the clock.
The table goes to a .npz file: frame from 0, x and y in nm from the outer corner of the
first pixel, z in nm.  Nothing but NumPy and these programs is imported here.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP_FRAMES = 20

Fit = Callable[[np.ndarray], dict[str, np.ndarray]]


def main(case: dict[str, Any]) -> None:
    """Run one case and print what it took, as JSON."""
    movie = np.load(case["movie"], mmap_mode="r")  # Picasso takes no other array
    began = time.perf_counter()
    fit = PROGRAMS[case["program"]](case)
    calibration = time.perf_counter() - began
    fit(movie[:WARM_UP_FRAMES])
    began = time.perf_counter()
    table = fit(movie)
    seconds = time.perf_counter() - began
    np.savez(case["table"], **table)
    package = {"smappy": "smappy-smlm", "picasso": "picassosr"}
    name = case["program"].partition(" ")[0]
    stated = {"version": version(package[name]), "calibration": calibration}
    print(json.dumps(stated | {"seconds": seconds, "frames": len(movie)}))


def smappy(case: dict[str, Any]) -> Fit:
    """Return SMAPpy's fit: a free Gaussian, or a spline calibrated with the beads."""
    program: Any = import_module("smappy")
    camera = {
        "conversion": case["photons_per_count"],
        "offset": case["offset"],
        "pixelsize_um": case["pixel_nm"] / 1000,
        "em_on": False,
    }
    calibration = None
    if case["beads"]:
        from smappy.calibrate import CalibrationSettings, calibrate

        settings = CalibrationSettings(
            dz_nm=case["z_step_nm"], roi_size=case["region_px"]
        )
        made = calibrate([case["beads"]], settings)
        calibration = str(Path(case["table"]).with_suffix(".smappy.h5"))
        made.save(calibration, overwrite=True)

    def fit(movie: np.ndarray) -> dict[str, np.ndarray]:
        locs = program.fit(
            np.asarray(movie),
            camera=camera,
            calibration=calibration,
            sigma=case["sigma_px"],
            cutoff=case["cutoff"],
            cutoff_mode="dynamic",
            roisize=case["box_px"],
            threads=case["threads"],
        )
        half = case["pixel_nm"] / 2  # coordinates count from the centre of a pixel
        columns = locs.columns
        table = {
            "frame": columns["frame"],
            "x_nm": columns["x_nm"] + half,
            "y_nm": columns["y_nm"] + half,
        }
        return table | ({"z_nm": columns["z_nm"]} if calibration else {})

    return fit


def picasso_gauss(case: dict[str, Any]) -> Fit:
    """Return Picasso's fit of a Gaussian and, with beads, of z from its widths."""
    localize, zfit = (import_module(f"picasso.{name}") for name in ("localize", "zfit"))
    camera, info = _camera(case)
    box, gradient = case["box_px"], case["net_gradient"]
    method = "gausslq" if case["beads"] else "gaussmle"

    def lateral(movie: np.ndarray) -> Any:
        found = localize.identify(movie, gradient, box, return_info=False)
        locs, _ = localize.fit(
            movie,
            camera_info=camera,
            identifications=found,
            box=box,
            fitting_method=method,
            multiprocess=case["threads"] > 1,
        )
        return locs

    calibration: Any = None
    if case["beads"]:
        beads = _beads(case)
        calibration = zfit.calibrate_z(
            lateral(beads), info(beads), case["z_step_nm"], 1.0
        )

    def fit(movie: np.ndarray) -> dict[str, np.ndarray]:
        locs = lateral(movie)
        if calibration is not None:
            locs, _ = zfit.zfit(
                locs,
                info(movie),
                calibration=calibration,
                fitting_method=method,
                filter=0,
                multiprocess=case["threads"] > 1,
            )
        return _table(locs, case)

    return fit


def picasso_spline(case: dict[str, Any]) -> Fit:
    """Return Picasso's maximum-likelihood fit of a spline made from the beads."""
    localize, spline = (
        import_module(f"picasso.{name}") for name in ("localize", "spline")
    )
    camera, info = _camera(case)
    box, gradient = case["spline_box_px"], case["net_gradient"]
    beads = _beads(case)
    calibration = spline.calibrate_spline(
        beads,
        info(beads),
        camera,
        box,
        gradient,
        case["z_step_nm"],
        magnification_factor=1.0,
    )
    if case.get("keep"):
        import_module("picasso.io").save_spline_calibration(case["keep"], calibration)

    def fit(movie: np.ndarray) -> dict[str, np.ndarray]:
        found = localize.identify(movie, gradient, box, return_info=False)
        locs, _ = localize.fit(
            movie,
            camera_info=camera,
            identifications=found,
            box=box,
            fitting_method="spline-mle",
            spline_calibration=calibration,
            multiprocess=case["threads"] > 1,
        )
        return _table(locs, case)

    return fit


def _camera(case: dict[str, Any]) -> tuple[dict[str, float], Any]:
    camera = {
        "Baseline": case["offset"],
        "Sensitivity": case["photons_per_count"],
        "Gain": 1,
        "Pixelsize": case["pixel_nm"],
    }

    def info(movie: np.ndarray) -> list[dict[str, Any]]:
        frames, height, width = movie.shape
        sizes = {"Frames": frames, "Height": height, "Width": width}
        return [sizes | {"Pixelsize": case["pixel_nm"], "Camera": camera}]

    return camera, info


def _table(locs: Any, case: dict[str, Any]) -> dict[str, np.ndarray]:
    table = {"frame": np.asarray(locs["frame"])}
    for name in ("x", "y"):  # pixels from the centre of the first one
        table[f"{name}_nm"] = (np.asarray(locs[name], float) + 0.5) * case["pixel_nm"]
    if "z" in locs.columns:
        table["z_nm"] = np.asarray(locs["z"], float)
    return table


def _beads(case: dict[str, Any]) -> np.ndarray:
    tifffile: Any = import_module("tifffile")
    path = Path(case["table"]).with_name("beads.npy")
    np.save(path, tifffile.imread(case["beads"]))
    return np.load(path, mmap_mode="r")


PROGRAMS: dict[str, Callable[[dict[str, Any]], Fit]] = {
    "smappy": smappy,
    "picasso Gaussian": picasso_gauss,
    "picasso spline": picasso_spline,
}


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
