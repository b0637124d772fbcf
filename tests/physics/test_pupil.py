"""Pupil point-spread functions against brute force, known widths and each other."""

import numpy as np
import pytest
from scipy.special import j0

from zoo.physics.masks import MaskFile, VortexRings, mask_phase
from zoo.physics.optics import incoherent_otf
from zoo.physics.pixel_filter import pixel_filter
from zoo.physics.pupil import VECTORIAL_BLUR, PupilOptics, PupilPsf
from zoo.physics.zernike import zernike

MATCHED = PupilOptics(
    na=1.45,
    wavelength_nm=670.0,
    pixel_nm=100.0,
    immersion_index=1.518,
    sample_index=1.518,
    blur_nm=0.0,
)
SHAPE = (25, 25)
MIDDLE = 1250.0


def image(psf, x=MIDDLE, y=MIDDLE, z=0.0, shape=SHAPE, **options):
    return psf.images(np.array([x]), np.array([y]), np.array([z]), shape, **options)[0]


def brute_force(optics, points, over, size, x, y, z):
    """Integrate the oversampled intensity over pixels; lengths in µm."""
    wavelength, na = optics.wavelength_nm / 1000, optics.na
    index, pixel = optics.sample_index, optics.pixel_nm / 1000
    radius = na / wavelength
    f = radius * ((2 * np.arange(points) + 1) / points - 1)
    f_y, f_x = np.meshgrid(f, f, indexing="ij")
    size_f = np.minimum(np.hypot(f_x, f_y), radius)
    axial = 2 * np.pi * np.sqrt((index / wavelength) ** 2 - size_f**2)
    cosine = axial * wavelength / (2 * np.pi * index)
    amplitude = cosine**-0.5 * (np.hypot(f_x, f_y) <= radius)
    phase = z * axial - 2 * np.pi * (f_x * x + f_y * y)
    for n, m, value in optics.zernikes_rad:
        phase += value * zernike(size_f / radius, np.arctan2(f_y, f_x), n=n, m=m)
    step = 2 * radius / points
    pupil = amplitude * np.exp(1j * phase) / (amplitude**2).sum() ** 0.5 / step
    place = (np.arange(size * over) - (size * over - 1) / 2) * pixel / over
    wave = np.exp(2j * np.pi * np.outer(place, f))
    density = np.abs(wave @ pupil @ wave.T * step**2) ** 2 * (pixel / over) ** 2
    return density.reshape(size, over, size, over).sum(axis=(1, 3))


@pytest.mark.parametrize("z_nm", [0.0, 400.0])
def test_images_are_the_integral_over_pixels(z_nm):
    optics = MATCHED.override(zernikes_rad=((2, 2, 0.66), (3, 1, 0.3)))
    reference = brute_force(optics, 384, 7, 25, 0.033, -0.021, z_nm / 1000)
    peak = reference.max()
    for samples, error in ((64, 3e-3), (128, 1.5e-3)):
        psf = PupilPsf(optics, samples=samples)
        ours = image(psf, MIDDLE + 33, MIDDLE - 21, z_nm)
        np.testing.assert_allclose(ours, reference, atol=error * peak)


