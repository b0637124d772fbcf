"""Sections of neuropil: what electron micrographs of it show."""

import numpy as np
import pytest
from scipy import ndimage

from zoo.core.random import generator
from zoo.physics.electron_images import Look, draw_look, micrograph
from zoo.physics.neuropil import Section, neuropil
from zoo.physics.smooth_noise import smooth_noise

PIXEL_NM = 4.0


@pytest.fixture(scope="module")
def section() -> Section:
    return neuropil(generator(5), (384, 384), pixel_nm=PIXEL_NM)


def look(**changes) -> Look:
    plain = {
        "level": 0.7,
        "membrane": 0.5,
        "dense": 0.3,
        "cytoplasm": 0.0,
        "blur_px": 0.0,
        "grain": 0.0,
        "uneven": 0.0,
        "knife_marks": 0,
        "charging": 0.0,
        "precipitates": 0,
        "gamma": 1.0,
        "inverted": False,
    }
    return Look(**(plain | changes))


def test_images_are_finite_and_stain_is_not_negative(section):
    for image in section[:3]:
        assert image.shape == (384, 384)
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
    assert section.membrane.min() >= 0
    assert section.dense.min() >= 0
    assert abs(float(section.cytoplasm.mean())) < 1


def test_tissue_is_packed_with_closed_profiles(section):
    # the light ground falls apart into many areas that membranes close
    inside = section.membrane < 0.2
    areas, count = ndimage.label(inside)
    assert count > 15
    sizes = np.bincount(areas.ravel())[1:]
    assert sizes.max() < 0.6 * inside.size
    assert 0.05 < np.mean(section.membrane > 0.5) < 0.5


def test_membranes_are_as_thick_as_they_should_be(section):
    # half of the stained width of a membrane, by how much of it a shrinking removes
    stained = section.membrane > 0.5
    deep = PIXEL_NM * np.asarray(ndimage.distance_transform_edt(stained))
    ridges = deep[(deep == ndimage.maximum_filter(deep, 5)) & (deep > 0)]
    # one membrane of 8 nm, or a pair with its cleft of at most some 35 nm
    assert 3 < np.median(ridges) < 20


def test_a_pixel_size_must_be_positive():
    with pytest.raises(ValueError, match="pixel_nm must be positive"):
        neuropil(generator(0), (64, 64), pixel_nm=0)


def test_the_seed_decides():
    first, again, other = (
        neuropil(generator(k), (96, 96), pixel_nm=8.0) for k in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.membrane, again.membrane)
    assert not np.array_equal(first.membrane, other.membrane)


def test_coarser_pixels_show_more_tissue():
    lengths = []
    for pixel_nm in (3.0, 9.0):
        image = neuropil(generator(3), (256, 256), pixel_nm=pixel_nm).membrane
        edges = np.abs(ndimage.sobel(image)) > 1
        lengths.append(edges.mean())
    assert lengths[1] > 1.2 * lengths[0]


def test_membranes_are_dark_and_inversion_makes_them_bright(section):
    dark = micrograph(generator(0), section, look())
    strong = section.membrane > 0.8
    assert dark[strong].mean() < dark[~strong].mean() - 0.2
    bright = micrograph(generator(0), section, look(inverted=True))
    np.testing.assert_allclose(bright, 1 - dark, atol=1e-6)


@pytest.mark.parametrize(
    "fault",
    [
        {"uneven": 0.1},
        {"knife_marks": 3},
        {"charging": 0.05},
        {"precipitates": 4},
        {"blur_px": 1.0},
        {"gamma": 1.3},
    ],
)
def test_every_fault_changes_the_image(section, fault):
    plain = micrograph(generator(0), section, look())
    faulty = micrograph(generator(0), section, look(**fault))
    assert 1e-4 < np.abs(plain - faulty).mean() < 0.15


def test_looks_differ_and_stay_in_range(section):
    levels = []
    for number in range(6):
        rng = generator(9, number)
        image = micrograph(rng, section, draw_look(rng))
        assert 0 <= image.min() <= image.max() <= 1
        levels.append(float(image.mean()))
    assert np.std(levels) > 0.02


@pytest.mark.parametrize("sigma_px", [0.0, 1.0, 12.0])
def test_smooth_noise_correlates_over_its_blur(sigma_px):
    field = smooth_noise(generator(1), (200, 160), sigma_px)
    assert field.shape == (200, 160)
    assert field.std() == pytest.approx(1, abs=1e-3)
    lag = max(int(sigma_px), 1)
    along = float(np.mean(field[:, :-lag] * field[:, lag:]))
    # a Gaussian blur correlates as exp(-lag**2 / (4 sigma**2))
    expected = np.exp(-(lag**2) / 4 / sigma_px**2) if sigma_px else 0.0
    assert along == pytest.approx(expected, abs=0.12)
