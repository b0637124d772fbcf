"""Error maps from raw SIM frames: small for the truth, large for invented detail."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.core.frame_pattern import FramePattern
from zoo.metrics import raw_frames
from zoo.metrics.raw_frames import SHARPNESSES, raw_frame_map
from zoo.metrics.sim_bands import fast
from zoo.metrics.squirrel import error_map
from zoo.physics.illumination import Pattern, sim_images
from zoo.physics.optics import Optics, apply_transfer, otf_grid
from zoo.physics.specimens import specimen
from zoo.simulate.sim_scenes import ideal_image

OPTICS = Optics(na=1.4, wavelength_nm=560.0, pixel_nm=62.6, blur_nm=30.0)
CUTOFF = OPTICS.cutoff_per_um * 0.0626
ATTENUATION = 2 * (np.pi * OPTICS.blur_nm * OPTICS.cutoff_per_um / 1000) ** 2
PATTERN = Pattern(
    frequency_per_um=0.93 * OPTICS.cutoff_per_um,
    angles_rad=tuple((0.4 + np.pi * np.arange(3) / 3).tolist()),
    phases_rad=tuple(
        tuple((first + 2 * np.pi * np.arange(3) / 3).tolist())
        for first in (0.3, 2.1, 4.4)
    ),
    modulations=(0.8, 0.7, 0.6),
)
KNOWN = FramePattern(
    channels=np.arange(9).reshape(3, 3),
    vectors=PATTERN.vectors_per_um() * 0.0626,
    phases_rad=np.array(PATTERN.phases_rad),
    modulations=np.array(PATTERN.modulations),
    cutoff=CUTOFF,
    attenuation=float(ATTENUATION),
)
INNER = slice(24, -24)


def scene(seed, shape=(96, 80), margin=16):
    """Return light of raw frames (y, x, 9) and the ideal image (2y, 2x)."""
    fine = tuple(2 * (n + 2 * margin) for n in shape)
    sample = specimen(np.random.default_rng(seed), "microtubules", fine, pixel_nm=31.3)
    transfer = otf_grid(OPTICS, fine, pixel_nm=31.3)
    light = sim_images(
        sample, PATTERN, transfer, pixel_nm=31.3, binning=2, origin_px=2 * margin
    )
    scale = 200 / light.max()
    inner = tuple(slice(margin, margin + n) for n in shape)
    wide = tuple(slice(2 * margin, 2 * (margin + n)) for n in shape)
    ideal = scale * ideal_image(sample, OPTICS, PATTERN)
    return np.moveaxis(scale * light[:, *inner], 0, -1), ideal[wide]


@pytest.fixture(scope="module")
def clear():
    return scene(4)


@pytest.fixture(scope="module")
def noisy(clear):
    light = np.maximum(clear[0], 0)
    return 100 + np.random.default_rng(1).poisson(light + 10).astype(float)


def test_the_truth_explains_frames_without_noise(clear):
    frames, ideal = clear
    # of any brightness and offset, as networks have them
    found = raw_frame_map(100 + frames, 0.3 * ideal - 7, KNOWN)
    assert found.sharpness == 1.0
    np.testing.assert_allclose(found.fringes, 1, atol=0.03)
    scale = np.std(fast(frames.mean(axis=-1)))
    assert found.misfit < 0.05 * scale
    assert found.error[INNER, INNER].max() < 0.25 * scale
    assert found.noise < 0.01 * scale
    # gain: mean of camera pixels from sums of fine ones
    np.testing.assert_allclose(found.light, 4 / 0.3, rtol=0.03)


def invention(ideal):
    """Return lines beyond the resolution of a widefield image, in a disc, and that."""
    rows, columns = np.indices(ideal.shape)
    disc = np.hypot(rows - 90, columns - 90) < 34
    disc = gaussian_filter(disc.astype(float), 3.0)
    per_px = 1.25 * CUTOFF / 2  # no widefield image shows it, SIM does
    lines = np.cos(2 * np.pi * per_px * (0.8 * rows + 0.6 * columns))
    return 0.3 * ideal.max() * disc * lines, disc


def test_an_invention_that_no_widefield_image_shows_is_seen(clear, noisy):
    _, ideal = clear
    lines, disc = invention(ideal)
    widefield = otf_grid(OPTICS, ideal.shape, pixel_nm=31.3)
    assert np.std(apply_transfer(lines, widefield)) < 0.02 * np.std(lines)
    maps = {}
    for name, image in (("true", ideal), ("false", ideal + lines)):
        maps["raw", name] = raw_frame_map(noisy, image, KNOWN).error
        maps["widefield", name] = error_map(noisy.mean(axis=-1), image).error
    there, away = disc > 0.9, disc < 0.01

    def rise(kind):
        squares = [maps[kind, n][there] ** 2 for n in ("false", "true")]
        return np.sqrt(squares[0].mean() / squares[1].mean())

    assert rise("raw") > 2.5
    assert rise("widefield") < 1.1
    assert maps["raw", "false"][there].mean() > 2 * maps["raw", "false"][away].mean()


def test_missing_filaments_are_seen(clear, noisy):
    _, ideal = clear
    gap = ideal.copy()
    gap[60:110, 60:110] = np.quantile(ideal, 0.02)
    found = raw_frame_map(noisy, gap, KNOWN)
    true = raw_frame_map(noisy, ideal, KNOWN)
    assert found.misfit > 3 * true.misfit
    part = np.s_[65:105, 65:105]
    assert found.error[part].mean() > 2 * true.error[part].mean()


def test_noise_is_measured(clear, noisy):
    frames, ideal = clear
    found = raw_frame_map(noisy, ideal, KNOWN)
    assert found.misfit < found.noise
    louder = 100 + 4 * np.random.default_rng(2).poisson(
        np.maximum(frames, 0) / 4 + 10 / 4
    )
    again = raw_frame_map(louder.astype(float), ideal, KNOWN)
    assert again.noise == pytest.approx(2 * found.noise, rel=0.1)
    assert found.error.min() > 0


def test_unequal_light_and_other_orders_change_nothing(clear):
    frames, ideal = clear
    even = raw_frame_map(frames, ideal, KNOWN)
    gains = np.array([1.2, 0.8, 1.0])
    known = KNOWN._replace(modulations=KNOWN.modulations * gains)
    uneven = raw_frame_map(frames * gains.repeat(3), ideal, known)
    np.testing.assert_allclose(uneven.light / even.light, gains, rtol=0.01)
    np.testing.assert_allclose(uneven.error, even.error, atol=0.1 * even.error.max())
    phase_major = frames[..., np.arange(9).reshape(3, 3).T.ravel()]
    other = KNOWN._replace(channels=KNOWN.channels.T)
    np.testing.assert_allclose(
        raw_frame_map(phase_major, ideal, other).error, even.error
    )


def test_a_wrong_pattern_does_not_fit(clear, noisy):
    _, ideal = clear
    wrong = KNOWN._replace(vectors=1.1 * KNOWN.vectors)
    found, true = (raw_frame_map(noisy, ideal, known) for known in (wrong, KNOWN))
    assert np.all(found.fringes < 0.5)
    assert found.misfit > 3 * true.misfit


def test_invisible_orientations_do_not_count(clear):
    frames, ideal = clear
    faint = KNOWN._replace(modulations=KNOWN.modulations * [1, 0, 1])
    frames = frames.copy()
    frames[..., 3:6] = frames[..., 3:6].mean(axis=-1, keepdims=True)
    found = raw_frame_map(frames, ideal, faint)
    assert np.isnan(found.fringes).tolist() == [False, True, False]
    assert found.misfit < 0.1 * np.std(fast(frames.mean(axis=-1)))


def test_tiles_and_sharpness_that_are_given(clear, noisy, monkeypatch):
    _, ideal = clear
    whole = raw_frame_map(noisy, ideal, KNOWN)
    monkeypatch.setattr(raw_frames, "TILE_PX", 40)
    target = np.empty(ideal.shape, np.float32)
    tiled = raw_frame_map(noisy, ideal, KNOWN, sharpness=whole.sharpness, out=target)
    assert tiled.error is target
    assert len(list(raw_frames._tiles((96, 80)))) == 6
    difference = np.sqrt(np.mean((tiled.error - whole.error) ** 2))
    assert difference < 0.1 * np.sqrt(np.mean(whole.error**2))
    assert tiled.noise == pytest.approx(whole.noise, rel=0.1)


@pytest.mark.parametrize("what", ["frames", "image", "both"])
def test_nothing_is_left_finite(clear, what):
    frames, ideal = clear
    frames = np.full_like(frames, 9) if what != "image" else frames
    image = np.zeros_like(ideal) if what != "frames" else ideal
    found = raw_frame_map(frames, image, KNOWN)
    assert np.isfinite(found.error).all()
    assert found.sharpness in SHARPNESSES
    assert (found.misfit > 1e-9) == (what == "image")


def test_refused(clear):
    frames, ideal = clear
    with pytest.raises(ValueError, match="2 times as large"):
        raw_frame_map(frames, ideal[:-2], KNOWN)
    with pytest.raises(ValueError, match="finite"):
        raw_frame_map(frames, ideal * np.nan, KNOWN)
    none = KNOWN._replace(modulations=np.zeros(3))
    with pytest.raises(ValueError, match="visible"):
        raw_frame_map(frames, ideal, none)
