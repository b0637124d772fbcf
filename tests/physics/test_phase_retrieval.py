"""Retrieving known pupils from simulated beads."""

import numpy as np
import pytest

from zoo.physics.camera import Scmos
from zoo.physics.fisher import pixel_noise
from zoo.physics.phase_retrieval import DEFAULT_MODES, retrieve_pupil
from zoo.physics.pupil import PupilOptics, PupilPsf

OPTICS = PupilOptics(na=1.45, wavelength_nm=670.0, pixel_nm=100.0)
MATCHED = OPTICS.override(sample_index=1.518)
SIZE = 25


def microscope(seed, rms_rad, optics, blur_nm=75.0, modes=DEFAULT_MODES):
    """Return unknown optics with aberrations of a given size, and the coefficients."""
    values = np.random.default_rng(seed).normal(size=len(modes))
    values *= rms_rad / np.linalg.norm(values)
    terms = tuple((n, m, float(v)) for (n, m), v in zip(modes, values, strict=True))
    return optics.override(zernikes_rad=terms, blur_nm=blur_nm), values


def simulate(optics, focus_nm, rng, *, beads=1, photons=5000.0, camera=None):
    psf = PupilPsf(optics, samples=96)
    planes, stacks = len(focus_nm), []
    for _ in range(beads):
        x, y = 50 * SIZE + rng.uniform(-120, 120, 2)
        expected = photons * psf.images(
            np.full(planes, x),
            np.full(planes, y),
            np.zeros(planes),
            (SIZE, SIZE),
            focus_nm=focus_nm + rng.uniform(-200, 200),
        )
        expected = expected + 20.0
        if camera is None:
            stacks.append(rng.poisson(expected).astype(float))
        else:
            stacks.append(camera.to_photons(camera.expose(expected, rng)))
    return stacks


def similarity(first, second):
    """Return the correlation of two spots over the depth that matters."""
    depths = np.linspace(-800, 800, 17)
    middle = np.full(17, 50.0 * SIZE)
    images = [
        PupilPsf(optics).images(middle, middle, depths, (SIZE, SIZE)).ravel()
        for optics in (first, second)
    ]
    return np.corrcoef(*images)[0, 1]


@pytest.mark.parametrize(("optics", "seed"), [(MATCHED, 0), (OPTICS, 1)])
def test_one_bead_of_5000_photons_is_enough(optics, seed):
    truth, values = microscope(seed, 0.8, optics)
    focus = np.linspace(-1000, 1000, 31)
    stacks = simulate(truth, focus, np.random.default_rng(seed + 50))
    retrieval = retrieve_pupil(stacks, focus, optics=optics)
    errors = retrieval.coefficients_rad - values
    assert np.linalg.norm(errors) < 0.05
    assert similarity(retrieval.optics, truth) > 0.99
    assert retrieval.optics.blur_nm == pytest.approx(75.0, abs=5.0)
    assert retrieval.converged
    assert retrieval.chi_square[0] == pytest.approx(1.0, abs=0.05)
    # stated uncertainties cover the errors: a chi square of 17 modes
    assert np.sum((errors / retrieval.zernike_sd_rad) ** 2) < 45
    assert 0.01 < np.linalg.norm(retrieval.zernike_sd_rad) < 0.06
    assert retrieval.beads.photons.mean() == pytest.approx(5000, rel=0.02)
    assert retrieval.beads.background_photons.mean() == pytest.approx(20, abs=0.5)
    assert retrieval.models[0].shape == retrieval.residuals[0].shape == (31, SIZE, SIZE)
    assert np.mean(retrieval.residuals[0] ** 2) == pytest.approx(1.0, abs=0.05)


def test_several_beads_and_a_noisy_camera():
    camera = Scmos(read_noise_e=2.0, hot_fraction=0.01)
    truth, values = microscope(3, 0.6, OPTICS)
    focus = np.linspace(-800, 800, 17)
    stacks = simulate(
        truth, focus, np.random.default_rng(9), beads=3, photons=3000.0, camera=camera
    )
    retrieval = retrieve_pupil(
        stacks,
        focus,
        optics=OPTICS,
        noise=pixel_noise(camera, (SIZE, SIZE)),
        search=False,
        per_plane=False,
    )
    assert np.linalg.norm(retrieval.coefficients_rad - values) < 0.06
    np.testing.assert_allclose(retrieval.chi_square, 1.0, atol=0.06)
    assert retrieval.beads.x_nm.shape == (3,)
    assert np.ptp(retrieval.beads.photons, axis=1).max() == 0


