"""Tables and ready-made images become the channels of ANNA-PALM and of Gaire's net."""

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Grid
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.inputs.renderings import RenderingOptions, Renderings
from zoo.io.tables import write_localizations
from zoo.io.write import write_imagej_tiff
from zoo.simulate.renderings import RenderingPairs
from zoo.tasks.image import ImageRestoration

PALM = Contract(
    grid=Grid.square(channels=("localizations", "widefield")),
    input=Renderings(pixel_size_nm=20.0, second="widefield"),
    task=ImageRestoration(),
)
COLORS = Contract(
    grid=Grid.square(channels=("color1", "color2"), outputs=("color1", "color2")),
    input=Renderings(pixel_size_nm=20.0, second="colors"),
    task=ImageRestoration(),
)


def opened(source, contract=PALM, **options):
    return contract.input.open(
        source,
        contract,
        name="package",
        options=RenderingOptions.model_validate(options),
    )


def frame_of(recording):
    ((first, frames),) = recording.chunks(4)
    assert first == 0
    return frames[0]


@pytest.fixture(scope="module")
def acquisition():
    """Return a table of 3000 frames and a widefield image of the same field."""
    source = RenderingPairs()
    rng = generator(6, 2)
    scene = source.scene(rng, "microtubules", 256)
    table = source.table(rng, scene, first=0, frames=3000)
    return table, source.widefield(rng, scene)


def test_a_table_is_counted_and_the_missing_widefield_is_zero(acquisition):
    table, _ = acquisition
    recording = opened(table)
    frame = frame_of(recording)
    assert frame.shape[-1] == 2
    assert frame[..., 0].sum() == len(table)
    assert not frame[..., 1].any()
    assert recording.reference(frame[None]) is None
    assert recording.report()["input"]["widefield"] is None


SWITCHED = Contract(
    grid=Grid.square(channels=("localizations", "widefield", "structure")),
    input=Renderings(
        pixel_size_nm=20.0, second="widefield", structures=("actin", "nuclear_pores")
    ),
    task=ImageRestoration(),
)


@pytest.mark.parametrize("text", ["nuclear_pores", " Nuclear-Pores", "nuclear pores"])
def test_the_switch_is_a_channel_that_holds_the_number(acquisition, text):
    recording = opened(acquisition[0], SWITCHED, structure=text)
    frame = frame_of(recording)
    assert frame.shape[-1] == 3
    assert (frame[..., 2] == 1).all()
    assert frame[..., 0].sum() == len(acquisition[0])
    assert recording.report()["input"]["structure"] == "nuclear_pores"
    first = frame_of(opened(acquisition[0], SWITCHED, structure="actin"))
    assert not first[..., 2].any()


def test_a_structure_must_be_told_where_there_is_a_switch_and_only_there(acquisition):
    with pytest.raises(BadInput, match="give --structure, one of actin, nuclear_pores"):
        opened(acquisition[0], SWITCHED)
    with pytest.raises(BadInput, match="one of actin, nuclear_pores, not tubulin"):
        opened(acquisition[0], SWITCHED, structure="tubulin")
    with pytest.raises(BadInput, match="no switch between structures; leave --struct"):
        opened(acquisition[0], structure="actin")


def test_frames_and_filters_leave_localizations_out(acquisition):
    table, _ = acquisition
    for text, kept in (
        ("300", table.frame <= 300),
        ("100:200", (table.frame >= 100) & (table.frame <= 200)),
    ):
        recording = opened(table, frames=text)
        assert frame_of(recording)[..., 0].sum() == kept.sum()
    photons = float(np.median(table.photons))
    bright = opened(table, min_photons=photons)
    assert frame_of(bright)[..., 0].sum() == (table.photons >= photons).sum()
    precise = opened(table, max_uncertainty_nm=10.0)
    assert frame_of(precise)[..., 0].sum() == (table.uncertainty_nm <= 10).sum()
    filtered = precise.report()["input"]["localizations_filtered"]
    assert filtered == (table.uncertainty_nm > 10).sum()


def test_the_first_frames_of_a_part_are_those_that_there_are(acquisition):
    table, _ = acquisition
    later = table.select(table.frame > 1000)
    recording = opened(later, frames="300")
    expected = ((later.frame > 1000) & (later.frame < later.frame.min() + 300)).sum()
    assert frame_of(recording)[..., 0].sum() == expected


@pytest.mark.parametrize("text", ["0", "5:2", "a", "1:2:3", ""])
def test_frames_that_are_none_are_refused(acquisition, text):
    with pytest.raises(BadInput, match="--frames takes a number such as 300"):
        opened(acquisition[0], frames=text)


