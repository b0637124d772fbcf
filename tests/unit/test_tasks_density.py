"""`zoo.tasks.density` and `zoo.tasks.parameters`: products, warnings, reports."""

import json

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.errors import BadInput, BadPackage
from zoo.core.grid import Axis, Grid
from zoo.core.products import Products
from zoo.inputs.frames import Frames
from zoo.inputs.recording import StackRecording
from zoo.inputs.regions import Regions
from zoo.io.stacks import open_stack
from zoo.tasks.density import Density, DensityOptions, depth_coded
from zoo.tasks.parameters import Parameters

AXIS = Axis(scale=2)
PLANES = Grid(
    output_axes="bzyxc", axes={"y": AXIS, "x": AXIS}, planes=5, outputs=("density",)
)


def _contract(task, grid=PLANES, source=None, **changes):
    return Contract(grid=grid, input=source or Frames(), task=task).override(**changes)


def _recording(contract, shape=(2, 8, 8), *, depth=False):
    stack = open_stack(np.ones(shape), pixel_size_nm=100, depth=depth)
    return StackRecording(stack, contract, scaling=None, groups=(slice(0, 1),))


def _run(contract, recording, output, options):
    running = contract.task.start(recording, contract, options)
    products = []
    for first, frames in recording.chunks(1):
        products += running.add(frames, output[first : first + 1], first)
    products += running.finish()
    return running, Products(products)


def test_planes_of_depth_give_z_and_a_volume():
    task = Density(ideal_peak=10.0, z_first_nm=-200.0, z_step_nm=100.0)
    contract = _contract(task, training={"density_per_um2": (0.1, 0.5)})
    output = np.zeros((2, 5, 16, 16, 1), np.float32)
    output[0, 1, 4, 6], output[1, 4, 10, 3] = 10.0, 8.0
    running, products = _run(
        contract,
        _recording(contract),
        output,
        DensityOptions(threshold=0.5, density=True),
    )
    table, image = products.localizations, products.main
    assert table.z_nm.tolist() == [-100.0, 200.0]
    assert table.y_nm.tolist() == [225.0, 525.0]
    assert table.frame.tolist() == [1, 2]
    assert (image.name, image.axes) == ("reconstruction", "zyx")
    assert image.pixel_size_nm == {"y": 50.0, "x": 50.0, "z": 100.0}
    np.testing.assert_array_equal(image.array, output.sum(0)[..., 0] > 0)
    density = products.images["density"]
    np.testing.assert_array_equal(density.array, output.sum(0)[..., 0])
    assert density.pixel_size_nm == image.pixel_size_nm
    report = running.report()
    assert report["localizations"] == 2
    assert report["options"]["threshold_value"] == 5.0
    json.dumps(report, allow_nan=False)
    assert running.warnings() == []
    mean, depth = running.preview()
    assert (mean.title, depth.shows) == ("mean of 2 frames", "depth")
    assert task.products(PLANES) == "2x finer density; localizations x, y, z"


def test_the_image_is_that_of_the_table():
    grid = Grid(axes={"y": Axis(scale=2), "x": Axis(scale=2)}, outputs=("density",))
    contract = _contract(Density(ideal_peak=10.0), grid)
    recording = _recording(contract, (3, 8, 8))
    output = np.full((3, 16, 16, 1), 0.1, np.float32)  # light below the threshold
    for frame, (row, column) in enumerate([(4, 6), (4, 6), (0, 15)]):
        output[frame, row, column] = 10.0
    options = DensityOptions(threshold=0.5)
    running, products = _run(contract, recording, output, options)
    table = products.localizations
    assert set(products.images) == {"reconstruction"}
    expected = np.histogram2d(
        table.y_nm, table.x_nm, bins=16, range=[(0, 800), (0, 800)]
    )[0]
    np.testing.assert_array_equal(products.image, expected)
    assert products.image.sum() == len(table) == 3
    shown = running.preview()[1]
    assert shown.title == "3 localizations"
    np.testing.assert_array_equal(shown.image, expected)


def test_depth_of_volumes_comes_from_the_recording():
    axes = {"z": Axis(scale=2), "y": Axis(), "x": Axis()}
    grid = Grid(input_axes="bzyxc", output_axes="bzyxc", axes=axes)
    contract = _contract(Density(), grid)
    recording = _recording(contract, (1, 4, 8, 8), depth=True)
    with pytest.raises(BadInput, match="no distance of its planes"):
        contract.task.start(recording, contract, DensityOptions())
    recording.pixel_size_nm = {"z": 300.0, "y": 100.0, "x": 100.0}
    output = np.zeros((1, 8, 8, 8, 1), np.float32)
    output[0, 3, 2, 2] = 1
    _, products = _run(contract, recording, output, DensityOptions())
    assert products.localizations.z_nm.tolist() == [3.5 * 150]


def test_what_density_packages_must_state():
    contract = _contract(Density())
    with pytest.raises(BadPackage, match="no z_step_nm for the 5 planes"):
        contract.task.start(_recording(contract), contract, DensityOptions())
    two = _contract(Density(), Grid(outputs=("a", "b")))
    with pytest.raises(BadPackage, match="one channel along y and x"):
        two.task.start(_recording(two), two, DensityOptions())


def test_colour_tells_depth():
    volume = np.zeros((9, 4, 4))
    volume[0, 0, 0] = volume[4, 1, 1] = volume[8, 2, 2] = 3.0
    image = depth_coded(volume)
    assert image.shape == (4, 4, 3)
    assert [int(image[i, i].argmax()) for i in range(3)] == [2, 1, 0]
    assert not image[3, 3].any()


REGIONS = Grid(
    output_axes="bc",
    axes={"y": Axis(size=9), "x": Axis(size=9)},
    outputs=("a", "b", "c"),
)


def test_vectors_become_rows():
    task = Parameters(columns=("x_nm", "y_nm", "photons"), factors=(100.0, 100.0, 1e3))
    contract = _contract(task, REGIONS, Regions())
    output = np.array([[0.5, -0.2, 2.0], [np.nan, 0, 1], [0, 1, 3]], np.float32)
    recording = _recording(contract, (3, 9, 9))
    running, products = _run(contract, recording, output, Regions.options())
    table = products.localizations
    np.testing.assert_allclose(table.x_nm, [50, 0])
    np.testing.assert_allclose(table.photons, [2000, 3000])
    assert table.frame.tolist() == [1, 3]
    assert running.warnings() == [
        "1 of 3 regions gave no finite numbers and were left out"
    ]
    assert running.report()["localizations"] == 2
    before, after = running.preview()
    assert before.title == "mean of 3 regions"
    assert after.image.sum() == 2


def test_columns_are_those_of_a_table():
    with pytest.raises(ValueError, match="no column 'x'; did you mean"):
        Parameters(columns=("x",))
    with pytest.raises(ValueError, match="as many as the 1 columns"):
        Parameters(columns=("z_nm",), factors=(1.0, 2.0))
    contract = _contract(Parameters(columns=("z_nm",)), REGIONS, Regions())
    with pytest.raises(BadPackage, match="promises the columns z_nm"):
        contract.task.start(
            _recording(contract, (1, 9, 9)), contract, Regions.options()
        )
