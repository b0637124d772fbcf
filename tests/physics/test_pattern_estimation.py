"""Illumination patterns estimated from raw frames against those of the simulation."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.core.errors import BadInput
from zoo.core.random import generator
from zoo.physics.illumination import Pattern, sim_images
from zoo.physics.optics import Optics, otf_grid
from zoo.physics.pattern_estimation import (
    LOWEST_MODULATION,
    NoPattern,
    estimate_pattern,
    faint_pattern,
)
from zoo.physics.sim_reconstruction import reconstruct, wiener_parameter
from zoo.physics.specimens import SPECIMENS
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import expose


class Acquisition(NamedTuple):
    name: str
    frames: np.ndarray  # (9 or 1, y, x) photons
    target: np.ndarray  # (2y, 2x)
    pattern: Pattern
    optics: Optics


def acquisitions(photons, *, seed=77, images=1, modality="sim"):
    source = SimPairs(crop_px=128, modality=modality)
    for kind, structure in enumerate(SPECIMENS):
        for number in range(images):
            rng = generator(seed, kind, number)
            camera = source.camera.draw(rng)
            row, column = rng.integers(512, size=2)
            where = int(row), int(column)
            scene = source.scene(rng, structure)
            noise = generator(seed, kind, number, round(1000 * photons))
            counts = expose(scene, noise, camera, photons, origin=where)
            frames = camera.to_photons(counts, origin=where)
            yield Acquisition(
                structure, frames, scene.target, scene.pattern, scene.optics
            )


SIM = Optics(na=1.41, wavelength_nm=525.0, pixel_nm=62.6)


def turned(angles):
    """Return angles within half a turn of zero, degrees."""
    return np.degrees(np.angle(np.exp(1j * np.asarray(angles))))


def rising(pattern):
    """Return the same pattern with phases that rise along the frames."""
    step = turned(pattern.phases_rad[0][1] - pattern.phases_rad[0][0])
    if step > 0:
        return pattern
    return pattern.model_copy(
        update={
            "angles_rad": tuple(angle + np.pi for angle in pattern.angles_rad),
            "phases_rad": tuple(
                tuple(-phase for phase in row) for row in pattern.phases_rad
            ),
        }
    )


def at_centre(pattern, side_px, pixel_nm):
    """Return the phases in the middle of the field, where vectors matter least."""
    way = pattern.vectors_per_um().sum(axis=1) * side_px * pixel_nm / 2000
    return np.array(pattern.phases_rad) + 2 * np.pi * way[:, None]


@pytest.fixture(scope="module")
def bright():
    return [
        (taken, estimate_pattern(taken.frames, taken.optics))
        for taken in acquisitions(600.0)
    ]


def test_the_pattern_is_found_at_high_light_on_every_structure(bright):
    errors = []
    for taken, found in bright:
        true = rising(taken.pattern)
        assert found.frequency_per_um == pytest.approx(true.frequency_per_um, rel=0.002)
        turn = turned(np.subtract(found.angles_rad, true.angles_rad))
        np.testing.assert_allclose(turn, 0, atol=0.3, err_msg=taken.name)
        side, pixel_nm = taken.frames.shape[-1], taken.optics.pixel_nm
        error = at_centre(found, side, pixel_nm) - at_centre(true, side, pixel_nm)
        errors.append(np.abs(turned(error)))
        np.testing.assert_allclose(turned(error), 0, atol=10, err_msg=taken.name)
        corner = turned(np.subtract(found.phases_rad, true.phases_rad))
        np.testing.assert_allclose(corner, 0, atol=20, err_msg=taken.name)
        modulation = np.divide(found.modulations, true.modulations)
        assert modulation.mean() == pytest.approx(1, abs=0.1)
        np.testing.assert_allclose(modulation, 1, atol=0.2, err_msg=taken.name)
    # 1.5 degrees on average; steps taken as equal would be off by 2.3
    assert np.mean(errors) < 2.2


def psnr(image, target):
    matrix = np.stack([image.ravel(), np.ones(image.size)], axis=1)
    fit = matrix @ np.linalg.lstsq(matrix, target.ravel(), rcond=None)[0]
    return -10 * np.log10(np.mean((fit - target.ravel()) ** 2))


def test_the_reconstruction_is_nearly_that_with_the_true_pattern(bright):
    lost = []
    for taken, found in bright:
        true, own = (
            psnr(
                reconstruct(
                    taken.frames,
                    pattern,
                    taken.optics,
                    regularisation=wiener_parameter(600.0),
                ),
                taken.target,
            )
            for pattern in (taken.pattern, found)
        )
        lost.append(true - own)
    assert np.mean(lost) < 0.3
    assert max(lost) < 1.0


def test_few_photons_cost_orientations_but_hardly_give_wrong_ones():
    right, wrong = [], []
    for taken in acquisitions(15.0, seed=78, images=2):
        found = estimate_pattern(taken.frames, taken.optics)
        turn = turned(np.subtract(found.angles_rad, rising(taken.pattern).angles_rad))
        frequency = found.frequency_per_um / taken.pattern.frequency_per_um
        near = (np.abs(turn) < 1) & (abs(frequency - 1) < 0.005)
        visible = np.array(found.modulations) > LOWEST_MODULATION
        right.append((near & visible).mean())
        wrong.append((~near & visible).mean())
    assert np.mean(right) >= 0.8
    assert np.mean(wrong) <= 0.07


def uniform_illumination(taken, rng):
    mean = gaussian_filter(np.maximum(taken.frames.mean(axis=0), 0), 1.0)
    return rng.poisson(mean, (9, *mean.shape)).astype(float)


@pytest.mark.parametrize("photons", [15.0, 600.0])
def test_no_pattern_is_found_where_there_is_none(photons):
    rng = np.random.default_rng(3)
    for taken in acquisitions(photons, modality="widefield"):
        with pytest.raises(NoPattern, match=r"pattern of .* cycles/µm stands out"):
            estimate_pattern(uniform_illumination(taken, rng), taken.optics)


@pytest.mark.parametrize("frames", [np.zeros((9, 32, 32)), np.full((9, 20, 24), 7.0)])
def test_empty_frames_have_no_pattern(frames):
    with pytest.raises(BadInput, match="show no pattern"):
        estimate_pattern(frames, SIM)


def test_an_orientation_without_pattern_is_marked(bright):
    taken, _ = bright[0]
    frames = taken.frames.copy()
    frames[3:6] = uniform_illumination(taken, np.random.default_rng(5))[3:6]
    found = estimate_pattern(frames, taken.optics)
    assert found.modulations[1] == LOWEST_MODULATION
    for number in (0, 2):
        assert found.modulations[number] > 0.5 * taken.pattern.modulations[number]
        turn = found.angles_rad[number] - rising(taken.pattern).angles_rad[number]
        assert abs(turned(turn)) < 0.3


def drawn(pattern, shape=(96, 120)):
    """Return noisy frames of scattered points; the field is not square."""
    rng = np.random.default_rng(1)
    margin = 8
    fine = tuple(2 * (side + 2 * margin) for side in shape)
    sample = np.zeros(fine)
    sample[rng.integers(fine[0], size=1500), rng.integers(fine[1], size=1500)] = 3000.0
    transfer = otf_grid(SIM, fine, pixel_nm=SIM.pixel_nm / 2)
    frames = sim_images(
        sample,
        pattern,
        transfer,
        pixel_nm=SIM.pixel_nm / 2,
        binning=2,
        origin_px=2 * margin,
    )[:, margin:-margin, margin:-margin]
    return rng.poisson(np.maximum(frames, 0) + 3.0).astype(float)


@pytest.mark.parametrize("phases", [3, 5])
@pytest.mark.parametrize("factor", [0.75, 1.0])
def test_any_frequency_number_of_phases_and_order(phases, factor):
    steps = 2 * np.pi * np.arange(phases) / phases + 0.08 * np.sin(np.arange(phases))
    true = Pattern(
        frequency_per_um=factor * SIM.cutoff_per_um,
        angles_rad=(0.4, 2.9, 1.5),
        phases_rad=tuple(tuple(row) for row in (1 + steps, 2 - steps, 3 + steps)),
        modulations=(0.8, 0.5, 0.6),
    )
    found = estimate_pattern(drawn(true), SIM)
    assert found.frequency_per_um == pytest.approx(true.frequency_per_um, rel=0.002)
    # a pattern that runs backwards is that of the opposite vector running forwards
    turn = turned(np.subtract(found.angles_rad, (0.4, 2.9 + np.pi, 1.5)))
    np.testing.assert_allclose(turn, 0, atol=0.2)
    phase = turned(np.subtract(found.phases_rad, (1 + steps, steps - 2, 3 + steps)))
    np.testing.assert_allclose(phase, 0, atol=12)
    np.testing.assert_allclose(found.modulations, true.modulations, rtol=0.1)


def test_frames_without_noise_are_no_exception():
    true = faint_pattern(SIM).override(modulations=(0.6, 0.6, 0.6))
    found = estimate_pattern(gaussian_filter(drawn(true), (0, 1, 1)), SIM)
    assert found.frequency_per_um == pytest.approx(true.frequency_per_um, rel=0.005)


def test_a_faint_pattern_leaves_the_sharpened_mean():
    pattern = faint_pattern(SIM)
    frames = drawn(pattern, shape=(32, 32))
    image = reconstruct(frames, pattern, SIM)
    mean = np.tile(frames.mean(axis=0), (9, 1, 1))
    uniform = reconstruct(mean, pattern, SIM)
    assert np.corrcoef(image.ravel(), uniform.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.ones((8, 32, 32)), "as many for each of 3"),
        (np.ones((9, 32)), "must be"),
        (np.ones((6, 32, 32)), "at least 3 frames of 16 px"),
        (np.ones((9, 12, 32)), "at least 3 frames of 16 px"),
        (np.full((9, 32, 32), np.nan), "finite"),
    ],
)
def test_what_cannot_be_analysed_is_refused(frames, message):
    with pytest.raises(ValueError, match=message):
        estimate_pattern(frames, SIM)


def test_coarse_pixels_leave_no_frequencies_to_search():
    optics = SIM.override(pixel_nm=1000.0)
    frames = np.eye(32)[None] * np.ones((9, 1, 1))
    with pytest.raises(ValueError, match="no frequencies within"):
        estimate_pattern(frames, optics)