@pytest.mark.parametrize(
    ("pixel_um", "blur_um", "error"),
    [(0.1, 0.0, 1e-4), (0.1, 0.06, 1e-5), (0.13, 0.08, 1e-5), (0.05, 0.0, 1e-4)],
)
def test_the_pixel_filter_has_the_right_response(pixel_um, blur_um, error):
    cutoff = 4.33
    line = pixel_filter(13, pixel_um=pixel_um, cutoff_per_um=cutoff, blur_um=blur_um)
    centres = (np.arange(13) - 6) * pixel_um
    f = np.linspace(0, cutoff, 60)
    wave = np.exp(2j * np.pi * np.outer(line.samples_um, f))
    circular = 2 * np.pi * f
    response = np.sinc(f * pixel_um) * np.exp(-0.5 * (circular * blur_um) ** 2)
    # what the image of a clear pupil holds of each frequency
    content = incoherent_otf(f / cutoff)
    expected = response * np.exp(1j * circular * centres[:, None])
    for weights, factor, worse in (
        (line.value_um, 1, 1),
        (line.slope, -1j * circular, 10),
        (line.variance_slope_per_um, -0.5 * circular**2, 30),
    ):
        difference = content * (weights @ wave / pixel_um - factor * expected)
        largest = np.abs(content * factor * response).max()
        assert np.abs(difference).max() < worse * error * largest
    np.testing.assert_allclose(line.value_um.sum(axis=1), pixel_um, rtol=1e-9)


@pytest.mark.parametrize(
    "optics",
    [
        MATCHED,
        MATCHED.override(zernikes_rad=((2, 2, 0.66),), blur_nm=60.0),
        MATCHED.override(sample_index=1.33, focus_nm=600.0, pixel_nm=130.0),
        MATCHED.override(mask=VortexRings()),
    ],
)
def test_derivatives_agree_with_differences(optics):
    psf = PupilPsf(optics)
    rng = np.random.default_rng(3)
    middle = SHAPE[0] * optics.pixel_nm / 2
    places = [rng.uniform(middle - 90, middle + 90, 4) for _ in range(2)]
    places.append(rng.uniform(100.0, 500.0, 4))
    images, slopes = psf.derivatives(*places, SHAPE)
    np.testing.assert_array_equal(images, psf.images(*places, SHAPE))
    for axis, tolerance in enumerate((2e-3, 2e-3, 1e-5)):
        up, down = ([p.copy() for p in places] for _ in range(2))
        up[axis] += 0.5
        down[axis] -= 0.5
        numerical = psf.images(*up, SHAPE) - psf.images(*down, SHAPE)
        largest = np.abs(numerical).max()
        np.testing.assert_allclose(slopes[:, axis], numerical, atol=tolerance * largest)


def test_derivatives_of_phase_and_blur_agree_with_differences():
    modes = ((2, 2), (3, -1), (4, 0))
    terms = tuple((n, m, 0.3) for n, m in modes)
    optics = MATCHED.override(zernikes_rad=terms, blur_nm=70.0, sample_index=1.33)
    psf = PupilPsf(optics)
    place = [np.array([value]) for value in (MIDDLE + 20, MIDDLE - 35, 300.0)]
    basis = np.concatenate([psf.zernike_basis(modes), psf.focus_phase_rad[None]])
    phase, variance = psf.optics_derivatives(*place, SHAPE, basis=basis, focus_nm=500.0)

    def changed(**changes):
        return PupilPsf(optics.override(**changes)).images(
            *place, SHAPE, focus_nm=500.0
        )

    step = 1e-3
    for index in range(3):
        up, down = list(terms), list(terms)
        up[index] = (*modes[index], 0.3 + step)
        down[index] = (*modes[index], 0.3 - step)
        numerical = changed(zernikes_rad=tuple(up)) - changed(zernikes_rad=tuple(down))
        np.testing.assert_allclose(
            phase[:, index], numerical / (2 * step), atol=1e-5 * psf_peak(psf)
        )
    numerical = psf.images(*place, SHAPE, focus_nm=501.0) - psf.images(
        *place, SHAPE, focus_nm=499.0
    )
    np.testing.assert_allclose(phase[:, 3], numerical / 2, atol=1e-5 * psf_peak(psf))
    numerical = changed(blur_nm=(4900 + 50) ** 0.5) - changed(
        blur_nm=(4900 - 50) ** 0.5
    )
    largest = np.abs(numerical / 100).max()
    np.testing.assert_allclose(variance, numerical / 100, atol=2e-3 * largest)


def psf_peak(psf):
    return image(psf).max()


