"""Calibrations of SMAP, Picasso and uiPSF in the layouts that they write."""

import json

import h5py
import numpy as np
import pytest
import yaml
from scipy.io import savemat

from zoo.calibrate.optics import load_psf, read_optics
from zoo.calibrate.write import calibrate
from zoo.core.errors import BadInput
from zoo.io.calibrations import read_calibration
from zoo.physics.spots import GaussianPsf
from zoo.physics.tabulated import measured_psf

PIXEL, STEP, ZERO = 100.0, 50.0, 6
TRUTH = GaussianPsf(
    pixel_nm=PIXEL, sigma_x_nm=(130.0, 60.0, 300.0), sigma_y_nm=(140.0, -70.0, 310.0)
)
DEPTHS = STEP * (np.arange(13) - ZERO)


def stack():
    y, x = np.full(13, 1050.0), np.full(13, 950.0)
    return TRUTH.images(x, y, DEPTHS, (21, 21))


def smap_coefficients():
    """Return (y, x, z, 64), the power of the first axis running fastest."""
    psf = measured_psf(stack(), pixel_nm=PIXEL, step_nm=STEP, first_z_nm=DEPTHS[0])
    ours = psf.polynomials()
    powers = ours.reshape(*ours.shape[:3], 4, 4, 4)
    theirs = powers.transpose(1, 2, 0, 3, 5, 4)
    return theirs.reshape(*theirs.shape[:3], 64).astype("f4"), psf


def write_smap_5(path):
    coefficients, psf = smap_coefficients()
    cell = np.empty((1, 1), object)
    cell[0, 0] = coefficients
    spline = {"coeff": cell, "dz": STEP, "z0": float(ZERO), "x0": 11.0}
    savemat(path, {"SXY": {"cspline": spline}})
    return psf


def write_smap_73(path):
    coefficients, psf = smap_coefficients()
    with h5py.File(path, "w", userblock_size=512) as file:
        file["#refs#/a"] = coefficients.transpose()
        spline = file.create_group("SXY/cspline")
        cell = spline.create_dataset("coeff", (1, 1), h5py.ref_dtype)
        cell[0, 0] = file["#refs#/a"].ref
        spline["dz"], spline["z0"] = [[STEP]], [[float(ZERO)]]
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128))
    return psf


def write_uipsf(path, params=None, images=None):
    with h5py.File(path, "w") as file:
        file["res/I_model"] = (stack() if images is None else images).astype("f4")
        stated = {"pixelsize_x": 0.1, "pixelsize_z": 0.05}
        file.attrs["params"] = json.dumps(stated if params is None else params)


def write_picasso(path, **changes):
    factor = 0.8  # fitted depths are multiplied by it
    content = {
        "X Coefficients": [300 / 100e6 * factor**2, 60 / 100e3 * factor, 1.3],
        "Y Coefficients": [310 / 100e6 * factor**2, -70 / 100e3 * factor, 1.4],
        "Step size in nm": 10,
        "Number of frames": 101,
        "Magnification factor": factor,
    }
    path.write_text(yaml.safe_dump(content | changes))


def similar(psf, depths=DEPTHS[1:-1]):
    n = len(depths)
    place = np.full(n, 1050.0), np.full(n, 1050.0), depths, (21, 21)
    return psf.images(*place)


@pytest.mark.parametrize("write", [write_smap_5, write_smap_73])
@pytest.mark.parametrize("sign", [1, -1])
def test_smap_splines_are_read(tmp_path, write, sign):
    source, output = tmp_path / "x_3dcal.mat", tmp_path / "optics.json"
    truth = write(source)
    calibrate(source, output, pixel_nm=PIXEL, z_sign=sign)
    optics = read_optics(output)
    assert optics.kind == "spline"
    assert optics.nodes == "optics.npz"
    psf = load_psf(output)
    np.testing.assert_allclose(
        similar(psf, sign * DEPTHS[1:-1]), similar(truth), atol=1e-6
    )


def test_uipsf_models_are_read(tmp_path):
    source, output = tmp_path / "psf.h5", tmp_path / "optics.json"
    write_uipsf(source)
    calibrate(source, output)
    psf = load_psf(output)
    assert psf.pixel_nm == PIXEL
    assert read_optics(output).z_range_nm == pytest.approx((-300, 300))
    n = len(DEPTHS)
    middle = np.full(n, 1050.0)
    again = psf.images(middle, middle, DEPTHS, (21, 21))
    np.testing.assert_allclose(again, stack(), atol=1e-6)


def test_picasso_widths_are_read(tmp_path):
    source, output = tmp_path / "calib.yaml", tmp_path / "optics.json"
    write_picasso(source)
    calibrate(source, output, pixel_nm=PIXEL)
    assert read_optics(output).z_range_nm == pytest.approx((-400, 400))
    np.testing.assert_allclose(similar(load_psf(output)), similar(TRUTH), atol=1e-9)
    calibrate(source, output, pixel_nm=PIXEL, z_sign=-1, overwrite=True)
    reversed_ = similar(load_psf(output), -DEPTHS[1:-1])
    np.testing.assert_allclose(reversed_, similar(TRUTH), atol=1e-9)


def test_another_pixel_size_is_refused(tmp_path):
    source = tmp_path / "psf.h5"
    write_uipsf(source)
    with pytest.raises(
        BadInput, match="is for pixels of 100 nm, the recording has 130"
    ):
        calibrate(source, tmp_path / "o.json", pixel_nm=130.0)
    picasso = tmp_path / "calib.yaml"
    write_picasso(picasso)
    with pytest.raises(BadInput, match="--pixel-size-nm"):
        calibrate(picasso, tmp_path / "o.json")
    assert {p.name for p in tmp_path.iterdir()} == {"psf.h5", "calib.yaml"}


def test_what_is_no_calibration_is_refused(tmp_path):
    def refused(name, text):
        with pytest.raises(BadInput, match=text) as caught:
            read_calibration(tmp_path / name)
        assert "\n" not in str(caught.value)

    refused("none.mat", "does not exist")
    savemat(tmp_path / "other.mat", {"x": 1})
    refused("other.mat", "no cubic spline")
    (tmp_path / "text.mat").write_text("hello")
    refused("text.mat", "no calibration of SMAP")
    write_picasso(tmp_path / "width.yaml", **{"Step size in nm": 0})
    refused("width.yaml", "must be positive")
    (tmp_path / "empty.yaml").write_text("a: 1")
    refused("empty.yaml", "lacks X Coefficients")
    write_uipsf(tmp_path / "no_step.h5", params={})
    refused("no_step.h5", "pixelsize_z")
    write_uipsf(tmp_path / "flat.h5", images=np.ones((5, 5)))
    refused("flat.h5", "shape")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    refused("cut.h5", "cannot be read as a calibration")
