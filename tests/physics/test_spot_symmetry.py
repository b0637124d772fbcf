"""Spots have the symmetries that they are said to have, and no others."""

import numpy as np
import pytest

from zoo.core.symmetry import SPOT_VIEWS
from zoo.physics.engineered import PUPILS
from zoo.physics.masks import VortexRings
from zoo.physics.pupil import PupilPsf
from zoo.physics.spot_symmetry import (
    FLIPS,
    NEGLIGIBLE_RAD,
    has_symmetry,
    same_flips,
)
from zoo.recipes.deep_storm3d import DEEP_STORM3D_LEARNED

SIDE = 25  # odd: views turn about the central pixel
PRESETS = {
    "unaberrated": {"none", "mirror", "half_turn", "quarter_turns"},
    "astigmatic": {"none", "mirror", "half_turn", "quarter_turns"},
    "smnet_complex": {"none", "mirror"},
}


def spot(optics, x_px, y_px, z_nm):
    """Return the image of an emitter at a distance from the central pixel."""
    middle = SIDE // 2 + 0.5
    place = (np.array([middle + offset]) * optics.pixel_nm for offset in (x_px, y_px))
    return PupilPsf(optics).images(*place, np.array([z_nm]), (SIDE, SIDE))[0]


def looks_the_same(optics, views):
    x, y, z = 0.7, -0.4, 350.0
    image = spot(optics, x, y, z)
    for view in views:
        there = np.array([-x if view.flip_x else x, -y if view.flip_y else y])
        x_there, y_there = there[::-1] if view.swap else there
        expected = spot(optics, x_there, y_there, -z if view.swap else z)
        if not np.allclose(
            view.apply(image[..., None])[..., 0], expected, atol=2e-3 * image.max()
        ):
            return False
    return True


@pytest.mark.parametrize("symmetry", SPOT_VIEWS)
@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_the_symmetries_that_they_are_said_to_have(name, symmetry):
    optics = PUPILS[name]
    stated = has_symmetry(optics, symmetry, both_sides=True)
    assert looks_the_same(optics, SPOT_VIEWS[symmetry]) == stated
    assert stated == (symmetry in PRESETS[name])


@pytest.mark.parametrize("mode", [(2, -2), (3, 1), (3, -1), (3, 3), (4, 0), (4, 4)])
def test_an_aberration_breaks_what_its_frequency_says(mode):
    optics = PUPILS["astigmatic"]
    aberrated = optics.override(zernikes_rad=(*optics.zernikes_rad, (*mode, 0.5)))
    slightly = optics.override(
        zernikes_rad=(*optics.zernikes_rad, (*mode, 0.9 * NEGLIGIBLE_RAD))
    )
    for symmetry in SPOT_VIEWS:
        stated = has_symmetry(aberrated, symmetry, both_sides=True)
        assert looks_the_same(aberrated, SPOT_VIEWS[symmetry]) == stated
        assert has_symmetry(slightly, symmetry, both_sides=True)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [({"sample_index": 1.33}, set()), ({"focus_nm": 300.0}, {"quarter_turns"})],
)
def test_a_moved_focus_breaks_quarter_turns_and_a_watery_sample_none(changes, broken):
    optics = PUPILS["astigmatic"].override(**changes)
    for symmetry in SPOT_VIEWS:
        stated = has_symmetry(optics, symmetry, both_sides=True)
        assert stated == (symmetry not in broken)
        assert looks_the_same(optics, SPOT_VIEWS[symmetry]) == stated


def test_quarter_turns_need_depths_on_both_sides():
    optics = PUPILS["astigmatic"]
    assert not has_symmetry(optics, "quarter_turns", both_sides=False)
    assert has_symmetry(optics, "half_turn", both_sides=False)


def test_of_a_mask_no_symmetry_is_known():
    masked = PUPILS["astigmatic"].override(mask=VortexRings())
    for symmetry in SPOT_VIEWS:
        stated = has_symmetry(masked, symmetry, both_sides=True)
        assert stated == (symmetry == "none")


@pytest.mark.parametrize(
    ("modes", "count"),
    [((), 4), (((3, 1),), 2), (((2, -2),), 2), (((3, -1),), 2), (((3, 1), (2, -2)), 1)],
)
def test_flips_that_keep_a_spot_are_known(modes, count):
    tetrapod = PUPILS["tetrapod"]
    more = tuple((*mode, 0.5) for mode in modes)
    optics = tetrapod.override(zernikes_rad=(*tetrapod.zernikes_rad, *more))
    kept = same_flips(optics)
    assert len(kept) == count
    assert kept[0] == FLIPS[0]
    for view in FLIPS:
        assert looks_the_same(optics, [view]) == (view in kept)


def test_the_learned_mask_is_its_own_mirror_image():
    optics = DEEP_STORM3D_LEARNED.contract.task.optics
    assert same_flips(optics) == FLIPS
    assert looks_the_same(optics, FLIPS)


def test_of_a_mask_or_unknown_optics_no_flip_is_known():
    optics = PUPILS["tetrapod"]
    assert same_flips(optics) == FLIPS
    assert same_flips(optics.override(mask=VortexRings())) == FLIPS[:1]
    assert same_flips(None) == FLIPS[:1]
