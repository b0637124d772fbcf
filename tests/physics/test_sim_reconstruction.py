"""The Wiener reconstruction against the sample that the frames were made of."""

import numpy as np
import pytest

from zoo.physics.illumination import draw_pattern, sim_images, widefield_image
from zoo.physics.optics import (
    Optics,
    apply_transfer,
    cone_apodisation,
    frequencies,
    otf_grid,
)
from zoo.physics.sim_reconstruction import (
    reconstruct,
    sim_support_per_um,
    wiener_parameter,
)
from zoo.physics.specimens import specimen

SIM = Optics(na=1.41, wavelength_nm=525.0, pixel_nm=62.6)
FINE_NM = SIM.pixel_nm / 2
MARGIN = 16
SIDE = 192
LINES = ("microtubules", "actin", "er")


class Acquisition:
    """A sample, its noise-free frames, its widefield and its ideal image."""

    def __init__(self, drawn, *, modulation=0.8, seed=3):
        rng = np.random.default_rng(seed)
        self.pattern = draw_pattern(
            rng, frequency_per_um=0.92 * SIM.cutoff_per_um, modulation=modulation
        )
        transfer = otf_grid(SIM, drawn.shape, pixel_nm=FINE_NM)
        uniform = widefield_image(drawn, transfer, binning=2)
        drawn = drawn * uniform.sum() / (uniform**2).sum()  # a photon on the structure
        inner = slice(MARGIN, -MARGIN)
        camera = slice(MARGIN // 2, -MARGIN // 2)
        self.frames = sim_images(
            drawn,
            self.pattern,
            transfer,
            pixel_nm=FINE_NM,
            binning=2,
            origin_px=MARGIN,
        )[:, camera, camera]
        self.widefield = apply_transfer(drawn, transfer)[inner, inner]
        window = cone_apodisation(
            np.hypot(*frequencies(drawn.shape, pixel_nm=FINE_NM)),
            support_per_um=sim_support_per_um(SIM, self.pattern),
        )
        self.ideal = apply_transfer(drawn, window)[inner, inner]

    def noisy(self, photons):
        rng = np.random.default_rng(1)
        return rng.poisson(photons * np.maximum(self.frames, 0) + 1.0) - 1.0


def of_structure(structure, **options):
    shape = (SIDE + 2 * MARGIN,) * 2
    drawn = specimen(np.random.default_rng(3), structure, shape, pixel_nm=FINE_NM)
    return Acquisition(drawn.astype(float), **options)


def correlation(first, second):
    return np.corrcoef(first.ravel(), second.ravel())[0, 1]


@pytest.mark.parametrize("structure", LINES)
def test_noise_free_lines_come_out_as_the_ideal_image(structure):
    taken = of_structure(structure)
    assert 0.84 < correlation(taken.widefield, taken.ideal) < 0.92
    image = reconstruct(taken.frames, taken.pattern, SIM, regularisation=0.01)
    assert image.shape == taken.ideal.shape
    assert correlation(image, taken.ideal) > 0.99
    inner = np.s_[32:-32, 32:-32]  # away from what the margin hides
    assert correlation(image[inner], taken.ideal[inner]) > 0.998


def test_lines_correlate_at_a_hundred_photons():
    taken = of_structure("microtubules")
    image = reconstruct(
        taken.noisy(100.0), taken.pattern, SIM, regularisation=wiener_parameter(100.0)
    )
    assert correlation(image, taken.ideal) > 0.99


def test_photons_and_places_are_kept():
    drawn = np.zeros((SIDE + 2 * MARGIN,) * 2)
    rows, columns = [60, 101, 150], [120, 73, 160]
    drawn[rows, columns] = 1.0
    taken = Acquisition(drawn)
    image = reconstruct(taken.frames, taken.pattern, SIM, regularisation=1e-3)
    assert image.sum() == pytest.approx(taken.ideal.sum(), rel=0.01)
    for row, column in zip(rows, columns, strict=True):
        y, x = row - MARGIN, column - MARGIN
        window = image[y - 2 : y + 3, x - 2 : x + 3]
        assert np.unravel_index(window.argmax(), window.shape) == (2, 2)
        # symmetric about the place: a shift of half a pixel would show
        np.testing.assert_allclose(window, window[::-1, ::-1], atol=0.02 * window.max())


def test_lines_closer_than_the_widefield_limit_are_resolved():
    drawn = np.zeros((SIDE + 2 * MARGIN,) * 2)
    middle, gap = drawn.shape[0] // 2, 4  # 125 nm; the widefield resolves 186 nm
    drawn[:, middle] = drawn[:, middle + gap] = 1.0
    taken = Acquisition(drawn)
    sim = reconstruct(taken.frames, taken.pattern, SIM, regularisation=0.01)
    at = middle - MARGIN
    for image, dips in ((taken.widefield, False), (sim, True)):
        profile = image[40:-40].mean(axis=0)
        between, peak = profile[at + gap // 2], profile[at]
        assert (between < 0.75 * peak) == dips


@pytest.mark.parametrize("modulation", [0.4, 0.8])
def test_weights_by_noise_keep_the_image_in_the_dark(modulation):
    taken = of_structure("er", modulation=modulation)
    image = reconstruct(
        taken.noisy(15.0), taken.pattern, SIM, regularisation=wiener_parameter(15.0)
    )
    assert correlation(image, taken.ideal) > 0.94  # 0.93 or less with equal weights


def test_support_is_that_of_the_card():
    pattern = draw_pattern(
        np.random.default_rng(0), frequency_per_um=5.53, modulation=0.8
    )
    assert 1000 / sim_support_per_um(SIM, pattern) == pytest.approx(92, abs=0.5)


def test_what_is_impossible_is_refused():
    taken = Acquisition(np.ones((64, 64)))
    with pytest.raises(ValueError, match="the pattern has 9 frames, not 8"):
        reconstruct(taken.frames[:8], taken.pattern, SIM)
    with pytest.raises(ValueError, match="regularisation must be positive"):
        reconstruct(taken.frames, taken.pattern, SIM, regularisation=0.0)
    with pytest.raises(ValueError, match=r"notch must be within \[0, 1\]"):
        reconstruct(taken.frames, taken.pattern, SIM, notch=1.5)


def test_noise_of_the_background_asks_for_more_regularisation():
    taken = of_structure("er")
    rng = np.random.default_rng(2)
    photons, background = 40.0, 120.0
    frames = rng.poisson(photons * np.maximum(taken.frames, 0) + background)
    frames = frames - background
    own, all_light = (
        reconstruct(frames, taken.pattern, SIM, regularisation=parameter)
        for parameter in (
            wiener_parameter(photons),
            wiener_parameter(photons, background=background),
        )
    )
    assert correlation(all_light, taken.ideal) > correlation(own, taken.ideal) + 0.003
    assert wiener_parameter(photons, background=0.0) == wiener_parameter(photons)


def test_a_notch_takes_away_what_changes_slowly():
    taken = of_structure("er")
    y, x = np.mgrid[: taken.frames.shape[1], : taken.frames.shape[2]]
    haze = 4 * np.exp(-((y - y.mean()) ** 2 + (x - x.mean()) ** 2) / (2 * 20.0**2))
    images = [
        reconstruct(taken.frames + haze, taken.pattern, SIM, notch=notch)
        for notch in (0.0, 0.95)
    ]
    plain, sectioned = (correlation(image, taken.ideal) for image in images)
    assert sectioned > plain
