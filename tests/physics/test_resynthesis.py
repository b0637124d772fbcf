"""Raw frames of many phases rewritten as three, against frames taken with three."""

import numpy as np
import pytest

from zoo.core.random import generator
from zoo.physics.illumination import Pattern, sim_images
from zoo.physics.optics import Optics, otf_grid
from zoo.physics.resynthesis import resynthesis
from zoo.physics.sim_reconstruction import reconstruct
from zoo.physics.specimens import specimen
from zoo.simulate.sim_scenes import ideal_image

OPTICS = Optics(na=1.4, wavelength_nm=560.0, pixel_nm=62.6, blur_nm=30.0)


def pattern(steps):
    return Pattern(
        frequency_per_um=0.93 * OPTICS.cutoff_per_um,
        angles_rad=(0.4, 0.4 + np.pi / 3, 0.4 + 2 * np.pi / 3),
        phases_rad=tuple(tuple((o + steps).tolist()) for o in (0.3, 2.1, 4.4)),
        modulations=(0.7, 0.7, 0.7),
    )


def taken(steps, photons, sample, rng):
    transfer = otf_grid(OPTICS, sample.shape, pixel_nm=31.3)
    light = sim_images(sample, pattern(steps), transfer, pixel_nm=31.3, binning=2)
    light = photons * (light / light.mean(axis=0).max() + 0.1)
    return rng.poisson(np.maximum(light, 0)).astype(float)


def equal(count):
    return 2 * np.pi * np.arange(count) / count


def rewritten(frames, steps):
    matrix = resynthesis(np.tile(steps, (3, 1)))
    return np.moveaxis(np.moveaxis(frames, 0, -1) @ matrix, -1, 0)


def psnr(image, target):
    inner = slice(16, -16)
    image, target = image[inner, inner].ravel(), target[inner, inner].ravel()
    matrix = np.stack([image, np.ones_like(image)], axis=1)
    fit = matrix @ np.linalg.lstsq(matrix, target, rcond=None)[0]
    return -10 * np.log10(np.mean((fit - target) ** 2) / np.ptp(target) ** 2)


@pytest.mark.parametrize("photons", [30.0, 300.0])
@pytest.mark.parametrize("count", [4, 5, 7])
def test_as_much_light_gives_as_good_an_image(count, photons):
    rng = generator(8, count)
    sample = specimen(rng, "actin", (192, 192), pixel_nm=31.3)
    target = ideal_image(sample, OPTICS, pattern(equal(3)))
    nine = taken(equal(3), photons, sample, rng)
    many = taken(equal(count), photons * 3 / count, sample, rng)
    images = [
        reconstruct(frames, pattern(equal(3)), OPTICS, regularisation=0.06)
        for frames in (nine, rewritten(many, equal(count)))
    ]
    own, other = (psnr(image, target) for image in images)
    assert other > own - 0.3


def test_equal_thirds_are_kept():
    np.testing.assert_allclose(
        resynthesis(np.tile(equal(3), (3, 1))), np.eye(9), atol=1e-12
    )


def test_steps_that_are_not_equal_become_equal():
    steps = np.radians([0.0, 72.0, 144.0])
    frames = 3 + np.cos(0.4 + np.tile(steps, 3))
    expected = 3 + np.cos(0.4 + np.tile(equal(3), 3))
    found = frames @ resynthesis(np.tile(steps, (3, 1)))
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_the_other_harmonic_of_five_phases_is_left_out():
    steps = 2 * equal(5)
    coarse = 0.5 * np.cos(1.1 + np.tile(equal(5), 3))
    fine = 3 + np.cos(0.4 + np.tile(steps, 3))
    expected = 3 + np.cos(0.4 + np.tile(equal(3), 3))
    found = (coarse + fine) @ resynthesis(np.tile(steps, (3, 1)))
    np.testing.assert_allclose(found, expected, atol=1e-10)
