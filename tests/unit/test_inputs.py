"""`zoo.inputs`: files of all kinds as the frames of a network; their options."""

import subprocess
import sys

import numpy as np
import pytest

from zoo.core.contract import Contract, Recording
from zoo.core.errors import BadInput
from zoo.core.grid import Axis, Grid
from zoo.core.localizations import Localizations
from zoo.inputs.frames import Frames
from zoo.inputs.raw_frames import RawFrames
from zoo.inputs.regions import Regions
from zoo.inputs.tables import Tables
from zoo.io.tables import write_localizations
from zoo.predict.options import declared_options, split_options
from zoo.tasks.density import Density
from zoo.tasks.image import ImageRestoration
from zoo.tasks.parameters import Parameters

VOLUMES = Grid(
    input_axes="bzyxc", output_axes="bzyxc", axes=dict.fromkeys("zyx", Axis(step=1))
)


def _open(contract, source, *, pixel_size_nm=None, **given) -> Recording:
    options = split_options(contract, "a package", **given)
    return contract.input.open(
        source,
        contract,
        name="a package",
        options=options.input,
        pixel_size_nm=pixel_size_nm,
    )


def _contract(source, grid=None, task=None):
    return Contract(grid=grid or Grid(), input=source, task=task or ImageRestoration())


def _noise(*shape):
    return np.random.default_rng(0).poisson(100, shape).astype(np.float32)


def test_depth_belongs_to_the_frame_where_the_network_has_it():
    data = _noise(2, 3, 16, 20)
    flat, deep = _contract(Frames()), _contract(Frames(), VOLUMES)
    recording = _open(deep, data)
    assert (recording.outer, recording.frames) == ((("t", 2),), 2)
    assert recording.sizes == {"z": 3, "y": 16, "x": 20}
    ((first, frames),) = recording.chunks(5)
    assert first == 0
    np.testing.assert_array_equal(frames[..., 0], data)
    recording = _open(flat, data)
    assert (recording.frames, recording.sizes) == (6, {"y": 16, "x": 20})
    assert [first for first, _ in recording.chunks(4)] == [0, 4]


def test_scales_are_chosen_by_what_is_in_the_frames():
    spots = _contract(Frames(scaling="spots"), task=Density())
    images = _contract(Frames(scaling="image"))
    foreign = _contract(Frames())
    movie = _noise(3, 16, 16)

    def scale(contract, frames=movie, **given):
        recording = _open(contract, frames, pixel_size_nm=100, **given)
        return recording.report()["options"]["normalization"]

    assert scale(spots) == scale(images) == scale(images, movie[0]) == "movie"
    # a single frame of spots may be empty: as every consumer does it
    assert scale(spots, movie[0]) == scale(foreign) == "frame"
    assert scale(foreign, normalization="movie") == "movie"
    assert scale(images, normalization="frame") == "frame"
    standard = ({"id": "zero_mean_unit_variance", "kwargs": {}},)
    assert scale(images.override(preprocessing=standard)) == "frame"
    with pytest.raises(BadInput, match="declares no scale_range"):
        scale(images.override(preprocessing=standard), normalization="movie")


def test_channels_go_one_by_one_only_where_images_are_made():
    stack = _noise(4, 24, 24, 2)
    recording = _open(_contract(Frames(diffraction_limited=True)), stack)
    assert recording.groups == (slice(0, 1), slice(1, 2))
    assert recording.reference(stack).shape == (4, 24, 24, 2)
    density = _contract(Frames(), task=Density())
    assert _open(density, stack[..., :1], pixel_size_nm=100).groups == (slice(0, 1),)
    both = _contract(Frames(), Grid(channels=("a", "b")))
    assert _open(both, stack).groups == (slice(0, 2),)
    with pytest.raises(BadInput, match="give it with --pixel-size-nm"):
        _open(density, stack[..., :1])


@pytest.mark.parametrize("order", ["angle-major", "phase-major"])
@pytest.mark.parametrize("phases", [3, 5])
def test_raw_frames_come_in_the_order_of_the_network(order, phases):
    count = 3 * phases
    grid = Grid(channels=tuple(f"c{n}" for n in range(count)))
    contract = _contract(RawFrames(phases=phases, order=order), grid)
    numbers = np.arange(count).reshape(3, phases)  # angle, phase
    stored = numbers if order == "phase-major" else numbers.T
    data = np.ones((16, 16)) * stored.reshape(-1, 1, 1)
    other = ({"angle-major", "phase-major"} - {order}).pop()
    recording = _open(contract, data, frame_order=other)
    ((_, frames),) = recording.chunks(1)
    expected = numbers if order == "angle-major" else numbers.T
    assert frames[0, 0, 0].tolist() == expected.ravel().tolist()
    assert recording.report()["options"]["frame_order"] == other


