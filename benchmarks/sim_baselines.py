"""Classical SIM reconstructions beside each other on the same simulated fields.

    python benchmarks/sim_baselines.py --peers PYTHON
    python benchmarks/sim_baselines.py --quick

Fields of every structure with light from out of focus as strong as that in focus, at
several backgrounds and signal levels.  ``wiener`` is the baseline of the scores, which
knows pattern and optics; ``estimated`` finds the pattern in the frames without optics,
as `zoo predict` does; ``notch`` gives the middle of each band, where background and
haze are, little weight; ``all light`` regularises by the noise of all light, not of the
structure's alone.  ``peer`` is napari-sim-processor (Bassi, Neil; PyPI) with its
own calibration and defaults, told the optics, run by the interpreter PYTHON that has
it; ``peer, our w`` the same with our Wiener parameter.  PSNR and SSIM are taken after
the best linear match to the ideal image.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import print_row

from zoo.core.random import generator
from zoo.metrics.comparison import similarity
from zoo.physics.illumination import Pattern
from zoo.physics.optics import Optics
from zoo.physics.pattern_search import chosen, find_peaks, windows_of
from zoo.physics.recording_pattern import estimate_recording
from zoo.physics.sim_reconstruction import reconstruct, wiener_parameter
from zoo.physics.transfer_fit import pixel_optics
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import expose

SEED = 1911
NOTCH = 0.95
CONDITIONS = ((0.05, 40.0), (0.05, 300.0), (1.0, 40.0), (1.0, 300.0))
"""Background in units of the structure, and photons per pixel on it."""
WIDTHS = (14, 11, 8, 13, 13, 13, 13, 18, 13, 13)

PEER = """
import importlib.util, json, sys, types
import numpy as np
# the package itself imports its window, for which a screen is needed
whole = types.ModuleType("napari_sim_processor")
found = importlib.util.find_spec("napari_sim_processor")
whole.__path__ = list(found.submodule_search_locations)
sys.modules["napari_sim_processor"] = whole
from napari_sim_processor.processors.convSimProcessor import ConvSimProcessor
case = json.load(open(sys.argv[1]))
frames = np.load(case["frames"]).astype(np.float32)
images = []
for parameter in case["parameters"]:
    program = ConvSimProcessor()
    program.debug = False
    program.magnification, program.pixelsize = 1.0, case["pixel_um"]
    program.NA, program.wavelength = case["na"], case["wavelength_um"]
    program.n = 1.518
    if parameter is not None:
        program.w = parameter
    program.calibrate(frames)
    images.append(program.reconstruct_rfftw(frames))
