"""Tables of dense emitters: rows, targets, frames, and what follows from the optics."""

import numpy as np
import pytest
from tifffile import imwrite

from zoo.core.errors import BadInput
from zoo.core.random import generator
from zoo.physics.engineered import PUPILS
from zoo.physics.imaging_arrays import modes_up_to, zernikes_of
from zoo.physics.masks import PhaseMap
from zoo.recipes.deep_storm3d import DEEP_STORM3D_TETRAPOD
from zoo.simulate.dense_emitters import DenseEmitters, Emitters
from zoo.simulate.optics import SplineOptics

SOURCE = DenseEmitters()


def test_targets_are_the_emitters_in_the_core():
    tables, targets = SOURCE.batch(generator(1), 50)
    photons, x, y, z = np.moveaxis(tables[:, 2:, :4], -1, 0)
    margin = SOURCE.margin_px * SOURCE.pixel_size_nm
    edge = SOURCE.crop_px * SOURCE.pixel_size_nm
    core = (photons > 0) & (np.minimum(x, y) >= margin)
    core &= np.maximum(x, y) < edge - margin
    assert np.array_equal(targets[..., 3] == 1, core)
    fractions = targets[core][:, :3]
    size = edge - 2 * margin
    expected = [z[core] / 4000, (y[core] - margin) / size, (x[core] - margin) / size]
    np.testing.assert_allclose(fractions, np.stack(expected, axis=1), atol=1e-5)


def test_emitters_beyond_the_frame_shine_and_are_not_to_be_found():
    source = SOURCE.override(crop_px=48, margin_px=-12)
    assert source.training_options() == {"margin": 0}
    tables, targets = source.batch(generator(1), 200)
    there = tables[:, 2:, 0] > 0
    place = tables[:, 2:, 1:3] / source.pixel_size_nm
    assert place[there].min() == pytest.approx(-12, abs=0.5)
    assert place[there].max() == pytest.approx(60, abs=0.5)
    inside = there & np.all((place >= 0) & (place < 48), axis=-1)
    assert np.array_equal(targets[..., 3] == 1, inside)
    expected = place[inside][:, ::-1] / 48  # x and y become y and x
    np.testing.assert_allclose(targets[inside][:, 1:3], expected, atol=1e-5)
    # as dense beyond as within
    share = inside.sum() / there.sum()
    assert share == pytest.approx((48 / 72) ** 2, abs=0.02)
    with pytest.raises(ValueError, match="margin_px"):
        SOURCE.override(margin_px=-31)


def test_voxels_that_are_labelled_lie_around_their_emitters():
    # the voxel that holds an emitter, in the middle of which it is reported: no bias
    _, targets = SOURCE.batch(generator(2), 2000)
    z, y, x, there = np.moveaxis(targets, -1, 0)
    fine_nm = SOURCE.pixel_size_nm / 4
    voxels = 4 * (SOURCE.crop_px - 2 * SOURCE.margin_px)
    for fraction, count, edge_nm, most in (
        (x, voxels, fine_nm, 1.0),
        (y, voxels, fine_nm, 1.0),
        (z, SOURCE.planes, SOURCE.plane_nm, 2.0),
    ):
        place = fraction[there == 1] * count
        error = (np.floor(place) + 0.5 - place) * edge_nm
        assert abs(error.mean()) < most
        assert np.abs(error).max() <= edge_nm / 2 + 1e-3


def test_frames_have_the_density_and_a_share_is_empty():
    tables, _ = SOURCE.batch(generator(3), 3000)
    numbers = (tables[:, 2:, 0] > 0).sum(axis=1)
    area = (SOURCE.crop_px * SOURCE.pixel_size_nm / 1000) ** 2
    low, high = SOURCE.density_per_um2
    assert numbers.max() <= SOURCE.emitters
    assert numbers.max() == pytest.approx(high * area, rel=0.03)
    assert (numbers == 0).mean() == pytest.approx(SOURCE.empty_share, abs=0.01)
    mean = (1 - SOURCE.empty_share) * (low + high) / 2 * area
    assert numbers.mean() == pytest.approx(mean, rel=0.03)
    # fewer emitters, tables of one size
    few = SOURCE.override(density_per_um2=(0.01, 0.02))
    assert few.batch(generator(3), 1)[0].shape == tables[:1].shape


def test_recordings_are_frames_of_photons():
    film = SOURCE.frames(generator(4), np.array([0, 3]), size_px=64, border_px=20)
    assert film.counts.dtype == np.uint16
    assert 20 < film.counts[0].mean() < 150
    assert film.counts[1].max() > film.counts[0].max()
    truth = film.truth
    assert truth.frame.tolist() == [2, 2, 2]
    assert truth.x_nm.min() >= 20 * 110
    assert truth.y_nm.max() <= 44 * 110


