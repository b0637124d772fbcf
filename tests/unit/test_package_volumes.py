"""What other programs are told of networks that turn a frame into a volume."""

import numpy as np

from zoo.core.contract import Contract
from zoo.core.grid import Axis, Grid
from zoo.inputs.frames import Frames
from zoo.package import examples
from zoo.package.examples import cut_example, with_surroundings
from zoo.package.tensors import (
    SMALLEST,
    VOLUME_BYTES,
    VOLUME_PX,
    free_sizes,
    smallest,
    told,
)
from zoo.tasks.volume import Volume
from zoo.test_sets.dense_emitters import DenseEmitterTestSet


def grid_of(planes, halo=34):
    axis = Axis(scale=4, halo=halo)
    return Grid(output_axes="bzyxc", axes={"y": axis, "x": axis}, planes=planes)


def test_test_tensors_of_large_volumes_stay_small():
    grid = grid_of(80)
    axis = told(grid.axes["x"], grid)
    sizes = free_sizes(axis, "x", smallest(grid, "x"))
    assert sizes == {"min": VOLUME_PX, "step": 1}
    assert 4 * 80 * (4 * sizes["min"]) ** 2 < VOLUME_BYTES
    # our own predictor knows the halo, from the contract in the description
    assert grid.axes["x"].halo == 34


def test_small_volumes_and_images_keep_their_halo():
    for grid in (grid_of(5, halo=4), Grid.square(scale=8, halo=4)):
        axis = told(grid.axes["x"], grid)
        assert axis.halo == 4
        assert free_sizes(axis, "x", smallest(grid, "x"))["min"] == SMALLEST["x"]


def test_the_corner_of_the_example_holds_an_emitter():
    contract = Contract(grid=grid_of(80), input=Frames(), task=Volume())
    example = DenseEmitterTestSet().example()
    image = cut_example(example, contract, "volume")
    assert image.shape == (1, VOLUME_PX, VOLUME_PX, 1)
    assert image.max() > 1.3 * example[32:, 32:].mean() + 20


class Corner:
    """A network that marks the upper right corner of what lies within its halo."""

    def predict_on_batch(self, image):
        volume = np.zeros((1, 5, *(4 * n for n in image.shape[1:3]), 1), np.float32)
        volume[:, 2, 4 * 4 : 4 * 5, -4 * 5 : -4 * 4] = 1
        return volume


def test_a_scene_is_continued_by_the_halo_and_the_volume_cut_to_it(monkeypatch):
    contract = Contract(grid=grid_of(5, halo=4), input=Frames(), task=Volume())
    network = Corner()
    monkeypatch.setattr(
        examples.export, "predict", lambda model, image: model.predict_on_batch(image)
    )
    scene = np.ones((16, 20, 1), np.float32)
    image, volume = with_surroundings(network, contract, scene)
    assert image.shape == (1, 16, 20, 1)
    assert volume.shape == (1, 5, 64, 80, 1)
    first = volume[0, 2, :4, -4:]  # one camera pixel in the upper right corner
    assert (first > 0).all()
    assert np.count_nonzero(volume) == first.size


def test_the_scene_shows_whole_spots():
    test_set = DenseEmitterTestSet()
    scene = test_set.scene()
    assert scene.ndim == 3
    assert min(scene.shape[:2]) > 3 * test_set.border_px
    np.testing.assert_array_equal(scene, DenseEmitterTestSet().scene())
