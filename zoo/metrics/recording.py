"""Recordings measured before a network sees them: spots, crowding, light, sampling."""

from collections.abc import Sequence

import numpy as np

from zoo.core.measured import Measured
from zoo.metrics.emission import Emission, emission
from zoo.metrics.integrity import integrity
from zoo.metrics.noise import Gain, photon_transfer
from zoo.metrics.sampling import sampling, spectral_sigma
from zoo.metrics.spots import isolated_spots

MULTIPLYING = 3.0
"""Counts per photoelectron from which a camera is taken to multiply electrons (an
EM-CCD), which doubles the variance of its noise."""
QUANTUM_EFFICIENCY = 0.85
"""Photoelectrons per photon where nobody says: between those of an EM-CCD and a
scientific CMOS camera."""
SPOT_WINDOW_NM = 550.0
"""Half the edge of the window in which a spot is fitted."""
STILLNESS = (0.0, 0.85)
"""Correlation of frames far apart below which emitters blink."""
SHAPE = (0.85, 1.35)
"""Width of isolated spots over that of their finest detail, times one plus the misfit
of a Gaussian: one for a round spot, up to 1.4 where emitters are crowded, 1.5 to 2.5
for a Tetrapod or a double helix."""
SINGLE = 1.15
"""Width of isolated spots over that of their finest detail below which they are single
emitters."""
FAINT = 0.5
"""Light over background below which the unevenness of the background passes for
emitters' light."""
CONSTANCY = (0.35, 1.05)
"""Likeness of two images of one structure that moves or bleaches; blinking emitters
have less."""
COLOUR = (0.6, 1.5)
"""Outer over inner power in the corners of a spectrum, of white noise."""


def measured_spots(
    frames: np.ndarray, *, pixel_nm: float, saturated: float | None = None
) -> list[Measured]:
    """Measure frames of blinking emitters.

    Parameters
    ----------
    frames : (t, y, x)
        Frames spread over the recording, counts.
    pixel_nm
        Edge of a pixel.
    saturated
        Share of pixels at the end of the camera's range, None if it has none.

    Returns
    -------
    conditions
        Spot width, shape, photons, background, density, local density, stillness and
        saturation.  Photons are those at the detector, with `QUANTUM_EFFICIENCY`.
    """
    frames = np.asarray(frames, float)
    gain = photon_transfer(frames)
    half = int(np.clip(round(SPOT_WINDOW_NM / pixel_nm), 4, 8))
    spots = isolated_spots(frames, half_px=half, gain=gain)
    sigma_px = spectral_sigma(frames)
    known = bool(np.isfinite(sigma_px))
    crowd = shape = light = None
    shape_note = "too few isolated spots"
    if spots is not None and known:
        wider = spots.sigma_px / sigma_px
        shape, shape_note = wider * (1 + spots.residual), f"{spots.number} spots"
        light = spots.light if wider < SINGLE else None
    if known:
        crowd = emission(frames, sigma_px=sigma_px, pixel_nm=pixel_nm, brightness=light)
    area_um2 = (pixel_nm / 1000) ** 2
    crowd_note = _crowd_note(crowd)
    stillness = float("nan") if crowd is None else crowd.stillness
    counts = None if crowd is None else crowd.brightness
    photons, photon_note = _photons(counts, gain)
    background, background_note = None, photon_note
    if gain is not None and crowd is not None:
        dark = max(crowd.background - gain.dark, 0.0)
        background, background_note = _photons(dark, gain)
        told = light is not None or crowd.blinking
        if not told and crowd.light < FAINT * dark:
            photons, crowd = None, None
            photon_note = crowd_note = "drowned by the background"
    found = [
        Measured(
            "psf_sigma_nm",
            sigma_px * pixel_nm if known else None,
            "nm",
            "spot width, sigma",
            note="from the upper end of the spectrum" if known else "too little light",
        ),
        Measured(
            "spot_shape",
            shape,
            "",
            "spread of a spot over its finest detail, 1 for a round one",
            SHAPE,
            shape_note,
        ),
        Measured(
            "ellipticity",
            spots and spots.ellipticity,
            "",
            "ellipticity of spots",
            note=shape_note,
        ),
        Measured(
            "spot_residual",
            spots and spots.residual,
            "",
            "misfit of a Gaussian",
            note=shape_note,
        ),
        Measured(
            "photons", photons, "photons", "light of an emitter", note=photon_note
        ),
        Measured(
            "background_photons",
            background,
            "photons/px",
            "background",
            note=background_note,
        ),
        Measured(
            "density_per_um2",
            crowd and crowd.density_per_px / area_um2,
            "/µm²",
            "emitters per frame",
            note=crowd_note,
        ),
        Measured(
            "local_density_per_um2",
            crowd and crowd.local_density_per_px / area_um2,
            "/µm²",
            "emitters around an emitter",
            note=crowd_note,
        ),
        _stillness(stillness),
    ]
    return found + _saturation(saturated)


