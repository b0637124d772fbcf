"""How often a SIM illumination pattern that counts as found is wrong.

    python benchmarks/patterns.py --quick
    python benchmarks/patterns.py --tiles 20

Frozen simulated fields of every structure, 15 to 600 photons per pixel on it,
backgrounds up to twice the structure.  ``wrong`` is what the graph of the package finds
in one tile by itself, as every program does that knows only the package; ``rec. wrong``
what `zoo predict` tells it, estimated from a field of four tiles.  A pattern is wrong
if its wave is off by more than 60 degrees on average, weighted by the square of the
structure's brightness: the fringes that the reconstruction takes out are not those
that were there.  A tile is wrong if any of its orientations that count is; ``seen`` are
orientations that count and are right.  The second table says what other thresholds of
the clarity would do.
"""

import argparse
import json
from typing import Any, NamedTuple

import numpy as np
from common import print_row

from zoo.core.random import generator
from zoo.physics.pattern_search import chosen, find_peaks, windows_of
from zoo.physics.recording_pattern import estimate_recording
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import SimScene, expose, scaled_counts

TILE_PX = 128
SEED = 1911
BACKGROUNDS = (0.05, 0.5, 1.0, 2.0)
PHOTONS = (15.0, 40.0, 100.0, 250.0, 600.0)
WRONG = 0.5
"""Mean cosine of the error of a wave's phase below which it is wrong."""
OPEN = 0.5
"""Share of a modulation that has to be left for an orientation to count."""
WIDTHS = (12, 10, 10, 10, 10, 10)


class Tile(NamedTuple):
    """One tile, its conditions, and what was made of its orientations."""

    background: float
    photons: float
    clarity: np.ndarray  # (orientation,), of the tile
    counts: np.ndarray  # (orientation,), whether the tile counts it
    right: np.ndarray
    recording_counts: np.ndarray  # the same of the recording
    recording_right: np.ndarray


def main() -> None:
    """Print two tables, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tiles", type=int, default=4, help="per structure, 4")
    parser.add_argument("--quick", action="store_true", help="one bright, one dim")
    parser.add_argument("--json", action="store_true", help="print JSON, no table")
    options = parser.parse_args()
    levels = [(b, p) for b in BACKGROUNDS for p in PHOTONS]
    if options.quick:
        levels = [(BACKGROUNDS[0], PHOTONS[-1]), (BACKGROUNDS[-1], PHOTONS[1])]
    estimator = graph()
    tiles: list[Tile] = []
    for background, photons in levels:
        for number in range(1 if options.quick else options.tiles):
            for structure in SimPairs().structures:
                tiles.append(
                    examined(estimator, structure, background, photons, number)
                )
    rows = [summary(tiles, background=b, photons=p) for b, p in levels]
    rows.append(summary(tiles))
    thresholds = [threshold(tiles, least) for least in (3.0, 3.5, 4.0, 5.0, 6.0)]
    if options.json:
        print(json.dumps({"conditions": rows, "thresholds": thresholds}, indent=2))
        return
    names = ("background", "photons", "tiles", "wrong %", "seen %", "rec. wrong %")
    print_row(names, WIDTHS)
    for row in rows:
        print_row([row[name] for name in names], WIDTHS)
    print("\nclarity at which an orientation of a tile counts")
    print_row(("clarity", "wrong %", "seen %"), WIDTHS[:3])
    for row in thresholds:
        print_row(list(row.values()), WIDTHS[:3])


def graph() -> Any:
    """Return the pattern estimation of the network's graph as a Keras model."""
    import keras

    from zoo.layers.sim.components import components
    from zoo.layers.sim.pattern import estimate_pattern

    image: Any = keras.Input((TILE_PX, TILE_PX, 9))
    found = estimate_pattern(*components(image))
    parts = [found.vectors, found.phasors, found.modulation, found.clarity, found.gate]
    return keras.Model(image, parts)


