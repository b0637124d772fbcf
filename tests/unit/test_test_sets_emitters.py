"""The frozen test set of emitters: what is in it, that it stays, how it is scored."""

import hashlib

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Products, Table
from zoo.core.random import generator
from zoo.core.test_set import Case
from zoo.test_sets.emitters import CAMERAS, EmitterTestSet

REDUCED = EmitterTestSet(
    field_px=20,
    densities_per_um2=(1.0, 6.0),
    frames=2,
    photon_levels=(2250.0,),
    isolated_frames=2,
    spacing_px=9,
    empty_frames=2,
)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return list(REDUCED.cases())


def digest(*arrays: np.ndarray) -> str:
    total = hashlib.sha256()
    for array in arrays:
        total.update(str(array.shape).encode())
        total.update(np.ascontiguousarray(array).astype("<i8").tobytes())
    return total.hexdigest()[:16]


def test_the_declaration_of_the_published_scores_is_frozen():
    # scores in metrics.json, cards and README belong to these numbers: changing one
    # means measuring every package again
    assert EmitterTestSet().model_dump() == {
        "kind": "emitters",
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


def test_the_movies_of_the_published_scores_are_frozen(cases):
    # made with numpy 2.4 and scipy 1.17 on x86-64; a change here without a change of
    # the declaration means that the simulator, and with it every score, has changed
    found = {
        f"{case.name} {case.facts}": (
            digest(case.input),
            digest(
                np.round(case.truth.x_nm * 100),
                np.round(case.truth.y_nm * 100),
                case.truth.frame,
            ),
        )
        for case in cases
    }
    assert found == CHECKSUMS


def test_every_condition_is_taken_with_both_cameras(cases):
    names = [(case.name, case.facts) for case in cases]
    conditions = ["density/1", "density/6", "photons/2250", "empty/all"]
    assert names == [(name, camera) for camera in CAMERAS for name in conditions]
    for case in cases:
        assert case.input.shape == (2, 20, 20)
        assert case.input.dtype == np.uint16


def test_another_seed_gives_another_set(cases):
    other = list(REDUCED.override(seed=1).cases())
    for first, second in zip(cases, other, strict=True):
        assert not np.array_equal(first.input, second.input)


def test_cases_share_no_noise_and_no_emitters(cases):
    for i, first in enumerate(cases):
        for second in cases[i + 1 :]:
            assert not np.array_equal(first.input, second.input)
            if len(first.truth) and len(second.truth):
                assert not np.isin(first.truth.x_nm, second.truth.x_nm).any()


def test_truth_is_complete_inside_the_field(cases):
    for case in cases:
        truth = case.truth
        for position in (truth.x_nm, truth.y_nm):
            assert ((position >= 0) & (position < 2000)).all()
        assert set(truth.frame.tolist()) <= {1, 2}


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("density", [1.0, 3.0, 6.0])
def test_densities_are_those_of_their_names(camera, density):
    declared = EmitterTestSet(frames=12)
    case = declared.density(generator(5), camera, density)
    assert case.name == f"density/{density:g}"
    expected = density * 6.4**2 * 12
    assert len(case.truth) == pytest.approx(expected, abs=4 * np.sqrt(expected))
    truth = case.truth
    assert truth.photons is not None
    assert set(truth.photons.tolist()) == {2250.0}
    # the movie holds background, and the light of emitters, on average
    photons = CAMERAS[camera].to_photons(case.input)
    per_pixel = 20 + density * 0.01 * 2250
    noise = np.sqrt(2 * per_pixel / photons.size) + 2250 * np.sqrt(expected) / (
        photons.size
    )
    assert photons.mean() == pytest.approx(per_pixel, abs=5 * noise)


def test_emitters_outside_the_field_shine_into_it():
    case = EmitterTestSet(frames=40, field_px=16).density(generator(5), "scmos", 3.0)
    mean = CAMERAS["scmos"].to_photons(case.input).mean(axis=0)
    border = np.concatenate([mean[0], mean[-1], mean[:, 0], mean[:, -1]]).mean()
    # without a margin the border would hold half of the light above the background
    assert (border - 20) / (mean[4:-4, 4:-4].mean() - 20) > 0.8


def test_isolated_emitters_do_not_overlap():
    declared = EmitterTestSet(densities_per_um2=(), isolated_frames=3, empty_frames=1)
    isolated = [r for r in declared.cases() if r.name.startswith("photons/")]
    assert [(r.name, r.facts) for r in isolated] == [
        (f"photons/{level}", camera)
        for camera in CAMERAS
        for level in (500, 1000, 2250, 5000)
    ]
    for case in isolated:
        truth = case.truth
        assert truth.photons is not None
        assert set(truth.photons.tolist()) == {float(case.name.split("/")[1])}
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
    declared = EmitterTestSet(
        densities_per_um2=(), photon_levels=(1000.0,), empty_frames=1
    )
    (first, second) = (r.truth for r in declared.cases() if r.name == "photons/1000")
    for truth in (first, second):
        for position in (truth.x_nm, truth.y_nm):
            phase = position / 100 % 1
            assert abs(phase.mean() - 0.5) < 4 / np.sqrt(12 * phase.size)
            assert np.histogram(phase, bins=8, range=(0, 1))[0].min() > 0


def test_empty_frames_hold_background_only(cases):
    for case in (r for r in cases if r.name == "empty/all"):
        assert len(case.truth) == 0
        photons = CAMERAS[case.facts].to_photons(case.input)
        assert photons.mean() == pytest.approx(20, abs=5 * np.sqrt(40 / photons.size))
        assert np.ptp(case.input) > 0


def test_the_first_case_is_that_of_the_published_scores():
    case = next(EmitterTestSet().cases())
    digits = hashlib.sha256(case.input.astype("<u2").tobytes()).hexdigest()
    assert (case.name, case.facts, case.pixel_size_nm) == ("density/1", "emccd", 100)
    assert len(case.truth) == 2532
    assert digits == "9237023999e6ca0e52598e3cac10c4fbeb7fe4c8a405b3c259881092391d75b7"


def test_the_example_is_a_frame_of_the_middle_density(cases):
    test_set = REDUCED.override(densities_per_um2=(1.0, 6.0, 9.0))
    frame = test_set.example()
    assert frame.shape == (20, 20, 1)
    assert frame.dtype == np.float32
    assert np.array_equal(frame[..., 0], cases[1].input[0])


def scored(cases, products):
    return REDUCED.metrics([(c.name, REDUCED.score(c, products(c))) for c in cases])


def test_the_truth_is_pooled_over_cameras_and_compared_with_the_bound(cases):
    metrics = scored(cases, REDUCED.perfect)
    assert list(metrics) == [
        "density",
        "empty",
        "density_emccd",
        "density_scmos",
        "photons_emccd",
        "photons_scmos",
    ]
    density = metrics["density"]["6"]
    assert list(density)[:3] == ["jaccard", "precision", "recall"]
    assert (density["jaccard"], density["rmse_lateral_nm"]) == (1, 0)
    assert density["tp"] == sum(
        metrics[f"density_{camera}"]["6"]["tp"] for camera in CAMERAS
    )
    assert "rmse_over_crlb" not in density
    assert "rmse_axial_nm" not in density
    assert metrics["photons_emccd"]["2250"]["rmse_over_crlb"] == 0
    assert metrics["empty"]["all"] == {
        "frames": 4,
        "false_localizations": 0,
        "false_per_100_frames": 0,
    }


def test_errors_are_measured_along_all_axes_and_against_the_bound():
    test_set = EmitterTestSet(
        densities_per_um2=(), photon_levels=(1000.0,), isolated_frames=2, empty_frames=1
    )
    cases = [
        case._replace(truth=case.truth.with_columns(z_nm=0 * case.truth.x_nm))
        for case in test_set.cases()
        if case.name == "photons/1000"
    ]

    def moved(case):
        (table,) = test_set.perfect(case).tables.values()
        step = np.where(table.frame == 1, 6.0, 8.0)
        moved = table.with_columns(y_nm=table.y_nm + step, z_nm=table.z_nm - 30)
        return Products([Table("localizations", moved)])

    metrics = test_set.metrics([(c.name, test_set.score(c, moved(c))) for c in cases])
    values = metrics["photons_scmos"]["1000"]
    assert (values["bias_x_nm"], values["bias_y_nm"]) == (0, 7)
    assert values["bias_z_nm"] == -30
    assert values["rmse_axial_nm"] == 30
    assert values["rmse_lateral_nm"] == pytest.approx(np.sqrt(50), abs=1e-4)
    # the bound of 1000 photons without background would be 110 sqrt(2 / 1000) nm
    assert 0.5 < values["rmse_over_crlb"] < np.sqrt(50) / 110 * np.sqrt(500)
    assert "empty" not in metrics


def test_every_localization_in_an_empty_frame_is_false(cases):
    def everywhere(_case):
        spot = Localizations(x_nm=np.full(3, 900.0), y_nm=np.full(3, 900.0))
        return Products([Table("localizations", spot)])

    assert scored(cases, everywhere)["empty"]["all"]["false_per_100_frames"] == 150


def test_a_package_without_localizations_cannot_be_scored(cases):
    with pytest.raises(BadInput, match="density/1 is scored by its localizations"):
        REDUCED.score(cases[0], Products())
