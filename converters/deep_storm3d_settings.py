"""What is known of the training of a DeepSTORM3D checkpoint, and where from.

In order of trust: what the user says; the settings file that the authors' program
writes; and, for the numbers of planes that the authors' demonstrations have, what these
were trained with.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from converters.pickles import read_values
from zoo.core.config import Config
from zoo.core.errors import BadInput
from zoo.physics.masks import PhaseMap, read_mask
from zoo.physics.pupil import PupilOptics

log = logging.getLogger(__name__)

SETTINGS_FILE = "setup_params.pickle"
"""Where the authors' program keeps its settings, beside the checkpoints."""
SHIFT_PX = 2
"""Fine pixels by which labels of the authors' later program are off."""

Scaling = Literal["frame", "global"]


class Given(Config):
    """What a user may say about a checkpoint; all of it overrides what is found."""

    z_range_nm: tuple[float, float] | None = None
    """Lowest and highest depth of the training, nm."""
    dilation: Literal[4, 16] | None = None
    """Largest dilation: 16 for wide spots, 4 for compact ones."""
    normalisation: Scaling | None = None
    """``frame`` if frames were scaled to [0, 1] by their extremes, ``global`` if by
    `global_factors`."""
    global_factors: tuple[float, float] | None = None
    """What is subtracted from counts, and what they are divided by then."""
    label_shift_px: Literal[0, 2] | None = None
    """Fine pixels by which labels are off: 2 for the current program, 0 for its first
    release of 2020."""
    peak: float | None = Field(default=None, gt=0)
    """Scaling factor of the loss."""
    pixel_size_nm: float | None = Field(default=None, gt=0)
    """Camera pixel, nm."""
    mask: str | None = None
    """File of the phase mask, rad: ``.mat``, ``.npy`` or ``.tif``."""
    pupil_px: float | None = Field(default=None, gt=0)
    """Diameter of the pupil in pixels of the mask."""
    wavelength_nm: float | None = Field(default=None, gt=0)
    """Emission wavelength, nm."""
    focus_nm: float | None = None
    """Displacement of the focal plane from the coverslip, nm."""
    na: float | None = Field(default=None, gt=0)
    """Numerical aperture."""
    immersion_index: float | None = Field(default=None, gt=0)
    """Refractive index of the immersion medium."""
    sample_index: float | None = Field(default=None, gt=0)
    """Refractive index around the emitters."""


@dataclass(frozen=True)
class Training:
    """How a checkpoint was trained."""

    z_range_nm: tuple[float, float]
    normalisation: Scaling
    global_factors: tuple[float, float]
    peak: float
    pixel_size_nm: float
    dilation: int | None
    """None until it is measured."""
    label_shift_px: int | None
    """None until it is measured."""
    photons: tuple[float, float] | None
    optics: PupilOptics | None
    """None without a phase mask."""
    licence: str = ""
    stated: dict[str, str] = field(default_factory=dict[str, str])
    """Where each of them comes from."""
    checked: str = ""
    """What simulated frames show."""


_OPTICS: dict[str, Any] = {"na": 1.45, "immersion_index": 1.518, "sample_index": 1.33}
DEMONSTRATIONS: dict[int, dict[str, Any]] = {
    121: {
        "z_range_nm": (0.0, 4000.0),
        "normalisation": "global",
        "global_factors": (0.0, 250.0),
        "label_shift_px": SHIFT_PX,
        "dilation": 16,
        "wavelength_nm": 670.0,
        "focus_nm": 1500.0,
    },
    81: {
        "z_range_nm": (2000.0, 6000.0),
        "normalisation": "frame",
        "label_shift_px": 0,
        "wavelength_nm": 580.0,
        "focus_nm": 4500.0,
        "photons": (10000.0, 60000.0),
    },
}
"""Settings of the demonstrations whose weights were published, by planes."""
PUPILS_PX = {329: 181.27, 203: 96.68}
"""Diameters of the pupil in the masks of the demonstrations, by the mask's edge, px."""
PUBLISHED = {
    "Tetrapod, demonstration 3": (
        "9bbd21ff2b18ae938c1e101194e6c1770022ee1d7a7954d544679de31a882447"
    ),
}
"""SHA-256 of published checkpoints, which are under the MIT licence."""