def test_a_widefield_image_is_resampled_shifted_and_scaled(acquisition, tmp_path):
    table, widefield = acquisition
    coarse = widefield.reshape(64, 4, 64, 4).mean(axis=(1, 3))
    moved = np.roll(coarse, (2, -1), axis=(0, 1))  # 160 and -80 nm
    counts = (1000 * moved).astype(np.uint16)
    write_imagej_tiff(tmp_path / "w.tif", counts[None], pixel_size_nm=80.0)
    recording = opened(table, widefield=str(tmp_path / "w.tif"), field_um=5.12)
    seen = frame_of(recording)[..., 1]
    assert (seen.min(), seen.max()) == (0, 1)
    inner = (slice(30, -30), slice(30, -30))
    assert np.corrcoef(seen[inner].ravel(), widefield[inner].ravel())[0, 1] > 0.85
    known = recording.report()["input"]["widefield"]
    assert known["shift_nm"] == pytest.approx([160, -80], abs=60)
    assert known["correlation"] > 0.5
    assert not recording.warnings()
    reference = recording.reference(frame_of(recording)[None])
    assert np.array_equal(reference[0, ..., 0], seen)


def test_a_widefield_image_of_another_field_is_told(acquisition, tmp_path):
    noise = generator(3).integers(0, 900, (1, 64, 64)).astype(np.uint16)
    write_imagej_tiff(tmp_path / "w.tif", noise, pixel_size_nm=80.0)
    recording = opened(acquisition[0], widefield=str(tmp_path / "w.tif"))
    assert any("another field" in line for line in recording.warnings())


def test_a_widefield_image_without_pixel_size_needs_one(acquisition, tmp_path):
    np.save(tmp_path / "w.npy", np.ones((64, 64), np.uint16))
    path = str(tmp_path / "w.npy")
    with pytest.raises(BadInput, match="--widefield-pixel-nm"):
        opened(acquisition[0], widefield=path)
    opened(acquisition[0], widefield=path, widefield_pixel_nm=80.0)


def test_a_table_without_frames_loses_something_and_says_so(acquisition):
    table, _ = acquisition
    plain = Localizations(x_nm=table.x_nm, y_nm=table.y_nm)
    (warning,) = opened(plain).warnings()
    assert "no frames" in warning
    assert "drift" in warning
    with pytest.raises(BadInput, match="no frames to choose from"):
        opened(plain, frames="300")


def test_pixels_in_the_place_of_nanometres_are_refused(acquisition, tmp_path):
    table, _ = acquisition
    pixels = Localizations(x_nm=table.x_nm / 100, y_nm=table.y_nm / 100)
    write_localizations(tmp_path / "t.csv", pixels)
    with pytest.raises(BadInput, match="camera pixels; export nanometres"):
        opened(tmp_path / "t.csv")
    assert opened(pixels, field_um=1.0).sizes == {"y": 50, "x": 50}


def test_empty_tables_are_refused(acquisition):
    with pytest.raises(BadInput, match="holds no localizations"):
        opened(Localizations.empty())
    with pytest.raises(BadInput, match=r"none of .* is left"):
        opened(acquisition[0], min_photons=1e9)


def test_drift_is_measured_and_told(acquisition):
    table, _ = acquisition
    assert len(table) > 4500
    assert not opened(table).warnings()
    along = 90.0 * table.frame / table.frame.max()
    drifting = table.with_columns(x_nm=table.x_nm + along)
    (warning,) = opened(drifting).warnings()
    distance = float(warning.split("about ")[1].split(" nm")[0])
    assert 40 < distance < 80


def test_windows_of_the_spectrum_are_colors(acquisition):
    table, _ = acquisition
    wavelength = np.where(np.arange(len(table)) % 3 == 0, 590.0, 640.0)
    spectral = table.with_columns(wavelength_nm=wavelength)
    frame = frame_of(opened(spectral, COLORS, windows_nm="550:610,610:700"))
    assert frame.sum(axis=(0, 1)).tolist() == [
        (wavelength == 590).sum(),
        (wavelength == 640).sum(),
    ]
    with pytest.raises(BadInput, match="needs the windows"):
        opened(spectral, COLORS)
    with pytest.raises(BadInput, match="takes 2 windows"):
        opened(spectral, COLORS, windows_nm="550:610")
    with pytest.raises(BadInput, match="no column 'wavelength"):
        opened(table, COLORS, windows_nm="550:610,610:700")
    two = frame_of(opened([table, table], COLORS))
    assert np.array_equal(two[..., 0], two[..., 1])


def test_images_with_the_channels_are_taken_as_they_come(acquisition):
    table, widefield = acquisition
    counts = frame_of(opened(table, field_um=5.12))[..., 0]
    ready = np.stack([counts, 900 * widefield + 100], axis=-1)[None]
    recording = opened(ready.astype(np.float32))
    frame = frame_of(recording)
    assert np.array_equal(frame[..., 0], counts)
    assert frame[..., 1].min() == 0
    assert frame[..., 1].max() == 1
    assert recording.reference(frame[None]) is not None
    recording.close()
    with pytest.raises(BadInput, match="is an image and no table"):
        opened(ready, frames="300")
    dark = np.stack([counts, 0 * counts], axis=-1)[None].astype(np.float32)
    assert opened(dark).reference(dark) is None