def measured_image(
    channels: Sequence[np.ndarray],
    *,
    pixel_nm: float | None,
    later: Sequence[np.ndarray] | None = None,
    saturated: float | None = None,
    highest: float | None = None,
) -> list[Measured]:
    """Measure a diffraction-limited image, or the exposures that it is the mean of.

    Parameters
    ----------
    channels
        Images (y, x) of one field under one camera setting, counts.
    pixel_nm
        Edge of a pixel; None if it is not known.
    later
        The same of the last point of time, if there are several.
    saturated
        Share of pixels at the end of the camera's range, None if it has none.
    highest
        Highest number that the file can hold; None if it has no end.

    Returns
    -------
    conditions
        Photons on the structure, background over the brightest structure, end of the
        spectrum, oversampling, colour of the noise, constancy, saturation, and what
        `zoo.metrics.integrity` measures.
    """
    gain = photon_transfer(channels)
    mean = np.mean([np.asarray(c, float) for c in channels], axis=0)
    dark = float(np.quantile(mean, 0.02))
    peak = float(np.quantile(mean, 0.999)) - dark
    photons = background = None
    note = "noise does not grow with the light: a gain cannot be read"
    if gain is not None and peak > 0:
        above = np.maximum(mean - dark, 0.0)
        noise = gain.slope * np.maximum(mean - gain.dark, 0.0) / len(channels)
        squares = float((above**2).sum() - noise.sum())
        level = max(squares, 0.0) / max(float(above.sum()), 1e-12)
        photons, note = _photons(level, gain)
        background = max(dark - gain.dark, 0.0) / peak
    found = sampling(mean)
    cutoff = None
    if found is not None and pixel_nm is not None:
        cutoff = found.cutoff_per_px * 1000 / pixel_nm
    small = "" if found is not None else "the image is too small or constant"
    return [
        Measured("photons", photons, "photons/px", "light on the structure", note=note),
        Measured(
            "background", background, "", "background over the brightest", note=note
        ),
        Measured(
            "cutoff_per_um",
            cutoff,
            "/µm",
            "end of the spectrum",
            note=small or ("" if cutoff else "the pixel size is not known"),
        ),
        Measured(
            "oversampling",
            found and 0.5 / max(found.cutoff_per_px, 1e-3),
            "",
            "pixels over what the spectrum needs",
            (1.0, 1e3),
            small,
        ),
        Measured(
            "noise_colour",
            found and found.colour,
            "",
            "whiteness of the noise",
            COLOUR,
            small,
        ),
        _constancy(mean, later),
        *_saturation(saturated),
        *integrity(channels, highest=highest),
    ]


def _photons(counts: float | None, gain: Gain | None) -> tuple[float | None, str]:
    """Return photons at the detector for counts, and how they were found."""
    if counts is None:
        return None, "no light above the background"
    if gain is None:
        return None, "noise does not grow with the light: a gain cannot be read"
    photons = counts / gain.slope / QUANTUM_EFFICIENCY
    note = f"{gain.slope:.2g} counts per electron, from the noise"
    if gain.slope > MULTIPLYING:
        return 2 * photons, f"{note}, half of it excess noise of an EM-CCD"
    return photons, note


def _crowd_note(crowd: Emission | None) -> str:
    if crowd is None:
        return "no light above the background"
    if crowd.blinking:
        return "from fluctuations in time"
    return "integrated light over that of an emitter"


def _stillness(value: float) -> Measured:
    known = bool(np.isfinite(value))
    return Measured(
        "stillness",
        value if known else None,
        "",
        "likeness of frames far apart",
        STILLNESS,
        "" if known else "too few frames to see blinking",
    )


def _constancy(mean: np.ndarray, later: Sequence[np.ndarray] | None) -> Measured:
    """Compare the structure of an image with that at the end of a series."""
    value, note = None, "a single point of time"
    if later is not None:
        last = np.mean([np.asarray(c, float) for c in later], axis=0)
        first, last = mean - mean.mean(), last - last.mean()
        shared = [
            _shared(a, b) for a, b in ((first, last), (first, first), (last, last))
        ]
        value, note = None, "no structure above the noise"
        if min(shared[1:]) > 0:
            value, note = float(shared[0] / np.sqrt(shared[1] * shared[2])), ""
    text = "likeness of the first and the last image"
    return Measured("constancy", value, "", text, CONSTANCY, note)


def _shared(first: np.ndarray, second: np.ndarray) -> float:
    """Return the covariance of neighbouring pixels, which share no noise."""
    along_x = float((first[:, 1:] * second[:, :-1]).mean())
    return (along_x + float((first[1:] * second[:-1]).mean())) / 2


def _saturation(share: float | None) -> list[Measured]:
    note = "" if share is not None else "the file's numbers have no end"
    return [Measured("saturation", share, "", "saturated pixels", (0.0, 1e-4), note)]
