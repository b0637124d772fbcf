"""Images that are brought to the grid of the target, and stay there."""

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Grid
from zoo.inputs.frames import FrameOptions
from zoo.inputs.target_grid import TargetGrid
from zoo.tasks.image import ImageRestoration

CONTRACT = Contract(
    grid=Grid.square(halo=16, step=16),
    input=TargetGrid(),
    task=ImageRestoration(),
    training={
        "pixel_size_nm": (25.0, 25.0),
        "na": (1.2, 1.49),
        "wavelength_nm": (500.0, 700.0),
    },
)
IMAGE = np.random.default_rng(0).random((40, 60)).astype(np.float32)


def opened(pixel_size_nm, **options):
    return CONTRACT.input.open(
        IMAGE,
        CONTRACT,
        name="a_network",
        options=FrameOptions(**options),
        pixel_size_nm=pixel_size_nm,
    )


def test_an_image_on_the_grid_is_left_as_it_is():
    recording = opened(25.5)
    assert dict(recording.sizes) == {"y": 40, "x": 60}
    ((_, frames),) = recording.chunks(8)
    np.testing.assert_array_equal(frames[0, ..., 0], IMAGE)
    assert recording.warnings() == []
    assert "resampling" not in recording.report()


@pytest.mark.parametrize(("pixel_nm", "size"), [(50.0, (80, 120)), (12.5, (20, 30))])
def test_other_pixels_are_resampled_and_the_user_is_told(pixel_nm, size):
    recording = opened(pixel_nm)
    assert tuple(recording.sizes[a] for a in "yx") == size
    # results lie on the new grid: nothing brings them back
    assert recording.resampling is None
    assert recording.pixel_size_nm["x"] == pytest.approx(25.0)
    ((_, frames),) = recording.chunks(8)
    assert frames.shape == (1, *size, 1)
    assert frames.mean() == pytest.approx(IMAGE.mean(), rel=0.01)
    (line,) = [w for w in recording.warnings() if "resampled" in w]
    assert f"from pixels of {pixel_nm:g} nm to 25 nm" in line
    report = recording.report()
    assert report["input"]["pixel_size_nm"] == pixel_nm
    assert report["resampling"]["to_size_px"] == list(size)
    assert "stay" in report["resampling"]["method"]


def test_without_a_pixel_size_there_is_one_line():
    with pytest.raises(BadInput) as caught:
        opened(None)
    line = str(caught.value)
    assert "--pixel-size-nm" in line
    assert "--no-resample" in line
    assert "25 nm" in line
    assert "\n" not in line
    assert dict(opened(None, resample=False).sizes) == {"y": 40, "x": 60}


def test_pixels_that_are_too_coarse_are_refused():
    # half a period of the lowest cut-off: 700 nm / (4 * 1.2)
    assert opened(140.0).sizes["x"] == 336
    with pytest.raises(BadInput, match="150 nm; above 145"):
        opened(150.0)
    assert opened(150.0, resample=False).sizes["x"] == 60
