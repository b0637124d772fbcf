"""Spline and measured spots against the stacks and models they come from."""

from dataclasses import replace

import numpy as np
import pytest

from zoo.physics.phase_retrieval import Beads
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spline_psf import SplinePsf
from zoo.physics.tabulated import bead_psf, measured_psf, tabulated_psf

OPTICS = PupilOptics(
    na=1.45,
    wavelength_nm=670.0,
    pixel_nm=100.0,
    zernikes_rad=((2, 2, 0.66), (3, 1, 0.3)),
)
PUPIL = PupilPsf(OPTICS)


def random_psf(**options):
    stack = np.random.default_rng(6).random((6, 9, 8))
    psf = measured_psf(
        stack, pixel_nm=100.0, step_nm=50.0, first_z_nm=-100.0, **options
    )
    return stack, psf


def test_slices_are_given_back():
    stack, psf = random_psf()
    x, y = np.full(6, 400.0), np.full(6, 450.0)
    z = -100 + 50 * np.arange(6.0)
    # the last row and column belong to no interval
    np.testing.assert_allclose(
        psf.images(x, y, z, (9, 8))[:, :-1, :-1], stack[:, :-1, :-1], atol=1e-12
    )
    assert psf.z_range_nm == (-100.0, 150.0)


def test_an_emitter_off_the_middle_of_the_stack():
    stack, psf = random_psf(center_px=(3.0, 5.0))
    spot = psf.images(np.array([350.0]), np.array([550.0]), np.array([0.0]), (8, 7))[0]
    np.testing.assert_allclose(spot, stack[2, :8, :7], atol=1e-12)


def test_polynomials_of_voxels_are_the_spline():
    _, psf = random_psf()
    coefficients = psf.polynomials()
    assert coefficients.shape == (5, 8, 7, 64)
    again = SplinePsf.from_polynomials(
        coefficients, pixel_nm=100.0, step_nm=50.0, first_z_nm=-100.0
    )
    np.testing.assert_allclose(again.nodes, psf.nodes, atol=1e-10)
    # by hand: a place in a voxel, powers of z slowest and of x fastest
    tz, ty, tx = 0.3, 0.6, 0.8
    powers = [t ** np.arange(4) for t in (tz, ty, tx)]
    by_hand = np.einsum("abc,a,b,c", coefficients[2, 3, 4].reshape(4, 4, 4), *powers)
    x = (psf.center_px[0] + 0.5 - 4 - tx) * 100
    y = (psf.center_px[1] + 0.5 - 3 - ty) * 100
    value = psf.images(np.array([x]), np.array([y]), np.array([15.0]), (1, 1))
    assert value[0, 0, 0] == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize("first_axis", ["x", "y"])
@pytest.mark.parametrize("z_sign", [1, -1])
def test_calibrations_of_smap(first_axis, z_sign):
    _, psf = random_psf()
    powers = psf.polynomials().reshape(5, 8, 7, 4, 4, 4)
    # in MATLAB's axes, with the power of the first axis fastest
    order = (1, 2, 0, 3, 5, 4) if first_axis == "y" else (2, 1, 0, 3, 4, 5)
    stored = powers.transpose(order)
    smap = SplinePsf.from_smap(
        stored.reshape(*stored.shape[:3], 64),
        pixel_nm=100.0,
        step_nm=50.0,
        reference_slice=2.0,
        first_axis=first_axis,
        z_sign=z_sign,
    )
    place = [np.array([420.0]), np.array([480.0])]
    # the third slice is z = 0; the first lies 100 nm before or behind
    np.testing.assert_allclose(
        smap.images(*place, np.array([-70.0 * z_sign]), (9, 8)),
        psf.images(*place, np.array([-70.0]), (9, 8)),
        atol=1e-10,
    )


def test_models_are_tabulated_faithfully():
    rng = np.random.default_rng(0)
    place = [*rng.uniform(1100, 1400, (2, 50)), rng.uniform(-600, 600, 50)]
    images, slopes = PUPIL.derivatives(*place, (25, 25))
    for knots, error in ((1, 1e-2), (2, 1e-3)):
        table = tabulated_psf(
            PUPIL, z_range_nm=(-600.0, 600.0), size_px=35, knots_per_pixel=knots
        )
        ours, tilts = table.derivatives(*place, (25, 25))
        np.testing.assert_allclose(ours, images, atol=error * images.max())
        np.testing.assert_allclose(tilts, slopes, atol=6 * error * slopes.max())


