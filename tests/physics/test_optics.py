"""Transfer functions against the overlap of pupils and published widths."""

import numpy as np
import pytest

from zoo.physics.optics import (
    Optics,
    apply_transfer,
    bin_pixels,
    binning_transfer,
    cone_apodisation,
    defocus_factor,
    frequencies,
    incoherent_otf,
    otf_grid,
)

SIM = Optics(na=1.41, wavelength_nm=525.0, pixel_nm=62.6)


def seen(sample, optics, **options):
    return apply_transfer(sample, otf_grid(optics, sample.shape, **options))


def pupil_overlap(nu, *, path_waves=0.0):
    """Integrate the overlap of two displaced pupils with a quadratic path error."""
    half = 1 - nu  # of the overlap, in pupil radii; the pupils are 2 nu apart
    x = (np.arange(4000) + 0.5) / 4000 * half
    chord = np.sqrt(1 - (x + nu) ** 2)
    phase = 2 * np.pi * path_waves * 4 * nu * x
    return 4 / np.pi * np.mean(np.cos(phase) * chord) * half


def fwhm_px(profile):
    """Return the full width at half maximum of a peak in the middle, px."""
    middle = len(profile) // 2
    right = profile[middle:] / profile[middle]
    last = int(np.argmax(right < 0.5)) - 1
    return 2 * (last + (right[last] - 0.5) / (right[last] - right[last + 1]))


@pytest.mark.parametrize("nu", [0.0, 0.1, 0.35, 0.5, 0.8, 0.99])
def test_transfer_in_focus_is_the_overlap_of_two_discs(nu):
    assert incoherent_otf(nu) == pytest.approx(pupil_overlap(nu), abs=1e-5)


def test_transfer_ends_at_the_cutoff():
    assert SIM.cutoff_per_um == pytest.approx(5.37, abs=0.005)
    assert incoherent_otf(np.array([0.0, 1.0, 1.7])).tolist() == [1.0, 0.0, 0.0]
    beyond = np.hypot(*frequencies((96, 96), pixel_nm=31.3)) >= SIM.cutoff_per_um
    assert np.all(otf_grid(SIM, (96, 96), pixel_nm=31.3)[beyond] == 0)


def test_spot_has_the_width_of_scalar_theory():
    optics = Optics(na=1.4, wavelength_nm=670, pixel_nm=100)
    point = np.zeros((255, 255))
    point[127, 127] = 1
    spot = seen(point, optics, pixel_nm=10.0)
    assert 10 * fwhm_px(spot[127]) == pytest.approx(247, abs=2)


def test_blur_multiplies_the_transfer():
    shape = (48, 60)
    blurred = otf_grid(SIM.override(blur_nm=47.0), shape)
    frequency = np.hypot(*frequencies(shape, pixel_nm=SIM.pixel_nm))
    gaussian = np.exp(-2 * (np.pi * 0.047 * frequency) ** 2)
    np.testing.assert_allclose(blurred, otf_grid(SIM, shape) * gaussian, atol=1e-12)


@pytest.mark.parametrize("defocus_nm", [100.0, 300.0, 600.0, 1500.0])
def test_defocus_follows_the_overlap_integral(defocus_nm):
    n, na = SIM.immersion_index, SIM.na
    waves = defocus_nm * (n - np.sqrt(n**2 - na**2)) / SIM.wavelength_nm
    nu = np.linspace(0, 1, 101)
    exact = np.array([pupil_overlap(value, path_waves=waves) for value in nu])
    near = incoherent_otf(nu) * defocus_factor(nu, SIM, defocus_nm=defocus_nm)
    np.testing.assert_allclose(near, exact, atol=0.02)
    assert near[0] == pytest.approx(1, abs=1e-9)


def test_haze_loses_its_detail_and_keeps_its_light():
    rng = np.random.default_rng(0)
    sample = rng.poisson(2.0, (128, 128)).astype(float)
    variances = []
    for defocus_nm in (0.0, 200.0, 500.0, 1000.0):
        image = seen(sample, SIM, pixel_nm=31.3, defocus_nm=defocus_nm)
        assert image.sum() == pytest.approx(sample.sum())
        variances.append(image.var())
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] < variances[0] / 20


def test_stacks_are_filtered_image_by_image_in_their_precision():
    images = np.random.default_rng(0).random((2, 3, 33, 48), np.float32)
    transfer = otf_grid(SIM, (33, 48))
    together = apply_transfer(images, transfer)
    assert together.dtype == np.float32
    alone = apply_transfer(images[1, 2].astype(float), transfer)
    np.testing.assert_allclose(together[1, 2], alone, atol=1e-5)


def test_apodisation_is_a_cone():
    values = cone_apodisation(np.array([0.0, 5.0, 10.0, 12.0]), support_per_um=10.0)
    assert values.tolist() == [1.0, 0.5, 0.0, 0.0]


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_binning_attenuates_waves_by_its_transfer(factor):
    side, pixel_nm, cycles = 48, 30.0, 5
    x = (np.arange(side) + 0.5) / side
    wave = np.broadcast_to(np.cos(2 * np.pi * cycles * x), (side, side))
    binned = bin_pixels(wave, factor)[0] / factor**2
    at = (np.arange(side // factor) + 0.5) * factor / side
    expected = binning_transfer(
        np.zeros(1),
        np.array([cycles / (side * pixel_nm / 1000)]),
        pixel_nm=pixel_nm,
        factor=factor,
    )
    np.testing.assert_allclose(
        binned, expected * np.cos(2 * np.pi * cycles * at), atol=1e-12
    )


def test_what_is_impossible_is_refused():
    with pytest.raises(ValueError, match="na must be below immersion_index"):
        Optics(na=1.52, wavelength_nm=500, pixel_nm=60)
    with pytest.raises(ValueError, match="multiples of the factor 2"):
        bin_pixels(np.zeros((5, 4)), 2)
