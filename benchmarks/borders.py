r"""Dense emitters by their distance from the border of the frame.

    python benchmarks/borders.py deep_storm3d_tetrapod deep_storm3d_learned

Frames are cut from larger ones that have emitters all over, as a camera's region is:
spots are cut off by the border, and light of emitters beyond it reaches in.  Packages
by name or folder, with as many looks as they declare unless told otherwise; columns of
every band: its distance from the border in camera px, Jaccard index, precision and
recall within 100 nm along each direction, false localizations per frame.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from common import print_row

from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.evaluate.scoring import frozen_test_set
from zoo.io.library import open_package
from zoo.metrics.matching import match
from zoo.predict.predictor import Predictor
from zoo.simulate.dense_emitters import CORE_UM2, DenseEmitters
from zoo.test_sets.dense_emitters import MATCH_NM, DenseEmitterTestSet

SEED = 4242
"""Not that of a frozen test set, nor one of training."""
SIZE_PX, BEYOND_PX = 121, 20
BANDS_PX = (0, 4, 8, 16, 24, 61)
NAMES = ("jaccard", "precision", "recall", "false_per_frame")
WIDTHS = (30, 10, 10, 10, 11, 8, 16)


def simulate(
    source: DenseEmitters, *, per_core: int, frames: int
) -> tuple[np.ndarray, Localizations]:
    """Return counts (t, y, x) of the middle of larger frames, and its emitters."""
    edge_px = SIZE_PX + 2 * BEYOND_PX
    area_um2 = (edge_px * source.pixel_size_nm / 1000) ** 2
    number = round(per_core / CORE_UM2 * area_um2)
    film = source.frames(
        generator(SEED, per_core), np.full(frames, number), size_px=edge_px
    )
    inside = slice(BEYOND_PX, BEYOND_PX + SIZE_PX)
    moved_nm = BEYOND_PX * source.pixel_size_nm
    truth = film.truth.with_columns(
        x_nm=film.truth.x_nm - moved_nm, y_nm=film.truth.y_nm - moved_nm
    )
    kept = depth_px(truth, source.pixel_size_nm) >= 0
    return film.counts[:, inside, inside], truth.select(kept)


def depth_px(table: Localizations, pixel_nm: float) -> np.ndarray:
    """Return how far localizations are from the border, px; negative beyond it."""
    x, y = table.x_nm / pixel_nm, table.y_nm / pixel_nm
    return np.min([x, y, SIZE_PX - 1 - x, SIZE_PX - 1 - y], axis=0) + 0.5


def scores(
    package: str, *, per_core: int, frames: int, looks: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what a package finds in every band."""
    base = frozen_test_set(open_package(package))
    if not isinstance(base, DenseEmitterTestSet):
        raise SystemExit(f"{package} finds no emitters in a volume")
    source = DenseEmitters(
        optics=base.optics,
        pixel_size_nm=base.pixel_size_nm,
        z_nm=base.z_nm,
        photons=base.photons,
        blur_px=base.blur_px,
    )
    counts, truth = simulate(source, per_core=per_core, frames=frames)
    options = {} if looks is None else {"looks": looks}
    result = Predictor(package, **options).predict(
        counts, pixel_size_nm=source.pixel_size_nm
    )
    found = result.localizations
    pairs = match(truth, found, radius_nm=MATCH_NM, axial_radius_nm=MATCH_NM)
    hit, right = np.zeros(len(truth), bool), np.zeros(len(found), bool)
    hit[pairs.truth], right[pairs.found] = True, True
    of_truth = np.digitize(depth_px(truth, source.pixel_size_nm), BANDS_PX[1:-1])
    of_found = np.digitize(depth_px(found, source.pixel_size_nm), BANDS_PX[1:-1])
    for band, (low, high) in enumerate(pairwise(BANDS_PX)):
        true = hit[of_truth == band]
        false = ~right[of_found == band]
        count = int(true.sum())
        yield {
            "package": package,
            "emitters": per_core,
            "band_px": (low, high),
            "jaccard": count / max(len(true) + int(false.sum()), 1),
            "precision": count / max(count + int(false.sum()), 1),
            "recall": count / max(len(true), 1),
            "false_per_frame": float(false.sum() / frames),
        }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="+", help="names or folders")
    parser.add_argument("--emitters", type=int, nargs="+", default=[10, 34])
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--looks", type=int, help="that of the packages")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    found: list[dict[str, Any]] = []
    if not chosen.json:
        print_row(("package", "emitters", "px", *NAMES), WIDTHS)
    for package in chosen.packages:
        for per_core in chosen.emitters:
            wanted = {"frames": chosen.frames, "looks": chosen.looks}
            for row in scores(package, per_core=per_core, **wanted):
                found.append(row)
                if not chosen.json:
                    low, high = row["band_px"]
                    cells = [f"{row[name]:.2f}" for name in NAMES]
                    print_row((package, per_core, f"{low}-{high}", *cells), WIDTHS)
    if chosen.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
