"""Localizations of a network fitted to the frames they were found in."""

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Grid
from zoo.core.localizations import Localizations
from zoo.core.products import Product, Table
from zoo.core.random import generator
from zoo.inputs.frames import Frames
from zoo.metrics.matching import match
from zoo.physics.spots import GaussianPsf, draw_emitters
from zoo.tasks.density import Density, DensityOptions

CONTRACT = Contract(
    grid=Grid.square(scale=8, halo=4), input=Frames(), task=Density(window_px=7)
)
OFFSET, PER_COUNT = 100.0, 0.5
REFINE = DensityOptions(
    refine=True, sigma_nm=115.0, offset_adu=OFFSET, photons_per_adu=PER_COUNT
)


def movie(frames: int = 3) -> tuple[np.ndarray, Localizations]:
    """Return counts (t, y, x) of five emitters, two of them close, and the truth."""
    rng = generator(4)
    truth = Localizations(
        x_nm=np.array([612.0, 1580.0, 1730.0, 800.0, 2050.0]),
        y_nm=np.array([655.0, 1404.0, 1433.0, 1933.0, 520.0]),
        photons=np.full(5, 4000.0),
    )
    psf = GaussianPsf(pixel_nm=100.0, sigma_x_nm=115.0)
    photons = rng.poisson(draw_emitters(psf, truth, (28, 28)) + 12, (frames, 28, 28))
    every = [truth.with_columns(frame=np.full(5, n + 1)) for n in range(frames)]
    return OFFSET + photons / PER_COUNT, Localizations.concatenate(every)


def coarse(truth: Localizations, frames: int) -> np.ndarray:
    """Return a network's output that merges the close pair, (t, y, x, 1)."""
    density = np.zeros((frames, 224, 224, 1), np.float32)
    for x, y, frame in zip(truth.x_nm, truth.y_nm, truth.frame, strict=True):
        if not 1500 < x < 1700:
            x, y = (1660, 1420) if x > 1700 and y > 1000 else (x + 20, y - 15)
            density[frame - 1, int(y / 12.5), int(x / 12.5)] = 1
    return density


def localized(options: DensityOptions) -> tuple[Localizations, dict, Localizations]:
    counts, truth = movie()
    recording = CONTRACT.input.open(
        counts, CONTRACT, name="p", options=Frames.options(), pixel_size_nm=100.0
    )
    running = CONTRACT.task.start(recording, CONTRACT, options)
    products: list[Product] = []
    output = coarse(truth, 3)
    for first, frames in recording.chunks(2):
        part = output[first : first + len(frames)]
        products += running.add(frames, part, first)
    products += running.finish()
    tables = [p.rows for p in products if isinstance(p, Table)]
    return Localizations.concatenate(tables), running.report(), truth


def test_the_fit_is_nearer_and_resolves_what_the_network_merged() -> None:
    plain, report, truth = localized(DensityOptions())
    assert "refined" not in report
    assert "sigma_nm" not in report["options"]
    assert len(plain) == 12
    fitted, report, _ = localized(REFINE)
    assert len(match(truth, fitted, radius_nm=25.0)) == len(truth) == len(fitted)
    assert np.mean(match(truth, fitted).distance_nm) < 8
    assert np.mean(match(truth, plain).distance_nm) > 15
    assert report["refined"] == {"network": 12, "fit": 15}
    assert report["localizations"] == 15
    assert report["options"]["sigma_nm"] == 115.0
    assert report["options"]["threshold"] == 0.2


def test_photons_and_uncertainties_come_with_it() -> None:
    fitted, _, truth = localized(REFINE)
    assert fitted.photons is not None
    assert fitted.uncertainty_nm is not None
    assert abs(np.mean(fitted.photons) / 4000 - 1) < 0.05
    assert fitted.background_photons is not None
    assert abs(np.mean(fitted.background_photons) - 12) < 2
    # what the fit does not say is measured
    assert fitted.sigma_nm is not None
    assert fitted.noise_photons is not None
    np.testing.assert_allclose(fitted.sigma_nm, 115.0)
    assert abs(np.median(fitted.noise_photons) / 12**0.5 - 1) < 0.4
    pairs = match(truth, fitted)
    error = np.sqrt(np.mean(pairs.distance_nm**2) / 2)
    assert 0.6 < error / np.sqrt(np.mean(fitted.uncertainty_nm**2)) < 1.6


def test_the_noise_of_the_camera_counts() -> None:
    plain, _, _ = localized(REFINE)
    doubled, _, _ = localized(REFINE.override(excess_noise=2.0))
    assert plain.uncertainty_nm is not None
    assert doubled.uncertainty_nm is not None
    ratio = np.median(doubled.uncertainty_nm) / np.median(plain.uncertainty_nm)
    assert ratio == pytest.approx(2**0.5, rel=0.1)


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(BadInput, match="--sigma-nm"):
        localized(DensityOptions(refine=True))
    with pytest.raises(BadInput, match="--photons-per-adu"):
        localized(REFINE.override(photons_per_adu=None))
    recording = CONTRACT.input.open(
        movie()[0], CONTRACT, name="p", options=Frames.options(), pixel_size_nm=100.0
    )
    recording.sizes = {"z": 3, "y": 28, "x": 28}
    with pytest.raises(BadInput, match="planes of depth"):
        CONTRACT.task.start(recording, CONTRACT, REFINE)
