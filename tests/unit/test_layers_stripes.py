"""Stripes found inside a graph, against those that were drawn, and what follows."""

from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import ops

from zoo.core.random import generator
from zoo.layers.reconstruction import (
    MAPS,
    REGULARISATIONS,
    SCALE,
    reconstructed,
    reconstructions,
)
from zoo.layers.stripes import Stripes, components, find_stripes, transfer, wave_at
from zoo.physics.illumination import Pattern
from zoo.physics.optics import Optics
from zoo.physics.sim_reconstruction import frame_transfer, reconstruct
from zoo.simulate.sim_images import SimPairs, expose, scaled_counts, scaled_target

# raised inside Keras where it reads its own variables
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

SOURCE = SimPairs(crop_px=128, photons=(400.0, 600.0), modulation=(0.5, 1.0))
STRUCTURES = ("microtubules", "actin", "pits", "er", "mitochondria")


class Picture(NamedTuple):
    frames: np.ndarray  # (1, y, x, 9)
    target: np.ndarray  # (2y, 2x)
    pattern: Pattern
    optics: Optics


def picture(number, structure, *, source=SOURCE):
    rng = generator(31, number)
    scene = source.scene(rng, structure)
    photons = float(rng.uniform(*source.photons))
    counts = expose(scene, rng, source.camera.draw(rng), photons)
    return Picture(
        scaled_counts(counts)[None],
        scaled_target(scene)[..., 0],
        scene.pattern,
        scene.optics,
    )


@pytest.fixture(scope="module")
def pictures():
    return [picture(n, structure) for n, structure in enumerate(STRUCTURES)]


def tensor(array):
    return ops.convert_to_tensor(np.asarray(array, "float32"))


def found_in(frames):
    found = find_stripes(*components(tensor(frames)))
    return Stripes(*(ops.convert_to_numpy(part)[0] for part in found))


def drawn(pattern, pixel_nm):
    """Return vectors in cycles per pixel, so turned that phases rise."""
    steps = np.diff(np.array(pattern.phases_rad)[:, :2], axis=1)[:, 0]
    sign = np.where(np.sin(steps) > 0, 1.0, -1.0)
    return sign, sign[:, None] * pattern.vectors_per_um() * pixel_nm / 1000


def same_stripes(pattern, optics, size):
    """Return drawn stripes as those of a graph, phases from equal steps."""
    sign, vectors = drawn(pattern, optics.pixel_nm)
    steps = 2 * np.pi * np.arange(3) / 3
    turned = np.exp(1j * (sign[:, None] * np.array(pattern.phases_rad) - steps))
    middle = np.exp(1j * (np.angle(turned.sum(1)) + np.pi * size * vectors.sum(axis=1)))
    return Stripes(
        tensor(vectors[None]),
        tensor(np.stack([middle.real, middle.imag], -1)[None]),
        tensor([pattern.modulations]),
        tensor([optics.cutoff_per_um * optics.pixel_nm / 1000]),
        tensor([fall_of(optics)]),
        tensor([10.0]),
    )


def fall_of(optics):
    """Return how a Gaussian blur makes the transfer fall, cut-off as the unit."""
    return 2 * (np.pi * optics.blur_nm / 1000 * optics.cutoff_per_um) ** 2


def psnr(image, target):
    inner = slice(16, -16)
    image, target = image[inner, inner].ravel(), target[inner, inner].ravel()
    matrix = np.stack([image, np.ones_like(image)], axis=1)
    fit = matrix @ np.linalg.lstsq(matrix, target, rcond=None)[0]
    return -10 * np.log10(np.mean((fit - target) ** 2))


def test_components_leave_out_what_phases_have_in_common():
    rng = np.random.default_rng(1)
    even = rng.random((1, 8, 8, 3))
    phases = 0.4 + 2 * np.pi * np.arange(3) / 3
    frames = even[..., None] * (1 + 0.5 * np.cos(phases))
    mean, cosine, sine = (
        ops.convert_to_numpy(part)
        for part in components(tensor(frames.reshape(1, 8, 8, 9)))
    )
    np.testing.assert_allclose(mean[:, 0], even.mean(-1), atol=1e-6)
    expected = 0.5 * np.exp(0.4j) * np.moveaxis(even, -1, 1)
    np.testing.assert_allclose(cosine - 1j * sine, expected, atol=1e-6)


def test_stripes_of_every_structure_are_found(pictures):
    for taken in pictures:
        stripes = found_in(taken.frames)
        true = same_stripes(taken.pattern, taken.optics, 128)
        vectors, phasors = (ops.convert_to_numpy(part)[0] for part in true[:2])
        assert np.abs(stripes.vectors - vectors).max() < 0.12 / 128
        turned = (stripes.phasors * phasors).sum(axis=1)  # cosine of the error
        assert turned.min() > np.cos(0.2)
        ratio = stripes.contrast / taken.pattern.modulations
        assert np.abs(ratio - 1).max() < 0.25
        assert stripes.clarity > 4


