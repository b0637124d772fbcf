"""MicroSSIM: blind to offset and to one scale of a data set, not to structure."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.metrics.microssim import micro_ssim, moments


def images(count=3):
    rng = np.random.default_rng(0)
    return [gaussian_filter(rng.random((48, 48)) ** 8, 1.5) for _ in range(count)]


@pytest.mark.parametrize(("gain", "offset"), [(0.1, 5.0), (40.0, -3.0)])
def test_gain_and_offset_play_no_part(gain, offset):
    targets = images()
    largest = max(float(np.ptp(target)) for target in targets)
    found = micro_ssim([moments(gain * t / largest + offset, t) for t in targets])
    assert min(found) > 0.97


def test_blur_and_noise_lower_it():
    rng = np.random.default_rng(1)
    targets = images()
    same = np.mean(micro_ssim([moments(t, t) for t in targets]))
    blurred = np.mean(micro_ssim([moments(gaussian_filter(t, 2), t) for t in targets]))
    noisy = np.mean(
        micro_ssim([moments(t + rng.normal(0, t.std(), t.shape), t) for t in targets])
    )
    assert same > 0.99
    assert blurred < 0.95 * same
    assert noisy < 0.9 * same


def test_black_images_have_nothing_in_common_with_structure():
    (target,) = images(1)
    (value,) = micro_ssim([moments(np.zeros_like(target), target)])
    assert value < 0.3


def test_no_pairs_have_no_value_and_sizes_must_fit():
    assert micro_ssim([]) == []
    with pytest.raises(ValueError, match="equal shape"):
        moments(np.zeros((20, 20)), np.zeros((20, 21)))
    with pytest.raises(ValueError, match="11 px"):
        moments(np.zeros((9, 20)), np.zeros((9, 20)))