def test_most_of_the_light_of_a_tetrapod_is_near():
    middle = np.full(3, 48 * 110.0)
    emitters = Emitters(
        middle, middle, np.array([500.0, 2000.0, 3500.0]), np.ones(3), np.full(3, 95.0)
    )
    light = SOURCE.light(emitters, size_px=96)
    assert 0.9 * 3 < light.sum() < 3
    assert light[24:72, 24:72].sum() > 0.75 * 3


def test_dim_emitters_shine_and_are_not_to_be_found():
    blinking = SOURCE.override(gamma=(3.0, 3000.0), photons=(6000.0, 60000.0))
    tables, targets = blinking.batch(generator(5), 300)
    photons = tables[:, 2:, 0]
    assert (targets[..., 3][photons < 6000] == 0).all()
    shown = photons[photons > 0]
    assert np.mean(shown > 6000) == pytest.approx(0.677, abs=0.02)
    assert shown.mean() == pytest.approx(9000, rel=0.03)


def test_another_range_gives_other_planes():
    recipe = DEEP_STORM3D_TETRAPOD.override(source__z_nm=(0.0, 2000.0)).settled()
    task = recipe.contract.task
    assert (task.z_first_nm, task.z_step_nm) == (12.5, 25.0)
    assert recipe.contract.grid.planes == recipe.options["planes"] == 80
    assert recipe.test_set.z_nm == (0.0, 2000.0)


def test_a_mask_can_be_an_image(tmp_path):
    v, u = np.mgrid[-1:1:64j, -1:1:64j]
    mask = np.where(np.hypot(u, v) < 1, 2.0 * (u**2 - v**2), 0).astype(np.float32)
    np.save(tmp_path / "mask.npy", mask)
    imwrite(tmp_path / "mask.tif", mask)
    for name in ("mask.npy", "mask.tif"):
        source = SOURCE.override(optics=str(tmp_path / name))
        assert isinstance(source.optics.mask, PhaseMap)
        np.testing.assert_allclose(source.optics.mask.array(), mask, atol=2e-3)
        # the run needs the file no more
        assert DenseEmitters.model_validate_json(source.model_dump_json()) == source
    np.save(tmp_path / "flat.npy", np.zeros((64, 32)))
    for name, rule in (("flat.npy", "square"), ("none.npy", "none.npy")):
        with pytest.raises((BadInput, ValueError), match=rule):
            SOURCE.override(optics=str(tmp_path / name))


def test_a_mask_beyond_a_turn_is_wrapped_and_told(caplog):
    mask = np.linspace(0, 10, 32 * 32).reshape(32, 32)
    stored = PhaseMap.of(mask)
    assert "wrapped" in caplog.text
    assert np.abs(stored.array()).max() <= np.pi + 2e-3
    np.testing.assert_allclose(np.cos(stored.array()), np.cos(mask), atol=5e-3)
    inner = PhaseMap.of(np.zeros((200, 200)), pupil_px=90.6)
    assert inner.array().shape == (91, 91)
    with pytest.raises(BadInput, match="pupil must be"):
        PhaseMap.of(np.zeros((64, 64)), pupil_px=70)


def test_a_designed_mask_takes_the_place_of_aberrations():
    coefficients = np.zeros(len(modes_up_to(4)))
    coefficients[modes_up_to(4).index((2, 2))] = 1.5
    source = SOURCE.with_mask(coefficients)
    assert (2, 2, 1.5) in source.optics.zernikes_rad
    assert source.optics.focus_nm == SOURCE.optics.focus_nm
    with pytest.raises(ValueError, match="radial degree"):
        zernikes_of(coefficients[:-1])


def test_a_spline_is_no_microscope_that_designs():
    nodes = np.zeros((4, 9, 9), np.float32)
    nodes[:, 4, 4] = 1.0
    from zoo.physics.spline_psf import SplinePsf

    psf = SplinePsf(nodes, pixel_nm=110.0, step_nm=100.0, first_z_nm=0.0)
    source = SOURCE.override(optics=SplineOptics.of(psf))
    with pytest.raises(BadInput, match="pupil"):
        source.imaging()


@pytest.mark.parametrize(
    "changes",
    [
        {"photons": (0.0, 10.0)},
        {"z_nm": (10.0, 10.0)},
        {"margin_px": 48},
        {"blur_px": (2.0, 1.0)},
    ],
)
def test_impossible_conditions_are_refused(changes):
    with pytest.raises(ValueError, match="must"):
        SOURCE.override(**changes)


def test_the_tetrapod_is_the_preset():
    assert SOURCE.optics == PUPILS["tetrapod"]
