"""Pairs for image networks: what they promise."""

import json

import numpy as np
import pytest

from zoo.core.random import generator
from zoo.physics.camera import Scmos
from zoo.physics.sim_reconstruction import (
    sim_support_per_um,
)
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import expose, scaled_counts, scaled_target

SMALL = SimPairs(crop_px=32, field_px=32)
WIDEFIELD = SMALL.override(modality="widefield")
IDEAL = Scmos(
    quantum_efficiency=1.0,
    spurious_e=0.0,
    adu_per_e=1.0,
    read_noise_e=0.0,
    hot_fraction=0.0,
    offset_sd_adu=0.0,
    gain_spread=0.0,
)


def correlation(first, second):
    return np.corrcoef(first.ravel(), second.ravel())[0, 1]


@pytest.mark.parametrize(("source", "channels"), [(SMALL, 9), (WIDEFIELD, 1)])
@pytest.mark.parametrize("structure", SMALL.structures)
def test_pairs_have_the_networks_shapes_and_range(source, channels, structure):
    source = source.override(structures=(structure,))
    whole = source.override(brightness=(1, 1), pedestal=(0, 0))
    for index in range(3):
        part, _ = source.sample(generator(0, index))
        assert 0 <= part.min() < part.max() <= 1
        image, target = whole.sample(generator(0, index))
        assert image.shape == (32, 32, channels)
        assert target.shape == (64, 64, 1)
        assert image.dtype == target.dtype == np.float32
        # all frames share one scale
        assert (image.min(), image.max()) == (0.0, pytest.approx(1.0))
        assert target.min() == 0.0
        assert 0.0 < target.max() <= 1.0
    again = whole.sample(generator(0, 2))
    np.testing.assert_array_equal(image, again[0])
    np.testing.assert_array_equal(target, again[1])


def test_images_show_their_targets():
    source = SimPairs(photons=(600, 600), haze=(0.0, 0.2), crop_px=64)
    for index in range(6):
        image, target = source.sample(generator(5, index))
        widefield = np.kron(image.mean(axis=2), np.ones((2, 2)))
        assert correlation(widefield, target[..., 0]) > 0.7
        shifted = np.roll(target[..., 0], 9, axis=0)
        assert correlation(widefield, shifted) < correlation(widefield, target[..., 0])


def test_signal_level_is_the_mean_where_the_photons_are():
    source = SimPairs(
        modality="widefield",
        tirf_share=1.0,
        background=(0.0, 0.0),
        crop_px=256,
        structures=("er",),
    )
    scene = source.scene(generator(1), "er")
    counts = expose(scene, generator(2), IDEAL, 100.0).astype(float) - 100
    # Poisson noise adds its variance to the mean square: 100 + 1
    assert (counts**2).sum() / counts.sum() == pytest.approx(101, rel=0.05)


def test_background_and_haze_come_on_top():
    options = {"tirf_share": 0.0, "haze_defocus_nm": (800.0, 800.0)}
    clean, plain, hazy = (
        WIDEFIELD.override(background=level, haze=haze, **options).scene(
            generator(3), "actin"
        )
        for level, haze in (
            ((0.0, 0.0), (0.0, 0.0)),
            ((0.1, 0.1), (0.0, 0.0)),
            ((0.0, 0.0), (1.0, 1.0)),
        )
    )
    added = plain.frames - clean.frames
    np.testing.assert_allclose(added, plain.background, rtol=1e-3)
    assert 0.05 < plain.background / clean.frames.max() < 0.5
    fog = hazy.frames - clean.frames
    # as much light again in all, and without detail
    assert 0.3 < fog.mean() / clean.frames.mean() < 3
    assert fog.std() / fog.mean() < 0.7 * clean.frames.std() / clean.frames.mean()
    np.testing.assert_array_equal(hazy.target, clean.target)


def test_conditions_stay_in_their_ranges():
    source = SMALL.override(modulation_spread=0.0)
    for index in range(20):
        scene = source.scene(generator(6, index), "pits")
        optics, light = scene.optics, scene.pattern
        assert 1.2 <= optics.na <= 1.49
        assert 480 <= optics.wavelength_nm <= 680
        assert 0.85 <= light.frequency_per_um / optics.cutoff_per_um <= 1.0
        assert 0.3 <= light.modulations[0] <= 1.0
        assert scene.frames.shape == (9, 32, 32)
        assert scene.frames.min() >= 0


def test_target_ends_at_the_support():
    scene = SimPairs(crop_px=128).scene(generator(7), "microtubules")
    taper = np.hanning(256)
    spectrum = np.abs(np.fft.fft2(scene.target * taper[:, None] * taper)) ** 2
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(256, 0.0313)] * 2))
    support = sim_support_per_um(scene.optics, scene.pattern)
    assert spectrum[frequency > support + 0.5].sum() < 1e-5 * spectrum.sum()
    between = (frequency > scene.optics.cutoff_per_um) & (frequency < support)
    assert spectrum[between].sum() > 1e-3 * spectrum.sum()


def test_an_image_beside_the_sample_stays_empty():
    scene = SMALL.scene(generator(8), "er")
    beside = scene._replace(target=scene.target * 0 + 1e-9)
    assert scaled_target(beside).max() < 1e-3
    assert scaled_target(scene).max() == 1.0


def test_counts_are_scaled_jointly():
    counts = np.array([[[100, 110]], [[120, 300]]], np.uint16)
    scaled = scaled_counts(counts)
    np.testing.assert_allclose(scaled, [[[0, 0.1], [0.05, 1]]], atol=1e-6)
    assert scaled_counts(np.full((9, 4, 4), 7, np.uint16)).max() == 0


@pytest.mark.parametrize(("source", "pages"), [(SMALL, 27), (WIDEFIELD, 3)])
def test_recordings_are_what_a_microscope_writes(source, pages):
    recording = source.record(generator(9), frames=3)
    assert recording.counts.shape == (pages, 32, 32)
    assert recording.counts.dtype == np.uint16
    assert recording.truth.shape == (3, 64, 64)
    assert recording.pixel_size_nm == 62.6
    for image in range(3):
        raw = recording.counts.reshape(3, -1, 32, 32)[image].mean(axis=0)
        assert correlation(np.kron(raw, np.ones((2, 2))), recording.truth[image]) > 0.4


def test_a_structure_can_be_left_out():
    rest = tuple(name for name in SMALL.structures if name != "er")
    kept = SMALL.override(structures=rest)
    assert {kept._structure(generator(10, index)) for index in range(60)} == set(rest)


def test_declarations_survive_json_and_refuse_nonsense():
    assert SimPairs.model_validate(json.loads(SMALL.model_dump_json())) == SMALL
    for name, value, message in (
        ("na", (1.4, 1.2), "positive bounds"),
        ("photons", (0.0, 10.0), "positive bounds"),
        ("haze", (-1.0, 1.0), "bounds from 0"),
        ("modulation", (0.5, 1.5), "modulation must not exceed 1"),
        ("structures", (), "must name at least one"),
        ("structures", ("nuclei",), "microtubules"),
        ("pixel_size_nm", 110.0, "pixel_size_nm must be at most 80.5"),
    ):
        with pytest.raises(ValueError, match=message):
            SMALL.override(**{name: value})
