"""What frames say about optics that a fit takes for granted."""

import numpy as np
import pytest

from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.physics.blurred_spots import blurred_spots
from zoo.physics.crowd_fit_3d import fit_crowds_3d
from zoo.physics.crowd_frame_3d import DepthSettings
from zoo.physics.engineered import PUPILS
from zoo.physics.optics_score import ENOUGH, MODES, Evidence, OpticsScore, aberrated
from zoo.physics.pupil import PupilPsf

OPTICS = PUPILS["tetrapod"]
PIXEL_NM = OPTICS.pixel_nm
Z_NM = (1000.0, 3000.0)
BLUR_NM = 110.0
SPOTS = blurred_spots(
    OPTICS, z_range_nm=Z_NM, blurs_nm=(0.75 * PIXEL_NM, 1.25 * PIXEL_NM)
)
SIDE, FRAMES = 72, 6
WRONG = np.zeros(len(MODES))
WRONG[[MODES.index((2, 2)), MODES.index((3, 1)), MODES.index((4, 0))]] = 0.1, -0.15, 0.1


def movie(optics) -> tuple[np.ndarray, Localizations]:
    """Return photons of four emitters in each frame, and the truth."""
    rng = generator(11)
    psf = PupilPsf(optics.override(blur_nm=BLUR_NM), samples=96)
    images, tables = [], []
    for number in range(1, FRAMES + 1):
        corner = np.array([(20, 20), (52, 20), (20, 52), (52, 52)], float)
        x, y = ((corner + rng.uniform(-4, 4, corner.shape)) * PIXEL_NM).T
        truth = Localizations(
            x_nm=x,
            y_nm=y,
            z_nm=rng.uniform(1200, 2800, 4),
            photons=np.full(4, 30000.0),
            frame=np.full(4, number),
        )
        spots = psf.images(truth.x_nm, truth.y_nm, truth.z_nm, (SIDE, SIDE))
        light = np.tensordot(truth.photons, spots, axes=1) + 40.0
        images.append(rng.poisson(light))
        tables.append(truth)
    return np.array(images, float), Localizations.concatenate(tables)


def evidence(optics, *, frames: int = FRAMES, before: Evidence | None = None):
    """Return what frames behind `optics` say when they are fitted with others."""
    images, truth = movie(optics)
    score = OpticsScore(OPTICS.override(blur_nm=BLUR_NM), before)
    fit_crowds_3d(
        SPOTS,
        images[:frames],
        settings=DepthSettings(Z_NM, fewest_photons=4000.0),
        starts=truth.select(truth.frame <= frames),
        score=score,
    )
    return score.evidence


def test_right_optics_lack_nothing():
    found = evidence(OPTICS).aberrations()
    assert found.rms_rad < 0.06
    assert found.chi_square < 3
    assert 0.005 < found.uncertainties_rad.max() < 0.05


def test_aberrations_are_told_with_their_size():
    other = aberrated(OPTICS, WRONG)
    found = evidence(other).aberrations()
    assert found.rms_rad == pytest.approx(np.linalg.norm(WRONG), rel=0.3)
    assert found.chi_square > 10
    assert np.linalg.norm(found.coefficients_rad - WRONG) < 0.5 * np.linalg.norm(WRONG)


def test_what_frames_say_adds_up():
    other = aberrated(OPTICS, WRONG)
    whole = evidence(other)
    assert whole.emitters == 4 * FRAMES
    again = evidence(other, before=whole)
    assert again.emitters == 2 * whole.emitters
    prior = Evidence.none()
    np.testing.assert_allclose(
        again.fisher - whole.fisher, whole.fisher - prior.fisher, rtol=1e-6
    )
    one, two = (e.aberrations() for e in (whole, again))
    assert two.uncertainties_rad.max() < one.uncertainties_rad.max()


def test_enough_is_enough():
    full = Evidence.none()._replace(emitters=ENOUGH)
    assert evidence(OPTICS, frames=1, before=full) is full
    assert Evidence.none().aberrations().rms_rad == 0


def test_aberrations_add_to_those_of_the_optics():
    other = aberrated(OPTICS, WRONG)
    before = {(n, m): c for n, m, c in OPTICS.zernikes_rad}
    after = {(n, m): c for n, m, c in other.zernikes_rad}
    assert after[2, 2] == pytest.approx(before[2, 2] + 0.1)
    assert after[3, 1] == pytest.approx(-0.15)
    assert after[6, 0] == before[6, 0]
