"""From a short movie to a dense rendering: Deep-STORM's table through ANNA-PALM.

A movie of dyes that blink on microtubules is simulated; its first 300 frames go through
`deep_storm_fast_microtubules`, and the table that comes out through
`anna_palm_microtubules`.  Both are compared with the rendering of the true positions of
all frames:

    python benchmarks/chain.py --picture chain.png
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import zoo
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.io.tables import write_localizations
from zoo.metrics.renderings import smoothed
from zoo.simulate.blinking import BlinkingFilaments
from zoo.simulate.renderings import histogram
from zoo.test_sets.renderings import BANDWIDTHS_PX, likeness

FIELD_PX, PIXEL_NM = 64, 20.0
LONG_SIGMA_PX = 0.75
"""Standard deviation with which true positions are drawn, px."""


def main() -> None:
    """Print the similarities and times, one line each, or JSON for programs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300, help="frames localized")
    parser.add_argument("--all", type=int, default=3000, help="frames of the truth")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--picture", type=Path, help="PNG: table, network, truth")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    source = BlinkingFilaments(
        field_px=FIELD_PX,
        filaments=9,
        labelling=0.3,
        on_frames=2.0,
        dark_frames=300.0,
        bleach_frames=12.0,
    )
    movie = source.record(generator(chosen.seed), frames=chosen.all)
    truth = movie.truth
    if not isinstance(truth, Localizations):
        raise SystemExit("the movie's truth is no table")
    edge_nm = FIELD_PX * movie.pixel_size_nm
    size = round(edge_nm / PIXEL_NM)
    storm = zoo.load("deep_storm_fast_microtubules")
    found = storm.predict(
        movie.counts[: chosen.frames], pixel_size_nm=movie.pixel_size_nm
    )
    table = found.localizations
    if table is None or not len(table):
        raise SystemExit("nothing was found in the movie")
    palm = zoo.load("anna_palm_microtubules", field_um=edge_nm / 1000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "localizations.csv"
        write_localizations(path, table)
        result = palm.predict(path)
    dense = smoothed(histogram(truth, size, PIXEL_NM), LONG_SIGMA_PX)
    dense = np.minimum(dense / np.quantile(dense[dense > 0.05], 0.98), 1)
    counts = histogram(table, size, PIXEL_NM)
    values = {
        "localizations": len(table),
        "ms_ssim": likeness(np.asarray(result.image), dense),
        "ms_ssim_histogram": likeness(counts, dense),
        "ms_ssim_kde_best": max(
            likeness(smoothed(counts, sigma), dense) for sigma in BANDWIDTHS_PX
        ),
    }
    for frames in sorted({chosen.frames, chosen.all // 3, chosen.all}):
        part = histogram(truth.select(truth.frame <= frames), size, PIXEL_NM)
        values[f"ms_ssim_true_positions_{frames}"] = likeness(part, dense)
    if chosen.picture is not None:
        from matplotlib.pyplot import imsave

        parts = [np.minimum(counts / 3, 1), np.asarray(result.image), dense]
        imsave(chosen.picture, np.concatenate(parts, axis=1) ** 0.7, cmap="gray")
    if chosen.json:
        print(json.dumps(values))
        return
    for name, value in values.items():
        print(f"{name:32} {value:.4g}")


if __name__ == "__main__":
    main()