def examined(
    estimator: Any, structure: Any, background: float, photons: float, number: int
) -> Tile:
    """Simulate a field, and look at its first tile alone and at all of it."""
    source = SimPairs(crop_px=2 * TILE_PX, background=(background, background))
    level = round(100 * background), round(photons)
    kind = source.structures.index(structure)
    rng = generator(SEED, *level, kind, number)
    scene = source.scene(rng, structure)
    counts = expose(scene, rng, source.camera.draw(rng), photons)
    tile = scaled_counts(counts[:, :TILE_PX, :TILE_PX])[None]
    vectors, phasors, _, clarity, gate = (
        np.asarray(part)[0] for part in estimator.predict_on_batch(tile)
    )
    phases = np.arctan2(phasors[:, 1], phasors[:, 0])
    middle = np.full(2, TILE_PX / 2)
    right = agreement(scene, vectors, phases - 2 * np.pi * vectors @ middle) > WRONG
    windows = chosen(windows_of(counts.reshape(3, 3, *counts.shape[1:]).astype(float)))
    peaks = find_peaks(windows)
    seen = peaks.visible & peaks.convincing
    of_all = np.zeros(3, bool)
    if seen.any():
        pattern = estimate_recording(windows, peaks)
        offsets = pattern.for_network().phases_rad
        of_all = agreement(scene, pattern.vectors, offsets) > WRONG
    return Tile(background, photons, clarity, gate > OPEN, right, seen, of_all)


def agreement(scene: SimScene, vectors: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """Return the mean cosine of the error of estimated waves in the first tile.

    Parameters
    ----------
    scene
        What was simulated.
    vectors, phases
        (orientation, 2) cycles per pixel in the direction in which phases rise, and
        the phase of the first frame at the outer corner of the field.
    """
    known = np.array(scene.pattern.phases_rad)
    steps = 2 * np.pi * np.arange(known.shape[1]) / known.shape[1]
    way = np.where(np.sin(known[:, 1] - known[:, 0]) > 0, 1.0, -1.0)
    true = way[:, None] * scene.pattern.vectors_per_um() * scene.optics.pixel_nm / 1000
    offset = np.angle(np.exp(1j * (way[:, None] * known - steps)).sum(axis=1))
    light = scene.target[: 2 * TILE_PX, : 2 * TILE_PX]
    light = light.reshape(TILE_PX, 2, TILE_PX, 2).sum(axis=(1, 3)) ** 2
    y, x = np.mgrid[:TILE_PX, :TILE_PX] + 0.5
    error = vectors - true
    turns = error[:, 0, None, None] * y + error[:, 1, None, None] * x
    angle = 2 * np.pi * turns + (phases - offset)[:, None, None]
    weight = max(float(light.sum()), 1e-12)
    return (light * np.cos(angle)).sum(axis=(1, 2)) / weight


def summary(tiles: list[Tile], **condition: float) -> dict[str, Any]:
    """Return how many of the tiles of a condition are wrong."""
    those = [
        tile
        for tile in tiles
        if all(getattr(tile, name) == value for name, value in condition.items())
    ]
    wrong = np.mean([(t.counts & ~t.right).any() for t in those])
    seen = np.mean([t.counts & t.right for t in those])
    recording = np.mean(
        [(t.recording_counts & ~t.recording_right).any() for t in those]
    )
    return {
        "background": condition.get("background", "all"),
        "photons": condition.get("photons", "all"),
        "tiles": len(those),
        "wrong %": round(100 * float(wrong), 2),
        "seen %": round(100 * float(seen), 1),
        "rec. wrong %": round(100 * float(recording), 2),
    }


def threshold(tiles: list[Tile], least: float) -> dict[str, Any]:
    """Return what a threshold of the clarity, alone and on average, would do."""
    counts = [(t.clarity > least) & (t.clarity.mean() > least) for t in tiles]
    pairs = list(zip(counts, tiles, strict=True))
    return {
        "clarity": least,
        "wrong %": round(
            100 * float(np.mean([(c & ~t.right).any() for c, t in pairs])), 2
        ),
        "seen %": round(100 * float(np.mean([c & t.right for c, t in pairs])), 1),
    }


if __name__ == "__main__":
    main()