def width_nm(line, pixel_nm):
    """Return the full width at half maximum of a symmetric line."""
    half, top = line.max() / 2, line.argmax()
    below = top + np.flatnonzero(line[top:] < half)[0]
    part = (line[below - 1] - half) / (line[below - 1] - line[below])
    return 2 * (below - 1 + part - top) * pixel_nm


def fine(optics, size=121):
    optics = optics.override(pixel_nm=10.0)
    psf = PupilPsf(optics, samples=128)
    return image(psf, 5.0 * size, 5.0 * size, shape=(size, size))


def test_a_small_aperture_gives_the_airy_pattern():
    optics = MATCHED.override(na=0.3, pixel_nm=50.0)
    psf = PupilPsf(optics, samples=96)
    line = image(psf, 3025.0, 3025.0, shape=(121, 121))[60]
    assert width_nm(line, 50.0) == pytest.approx(0.5145 * 670 / 0.3, rel=0.01)
    dark = 60 + line[60:90].argmin()
    assert (dark - 60) * 50 == pytest.approx(0.61 * 670 / 0.3, abs=50)


@pytest.mark.parametrize(
    ("apodisation", "expected"), [("aplanatic", 238.0), ("uniform", 247.0)]
)
def test_widths_at_a_high_aperture(apodisation, expected):
    spot = fine(MATCHED.override(na=1.4, apodisation=apodisation))
    assert width_nm(spot[60], 10.0) == pytest.approx(expected, abs=1.5)


def vectorial(optics, z_um, size, pixel_um):
    """Sum the six intensities of a freely rotating dipole, index-matched."""
    wavelength, na, index = optics.wavelength_nm / 1000, optics.na, optics.sample_index
    points, radius = 128, na / wavelength
    f = radius * ((2 * np.arange(points) + 1) / points - 1)
    f_y, f_x = np.meshgrid(f, f, indexing="ij")
    inside = np.hypot(f_x, f_y) <= radius
    size_f = np.minimum(np.hypot(f_x, f_y), radius)
    phi = np.arctan2(f_y, f_x)
    sine = size_f * wavelength / index
    cosine = np.sqrt(1 - sine**2)
    wave = (
        inside * cosine**-0.5 * np.exp(2j * np.pi * z_um * index / wavelength * cosine)
    )
    p = (cosine * np.cos(phi), cosine * np.sin(phi), -sine)
    s = (-np.sin(phi), np.cos(phi), np.zeros_like(phi))
    place = (np.arange(size) - (size - 1) / 2) * pixel_um
    to_image = np.exp(2j * np.pi * np.outer(place, f))
    total = np.zeros((size, size))
    for j in range(3):
        for weight in (
            p[j] * np.cos(phi) - s[j] * np.sin(phi),
            p[j] * np.sin(phi) + s[j] * np.cos(phi),
        ):
            total += np.abs(to_image @ (wave * weight) @ to_image.T) ** 2
    return total / total.sum()


def test_the_vectorial_reference_has_its_known_width():
    spot = vectorial(MATCHED.override(na=1.4), 0.0, 121, 0.01)
    assert width_nm(spot[60], 10.0) == pytest.approx(272.0, abs=3)


@pytest.mark.parametrize("z_nm", [0.0, 300.0, 600.0])
@pytest.mark.parametrize(
    ("na", "wavelength_nm", "error"), [(1.4, 670.0, 0.025), (1.49, 580.0, 0.04)]
)
def test_blur_reproduces_the_vectorial_model(na, wavelength_nm, z_nm, error):
    optics = PupilOptics(
        na=na, wavelength_nm=wavelength_nm, pixel_nm=20.0, sample_index=1.518
    )
    assert optics.blur_nm == pytest.approx(VECTORIAL_BLUR * wavelength_nm)
    psf = PupilPsf(optics, samples=128)
    scalar = image(psf, 1010.0, 1010.0, z_nm, shape=(101, 101))
    reference = vectorial(optics, z_nm / 1000, 101, 0.02)
    scalar /= scalar.sum()
    assert np.linalg.norm(scalar - reference) < error * np.linalg.norm(reference)


