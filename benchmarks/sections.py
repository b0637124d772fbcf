"""A page of simulated electron micrographs, to be looked at beside real ones.

    python benchmarks/sections.py [-o specs/pssr_em/sections.png] [--seed 70]

Twelve sections as the source of `pssr_em` draws them, pixels of 2 to 10 nm, each with a
microscope and faults of its own.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.core.random import generator
from zoo.simulate.scans import ElectronScans

ROWS, COLUMNS = 3, 4
EDGE_PX = 240


def page(seed: int) -> np.ndarray:
    """Return the sections side by side, finest pixels first, (y, x) uint8."""
    source = ElectronScans(scenes=ROWS * COLUMNS, scene_seed=seed)
    views = []
    for number in range(ROWS * COLUMNS):
        pixel_nm = source.scene_pixel_nm(number)
        view = source.view(generator(seed, number), number, EDGE_PX, pixel_nm)
        views.append(np.pad(view.exposures[0], 2, constant_values=1.0))
    rows = [np.hstack(views[COLUMNS * r : COLUMNS * (r + 1)]) for r in range(ROWS)]
    # 64 grey levels are enough to look at, and half as large
    return (4 * np.round(63 * np.vstack(rows))).astype(np.uint8)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default="sections.png")
    parser.add_argument("--seed", type=int, default=70)
    options = parser.parse_args()
    Image.fromarray(page(options.seed)).save(options.output, optimize=True)


if __name__ == "__main__":
    main()
