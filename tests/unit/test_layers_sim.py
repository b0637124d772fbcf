"""The blind SIM reconstruction inside a graph, against simulation and physics."""

from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import ops

from zoo.core.random import generator
from zoo.core.sim_pattern import LENGTH
from zoo.layers.sim.components import components, plane_waves
from zoo.layers.sim.entrance import enterable
from zoo.layers.sim.pattern import PatternEstimate, estimate_pattern
from zoo.layers.sim.reconstruction import (
    MAPS,
    REGULARISATIONS,
    SCALE,
    reconstruct,
    reconstructions,
)
from zoo.layers.sim.transfer import transfer
from zoo.physics import pattern_estimation, sim_reconstruction
from zoo.physics.illumination import Pattern
from zoo.physics.optics import Optics
from zoo.physics.sim_reconstruction import frame_transfer
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import expose, scaled_counts, scaled_target

# raised inside Keras where it reads its own variables
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

SOURCE = SimPairs(crop_px=128, photons=(400.0, 600.0), modulation=(0.5, 1.0))
STRUCTURES = ("microtubules", "actin", "pits", "er", "mitochondria")


class Acquisition(NamedTuple):
    frames: np.ndarray  # (1, y, x, 9)
    photons: np.ndarray  # (9, y, x)
    target: np.ndarray  # (2y, 2x)
    pattern: Pattern
    optics: Optics


def acquisition(number, structure, *, source=SOURCE):
    rng = generator(31, number)
    scene = source.scene(rng, structure)
    photons = float(rng.uniform(*source.photons))
    camera = source.camera.draw(rng)
    counts = expose(scene, rng, camera, photons)
    return Acquisition(
        scaled_counts(counts)[None],
        camera.to_photons(counts),
        scaled_target(scene)[..., 0],
        scene.pattern,
        scene.optics,
    )


@pytest.fixture(scope="module")
def acquisitions():
    return [acquisition(n, structure) for n, structure in enumerate(STRUCTURES)]


def tensor(array):
    return ops.convert_to_tensor(np.asarray(array, "float32"))


def estimate(frames):
    found = estimate_pattern(*components(tensor(frames)))
    return PatternEstimate(*(ops.convert_to_numpy(part)[0] for part in found))


def drawn(pattern, pixel_nm):
    """Return vectors in cycles per pixel, so turned that phases rise."""
    steps = np.diff(np.array(pattern.phases_rad)[:, :2], axis=1)[:, 0]
    sign = np.where(np.sin(steps) > 0, 1.0, -1.0)
    return sign, sign[:, None] * pattern.vectors_per_um() * pixel_nm / 1000


def as_estimate(pattern, optics, size):
    """Return a drawn pattern as an estimate of a graph, phases from equal steps."""
    sign, vectors = drawn(pattern, optics.pixel_nm)
    steps = 2 * np.pi * np.arange(3) / 3
    turned = np.exp(1j * (sign[:, None] * np.array(pattern.phases_rad) - steps))
    middle = np.exp(1j * (np.angle(turned.sum(1)) + np.pi * size * vectors.sum(axis=1)))
    return PatternEstimate(
        tensor(vectors[None]),
        tensor(np.stack([middle.real, middle.imag], -1)[None]),
        tensor([pattern.modulations]),
        tensor([optics.cutoff_per_um * optics.pixel_nm / 1000]),
        tensor([attenuation_of(optics)]),
        tensor([[10.0] * 3]),
        tensor([[1.0] * 3]),
    )


def attenuation_of(optics):
    """Return the OTF attenuation by a Gaussian blur, cut-off as the unit."""
    return 2 * (np.pi * optics.blur_nm / 1000 * optics.cutoff_per_um) ** 2


def psnr(image, target):
    inner = slice(16, -16)
    image, target = image[inner, inner].ravel(), target[inner, inner].ravel()
    matrix = np.stack([image, np.ones_like(image)], axis=1)
    fit = matrix @ np.linalg.lstsq(matrix, target, rcond=None)[0]
    return -10 * np.log10(np.mean((fit - target) ** 2))


def test_graph_and_physics_estimate_the_same_pattern(acquisitions):
    for taken in acquisitions:
        pattern = estimate(taken.frames)
        known = pattern_estimation.estimate_pattern(taken.photons, taken.optics)
        known = as_estimate(known, taken.optics, 128)
        vectors, phasors, modulation = (
            ops.convert_to_numpy(part)[0] for part in known[:3]
        )
        # parts of the spacing of frequencies, 1 / 128 cycles per pixel
        assert np.abs(pattern.vectors - vectors).max() < 0.1 / 128
        # the graph takes phases as equal steps, physics fits each
        assert (pattern.phasors * phasors).sum(axis=1).min() > np.cos(0.15)
        assert np.abs(pattern.modulation / modulation - 1).max() < 0.3