def test_a_known_mask_is_kept_and_bead_size_taken_off():
    designed = MATCHED.override(zernikes_rad=((2, 2, 2.0), (4, 2, -1.0)))
    # beads of 200 nm widen the spot by 200 / sqrt(20) nm
    actual = designed.override(
        zernikes_rad=((2, 2, 2.0), (4, 2, -1.0), (3, 1, 0.3), (2, -2, -0.2)),
        blur_nm=float(np.hypot(60.0, 200 / 20**0.5)),
    )
    focus = np.linspace(-1000, 1000, 21)
    stacks = simulate(actual, focus, np.random.default_rng(4), photons=20000.0)
    retrieval = retrieve_pupil(
        stacks,
        focus,
        optics=designed,
        modes=((2, -2), (2, 2), (3, 1), (3, -1), (4, 0)),
        bead_diameter_nm=200.0,
        search=False,
    )
    terms = {(n, m): value for n, m, value in retrieval.optics.zernikes_rad}
    assert terms[4, 2] == -1.0  # not among the fitted modes
    expected = (-0.2, 2.0, 0.3, 0.0, 0.0)
    np.testing.assert_allclose(retrieval.coefficients_rad, expected, atol=0.03)
    assert retrieval.optics.blur_nm == pytest.approx(60.0, abs=3.0)


def test_the_zero_of_the_stage_does_not_matter():
    truth, _ = microscope(5, 0.4, MATCHED)
    focus = np.linspace(-600, 600, 13)
    stacks = simulate(truth, focus, np.random.default_rng(6), photons=20000.0)
    options = {"optics": MATCHED, "search": False}
    near, far = (
        retrieve_pupil(stacks, focus + zero, **options) for zero in (0.0, 52_000.0)
    )
    np.testing.assert_allclose(far.coefficients_rad, near.coefficients_rad, atol=2e-3)
    shift = far.beads.focus_nm - near.beads.focus_nm
    np.testing.assert_allclose(shift, -52_000.0, atol=1.0)


def test_a_reversed_stack_reverses_even_modes():
    truth, _ = microscope(7, 0.5, MATCHED, modes=((2, 2), (4, 0), (3, 1)))
    focus = np.linspace(-800, 800, 17)
    stacks = simulate(truth, focus, np.random.default_rng(8), photons=20000.0)
    options = {"optics": MATCHED, "modes": ((2, 2), (4, 0), (3, 1))}
    right = retrieve_pupil(stacks, focus, **options)
    wrong = retrieve_pupil(stacks, -focus, **options)
    np.testing.assert_allclose(wrong.chi_square, right.chi_square, atol=1e-3)
    signs = np.array([-1, -1, 1])
    np.testing.assert_allclose(
        wrong.coefficients_rad, signs * right.coefficients_rad, atol=0.02
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 28))
def test_many_microscopes(seed):
    optics = OPTICS if seed % 2 else MATCHED
    rms_rad = 0.8 if seed < 26 else 1.5
    truth, values = microscope(seed, rms_rad, optics)
    focus = np.linspace(-1000, 1000, 41)
    stacks = simulate(truth, focus, np.random.default_rng(seed))
    retrieval = retrieve_pupil(stacks, focus, optics=optics)
    assert np.linalg.norm(retrieval.coefficients_rad - values) < 0.05
    assert similarity(retrieval.optics, truth) > 0.99


@pytest.mark.parametrize(
    ("stacks", "focus", "message"),
    [
        ([], np.zeros(3), "at least one bead"),
        ([np.ones((1, 9, 9))], np.zeros(1), "at least three planes"),
        ([np.ones((4, 9, 9))], np.zeros(5), "4 planes and 5 readings"),
        ([np.ones((4, 9, 9)), np.ones((4, 7, 7))], np.zeros(4), "share one shape"),
        ([np.ones((9, 9))], np.zeros(9), "share one shape"),
        ([np.full((4, 9, 9), np.nan)], np.zeros(4), "finite"),
    ],
)
def test_bad_stacks_are_refused(stacks, focus, message):
    with pytest.raises(ValueError, match=message):
        retrieve_pupil(stacks, focus, optics=MATCHED)
