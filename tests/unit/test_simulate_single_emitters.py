"""Regions of single emitters: physics, bounds, optics from files."""

import json

import numpy as np
import pytest

from zoo import catalog
from zoo.core.errors import BadInput
from zoo.core.random import generator
from zoo.physics.engineered import PUPILS
from zoo.physics.fisher import emitter_bound
from zoo.physics.mle import fit_emitters
from zoo.physics.pupil import PupilPsf
from zoo.physics.tabulated import tabulated_psf
from zoo.simulate.optics import SplineOptics, psf_of
from zoo.simulate.single_emitters import (
    COLUMNS,
    SingleEmitters,
    microscope,
    nominal_psf,
)

PLAIN = {
    "columns": COLUMNS,
    "factors": (1.0,) * 5,
    "aberration_rad": (0.0, 0.0),
    "na_spread": 0.0,
    "index_spread": 0.0,
    "blur_spread": 0.0,
    "read_noise_e": (0.0, 0.0),
    "neighbour_share": 0.0,
    "microscopes": 1,
}
"""A source of which everything is known."""


def fits(source, regions):
    """Return estimates of the nominal optics in the source's coordinates, (n, 5)."""
    psf = tabulated_psf(
        PupilPsf(source.optics, dtype=np.float32), z_range_nm=(-720, 720), size_px=40
    )
    found = fit_emitters(psf, regions[..., 0], z_range_nm=(-720, 720))
    columns = [
        found.x_nm - source.middle_nm,
        found.y_nm - source.middle_nm,
        found.z_nm,
        found.photons,
        found.background_photons,
    ]
    return np.stack(columns, axis=1)


def test_a_fit_finds_the_targets_as_well_as_their_bounds_say():
    source = SingleEmitters(**PLAIN)
    regions, targets = source.batch(generator(1), 192)
    ratios = (fits(source, regions) - targets[:, :5]) / targets[:, 5:]
    # efficient, and every coordinate where and with the sign that the target says
    spread = np.sqrt(np.mean(ratios**2, axis=0))
    np.testing.assert_allclose(spread, 1.0, atol=0.17)
    assert np.abs(ratios.mean(axis=0)).max() < 0.3


def test_what_differs_between_regions_spoils_that_fit():
    known = SingleEmitters(**PLAIN)
    strange = known.override(aberration_rad=(0.3, 0.3))
    for source, low, high in ((known, 0.7, 1.3), (strange, 1.7, 9.0)):
        regions, targets = source.batch(generator(2), 64)
        ratio = (fits(source, regions)[:, 2] - targets[:, 2]) / targets[:, 7]
        assert low < np.sqrt(np.mean(ratio**2)) < high


def test_the_table_of_bounds_is_exact_enough():
    source = SingleEmitters()
    emitters = source.emitters(generator(3), 60)
    noise_e = np.full(60, 1.2)
    exact = emitter_bound(
        nominal_psf(source),
        emitters.x_nm + source.middle_nm,
        emitters.y_nm + source.middle_nm,
        emitters.z_nm,
        photons=emitters.photons,
        background_photons=emitters.background_photons + noise_e**2,
        shape=(32, 32),
    )
    found = source.bounds(emitters, noise_e)
    for values, name in zip(found, COLUMNS, strict=True):
        np.testing.assert_allclose(values, getattr(exact, name), rtol=0.03)


def test_targets_are_in_units_of_their_factors():
    plain = SingleEmitters(**PLAIN)
    scaled = plain.override(
        columns=("z_nm", "x_nm"), factors=(600.0, 10.0), microscopes=1
    )
    _, whole = plain.batch(generator(4), 4)
    _, part = scaled.batch(generator(4), 4)
    expected = whole[:, [2, 0, 7, 5]] / [600, 10, 600, 10]
    np.testing.assert_allclose(part, expected, rtol=1e-5)


