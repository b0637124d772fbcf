"""Movies of blinking dyes on filaments."""

import numpy as np

from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.simulate.blinking import BlinkingFilaments


def test_the_movie_is_that_of_the_first_demonstrations():
    movie = BlinkingFilaments().record(generator(2018, 1), frames=40)
    assert movie.counts.shape == (40, 48, 48)
    assert movie.counts.dtype == np.uint16
    # as the private simulator of ``zoo demo`` drew it at 2ec9a3e
    assert int(movie.counts.sum()) == 33_934_504
    assert movie.counts[0, 0, :5].tolist() == [174, 157, 178, 183, 166]
    assert len(movie.truth) == 5819


def test_molecules_shine_over_several_frames_within_the_field():
    source = BlinkingFilaments(field_px=20, pixel_size_nm=110.0)
    truth = source.record(generator(3), frames=30).truth
    assert isinstance(truth, Localizations)
    assert 0 <= truth.x_nm.min() <= truth.x_nm.max() < 20 * 110
    assert truth.frame is not None
    assert set(truth.frame.tolist()) == set(range(1, 31))
    places, counts = np.unique(truth.x_nm, return_counts=True)
    assert len(places) < len(truth) / 1.5
    assert counts.max() > 5


def test_a_pair_is_a_frame_and_its_emitters():
    source = BlinkingFilaments(field_px=16, scale=4)
    frame, spikes = source.sample(generator(1))
    assert frame.shape == (16, 16, 1)
    assert spikes.shape == (64, 64, 1)
    assert frame.dtype == spikes.dtype == np.float32
    assert spikes.sum() > 0
    assert np.array_equal(source.sample(generator(1))[0], frame)
    assert BlinkingFilaments.model_validate_json(source.model_dump_json()) == source
