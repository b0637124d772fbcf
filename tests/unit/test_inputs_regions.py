"""`zoo.inputs.regions`: regions that were given, and those found in a movie."""

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Axis, Grid
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.core.regions import Cutting
from zoo.inputs.regions import Regions
from zoo.physics.engineered import PUPILS
from zoo.physics.pupil import PupilPsf
from zoo.physics.spots import draw_emitters
from zoo.predict.options import split_options
from zoo.tasks.parameters import Parameters

EDGE = 16
OPTICS = PUPILS["astigmatic"]
PLACES = ("x_nm", "y_nm", "z_nm")
FIELD = (40, 52)
TRUTH = Localizations(
    x_nm=np.array([1234.0, 3456.0, 120.0]),
    y_nm=np.array([1480.0, 2020.0, 3710.0]),
    z_nm=np.array([-250.0, 150.0, 0.0]),
    photons=np.full(3, 4000.0),
)


def contract(optics=OPTICS, columns=PLACES, **training):
    grid = Grid(
        output_axes="bc",
        axes={"y": Axis(size=EDGE), "x": Axis(size=EDGE)},
        outputs=columns,
    )
    trained = {
        "z_nm": (-500.0, 500.0),
        "photons": (1000.0, 9000.0),
        "background_photons": (1.0, 20.0),
    }
    return Contract(
        grid=grid,
        input=Regions(),
        task=Parameters(columns=columns, optics=optics),
        preprocessing=(),
        training=trained | training,
    )


def opened(package, source, *, pixel_size_nm=None, **given):
    options = split_options(package, "a package", **given)
    return package.input.open(
        source,
        package,
        name="a package",
        options=options.input,
        pixel_size_nm=pixel_size_nm,
    )


@pytest.fixture(scope="module")
def movie():
    expected = draw_emitters(PupilPsf(OPTICS), TRUTH, FIELD, window_px=41).clip(0)
    return generator(30).poisson(np.stack([expected] * 4) + 6.0).astype(np.uint16)


def test_frames_of_the_size_of_a_region_are_regions(movie):
    recording = opened(contract(), movie[:, :EDGE, :EDGE])
    assert not isinstance(recording, Cutting)
    ((first, frames),) = recording.chunks(9)
    assert first == 0
    np.testing.assert_array_equal(frames[..., 0], movie[:, :EDGE, :EDGE])


def test_larger_frames_are_searched_for_emitters(movie):
    recording = opened(contract(), movie, pixel_size_nm=100.0)
    assert isinstance(recording, Cutting)
    assert recording.sizes == {"y": EDGE, "x": EDGE}
    assert recording.frames == 4
    frames, corners, count = [], [], 0
    for first, regions in recording.chunks(3):
        assert first == count
        cuts = recording.cuts
        assert len(regions) == len(cuts.frame) <= 3
        count += len(regions)
        frames += cuts.frame.tolist()
        corners += cuts.corner_px.tolist()
        for region, photons, frame, (row, column) in zip(
            regions, cuts.photons, cuts.frame, cuts.corner_px, strict=True
        ):
            whole = movie[frame - 1, row : row + EDGE, column : column + EDGE]
            np.testing.assert_array_equal(photons, whole)
            # no neighbours here: what the network sees is what the camera saw
            np.testing.assert_allclose(region[..., 0], photons, atol=3.0)
    assert frames == [1, 1, 2, 2, 3, 3, 4, 4]
    # the emitters at pixels (14, 12) and (20, 34) lie in the central one
    assert sorted(map(tuple, corners)) == [(6, 4)] * 4 + [(12, 26)] * 4
    assert recording.frames_done == 4
    np.testing.assert_allclose(recording.mean_frame(), movie.mean(axis=0))
    report = recording.report()
    assert report["detection"]["emitters"] == 12
    assert report["detection"]["at_border"] == 4
    assert any("4 of 12 emitters lie so near" in line for line in recording.warnings())


