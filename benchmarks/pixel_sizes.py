"""Image packages on recordings of other pixel sizes, resampled and as they are.

    python benchmarks/pixel_sizes.py dfcan_widefield dfcan_sim --images 2
    python benchmarks/pixel_sizes.py dfcan_widefield --images 4 --pixels 100 108

One set of samples, microscopes and signal levels is imaged with pixels of 50, 62.6, 87
and 108 nm; the microscopes are those of the training that the coarsest pixel samples.
Scores are against the ideal image on the grid of the file, twice as fine.

For raw SIM frames two more rows separate what a pixel changes: *pattern*, the trained
pixel under fringes as fine as the pixel makes them; *optics*, the pixel under fringes
of the trained period in pixels.
"""

import argparse
import json
from typing import Any

import numpy as np
from common import print_row

from zoo.core.random import generator
from zoo.metrics.comparison import similarity
from zoo.predict.predictor import Predictor
from zoo.recipes.dfcan import DFCAN_SIM, DFCAN_WIDEFIELD
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import expose, scaled_target

PIXELS_NM = (50.0, 62.6, 87.0, 108.0)
TRAINED_NM = 62.6
FIELD_NM = 10_000.0
"""Edge of a field, so that all pixels see about the same."""
OPTICS: dict[str, Any] = {"na": (1.2, 1.3), "wavelength_nm": (600.0, 680.0)}
PHOTONS = (40.0, 200.0)
WIDTHS = (18, 9, 12, 9, 8)


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", help="DFCAN packages; both")
    parser.add_argument("--images", type=int, default=1, help="per structure, 1")
    parser.add_argument("--pixels", type=float, nargs="+", default=PIXELS_NM)
    parser.add_argument("--quick", action="store_true", help="two structures, 87 nm")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if not chosen.json:
        print_row(("package", "pixel", "way", "PSNR", "SSIM"), WIDTHS)
    for name in chosen.packages or ["dfcan_widefield", "dfcan_sim"]:
        declared = DFCAN_SIM if "sim" in name else DFCAN_WIDEFIELD
        source = declared.source
        if not isinstance(source, SimPairs):
            parser.error(f"{name} is not trained on simulated images")
        source = source.override(**OPTICS, clear=0.0)
        pixels_nm = tuple(chosen.pixels)
        if chosen.quick:
            source = source.override(structures=source.structures[:2])
            pixels_nm = (TRAINED_NM, 87.0)
        for row in scored(name, source, chosen.images, pixels_nm):
            rows.append(row)
            if not chosen.json:
                shown = (f"{row['psnr']:.2f}", f"{row['ssim']:.3f}")
                print_row((name, f"{row['pixel_nm']:g}", row["way"], *shown), WIDTHS)
    if chosen.json:
        print(json.dumps(rows, indent=2))


def scored(
    name: str, source: SimPairs, images: int, pixels_nm: tuple[float, ...]
) -> Any:
    """Yield the mean scores of every pixel size and way."""
    models = {
        "resampled": Predictor(name, error_map=False, resample=True),
        "as it is": Predictor(name, error_map=False, resample=False),
    }
    plain = source.pattern_frequency
    for pixel_nm in pixels_nm:
        there = source.override(pixel_size_nm=pixel_nm)
        for way, model in models.items():
            if pixel_nm == TRAINED_NM and way == "resampled":
                continue
            yield row(name, model, there, images, pixel_nm, way)
        if source.modality != "sim" or pixel_nm == TRAINED_NM:
            continue
        ratio = pixel_nm / TRAINED_NM
        finer = {"pattern_frequency": tuple(ratio * f for f in plain)}
        coarser = {"pattern_frequency": tuple(f / ratio for f in plain)}
        model = models["as it is"]
        pattern, optics = source.override(**finer), there.override(**coarser)
        yield row(name, model, pattern, images, pixel_nm, "pattern")
        yield row(name, model, optics, images, pixel_nm, "optics")


def row(
    name: str, model: Any, source: SimPairs, images: int, pixel_nm: float, way: str
) -> dict[str, Any]:
    """Return the mean scores of a package on simulated images."""
    values: list[dict[str, float]] = []
    size = round(FIELD_NM / source.pixel_size_nm)
    for number, structure in enumerate(source.structures):
        for image in range(images):
            scene = source.scene(
                generator(20216, number, image), structure, size_px=size
            )
            for photons in PHOTONS:
                rng = generator(20217, number, image, round(photons))
                counts = expose(scene, rng, source.camera.draw(rng), photons)
                frames = np.moveaxis(counts, 0, -1)[None].astype(np.float32)
                found = model.predict(frames, pixel_size_nm=source.pixel_size_nm)
                output = np.asarray(found.image, float).squeeze()
                target = scaled_target(scene)[..., 0]
                values.append(similarity(output, target, data_range=1.0))
    means = {k: float(np.mean([v[k] for v in values])) for k in ("psnr", "ssim")}
    return {"package": name, "pixel_nm": pixel_nm, "way": way} | means


if __name__ == "__main__":
    main()