@pytest.mark.parametrize(("z_um", "focus_um"), [(1.0, 1.3), (2.0, 2.7)])
def test_the_brightest_plane_lies_deeper_than_paraxial_rays_say(z_um, focus_um):
    optics = PupilOptics(
        na=1.3, wavelength_nm=670.0, pixel_nm=100.0, immersion_index=1.515, blur_nm=0.0
    )
    psf = PupilPsf(optics)
    planes = np.arange(0.8, 3.4, 0.05) * 1000
    middle, depth = np.full(len(planes), MIDDLE), np.full(len(planes), 1000 * z_um)
    peaks = psf.images(middle, middle, depth, SHAPE, focus_nm=planes).max(axis=(1, 2))
    assert planes[peaks.argmax()] / 1000 == pytest.approx(focus_um, abs=0.11)
    assert planes[peaks.argmax()] > 1000 * z_um * 1.515 / 1.33


@pytest.mark.parametrize("z_um", [0.0, 1.0, 2.0])
def test_a_uniform_pupil_is_the_gibson_lanni_model(z_um):
    optics = PupilOptics(
        na=1.3,
        wavelength_nm=670.0,
        pixel_nm=20.0,
        immersion_index=1.515,
        blur_nm=0.0,
        apodisation="uniform",
    )
    psf = PupilPsf(optics, samples=128)
    # 0.3 µm below what Gibson and Lanni call the focus, a paraxial one
    focus_um = z_um * 1.515 / 1.33 - 0.3
    ours = image(psf, 1010.0, 1010.0, 1000 * z_um, (101, 101), focus_nm=1000 * focus_um)
    rho = (np.arange(4000) + 0.5) / 4000
    sine, wave_number = 1.3 * rho, 2 * np.pi / 0.67
    path = z_um * np.sqrt(1.33**2 - sine**2) - focus_um * np.sqrt(1.515**2 - sine**2)
    radius = np.arange(50) * 0.02
    bessel = j0(wave_number * np.outer(radius, sine))
    field = bessel @ (rho * np.exp(1j * wave_number * path)) / 4000
    density = np.abs(field) ** 2
    # of unit photon number: the field of the whole pupil, per area
    density *= 4 * np.pi * (1.3 / 0.67) ** 2
    line = ours[50, 50:100] / 0.02**2
    np.testing.assert_allclose(line, density, atol=6e-3 * density.max())


def test_photons_are_kept_and_not_put_back():
    psf = PupilPsf(MATCHED)
    shares = [image(psf, 50.0 * n, 50.0 * n, shape=(n, n)).sum() for n in (25, 61)]
    assert shares[0] == pytest.approx(0.932, abs=0.004)
    assert shares[0] < shares[1] < 1.0
    helix = PupilPsf(MATCHED.override(mask=VortexRings()), samples=128)
    wide = image(helix, 2050.0, 2050.0, shape=(41, 41))
    assert wide.sum() == pytest.approx(0.847, abs=0.005)


def test_moving_by_a_pixel_moves_the_image_by_a_pixel():
    psf = PupilPsf(MATCHED.override(zernikes_rad=((3, 1, 0.5), (2, -2, 0.4))))
    start = image(psf, 1180.0, 1270.0, 200.0)
    right, down = image(psf, 1280.0, 1270.0, 200.0), image(psf, 1180.0, 1370.0, 200.0)
    np.testing.assert_allclose(right[:, 1:], start[:, :-1], atol=1e-6)
    np.testing.assert_allclose(down[1:], start[:-1], atol=1e-6)


