"""The frozen test set: what is in it, and that it stays what it is."""

import hashlib

import numpy as np
import pytest

from zoo.core.random import generator
from zoo.simulate.benchmark import CAMERAS, BenchmarkRecording, DensityBenchmark

REDUCED = DensityBenchmark(
    field_px=20,
    densities_per_um2=(1.0, 6.0),
    frames=2,
    photon_levels=(2250.0,),
    isolated_frames=2,
    spacing_px=9,
    empty_frames=2,
)


@pytest.fixture(scope="module")
def recordings() -> list[BenchmarkRecording]:
    return REDUCED.recordings()


def digest(*arrays: np.ndarray) -> str:
    total = hashlib.sha256()
    for array in arrays:
        total.update(str(array.shape).encode())
        total.update(np.ascontiguousarray(array).astype("<i8").tobytes())
    return total.hexdigest()[:16]


def test_the_declaration_of_the_published_scores_is_frozen():
    # scores in metrics.json, cards and README belong to these numbers: changing one
    # means measuring every package again
    assert DensityBenchmark().model_dump() == {
        "kind": "density_benchmark",
        "seed": 20181,
        "field_px": 64,
        "pixel_size_nm": 100.0,
        "psf_sigma_nm": 110.0,
        "photons": 2250.0,
        "background_photons": 20.0,
        "densities_per_um2": (1.0, 3.0, 6.0),
        "frames": 60,
        "photon_levels": (500.0, 1000.0, 2250.0, 5000.0),
        "isolated_frames": 20,
        "spacing_px": 13,
        "empty_frames": 100,
    }


def test_the_cameras_of_the_published_scores_are_frozen():
    assert {name: camera.model_dump() for name, camera in CAMERAS.items()} == {
        "emccd": {
            "kind": "emccd",
            "quantum_efficiency": 0.9,
            "spurious_e": 0.002,
            "offset_adu": 100.0,
            "bits": 16,
            "em_gain": 300.0,
            "read_noise_e": 74.4,
            "e_per_adu": 45.0,
        },
        "scmos": {
            "kind": "scmos",
            "quantum_efficiency": 0.82,
            "spurious_e": 0.002,
            "offset_adu": 100.0,
            "bits": 16,
            "adu_per_e": 2.17,
            "read_noise_e": 1.0,
            "read_noise_spread": 0.35,
            "hot_fraction": 0.003,
            "offset_sd_adu": 2.0,
            "gain_spread": 0.015,
            "sensor": 0,
        },
    }


CHECKSUMS = {
    "density/1 emccd": ("269d2d4e3dff4d21", "ee6b9a567504f04b"),
    "density/6 emccd": ("54b501f00baf9773", "bfa681afe4ae4e5d"),
    "photons/2250 emccd": ("de39c4cf9401f4f1", "0ff01a8599989881"),
    "empty/all emccd": ("669e252f8ebef917", "2d9a9943fc529bf3"),
    "density/1 scmos": ("df3eb4599d675b39", "eb83771dbeb0baf5"),
    "density/6 scmos": ("53660318683cafdc", "0bd2c76c60306fd4"),
    "photons/2250 scmos": ("a1cfe044dd247447", "7f65c76f730ae3c0"),
    "empty/all scmos": ("4939716e5bea0af1", "2d9a9943fc529bf3"),
}


def test_the_pictures_of_the_published_scores_are_frozen(recordings):
    # made with numpy 2.4 and scipy 1.17 on x86-64; a change here without a change of
    # the declaration means that the simulator, and with it every score, has changed
    found = {
        f"{recording.name} {recording.camera}": (
            digest(recording.counts),
            digest(
                np.round(recording.truth.x_nm * 100),
                np.round(recording.truth.y_nm * 100),
                recording.truth.frame,
            ),
        )
        for recording in recordings
    }
    assert found == CHECKSUMS


def test_every_condition_is_taken_with_both_cameras(recordings):
    names = [(recording.name, recording.camera) for recording in recordings]
    conditions = ["density/1", "density/6", "photons/2250", "empty/all"]
    assert names == [(name, camera) for camera in CAMERAS for name in conditions]
    for recording in recordings:
        assert recording.counts.shape == (2, 20, 20)
        assert recording.counts.dtype == np.uint16


def test_equal_declarations_give_equal_counts(recordings):
    again = REDUCED.override().recordings()
    for first, second in zip(recordings, again, strict=True):
        assert np.array_equal(first.counts, second.counts)
        assert np.array_equal(first.truth.x_nm, second.truth.x_nm)