np.save(case["images"], np.array(images))
"""


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", help="Python that has napari-sim-processor")
    parser.add_argument("--quick", action="store_true", help="one structure")
    parser.add_argument("--size", type=int, default=256, help="edge of a field, px")
    parser.add_argument("--json", action="store_true", help="print JSON, no table")
    options = parser.parse_args()
    structures = SimPairs().structures[: 1 if options.quick else None]
    rows: list[dict[str, Any]] = []
    for background, photons in CONDITIONS:
        for structure in structures:
            scores = scored(structure, background, photons, options.size, options.peers)
            rows.append(
                {"structure": structure, "background": background, "photons": photons}
                | scores
            )
    means = [
        {"structure": "all", "background": b, "photons": p} | mean(rows, b, p)
        for b, p in CONDITIONS
    ]
    if options.json:
        print(json.dumps(rows + means, indent=2))
        return
    widths = WIDTHS[: len(rows[0])]
    print_row(list(rows[0]), widths)
    for row in rows + means:
        print_row(list(row.values()), widths)


def mean(rows: list[dict[str, Any]], background: float, photons: float) -> dict:
    """Return the scores of a condition, averaged over structures, as text."""
    those = [
        r for r in rows if (r["background"], r["photons"]) == (background, photons)
    ]
    names = list(those[0])[3:]
    pairs = {name: [r[name].split("/") for r in those] for name in names}
    return {
        name: _text(
            *np.array([[float(v) for v in p] for p in values if p[0] != "-"]).mean(0)
        )
        if any(p[0] != "-" for p in values)
        else "-"
        for name, values in pairs.items()
    }


def scored(
    structure: Any, background: float, photons: float, size: int, peers: str | None
) -> dict[str, str]:
    """Return PSNR and SSIM of every method on one field, as text."""
    source = SimPairs(
        crop_px=size,
        background=(background, background),
        haze=(1.0, 1.0),
        tirf_share=0.0,
    )
    rng = generator(
        SEED,
        source.structures.index(structure),
        round(photons),
        round(100 * background),
    )
    scene = source.scene(rng, structure)
    camera = source.camera.draw(rng)
    frames = camera.to_photons(
        expose(scene, rng, camera, photons, origin=(0, 0)), origin=(0, 0)
    )
    target = scene.target / scene.target.max()
    return {
        name: _text(*_similar(image, target)) if image is not None else "-"
        for name, image in methods(frames, scene.pattern, scene.optics, photons, peers)
    }


def methods(
    frames: np.ndarray,
    pattern: Pattern,
    optics: Optics,
    photons: float,
    peers: str | None,
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Yield name and image, None where a method finds no pattern."""
    level = {"regularisation": wiener_parameter(photons)}
    yield "wiener", reconstruct(frames, pattern, optics, **level)
    yield "notch", reconstruct(frames, pattern, optics, notch=NOTCH, **level)
    light = wiener_parameter(photons, background=float(np.median(frames)))
    yield "all light", reconstruct(frames, pattern, optics, regularisation=light)
    found = estimated(frames)
    for name, notch in (("estimated", 0.0), ("estimated, notch", NOTCH)):
        yield (
            name,
            None
            if found is None
            else reconstruct(frames, *found, notch=notch, **level),
        )
    if peers is not None:
        images = peer(frames, optics, peers, [None, level["regularisation"]])
        yield from zip(("peer", "peer, our w"), images, strict=True)


def estimated(frames: np.ndarray) -> tuple[Pattern, Optics] | None:
    """Return pattern and optics found in frames, with the pixel as the unit."""
    windows = chosen(windows_of(frames.reshape(3, 3, *frames.shape[1:])))
    peaks = find_peaks(windows)
    if not peaks.convincing:
        return None
    found = estimate_recording(windows, peaks)
    lengths = np.hypot(*found.vectors.T)
    return (
        Pattern(
            frequency_per_um=float(lengths[found.visible].mean()),
            angles_rad=tuple(np.arctan2(*found.vectors.T).tolist()),
            phases_rad=tuple(tuple(row) for row in found.phases_rad.tolist()),
            modulations=tuple(
                np.clip(np.where(found.visible, found.modulations, 0), 0.01, 1).tolist()
            ),
        ),
        pixel_optics(found.cutoff, found.attenuation),
    )


def peer(
    frames: np.ndarray, optics: Optics, python: str, parameters: list[float | None]
) -> list[np.ndarray]:
    """Return the images of napari-sim-processor, one for each Wiener parameter."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        np.save(place / "frames.npy", frames)
        case = {
            "frames": str(place / "frames.npy"),
            "images": str(place / "images.npy"),
            "pixel_um": optics.pixel_nm / 1000,
            "na": optics.na,
            "wavelength_um": optics.wavelength_nm / 1000,
            "parameters": parameters,
        }
        (place / "case.json").write_text(json.dumps(case), encoding="utf-8")
        command = [python, "-W", "ignore", "-c", PEER, str(place / "case.json")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return list(np.load(place / "images.npy").astype(float))


def _similar(image: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    scores = similarity(image, target, data_range=1.0)
    return scores["psnr"], scores["ssim"]


def _text(psnr: float, ssim: float) -> str:
    return f"{psnr:.1f}/{ssim:.3f}"


if __name__ == "__main__":
    main()
