"""What `zoo check` says of recordings inside and outside of a package's training.

    python benchmarks/conditions.py --draws 100

Inside: movies and images under conditions drawn at random from the recipe's own ranges;
every one that is graded outside is a false alarm.  Outside: single conditions beyond
them.  Printed are the share that is graded outside, and by which conditions.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from common import print_row
from scipy.ndimage import gaussian_filter, zoom

from zoo.catalog import recipe
from zoo.core.contract import Contract, conditions
from zoo.core.localizations import Localizations
from zoo.core.measured import Measured
from zoo.metrics.recording import measured_image, measured_spots
from zoo.physics.engineered import PUPILS
from zoo.physics.pupil import PupilPsf
from zoo.physics.specimens import SPECIMENS, specimen
from zoo.physics.spots import draw_emitters
from zoo.simulate.filament_frames import FilamentFrames, emitters_for
from zoo.simulate.frames import MARGIN_PX, DensityFrames
from zoo.simulate.pairs import render
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import expose
from zoo.tasks.conditions import compare
from zoo.test_sets.filaments import crossing_microtubules, static_cell, tubes

SPOTS = ("deep_storm_microtubules", "deep_storm_fast_microtubules")
IMAGES = ("dfcan_widefield", "dfcan_sim")
FRAMES, FIELD_PX = 24, 64
SHAPE = 4.0
"""Of the gamma distribution of photons: a relative spread of a half."""
WIDTHS = (30, 26, 8, 9, 9)
NAMES = list(SPECIMENS)

Recording = Callable[[np.random.Generator, int], list[Measured]]


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=100, help="inside, 100")
    parser.add_argument("--outside", type=int, default=12, help="of each case, 12")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if not chosen.json:
        print_row(("package", "case", "draws", "outside", "near"), WIDTHS)
    for name in (*SPOTS, *IMAGES):
        declared = recipe(name)
        contract = declared.contract.override(training=conditions(declared.source))
        for case, record in cases(declared.source):
            draws = chosen.draws if case == "inside" else chosen.outside
            row = {"package": name, "case": case} | graded(contract, record, draws)
            rows.append(row)
            if not chosen.json:
                cells = (name, case, row["draws"], row["outside"], row["near"])
                print_row(cells, WIDTHS)
                if row["by"]:
                    print(f"    {row['by']}", flush=True)
    if chosen.json:
        print(json.dumps(rows, indent=2))


def graded(contract: Contract, record: Recording, draws: int) -> dict[str, Any]:
    """Count the grades of some draws of a case."""
    by: Counter[str] = Counter()
    outside = near = 0
    for seed in range(draws):
        found = compare(contract, record(np.random.default_rng([seed, 7]), seed))
        bad = [c.measured.name for c in found if c.grade == "outside"]
        by.update(bad)
        outside += bool(bad)
        near += not bad and any(c.grade == "near" for c in found)
    return {"draws": draws, "outside": outside, "near": near, "by": dict(by)}


def cases(source: Any) -> Iterator[tuple[str, Recording]]:
    """Yield the cases of a source and what measures one draw of each."""
    if isinstance(source, SimPairs):
        yield from image_cases(source)
    else:
        yield from spot_cases(source)


def spot_cases(source: DensityFrames) -> Iterator[tuple[str, Recording]]:
    """Yield movies of emitters."""
    changes: dict[str, dict[str, Any]] = {
        "inside": {},
        "150 photons": {"photons": (150.0, 150.1)},
        "9 emitters/µm²": {"density_per_um2": (9.0, 9.1), "filament_share": 0.0},
        "18 emitters/µm²": {"density_per_um2": (18.0, 18.1), "filament_share": 0.0},
        "spots of 220 nm": {"psf_sigma_nm": (220.0, 220.1)},
        "600 photons background": {"background_photons": (600.0, 601.0)},
    }
    for case, change in changes.items():

        def movie(
            rng: np.random.Generator, _: int, change: dict[str, Any] = change
        ) -> list[Measured]:
            frames = field_movie(fixed(source, rng).override(**change), rng)
            return measured_spots(frames, pixel_nm=source.pixel_size_nm)

        yield case, movie
    for name in ("tetrapod", "double_helix"):

        def engineered(
            rng: np.random.Generator, _: int, name: str = name
        ) -> list[Measured]:
            return measured_spots(pupil_movie(rng, name), pixel_nm=110.0)

        yield f"{name} spots", engineered

    def sharper(rng: np.random.Generator, _: int) -> list[Measured]:
        image = blurred(rng, "microtubules", 60, 20)
        size = Measured("pixel_size_nm", 20.0, "nm", "pixel size")
        return [size, *measured_spots(image[None], pixel_nm=20.0)]

    yield "STED image, 20 nm", sharper


def fixed(source: DensityFrames, rng: np.random.Generator) -> DensityFrames:
    """Return a source whose frames have the conditions of one movie."""

    def logarithmic(bounds: tuple[float, float]) -> float:
        return float(np.exp(rng.uniform(*np.log(bounds))))

    photons, background = (
        logarithmic(source.photons),
        logarithmic(source.background_photons),
    )
    low, high = source.photons
    width = rng.uniform(*source.psf_sigma_nm)
    density = rng.uniform(*np.sqrt(source.density_per_um2)) ** 2
    changes: dict[str, Any] = {
        "photons": (max(0.8 * photons, low), min(1.25 * photons, high)),
        "background_photons": (background, 1.001 * background),
        "psf_sigma_nm": (width, 1.001 * width),
        "density_per_um2": (density, 1.001 * density),
        "empty_share": 0.0,
        "filament_share": float(rng.random() < source.filament_share),
    }
    if isinstance(source, FilamentFrames):
        local = rng.uniform(*np.sqrt(source.local_density_per_um2)) ** 2
        changes["local_density_per_um2"] = (local, 1.001 * local)
    return source.override(**changes)


def field_movie(source: DensityFrames, rng: np.random.Generator) -> np.ndarray:
    """Return frames (t, y, x) of one field in which dyes of one kind blink.

    Half of the fields have a haze that does not blink; a field of filaments shows
    bundled tubes or single ones that cross.
    """
    camera, pixel_nm = source.camera.draw(rng), source.pixel_size_nm
    edge_nm, margin_nm = ((FIELD_PX + 2 * MARGIN_PX) * pixel_nm, MARGIN_PX * pixel_nm)
    if source.filament_share and isinstance(source, FilamentFrames):
        structure = (tubes, crossing_microtubules)[rng.integers(2)]
        places = structure(rng, edge_nm)
        local = float(np.mean(source.local_density_per_um2))
        count = emitters_for(places, local_density_per_um2=local)
    else:
        places = rng.uniform(0, edge_nm, (20_000, 2))
        count = float(np.mean(source.density_per_um2)) * (edge_nm / 1000) ** 2
    background = np.full((FIELD_PX, FIELD_PX), np.mean(source.background_photons))
    if rng.random() < 0.5:
        background *= 1 + rng.uniform(0, 3) * static_cell(rng, FIELD_PX)
    photons, sigma_nm = np.mean(source.photons), np.mean(source.psf_sigma_nm)
    frames: list[np.ndarray] = []
    for _ in range(FRAMES):
        number = rng.poisson(count)
        place = places[rng.choice(len(places), number)] - margin_nm
        emitters = Localizations(
            x_nm=place[:, 0],
            y_nm=place[:, 1],
            photons=rng.gamma(SHAPE, photons / SHAPE, number),
            sigma_nm=np.full(number, sigma_nm),
        )
        light = render(emitters, background.shape, pixel_size_nm=pixel_nm)
        frames.append(camera.expose(background + light, rng, origin=(0, 0)))
    return np.array(frames)


def pupil_movie(rng: np.random.Generator, name: str) -> np.ndarray:
    """Return frames (t, y, x) of sparse emitters with an engineered spot."""
    psf = PupilPsf(PUPILS[name].override(pixel_nm=110.0))
    edge_nm = FIELD_PX * psf.pixel_nm
    depth = (500.0, 3500.0) if name == "tetrapod" else (-1000.0, 1000.0)
    frames: list[np.ndarray] = []
    for _ in range(FRAMES):
        count = rng.poisson(0.15 * (edge_nm / 1000) ** 2)
        emitters = Localizations(
            x_nm=rng.uniform(0, edge_nm, count),
            y_nm=rng.uniform(0, edge_nm, count),
            z_nm=rng.uniform(*depth, count),
            photons=np.exp(rng.normal(np.log(6000.0), 0.4, count)),
        )
        light = draw_emitters(psf, emitters, (FIELD_PX, FIELD_PX)) + 20
        frames.append(100 + 0.5 * rng.poisson(light))
    return np.array(frames)


def image_cases(source: SimPairs) -> Iterator[tuple[str, Recording]]:
    """Yield widefield images or raw frames."""
    changes: dict[str, dict[str, Any]] = {
        "inside": {},
        "4 photons": {"photons": (4.0, 4.1)},
        "background as bright": {"background": (1.0, 2.0)},
    }
    for case, change in changes.items():

        def image(
            rng: np.random.Generator, seed: int, change: dict[str, Any] = change
        ) -> list[Measured]:
            counts = exposed(source.override(**change), rng, seed)
            return measured_image(list(counts), pixel_nm=source.pixel_size_nm)

        yield case, image

    def enlarged(rng: np.random.Generator, seed: int) -> list[Measured]:
        counts = exposed(source, rng, seed).astype(float)
        finer = [zoom(c, 2, order=3) for c in counts]
        return measured_image(finer, pixel_nm=source.pixel_size_nm)

    yield "enlarged twofold", enlarged
    if source.modality == "widefield":
        yield (
            "STED image, 20 nm",
            lambda rng, seed: measured_image(
                [blurred(rng, NAMES[seed % len(NAMES)], 60, 20)], pixel_nm=20.0
            ),
        )


def exposed(source: SimPairs, rng: np.random.Generator, seed: int) -> np.ndarray:
    """Return the camera frames (frame, y, x) of a sample."""
    scene = source.scene(rng, NAMES[seed % len(NAMES)], size_px=128)
    photons = float(np.exp(rng.uniform(*np.log(source.photons))))
    return expose(scene, rng, source.camera.draw(rng), photons)


def blurred(
    rng: np.random.Generator, structure: Any, fwhm_nm: float, pixel_nm: float
) -> np.ndarray:
    """Return a noisy image (y, x) of a structure behind a Gaussian spot."""
    light = specimen(rng, structure, (256, 256), pixel_nm=pixel_nm).astype(float)
    light = gaussian_filter(light, fwhm_nm / 2.355 / pixel_nm)
    light *= 20 / max(float(np.quantile(light, 0.99)), 1e-9)
    return rng.poisson(light + 1).astype(float)


if __name__ == "__main__":
    main()