def test_components_leave_out_what_phases_have_in_common():
    rng = np.random.default_rng(1)
    uniform = rng.random((1, 8, 8, 3))
    phases = 0.4 + 2 * np.pi * np.arange(3) / 3
    frames = uniform[..., None] * (1 + 0.5 * np.cos(phases))
    mean, cosine, sine = (
        ops.convert_to_numpy(part)
        for part in components(tensor(frames.reshape(1, 8, 8, 9)))
    )
    np.testing.assert_allclose(mean[:, 0], uniform.mean(-1), atol=1e-6)
    expected = 0.5 * np.exp(0.4j) * np.moveaxis(uniform, -1, 1)
    np.testing.assert_allclose(cosine - 1j * sine, expected, atol=1e-6)


def test_the_pattern_of_every_structure_is_found(acquisitions):
    for taken in acquisitions:
        pattern = estimate(taken.frames)
        true = as_estimate(taken.pattern, taken.optics, 128)
        vectors, phasors = (ops.convert_to_numpy(part)[0] for part in true[:2])
        assert np.abs(pattern.vectors - vectors).max() < 0.12 / 128
        turned = (pattern.phasors * phasors).sum(axis=1)  # cosine of the error
        assert turned.min() > np.cos(0.2)
        ratio = pattern.modulation / taken.pattern.modulations
        assert np.abs(ratio - 1).max() < 0.25
        assert pattern.clarity.min() > 4
        assert pattern.gate.min() > 0.9


def test_the_transfer_of_the_microscope_is_found(acquisitions):
    attenuations = []
    for taken in acquisitions:
        pattern = estimate(taken.frames)
        cutoff = taken.optics.cutoff_per_um * taken.optics.pixel_nm / 1000
        assert abs(pattern.cutoff / cutoff - 1) < 0.05
        attenuations.append((float(pattern.attenuation), attenuation_of(taken.optics)))
    assert np.corrcoef(np.array(attenuations).T)[0, 1] > 0.7


@pytest.mark.parametrize(("na", "blur"), [(1.25, 0.03), (1.45, 0.08)])
def test_transfers_at_the_ends_of_the_range_are_told_apart(na, blur):
    source = SOURCE.override(
        na=(na, na),
        blur=(blur, blur),
        wavelength_nm=(560, 560),
        pattern_frequency=(0.92, 0.92),
    )
    taken = acquisition(5, "er", source=source)
    pattern = estimate(taken.frames)
    cutoff = taken.optics.cutoff_per_um * taken.optics.pixel_nm / 1000
    assert abs(pattern.cutoff / cutoff - 1) < 0.04
    assert abs(pattern.attenuation - attenuation_of(taken.optics)) < 0.25


@pytest.mark.parametrize("order", ["turned the other way", "shifted the other way"])
def test_either_direction_is_found(acquisitions, order):
    taken = acquisitions[0]
    frames = taken.frames.reshape(1, 128, 128, 3, 3)
    plain = estimate(taken.frames)
    if order == "turned the other way":
        other = estimate(frames[..., ::-1, :].reshape(1, 128, 128, 9))
        np.testing.assert_allclose(other.vectors, plain.vectors[::-1], atol=1e-5)
    else:
        # the last phase is the first, from which steps go backwards
        other = estimate(frames[..., ::-1].reshape(1, 128, 128, 9))
        np.testing.assert_allclose(other.vectors, -plain.vectors, atol=1e-5)


def test_frames_without_pattern_have_next_to_no_modulation():
    rng = np.random.default_rng(3)
    taken = acquisition(7, "microtubules")
    uniform = taken.frames.mean(axis=-1, keepdims=True)
    frames = uniform + rng.normal(0, 0.01, taken.frames.shape)
    pattern = estimate(frames)
    assert pattern.modulation.max() < 0.05


def test_an_orientation_without_pattern_counts_as_uniform_illumination():
    taken = acquisition(3, "er")
    frames = taken.frames.reshape(1, 128, 128, 3, 3).copy()
    rng = np.random.default_rng(4)
    frames[..., 1, :] = frames[..., 1, :].mean(axis=-1, keepdims=True)
    frames[..., 1, :] += rng.normal(0, 0.01, frames[..., 1, :].shape)
    pattern = estimate(frames.reshape(1, 128, 128, 9))
    assert pattern.modulation[1] < 0.02
    assert pattern.modulation[[0, 2]].min() > 0.3


def test_a_pattern_that_is_known_takes_the_place_of_the_estimate(acquisitions):
    image = keras.Input((128, 128, 9))
    graph = keras.Model(image, ops.concatenate(reconstructions(image), axis=-1))
    told = enterable(graph)
    assert told is not None
    taken = acquisitions[0]
    frames = tensor(np.concatenate([taken.frames, taken.frames]))
    own = as_estimate(taken.pattern, taken.optics, 128)
    parts = (own.vectors, own.phasors, own.modulation, own.cutoff, own.attenuation)
    row = np.concatenate([ops.convert_to_numpy(part).ravel() for part in parts])
    rows = np.stack([row, np.zeros(LENGTH)])
    found = ops.convert_to_numpy(told([frames, tensor(rows)]))
    images = reconstruct(*components(frames[:1]), own, REGULARISATIONS)
    known = ops.convert_to_numpy(images[0])[0, 0]
    np.testing.assert_allclose(found[0, ..., 1], known[::2, ::2], atol=1e-4)
    alone = ops.convert_to_numpy(graph(frames))
    np.testing.assert_allclose(found[1], alone[1], atol=1e-5)
    assert np.abs(found[0] - alone[0]).max() > 1e-3


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_empty_frames_give_finite_maps(value):
    frames = tensor(np.full((2, 32, 48, 9), value))
    maps = ops.convert_to_numpy(ops.concatenate(reconstructions(frames), axis=-1))
    assert maps.shape == (2, 32, 48, MAPS)
    np.testing.assert_allclose(maps, value, atol=1e-4)


