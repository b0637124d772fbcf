"""Coarse scans and their dense originals."""

import numpy as np
import pytest

from zoo.core.random import generator
from zoo.simulate.crappifiers import DownsampledOnly, Electron, sampled
from zoo.simulate.fluorescence_scans import (
    TIME_POINTS,
    FluorescenceMovies,
    FluorescenceScans,
    Motion,
)
from zoo.simulate.scans import ElectronScans, Place

PLAIN = (DownsampledOnly(sampling="centres"),)
SOURCES = [
    ElectronScans(scenes=2, crop_px=32),
    FluorescenceScans(scenes=2, crop_px=32, structures=("er",)),
    FluorescenceMovies(scenes=2, crop_px=32),
]
every_source = pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.kind)


@every_source
def test_scan_and_original_show_the_same_on_one_scale(source):
    plain = source.override(crappifiers=PLAIN, brightness=(1.0, 1.0))
    scan, dense = plain.sample(generator(1))
    middle = scan[..., scan.shape[-1] // 2]
    assert dense.shape == (128, 128, 1)
    expected = sampled(dense[..., 0], "centres")
    # grain of the dense scan and 256 levels remain
    assert np.abs(middle - expected).mean() < 0.06
    assert scan.min() == pytest.approx(0, abs=1e-5)
    assert scan.max() == pytest.approx(1, abs=1e-5)


@every_source
def test_batches_and_samples_depend_on_the_generator_alone(source):
    first, again = (source.batch(generator(2), 3) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    different = source.batch(generator(3), 3)
    assert not np.array_equal(first[0], different[0])


@every_source
def test_a_stronger_noise_is_farther_from_the_original(source):
    errors = []
    for factor in (0.1, 2.0):
        set_to = source.override(strength=(factor, factor), brightness=(1.0, 1.0))
        scan, dense = set_to.batch(generator(4), 4)
        middle = scan[..., scan.shape[-1] // 2]
        pairs = zip(middle, dense[..., 0], strict=True)
        errors.append(
            np.mean([1 - np.corrcoef(m.ravel(), sampled(d, "centres").ravel())[0, 1]
                     for m, d in pairs])
        )  # fmt: skip
    assert errors[1] > 1.3 * errors[0]


def test_pixels_follow_the_scenes_and_stay_in_range():
    source = ElectronScans(scenes=16)
    sizes = [source.scene_pixel_nm(k) for k in range(16)]
    assert sizes == sorted(sizes)
    assert 2.0 <= sizes[0] < 2.2
    assert 9.0 < sizes[-1] <= 10.0
    for number, size in enumerate(sizes):
        assert source.scene_of(size) == number
    one = source.override(pixel_size_nm=16.0)
    assert {one.scene_pixel_nm(k) for k in range(16)} == {4.0}
    with pytest.raises(ValueError, match="lower one first"):
        source.override(pixel_size_nm=(20.0, 10.0))
    with pytest.raises(ValueError, match="at least one crappifier"):
        source.override(crappifiers=())


def test_a_place_reads_what_lies_there():
    scene = np.add.outer(10.0 * np.arange(64), np.arange(64.0)).astype(np.float32)
    place = Place(top=8.5, left=4.5, size_px=16, step=1.5, turns=0, mirrored=False)
    found = place.turned(place.resampled(place.cut(scene)))
    rows = 8.5 + (np.arange(16) + 0.5) * 1.5 - 0.5
    columns = 4.5 + (np.arange(16) + 0.5) * 1.5 - 0.5
    np.testing.assert_allclose(found, np.add.outer(10 * rows, columns), rtol=1e-4)
    turned = place._replace(turns=1, mirrored=True)
    np.testing.assert_array_equal(turned.turned(found), np.rot90(found)[:, ::-1])


def test_movies_stand_still_in_the_middle_and_move_around_it():
    source = FluorescenceMovies(drift_px=(2.0, 2.0), wander_px=(0.0, 0.0))
    motion = Motion.draw(generator(5), source, 3)
    places = np.linspace(0, 100, 6).astype(np.float32)
    numbers = np.array([0, 0, 1, 1, 2, 2])
    moves = [np.array(m) for m in motion.displacements(places, places, numbers)]
    assert len(moves) == TIME_POINTS
    np.testing.assert_allclose(moves[TIME_POINTS // 2], 0, atol=1e-5)
    steps = np.diff(motion.paths_px, axis=0)
    np.testing.assert_allclose(np.hypot(*np.moveaxis(steps, -1, 0)), 2.0, rtol=1e-6)
    assert np.abs(moves[0]).max() > 2


@pytest.mark.parametrize("frames", [1, 3, 9])
def test_a_recording_of_a_movie_has_any_number_of_frames(frames):
    source = FluorescenceMovies(scenes=2, field_px=32, crappifiers=PLAIN)
    made = source.record(generator(6), frames=frames)
    assert made.letters == "tyx"
    assert made.counts.shape == (frames, 32, 32)
    assert made.truth.shape == (frames, 128, 128)
    assert made.counts.max() <= 255
    for counts, truth in zip(made.counts, made.truth, strict=True):
        np.testing.assert_allclose(counts, sampled(truth, "centres"), atol=1.1)


def test_the_cell_of_a_long_movie_stays_in_the_field():
    source = FluorescenceMovies(drift_px=(2.0, 2.0), wander_px=(0.0, 0.0))
    motion = Motion.draw(generator(5), source, 2, frames=100)
    steps = np.diff(motion.paths_px, axis=0)
    np.testing.assert_allclose(np.hypot(*np.moveaxis(steps, -1, 0)), 2.0, rtol=1e-6)
    assert np.abs(motion.paths_px).max() < 30


def test_the_first_degradation_is_as_noisy_as_the_published_one():
    flat = np.full((512, 512), 0.5, np.float32)
    first = ElectronScans().crappifiers[0]
    registered, published = (
        float(c.degrade(flat, generator(7)).std()) for c in (first, Electron())
    )
    assert registered == pytest.approx(published, rel=0.15)