def test_light_of_neighbours_is_taken_away():
    pair = Localizations(
        x_nm=np.array([2040.0, 2710.0]),
        y_nm=np.array([2050.0, 2430.0]),
        z_nm=np.array([-200.0, 250.0]),
        photons=np.array([5000.0, 5000.0]),
    )
    psf = PupilPsf(OPTICS)
    both = draw_emitters(psf, pair, FIELD, window_px=41).clip(0)
    frames = generator(31).poisson(both + 6.0)[None]
    recording = opened(contract(), frames, pixel_size_nm=100.0)
    ((_, regions),) = recording.chunks(9)
    cuts = recording.cuts
    assert cuts.neighbours.tolist() == [1, 1]
    for region, (row, column) in zip(regions[..., 0], cuts.corner_px, strict=True):
        own = int(np.argmin(np.abs(pair.x_nm / 100 - column - EDGE // 2)))
        alone = draw_emitters(
            psf, pair.select(np.array([own])), FIELD, window_px=41
        ).clip(0)
        part = alone[row : row + EDGE, column : column + EDGE]
        beside = (both - alone)[row : row + EDGE, column : column + EDGE]
        left = np.abs((region - 6.0 - part).sum())
        assert left < 0.2 * beside.sum()


def test_memory_holds_a_few_frames_only(movie, monkeypatch):
    from zoo.inputs import found_regions

    monkeypatch.setattr(found_regions, "_PIXELS_AT_ONCE", FIELD[0] * FIELD[1])
    recording = opened(contract(), movie, pixel_size_nm=100.0)
    read, lengths = recording.read, []

    def noted(start, stop):
        frames = read(start, stop)
        lengths.append(len(frames))
        return frames

    monkeypatch.setattr(recording, "read", noted)
    found = [recording.cuts.frame.tolist() for _ in recording.chunks(100)]
    assert lengths == [1, 1, 1, 1]
    assert found == [[1, 1], [2, 2], [3, 3], [4, 4]]


def test_without_optics_spots_are_found_too(movie):
    package = contract(optics=None)
    with pytest.raises(BadInput, match=r"states no pixel size, .* --pixel-size-nm"):
        opened(package, movie)
    recording = opened(package, movie, pixel_size_nm=100.0)
    ((_, regions),) = recording.chunks(100)
    assert recording.cuts.other is None
    np.testing.assert_array_equal(regions[..., 0], recording.cuts.photons)
    assert set(recording.cuts.frame) == {1, 2, 3, 4}
    assert recording.report()["detection"]["filter"] == "difference of Gaussians"


def test_a_movie_without_pixel_size_has_that_of_the_optics(movie):
    recording = opened(contract(), movie)
    assert recording.pixel_size_nm == {"y": 100.0, "x": 100.0}
    list(recording.chunks(9))
    assert any("that of the training, 100 nm" in line for line in recording.warnings())


def test_a_movie_without_emitters_says_so():
    empty = generator(32).poisson(6.0, (3, *FIELD))
    recording = opened(contract(), empty, pixel_size_nm=100.0)
    assert list(recording.chunks(9)) == []
    assert recording.frames_done == 3
    (warning,) = recording.warnings()
    assert warning.startswith("no emitters were found")


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        ((4, 16, 17), {}, "regions of 16 x 17 px, .* takes 16 x 16 px; cut .* found"),
        ((4, 24, 40), {}, "regions of 24 x 40 px, .* --regions found"),
        ((4, 8, 60), {}, "regions of 8 x 60 px, .* emitter in the middle$"),
        ((4, 40, 40), {"regions": "given"}, "regions of 40 x 40 px, .* 16 x 16 px"),
        ((4, 12, 40), {"regions": "found"}, "12 x 40 px, smaller than the regions"),
    ],
)
def test_frames_of_other_sizes_are_refused(shape, given, message):
    frames = generator(33).poisson(6.0, shape)
    with pytest.raises(BadInput, match=message) as caught:
        opened(contract(), frames, pixel_size_nm=100.0, **given)
    assert "\n" not in str(caught.value)


def test_emitters_can_be_searched_in_frames_of_any_larger_size(movie):
    recording = opened(
        contract(), movie[:, 3:28, :24], pixel_size_nm=100.0, regions="found"
    )
    ((_, regions),) = recording.chunks(9)
    assert len(regions) == 4
    assert recording.cuts.corner_px.tolist() == [[3, 4]] * 4


def test_counts_become_photons(movie):
    counts = movie[:, :EDGE, :EDGE] * 2 + 100
    recording = opened(contract(), counts, offset_adu=100.0, photons_per_adu=0.5)
    ((_, frames),) = recording.chunks(9)
    np.testing.assert_allclose(frames[..., 0], movie[:, :EDGE, :EDGE])
    options = recording.report()["options"]
    assert (options["offset_adu"], options["photons_per_adu"]) == (100.0, 0.5)
    assert recording.warnings() == []


def test_a_background_far_above_the_training_looks_like_counts(movie):
    recording = opened(contract(), movie[:, :EDGE, :EDGE] + 100)
    list(recording.chunks(9))
    (warning,) = recording.warnings()
    assert "4 of 4 images have a background above twice" in warning
    assert "--offset-adu and --photons-per-adu" in warning


def test_negative_photons_are_refused_with_their_place(movie):
    regions = movie[:, :EDGE, :EDGE].astype(np.float32)
    regions[2] -= 60.0
    recording = opened(contract(), regions)
    with pytest.raises(BadInput, match=r"image 3 of array holds -\d+.* negative; save"):
        list(recording.chunks(2))
    recording = opened(contract(), movie[:, :EDGE, :EDGE], offset_adu=100.0)
    with pytest.raises(BadInput, match="100 counts as --offset-adu are too many"):
        list(recording.chunks(2))
    # where photons are not what a package takes, values may be anything
    assert len(list(opened(contract(optics=None), regions).chunks(2))) == 2


def test_a_package_of_several_channels_is_given_regions():
    grid = Grid(
        output_axes="bc",
        axes={"y": Axis(size=EDGE), "x": Axis(size=EDGE)},
        channels=("near", "far"),
        outputs=("z_nm",),
    )
    package = Contract(grid=grid, input=Regions(), task=Parameters(columns=("z_nm",)))
    frames = np.ones((3, 40, 40, 2), np.float32)
    with pytest.raises(BadInput, match="one channel, in which alone emitters can be"):
        opened(package, frames, pixel_size_nm=100.0)