def settled(planes: int, given: Given, path: Path, sha256: str) -> Training:
    """Return what is known of a training before anything is measured.

    Parameters
    ----------
    planes
        Planes of depth in the checkpoint.
    given
        What the user says.
    path
        The checkpoint; `SETTINGS_FILE` may lie beside it.
    sha256
        Its hash.

    Raises
    ------
    BadInput
        If depths or scaling are known from nowhere, or what is known disagrees.
    """
    beside = path.with_name(SETTINGS_FILE)
    written = _written(beside, planes) if beside.is_file() else {}
    demo: dict[str, Any] = DEMONSTRATIONS.get(planes, {})
    stated: dict[str, str] = {}
    fallback = f"the authors' demonstration with {planes} planes"
    if written:  # of their current program, whose labels are shifted
        fallback, demo = "the authors' program", {"label_shift_px": SHIFT_PX}
    sources: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("told by the user", given.model_dump(exclude_none=True)),
        (SETTINGS_FILE, written),
        (fallback, demo),
        ("usual", {"peak": 800.0, "pixel_size_nm": 110.0, **_OPTICS}),
    )

    def known(name: str, default: Any = None, *, tell: str = "") -> Any:
        for where, values in sources:
            if name in values:
                if tell:
                    stated[tell] = where
                return values[name]
        return default

    z_range, scaling = known("z_range_nm", tell="depths"), known("normalisation")
    for what, value, example in (
        ("which depths it was trained for", z_range, "z_range_nm=[2000,6000]"),
        ("how its frames were scaled", scaling, "normalisation=frame"),
    ):
        if value is None:
            raise BadInput(
                f"{path} has {planes} planes and does not say {what}; put "
                f"{SETTINGS_FILE} of its training beside it, or give {example}"
            )
    known("normalisation", tell="scaling")
    if not 0 < z_range[1] - z_range[0] < 1e5:
        raise BadInput(f"z_range_nm must be two depths in order, not {z_range}")
    if stated["depths"] == fallback or stated["scaling"] == fallback:
        log.warning(
            "depths %g to %g nm and scaling %r are taken from %s; tell others where "
            "they differ",
            *z_range,
            scaling,
            fallback,
        )
    mask = _mask(given, written)
    shift = known("label_shift_px", tell="origin of the labels")
    if mask is not None and given.label_shift_px is None:
        shift = None
    optics = None
    pixel = float(known("pixel_size_nm"))
    if mask is not None:
        optics = _optics(mask, known, pixel, z_range)
    return Training(
        z_range_nm=(float(z_range[0]), float(z_range[1])),
        normalisation=scaling,
        global_factors=known("global_factors", (0.0, 250.0)),
        peak=float(known("peak")),
        pixel_size_nm=pixel,
        dilation=known("dilation", tell="dilation"),
        label_shift_px=shift,
        photons=known("photons"),
        optics=optics,
        licence="MIT" if sha256 in PUBLISHED.values() else "",
        stated=stated,
    )


