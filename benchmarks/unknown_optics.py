"""What it costs to be trained for microscopes that nobody knows exactly.

    python benchmarks/unknown_optics.py smnet_complex smnet_astigmatism

A network that has to do for every microscope of its training cannot reach the bound of
one that is known.  Regions are taken for linear in position, photons and background,
and in what differs between microscopes: aberrations, aperture, refractive index and
blur, Gaussian with the variances of the training.  ``all`` is the least error of an
estimator over all of these microscopes, ``middle`` the error of the same estimator in
the one in the middle, where the frozen sets have their nominal regions.  Both are given
in units of the bound with known optics, root mean squares over depths and brightness
of the frozen set, beside the ``RMSE`` of the package.
"""

import argparse
import json
from typing import Any

import numpy as np
from common import print_row

from zoo.core.test_set import find_metric
from zoo.evaluate.scoring import frozen_test_set
from zoo.io.library import open_package
from zoo.package.trained import read_trained
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.zernike import ABERRATIONS
from zoo.simulate.single_emitters import SingleEmitters
from zoo.test_sets.single_emitters import SingleEmitterTestSet

AXES = ("x", "y", "z")
WIDTHS = (28, 6, 10, 10, 10)
KINDS = {
    "aberrations": ("aberrations",),
    "aperture": ("na",),
    "index": ("sample_index",),
    "blur": ("blur_nm",),
    "everything": ("aberrations", "na", "sample_index", "blur_nm"),
}


def changes(
    source: SingleEmitters, psf: PupilPsf, z_nm: np.ndarray, shape: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Return how spots change by a standard deviation of what is unknown.

    Parameters
    ----------
    source
        Declares what is drawn: uniform in every spread, uniform in the size of an
        aberration whose direction among the modes is even.
    psf
        The microscope in the middle.
    z_nm
        (n,) depths.
    shape
        Of the regions, px.

    Returns
    -------
    dict
        (n, modes, y, x) by name.
    """
    middle = np.full(len(z_nm), shape[0] * psf.pixel_nm / 2)
    low, high = source.aberration_rad
    mean_square = (low**2 + low * high + high**2) / 3
    each = np.sqrt(mean_square / len(ABERRATIONS))
    basis = psf.zernike_basis(ABERRATIONS)
    found: dict[str, np.ndarray] = {}
    modes: list[np.ndarray] = []
    for mode in basis:
        phase = np.broadcast_to(each * mode, (len(z_nm), *mode.shape))
        more, less = (
            psf.images(middle, middle, z_nm, shape, phase_rad=sign * phase)
            for sign in (0.5, -0.5)
        )
        modes.append(more - less)
    found["aberrations"] = np.stack(modes, axis=1)
    optics = psf.optics
    for name, spread in (
        ("na", source.na_spread),
        ("sample_index", source.index_spread),
        ("blur_nm", source.blur_spread * optics.blur_nm),
    ):
        step = spread / np.sqrt(3)
        more, less = (
            PupilPsf(
                optics.override(**{name: getattr(optics, name) + sign * step}),
                samples=psf.samples,
            ).images(middle, middle, z_nm, shape)
            for sign in (0.5, -0.5)
        )
        found[name] = (more - less)[:, None]
    return found


def inflation(
    light: np.ndarray, slopes: np.ndarray, unknown: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return variances of x, y and z over those of known optics.

    Parameters
    ----------
    light
        (k,) expected photons of the pixels.
    slopes
        (p, k) changes with the parameters, x, y and z first.
    unknown
        (m, k) changes by a standard deviation of what is unknown.

    Returns
    -------
    overall, middle : (3,) ndarray
        Over all microscopes, and in the one in the middle.
    """
    known = np.linalg.inv((slopes / light) @ slopes.T)
    total = np.diag(light) + unknown.T @ unknown
    weighted = np.linalg.solve(total, slopes.T)
    overall = np.linalg.inv(slopes @ weighted)
    gain = overall @ weighted.T
    middle = (gain * light) @ gain.T
    best = np.diag(known)[:3]
    return np.diag(overall)[:3] / best, np.diag(middle)[:3] / best


def costs(
    source: SingleEmitters, test_set: SingleEmitterTestSet, kinds: tuple[str, ...]
) -> dict[str, list[float]]:
    """Return ``all`` and ``middle``: root mean squares for x, y and z."""
    optics: Any = test_set.optics
    psf = PupilPsf(optics, samples=test_set.pupil_samples)
    shape = (test_set.size_px, test_set.size_px)
    z_nm = np.linspace(*test_set.z_nm, test_set.depths)
    middle = np.full(len(z_nm), shape[0] * psf.pixel_nm / 2)
    images, slopes = psf.derivatives(middle, middle, z_nm, shape)
    by_kind = changes(source, psf, z_nm, shape)
    unknown = np.concatenate([by_kind[kind] for kind in kinds], axis=1)
    overall: list[np.ndarray] = []
    centre: list[np.ndarray] = []
    for photons in test_set.photon_levels:
        for image, slope, moved in zip(images, slopes, unknown, strict=True):
            light = (photons * image + test_set.background_photons).ravel()
            rows = [*(photons * slope).reshape(3, -1), image.ravel()]
            rows.append(np.ones(light.size))
            further = photons * moved.reshape(len(moved), -1)
            both = inflation(light, np.array(rows), further)
            overall.append(both[0])
            centre.append(both[1])
    return {
        name: [float(value) for value in np.sqrt(np.mean(values, axis=0))]
        for name, values in (("all", overall), ("middle", centre))
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="+", help="of regions, behind a pupil")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    found: dict[str, Any] = {}
    if not chosen.json:
        print_row(("what is unknown", "axis", "all", "middle", "RMSE"), WIDTHS)
    for name in chosen.packages:
        package = open_package(name)
        test_set: Any = frozen_test_set(package)
        source: Any = read_trained(package.folder).recipe.source
        if not isinstance(source, SingleEmitters) or not isinstance(
            source.optics, PupilOptics
        ):
            parser.error(f"{name} is not trained on single emitters behind a pupil")
        metrics = json.loads((package.folder / "metrics.json").read_text("utf-8"))
        reached = [
            find_metric(metrics, f"nominal/all/rmse_over_crlb_{axis}") for axis in AXES
        ]
        found[name] = {"rmse_over_crlb": reached}
        if not chosen.json:
            print(name)
        for title, kinds in KINDS.items():
            cost = costs(source, test_set, kinds)
            found[name][title] = cost
            for place, axis in enumerate(AXES if not chosen.json else ()):
                cells = [f"{cost[kind][place]:.2f}" for kind in ("all", "middle")]
                last = f"{reached[place]:.2f}" if title == "everything" else ""
                first = title if not place else ""
                print_row((first, axis, *cells, last), WIDTHS)
    if chosen.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
