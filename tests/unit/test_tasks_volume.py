"""`zoo.tasks.volume`: localizations, products and outputs that come in parts."""

import json

import numpy as np
import pytest
import tifffile

from zoo.core.contract import Averaging, Contract
from zoo.core.errors import BadInput, BadPackage
from zoo.core.extras import MissingExtra
from zoo.core.files import new_folder
from zoo.core.grid import Axis, Grid
from zoo.core.parts import Part, RunningParts
from zoo.core.products import Products
from zoo.inputs.frames import Frames
from zoo.inputs.recording import StackRecording
from zoo.io.stacks import open_stack
from zoo.physics.engineered import PUPILS
from zoo.physics.spot_symmetry import FLIPS
from zoo.predict.forward import comes_in_parts, forward, forward_parts
from zoo.predict.plan import make_plan
from zoo.predict.views import Averaged
from zoo.predict.writing import FolderWriter, result_files
from zoo.tasks import volume_parts
from zoo.tasks.uncertainty import Errors
from zoo.tasks.volume import Volume, VolumeOptions

PIXEL_NM, STEP_NM, SCALE, PLANES = 110.0, 50.0, 4, 24
FINE_NM = PIXEL_NM / SCALE
TASK = Volume(z_first_nm=1000 + STEP_NM / 2, z_step_nm=STEP_NM, spot_px=16)
GRID = Grid(
    output_axes="bzyxc",
    axes={"y": Axis(scale=SCALE, halo=2), "x": Axis(scale=SCALE, halo=2)},
    planes=PLANES,
    outputs=("density",),
)


def contract_of(task=TASK, grid=GRID, **changes):
    return Contract(grid=grid, input=Frames(), task=task).override(**changes)


def recording_of(contract, shape=(2, 20, 20)):
    stack = open_stack(np.ones(shape), pixel_size_nm=PIXEL_NM)
    return StackRecording(stack, contract, scaling=None, groups=(slice(0, 1),))


