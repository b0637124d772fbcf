"""Raw SIM recordings: pattern, order, number of phases, and what is said of them."""

import json

import numpy as np
import pytest

from zoo.core.contract import Contract, conditions
from zoo.core.errors import BadInput
from zoo.core.grid import Grid
from zoo.core.sim_pattern import CUTOFF, MODULATION, VECTORS
from zoo.inputs.raw_frames import RawFrames
from zoo.inputs.sim.warnings import pattern_warnings, trained_periods_px
from zoo.metrics.raw_frames import raw_frame_map
from zoo.physics.illumination import Pattern, sim_images
from zoo.physics.optics import (
    Optics,
    apply_transfer,
    cone_apodisation,
    frequencies,
    otf_grid,
)
from zoo.physics.specimens import specimen
from zoo.predict.options import split_options
from zoo.simulate.sim_images import SimPairs
from zoo.tasks.image import ImageRestoration

OPTICS = Optics(na=1.4, wavelength_nm=560.0, pixel_nm=62.6, blur_nm=30.0)
ANGLES = tuple((0.4 + np.pi * np.arange(3) / 3).tolist())
OFFSETS = (0.3, 2.1, 4.4)
CONTRACT = Contract(
    grid=Grid.square(
        scale=2, size=128, overlap=32, channels=tuple(f"c{n}" for n in range(9))
    ),
    input=RawFrames(),
    task=ImageRestoration(),
    training=conditions(SimPairs()),
)


def steps(count):
    return 2 * np.pi * np.arange(count) / count


def raw(
    phases, *, gains=(1.0, 1.0, 1.0), relative=0.93, modulation=0.7, seed=3, size=96
):
    """Return raw frames (frame, y, x) uint16, angle-major; `phases` but for offsets."""
    rng = np.random.default_rng(seed)
    fine = 2 * size
    sample = specimen(rng, "er", (fine, fine), pixel_nm=31.3)
    pattern = Pattern(
        frequency_per_um=relative * OPTICS.cutoff_per_um,
        angles_rad=ANGLES,
        phases_rad=tuple(tuple((o + phases).tolist()) for o in OFFSETS),
        modulations=(modulation,) * 3,
    )
    transfer = otf_grid(OPTICS, (fine, fine), pixel_nm=31.3)
    light = sim_images(sample, pattern, transfer, pixel_nm=31.3, binning=2)
    light = 300 * (light / light.max() + 0.1)
    light = light * np.repeat(gains, len(phases))[:, None, None]
    return rng.poisson(np.maximum(light, 0)).astype(np.uint16)


def swapped(frames, outer):
    shape = (outer, -1, *frames.shape[1:])
    return frames.reshape(shape).swapaxes(0, 1).reshape(frames.shape)


def recording(source, **given):
    options = split_options(CONTRACT, "sim", **given)
    return CONTRACT.input.open(
        source, CONTRACT, name="sim", options=options.input, pixel_size_nm=62.6
    )


@pytest.fixture(scope="module")
def nine():
    return raw(steps(3))


def test_report_states_the_pattern_and_nothing_is_warned(nine):
    opened = recording(nine)
    assert opened.warnings() == list(opened.stack.notes)
    report = opened.report()["illumination_pattern"]
    assert report["found"]
    assert report["equal_phase_steps"]
    assert report["same_in_all_tiles"]
    period = 1000 / (0.93 * OPTICS.cutoff_per_um)
    for part, angle in zip(report["orientations"], ANGLES, strict=True):
        assert part["found"]
        assert part["period_nm"] == pytest.approx(period, rel=0.01)
        assert part["period_px"] == pytest.approx(period / 62.6, rel=0.01)
        assert part["angle_deg"] == pytest.approx(np.degrees(angle), abs=0.5)
        assert part["contrast"] == pytest.approx(0.7, rel=0.25)
        assert part["clarity"] > 5
        x, y = part["vector_cycles_per_px"]
        assert np.hypot(x, y) * part["period_px"] == pytest.approx(1, rel=1e-3)
    json.dumps(report)


def test_every_tile_is_told_the_same_wave(nine):
    opened = recording(nine)
    first, second = (opened.knowledge(0, (y, 10), (64, 64)) for y in (0, 20))
    np.testing.assert_array_equal(first[VECTORS], second[VECTORS])
    np.testing.assert_array_equal(first[MODULATION], second[MODULATION])
    turn = 2 * np.pi * first[VECTORS].reshape(3, 2)[:, 0] * 20
    angles = [np.arctan2(row[7:12:2], row[6:12:2]) for row in (first, second)]
    difference = np.exp(1j * (angles[1] - angles[0] - turn))
    np.testing.assert_allclose(difference, 1, atol=1e-4)
    assert opened.report()["illumination_pattern"]["told_to_network"]


