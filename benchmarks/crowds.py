"""Speed and accuracy side by side, from sparse emitters to crowded filaments.

    python benchmarks/crowds.py --quick
    python benchmarks/crowds.py --peers ENVIRONMENT/bin/python

The same movies for all: uniform emitters at several densities, then the dense tubes of
the frozen set of filaments under another seed, on an sCMOS whose offset and gain every
program is told.  Both packages, our joint fit, which knows width of the spots and noise
of every pixel, the same fit begun at the true positions, which no search can better,
and with ``--peers`` (see `benchmarks/localization.py`) SMAPpy's and
Picasso's fits of isolated Gaussians.

Columns: frames and localizations per second; processor seconds per frame of this
process, which a busy machine changes less; Jaccard index at 250 nm, the challenge's; at
50 and 100 nm, and at 50 nm less what the table scores against other frames; root mean
square of the lateral errors within 100 nm.
"""

import argparse
import json
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from common import in_fresh_process, number, print_machine, print_row
from localization import run_peer

from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.metrics.crowds import crowd_scores
from zoo.metrics.localizations import score
from zoo.physics.camera import Scmos
from zoo.physics.crowd_fit import fit_crowds
from zoo.physics.fisher import pixel_noise
from zoo.physics.spots import GaussianPsf
from zoo.test_sets.filaments import FilamentTestSet

FAITHFUL = "deep_storm_microtubules"
FAST = "deep_storm_fast_microtubules"
JOINT = "joint fit"
ORACLE = "joint fit from the truth"
PEERS = ("smappy", "picasso Gaussian")
DENSITIES_PER_UM2 = (0.1, 1.0, 3.0, 6.0)
TUBES = "dense tubes"
SEED = 4711
"""Not that of a frozen test set, nor one of training."""
TRUTH = ("x_nm", "y_nm", "frame")
WARM_UP_FRAMES = 4
HEADER = ("", "frames/s", "locs/s", "cpu s", "J 250", "J 100", "J 50", "J 50 net",
          "rmse nm")  # fmt: skip
WIDTHS = (32, 10, 9, 9, 8, 8, 8, 10, 9)


def main() -> None:
    """Simulate, run everything, print tables."""
    options = _options()
    if options.case:
        print(json.dumps(ours(json.loads(options.case))))
        return
    here = all(find_spec(name) for name in ("smappy", "picasso"))
    peers = options.peers or (sys.executable if here else None)
    frames = 4 if options.quick else options.frames
    print_machine(f"{frames} frames of 64 x 64 px")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title in (*(f"{d:g} per µm²" for d in DENSITIES_PER_UM2), TUBES):
            case, truth = simulate(folder, title, frames=frames)
            print(title)
            print_row(HEADER, WIDTHS)
            for program in (options.fast, options.faithful, JOINT, ORACLE):
                result = in_fresh_process(__file__, case | {"program": program})
                show(program, result, case, truth)
            for program in PEERS if peers else ():
                result = run_peer(str(peers), case | {"program": program}, folder)
                show(f"{program} {result.get('version', '')}", result, case, truth)
            print()


def simulate(
    folder: Path, title: str, *, frames: int
) -> tuple[dict[str, Any], Localizations]:
    """Write a movie; return what a program is told of it, and the truth."""
    test_set = FilamentTestSet(
        seed=SEED, filament_seed=SEED, frames=frames, movie_frames=max(frames, 4)
    )
    if title == TUBES:
        made = test_set.dense(1, "scmos")
        sigma_nm = test_set.movie_sigma_nm
    else:
        density = float(title.split()[0])
        rng = generator(SEED, round(10 * density))
        made = test_set.density(rng, "scmos", density)
        sigma_nm = test_set.psf_sigma_nm
    np.save(folder / "movie.npy", made.input)
    columns = {name: getattr(made.truth, name) for name in TRUTH}
    np.savez(folder / "truth.npz", **columns)
    camera = Scmos()
    case: dict[str, Any] = {
        "movie": str(folder / "movie.npy"),
        "truth": str(folder / "truth.npz"),
        "table": str(folder / "table.npz"),
        "beads": None,
        "pixel_nm": test_set.pixel_size_nm,
        "field_nm": test_set.field_nm,
        "sigma_px": sigma_nm / test_set.pixel_size_nm,
        "offset": camera.offset_adu,
        "photons_per_count": 1 / (camera.adu_per_e * camera.quantum_efficiency),
        "cutoff": 1.7,
        "net_gradient": 1500.0,
        "box_px": 7,
        "threads": 1,
    }
    return case, made.truth


def ours(case: dict[str, Any]) -> dict[str, Any]:
    """Run a package or the joint fit on the clock; write its table."""
    movie = np.load(case["movie"])
    if case["program"] in (JOINT, ORACLE):
        camera = Scmos()
        psf = GaussianPsf(
            pixel_nm=case["pixel_nm"], sigma_x_nm=case["sigma_px"] * case["pixel_nm"]
        )
        noise = pixel_noise(camera, movie.shape[1:])
        starts = None
        if case["program"] == ORACLE:
            with np.load(case["truth"]) as truth:
                starts = Localizations(**{name: truth[name] for name in TRUTH})

        def run(frames: np.ndarray) -> Localizations:
            photons = camera.to_photons(frames)
            return fit_crowds(psf, photons, noise=noise, starts=starts)

    else:
        from zoo.predict.predictor import Predictor

        model = Predictor(case["program"])

        def run(frames: np.ndarray) -> Localizations:
            result = model.predict(frames, pixel_size_nm=case["pixel_nm"])
            table = result.localizations
            return Localizations.empty() if table is None else table

    run(movie[:WARM_UP_FRAMES])
    began, processor = time.perf_counter(), time.process_time()
    table = run(movie)
    seconds = time.perf_counter() - began
    processor = time.process_time() - processor
    np.savez(case["table"], frame=table.frame - 1, x_nm=table.x_nm, y_nm=table.y_nm)
    return {"seconds": seconds, "processor": processor, "frames": len(movie)}


def show(
    label: str, result: dict[str, Any], case: dict[str, Any], truth: Localizations
) -> None:
    """Print a row of the table."""
    if "error" in result:
        print(f"{label}: {result['error']}")
        return
    with np.load(case["table"]) as table:
        found = Localizations(
            x_nm=table["x_nm"],
            y_nm=table["y_nm"],
            frame=table["frame"].astype(int) + 1,
        )
    frames, field_nm = result["frames"], case["field_nm"]
    values = crowd_scores(truth, found, field_nm=field_nm, frames=frames)
    values |= {
        "wide": score(truth, found, field_nm=field_nm)["jaccard"],
        "frames": frames / result["seconds"],
        "rows": len(found) / result["seconds"],
    }
    if "processor" in result:
        values["processor"] = result["processor"] / frames
    print_row(
        (
            label,
            number(values, "frames", ".1f"),
            number(values, "rows", ".0f"),
            number(values, "processor", ".3f"),
            number(values, "wide", ".3f"),
            number(values, "jaccard_100", ".3f"),
            number(values, "jaccard_50", ".3f"),
            number(values, "jaccard_50_net", ".3f"),
            number(values, "rmse_lateral_nm", ".1f"),
        ),
        WIDTHS,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="4 frames a movie")
    parser.add_argument("--frames", type=int, default=30, help="of each movie")
    parser.add_argument("--faithful", default=FAITHFUL, help="package or path")
    parser.add_argument("--fast", default=FAST, help="package or path")
    parser.add_argument("--peers", type=Path, help="Python with the other programs")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