def run(task, output, options, **contract):
    promise = contract_of(task, **contract)
    shape = (len(output), *(n // SCALE for n in output.shape[2:4]))
    recording = recording_of(promise, shape)
    running = task.start(recording, promise, options)
    products = []
    for first, frames in recording.chunks(1):
        products += running.add(frames, output[first : first + 1], first)
    products += running.finish()
    return running, Products(products)


def spike(shape, z, y, x, *, value=800.0):
    """Return a volume with the voxel of an emitter set: the rule of the labels."""
    volume = np.zeros(shape, np.float32)
    volume[int(z), int(y), int(x)] = value
    return volume


def blob(shape, z, y, x, *, sigma=0.8, value=700.0):
    """Return a volume whose response to an emitter is spread around its place."""
    axes = [
        np.exp(-(((np.arange(n) + 0.5 - place) / sigma) ** 2) / 2)
        for n, place in zip(shape, (z, y, x), strict=True)
    ]
    volume = value * np.einsum("i,j,k->ijk", *axes)
    return np.where(volume > 1, volume, 0).astype(np.float32)


@pytest.mark.parametrize("draw", [spike, blob], ids=["spike", "blob"])
def test_positions_have_no_bias_over_phases_and_depths(draw):
    phases = (np.arange(8) + 0.5) / 8
    off = []
    for depth in (1.0, 7.0, 12.5, 18.0, 22.0):
        for number, phase in enumerate(phases):
            # all phases of x, y and z, without all of their combinations
            place = (
                depth + phases[(3 * number) % 8] - 0.5,
                30 + phases[(5 * number) % 8],
                41 + phase,
            )
            rows, _ = TASK.localize(draw((PLANES, 64, 72), *place), pixel_nm=FINE_NM)
            assert len(rows) == 1
            off.append(
                [
                    rows.x_nm[0] - place[2] * FINE_NM,
                    rows.y_nm[0] - place[1] * FINE_NM,
                    rows.z_nm[0] - (1000 + place[0] * STEP_NM),
                ]
            )
    x, y, z = np.mean(off, axis=0)
    assert abs(x) < 1
    assert abs(y) < 1
    assert abs(z) < 2
    # one voxel is all there is of a spike; the centre of gravity knows more
    assert np.abs(off).max(axis=0)[0] <= (FINE_NM / 2 if draw is spike else 1.0)


def test_a_clipped_plateau_is_one_emitter():
    volume = np.zeros((PLANES, 40, 40), np.float32)
    volume[5, 10, 10:12] = 800.0
    rows, _ = TASK.localize(volume, pixel_nm=FINE_NM)
    assert rows.x_nm.tolist() == [11 * FINE_NM]
    assert rows.response.tolist() == [2.0]


def test_products_and_report(tmp_path):
    output = np.zeros((2, PLANES, 80, 80, 1), np.float32)
    output[0, 3, 40, 20], output[1, 9, 12, 60] = 700.0, 90.0
    task = TASK.override(
        errors=Errors(spread=(0.0, 1.0), error=(0.3, 1.0)),
        errors_z=Errors(spread=(0.0, 1.0), error=(0.5, 1.0)),
    )
    running, products = run(task, output, VolumeOptions(volume=True))
    assert isinstance(running, RunningParts)
    table = products.localizations
    assert table.frame.tolist() == [1, 2]
    assert table.z_nm.tolist() == [1175.0, 1475.0]
    assert table.y_nm.tolist() == [40.5 * FINE_NM, 12.5 * FINE_NM]
    np.testing.assert_allclose(table.uncertainty_nm, 0.3 * FINE_NM)
    np.testing.assert_allclose(table.uncertainty_z_nm, 0.5 * STEP_NM)
    image = products.images["reconstruction"]
    assert (image.axes, image.array.sum(), image.array[40, 20]) == ("yx", 2, 1)
    summed = products.main
    assert (summed.name, summed.axes) == ("volume", "zyx")
    np.testing.assert_array_equal(summed.array, output.sum(axis=0)[..., 0])
    report = running.report()
    assert report["localizations"] == 2
    assert report["z_range_nm"] == [1000.0, 1000.0 + PLANES * STEP_NM]
    assert report["options"]["threshold_value"] == 80.0
    json.dumps(report, allow_nan=False)
    assert running.warnings() == []
    mean, depth = running.preview()
    assert mean.title == "mean of 2 frames"
    assert (depth.shows, depth.bar.low, depth.bar.high) == ("depth", 1000.0, 2200.0)
    with FolderWriter(tmp_path) as writer:
        writer.take(summed)
    with tifffile.TiffFile(tmp_path / "volume.ome.tif") as tif:
        assert tif.series[0].axes == "ZYX"
        assert 'PhysicalSizeZ="0.05"' in tif.ome_metadata
        assert 'PhysicalSizeX="0.0275"' in tif.ome_metadata


def test_a_volume_as_ome_zarr(tmp_path):
    zarr = pytest.importorskip("zarr")
    output = np.zeros((2, PLANES, 80, 80, 1), np.float32)
    output[0, 3, 40, 20], output[1, 9, 12, 60] = 700.0, 90.0
    _, products = run(TASK, output, VolumeOptions(volume_format="zarr"))
    with FolderWriter(tmp_path) as writer:
        writer.take(products.main)
    assert [p.name for p in tmp_path.iterdir()] == ["volume.ome.zarr"]
    group = zarr.open_group(tmp_path / "volume.ome.zarr", mode="r")
    (image,) = group.attrs["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in image["axes"]} == {"micrometer"}
    (step,) = image["datasets"][0]["coordinateTransformations"]
    assert step == {"type": "scale", "scale": pytest.approx([0.05, 0.0275, 0.0275])}
    np.testing.assert_array_equal(group["0"][:], output.sum(axis=0)[..., 0])


def test_a_volume_as_ome_zarr_takes_the_place_of_a_larger_one(tmp_path):
    pytest.importorskip("zarr")

    def written(planes, folder):
        output = np.full((1, planes, 80, 80, 1), 7.0, np.float32)
        grid = GRID.override(planes=planes)
        _, products = run(TASK, output, VolumeOptions(volume_format="zarr"), grid=grid)
        replaces = result_files(folder)
        with new_folder(folder, replaces=replaces) as part, FolderWriter(part) as files:
            files.take(products.main)

    folder = tmp_path / "out"
    written(PLANES, folder)
    (folder / "notes.txt").write_text("mine")
    written(12, folder)
    with open_stack(folder / "volume.ome.zarr") as stack:
        assert len(stack) == 12
        assert stack.pixel_size_nm == pytest.approx(27.5)
        assert stack.z_step_nm == pytest.approx(50.0)
    pieces = folder / "volume.ome.zarr" / "0"
    assert len([p for p in pieces.rglob("*") if p.name == "0" and p.is_file()]) == 12
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_folder_of_the_name_of_the_volume_is_nobody_elses(tmp_path):
    (tmp_path / "volume.ome.zarr").mkdir()
    (tmp_path / "volume.ome.zarr" / "mine.txt").write_text("mine")
    with (
        pytest.raises(BadInput, match=r"volume\.ome\.zarr is a folder"),
        new_folder(tmp_path, replaces=result_files(tmp_path)),
    ):
        pass


def test_ome_zarr_needs_its_extra(monkeypatch):
    monkeypatch.setattr("zoo.core.extras.find_spec", lambda _: None)
    contract = contract_of()
    with pytest.raises(MissingExtra, match=r"superres-zoo\[zarr\]"):
        TASK.start(
            recording_of(contract), contract, VolumeOptions(volume_format="zarr")
        )


def test_a_threshold_of_the_user_counts():
    output = np.zeros((1, PLANES, 80, 80, 1), np.float32)
    output[0, 3, 40, 20], output[0, 9, 12, 60] = 700.0, 90.0
    _, products = run(TASK, output, VolumeOptions(threshold=0.2))
    assert len(products.localizations) == 1
    running, products = run(TASK, output, VolumeOptions(threshold=0.9))
    assert len(products.localizations) == 0
    assert "z_nm" in products.localizations.columns
    assert any("no localizations" in text for text in running.warnings())


def test_emitters_beyond_the_depths_are_told():
    output = np.zeros((1, PLANES, 160, 160, 1), np.float32)
    output[0, 0, 10:150:20, 10:150:20] = 500.0
    running, _ = run(TASK, output, VolumeOptions())
    assert any("first or last plane" in text for text in running.warnings())


def test_large_sums_lie_in_a_file(monkeypatch):
    monkeypatch.setattr(volume_parts, "IN_MEMORY", 1000)
    output = np.zeros((2, PLANES, 80, 80, 1), np.float32)
    output[:, 3, 40, 20] = 700.0
    _, products = run(TASK, output, VolumeOptions(volume=True))
    assert isinstance(products.main.array, np.memmap)
    np.testing.assert_array_equal(products.main.array, output.sum(axis=0)[..., 0])


def test_errors_are_fitted_without_other_emitters():
    rng = np.random.default_rng(1)
    spread = rng.uniform(0.2, 1.0, 4000)
    error = {
        "uncertainty_nm": rng.normal(0, spread[:, None], (4000, 2)),
        "uncertainty_z_nm": rng.normal(0, 2 * spread),
    }
    other = rng.random(4000) < 0.05
    error["uncertainty_nm"][other] += 30.0
    fields = TASK.calibration(dict.fromkeys(error, spread), error, np.ones(len(spread)))
    assert fields["errors"].at(np.array([0.6]))[0] == pytest.approx(0.6, rel=0.15)
    assert fields["errors_z"].at(np.array([0.6]))[0] == pytest.approx(1.2, rel=0.15)
    raw = TASK.uncalibrated()
    rows, _ = raw.localize(blob((PLANES, 64, 64), 9, 30, 30), pixel_nm=FINE_NM)
    assert rows.uncertainty_nm[0] / FINE_NM == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize(
    ("shape", "match"),
    [((1, 15, 40), "side of 15 px, smaller than a spot"), ((1, 40, 8), "8 px")],
)
def test_frames_smaller_than_a_spot_are_refused(shape, match):
    contract = contract_of()
    with pytest.raises(BadInput, match=match):
        TASK.start(recording_of(contract, shape), contract, VolumeOptions())


def test_what_packages_must_state():
    flat = contract_of(grid=Grid.square(scale=4))
    with pytest.raises(BadPackage, match="one channel along z, y and x"):
        TASK.start(recording_of(flat), flat, VolumeOptions())
    contract = contract_of()
    with pytest.raises(BadInput, match="states no uncertainties"):
        TASK.start(recording_of(contract), contract, VolumeOptions(render="gaussian"))


def test_a_mirrored_spot_is_looked_at_from_several_sides():
    mirrored = TASK.override(optics=PUPILS["tetrapod"], looks=2)
    turned = PUPILS["tetrapod"].override(zernikes_rad=((3, 1, 1.0), (3, -1, 1.0)))
    volume = np.zeros((1, PLANES, 64, 64, 1), np.float32)
    for task, options, views in (
        (mirrored, VolumeOptions(), 2),
        (mirrored, VolumeOptions(looks=4), 4),
        (mirrored, VolumeOptions(looks=1), 1),
        (mirrored.override(optics=turned), VolumeOptions(), 1),
        (TASK.override(looks=2), VolumeOptions(), 1),  # nothing is known of the spot
    ):
        running, _ = run(task, volume, options)
        assert isinstance(running, Averaging)
        assert running.views == FLIPS[:views]
        assert running.report()["options"]["looks"] == views
    with pytest.raises(
        BadInput, match=r"3 looks need spots .* allow 1, ask for no more"
    ):
        run(mirrored.override(optics=turned), volume, VolumeOptions(looks=3))
    assert "looks" not in TASK.model_dump()


class Shift:
    """Stands in for a network that moves everything by one fine pixel."""

    name, entry, device, enterable, threads = "shift", "onnx", "CPU", False, 1
    versions: dict = {}

    def __call__(self, batch, rows=None):
        assert rows is None
        fine = batch.repeat(SCALE, axis=1).repeat(SCALE, axis=2)[:, None]
        return np.roll(fine, 1, axis=3).repeat(PLANES, axis=1)

    def with_threads(self, threads):
        assert threads == 1
        return self


def test_what_a_network_does_to_one_side_only_averages_out():
    frame = np.zeros((1, 8, 8, 1), np.float32)
    frame[0, 3, 5] = 1.0
    centre = {}
    for count in (1, 2, 4):
        engine = Averaged(Shift(), FLIPS[:count]).with_threads(1)
        volume = engine(frame)
        assert volume.dtype == np.float32
        assert volume.sum() == pytest.approx(SCALE**2 * PLANES)
        columns = volume[0, 0, :, :, 0].sum(axis=0)
        centre[count] = float((columns * (np.arange(32) + 0.5)).sum() / columns.sum())
    assert centre == {1: 23.0, 2: 22.0, 4: 22.0}  # the pixel's own centre is 22


class Blur:
    """Stands in for a network: a frame becomes planes of its local sums."""

    name, entry, device, enterable, threads = "blur", "onnx", "CPU", False, 1
    versions: dict = {}

    def __call__(self, batch, rows=None):
        del rows
        padded = np.pad(batch[..., 0], ((0, 0), (2, 2), (2, 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
        total = windows.sum(axis=(3, 4)).repeat(SCALE, axis=1).repeat(SCALE, axis=2)
        ramp = np.arange(PLANES, dtype=np.float32)[None, :, None, None, None]
        return (total[:, None, ..., None] * ramp).astype(np.float32)

    def with_threads(self, threads):
        del threads
        return self


def test_parts_join_to_the_whole_and_hold_a_margin():
    contract = contract_of()
    frames = np.random.default_rng(2).random((2, 37, 45, 1), np.float32)
    whole = forward(
        Blur(), contract, frames, plan=make_plan(contract, {"y": 37, "x": 45})
    )
    plan = make_plan(contract, {"y": 37, "x": 45}, tile=20, batch_size=3)
    assert comes_in_parts(contract, plan)
    margin = TASK.margin(GRID) * SCALE
    assert margin >= TASK.radius
    covered = np.zeros(whole.shape[:4], int)
    for part in forward_parts(Blur(), contract, frames, plan=plan):
        assert isinstance(part, Part)
        place = tuple(
            slice(start, start + n)
            for start, n in zip(part.start, part.values.shape[:3], strict=True)
        )
        np.testing.assert_allclose(part.values, whole[part.frame][place], rtol=1e-6)
        kept = tuple(
            slice(start + span.start, start + span.stop)
            for start, span in zip(part.start, part.kept, strict=True)
        )
        covered[part.frame][kept] += 1
        for side, span, length in zip(
            place[1:], kept[1:], whole.shape[2:4], strict=True
        ):
            assert side.start == 0 or span.start - side.start >= margin
            assert side.stop == length or side.stop - span.stop >= margin
    assert (covered == 1).all()


def test_peaks_at_seams_are_found_once():
    contract = contract_of()
    rng = np.random.default_rng(3)
    output = np.zeros((1, PLANES, 160, 160, 1), np.float32)
    for _ in range(300):
        z, y, x = rng.integers(0, (PLANES, 160, 160))
        output[0, z, y, x] = rng.uniform(100, 800)
    recording = recording_of(contract, (1, 40, 40))
    whole = TASK.start(recording, contract, VolumeOptions())
    (expected,) = whole.add(np.ones((1, 40, 40, 1)), output, 0)
    parts = []
    for y0 in range(0, 160, 32):
        for x0 in range(0, 160, 32):
            low = [max(n - 4, 0) for n in (y0, x0)]
            high = [min(n + 36, 160) for n in (y0, x0)]
            kept = (
                slice(0, PLANES),
                slice(y0 - low[0], y0 - low[0] + 32),
                slice(x0 - low[1], x0 - low[1] + 32),
            )
            values = output[0, :, low[0] : high[0], low[1] : high[1]]
            parts.append(Part(0, (0, *low), kept, values))
    tiled = TASK.start(recording, contract, VolumeOptions(volume=True))
    (found,) = tiled.add_parts(np.ones((1, 40, 40, 1)), iter(parts), 0)
    for name in ("x_nm", "y_nm", "z_nm", "response"):
        np.testing.assert_allclose(
            np.sort(getattr(found.rows, name)), np.sort(getattr(expected.rows, name))
        )
    assert len(found.rows) == len(expected.rows) > 100
    summed = next(p for p in tiled.finish() if p.name == "volume")
    np.testing.assert_array_equal(summed.array, output[0, ..., 0])
