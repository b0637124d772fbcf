"""Point-spread functions and fits per second, on this machine, batched.

Usage: python benchmarks/optics.py [SECONDS]

Prints wall-clock and processor rates: on a shared machine only the second tells.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from zoo import catalog
from zoo.core.random import generator
from zoo.physics.engineered import PUPILS
from zoo.physics.mle import fit_emitters
from zoo.physics.pupil import PupilPsf
from zoo.physics.spots import GaussianPsf, Psf
from zoo.physics.tabulated import tabulated_psf
from zoo.simulate.single_emitters import SingleEmitters

EMITTERS = 512
"""Emitters of one call."""
BATCH = 64
"""Regions that a source draws at a time."""
CASES = (
    ("astigmatic", 21, (-600.0, 600.0)),
    ("astigmatic", 32, (-600.0, 600.0)),
    ("tetrapod", 61, (0.0, 4000.0)),
)
"""Preset, edge of the region in pixels, and depth range in nm."""


def models(name: str, size: int, z_range_nm: tuple[float, float]) -> dict[str, Psf]:
    """Return what is compared for one microscope."""
    optics = PUPILS[name]
    single = PupilPsf(optics, dtype=np.float32)
    return {
        "pupil, double precision": PupilPsf(optics),
        "pupil, single precision": single,
        "spline, 1 knot per pixel": tabulated_psf(
            single, z_range_nm=z_range_nm, size_px=size + 8, knots_per_pixel=1
        ),
        "spline, 2 knots per pixel": tabulated_psf(
            single, z_range_nm=z_range_nm, size_px=size + 8
        ),
        "gaussian": GaussianPsf(pixel_nm=optics.pixel_nm, sigma_x_nm=130.0),
    }


def rates(work: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Return calls per second of time and of processor time."""
    work()
    wall, used, calls = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - wall < seconds:
        work()
        calls += 1
    used = max(time.process_time() - used, 1e-9)
    return calls / (time.perf_counter() - wall), calls / used


def measure(
    psf: Psf, *, size: int, z_range_nm: tuple[float, float], seconds: float
) -> list[tuple[float, float]]:
    """Return the rates of images, images with derivatives, and fits."""
    rng = np.random.default_rng(0)
    shape, middle = (size, size), size * psf.pixel_nm / 2
    x, y = rng.uniform(middle - 100, middle + 100, (2, EMITTERS))
    z = rng.uniform(*z_range_nm, EMITTERS)
    expected = 3000.0 * psf.images(x, y, z, shape).clip(0) + 10.0
    photons = rng.poisson(expected).astype(float)
    depths = None if isinstance(psf, GaussianPsf) else z_range_nm
    return [
        rates(lambda: psf.images(x, y, z, shape), seconds),
        rates(lambda: psf.derivatives(x, y, z, shape), seconds),
        rates(lambda: fit_emitters(psf, photons, z_range_nm=depths), seconds),
    ]


def simulation(seconds: float) -> None:
    """Print how many regions the sources of recipes draw, bounds included."""
    print("regions per second (and per processor second) that recipes train on")
    for name, recipe in catalog.recipes().items():
        source = recipe.source
        if isinstance(source, SingleEmitters):
            batch = generator(1)
            wall, used = rates(lambda s=source, r=batch: s.batch(r, BATCH), seconds)
            print(f"  {name:<26}{BATCH * wall:>9.0f} ({BATCH * used:.0f})")


def main(seconds: float = 1.0) -> None:
    """Print tables of rates."""
    print(
        "emitters per second (and per processor second): images, images with "
        "derivatives, fits"
    )
    for name, size, z_range_nm in CASES:
        print(f"{name}, {size} x {size} pixels")
        for label, psf in models(name, size, z_range_nm).items():
            fields = measure(psf, size=size, z_range_nm=z_range_nm, seconds=seconds)
            columns = (
                f"{EMITTERS * wall:>9.0f} ({EMITTERS * used:.0f})"
                for wall, used in fields
            )
            print(f"  {label:<26}" + "".join(f"{column:<20}" for column in columns))
    simulation(seconds)


if __name__ == "__main__":
    main(*(float(argument) for argument in sys.argv[1:2]))