def test_emitters_fill_the_ranges_and_little_more():
    source = SingleEmitters()
    emitters = source.emitters(generator(5), 4000)
    low, high = source.drawn_nm
    assert (low, high) == pytest.approx((-648.0, 648.0))
    assert low <= emitters.z_nm.min() < -600
    assert 600 < emitters.z_nm.max() <= high
    assert 200 < np.abs(emitters.x_nm).max() <= 216
    assert emitters.photons.min() < 1050
    assert emitters.photons.max() > 9500
    # uniform in the logarithm
    assert np.median(emitters.photons) == pytest.approx(10**3.5, rel=0.1)


def test_neighbours_shine_into_the_border():
    alone = SingleEmitters(**PLAIN)
    beside = alone.override(neighbour_share=1.0, neighbour_px=(14.0, 15.0))
    border = np.ones((32, 32), bool)
    border[3:-3, 3:-3] = False
    light = [
        source.batch(generator(6), 64)[0][..., 0][:, border].mean()
        for source in (alone, beside)
    ]
    assert light[1] > light[0] + 0.5


def test_a_recording_holds_counts_and_the_table_they_should_give():
    source = SingleEmitters(**PLAIN)
    taken = source.record(generator(7), frames=48)
    assert taken.counts.shape == (48, 32, 32)
    assert taken.pixel_size_nm == 100.0
    found = fits(source, taken.counts[..., None].astype(float))
    assert np.median(np.abs(found[:, 0] - taken.truth.x_nm)) < 25
    assert np.median(np.abs(found[:, 2] - taken.truth.z_nm)) < 35


@pytest.fixture
def gaussian(tmp_path):
    """Return a calibration of Gaussian widths and a pixel of 110 nm."""
    path = tmp_path / "optics.json"
    content = {
        "kind": "gaussian",
        "pixel_nm": 110.0,
        "sigma_x_nm": [130.0, 60.0, 120.0],
        "sigma_y_nm": [130.0, -60.0, 120.0],
        "z_range_nm": [-400, 700],
    }
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def spline(tmp_path):
    """Return a calibration of the astigmatic pupil as a spline over 1 µm."""
    psf = tabulated_psf(
        PupilPsf(PUPILS["astigmatic"], dtype=np.float32),
        z_range_nm=(-500, 500),
        size_px=40,
        knots_per_pixel=1,
    )
    np.savez(tmp_path / "nodes.npz", nodes=psf.nodes.astype(np.float32))
    path = tmp_path / "optics.json"
    content = {
        "kind": "spline",
        "pixel_nm": 100.0,
        "step_nm": psf.step_nm,
        "first_z_nm": psf.first_z_nm,
        "nodes": "nodes.npz",
    }
    path.write_text(json.dumps(content))
    return path


def test_a_calibration_sets_pixel_depths_and_units(gaussian):
    source = SingleEmitters().override(optics=str(gaussian))
    assert source.pixel_size_nm == 110.0
    assert source.z_nm == (-400.0, 600.0)  # what both know
    assert source.factors == pytest.approx((11.0, 11.0, 100.0))
    regions, targets = source.batch(generator(8), 8)
    assert np.isfinite(regions).all()
    assert np.isfinite(targets).all()


def test_a_calibration_is_kept_where_its_file_is_gone(spline):
    source = SingleEmitters().override(optics=str(spline))
    before = source.batch(generator(9), 8)
    stored = source.model_dump_json()
    for file in spline.parent.iterdir():
        file.unlink()
    again = SingleEmitters.model_validate_json(stored)
    assert again == source
    after = again.batch(generator(9), 8)
    np.testing.assert_array_equal(before[0], after[0])
    assert isinstance(source.optics, SplineOptics)
    # depths end where the spline does, margin or not
    assert source.drawn_nm == pytest.approx((-500.0, 500.0))


def test_a_spline_of_the_pupil_gives_the_same_regions(spline):
    pupil = SingleEmitters(**PLAIN, z_nm=(-450.0, 450.0))
    measured = pupil.override(optics=str(spline))
    place = np.array([1650.0]), np.array([1600.0]), np.array([300.0])
    images = [psf_of(s.optics).images(*place, (32, 32))[0] for s in (pupil, measured)]
    # one knot per pixel does not resolve everything
    assert np.abs(images[0] - images[1]).max() < 0.02 * images[0].max()


