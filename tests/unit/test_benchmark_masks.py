"""Emitters that were found, and the part of a frame that counts."""

import numpy as np
import pytest

from zoo.core.localizations import Localizations
from zoo.test_sets.dense_emitters import DenseEmitterTestSet


@pytest.fixture
def masks(benchmark_script):
    return benchmark_script("masks")


def table(x_nm, z_nm, frame):
    return Localizations(
        x_nm=np.array(x_nm, float),
        y_nm=np.full(len(x_nm), 5000.0),
        z_nm=np.array(z_nm, float),
        frame=np.array(frame),
    )


def test_an_emitter_is_found_by_a_localization_near_it_in_its_frame(masks):
    truth = table([4000, 6000, 7000, 8000], [500, 500, 500, 500], [1, 1, 1, 2])
    found = table([4050, 6000, 8000], [450, 700, 500], [1, 1, 1])
    # the second is too deep, the third has none, the fourth in another frame
    assert masks.were_found(truth, found).tolist() == [True, False, False, False]


def test_the_border_that_has_no_emitters_does_not_count(masks):
    test_set = DenseEmitterTestSet()
    px = test_set.pixel_size_nm
    found = table([10 * px, 20 * px, 101 * px, 110 * px], [0] * 4, [1] * 4)
    kept = masks.inner(found, test_set)
    assert kept.x_nm.tolist() == [20 * px, 101 * px]
