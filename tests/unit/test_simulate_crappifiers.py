"""Degradations of dense images: the published steps, and their samplings."""

import numpy as np
import pytest
from scipy import ndimage

from zoo.core.random import generator
from zoo.simulate.crappifiers import (
    Crappifier,
    DownsampledOnly,
    Electron,
    Fluorescence,
    FluorescencePreprint,
    GaussianNoise,
    PoissonNoise,
    Pssr2,
    sampled,
    sampling_matrix,
)

KINDS = list(Crappifier.kinds())
EVEN = np.full((256, 256), 0.9, np.float32)


def ramp() -> np.ndarray:
    image = np.linspace(0.1, 0.8, 64, dtype=np.float32)
    return np.tile(image, (64, 1)) * np.linspace(0.5, 1, 64, dtype=np.float32)[:, None]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_a_coarse_image_of_256_levels(kind):
    coarse = kind()(ramp(), generator(1))
    assert coarse.shape == (16, 16)
    assert coarse.dtype == np.float32
    assert 0 <= coarse.min() <= coarse.max() <= 1
    np.testing.assert_allclose(255 * coarse, np.round(255 * coarse), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_follows_from_the_generator(kind):
    first, again = (kind()(ramp(), generator(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert kind is DownsampledOnly or (first != kind()(ramp(), generator(4))).any()


@pytest.mark.parametrize("kind", [k for k in KINDS if k.strengths])
def test_a_stronger_one_is_noisier(kind):
    even = np.full((128, 128), 0.4, np.float32)
    weak, strong = (
        float(kind().stronger(factor).degrade(even, generator(5)).std())
        for factor in (0.25, 1.0)
    )
    assert strong > 1.3 * weak


def test_zoom_is_that_of_scipy():
    image = ramp()
    expected = ndimage.zoom(image, 0.25, order=1)
    np.testing.assert_allclose(sampled(image, "zoom"), expected, atol=1e-5)


def test_centres_keep_images_registered_and_zoom_stretches_them():
    positions = np.arange(128.0)
    inside = slice(2, -2)
    for kind in ("centres", "rescale", "triangle"):
        found = sampling_matrix(kind, 128) @ positions
        expected = 4 * np.arange(32) + 1.5
        np.testing.assert_allclose(found[inside], expected[inside], atol=1e-3)
    found = sampling_matrix("zoom", 128) @ positions
    assert found[0] == pytest.approx(0)
    assert found[-1] == pytest.approx(127)


def test_sides_that_are_no_multiples_of_four_are_refused():
    with pytest.raises(ValueError, match="multiples of 4, not 30"):
        sampled(np.zeros((30, 32)), "zoom")


def test_smoothing_decides_how_much_of_the_noise_is_left():
    # a level of 0.9 under the fluorescence crappifier, without salt and pepper
    plain = Fluorescence(salt=0, pepper=0)
    found = {
        kind: float(plain.override(sampling=kind).degrade(EVEN, generator(6)).std())
        for kind in ("zoom", "rescale")
    }
    assert 0.13 < found["zoom"] < 0.22
    assert 0.05 < found["rescale"] < 0.09


def test_clipping_darkens_bright_levels_and_brightens_dark_ones():
    plain = Fluorescence(salt=0, pepper=0, sampling="centres")
    for level, expected in ((0.9, 0.70), (0.1, 0.15)):
        even = np.full_like(EVEN, level)
        even[0, 0] = 1.0  # the maximum that is restored
        found = float(plain.degrade(even, generator(7)).mean())
        assert found == pytest.approx(expected, rel=0.1)


def test_electron_noise_has_the_stated_variance():
    level = np.full((512, 512), 0.4, np.float32)
    noisy = Electron(variance=0.01, sampling="centres").degrade(level, generator(8))
    # a coarse pixel is the mean of four dense ones
    assert noisy.std() == pytest.approx((0.01 * 0.4 / 4) ** 0.5, rel=0.03)


def test_salt_comes_last_in_the_final_one_and_first_in_the_preprint():
    dark = np.zeros((256, 256), np.float32)
    dark[0, 0] = 1.0
    settings = {"salt": 0.05, "pepper": 0.0, "sampling": "centres"}
    final = Fluorescence(**settings).degrade(dark, generator(9))
    # noise behind the salt spreads around it in the preprint's order
    first = FluorescencePreprint(**settings).degrade(dark, generator(9))
    assert (final > 0.02).mean() < 0.4
    assert (first > 0.02).mean() > 0.6


def test_counting_and_grey_levels_have_their_statistics():
    level = np.full((512, 512), 0.5, np.float32)
    counted = PoissonNoise(peak=50.0, sampling="centres").degrade(level, generator(1))
    assert counted.var() == pytest.approx(0.5 / 50 / 4, rel=0.05)
    even = GaussianNoise(deviation=0.1, sampling="centres").degrade(level, generator(1))
    assert even.std() == pytest.approx(0.05, rel=0.03)
    mixed = 255 * Pssr2(poisson=0.5, gaussian=6.0).degrade(level, generator(2))
    assert mixed.std() == pytest.approx((0.25 * 127.5 + 36) ** 0.5, rel=0.03)
    dotted = Pssr2(poisson=0, gaussian=0, salt_and_pepper=0.1)
    share = np.mean(np.abs(dotted.degrade(level, generator(3)) - 0.5) > 0.3)
    assert share == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_declaration_is_read_back_by_its_kind(kind):
    stored = kind().model_dump(mode="json")
    assert Crappifier.model_validate(stored) == kind()
