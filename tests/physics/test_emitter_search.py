"""`zoo.physics.emitter_search`: emitters in frames."""

import numpy as np
import pytest

from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.metrics.localizations import score
from zoo.physics.emitter_model import known_model
from zoo.physics.emitter_search import EmitterSearch
from zoo.physics.emitters_in_frames import background_level, corners, cut
from zoo.physics.engineered import PUPILS
from zoo.physics.pupil import PupilPsf
from zoo.physics.spots import draw_emitters

OPTICS = PUPILS["astigmatic"]
PIXEL = OPTICS.pixel_nm
EDGE = 16
FIELD = (56, 64)


@pytest.fixture(scope="module")
def model():
    return known_model(OPTICS, EDGE, (-500.0, 500.0))


def _frames(tables, rng, *, background=8.0):
    psf = PupilPsf(OPTICS)
    drawn = [draw_emitters(psf, table, FIELD, window_px=41) for table in tables]
    return rng.poisson(np.maximum(drawn, 0) + background).astype(np.float32)


def _table(x_px, y_px, z_nm, photons):
    return Localizations(
        x_nm=np.array(x_px) * PIXEL,
        y_nm=np.array(y_px) * PIXEL,
        z_nm=np.array(z_nm, float),
        photons=np.array(photons, float),
    )


def test_emitters_of_all_depths_are_found_where_they_are(model):
    rng = generator(20)
    truth = [
        _table([12.3, 40.8, 50.1], [14.6, 20.2, 41.9], z, [3000, 2000, 5000])
        for z in ([-450, 0, 300], [100, -300, 450], [450, 200, -100])
    ]
    found = EmitterSearch(model, size_px=EDGE).find(_frames(truth, rng))
    assert found.frame.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    expected = np.concatenate(
        [np.stack([t.x_nm, t.y_nm, t.z_nm], axis=1)[np.argsort(t.x_nm)] for t in truth]
    )
    order = np.lexsort([found.x_px, found.frame])
    off = found.values[order, :3] - expected
    assert np.all(np.abs(off[:, :2]) < 60)
    assert np.all(np.abs(off[:, 2]) < 150)


def test_noise_alone_holds_no_emitters(model):
    frames = generator(21).poisson(20.0, (20, *FIELD))
    for known in (model, None):
        assert len(EmitterSearch(known, size_px=EDGE).find(frames)) == 0


def test_a_dim_neighbour_is_found_beside_a_bright_one(model):
    rng = generator(22)
    pair = _table([28.2, 34.9], [27.5, 31.1], [-200, 250], [6000, 3000])
    found = EmitterSearch(model, size_px=EDGE).find(_frames([pair] * 5, rng))
    assert np.bincount(found.frame).tolist() == [2] * 5
    photons = np.sort(found.values[:, 3].reshape(5, 2), axis=1)
    np.testing.assert_allclose(photons.mean(axis=0), [3000, 6000], rtol=0.15)


def test_others_are_the_light_that_is_not_ones_own(model):
    rng = generator(23)
    pair = _table([28.2, 34.9], [27.5, 31.1], [-200, 250], [6000, 3000])
    search = EmitterSearch(model, size_px=EDGE)
    frames = _frames([pair], rng)
    found = search.find(frames)
    shape = (EDGE, EDGE)
    corner = corners(found.x_px, found.y_px, shape)
    others = search.others(found, corner)
    first = int(np.argmax(found.values[:, 3]))
    second = pair.select(np.array([1]))
    dim = draw_emitters(PupilPsf(OPTICS), second, FIELD, window_px=41)
    expected = cut(dim[None], np.zeros(1, int), corner[first : first + 1], shape)[0]
    assert abs(others[first].sum() / expected.sum() - 1) < 0.15
    assert np.corrcoef(others[first].ravel(), expected.ravel())[0, 1] > 0.97


