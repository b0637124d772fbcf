"""Finding beads in a stack, and leaving out those that cannot be used."""

import numpy as np
import pytest

from zoo.core.localizations import Localizations
from zoo.physics.beads import find_beads, place_bead
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spots import draw_emitters

PSF = PupilPsf(
    PupilOptics(
        na=1.45,
        wavelength_nm=670.0,
        pixel_nm=100.0,
        sample_index=1.518,
        zernikes_rad=((2, 2, 0.66),),
    )
)
DEPTHS = np.linspace(-500, 500, 9)


def stack_of(x_px, y_px, photons, shape=(120, 130)):
    planes = [
        draw_emitters(
            PSF,
            Localizations(
                x_nm=100.0 * np.asarray(x_px),
                y_nm=100.0 * np.asarray(y_px),
                z_nm=np.full(len(x_px), -depth),
                photons=np.asarray(photons, float),
            ),
            shape,
        )
        for depth in DEPTHS
    ]
    return np.random.default_rng(2).poisson(np.stack(planes) + 30.0)


def test_isolated_beads_are_found_and_cut():
    x, y = [30.2, 90.7, 60.1], [40.5, 25.3, 95.8]
    stack = stack_of(x, y, [8000, 20000, 12000])
    regions = find_beads(stack, region_px=21)
    centres = {
        (int(row) + 10, int(column) + 10)
        for row, column in zip(regions.first_row, regions.first_column, strict=True)
    }
    expected = {(int(b), int(a)) for a, b in zip(x, y, strict=True)}
    assert all(
        min(abs(r - i) + abs(c - j) for i, j in centres) <= 1 for r, c in expected
    )
    assert len(centres) == 3
    # brightest first
    assert abs(int(regions.first_row[0]) + 10 - 25) <= 1
    cut = regions.cut(stack)
    assert cut.shape == (3, 9, 21, 21)
    assert regions.at_border == regions.crowded == regions.saturated == 0


def test_unusable_beads_are_counted():
    x = [30.5, 38.5, 90.5, 4.5, 60.5]
    y = [40.5, 44.5, 25.5, 60.5, 95.5]
    stack = stack_of(x, y, [8000, 9000, 9000, 9000, 60000])
    regions = find_beads(stack, region_px=21, saturation=2500)
    assert regions.crowded == 2
    assert regions.at_border == 1
    assert regions.saturated == 1
    assert len(regions.first_row) == 1


def test_noise_holds_no_beads():
    stack = np.random.default_rng(0).poisson(50.0, (7, 64, 64))
    assert len(find_beads(stack).first_row) == 0
    assert find_beads(stack).cut(stack).shape == (0, 7, 25, 25)


def test_beads_are_placed_to_a_pixel_and_a_step():
    focus = np.linspace(-600, 600, 13)
    planes = np.full(13, 1.0)
    stack = 5000 * PSF.images(
        1430 * planes, 1040 * planes, 0 * planes, (25, 25), focus_nm=focus - 200
    )
    x, y, offset = place_bead(
        stack, PSF, focus_nm=focus, offsets_nm=np.arange(-500.0, 501.0, 100.0)
    )
    assert (x, y) == pytest.approx((1430, 1040), abs=51)
    assert offset == -200


@pytest.mark.parametrize(
    ("stack", "region_px", "message"),
    [
        (np.zeros((50, 50)), 25, "axes"),
        (np.zeros((5, 50, 50)), 24, "must be odd"),
        (np.zeros((5, 20, 50)), 25, "fit into the image of 20 x 50"),
    ],
)
def test_bad_input_is_refused(stack, region_px, message):
    with pytest.raises(ValueError, match=message):
        find_beads(stack, region_px=region_px)
