"""Pairs of two microscopes: on one grid, of one sample, under wide conditions."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from zoo.core.random import generator
from zoo.physics.scanning import PER_SIGMA, ScanOptics, scanned_spot
from zoo.simulate.modalities import ModalityPairs, depleted, on_grid, scaled_target

MODALITIES = ("confocal_sted", "tirf_sim")
every_modality = pytest.mark.parametrize("modality", MODALITIES)


@every_modality
@pytest.mark.parametrize("coarseness", [1, 2, 3])
def test_input_and_target_lie_on_one_grid(modality, coarseness):
    source = ModalityPairs(modality=modality, crop_px=64, coarseness=(coarseness,))
    scene = source.scene(generator(1), "beads")
    assert len(scene.light) * coarseness == len(scene.target)
    image, target = source.sample(generator(1))
    assert image.shape == target.shape == (64, 64, 1)


@every_modality
@pytest.mark.parametrize("coarseness", [1, 3])
def test_structures_are_at_one_place_in_both_images(modality, coarseness):
    source = ModalityPairs(modality=modality, crop_px=96, haze=(0.0, 0.0))
    scene = source.scene(generator(2), "pits", coarseness=coarseness)
    image = on_grid(scene.light, len(scene.target))
    blurred = gaussian_filter(scene.target, 4.0)
    spectrum = np.fft.rfft2(image - image.mean())
    spectrum *= np.conj(np.fft.rfft2(blurred - blurred.mean()))
    correlation = np.fft.irfft2(spectrum, s=image.shape)
    assert np.unravel_index(correlation.argmax(), image.shape) == (0, 0)


@every_modality
def test_the_target_is_sharper_than_the_input(modality):
    source = ModalityPairs(modality=modality, crop_px=96, haze=(0.0, 0.0))
    scene = source.scene(generator(3), "beads", coarseness=1, pixel_nm=25.0)
    shares = [
        np.sort(image.ravel() / image.sum())[-40:].sum()
        for image in (scene.target, scene.light - scene.background)
    ]
    assert shares[0] > 1.5 * shares[1]


@every_modality
def test_nothing_becomes_nothing(modality):
    source = ModalityPairs(modality=modality, crop_px=32, structures=("nothing",))
    for seed in range(4):
        image, target = source.sample(generator(4, seed))
        assert not target.any()
        assert image.std() > 0


@pytest.mark.parametrize("fwhm_nm", [50.0, 80.0, 120.0])
def test_depletion_gives_the_width_that_was_asked_for(fwhm_nm):
    confocal = ScanOptics(na=1.4, emission_nm=670, excitation_nm=640)
    sted = depleted(confocal, fwhm_nm=fwhm_nm)
    r = np.arange(0, 300, 0.1)
    spot = scanned_spot(sted, r)
    assert 2 * r[np.argmax(spot < 0.5)] == pytest.approx(fwhm_nm, rel=0.06)
    wide = PER_SIGMA * confocal.confocal_sigma_nm + 10
    assert depleted(confocal, fwhm_nm=wide).saturation == 0


def test_inputs_have_counts_of_photons_or_eight_bits():
    counted, stored = (
        ModalityPairs(crop_px=64, stored_share=share) for share in (0.0, 1.0)
    )
    scene = counted.scene(generator(5), "filaments")
    bright, dim = (counted.expose(scene, generator(6), n).mean() for n in (400.0, 40.0))
    assert bright / dim == pytest.approx(10, rel=0.15)
    assert stored.expose(scene, generator(6), 400.0).max() <= 255


def test_a_batch_shows_a_sample_more_than_once():
    source = ModalityPairs(crop_px=48, views=3)
    images, targets = source.batch(generator(7), 5)
    assert images.shape == targets.shape == (5, 48, 48, 1)
    again = source.batch(generator(7), 5)
    np.testing.assert_array_equal(images, again[0])
    assert len({image.tobytes() for image in images}) == 5


def test_an_image_beside_the_sample_stays_empty():
    dark = np.full((8, 8), 1e-6)
    dark[0, 0] = 2e-6
    assert scaled_target(dark, faint=1.0).max() < 1e-5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"structures": ()}, "at least one sample"),
        ({"coarseness": (4,)}, "coarseness must hold 1, 2 or 3"),
        ({"photons": (0.0, 5.0)}, "positive bounds"),
        ({"haze": (-1.0, 0.0)}, "bounds from 0"),
        ({"na": (1.4, 1.2)}, "lower one first"),
        ({"structures": ("cilia",)}, "cilia"),
    ],
)
def test_impossible_conditions_are_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        ModalityPairs(**changes)


def test_recordings_have_the_pixel_of_the_microscope():
    confocal = ModalityPairs(field_px=48).record(generator(8), frames=2)
    assert confocal.pixel_size_nm == 25.0
    assert confocal.counts.shape == confocal.truth.shape
    tirf = ModalityPairs(modality="tirf_sim", pixel_size_nm=31.3, field_px=48)
    made = tirf.record(generator(8), frames=2)
    assert made.pixel_size_nm == 62.6
    assert made.truth.shape[1] == 2 * made.counts.shape[1]
