"""Phase masks to print: what ``zoo design`` writes, and of what."""

import json

import numpy as np
import pytest
from tifffile import TiffFile

from zoo.calibrate.design import FILES, grey_levels, mask_image, write_design
from zoo.core.errors import BadInput
from zoo.package.designs import design_of, write
from zoo.physics.engineered import PUPILS

TETRAPOD = PUPILS["tetrapod"]


def test_a_mask_is_the_sum_of_its_modes():
    one = TETRAPOD.override(zernikes_rad=((2, 2, 1.0),))
    phase = mask_image(one, pupil_px=100)
    assert phase[0, 0] == 0
    # sqrt(6) rho^2 cos(2 phi): positive along x, which are columns
    assert phase[50, 98] == pytest.approx(6**0.5 * 0.97**2, rel=0.01)
    assert phase[98, 50] == pytest.approx(-(6**0.5) * 0.97**2, rel=0.01)
    assert grey_levels(phase).dtype == np.uint8


def test_a_folder_holds_mask_spots_and_bounds(tmp_path):
    lines = write_design(
        TETRAPOD,
        tmp_path / "mask",
        z_nm=(0.0, 4000.0),
        pupil_px=128,
        slm_pixel_um=20.0,
        depths=5,
        window_px=41,
    )
    assert {p.name for p in (tmp_path / "mask").iterdir()} == {*FILES, "design.json"}
    assert "mean bound over 0 to 4000 nm" in lines[0]
    with TiffFile(tmp_path / "mask" / "mask.tif") as tif:
        page = tif.pages[0]
        assert page.dtype == np.uint8
        assert page.shape == (128, 128)
        stated = json.loads(page.description)
        # pixels per centimetre
        assert page.tags["XResolution"].value[0] / page.tags["XResolution"].value[
            1
        ] == pytest.approx(500)
        levels = page.asarray()
    assert stated["wavelength_nm"] == 670
    assert stated["pupil_diameter_px"] == 128
    assert stated["pupil_diameter_mm"] == 2.56
    radians = np.load(tmp_path / "mask" / "mask_rad.npy")
    turn = 2 * np.pi / 256
    away = np.angle(np.exp(1j * (levels * turn - radians)))
    assert np.abs(away).max() <= turn / 2 + 1e-5


def test_a_mask_that_was_written_can_be_designed_with(tmp_path):
    folder = tmp_path / "mask"
    write_design(TETRAPOD, folder, z_nm=(0, 4000), depths=3, window_px=31)
    again = design_of(str(folder / "mask_rad.npy")).optics
    phase = mask_image(again, pupil_px=64)
    truth = mask_image(TETRAPOD, pupil_px=64)
    inside = truth != 0
    assert np.mean(np.cos(phase - truth)[inside]) > 0.99
    with pytest.raises(BadInput, match="exists"):
        write(str(folder / "mask_rad.npy"), folder, overwrite=False)


def test_what_has_no_phase_is_refused(tmp_path):
    clear = PUPILS["unaberrated"]
    with pytest.raises(BadInput, match="neither a mask nor aberrations"):
        write_design(clear, tmp_path / "mask", z_nm=(-500, 500))
    with pytest.raises(BadInput, match="pupil-px"):
        write_design(TETRAPOD, tmp_path / "mask", z_nm=(0, 1), pupil_px=4)
    with pytest.raises(BadInput, match="knows no pupil"):
        design_of("deep_storm_microtubules")
    assert not (tmp_path / "mask").exists()