SMALL = Grid(
    output_axes="bc", axes={"y": Axis(size=9), "x": Axis(size=9)}, outputs=("z_nm",)
)


def test_regions_have_the_size_of_the_network():
    contract = _contract(Regions(), SMALL, Parameters(columns=("z_nm",)))
    recording = _open(contract, _noise(7, 9, 9))
    assert (recording.frames, recording.outer) == (7, (("t", 7),))
    assert recording.scaled(_noise(7, 9, 9, 1), 0) is None
    for shape in ((7, 9, 10), (20, 16, 17)):
        wrong = f"{shape[1]} x {shape[2]} px, a package takes 9 x 9 px"
        with pytest.raises(BadInput, match=wrong) as caught:
            _open(contract, _noise(*shape))
        assert "\n" not in str(caught.value)


def test_tables_are_drawn_as_histograms(tmp_path):
    contract = _contract(Tables(pixel_size_nm=50.0))
    table = Localizations(
        x_nm=np.array([10.0, 20.0, 799.0]), y_nm=np.array([60.0, 90.0, 401.0])
    )
    expected = np.zeros((9, 16))
    expected[1, 0], expected[8, 15] = 2, 1
    write_localizations(tmp_path / "a.csv", table)
    columns = np.stack([table.x_nm, table.y_nm], axis=1)
    for source in (table, columns, tmp_path / "a.csv", str(tmp_path), [table]):
        recording = _open(contract, source)
        assert recording.sizes == {"y": 9, "x": 16}
        assert recording.pixel_size_nm == {"y": 50.0, "x": 50.0}
        ((_, frames),) = recording.chunks(3)
        np.testing.assert_array_equal(frames[0, ..., 0], expected)
    recording = _open(contract, table, field_um=0.5)
    assert recording.sizes == {"y": 10, "x": 10}
    assert recording.warnings() == [
        "1 of 3 localizations lie outside the field and were left out"
    ]
    assert _open(contract, table, pixel_size_nm=100.0).sizes == {"y": 5, "x": 8}
    two = _contract(Tables(pixel_size_nm=50.0), Grid(channels=("red", "green")))
    ((_, frames),) = _open(two, [table, table]).chunks(1)
    assert frames.shape == (1, 9, 16, 2)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Localizations.empty(), "holds no localizations to draw"),
        (np.ones((4, 4, 4)), "x and y in nm as its first two columns"),
        (np.array([[np.nan, 1.0]]), "must be finite"),
        ([Localizations.empty()] * 2, "takes 1 tables"),
    ],
)
def test_what_is_no_table_is_refused(source, message):
    with pytest.raises(BadInput, match=message):
        _open(_contract(Tables(pixel_size_nm=50.0)), source)


def test_options_are_those_of_input_and_task():
    sim = _contract(RawFrames(), Grid(channels=tuple("abcdefghi")))
    chosen = split_options(sim, "sim", frame_order="phase-major", error_map=False)
    assert chosen.input.frame_order == "phase-major"
    assert (chosen.task.error_map, chosen.task.match_intensity) == (False, False)
    for given, message in (
        ({"threshold": 0.5}, "threshold is no option of sim, which takes raw_frames"),
        ({"treshold": 0.5}, "no option 'treshold'; did you mean threshold"),
        ({"normalization": "x"}, "sim: normalization: .* not 'x'"),
    ):
        with pytest.raises(BadInput, match=message) as caught:
            split_options(sim, "sim", **given)
        assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match=r"threshold: .* greater than 0, not -1"):
        split_options(_contract(Frames(), task=Density()), "storm", threshold=-1)
    regions = _contract(Regions(), SMALL, Parameters(columns=("z_nm",)))
    with pytest.raises(BadInput, match="its options are regions, detection"):
        split_options(regions, "smnet", threshold=0.5)


def test_a_command_line_learns_all_options_without_anything_heavy():
    declared = {option.name: option for option in declared_options()}
    assert "density" in declared["threshold"].kinds
    assert declared["threshold"].type is float
    assert declared["normalization"].choices == ("auto", "frame", "movie")
    assert {"frames", "raw_frames"} <= set(declared["normalization"].kinds)
    assert declared["error_map"].flag == "--no-error-map"
    assert declared["error_map"].given(True) is False
    assert declared["match_intensity"].given(False) is None
    assert all(option.help.endswith(".") for option in declared.values())
    code = (
        "import sys\n"
        "from zoo.predict.options import declared_options\n"
        "declared_options()\n"
        "heavy = ('scipy', 'tifffile', 'onnxruntime', 'matplotlib', 'yaml', 'keras')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
