"""Raw SIM frames of other numbers of phases, by the package that takes nine frames.

    python benchmarks/phases.py --images 2
    python benchmarks/phases.py --quick

`zoo predict` unmixes 4 to 8 phases of an orientation into the three bands, and gives
the network three phases made of them (`zoo.inputs.sim`).  The same samples, microscopes
and patterns are recorded with 3, 4, 5 and 8 phases, with the same light in all frames
together, and with the same in every frame.  Scores are against the ideal image.
"""

import argparse
import json
from typing import Any

import numpy as np
from common import print_row

from zoo.core.random import generator
from zoo.metrics.comparison import similarity
from zoo.physics.illumination import Pattern
from zoo.physics.optics import Optics
from zoo.predict.predictor import Predictor
from zoo.recipes.dfcan import DFCAN_SIM
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import expose, scaled_target

NAME = "dfcan_sim"
COUNTS = (3, 4, 5, 8)
PHOTONS = (40.0, 200.0)
"""Per pixel of the structure and frame, of three phases."""
SIZE_PX = 160
WIDTHS = (10, 16, 9, 9, 12)


class ManyPhases(SimPairs):
    """Frames of as many equidistant phases as wanted, with the jitter of the source."""

    phases: int = 3
    """Phases of an orientation."""

    def _pattern(self, rng: np.random.Generator, optics: Optics) -> Pattern:
        pattern = super()._pattern(rng, optics)
        steps = 2 * np.pi * np.arange(self.phases) / self.phases
        rows: list[tuple[float, ...]] = []
        aside = rng.spawn(1)[0]  # samples stay what they are
        for first, *_ in pattern.phases_rad:
            jitter = aside.normal(0, self.phase_jitter_rad, self.phases)
            rows.append(tuple(float(phase) for phase in first + steps + jitter))
        return pattern.override(phases_rad=tuple(rows))


def with_phases(source: SimPairs, phases: int) -> ManyPhases:
    """Return a source with another number of phases."""
    declared = {name: getattr(source, name) for name in type(source).model_fields}
    return ManyPhases(**declared | {"phases": phases, "clear": 0.0})


def scores(
    model: Predictor, source: ManyPhases, images: int, *, share: float
) -> dict[str, float]:
    """Return mean PSNR and SSIM, and the share of recordings warned of.

    Parameters
    ----------
    model
        The package.
    source
        What is drawn.
    images
        Of every structure.
    share
        Of `PHOTONS` in a frame.
    """
    values: list[dict[str, float]] = []
    warned = 0
    for number, structure in enumerate(source.structures):
        for image in range(images):
            rng = generator(20221, number, image)
            scene = source.scene(rng, structure, size_px=SIZE_PX)
            for photons in PHOTONS:
                rng = generator(20222, number, image, round(photons))
                counts = expose(scene, rng, source.camera.draw(rng), share * photons)
                found = model.predict(counts, pixel_size_nm=source.pixel_size_nm)
                output = np.asarray(found.image, float).squeeze()
                target = scaled_target(scene)[..., 0]
                values.append(similarity(output, target, data_range=1.0))
                warned += bool(found.report["warnings"])
    means = {k: float(np.mean([v[k] for v in values])) for k in ("psnr", "ssim")}
    return means | {"warned": warned / len(values)}


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1, help="per structure, 1")
    parser.add_argument("--quick", action="store_true", help="one structure, 3 and 5")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    source: Any = DFCAN_SIM.source
    if chosen.quick:
        source = source.override(structures=source.structures[:1])
    rows: list[dict[str, Any]] = []
    if not chosen.json:
        print_row(("phases", "light", "PSNR", "SSIM", "warned"), WIDTHS)
    for phases in (3, 5) if chosen.quick else COUNTS:
        model = Predictor(NAME, error_map=False, phases=phases)
        drawn = with_phases(source, phases)
        ways = {"same in all": COUNTS[0] / phases, "same in each": 1.0}
        for way, share in ways.items():
            if phases == COUNTS[0] and way == "same in each":
                continue  # the same as before
            row = scores(model, drawn, chosen.images, share=share)
            rows.append({"phases": phases, "light": way} | row)
            if not chosen.json:
                cells = (f"{row['psnr']:.2f}", f"{row['ssim']:.3f}")
                print_row((phases, way, *cells, f"{row['warned']:.2f}"), WIDTHS)
    if chosen.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
