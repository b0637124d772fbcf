"""From simulated beads to optics.json."""

import json

import numpy as np
import pytest
import tifffile

from zoo.calibrate.optics import PupilCalibration, load_psf, read_optics
from zoo.calibrate.write import WrongOptions, calibrate
from zoo.core.errors import BadInput
from zoo.physics.pupil import PupilOptics, PupilPsf

TERMS = ((2, 2, 0.6), (3, 1, -0.4), (4, 0, 0.35))  # 0.8 rad rms
TRUTH = PupilOptics(
    na=1.45, wavelength_nm=670.0, pixel_nm=100.0, blur_nm=75.0, zernikes_rad=TERMS
)
OPTIONS = {"na": 1.45, "wavelength_nm": 670.0, "z_step_nm": 200.0}
FOCUS = np.linspace(-1000, 1000, 11)


def beads(corners=((5, 5),), photons=20000.0, shape=(40, 40)):
    psf = PupilPsf(TRUTH)
    stack = np.full((11, *shape), 20.0)
    for row, column in corners:
        x, y = np.full(11, 1340.0), np.full(11, 1370.0)
        spot = psf.images(x, y, np.zeros(11), (27, 27), focus_nm=FOCUS)
        stack[:, row : row + 27, column : column + 27] += photons * spot
    return np.random.default_rng(1).poisson(stack).astype("uint16")


def save(path, stack, **options):
    tifffile.imwrite(path, stack, photometric="minisblack", **options)
    return path


def test_beads_give_the_pupil(tmp_path):
    source, output = save(tmp_path / "b.tif", beads()), tmp_path / "optics.json"
    lines = calibrate(source, output, pixel_nm=100.0, **OPTIONS)
    optics = read_optics(output)
    again = PupilCalibration.model_validate(json.loads(output.read_text()))
    assert optics == again
    found = {(n, m): value for n, m, value in optics.zernikes_rad}
    truth = {(n, m): value for n, m, value in TERMS}
    error = [value - truth.get(mode, 0.0) for mode, value in found.items()]
    assert np.linalg.norm(error) < 0.05
    assert optics.blur_nm == pytest.approx(75.0, abs=5)
    assert optics.trust.chi_square == pytest.approx(1.0, abs=0.1)
    assert load_psf(output).pixel_nm == 100.0
    assert (tmp_path / "optics.png").read_bytes().startswith(b"\x89PNG")
    text = "\n".join(lines)
    for word in ("1 bead of", "rad rms", "blur", "correlation", "sign of the z step"):
        assert word in text
    with pytest.raises(BadInput, match="exists"):
        calibrate(source, output, pixel_nm=100.0, **OPTIONS)


@pytest.mark.parametrize(
    ("stack", "pixel", "text"),
    [
        (beads()[0], 100.0, "has one plane"),
        (beads()[:3], 100.0, "has 3 planes"),
        (beads(), None, "states no pixel size"),
        (beads(()), 100.0, "shows no beads"),
        (beads(((2, 2), (9, 11))), 100.0, "overlapping another"),
        (np.minimum(beads(), 255).astype("uint8"), 100.0, "1 saturated"),
        (beads()[:, 12:], 100.0, "1 at the border"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, stack, pixel, text):
    source = save(tmp_path / "b.tif", stack)
    with pytest.raises(BadInput, match=text) as caught:
        calibrate(source, tmp_path / "optics.json", pixel_nm=pixel, **OPTIONS)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["b.tif"]


def test_the_sign_of_the_step_is_asked_for(tmp_path):
    source = save(tmp_path / "b.tif", beads())
    with pytest.raises(WrongOptions, match="its sign cannot be found"):
        calibrate(source, tmp_path / "o.json", na=1.45, wavelength_nm=670.0)
    with pytest.raises(WrongOptions, match="give a negative --z-step-nm"):
        calibrate(source, tmp_path / "o.json", reverse_z=True, **OPTIONS)
    with pytest.raises(BadInput, match="must not be 0"):
        calibrate(source, tmp_path / "o.json", **(OPTIONS | {"z_step_nm": 0.0}))
    with pytest.raises(BadInput, match="na must be below immersion_index"):
        calibrate(
            source, tmp_path / "o.json", pixel_nm=100.0, **(OPTIONS | {"na": 1.6})
        )


def test_a_call_without_the_optics_is_a_wrong_call(tmp_path, zoo):
    source = save(tmp_path / "b.tif", beads())
    code, _, error = zoo("calibrate", source, "-o", tmp_path / "o.json")
    assert code == 2
    assert "needs --na, --z-step-nm, --wavelength-nm" in error


def test_the_other_sign_of_the_step_reverses_even_modes(tmp_path):
    source = save(tmp_path / "b.tif", beads())
    text = []
    for step in (200.0, -200.0):
        output = tmp_path / f"{step:+.0f}.json"
        options = OPTIONS | {"z_step_nm": step, "pixel_nm": 100.0}
        text += calibrate(source, output, **options)
    modes = [
        {(n, m): value for n, m, value in read_optics(tmp_path / name).zernikes_rad}
        for name in ("+200.json", "-200.json")
    ]
    for (n, _), value in modes[0].items():
        assert abs(value - (-1) ** (n + 1) * modes[1][n, _]) < 0.03
    up, down = (f"(2, 2) {mode[2, 2]:+.3f}" for mode in modes)
    warned = [line for line in text if line.startswith("The sign")]
    assert len(warned) == 2
    assert abs(modes[0][2, 2] - 0.6) < 0.03
    assert f"such as (2, 2) {-modes[0][2, 2]:+.3f}" in warned[0]
    assert up != down


def test_nodes_stay_in_their_folder(tmp_path):
    path = tmp_path / "optics.json"
    spline = {"kind": "spline", "pixel_nm": 100.0, "step_nm": 50.0, "first_z_nm": 0.0}
    for name in ("../n.npz", "/n.npz", "a\\n.npz", ".n.npz", "n.npy"):
        path.write_text(json.dumps(spline | {"nodes": name}))
        with pytest.raises(BadInput, match="same folder"):
            read_optics(path)
    path.write_text(json.dumps(spline | {"nodes": "n.npz"}))
    with pytest.raises(BadInput, match="cannot be read"):
        load_psf(path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "n.npz").write_bytes(b"")
    (tmp_path / "n.npz").symlink_to(tmp_path / "sub" / "n.npz")
    with pytest.raises(BadInput, match="leads out of its folder"):
        load_psf(path)
    path.write_text("{}")
    with pytest.raises(BadInput, match="kind"):
        read_optics(path)
