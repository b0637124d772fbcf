"""Weights of `dfcan_sim` on images with and without what real ones have around.

    python benchmarks/surroundings.py dfcan_sim runs/other --images 16

Held-out pairs, the network told of the pattern with the errors that training has:
*plain* is the frozen test set's conditions; *wide* those of the recipe's images that
are not clear, with haze, background, stains and unequal light; *hard* their worse half;
*untold* plain images of whose pattern nothing is known.  Printed are mean PSNR and SSIM
after the best linear match.
"""

import argparse
import json
import os
from typing import Any

import numpy as np
from common import matched_scores, print_row

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from zoo.catalog import recipe
from zoo.core.random import generator
from zoo.objectives._networks import trained_network
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.told_patterns import PatternErrors
from zoo.train.start import start_from

SEED = 77
EDGE = 8  # pixels of the output that are left out at every border
WIDTHS = (36, 8, 10, 10)


def sources() -> dict[str, SimPairs]:
    """Return where the images of every case come from."""
    wide: Any = recipe("dfcan_sim").source.override(clear=0.0)
    plain = SimPairs(modality="sim", crop_px=wide.crop_px, told=PatternErrors())
    return {
        "plain": plain,
        "wide": wide,
        "hard": wide.override(
            surroundings__stain=(1.0, 1.0),
            surroundings__without_pattern=0.0,
            background=(0.5, 2.0),
            haze=(1.0, 2.0),
        ),
        "untold": plain.override(told=PatternErrors(invisible=1.0)),
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="+", help="packages, runs or files")
    parser.add_argument("--images", type=int, default=16, help="of every case, 16")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    model = trained_network(recipe("dfcan_sim"), dtype="float32")
    rows: list[dict[str, Any]] = []
    if not chosen.json:
        print_row(("weights", "case", "PSNR [dB]", "SSIM"), WIDTHS)
    for weights in chosen.weights:
        start_from(model, weights)
        for case, source in sources().items():
            scores = np.mean(
                [score(model, source, n) for n in range(chosen.images)], axis=0
            )
            row = {"weights": weights, "case": case}
            row |= {"psnr_db": round(scores[0], 2), "ssim": round(scores[1], 3)}
            rows.append(row)
            if not chosen.json:
                print_row(tuple(row.values()), WIDTHS)
    if chosen.json:
        print(json.dumps(rows, indent=1))


def score(model: Any, source: SimPairs, number: int) -> tuple[float, float]:
    """Return PSNR and SSIM of what a network makes of one image."""
    image, target = source.sample(generator(SEED, number))
    made = model.predict_on_batch(image[None])[0]
    return matched_scores(made, target, edge=EDGE)


if __name__ == "__main__":
    main()