def test_regions_may_be_oblong():
    psf = PupilPsf(MATCHED)
    square = image(psf)
    wide = image(psf, x=MIDDLE + 300, shape=(25, 31))
    np.testing.assert_allclose(wide[:, 3:28], square, atol=1e-6)


def test_the_focal_plane_follows_the_stage():
    psf = PupilPsf(MATCHED)
    np.testing.assert_allclose(
        image(psf, z=350.0, focus_nm=350.0), image(psf), atol=1e-12
    )
    moved = PupilPsf(MATCHED.override(focus_nm=-200.0))
    np.testing.assert_allclose(image(moved), image(psf, focus_nm=-200.0), atol=1e-12)


def test_signs_of_aberrations():
    def moments(spot):
        pixel = np.arange(25) - 12.0
        mass = spot.sum()
        x, y = spot.sum(axis=0) @ pixel / mass, spot.sum(axis=1) @ pixel / mass
        core = spot * (spot > 0.1 * spot.max())
        wide_x = core.sum(axis=0) @ pixel**2 / core.sum()
        wide_y = core.sum(axis=1) @ pixel**2 / core.sum()
        return x, y, wide_x, wide_y

    # tilt along x moves the image to the left by c * wavelength / (pi NA)
    tilted = PupilPsf(MATCHED.override(zernikes_rad=((1, 1, 0.5),)))
    straight = image(PupilPsf(MATCHED), x=MIDDLE - 0.5 * 670 / (np.pi * 1.45))
    np.testing.assert_allclose(image(tilted), straight, atol=1e-4)
    # astigmatism (2, 2): above the focus a line along y, below along x
    astigmatic = PupilPsf(MATCHED.override(zernikes_rad=((2, 2, 0.66),)))
    _, _, wide_x, wide_y = moments(image(astigmatic, z=400.0))
    assert wide_y > 1.5 * wide_x
    _, _, wide_x, wide_y = moments(image(astigmatic, z=-400.0))
    assert wide_x > 1.5 * wide_y
    # the same under z -> -z with x <-> y
    np.testing.assert_allclose(
        image(astigmatic, z=-400.0), image(astigmatic, z=400.0).T, atol=1e-9
    )


@pytest.mark.parametrize(("rings", "degrees_per_um"), [(5, 56), (7, 43)])
def test_the_double_helix_turns_with_depth(rings, degrees_per_um):
    psf = PupilPsf(MATCHED.override(mask=VortexRings(rings=rings)), samples=128)
    depths = np.linspace(-800, 800, 9)
    middle = np.full(9, 2050.0)
    spots = psf.images(middle, middle, depths, (41, 41))
    pixel = np.arange(41) - 20.0
    angles = []
    for spot in spots:
        core = np.clip(spot - 0.4 * spot.max(), 0, None)
        xx = core.sum(axis=0) @ pixel**2
        yy = core.sum(axis=1) @ pixel**2
        xy = pixel @ core @ pixel
        angles.append(0.5 * np.arctan2(2 * xy, xx - yy))
    turns = np.unwrap(np.array(angles), period=np.pi)
    slope = np.degrees(np.polyfit(depths / 1000, turns, 1)[0])
    assert abs(slope) == pytest.approx(degrees_per_um, abs=3)


def test_waves_beyond_the_sample_are_left_out():
    water = PupilPsf(MATCHED.override(sample_index=1.33))
    assert water.optics.aperture_per_um == pytest.approx(1.33 / 0.67)
    assert np.isfinite(image(water, z=500.0)).all()


def test_further_phases_are_those_of_every_emitter():
    psf = PupilPsf(MATCHED)
    modes = ((2, 2), (3, 1))
    basis = psf.zernike_basis(modes)
    coefficients = np.array([[0.5, 0.0], [0.0, -0.7], [0.2, 0.1]])
    middle = np.full(3, MIDDLE)
    depth = np.array([0.0, 100.0, -200.0])
    together = psf.images(
        middle, middle, depth, SHAPE, phase_rad=np.tensordot(coefficients, basis, 1)
    )
    for row, z_nm, spot in zip(coefficients, depth, together, strict=True):
        terms = tuple((n, m, c) for (n, m), c in zip(modes, row, strict=True))
        own = PupilPsf(MATCHED.override(zernikes_rad=terms))
        np.testing.assert_allclose(spot, image(own, z=z_nm), atol=1e-9)