def test_beyond_the_calibrated_field_it_is_dark():
    table = tabulated_psf(PUPIL, z_range_nm=(-200.0, 200.0), size_px=15)
    middle = np.array([1550.0])
    images, slopes = table.derivatives(middle, middle, np.zeros(1), (31, 31))
    reference = PUPIL.images(middle, middle, np.zeros(1), (31, 31))
    inside = np.s_[:, 9:22, 9:22]
    np.testing.assert_allclose(
        images[inside], reference[inside], atol=2e-3 * reference.max()
    )
    assert not images[:, :7].any()
    assert not slopes[..., 24:].any()
    far = table.images(middle + 9000, middle, np.zeros(1), (31, 31))
    assert not far.any()


def test_depths_beyond_the_calibration_are_refused():
    _, psf = random_psf()
    one = np.array([400.0])
    with pytest.raises(ValueError, match="within the calibrated -100 to 150, not 151"):
        psf.images(one, one, np.array([151.0]), (9, 8))


def test_what_is_no_spline_is_refused():
    with pytest.raises(ValueError, match="four slices"):
        measured_psf(np.zeros((3, 9, 9)), pixel_nm=1.0, step_nm=1.0, first_z_nm=0.0)
    options = {"pixel_nm": 100.0, "step_nm": 50.0, "first_z_nm": 0.0}
    with pytest.raises(ValueError, match="four or more"):
        SplinePsf(np.zeros((3, 9, 9)), **options)
    with pytest.raises(ValueError, match="must be positive"):
        SplinePsf(np.zeros((9, 9, 9)), **(options | {"step_nm": 0.0}))
    with pytest.raises(ValueError, match=r"\(z, y, x, 64\)"):
        SplinePsf.from_polynomials(np.zeros((5, 9, 9, 16)), **options)
    noise = np.random.default_rng(0).random((5, 6, 7, 64))
    with pytest.raises(ValueError, match="not those of one cubic spline"):
        SplinePsf.from_polynomials(noise, **options)


def bead_stacks(rng=None):
    """Return four bead stacks, the readings of the stage and the truth of the beads."""
    focus = np.linspace(-800, 800, 33)
    matched = PupilPsf(OPTICS.override(sample_index=1.518))
    x, y = (
        np.array([1520.0, 1571.0, 1610.0, 1493.0]),
        np.array([1580.0, 1533, 1490, 1550]),
    )
    offsets = np.array([30.0, -60.0, 0.0, 85.0])
    ones = np.ones(33)
    stacks = [
        8000
        * matched.images(
            a * ones, b * ones, 0 * ones, (31, 31), focus_nm=focus + offset
        )
        + 12.0
        for a, b, offset in zip(x, y, offsets, strict=True)
    ]
    if rng is not None:
        stacks = [rng.poisson(stack).astype(float) for stack in stacks]
    beads = Beads(x, y, offsets, np.full((4, 33), 8000.0), np.full((4, 33), 12.0))
    return matched, stacks, focus, beads


@pytest.mark.parametrize(("noisy", "error"), [(False, 0.015), (True, 0.06)])
def test_beads_become_a_measured_spot(noisy, error):
    rng = np.random.default_rng(3) if noisy else None
    model, stacks, focus, beads = bead_stacks(rng)
    psf = bead_psf(stacks, focus, beads, pixel_nm=100.0)
    low, high = psf.z_range_nm
    assert low < -650
    assert high > 650
    rng = np.random.default_rng(1)
    place = [*rng.uniform(950, 1150, (2, 30)), rng.uniform(-600, 600, 30)]
    expected = model.images(*place, (21, 21))
    spots = psf.images(*place, (21, 21))
    np.testing.assert_allclose(spots, expected, atol=error * expected.max())
    assert np.corrcoef(spots.ravel(), expected.ravel())[0, 1] > 0.995


def test_the_direction_of_the_stage_does_not_matter_to_a_measured_spot():
    _, stacks, focus, beads = bead_stacks()
    forward = bead_psf(stacks, focus, beads, pixel_nm=100.0)
    backward = bead_psf(
        [stack[::-1] for stack in stacks], focus[::-1], beads, pixel_nm=100.0
    )
    np.testing.assert_allclose(backward.nodes, forward.nodes, atol=1e-12)
    assert backward.z_range_nm == forward.z_range_nm


def test_beads_without_common_planes_are_refused():
    _, stacks, focus, beads = bead_stacks()
    far = replace(beads, focus_nm=np.array([0.0, 2000.0, 0.0, 0.0]))
    with pytest.raises(ValueError, match="columns in common"):
        bead_psf(stacks, focus, far, pixel_nm=100.0)
    with pytest.raises(ValueError, match="equidistant"):
        bead_psf(stacks, focus**3, beads, pixel_nm=100.0)