def test_the_transfer_is_that_of_the_physics():
    optics = Optics(na=1.4, wavelength_nm=560.0, pixel_nm=62.6, blur_nm=0.055 * 560.0)
    f_x = np.linspace(0, 0.45, 40)
    expected = frame_transfer(optics, np.zeros(40), f_x / 0.0626)
    cutoff = optics.cutoff_per_um * 0.0626
    found = transfer(0.0 * f_x, f_x, cutoff, attenuation_of(optics))
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=0.01)


def test_a_known_pattern_gives_the_reconstruction_of_the_physics(acquisitions):
    taken = acquisitions[0]
    optics = taken.optics
    pattern = as_estimate(taken.pattern, optics, 128)
    (image,) = reconstruct(*components(tensor(taken.frames)), pattern, (0.1,))
    expected = sim_reconstruction.reconstruct(
        np.moveaxis(taken.frames[0], -1, 0),
        taken.pattern,
        optics,
        regularisation=0.1,
    )
    expected = SCALE**2 * expected
    found = ops.convert_to_numpy(image)[0, 0]
    inner = slice(24, -24)
    difference = (found - expected)[inner, inner]
    # phases by equal steps, and a pixel's transfer that is a Gaussian
    assert difference.std() < 0.03 * expected[inner, inner].std()


def test_maps_are_the_mean_and_the_pixels_of_reconstructions(acquisitions):
    for taken in acquisitions[:2]:
        parts = components(tensor(taken.frames))
        maps = reconstructions(tensor(taken.frames))
        assert len(maps) == MAPS == taken.frames.shape[-1]
        mean, *pixels = (ops.convert_to_numpy(part)[0, ..., 0] for part in maps)
        np.testing.assert_allclose(mean, taken.frames[0].mean(-1), atol=1e-6)
        images = reconstruct(*parts, estimate_pattern(*parts), REGULARISATIONS)
        for number, image in enumerate(images):
            whole = ops.convert_to_numpy(image)[0, 0]
            for y in range(SCALE):
                for x in range(SCALE):
                    part = pixels[4 * number + 2 * y + x]
                    np.testing.assert_allclose(whole[y::2, x::2], part, atol=1e-5)


def test_reconstructions_beat_the_mean_of_the_frames(acquisitions):
    for taken in acquisitions:
        mean, *pixels = (
            ops.convert_to_numpy(part)[0, ..., 0]
            for part in reconstructions(tensor(taken.frames))
        )
        image = np.empty((256, 256))
        for number, part in enumerate(pixels[:4]):
            image[number // 2 :: 2, number % 2 :: 2] = part
        assert (
            psnr(image, taken.target)
            > psnr(np.kron(mean, np.ones((2, 2))), taken.target) + 3
        )


def test_a_graph_does_what_its_operations_do(acquisitions):
    image = keras.Input((None, None, 9))
    graph = keras.Model(image, ops.concatenate(reconstructions(image), axis=-1))
    frames = np.concatenate([taken.frames for taken in acquisitions[:2]])[:, :64, :96]
    together = ops.convert_to_numpy(graph(tensor(frames)))
    for number in range(2):
        alone = reconstructions(tensor(frames[number : number + 1]))
        alone = ops.convert_to_numpy(ops.concatenate(alone, axis=-1))
        np.testing.assert_allclose(together[number], alone[0], atol=1e-4)


def test_waves_have_the_phase_of_the_middle_there():
    vectors, phasors = tensor([[[0.1, 0.2]] * 3]), tensor([[[0.6, 0.8]] * 3])
    along = tensor([-1.0, 0.0, 1.0])
    cosine, sine = (
        ops.convert_to_numpy(part)
        for part in plane_waves(vectors, phasors, along, along)
    )
    assert cosine.shape == (1, 3, 3, 3)
    np.testing.assert_allclose(cosine[0, :, 1, 1], 0.6, atol=1e-6)
    np.testing.assert_allclose(sine[0, :, 1, 1], 0.8, atol=1e-6)
    turned = (0.6 + 0.8j) * np.exp(2j * np.pi * 0.3)
    np.testing.assert_allclose(
        cosine[0, 0, 2, 2] + 1j * sine[0, 0, 2, 2], turned, atol=1e-6
    )