def test_the_transfer_of_the_microscope_is_found(pictures):
    falls = []
    for taken in pictures:
        stripes = found_in(taken.frames)
        cutoff = taken.optics.cutoff_per_um * taken.optics.pixel_nm / 1000
        assert abs(stripes.cutoff / cutoff - 1) < 0.05
        falls.append((float(stripes.fall), fall_of(taken.optics)))
    assert np.corrcoef(np.array(falls).T)[0, 1] > 0.7


@pytest.mark.parametrize(("na", "blur"), [(1.25, 0.03), (1.45, 0.08)])
def test_transfers_at_the_ends_of_the_range_are_told_apart(na, blur):
    source = SOURCE.override(
        na=(na, na), blur=(blur, blur), wavelength_nm=(560, 560), stripes=(0.92, 0.92)
    )
    taken = picture(5, "er", source=source)
    stripes = found_in(taken.frames)
    cutoff = taken.optics.cutoff_per_um * taken.optics.pixel_nm / 1000
    assert abs(stripes.cutoff / cutoff - 1) < 0.04
    assert abs(stripes.fall - fall_of(taken.optics)) < 0.25


@pytest.mark.parametrize("order", ["turned the other way", "moved the other way"])
def test_either_direction_is_found(pictures, order):
    taken = pictures[0]
    frames = taken.frames.reshape(1, 128, 128, 3, 3)
    plain = found_in(taken.frames)
    if order == "turned the other way":
        other = found_in(frames[..., ::-1, :].reshape(1, 128, 128, 9))
        np.testing.assert_allclose(other.vectors, plain.vectors[::-1], atol=1e-5)
    else:
        # the last phase is the first, from which steps go backwards
        other = found_in(frames[..., ::-1].reshape(1, 128, 128, 9))
        np.testing.assert_allclose(other.vectors, -plain.vectors, atol=1e-5)


def test_frames_without_stripes_have_next_to_no_contrast():
    rng = np.random.default_rng(3)
    taken = picture(7, "microtubules")
    even = taken.frames.mean(axis=-1, keepdims=True)
    frames = even + rng.normal(0, 0.01, taken.frames.shape)
    stripes = found_in(frames)
    assert stripes.contrast.max() < 0.05


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
    found = transfer(0.0 * f_x, f_x, cutoff, fall_of(optics))
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=0.01)


def test_known_stripes_give_the_reconstruction_of_the_physics(pictures):
    taken = pictures[0]
    optics = taken.optics
    stripes = same_stripes(taken.pattern, optics, 128)
    (image,) = reconstructed(*components(tensor(taken.frames)), stripes, (0.1,))
    expected = reconstruct(
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


def test_maps_are_the_mean_and_the_pixels_of_reconstructions(pictures):
    for taken in pictures[:2]:
        parts = components(tensor(taken.frames))
        maps = reconstructions(tensor(taken.frames))
        assert len(maps) == MAPS == taken.frames.shape[-1]
        mean, *pixels = (ops.convert_to_numpy(part)[0, ..., 0] for part in maps)
        np.testing.assert_allclose(mean, taken.frames[0].mean(-1), atol=1e-6)
        images = reconstructed(*parts, find_stripes(*parts), REGULARISATIONS)
        for number, image in enumerate(images):
            whole = ops.convert_to_numpy(image)[0, 0]
            for y in range(SCALE):
                for x in range(SCALE):
                    part = pixels[4 * number + 2 * y + x]
                    np.testing.assert_allclose(whole[y::2, x::2], part, atol=1e-5)


def test_reconstructions_beat_the_mean_of_the_frames(pictures):
    for taken in pictures:
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


def test_a_graph_does_what_its_operations_do(pictures):
    image = keras.Input((None, None, 9))
    graph = keras.Model(image, ops.concatenate(reconstructions(image), axis=-1))
    frames = np.concatenate([taken.frames for taken in pictures[:2]])[:, :64, :96]
    together = ops.convert_to_numpy(graph(tensor(frames)))
    for number in range(2):
        alone = reconstructions(tensor(frames[number : number + 1]))
        alone = ops.convert_to_numpy(ops.concatenate(alone, axis=-1))
        np.testing.assert_allclose(together[number], alone[0], atol=1e-4)


def test_waves_have_the_phase_of_the_middle_there():
    vectors, phasors = tensor([[[0.1, 0.2]] * 3]), tensor([[[0.6, 0.8]] * 3])
    along = tensor([-1.0, 0.0, 1.0])
    cosine, sine = (
        ops.convert_to_numpy(part) for part in wave_at(vectors, phasors, along, along)
    )
    assert cosine.shape == (1, 3, 3, 3)
    np.testing.assert_allclose(cosine[0, :, 1, 1], 0.6, atol=1e-6)
    np.testing.assert_allclose(sine[0, :, 1, 1], 0.8, atol=1e-6)
    turned = (0.6 + 0.8j) * np.exp(2j * np.pi * 0.3)
    np.testing.assert_allclose(
        cosine[0, 0, 2, 2] + 1j * sine[0, 0, 2, 2], turned, atol=1e-6
    )
