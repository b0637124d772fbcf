"""Images on either side of every limit of the training: silent inside, told outside."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.inputs.frames import Frames, MovieOptions
from zoo.metrics.baselines import richardson_lucy
from zoo.metrics.integrity import integrity
from zoo.physics.optics import Optics, apply_transfer, otf_grid
from zoo.physics.specimens import specimen
from zoo.tasks.conditions import compare, condition_warnings, pixel_size_warnings
from zoo.tasks.image import ImageRestoration

PIXEL_NM = 62.6
OPTICS = Optics(na=1.4, wavelength_nm=580.0, pixel_nm=PIXEL_NM, blur_nm=25.0)
WIDEFIELD = Contract(
    grid=Grid.square(scale=2),
    input=Frames(scaling="image", diffraction_limited=True),
    task=ImageRestoration(),
    training={
        "pixel_size_nm": (62.6, 62.6),
        "na": (1.2, 1.49),
        "wavelength_nm": (480.0, 680.0),
        "photons": (15.0, 600.0),
        "background": (0.02, 0.1),
        "haze": (0.0, 1.0),
    },
)
TOLD = {
    "photons": "light on the structure",
    "background": "background over the brightest",
    "cutoff": "end of the spectrum",
    "noise": "whiteness of the noise",
    "saturated": "saturated pixels",
    "clipped": "pixels at the lowest value",
    "grey": "noise in grey levels",
    "sum": "brightest pixel",
    "stretched": "used part of the range of the file",
    "contrast": "range of the image over its noise",
    "fill": "share of the field covered",
    "pixels": "pixels of",
    "coarse": "pixels over what the spectrum needs",
}
"""What a warning begins with."""


def light(structure="microtubules", seed=1, edge=160):
    """Return a blurred specimen, 1 where it is brightest, (y, x)."""
    rng = np.random.default_rng(seed)
    sample = specimen(rng, structure, (edge, edge), pixel_nm=PIXEL_NM)
    blurred = apply_transfer(sample, otf_grid(OPTICS, (edge, edge), pixel_nm=PIXEL_NM))
    blurred = np.maximum(blurred, 0)
    return blurred / np.quantile(blurred, 0.999)


def camera(expected, seed=2, *, gain=2.0, offset=100.0):
    """Return counts of a camera with a read noise of one electron, uint16."""
    rng = np.random.default_rng(seed)
    electrons = rng.poisson(0.8 * expected) + rng.normal(0, 1.0, np.shape(expected))
    return np.clip(np.round(gain * electrons + offset), 0, 65535).astype(np.uint16)


def told(image, pixel_nm=PIXEL_NM):
    """Return what is warned of, by the names of `TOLD`, and the warnings."""
    options = MovieOptions()
    recording = WIDEFIELD.input.open(
        image, WIDEFIELD, name="toy", options=options, pixel_size_nm=pixel_nm
    )
    try:
        warnings = condition_warnings(compare(WIDEFIELD, recording.measurements()))
        warnings += pixel_size_warnings(recording, WIDEFIELD, "mind", images=True)
    finally:
        recording.close()
    known = {name for name, words in TOLD.items()
             if any(text.startswith(words) for text in warnings)}  # fmt: skip
    assert len(known) == len(warnings)
    return known, warnings


def screenshot(image):
    """Return an image as a viewer shows it: stretched to 8 bits, a little cut off."""
    low, high = np.quantile(image, [0.02, 0.998])
    return (255 * np.clip((image - low) / (high - low), 0, 1)).round().astype(np.uint8)


STRUCTURES = ("microtubules", "actin", "pits", "er", "mitochondria")


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("peak", [60.0, 300.0])
def test_images_of_the_training_are_not_warned_of(structure, peak):
    image = camera(peak * light(structure, seed=7) + 0.05 * peak)
    assert told(image)[0] == set()


SPOT = np.zeros((160, 160))
SPOT[80, 80] = 1.0
SPOT = gaussian_filter(SPOT, 1.5) / gaussian_filter(SPOT, 1.5).max()
INSIDE = camera(200 * light() + 10)
OUTSIDE = {
    "dim": (camera(4 * light() + 1), {"photons"}),
    "hazy": (camera(200 * light() + 700), {"background"}),
    "empty": (camera(np.full((160, 160), 40.0)), {"contrast"}),
    "a single spot": (camera(10 + 300 * SPOT), {"fill"}),
    "saturated": (np.minimum(INSIDE.astype(int) * 400, 65535).astype(np.uint16),
                  {"saturated"}),
    "screenshot": (screenshot(INSIDE), {"stretched"}),
    "black clipped": (np.maximum(INSIDE, np.uint16(np.quantile(INSIDE, 0.6))),
                      {"clipped", "grey"}),
    "few grey levels": ((INSIDE // 24).astype(np.uint8), {"clipped"}),
    "super-resolved": (zoom(INSIDE.astype(float), 2, order=3).astype(np.float32),
                       {"noise"}),
    "sum of planes": (sum(camera(900 * light(seed=s) + 1200, s).astype(np.uint32)
                          for s in range(40)), {"sum"}),
}  # fmt: skip
"""Images and what has to be told of them."""


@pytest.mark.parametrize("name", OUTSIDE)
def test_images_beyond_a_limit_are_told_with_both_numbers(name):
    assert told(INSIDE)[0] == set()
    image, expected = OUTSIDE[name]
    found, warnings = told(image)
    assert expected <= found
    for text in warnings:
        assert "trained: " in text


def test_deconvolved_images_are_told():
    photons = np.maximum((INSIDE.astype(float) - 100) / 2 / 0.8, 0)
    sharp = richardson_lucy(photons, OPTICS, iterations=60, background=9.0, scale=1)
    found, warnings = told(np.round(4 * sharp).astype(np.uint16))
    assert found & {"clipped", "cutoff", "noise"}
    assert warnings


def test_pixel_sizes_on_either_side_are_told():
    assert told(INSIDE, 61.0)[0] == told(INSIDE, 64.5)[0] == set()
    for pixel_nm, words in ((31.3, "already super-resolved"), (90.0, "62.6 nm; mind")):
        found, warnings = told(INSIDE, pixel_nm)
        assert "pixels" in found
        assert any(words in text for text in warnings)


def test_the_share_of_saturated_pixels_is_told():
    image = INSIDE.copy()
    image[:40, :40] = 65535
    _, warnings = told(image)
    (line,) = (text for text in warnings if text.startswith("saturated"))
    assert "0.0625" in line


def test_fractions_have_no_counts_and_constants_nothing():
    values = {m.name: m.value for m in integrity([INSIDE / 7.0])}
    assert values["peak_counts"] is None
    assert values["range_used"] is None
    assert values["clipped"] < 0.01
    flat = integrity([np.full((40, 40), 3.0)])
    assert all(m.value is None for m in flat)
