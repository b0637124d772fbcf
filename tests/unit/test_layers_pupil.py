"""Images of tables of emitters, against the microscope in NumPy."""

import numpy as np
import pytest
from keras import ops

from zoo.core.random import generator
from zoo.layers.pupil import SURFACES, PhotonNoise
from zoo.models._pupil_imaging import pupil_imaging
from zoo.physics.engineered import mean_bound_nm
from zoo.physics.imaging_arrays import blur_shares, modes_up_to
from zoo.physics.pupil import PupilPsf
from zoo.physics.surfaces import surface
from zoo.physics.zernike import zernike
from zoo.simulate.dense_emitters import DenseEmitters, Emitters

SOURCE = DenseEmitters(crop_px=48, margin_px=8, read_noise_photons=(1.0, 4.0))


@pytest.fixture(scope="module")
def microscope():
    return pupil_imaging(**SOURCE.imaging(), bound_weight=1.0)


def array(tensor) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor))


def test_light_is_that_of_the_pupil_in_numpy(microscope):
    tables, _ = SOURCE.batch(generator(1), 3)
    found = array(microscope.get_layer("pupil")(tables))
    for table, (light, read) in zip(tables, np.moveaxis(found, -1, 1), strict=True):
        rows = table[SURFACES:].astype(float)
        squares = rows[:, 4:7] @ np.square(SOURCE.blurs_nm)
        shares = blur_shares(np.sqrt(squares), SOURCE.blurs_nm)
        np.testing.assert_allclose(shares, rows[:, 4:7], atol=1e-5)
        emitters = Emitters(
            rows[:, 1], rows[:, 2], rows[:, 3], rows[:, 0], np.sqrt(squares)
        )
        expected = SOURCE.light(emitters, size_px=48) + surface(table[0, :7], 48)
        assert np.abs(light - expected).max() < 1e-4 * expected.max()
        np.testing.assert_allclose(read, surface(table[1, :7], 48), rtol=1e-4)


def test_light_reaches_in_from_beyond_the_frame():
    source = SOURCE.override(margin_px=-12)
    tables, _ = source.batch(generator(5), 2)
    tables[:, SURFACES:, 4:7] = [0.0, 1.0, 0.0]
    layer = pupil_imaging(**source.imaging()).get_layer("pupil")
    found = array(layer(tables))[..., 0]
    moved = 30 * source.pixel_size_nm
    for table, light in zip(tables, found, strict=True):
        rows = table[SURFACES:].astype(float)
        middle = np.full(len(rows), source.blurs_nm[1])
        emitters = Emitters(
            rows[:, 1] + moved, rows[:, 2] + moved, rows[:, 3], rows[:, 0], middle
        )
        # the middle of a frame that holds all of them
        wide = SOURCE.light(emitters, size_px=108)[30:78, 30:78]
        expected = wide + surface(table[0, :7], 48)
        assert np.abs(light - expected).max() < 2e-3 * expected.max()


def test_the_bound_is_that_of_numpy(microscope):
    layer = microscope.get_layer("pupil")
    psf = PupilPsf(SOURCE.optics.override(blur_nm=SOURCE.blurs_nm[1]))
    expected = mean_bound_nm(
        psf,
        np.linspace(*SOURCE.z_nm, 13),
        photons=10000.0,
        background_photons=60.0,
        window_px=48,
    )
    # a prior of 100 nm makes it smaller by 1 %
    assert array(layer.mean_bound_nm()) == pytest.approx(expected, rel=0.02)


def test_powers_of_the_bound_weigh_the_worst_depth(microscope):
    layer = microscope.get_layer("pupil")
    of_depths = []
    depths = layer.depths_um
    try:
        for depth in depths:
            layer.depths_um = np.array([depth])
            of_depths.append(float(array(layer.mean_bound_nm())))
    finally:
        layer.depths_um = depths
    of_depths = np.array(of_depths)
    for power in (1.0, 8.0, 200.0):
        expected = np.mean((of_depths / 10) ** power) ** (1 / power) * 10
        assert array(layer.mean_bound_nm(power)) == pytest.approx(expected, rel=1e-4)
    assert array(layer.mean_bound_nm(200.0)) > 0.98 * of_depths.max()


def test_frames_fill_the_range_that_a_network_takes(microscope):
    tables, _ = SOURCE.batch(generator(2), 2)
    frames = array(microscope(tables))
    assert frames.shape == (2, 48, 48, 1)
    np.testing.assert_allclose(frames.min(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(frames.max(axis=(1, 2)), 1, atol=1e-6)
    assert not np.array_equal(frames, array(microscope(tables)))


def test_noise_is_that_of_photons_and_of_reading():
    light = np.zeros((1, 200, 200, 2), np.float32)
    light[..., 0], light[..., 1] = 100.0, 5.0
    # one dark and one bright pixel fix the scale
    light[0, 0, 0], light[0, 0, 1] = (0.0, 0.0), (1e6, 0.0)
    frame = array(PhotonNoise()(light))[0, 1:, :, 0]
    scale = 1e6
    assert frame.mean() * scale == pytest.approx(100, rel=0.01)
    assert frame.std() * scale == pytest.approx((100 + 25) ** 0.5, rel=0.02)


def test_a_mask_starts_from_zero_and_is_a_sum_of_modes():
    model = pupil_imaging(**SOURCE.imaging(), start="clear", degree=4, step_rad=2.0)
    layer = model.get_layer("pupil")
    assert not array(layer.mask_rad()).any()
    modes = modes_up_to(4)
    assert len(modes) == 12
    coefficients = np.zeros(12, np.float32)
    coefficients[modes.index((2, 2))] = 0.5
    layer.mask.assign(coefficients)
    expected = zernike(layer.arrays["rho"], layer.arrays["phi"], n=2, m=2)
    np.testing.assert_allclose(array(layer.mask_rad()), expected, atol=1e-5)
    # the microscope without its own aberrations
    clear = SOURCE.optics.override(zernikes_rad=((2, 2, 1.0),))
    tables, _ = SOURCE.batch(generator(3), 1)
    other = SOURCE.override(optics=clear)
    same = array(pupil_imaging(**other.imaging()).get_layer("pupil")(tables))
    assert np.abs(array(layer(tables)) - same).max() < 1e-3 * same.max()


def test_a_mirrored_mask_learns_modes_that_are_alike_on_both_sides_alone():
    tables, _ = SOURCE.batch(generator(4), 1)
    options = {**SOURCE.imaging(), "start": "clear", "degree": 4, "bound_weight": 1.0}
    for mirrored in (False, True):
        model = pupil_imaging(**options, mirrored=mirrored)
        layer = model.get_layer("pupil")
        # off the middle of all modes, where the bound has no slope along most
        layer.mask.assign(np.linspace(0.02, 0.05, 12, dtype=np.float32))
        layer.designing = True
        model.compile("sgd", loss=None)
        before = array(layer.mask)
        model.train_on_batch(tables)
        learnt = array(layer.mask) != before
        expected = [n % 2 == 0 and m >= 0 for n, m in modes_up_to(4)]
        assert learnt.tolist() == (expected if mirrored else [True] * 12)