def _written(path: Path, planes: int) -> dict[str, Any]:
    """Return the settings of the authors' program in our words and units."""
    values = read_values(path)
    if values.get("D", planes) != planes:
        raise BadInput(
            f"{path} is of a network with {values['D']} planes, the checkpoint has "
            f"{planes}; keep the two of one training together"
        )
    found: dict[str, Any] = {}
    micrometres = {"lamda": "wavelength_nm", "NFP": "focus_nm"}
    for theirs, ours in micrometres.items():
        if theirs in values:
            found[ours] = 1000.0 * values[theirs]
    plain = {
        "NA": "na",
        "noil": "immersion_index",
        "nwater": "sample_index",
        "scaling_factor": "peak",
    }
    found |= {
        ours: values[theirs] for theirs, ours in plain.items() if theirs in values
    }
    if {"zmin", "zmax"} <= set(values):
        found["z_range_nm"] = (1000.0 * values["zmin"], 1000.0 * values["zmax"])
    if {"pixel_size_CCD", "M"} <= set(values):
        found["pixel_size_nm"] = 1000.0 * values["pixel_size_CCD"] / values["M"]
    if isinstance(values.get("dilation_flag"), (bool, int)):
        found["dilation"] = 16 if values["dilation_flag"] else 4
    if isinstance(values.get("project_01"), (bool, int)):
        found["normalisation"] = "frame" if values["project_01"] else "global"
    for theirs, ours in (("global_factors", "global_factors"),
                         ("nsig_unif_range", "photons")):  # fmt: skip
        if isinstance(values.get(theirs), list) and len(values[theirs]) == 2:
            low, high = values[theirs]
            found[ours] = (float(low), float(high))
    if {"f_4f", "M", "NA", "pixel_size_SLM"} <= set(values):
        aperture = values["NA"] / np.sqrt(values["M"] ** 2 - values["NA"] ** 2)
        found["pupil_px"] = 2 * values["f_4f"] * aperture / values["pixel_size_SLM"]
    if isinstance(values.get("mask_init"), np.ndarray):
        found["mask_rad"] = values["mask_init"]
    return found


def _mask(given: Given, written: Mapping[str, Any]) -> PhaseMap | None:
    """Return the phase mask as our optics have it, None without one."""
    if given.mask is not None:
        values = _read_mask(Path(given.mask))
    elif "mask_rad" in written:
        values = np.asarray(written["mask_rad"], float)
    else:
        return None
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise BadInput(
            f"a phase mask is a square image, not of shape {values.shape}; give that "
            "of the modulator's square around the pupil"
        )
    pupil = given.pupil_px or written.get("pupil_px") or PUPILS_PX.get(len(values))
    if pupil is None:
        raise BadInput(
            f"the mask has {len(values)} x {len(values)} px and does not say how wide "
            "the pupil is in it; give pupil_px"
        )
    # in their grid of radii the outermost pixels have their centres at the edges; their
    # transform has the other sign, so that their pupil is ours seen from behind
    pupil *= (len(values) - 1) / len(values)
    return PhaseMap.of(values[::-1, ::-1], pupil_px=float(pupil))


def _read_mask(path: Path) -> np.ndarray:
    """Read a phase mask in rad from a file."""
    if not path.is_file():
        raise BadInput(f"{path} is not a file; give the phase mask in rad")
    if path.suffix != ".mat":
        try:
            return read_mask(path)
        except (OSError, ValueError) as error:
            raise BadInput(f"{path} is no phase mask: {error}") from error
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path)
    except (OSError, ValueError, NotImplementedError, MatReadError) as error:
        raise BadInput(
            f"{path} cannot be read as a MATLAB file ({error}); save it as .npy"
        ) from error
    arrays = [
        value
        for name, value in content.items()
        if not name.startswith("_")
        and isinstance(value, np.ndarray)
        and value.ndim == 2
        and value.dtype.kind in "fiu"
        and min(value.shape) > 1
    ]
    if len(arrays) != 1:
        raise BadInput(f"{path} holds {len(arrays)} images, a phase mask is one")
    return np.asarray(arrays[0], float)


def _optics(
    mask: PhaseMap, known: Callable[..., Any], pixel_nm: float, z_range: Any
) -> PupilOptics:
    """Return objective and pupil; the focus in the middle of the depths if unknown."""
    wavelength = known("wavelength_nm")
    if wavelength is None:
        raise BadInput("a phase mask needs its wavelength; give wavelength_nm")
    return PupilOptics(
        na=known("na"),
        wavelength_nm=wavelength,
        pixel_nm=pixel_nm,
        immersion_index=known("immersion_index"),
        sample_index=known("sample_index"),
        focus_nm=known("focus_nm", sum(z_range) / 2),
        blur_nm=pixel_nm,
        apodisation="uniform",
        mask=mask,
    )
