"""Bridged gaps, rewired crossings and false objects, on images that are known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.metrics.invention import bridged, invented, rewired
from zoo.physics import phantoms

SHAPE, PIXEL_NM = (256, 256), 31.3


def _drawn(image, sigma_nm=45.0):
    return gaussian_filter(image, sigma_nm / PIXEL_NM)


@pytest.mark.parametrize("gap_nm", [200.0, 350.0])
def test_gaps_are_bridged_where_the_image_is_blurred_too_much(gap_nm):
    rng = np.random.default_rng(1)
    lines = phantoms.gap_lines(rng, SHAPE, pixel_nm=PIXEL_NM, gap_nm=gap_nm)
    place = lines.places_nm, lines.directions
    known = {"gap_nm": gap_nm, "pixel_nm": PIXEL_NM}
    assert len(lines.places_nm) > 10
    assert not bridged(_drawn(lines.image), *place, **known).any()
    assert bridged(_drawn(lines.image, gap_nm), *place, **known).all()
    whole = phantoms.gap_lines(
        np.random.default_rng(1), SHAPE, pixel_nm=PIXEL_NM, gap_nm=0.0
    )
    assert bridged(_drawn(whole.image), *place, **known).all()
    assert not bridged(np.zeros(SHAPE), *place, **known).any()


@pytest.mark.parametrize("angle_deg", [30.0, 60.0, 90.0])
def test_crossings_are_rewired_where_arms_end_or_meet(angle_deg):
    rng = np.random.default_rng(2)
    pairs = phantoms.crossings(rng, SHAPE, pixel_nm=PIXEL_NM, angle_deg=angle_deg)
    image = _drawn(pairs.image)
    assert not rewired(image, pairs.places_nm, pairs.arms, pixel_nm=PIXEL_NM).any()
    y, x = ((np.arange(n) + 0.5) * PIXEL_NM for n in SHAPE)
    cut = image.copy()
    for cy, cx in pairs.places_nm:  # the crossing is missing
        cut[np.hypot(y[:, None] - cy, x - cx) < 250] = 0
    assert rewired(cut, pairs.places_nm, pairs.arms, pixel_nm=PIXEL_NM).all()
    filled = _drawn(pairs.image, 180.0)
    assert rewired(filled, pairs.places_nm, pairs.arms, pixel_nm=PIXEL_NM).all()


def test_false_objects_are_those_that_the_truth_has_not():
    truth = np.zeros(SHAPE)
    truth[100:104, 20:200] = 1.0
    image = truth.copy()
    assert invented(image, truth, pixel_nm=PIXEL_NM)[:2] == (0, 0)
    image[101:107, 20:200] *= 1.6  # too bright and too wide, but there
    assert invented(image, truth, pixel_nm=PIXEL_NM)[:2] == (0, 0)
    image[160:163, 30:90] = 0.4
    image[200:204, 200:204] = 0.4
    image[220, 220] = 1.0  # smaller than any object
    found = invented(image, truth, pixel_nm=PIXEL_NM)
    assert (found.filaments, found.spots) == (1, 1)
    assert found.area_um2 == pytest.approx((180 + 16) * PIXEL_NM**2 / 1e6)
    assert found.field_um2 == pytest.approx(64.2, rel=0.01)
    assert invented(0.5 * image, truth, pixel_nm=PIXEL_NM)[:2] == (0, 0)


@pytest.mark.parametrize("draw", [phantoms.rings, phantoms.discs, phantoms.clouds,
                                  phantoms.dot_grid])  # fmt: skip
def test_untrained_structures_follow_from_the_generator(draw):
    first, again = (
        draw(np.random.default_rng(3), SHAPE, pixel_nm=PIXEL_NM) for _ in range(2)
    )
    other = draw(np.random.default_rng(4), SHAPE, pixel_nm=PIXEL_NM)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.min() >= 0
    assert first.any()