def test_a_spline_has_the_pixels_that_it_has(spline):
    source = SingleEmitters().override(optics=str(spline))
    with pytest.raises(ValueError, match="the measured spot, 100 nm, not 90"):
        source.override(pixel_size_nm=90.0)


def test_a_pupil_calibration_is_one_of_the_known_optics(tmp_path):
    path = tmp_path / "optics.json"
    aberrated = PUPILS["astigmatic"].override(zernikes_rad=((2, 2, 0.7), (3, 1, 0.5)))
    content = json.loads(aberrated.model_dump_json())
    path.write_text(json.dumps(content | {"kind": "pupil", "source": "beads.tif"}))
    source = SingleEmitters().override(optics=str(path))
    assert source.optics == aberrated


def test_a_file_that_is_no_calibration_is_refused(tmp_path):
    with pytest.raises(BadInput, match="does not exist; make it with zoo calibrate"):
        SingleEmitters().override(optics=str(tmp_path / "none.json"))


def test_a_recipe_follows_its_optics(gaussian):
    recipe = catalog.configured("smnet_astigmatism", {"source__optics": str(gaussian)})
    # what the package promises and is scored on
    assert recipe.contract.task.optics is None  # no pupil is known
    assert recipe.contract.task.factors == pytest.approx(2 * (11.0, 11.0, 100.0))
    assert recipe.promise.training["pixel_size_nm"] == (110.0, 110.0)
    assert recipe.test_set.optics == recipe.source.optics
    assert recipe.test_set.z_nm == recipe.source.z_nm
    untouched = catalog.configured("smnet_astigmatism", {"seed": 3})
    assert untouched.contract == catalog.recipe("smnet_astigmatism").contract


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"photons": (0.0, 5.0)}, "positive bounds"),
        ({"z_nm": (5.0, -5.0)}, "lower one first"),
        ({"columns": ("x_nm", "sigma_nm")}, "columns must be of x_nm"),
        ({"factors": (1.0,)}, "factors must be positive and as many as the columns"),
    ],
)
def test_impossible_conditions_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SingleEmitters(**changes)


@pytest.mark.parametrize(
    ("changes", "symmetry"),
    [
        ({"source__photons": (500.0, 5000.0)}, "quarter_turns"),
        ({"source__optics__focus_nm": 200.0}, "half_turn"),
        ({"source__z_nm": (0.0, 600.0)}, "half_turn"),
        ({"source__optics__zernikes_rad": ((2, 2, 0.6), (3, 1, 0.3))}, "none"),
    ],
)
def test_a_network_looks_from_as_many_sides_as_its_spots_allow(changes, symmetry):
    recipe = catalog.configured("zelger_vgg16_astigmatism", changes)
    assert recipe.options["symmetry"] == symmetry
    assert recipe.training_options == {"symmetry": "none"}


def test_spots_that_are_no_pupil_have_no_known_symmetry(gaussian):
    recipe = catalog.configured("smnet_astigmatism", {"source__optics": str(gaussian)})
    assert recipe.options["symmetry"] == "none"
    assert catalog.recipe("smnet_astigmatism").options["symmetry"] == "half_turn"


def test_microscopes_are_together_the_one_in_the_middle():
    source = SingleEmitters(optics=PUPILS["smnet_complex"], columns=("z_nm",),
                            factors=(100.0,))  # fmt: skip
    drawn = [microscope(source, number) for number in range(source.microscopes)]
    assert source.microscopes % 2 == 0
    for name in ("na", "sample_index", "blur_nm"):
        values = [getattr(optics, name) for optics in drawn]
        assert len(set(values)) == len(drawn)
        middle = getattr(source.optics, name)
        assert np.mean(values) == pytest.approx(middle, rel=1e-12)
