"""Training frames: what is in them, how much of it, and that seeds decide."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from scipy.special import erf

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.core.recipe import Source
from zoo.physics.camera import Camera, EmCcd, Scmos
from zoo.simulate.frames import MARGIN_PX, CameraPrior, DensityFrames
from zoo.simulate.measured import MeasuredFrames


class Ideal(Camera):
    """Count every photon that is expected, without noise."""

    quantum_efficiency: float = 1.0
    """Electrons per photon."""

    def expose(self, photons, rng, *, origin=(0, 0)):
        del rng, origin
        return np.asarray(photons, float)

    def to_photons(self, counts, *, origin=(0, 0)):
        del origin
        return counts


DARK = (1e-9, 1e-9)


def scenes(source: DensityFrames, count: int, seed: int = 1):
    return [source.scene(generator(seed, i), Ideal()) for i in range(count)]


@pytest.mark.parametrize("filament_share", [0.0, 1.0])
def test_a_frame_holds_the_photons_of_its_emitters(filament_share):
    source = DensityFrames(
        background_photons=DARK, empty_share=0, filament_share=filament_share
    )
    for scene in scenes(source, 12):
        table = scene.emitters
        photons, sigma = np.asarray(table.photons), np.asarray(table.sigma_nm)

        def inside(position_nm, sigma=sigma):
            ends = (np.array([[0.0], [2600.0]]) - position_nm) / (sigma * np.sqrt(2))
            return (erf(ends[1]) - erf(ends[0])) / 2

        budget = photons @ (inside(table.x_nm) * inside(table.y_nm))
        assert scene.counts.sum() == pytest.approx(budget, rel=1e-6)
        assert budget > 0


def test_an_isolated_emitter_is_where_its_spike_is():
    source = DensityFrames(
        background_photons=DARK,
        empty_share=0,
        filament_share=0,
        density_per_um2=(0.2, 0.2),
        crop_px=20,
    )
    alone = [s for s in scenes(source, 60) if len(s.emitters) == 1]
    assert alone
    for scene in alone:
        x_nm, y_nm = float(scene.emitters.x_nm[0]), float(scene.emitters.y_nm[0])
        if not (500 < x_nm < 1500 and 500 < y_nm < 1500):
            continue
        centres = 100.0 * (np.arange(20) + 0.5)
        mass = scene.counts.sum()
        assert scene.counts.sum(axis=0) @ centres / mass == pytest.approx(x_nm, abs=1)
        assert scene.counts.sum(axis=1) @ centres / mass == pytest.approx(y_nm, abs=1)


def test_the_background_stays_near_its_level():
    source = DensityFrames(background_photons=(20.0, 20.0), empty_share=1.0)
    frames = np.array([scene.counts for scene in scenes(source, 200)])
    # waves of at most 30 % around the level, in six of ten frames
    assert frames.min() > 0.7 * 20
    assert frames.max() < 1.3 * 20
    assert frames.mean() == pytest.approx(20, rel=0.02)
    flat = np.ptp(frames, axis=(1, 2)) < 1e-9
    assert flat.mean() == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / 200))


def test_the_background_level_is_log_uniform():
    source = DensityFrames(empty_share=1.0, crop_px=8)
    levels = np.log([scene.counts.mean() for scene in scenes(source, 300)])
    low, high = np.log(source.background_photons)
    spread = (high - low) / np.sqrt(12 * 300)
    assert abs(levels.mean() - (low + high) / 2) < 4 * spread
    assert levels.min() < low + 0.1 * (high - low)
    assert levels.max() > high - 0.1 * (high - low)


def densities(source: DensityFrames, count: int) -> np.ndarray:
    """Return emitters per square micrometre, margin included, of many frames."""
    edge_um = (source.crop_px + 2 * MARGIN_PX) * source.pixel_size_nm / 1000
    return np.array([len(s.emitters) / edge_um**2 for s in scenes(source, count)])


@pytest.mark.parametrize("filament_share", [0.0, 1.0])
def test_the_density_is_the_one_asked_for(filament_share):
    source = DensityFrames(
        density_per_um2=(4.0, 4.0),
        empty_share=0,
        filament_share=filament_share,
        crop_px=16,
    )
    drawn = densities(source, 120)
    emitters = 4 * 2.6**2
    assert drawn.mean() == pytest.approx(4, abs=4 * 4 / np.sqrt(emitters * 120))
    # Poisson: the variance of the number is the number
    assert drawn.var() * 2.6**4 == pytest.approx(emitters, rel=0.5)


def test_the_density_is_uniform_in_its_square_root():
    source = DensityFrames(empty_share=0, filament_share=0, crop_px=16)
    low, high = np.sqrt(source.density_per_um2)
    expected = (low**2 + low * high + high**2) / 3
    drawn = densities(source, 500)
    assert drawn.mean() == pytest.approx(expected, abs=4 * drawn.std() / np.sqrt(500))
    assert drawn.max() > 7
    assert drawn.min() < 1


def test_emitters_of_the_margin_shine_into_the_frame_without_a_spike():
    source = DensityFrames(background_photons=DARK, empty_share=0, filament_share=0)
    tables = [scene.emitters for scene in scenes(source, 40)]
    x_nm = np.concatenate([table.x_nm for table in tables])
    margin_nm = MARGIN_PX * source.pixel_size_nm
    edge_nm = source.crop_px * source.pixel_size_nm
    assert x_nm.min() >= -margin_nm
    assert x_nm.max() <= edge_nm + margin_nm
    share = np.mean((x_nm < 0) | (x_nm >= edge_nm))
    assert share == pytest.approx(10 / 36, abs=0.02)


def test_photons_and_widths_keep_their_ranges():
    source = DensityFrames(empty_share=0, photons=(300.0, 6000.0))
    tables = [scene.emitters for scene in scenes(source, 60)]
    photons = np.concatenate([np.asarray(table.photons) for table in tables])
    # the logarithm is clipped, its exponential is off by rounding
    assert photons.min() >= 300 * (1 - 1e-12)
    assert photons.max() <= 6000 * (1 + 1e-12)
    assert photons.min() < 330
    assert photons.max() > 5500
    means = np.array([np.mean(np.asarray(t.sigma_nm)) for t in tables if len(t) > 20])
    spreads = np.array(
        [
            np.std(np.asarray(t.sigma_nm)) / np.mean(np.asarray(t.sigma_nm))
            for t in tables
            if len(t) > 20
        ]
    )
    assert 98 < means.min() < 112
    assert 128 < means.max() < 142
    assert spreads.mean() == pytest.approx(0.03, abs=0.003)


def test_dyes_of_half_of_the_frames_resemble_each_other():
    source = DensityFrames(empty_share=0, filament_share=0, density_per_um2=(6, 6))
    spreads = np.array(
        [np.std(np.log(np.asarray(s.emitters.photons))) for s in scenes(source, 120)]
    )
    # any brightness: (ln 6000 - ln 300) / sqrt(12) = 0.865
    assert np.mean(spreads > 0.7) == pytest.approx(0.5, abs=0.2)
    assert spreads.min() < 0.15


@pytest.mark.parametrize(
    ("filament_share", "least", "most"), [(0.0, 0.85, 1.15), (1.0, 1.5, 1e3)]
)
def test_emitters_on_filaments_cluster(filament_share, least, most):
    source = DensityFrames(
        empty_share=0, filament_share=filament_share, density_per_um2=(9, 9)
    )
    bins = np.arange(0, 2601, 200.0)
    factors = []
    for scene in scenes(source, 30):
        table = scene.emitters
        counts = np.histogram2d(table.y_nm, table.x_nm, bins=(bins, bins))[0]
        factors.append(counts.var() / counts.mean())
    # variance over mean of the number in a square: one without structure
    assert least < np.mean(factors) < most


def test_the_share_of_empty_frames_is_kept():
    source = DensityFrames(crop_px=8, density_per_um2=(9, 9))
    empty = np.mean([len(scene.emitters) == 0 for scene in scenes(source, 600)])
    assert empty == pytest.approx(0.08, abs=4 * np.sqrt(0.08 * 0.92 / 600))


def test_empty_frames_are_finite_and_without_spikes():
    source = DensityFrames(empty_share=1.0, crop_px=12)
    for i in range(20):
        frame, spikes = source.sample(generator(4, i))
        assert np.isfinite(frame).all()
        assert frame.std() > 0
        assert not spikes.any()
    recording = source.override(field_px=16).record(generator(4), frames=3)
    assert isinstance(recording.truth, Localizations)
    assert len(recording.truth) == 0
    assert recording.counts.shape == (3, 16, 16)


@pytest.mark.parametrize(("crop_px", "scale"), [(8, 8), (13, 8), (26, 4), (64, 8)])
def test_pairs_have_the_shapes_that_are_declared(crop_px, scale):
    frame, spikes = DensityFrames(crop_px=crop_px, scale=scale).sample(generator(2))
    assert frame.shape == (crop_px, crop_px, 1)
    assert spikes.shape == (crop_px * scale, crop_px * scale, 1)
    assert frame.dtype == spikes.dtype == np.float32
    assert frame.min() >= -0.5
    assert frame.max() <= 3.0
    assert set(np.unique(spikes)) <= {0.0, 1.0}


def test_seeds_decide():
    source = DensityFrames(crop_px=16, empty_share=0)
    first, again, other = (source.sample(generator(8, i)) for i in (0, 0, 1))
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one, two)
    for one, two in zip(first, other, strict=True):
        assert not np.array_equal(one, two)


def test_a_sample_does_not_depend_on_the_ones_before():
    source = DensityFrames(crop_px=16)
    expected = source.sample(generator(8, 5))
    for i in range(5):
        source.sample(generator(8, i))
    repeated = source.sample(generator(8, 5))
    assert np.array_equal(expected[0], repeated[0])
    assert np.array_equal(expected[1], repeated[1])


def test_a_recording_is_a_movie_and_the_emitters_in_its_field():
    source = DensityFrames(field_px=24, empty_share=0, density_per_um2=(3, 3))
    counts, truth, pixel_size_nm = source.record(generator(6), frames=5)[:3]
    assert counts.shape == (5, 24, 24)
    assert counts.dtype == np.uint16
    assert pixel_size_nm == 100.0
    assert isinstance(truth, Localizations)
    assert sorted(set(truth.frame.tolist())) == [1, 2, 3, 4, 5]
    assert set(truth.columns) == {"x_nm", "y_nm", "frame", "photons", "sigma_nm"}
    for position in (truth.x_nm, truth.y_nm):
        assert position.min() >= 0
        assert position.max() < 2400
    # 3 per square micrometre on 2.4 x 2.4 of them in five frames
    assert len(truth) == pytest.approx(86.4, abs=4 * np.sqrt(86.4))
    again = source.record(generator(6), frames=5)
    assert np.array_equal(again.counts, counts)
    assert np.array_equal(again.truth.x_nm, truth.x_nm)  # type: ignore[union-attr]


def test_the_emitters_of_a_recording_are_where_its_light_is():
    source = DensityFrames(
        field_px=32,
        empty_share=0,
        filament_share=0,
        density_per_um2=(0.3, 0.3),
        photons=(6000, 6000),
        background_photons=(2, 2),
    )
    counts, truth, *_ = source.record(generator(12), frames=6)
    assert isinstance(truth, Localizations)
    assert len(truth) > 6
    for frame in range(1, 7):
        here = truth.select(truth.frame == frame)
        image = counts[frame - 1].astype(float)
        rows, columns = (np.floor(p / 100).astype(int) for p in (here.y_nm, here.x_nm))
        background = np.median(image)
        assert (image[rows, columns] > background + 5 * np.sqrt(background)).all()


@pytest.mark.parametrize(
    ("field", "bounds"),
    [
        ("photons", (0.0, 10.0)),
        ("photons", (20.0, 10.0)),
        ("psf_sigma_nm", (-1.0, 10.0)),
        ("density_per_um2", (0.0, 0.0)),
        ("background_photons", (5.0, 4.0)),
    ],
)
def test_ranges_rise_and_are_positive(field, bounds):
    with pytest.raises(ValueError, match="pair of positive bounds") as caught:
        DensityFrames().override(**{field: bounds})
    assert field in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("crop_px", 7), ("scale", 0), ("pixel_size_nm", 0), ("empty_share", 1.1)],
)
def test_fields_keep_their_bounds(field, value):
    with pytest.raises(ValueError, match=field):
        DensityFrames().override(**{field: value})


def test_the_measured_counterpart_keeps_the_geometry():
    source = DensityFrames(crop_px=17, scale=4, pixel_size_nm=80.0)
    assert source.measured(Path("somewhere")) == MeasuredFrames(
        folder=Path("somewhere"), crop_px=17, scale=4, pixel_size_nm=80.0
    )


def test_other_sources_cannot_be_pointed_at_a_folder():
    class Noise(Source):
        kind: Literal["noise_only"] = "noise_only"

        def sample(self, rng):
            return rng.random((8, 8, 1)), rng.random((8, 8, 1))

        def record(self, rng, *, frames):
            raise NotImplementedError

    with pytest.raises(BadInput, match="leave --data out"):
        Noise().measured(Path("somewhere"))


def test_drawn_cameras_keep_their_ranges():
    prior = CameraPrior()
    drawn = [prior.draw(generator(3, i)) for i in range(300)]
    emccd = [camera for camera in drawn if isinstance(camera, EmCcd)]
    scmos = [camera for camera in drawn if isinstance(camera, Scmos)]
    assert len(emccd) + len(scmos) == 300
    assert len(emccd) == pytest.approx(150, abs=35)
    for cameras, field, bounds in (
        (emccd, "quantum_efficiency", prior.emccd_quantum_efficiency),
        (emccd, "em_gain", prior.em_gain),
        (emccd, "read_noise_e", prior.emccd_read_noise_e),
        (emccd, "e_per_adu", prior.emccd_e_per_adu),
        (scmos, "quantum_efficiency", prior.scmos_quantum_efficiency),
        (scmos, "adu_per_e", prior.scmos_adu_per_e),
        (scmos, "read_noise_e", prior.scmos_read_noise_e),
        (scmos, "hot_fraction", prior.hot_fraction),
        (drawn, "offset_adu", prior.offset_adu),
    ):
        values = np.array([getattr(camera, field) for camera in cameras])
        low, high = bounds
        assert low <= values.min() < low + 0.1 * (high - low), field
        assert high - 0.1 * (high - low) < values.max() <= high, field
    assert {camera.sensor for camera in scmos} == set(range(8))


@pytest.mark.parametrize(("share", "kind"), [(0.0, Scmos), (1.0, EmCcd)])
def test_the_share_of_cameras_is_obeyed(share, kind):
    prior = CameraPrior(emccd_share=share)
    assert {type(prior.draw(generator(i))) for i in range(30)} == {kind}