def test_unequal_light_between_orientations_is_no_alarm():
    opened = recording(raw(steps(3), gains=(1.0, 0.5, 0.7)))
    assert opened.warnings() == list(opened.stack.notes)
    contrast = [
        part["contrast"]
        for part in opened.report()["illumination_pattern"]["orientations"]
    ]
    assert contrast[0] > 1.5 * contrast[1]


@pytest.mark.parametrize("count", [4, 5])
def test_other_numbers_of_phases_become_three(nine, count):
    opened = recording(raw(steps(count)))
    (_, frames), *_ = opened.chunks(1)
    assert frames.shape == (1, 96, 96, 9)
    assert not [text for text in opened.warnings() if "pattern" in text]
    assert opened.report()["options"]["phases"] == count
    # the same sample under the phases of the nine
    like = np.moveaxis(nine.astype(float), 0, -1)
    for channel in range(9):
        pair = frames[0, ..., channel].ravel(), like[..., channel].ravel()
        assert np.corrcoef(*pair)[0, 1] > 0.95


@pytest.mark.parametrize("count", [3, 5])
def test_order_is_found_and_can_be_given(count):
    frames = raw(steps(count))
    right = recording(frames)
    found = recording(swapped(frames, 3))
    np.testing.assert_array_equal(found.read(0, 1), right.read(0, 1))
    assert found.report()["options"]["frame_order"] == "phase-major"
    assert any("were put into that order" in text for text in found.warnings())
    given = recording(swapped(frames, 3), frame_order="phase-major")
    np.testing.assert_array_equal(given.read(0, 1), right.read(0, 1))
    assert not any("were put into that order" in text for text in given.warnings())
    wrong = recording(swapped(frames, 3), frame_order="angle-major")
    assert wrong.pattern is None


def test_three_beams_use_the_finest_fringes():
    opened = recording(raw(2 * steps(5)))
    assert opened.pattern is not None
    period = opened.report()["illumination_pattern"]["orientations"][0]["period_nm"]
    assert period == pytest.approx(1000 / (0.93 * OPTICS.cutoff_per_um), rel=0.01)


def test_copies_of_one_image_are_no_raw_frames(nine):
    mean = nine.mean(axis=0)
    copies = np.random.default_rng(1).poisson(np.repeat(mean[None], 9, axis=0))
    opened = recording(copies.astype(np.uint16))
    assert any("no illumination pattern is visible" in t for t in opened.warnings())
    row = opened.knowledge(0, (0, 0), (64, 64))
    assert not row[MODULATION].any()
    assert row[CUTOFF] > 0  # told that there is none, not left to look for one
    assert not opened.report()["illumination_pattern"]["found"]


def test_steps_of_72_degrees_are_told_and_rewritten(nine):
    opened = recording(raw(np.radians([0.0, 72.0, 144.0])))
    (text,) = (t for t in opened.warnings() if "degrees" in t)
    assert "not by equal parts of a turn" in text
    assert not opened.report()["illumination_pattern"]["equal_phase_steps"]
    frames = opened.read(0, 1)[0].astype(float)
    like = np.moveaxis(nine.astype(float), 0, -1)
    for channel in range(9):
        pair = frames[..., channel].ravel(), like[..., channel].ravel()
        assert np.corrcoef(*pair)[0, 1] > 0.85


def test_first_nine_of_fifteen_are_told():
    opened = recording(raw(steps(5))[:9])
    assert opened.pattern is None
    assert any("no illumination pattern is visible" in t for t in opened.warnings())


def test_phases_that_drift_are_measured_at_each_time():
    movie = np.concatenate([raw(steps(3) + turn) for turn in (0.0, 2.0, 4.0)])
    opened = recording(movie)
    assert any("differ between points of time" in t for t in opened.warnings())
    rows = [opened.knowledge(t, (0, 0), (96, 96)) for t in range(3)]
    angles = np.array([np.arctan2(row[7:12:2], row[6:12:2]) for row in rows])
    turned = np.exp(1j * (np.diff(angles, axis=0) - 2.0))
    np.testing.assert_allclose(turned, 1, atol=0.2)