def test_what_is_too_dim_for_the_package_is_no_emitter(model):
    rng = generator(24)
    pair = _table([14.2, 44.9], [27.5, 29.1], [0, 50], [6000, 900])
    frames = _frames([pair], rng)
    assert len(EmitterSearch(model, size_px=EDGE).find(frames)) == 2
    bright = EmitterSearch(model, size_px=EDGE, least_photons=1500.0)
    assert len(bright.find(frames)) == 1
    strict = EmitterSearch(model, size_px=EDGE, threshold=60.0)
    assert len(strict.find(frames)) == 1


def test_an_emitter_whose_spot_leaves_the_frame_is_found(model):
    rng = generator(25)
    table = _table([2.2], [30.4], [100], [5000])
    found = EmitterSearch(model, size_px=EDGE).find(_frames([table], rng))
    assert len(found) == 1
    assert abs(found.x_px[0] - 2.2) < 0.5
    assert abs(found.y_px[0] - 30.4) < 0.5


def test_without_optics_spots_of_any_kind_are_found():
    rng = generator(26)
    table = _table([12.3, 40.8], [14.6, 40.2], [0, 0], [3000, 2000])
    found = EmitterSearch(None, size_px=EDGE).find(_frames([table] * 3, rng))
    assert found.values is None
    assert found.frame.tolist() == [0, 0, 1, 1, 2, 2]
    places = np.stack([found.x_px, found.y_px], axis=1).reshape(3, 2, 2)
    assert np.abs(places - [[12.3, 14.6], [40.8, 40.2]]).max() < 1.5
    with pytest.raises(ValueError, match="point-spread function only"):
        EmitterSearch(None, size_px=EDGE).others(found, np.zeros((6, 2), int))


def test_the_background_may_change_over_the_frame():
    ramp = np.linspace(5, 50, 64) * np.ones((2, 64, 1))
    frames = generator(27).poisson(ramp).astype(float)
    assert np.abs(background_level(frames) - ramp)[:, 8:-8, 8:-8].max() < 8


def test_regions_that_leave_the_frame_are_filled_with_nothing():
    frames = np.arange(2 * 6 * 7.0).reshape(2, 6, 7)
    region = cut(frames, np.array([1]), np.array([[-1, 5]]), (3, 3))[0]
    assert np.isnan(region[0]).all()
    assert np.isnan(region[:, 2]).all()
    np.testing.assert_array_equal(region[1:, :2], frames[1, :2, 5:])


def test_a_threshold_is_positive():
    with pytest.raises(ValueError, match="threshold must be positive, not 0"):
        EmitterSearch(None, size_px=EDGE, threshold=0.0)


@pytest.mark.parametrize(
    ("density_per_um2", "recall", "precision"), [(0.02, 0.95, 0.95), (0.2, 0.75, 0.9)]
)
def test_full_fields_are_found_at_both_densities(
    model, density_per_um2, recall, precision
):
    rng = generator(28)
    field_nm = np.array(FIELD) * PIXEL
    tables = []
    for number in range(1, 7):
        area_um2 = np.prod((field_nm + 3000) / 1000)
        count = rng.poisson(density_per_um2 * area_um2)
        tables.append(
            Localizations(
                x_nm=rng.uniform(-1500, field_nm[1] + 1500, count),
                y_nm=rng.uniform(-1500, field_nm[0] + 1500, count),
                z_nm=rng.uniform(-500, 500, count),
                photons=rng.uniform(2000, 8000, count),
                frame=np.full(count, number),
            )
        )
    search = EmitterSearch(model, size_px=EDGE, least_photons=800.0)
    found = search.find(_frames(tables, rng))
    table = Localizations(
        x_nm=found.values[:, 0],
        y_nm=found.values[:, 1],
        z_nm=found.values[:, 2],
        frame=found.frame + 1,
    )
    scores = score(
        Localizations.concatenate(tables),
        table,
        field_nm=tuple(field_nm),
        border_nm=EDGE / 2 * PIXEL,
    )
    assert scores["recall"] > recall
    assert scores["precision"] > precision
