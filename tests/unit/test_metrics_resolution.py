"""Fourier ring correlation against cases whose answer is a formula."""

import tracemalloc

import numpy as np
import pytest

from zoo.core.localizations import Localizations
from zoo.metrics.resolution import (
    LARGEST_PX,
    PIXEL_NM,
    FourierRings,
    frc,
    frc_localizations_nm,
)


def blurred_points(rng, size, sigma):
    """Return a white pattern of power 1 blurred by a Gaussian, (y, x)."""
    f = np.fft.fftfreq(size)
    transfer = np.exp(-2 * np.pi**2 * sigma**2 * (f[:, None] ** 2 + f**2))
    return np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) * transfer).real


def test_known_cutoff():
    # FRC = 1/(1 + (v/P)·exp(4π²q²σ²)) falls to 1/7 at sqrt(ln(6P/v))/(2πσ) = 0.2347
    sigma, noise = 2.0, 1e-3
    expected = np.sqrt(np.log(6 / noise)) / (2 * np.pi * sigma)
    assert expected == pytest.approx(0.2347, abs=5e-5)
    cuts = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        scene = blurred_points(rng, 512, sigma)
        copies = scene + rng.normal(0, np.sqrt(noise), (2, 512, 512))
        cuts.append(frc(*copies).cutoff_per_px())
    assert np.mean(cuts) == pytest.approx(expected, abs=0.002)


def test_whole_curve_of_the_known_case():
    sigma, noise = 1.5, 0.02
    rng = np.random.default_rng(11)
    scene = blurred_points(rng, 384, sigma)
    curve = frc(*(scene + rng.normal(0, np.sqrt(noise), (2, 384, 384))))
    q = curve.frequency_per_px
    expected = 1 / (1 + noise * np.exp(4 * np.pi**2 * q**2 * sigma**2))
    assert np.abs(curve.correlation - expected)[5:].max() < 0.1
    assert np.abs(curve.correlation - expected).mean() < 0.025


def test_an_image_correlates_fully_with_itself_and_its_multiples():
    image = np.random.default_rng(2).normal(size=(64, 48))
    for other in (image, 3 * image + 5):
        curve = frc(image, other)
        np.testing.assert_allclose(curve.correlation, 1)
        assert np.isnan(curve.cutoff_per_px())
    np.testing.assert_allclose(frc(image, -image).correlation, -1)


def test_unrelated_images_do_not_correlate():
    rng = np.random.default_rng(4)
    curve = frc(*rng.normal(size=(2, 128, 128)))
    assert abs(curve.correlation[8:].mean()) < 0.03
    assert curve.frequency_per_px[0] == pytest.approx(1 / 128, rel=0.3)
    assert curve.frequency_per_px[-1] == pytest.approx(0.5, rel=0.02)


def test_crossing_is_interpolated():
    q = np.linspace(0.1, 0.5, 5)
    curve = FourierRings(q, np.array([1.0, 0.8, 0.4, 0.0, 0.0]))
    assert curve.cutoff_per_px(threshold=0.5, smooth=1) == pytest.approx(0.275)
    assert np.isnan(curve.cutoff_per_px(threshold=-0.1, smooth=1))
    assert np.isnan(FourierRings(q, np.zeros(5)).cutoff_per_px(smooth=1))


def repeated_molecules(rng, *, molecules, times, sigma_nm, side_nm, frames):
    """Return Poisson(2·times) localizations of each molecule in random frames."""
    counts = rng.poisson(2 * times, molecules)
    where = np.repeat(rng.uniform(0, side_nm, (molecules, 2)), counts, axis=0)
    where += rng.normal(0, sigma_nm, where.shape)
    frame = rng.integers(1, frames + 1, len(where))
    return Localizations(x_nm=where[:, 0], y_nm=where[:, 1], frame=frame)


def test_resolution_of_localizations_follows_precision_and_number():
    # k localizations per molecule and half, precision σ: signal k²·exp(−4π²q²σ²),
    # shot noise k, hence FRC = 1/(1 + exp(4π²q²σ²)/k)
    times, sigma_nm = 20.0, 15.0
    expected = 2 * np.pi * sigma_nm / np.sqrt(np.log(6 * times))
    found = repeated_molecules(
        np.random.default_rng(8),
        molecules=1500,
        times=times,
        sigma_nm=sigma_nm,
        side_nm=2560.0,
        frames=1000,
    )
    got = frc_localizations_nm(found, field_nm=(2560.0, 2560.0))
    assert got == pytest.approx(expected, rel=0.04)
    # halves are alternating blocks of frames: the same frames twice have no two halves
    first = found.with_columns(frame=(found.frame - 1) % 50 + 1)
    assert np.isnan(frc_localizations_nm(first, field_nm=(2560.0, 2560.0)))


def test_a_large_field_has_the_resolution_of_its_parts_in_bounded_memory():
    side_nm = 2560.0
    parts = [
        repeated_molecules(
            np.random.default_rng(seed),
            molecules=400,
            times=20.0,
            sigma_nm=15.0,
            side_nm=side_nm,
            frames=1000,
        )
        for seed in range(2)
    ]
    part = parts[0]
    assert side_nm / PIXEL_NM < LARGEST_PX
    alone = frc_localizations_nm(part, field_nm=(side_nm, side_nm))
    # two such regions, a millimetre apart
    far = 1e6 - 2 * side_nm
    other = parts[1]
    spread = Localizations.concatenate(
        [
            part.with_columns(x_nm=part.x_nm + 1000, y_nm=part.y_nm + 1000),
            other.with_columns(x_nm=other.x_nm + far, y_nm=other.y_nm + far),
        ]
    )
    tracemalloc.start()
    found = frc_localizations_nm(spread, field_nm=(1e6, 1e6))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == pytest.approx(alone, rel=0.05)
    assert peak < 3e8


def test_no_resolution_without_two_halves():
    one = Localizations(x_nm=np.array([50.0]), y_nm=np.array([50.0]))
    assert np.isnan(frc_localizations_nm(one, field_nm=(100.0, 100.0)))
    pair = Localizations.concatenate([one, one.with_columns(frame=np.array([51]))])
    assert np.isnan(frc_localizations_nm(pair, field_nm=(30.0, 100.0)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frc(np.eye(9), np.eye(10)), "equal shape"),
        (lambda: frc(np.eye(7), np.eye(7)), "8 x 8"),
        (lambda: frc(np.eye(9), np.ones((9, 9))), "not constant"),
        (
            lambda: frc_localizations_nm(Localizations.empty(), field_nm=(0.0, 9.0)),
            "positive",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
