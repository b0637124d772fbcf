"""What other programs are told of networks that turn a frame into a volume."""

from zoo.core.contract import Contract
from zoo.core.grid import Axis, Grid
from zoo.inputs.frames import Frames
from zoo.package.build import cut_example
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