def test_single_precision_is_enough():
    double, single = (PupilPsf(MATCHED, dtype=t) for t in (np.float64, np.float32))
    rng = np.random.default_rng(1)
    place = [*rng.uniform(1100, 1400, (2, 40)), rng.uniform(-1500, 1500, 40)]
    reference = double.images(*place, SHAPE)
    ours = single.images(*place, SHAPE)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, reference, atol=5e-6 * reference.max())
    slopes = [psf.derivatives(*place, SHAPE)[1] for psf in (single, double)]
    np.testing.assert_allclose(*slopes, atol=2e-5 * np.abs(slopes[1]).max())


def test_no_emitters_give_no_images():
    none = np.empty(0)
    psf = PupilPsf(MATCHED)
    assert psf.images(none, none, none, SHAPE).shape == (0, *SHAPE)
    images, slopes = psf.derivatives(none, none, none, SHAPE)
    assert images.shape == (0, *SHAPE)
    assert slopes.shape == (0, 3, *SHAPE)


@pytest.mark.parametrize("kind", ["npy", "tif"])
def test_masks_are_read_from_files(tmp_path, kind):
    axis = (2 * np.arange(201) + 1) / 201 - 1
    v, u = np.meshgrid(axis, axis, indexing="ij")
    rho, phi = np.hypot(v, u), np.arctan2(v, u)
    phase = 3.0 * zernike(np.minimum(rho, 1), phi, n=2, m=2)
    wrapped = np.angle(np.exp(1j * phase))
    path = tmp_path / f"mask.{kind}"
    if kind == "npy":
        np.save(path, wrapped)
    else:
        from tifffile import imwrite

        imwrite(path, wrapped.astype(np.float32))
    written = PupilPsf(MATCHED.override(mask=MaskFile(path=str(path))))
    declared = PupilPsf(MATCHED.override(zernikes_rad=((2, 2, 3.0),)))
    expected = image(declared, z=200.0)
    np.testing.assert_allclose(
        image(written, z=200.0), expected, atol=0.01 * expected.max()
    )


def test_rows_of_a_mask_run_along_y():
    mask = np.zeros((11, 11))
    mask[9, 5] = 1.0
    assert mask_phase(np.array([0.75]), np.array([np.pi / 2]), mask_rad=mask) > 0.5
    assert mask_phase(np.array([0.75]), np.array([0.0]), mask_rad=mask) == 0


def test_bad_masks_are_refused(tmp_path):
    rho = np.zeros(1)
    with pytest.raises(ValueError, match="square"):
        mask_phase(rho, rho, mask_rad=np.zeros((3, 4)))
    with pytest.raises(ValueError, match="finite"):
        mask_phase(rho, rho, mask_rad=np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match="a mask is a"):
        MaskFile(path=str(tmp_path / "mask.txt")).phase_rad(rho, rho)


def test_declarations_survive_json_and_refuse_nonsense():
    optics = MATCHED.override(
        zernikes_rad=((2, 2, 0.5),), mask=VortexRings(rings=7, lobes=1)
    )
    assert PupilOptics.model_validate_json(optics.model_dump_json()) == optics
    with pytest.raises(ValueError, match="a Zernike mode needs"):
        MATCHED.override(zernikes_rad=((2, 1, 0.5),))
    with pytest.raises(ValueError, match="na must be below immersion_index"):
        MATCHED.override(na=1.6)
    with pytest.raises(ValueError, match="samples must be a positive even number"):
        PupilPsf(MATCHED, samples=63)