def test_phases_can_be_given():
    frames = np.concatenate([raw(steps(5), seed=n) for n in range(3)])  # 45 images
    assert recording(frames).frames == 5
    opened = recording(frames, phases=5)
    assert opened.frames == 3
    assert opened.pattern is not None
    with pytest.raises(BadInput, match="equal to 3"):
        recording(frames, phases=2)


def test_a_number_of_images_that_fits_nothing_is_refused():
    with pytest.raises(BadInput, match="multiple of 9") as caught:
        recording(np.ones((11, 64, 64), np.uint16))
    assert "\n" not in str(caught.value)


def test_patterns_coarser_than_trained_are_told():
    opened = recording(raw(steps(3), relative=0.5))
    assert any("coarser than" in text for text in opened.warnings())
    low, high = trained_periods_px(CONTRACT.training)
    assert (low, high) == (
        pytest.approx(2.573, abs=1e-3),
        pytest.approx(5.32, abs=0.01),
    )


def test_warnings_name_orientations_and_places(nine):
    pattern = recording(nine).pattern
    quiet = pattern_warnings(pattern, pixel_nm=62.6, training={})
    assert quiet == []
    lame = pattern._replace(
        visible=np.array([True, False, True]), steady_in_space=False
    )
    first, second = pattern_warnings(lame, pixel_nm=62.6, training={})
    assert "pattern of orientation 2 is not visible" in first
    assert "between parts of the field" in second
    opened = recording(nine)
    opened.reading = opened.reading._replace(pattern=lame)
    assert opened.knowledge(0, (0, 0), (64, 64)) is None


def truth(*, seed=3, size=96):
    """Return the ideal image of the sample of `raw`."""
    rng = np.random.default_rng(seed)
    sample = specimen(rng, "er", (2 * size, 2 * size), pixel_nm=31.3)
    length = 0.93 * OPTICS.cutoff_per_um
    frequency = np.hypot(*frequencies(sample.shape, pixel_nm=31.3))
    support = OPTICS.cutoff_per_um + length
    cone = cone_apodisation(frequency, support_per_um=support)
    return apply_transfer(sample.astype(float), cone)


@pytest.mark.parametrize(
    ("phases", "order"),
    [
        (-steps(3), "angle-major"),
        (2 * steps(5), "phase-major"),
        (np.radians([0, 72, 144]), "angle-major"),
    ],
)
def test_the_pattern_of_the_frames_explains_them(phases, order):
    frames = raw(phases)
    opened = recording(frames if order == "angle-major" else swapped(frames, 3))
    pattern = opened.frame_pattern(0)
    fit = raw_frame_map(opened.read(0, 1)[0], truth(), pattern, sharpness=1.0)
    np.testing.assert_allclose(fit.fringes, 1, atol=0.2)
    # phases that are a tenth of a turn off explain worse
    off = pattern._replace(phases_rad=pattern.phases_rad + 0.6)
    wrong = raw_frame_map(opened.read(0, 1)[0], truth(), off, sharpness=1.0)
    assert wrong.fringes.mean() < 0.9 * fit.fringes.mean()
    assert wrong.misfit > 1.5 * fit.misfit


def test_frames_of_every_time_have_their_own_phases():
    movie = np.concatenate([raw(steps(3) + turn) for turn in (0.0, 2.0, 4.0)])
    opened = recording(movie)
    assert not opened.pattern.steady_in_time
    first, second = (opened.frame_pattern(t).phases_rad for t in (0, 1))
    np.testing.assert_allclose(np.exp(1j * (second - first - 2.0)), 1, atol=0.2)
    reads = []
    opened.stack.read = lambda *places: reads.append(places)  # they are kept
    opened.frame_pattern(1), opened.knowledge(1, (0, 0), (64, 64))
    assert reads == []


def test_no_pattern_of_the_frames_where_it_is_not_known(nine):
    opened = recording(nine)
    known = opened.pattern
    visible = np.array([True, False, True])
    opened.reading = opened.reading._replace(pattern=known._replace(visible=visible))
    pattern = opened.frame_pattern(0)
    assert (pattern.modulations > 0).tolist() == visible.tolist()
    turns = np.exp(1j * np.diff(pattern.phases_rad[1]))
    np.testing.assert_allclose(turns, np.exp(2j * np.pi / 3))
    for lost in (None, known._replace(steady_in_space=False)):
        opened.reading = opened.reading._replace(pattern=lost)
        assert opened.frame_pattern(0) is None
