"""`zoo.tasks.parameters`: a network's numbers as a table of emitters."""

import numpy as np
import pytest
from pydantic import ValidationError

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Axis, Grid
from zoo.core.localizations import Localizations
from zoo.core.products import Products
from zoo.core.random import generator
from zoo.inputs.regions import Regions
from zoo.package.tensors import stated
from zoo.physics.engineered import PUPILS
from zoo.physics.fisher import emitter_bound
from zoo.physics.pupil import PupilPsf
from zoo.physics.spots import draw_emitters
from zoo.predict.options import split_options
from zoo.tasks.parameters import Parameters
from zoo.tasks.rendering import Rendering, depth_colours

EDGE = 16
OPTICS = PUPILS["astigmatic"]
PLACES = ("x_nm", "y_nm", "z_nm")
MIDDLE = (EDGE // 2 + 0.5) * OPTICS.pixel_nm
PHOTONS, BACKGROUND = 4000.0, 6.0


def contract(optics=OPTICS, columns=PLACES):
    grid = Grid(
        output_axes="bc",
        axes={"y": Axis(size=EDGE), "x": Axis(size=EDGE)},
        outputs=columns,
    )
    return Contract(
        grid=grid,
        input=Regions(),
        task=Parameters(columns=columns, optics=optics),
        preprocessing=(),
        training={"z_nm": (-500.0, 500.0), "photons": (1000.0, 9000.0)},
    )


def opened(package, source, *, pixel_size_nm):
    return package.input.open(
        source,
        package,
        name="a package",
        options=split_options(package, "a package").input,
        pixel_size_nm=pixel_size_nm,
    )


def drawn(values, *, neighbour_nm=None):
    """Return regions of emitters at x, y (from the central pixel's centre) and z."""
    psf = PupilPsf(OPTICS)
    shape = (EDGE, EDGE)
    images = psf.images(
        values[:, 0] + MIDDLE, values[:, 1] + MIDDLE, values[:, 2], shape
    )
    if neighbour_nm is not None:
        images = images + psf.images(
            values[:, 0] + MIDDLE + neighbour_nm,
            values[:, 1] + MIDDLE,
            values[:, 2],
            shape,
        )
    return PHOTONS * images + BACKGROUND


def emitters(count, seed):
    return generator(seed).uniform([-120, -120, -400], [120, 120, 400], (count, 3))


def run(package, source, outputs, **given):
    """Run the task on what a network would say, region by region."""
    options = split_options(package, "a package", **given)
    recording = opened(package, source, pixel_size_nm=OPTICS.pixel_nm)
    running = package.task.start(recording, package, options.task)
    products = []
    for first, frames in recording.chunks(50):
        part = outputs(recording, first, len(frames))
        products += running.add(frames, part, first)
    return running, Products([*products, *running.finish()])


def given(values):
    """Return a network that says what is known, region by region."""
    return lambda _, first, count: values[first : first + count]


def test_without_optics_nothing_but_the_outputs_is_stated():
    values = emitters(5, 40)
    package = contract(optics=None)
    running, products = run(package, drawn(values), given(values))
    table = products.localizations
    assert table.columns == ("x_nm", "y_nm", "frame", "z_nm", "flags")
    np.testing.assert_allclose(table.z_nm, values[:, 2])
    assert table.frame.tolist() == [1, 2, 3, 4, 5]
    assert not table.flags.any()
    assert running.warnings() == []
    assert "optics" not in stated(Parameters(columns=("z_nm",)))


def test_optics_add_light_and_bounds():
    values = emitters(40, 41)
    regions = generator(42).poisson(drawn(values))
    running, products = run(contract(), regions, given(values))
    table = products.localizations
    assert abs(table.photons.mean() / PHOTONS - 1) < 0.02
    assert abs(table.background_photons.mean() / BACKGROUND - 1) < 0.05
    bound = emitter_bound(
        PupilPsf(OPTICS),
        values[:, 0] + MIDDLE,
        values[:, 1] + MIDDLE,
        values[:, 2],
        photons=PHOTONS,
        background_photons=BACKGROUND,
        shape=(EDGE, EDGE),
    )
    for name in ("x_nm", "y_nm", "z_nm", "photons", "background_photons"):
        found = getattr(table, f"uncertainty_{name}")
        np.testing.assert_allclose(found, getattr(bound, name), rtol=0.1)
    np.testing.assert_allclose(
        table.uncertainty_nm, np.hypot(bound.x_nm, bound.y_nm) / 2**0.5, rtol=0.1
    )
    assert abs(table.chi_square.mean() - 1) < 0.1
    scrutiny = running.report()["scrutiny"]
    assert scrutiny["uncertainty"] == "Cramér-Rao bound at the estimate"
    assert running.warnings() == []


def test_bounds_may_be_calibrated_and_those_of_the_network_count():
    values = emitters(6, 43)
    plain = run(contract(), drawn(values), given(values))[1].localizations
    package = contract()
    calibrated = package.override(task__uncertainty_factor=1.5)
    table = run(calibrated, drawn(values), given(values))[1].localizations
    np.testing.assert_allclose(table.uncertainty_z_nm, 1.5 * plain.uncertainty_z_nm)

    names = (*PLACES, *(f"uncertainty_{name}" for name in PLACES))
    own = contract(columns=names)
    both = np.concatenate([values, np.full((6, 3), [3.0, 4.0, 11.0])], axis=1)
    running, products = run(own, drawn(values), given(both))
    table = products.localizations
    np.testing.assert_allclose(table.uncertainty_z_nm, 11.0)
    np.testing.assert_allclose(table.uncertainty_nm, 5 / 2**0.5)
    assert running.report()["scrutiny"]["uncertainty"] == "the network"
    refined = run(own, drawn(values), given(both), refine=True)[1].localizations
    np.testing.assert_allclose(refined.uncertainty_z_nm, plain.uncertainty_z_nm, 0.05)


def test_refinement_goes_to_the_bound():
    rng = generator(44)
    values = emitters(200, 45)
    regions = rng.poisson(drawn(values))
    rough = values + rng.normal(0, [25.0, 25.0, 60.0], values.shape)
    running, products = run(contract(), regions, given(rough), refine=True)
    table = products.localizations
    off = np.stack([table.x_nm, table.y_nm, table.z_nm], axis=1) - values
    bound = np.stack(
        [table.uncertainty_x_nm, table.uncertainty_y_nm, table.uncertainty_z_nm], axis=1
    )
    ratio = np.sqrt(np.mean((off / bound) ** 2, axis=0))
    assert np.all((ratio > 0.8) & (ratio < 1.2))
    report = running.report()
    assert report["options"]["refine"] is True
    assert report["scrutiny"]["refined"] == 200


def test_regions_with_other_light_keep_what_the_network_says():
    values = emitters(40, 57)
    regions = generator(58).poisson(drawn(values, neighbour_nm=400.0))
    running, products = run(contract(), regions, given(values), refine=True)
    table = products.localizations
    kept = table.z_nm == values[:, 2]
    assert np.mean(kept) > 0.5
    assert running.report()["scrutiny"]["refined"] == np.count_nonzero(~kept)
    assert kept[table.flags == 4].all()


def test_given_regions_with_two_emitters_are_flagged_and_kept():
    values = emitters(30, 46)
    regions = generator(47).poisson(drawn(values, neighbour_nm=350.0))
    running, products = run(contract(), regions, given(values))
    table = products.localizations
    assert len(table) == 30
    assert np.mean(table.flags == 4) > 0.9
    (warning,) = running.warnings()
    assert "of 30 regions hold light that one emitter" in warning
    assert "have the flag 4" in warning
    relaxed = run(contract(), regions, given(values), max_misfit=float("inf"))
    assert not relaxed[1].localizations.flags.any()


def test_depths_at_the_ends_of_the_training_are_flagged():
    values = emitters(4, 48)
    values[:, 2] = [-500.0, 500.5, 499.0, 0.0]
    running, products = run(contract(), drawn(values), given(values))
    assert products.localizations.flags.tolist() == [1, 1, 0, 0]
    (warning,) = running.warnings()
    assert warning.startswith("2 of 4 localizations lie at or beyond the ends")
    assert running.report()["scrutiny"]["out_of_range"] == 2


def test_numbers_that_are_not_finite_are_left_out():
    values = emitters(4, 49)
    values[1, 0] = np.nan
    running, products = run(contract(), drawn(np.nan_to_num(values)), given(values))
    assert products.localizations.frame.tolist() == [1, 3, 4]
    assert "1 of 4 regions gave no finite numbers" in running.warnings()[0]


def test_pixels_of_another_size_stretch_what_a_network_counts_in_pixels():
    values = emitters(5, 50)
    options = split_options(contract(), "a package")
    recording = opened(contract(), drawn(values), pixel_size_nm=103.0)
    running = contract().task.start(recording, contract(), options.task)
    products = [*running.add(next(recording.chunks(9))[1], values, 0)]
    table = Products([*products, *running.finish()]).localizations
    np.testing.assert_allclose(table.x_nm, 1.03 * values[:, 0])
    np.testing.assert_allclose(table.z_nm, values[:, 2])
    assert np.all(table.chi_square < 1.2)


def _in_movie(truth, noise=0.0, seed=51):
    """Return what a perfect network says of the regions of a movie."""
    rng = generator(seed)

    def outputs(recording, first, count):
        del first
        cuts = recording.cuts
        rows = []
        for frame, corner in zip(cuts.frame, cuts.corner_px, strict=True):
            own = truth.select(truth.frame == frame)
            places = np.stack([own.x_nm, own.y_nm], axis=1) - corner[::-1] * 100.0
            off = places - MIDDLE
            nearest = int(np.argmin(np.abs(off).sum(axis=1)))
            rows.append([*off[nearest], own.z_nm[nearest]])
        assert len(rows) == count
        return np.array(rows) + noise * rng.normal(size=(count, 3))

    return outputs


def _movie(frames, per_frame, seed):
    rng = generator(seed)
    count = frames * per_frame
    truth = Localizations(
        x_nm=rng.uniform(900, 5100, count),
        y_nm=rng.uniform(900, 4100, count),
        z_nm=rng.uniform(-400, 400, count),
        photons=np.full(count, PHOTONS),
        frame=np.repeat(np.arange(frames) + 1, per_frame),
    )
    psf = PupilPsf(OPTICS)
    expected = [
        draw_emitters(psf, truth.select(truth.frame == n), (50, 60), window_px=41)
        for n in range(1, frames + 1)
    ]
    return rng.poisson(np.clip(expected, 0, None) + BACKGROUND), truth


def test_emitters_of_a_movie_are_reported_where_they_are_in_it():
    frames, truth = _movie(8, 1, 52)
    running, products = run(contract(), frames, _in_movie(truth))
    table = products.localizations
    assert table.frame.tolist() == list(range(1, 9))
    np.testing.assert_allclose(table.x_nm, truth.x_nm)
    np.testing.assert_allclose(table.y_nm, truth.y_nm)
    np.testing.assert_allclose(table.z_nm, truth.z_nm)
    image = products.images["reconstruction"]
    assert image.array.shape == (400, 480)
    assert image.pixel_size_nm == {"y": 12.5, "x": 12.5}
    _, columns = np.nonzero(image.array)
    np.testing.assert_array_equal(
        np.sort(columns), np.sort(np.floor(truth.x_nm / 12.5).astype(int))
    )
    assert image.array.sum() == 8
    before, after = running.preview()
    assert before.image.shape == (50, 60)
    assert after.shows == "depth"
    assert (after.bar.low, after.bar.high, after.bar.unit) == (-500.0, 500.0, "nm")


def test_overlapping_emitters_of_a_movie_are_left_out_and_counted():
    frames, truth = _movie(6, 1, 53)
    # a second emitter too near for the search to tell apart
    shifted = truth.with_columns(x_nm=truth.x_nm + 260.0, z_nm=-truth.z_nm)
    psf = PupilPsf(OPTICS)
    more = [
        draw_emitters(psf, shifted.select(shifted.frame == n), (50, 60), window_px=41)
        for n in range(1, 7)
    ]
    frames = frames + generator(54).poisson(np.clip(more, 0, None))
    running, products = run(contract(), frames, _in_movie(truth))
    left_out = running.report()["scrutiny"]["misfits"]
    count = left_out + len(products.localizations)
    assert left_out >= 4
    assert len(products.localizations) <= 2
    assert f"{left_out} of {count} regions hold light" in running.warnings()[0]
    assert "were left out" in running.warnings()[0]


def test_a_movie_without_emitters_gives_an_empty_table():
    frames = generator(55).poisson(6.0, (2, 50, 60))
    running, products = run(contract(), frames, given(np.zeros((0, 3))))
    table = products.localizations
    assert len(table) == 0
    assert {"uncertainty_z_nm", "chi_square", "flags"} <= set(table.columns)
    assert products.images["reconstruction"].array.sum() == 0
    assert len(running.preview()) == 2
    assert running.report()["localizations"] == 0


def test_what_has_no_meaning_is_refused():
    values = emitters(2, 56)
    with pytest.raises(BadInput, match=r"states no optics .* leave out --refine"):
        run(contract(optics=None), drawn(values), given(values), refine=True)
    with pytest.raises(
        BadInput, match=r"holds regions, Picasso .* leave out --picasso"
    ):
        run(contract(), drawn(values), given(values), picasso=True)
    with pytest.raises(BadInput, match=r"max_misfit: .* greater than 0"):
        run(contract(), drawn(values), given(values), max_misfit=0)
    with pytest.raises(ValidationError, match="per_pixel must name some"):
        Parameters(columns=("z_nm",), per_pixel=("x_nm",))


def test_optics_survive_the_description_of_a_package():
    task = Parameters(columns=PLACES, optics=PUPILS["smnet_complex"])
    assert Parameters.model_validate(stated(task)) == task


def test_colours_of_depths_are_equally_light_and_differ_evenly():
    colours = depth_colours(np.linspace(0, 1, 9))
    assert np.all((colours >= 0) & (colours <= 1))
    linear = np.where(
        colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4
    )
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert luminance.max() < 1.35 * luminance.min()
    steps = np.linalg.norm(np.diff(colours, axis=0), axis=1)
    assert steps.max() < 3 * steps.min()
    np.testing.assert_array_equal(
        depth_colours(np.array([-5.0, 9.0])), colours[[0, -1]]
    )


def test_a_rendering_leaves_out_what_lies_outside_and_stays_small():
    table = Localizations(
        x_nm=np.array([-1.0, 150.0, 9e5, 150.0]),
        y_nm=np.array([50.0, 50.0, 50.0, 50.0]),
    )
    rendering = Rendering({"y": 4, "x": 6}, pixel_nm=100.0, z_range_nm=None)
    rendering.add(table)
    assert rendering.histogram.shape == (32, 48)
    assert rendering.histogram[4, 12] == rendering.histogram.sum() == 2
    assert rendering.panel("two").shows == "density"
    large = Rendering({"y": 300, "x": 2048}, pixel_nm=100.0, z_range_nm=None)
    assert large.histogram.shape == (600, 4096)


def amplified(expected, seed):
    """Return what an EM-CCD of much gain gives, photons: Poisson, then Gamma."""
    rng = generator(seed)
    electrons = rng.poisson(expected)
    return np.where(electrons > 0, rng.gamma(np.maximum(electrons, 1e-9), 1.0), 0.0)


def test_an_amplifying_camera_is_told_from_a_counting_one():
    values = emitters(60, 71)
    regions = amplified(drawn(values), 72)
    running, products = run(contract(), regions, given(values))
    noise = running.report()["scrutiny"]["variance_over_stated_noise"]
    assert 1.8 < noise < 2.2
    (warning,) = [w for w in running.warnings() if "--excess-noise 2" in w]
    assert f"vary {noise:.1f} times" in warning
    told, better = run(contract(), regions, given(values), excess_noise=2.0)
    assert 0.9 < told.report()["scrutiny"]["variance_over_stated_noise"] < 1.1
    assert told.warnings() == []
    ratio = (
        better.localizations.uncertainty_x_nm / products.localizations.uncertainty_x_nm
    )
    np.testing.assert_allclose(ratio, 2**0.5, rtol=0.03)


def test_dim_emitters_of_an_amplifying_camera_are_no_misfits():
    values = emitters(120, 73)
    expected = (drawn(values) - BACKGROUND) * 300 / PHOTONS + BACKGROUND
    regions = amplified(expected, 74)
    misfits = [
        run(contract(), regions, given(values), excess_noise=excess)[0].report()[
            "scrutiny"
        ]["misfits"]
        for excess in (1.0, 2.0)
    ]
    assert misfits[1] <= 6 < misfits[0]


def test_read_noise_widens_the_bounds():
    values = emitters(60, 75)
    regions = generator(76).poisson(drawn(values)) + generator(77).normal(
        0, 4, (60, EDGE, EDGE)
    )
    plain = run(contract(), regions, given(values))
    told = run(contract(), regions, given(values), read_noise_photons=4.0)
    assert any("--read-noise-photons" in w for w in plain[0].warnings())
    assert told[0].warnings() == []
    wider, narrow = (
        result.localizations.uncertainty_z_nm for _, result in (told, plain)
    )
    assert (wider > 1.05 * narrow).all()
    chi_square = told[1].localizations.chi_square
    assert chi_square is not None
    assert abs(chi_square.mean() - 1) < 0.1