def test_another_seed_gives_another_set(recordings):
    other = REDUCED.override(seed=1).recordings()
    for first, second in zip(recordings, other, strict=True):
        assert not np.array_equal(first.counts, second.counts)


def test_recordings_share_no_noise_and_no_emitters(recordings):
    for i, first in enumerate(recordings):
        for second in recordings[i + 1 :]:
            assert not np.array_equal(first.counts, second.counts)
            if len(first.truth) and len(second.truth):
                assert not np.isin(first.truth.x_nm, second.truth.x_nm).any()


def test_truth_is_complete_inside_the_field(recordings):
    for recording in recordings:
        truth = recording.truth
        for position in (truth.x_nm, truth.y_nm):
            assert ((position >= 0) & (position < 2000)).all()
        assert set(truth.frame.tolist()) <= {1, 2}


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("density", [1.0, 3.0, 6.0])
def test_densities_are_those_of_their_names(camera, density):
    declared = DensityBenchmark(frames=12)
    recording = declared.density(generator(5), camera, density)
    assert recording.name == f"density/{density:g}"
    expected = density * 6.4**2 * 12
    assert len(recording.truth) == pytest.approx(expected, abs=4 * np.sqrt(expected))
    truth = recording.truth
    assert truth.photons is not None
    assert set(truth.photons.tolist()) == {2250.0}
    # the picture holds background, and the light of emitters, on average
    photons = CAMERAS[camera].to_photons(recording.counts)
    per_pixel = 20 + density * 0.01 * 2250
    noise = np.sqrt(2 * per_pixel / photons.size) + 2250 * np.sqrt(expected) / (
        photons.size
    )
    assert photons.mean() == pytest.approx(per_pixel, abs=5 * noise)


def test_emitters_outside_the_field_shine_into_it():
    recording = DensityBenchmark(frames=40, field_px=16).density(
        generator(5), "scmos", 3.0
    )
    mean = CAMERAS["scmos"].to_photons(recording.counts).mean(axis=0)
    border = np.concatenate([mean[0], mean[-1], mean[:, 0], mean[:, -1]]).mean()
    # without a margin the border would hold half of the light above the background
    assert (border - 20) / (mean[4:-4, 4:-4].mean() - 20) > 0.8


def test_isolated_emitters_do_not_overlap():
    declared = DensityBenchmark(densities_per_um2=(), isolated_frames=3, empty_frames=1)
    isolated = [r for r in declared.recordings() if r.name.startswith("photons/")]
    assert [(r.name, r.camera) for r in isolated] == [
        (f"photons/{level}", camera)
        for camera in CAMERAS
        for level in (500, 1000, 2250, 5000)
    ]
    for recording in isolated:
        truth = recording.truth
        assert truth.photons is not None
        assert set(truth.photons.tolist()) == {float(recording.name.split("/")[1])}
        for frame in (1, 2, 3):
            here = truth.select(truth.frame == frame)
            assert len(here) == 25
            distance = np.hypot(
                here.x_nm[:, None] - here.x_nm, here.y_nm[:, None] - here.y_nm
            )
            np.fill_diagonal(distance, np.inf)
            # a lattice of 13 px, each node moved by one at most
            assert distance.min() >= 11 * 100
            # and away from the border, where a score leaves emitters out
            ends = np.array([here.x_nm.min(), here.y_nm.min()])
            assert ends.min() >= 550
            assert max(here.x_nm.max(), here.y_nm.max()) <= 6400 - 450
        assert len(np.unique(truth.x_nm)) == len(truth)


def test_isolated_emitters_cover_all_parts_of_a_pixel():
    declared = DensityBenchmark(
        densities_per_um2=(), photon_levels=(1000.0,), empty_frames=1
    )
    (first, second) = (
        r.truth for r in declared.recordings() if r.name == "photons/1000"
    )
    for truth in (first, second):
        for position in (truth.x_nm, truth.y_nm):
            phase = position / 100 % 1
            assert abs(phase.mean() - 0.5) < 4 / np.sqrt(12 * phase.size)
            assert np.histogram(phase, bins=8, range=(0, 1))[0].min() > 0


def test_empty_frames_hold_background_only(recordings):
    for recording in (r for r in recordings if r.name == "empty/all"):
        assert len(recording.truth) == 0
        photons = CAMERAS[recording.camera].to_photons(recording.counts)
        assert photons.mean() == pytest.approx(20, abs=5 * np.sqrt(40 / photons.size))
        assert np.ptp(recording.counts) > 0
