"""What tables of a network's localizations say of light, width and background."""

import csv

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.grid import Axis, Grid
from zoo.core.localizations import Localizations
from zoo.core.products import Product, Table
from zoo.core.random import generator
from zoo.inputs.frames import Frames
from zoo.io.table_files import read_table
from zoo.physics.psf import gaussian_spots
from zoo.tasks import light as module
from zoo.tasks.density import Density, DensityOptions

OFFSET, PER_COUNT = 100.0, 0.5
SIGMA_NM, BACKGROUND, PHOTONS = 115.0, 12.0, 4000.0
CONTRACT = Contract(
    grid=Grid.square(scale=8, halo=4),
    input=Frames(),
    task=Density(window_px=7),
    training={"psf_sigma_nm": (95.0, 170.0)},
)
TOLD = DensityOptions(offset_adu=OFFSET, photons_per_adu=PER_COUNT)
COLUMNS = ("intensity [photon]", "offset [photon]", "sigma [nm]", "bkgstd [photon]")


def movie(frames: int = 6, edge: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return counts (t, y, x) of a few spots, and a network's output for them."""
    rng = generator(411)
    counts = np.zeros((frames, edge, edge))
    density = np.zeros((frames, 8 * edge, 8 * edge, 1), np.float32)
    for frame in range(frames):
        nodes = np.arange(6.0, edge - 3, 9.0)
        y_px, x_px = (axis.ravel() for axis in np.meshgrid(nodes, nodes))
        # in the middle of a fine pixel, where the network's answer is exact
        x_px, y_px = (
            (np.floor(8 * (place + rng.uniform(-1, 1, place.size))) + 0.5) / 8
            for place in (x_px, y_px)
        )
        spots = gaussian_spots(
            x_px, y_px, PHOTONS, (edge, edge), sigma_px=SIGMA_NM / 100
        )
        counts[frame] = OFFSET + rng.poisson(spots + BACKGROUND) / PER_COUNT
        density[frame, (8 * y_px).astype(int), (8 * x_px).astype(int), 0] = 1
    return counts, density


def predicted(
    options: DensityOptions,
    *,
    chunk: int = 4,
    contract: Contract = CONTRACT,
    empty: bool = False,
) -> tuple[list[Localizations], dict]:
    """Return pieces of the table of the movie, and the report."""
    counts, output = movie()
    if empty:
        output = np.zeros_like(output)
    recording = contract.input.open(
        counts, contract, name="p", options=Frames.options(), pixel_size_nm=100.0
    )
    running = contract.task.start(recording, contract, options)
    products: list[Product] = []
    for first, frames in recording.chunks(chunk):
        products += running.add(frames, output[first : first + len(frames)], first)
    products += running.finish()
    return [p.rows for p in products if isinstance(p, Table)], running.report()


def test_a_table_is_complete_by_default() -> None:
    pieces, report = predicted(TOLD)
    table = Localizations.concatenate(pieces)
    assert len(table) == 96
    assert np.all(np.diff(table.frame) >= 0)
    for column, expected, error in (
        (table.photons, PHOTONS, 0.04),
        (table.background_photons, BACKGROUND, 0.1),
        (table.noise_photons, BACKGROUND**0.5, 0.5),
        (table.sigma_nm, SIGMA_NM, 0.03),
    ):
        assert column is not None
        assert np.median(column) == pytest.approx(expected, rel=error)
    assert table.photons is not None
    assert np.all(np.abs(table.photons / PHOTONS - 1) < 0.3)
    light = report["light"]
    assert (light["unit"], light["offset_adu"]) == ("photons", OFFSET)
    assert light["offset_holds_dark_counts"] is False
    assert light["sigma_nm"] == pytest.approx(SIGMA_NM, rel=0.1)
    assert light["sigma_origin"] == "spectrum of the recording"


def test_without_the_camera_it_holds_counts() -> None:
    table = Localizations.concatenate(predicted(TOLD)[0])
    pieces, report = predicted(DensityOptions())
    counts = Localizations.concatenate(pieces)
    light = report["light"]
    assert (light["unit"], light["offset_adu"]) == ("counts", None)
    assert light["offset_holds_dark_counts"] is True
    assert table.photons is not None
    assert counts.photons is not None
    assert table.background_photons is not None
    assert counts.background_photons is not None
    np.testing.assert_allclose(counts.photons * PER_COUNT, table.photons)
    np.testing.assert_allclose(
        (counts.background_photons - OFFSET) * PER_COUNT, table.background_photons
    )
    np.testing.assert_allclose(counts.sigma_nm, table.sigma_nm)


def test_it_can_be_left_out() -> None:
    pieces, report = predicted(DensityOptions(light=False))
    assert pieces[0].columns == ("x_nm", "y_nm", "frame", "response")
    assert len(pieces) == 2
    assert "light" not in report


@pytest.mark.parametrize("held", [1, 2**18])
def test_how_many_frames_come_at_a_time_does_not_matter(monkeypatch, held) -> None:
    whole = Localizations.concatenate(predicted(TOLD, chunk=6)[0])
    monkeypatch.setattr(module, "HELD_PX", held)
    for chunk in (1, 4):
        pieces, _ = predicted(TOLD, chunk=chunk)
        # held back until there is enough, and never all of a long recording
        assert len(pieces) == (1 if held > 1 else -(-6 // chunk))
        table = Localizations.concatenate(pieces)
        for name in whole.columns:
            np.testing.assert_allclose(
                getattr(table, name), getattr(whole, name), rtol=1e-5, err_msg=name
            )


def test_a_table_without_rows_has_the_columns() -> None:
    pieces, _ = predicted(TOLD, empty=True)
    assert sum(map(len, pieces)) == 0
    assert {"photons", "background_photons", "noise_photons", "sigma_nm"} <= set(
        pieces[0].columns
    )


def test_the_width_that_is_told_is_taken() -> None:
    pieces, report = predicted(TOLD.override(sigma_nm=130.0))
    assert report["light"]["sigma_nm"] == 130.0
    assert report["light"]["sigma_origin"] == "--sigma-nm"
    sigma_nm = Localizations.concatenate(pieces).sigma_nm
    assert sigma_nm is not None
    assert np.median(sigma_nm) == pytest.approx(SIGMA_NM, rel=0.05)  # bright enough


@pytest.mark.parametrize(
    ("trained", "expected", "origin"),
    [
        ((95.0, 170.0), (95.0 * 170.0) ** 0.5, "middle of the training"),
        (None, 130.0, "usual of a camera's pixel"),
    ],
)
def test_a_width_that_cannot_be_read_is_the_usual_one(trained, expected, origin):
    noise = generator(412).normal(100, 5, (4, 40, 40))
    recording = CONTRACT.input.open(
        noise, CONTRACT, name="p", options=Frames.options(), pixel_size_nm=100.0
    )
    found_nm, source = module.usual_width_nm(recording, trained)
    assert (found_nm, source) == (pytest.approx(expected), origin)


def test_volumes_are_not_measured() -> None:
    axes = {"y": Axis(scale=2), "x": Axis(scale=2)}
    grid = Grid(output_axes="bzyxc", axes=axes, planes=3, outputs=("density",))
    task = Density(z_first_nm=0.0, z_step_nm=50.0)
    contract = Contract(grid=grid, input=Frames(), task=task)
    recording = contract.input.open(
        np.ones((2, 8, 8)), contract, name="p", options=Frames.options(),
        pixel_size_nm=100.0,
    )  # fmt: skip
    running = contract.task.start(recording, contract, DensityOptions())
    output = np.zeros((2, 3, 16, 16, 1), np.float32)
    output[0, 1, 4, 4] = 1
    (product,) = running.add(np.ones((2, 8, 8, 1), np.float32), output, 0)
    assert isinstance(product, Table)
    assert len(product.rows) == 1
    assert product.rows.photons is None


def test_files_of_a_prediction_have_the_columns(small_package, tmp_path) -> None:
    from zoo.predict.predictor import Predictor

    counts = movie()[0].astype(np.uint16)
    model = Predictor(small_package, picasso=True, threshold=0.01)
    result = model.predict_to_folder(counts, tmp_path / "out", pixel_size_nm=100)
    assert result.report["light"]["unit"] == "counts"
    path = tmp_path / "out" / "localizations.csv"
    with path.open(newline="") as file:
        assert set(COLUMNS) <= set(next(csv.reader(file)))
    text, theirs = read_table(path), read_table(path.with_suffix(".hdf5"))
    assert len(text) == len(theirs) > 0
    for name in ("photons", "background_photons", "noise_photons", "sigma_nm"):
        first, second = getattr(text, name), getattr(theirs, name)
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=0.01)
        assert np.all(np.isfinite(first))
