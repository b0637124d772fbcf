"""Equal keys give equal streams, other keys other ones."""

from itertools import combinations

import numpy as np
import pytest

from zoo.core.random import generator


@pytest.mark.parametrize("keys", [(0,), (7,), (1, 2), (2018, 3, 41), (5, 2**31, 0)])
def test_equal_keys_give_equal_streams(keys):
    first, second = generator(*keys), generator(*keys)
    assert first.random(100).tolist() == second.random(100).tolist()
    assert first.poisson(20, 9).tolist() == second.poisson(20, 9).tolist()


def test_different_keys_of_one_length_give_different_streams():
    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 1, 1), (1, 0, 1)]
    keys += [(2, 1, 3), (3, 1, 2), (0, 2**31, 0)]
    drawn = [generator(*key).random(4).tolist() for key in keys]
    for first, second in combinations(drawn, 2):
        assert first != second


def test_streams_of_neighbouring_keys_are_uncorrelated():
    drawn = np.array([generator(2018, 0, i).random(4000) for i in range(20)])
    off_diagonal = np.corrcoef(drawn)[~np.eye(20, dtype=bool)]
    # 190 coefficients of standard deviation 1 / sqrt(4000)
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(4000)
    assert abs(drawn.mean() - 0.5) < 5 * np.sqrt(1 / 12 / drawn.size)


def test_a_stream_is_the_same_on_every_machine():
    # PCG64 seeded by SeedSequence((2018, 1, 2)), numpy 2.4; neither may change
    words = generator(2018, 1, 2).bit_generator.random_raw(2)
    assert words.tolist() == [8674615625878575768, 14063143143255891097]


@pytest.mark.parametrize("keys", [(-1,), (1, -2), (0, 0, -1)])
def test_negative_keys_are_refused(keys):
    with pytest.raises(ValueError, match="must not be negative") as caught:
        generator(*keys)
    assert str(keys) in str(caught.value)
