"""Plateaus of local maxima."""

import tracemalloc

import numpy as np
from scipy.ndimage import label

from zoo.tasks.peaks import _plateaus, find_peaks


def test_a_level_map_is_one_maximum_in_little_memory():
    edge = 120
    frame = np.zeros(edge**2, int)
    place = [p.ravel() for p in np.mgrid[:edge, :edge]]
    tracemalloc.start()
    try:
        number, first = _plateaus(frame, place, (edge, edge), (9, 9))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not number.any()
    assert first.tolist() == [0]
    # its 576,000 pairs of neighbours would take 9 MB
    assert peak < 4e6


def test_plateaus_are_those_of_a_labelling():
    rng = np.random.default_rng(0)
    for _ in range(20):
        level = (rng.random((1, 17, 23)) > 0.6).astype(float)
        found = find_peaks(level, level=0.5, windows=(3, 3), centroids=(1, 1))
        areas, count = label(level[0], np.ones((3, 3)))
        assert len(found.frame) == count
        rows = [np.argwhere(areas == n + 1).mean(axis=0) + 0.5 for n in range(count)]
        np.testing.assert_allclose(np.stack(found.centre, axis=1), rows)
