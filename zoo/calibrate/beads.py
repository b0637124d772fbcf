"""From a bead stack to the pupil of a microscope."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from zoo.calibrate.optics import PupilCalibration, Trust
from zoo.core.config import one_line
from zoo.core.errors import BadInput
from zoo.io.stacks import Stack, open_stack
from zoo.physics.beads import BeadRegions, find_beads
from zoo.physics.phase_retrieval import PupilRetrieval, retrieve_pupil
from zoo.physics.pupil import PupilOptics

_REGION_NM = 2600.0
_FEWEST_PLANES = 5
_MOST_BYTES = 2**31
_FULL_WELLS = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))


@dataclass(frozen=True, eq=False)
class BeadCalibration:
    """A retrieved pupil and what it was retrieved from."""

    optics: PupilCalibration
    """Microscope, ready to be written."""
    retrieval: PupilRetrieval
    """Fit with its models and residuals."""
    stacks: np.ndarray
    """(n, planes, y, x) photons of the beads."""
    focus_nm: np.ndarray
    """(planes,) displacements of the focal plane into the sample."""
    regions: BeadRegions
    """Where the beads are, and how many could not be used."""
    notes: tuple[str, ...]
    """What a user should know."""


def calibrate_beads(
    path: Path,
    *,
    na: float,
    z_step_nm: float,
    wavelength_nm: float,
    pixel_nm: float | None = None,
    immersion_index: float = 1.518,
    sample_index: float = 1.33,
    bead_diameter_nm: float = 0.0,
    camera_offset: float = 0.0,
    photons_per_count: float = 1.0,
    region_px: int | None = None,
    most_beads: int = 6,
) -> BeadCalibration:
    """Retrieve the pupil from a stack of beads on the coverslip.

    Parameters
    ----------
    path
        Recording whose pages, or whose axis z, are the planes.
    na, wavelength_nm, immersion_index, sample_index
        Objective, emission and media.
    z_step_nm
        Step of the focal plane, positive if it goes into the sample.  Its sign cannot
        be found from beads on the coverslip.
    pixel_nm
        Camera pixel in the sample, if the file does not state it.
    bead_diameter_nm
        Diameter of the beads, whose share of the blur is taken off.
    camera_offset, photons_per_count
        Counts without light, and photons at the detector per count over them.
    region_px
        Edge of the region of a bead, odd; by default 2.6 µm.
    most_beads
        Beads to fit, the brightest first.

    Returns
    -------
    calibration : BeadCalibration

    Raises
    ------
    BadInput
        If the recording has too few planes, no pixel size, or no bead that can be used.
    """
    if z_step_nm == 0 or not np.isfinite(z_step_nm):
        raise BadInput(
            "--z-step-nm must not be 0: the distance of planes, positive if the focal "
            "plane goes into the sample"
        )
    if not photons_per_count > 0:
        raise BadInput(
            f"--photons-per-count must be positive, not {photons_per_count}; 1 if "
            "counts are photons"
        )
    with open_stack(path, pixel_size_nm=pixel_nm) as recording:
        counts, notes = _planes(recording, z_step_nm)
        pixel, dtype = recording.pixel_size_nm, recording.dtype
    if pixel is None:
        raise BadInput(
            f"{path} states no pixel size; give that of the camera in the sample with "
            "--pixel-size-nm"
        )
    try:
        known = PupilOptics(
            na=na,
            wavelength_nm=wavelength_nm,
            pixel_nm=pixel,
            immersion_index=immersion_index,
            sample_index=sample_index,
        )
    except ValidationError as error:
        raise BadInput(f"{one_line(error)}; check the options of the optics") from error
    regions = _usable(counts, dtype, path, pixel, region_px)
    stacks = (regions.cut(counts)[:most_beads] - camera_offset) * photons_per_count
    focus_nm = z_step_nm * (np.arange(len(counts)) - (len(counts) - 1) / 2)
    retrieval = retrieve_pupil(
        list(stacks), focus_nm, optics=known, bead_diameter_nm=bead_diameter_nm
    )
    optics = _described(retrieval, focus_nm, path)
    return BeadCalibration(optics, retrieval, stacks, focus_nm, regions, tuple(notes))


def trust_lines(calibration: BeadCalibration) -> list[str]:
    """Say in words what was found and how far to trust it."""
    optics, regions, fit = (
        calibration.optics,
        calibration.regions,
        calibration.retrieval,
    )
    trust = optics.trust
    if trust is None:
        raise ValueError("the optics do not come from beads")
    rms = float(np.linalg.norm(fit.coefficients_rad))
    order = np.argsort(-np.abs(fit.coefficients_rad))[:4]
    largest = ", ".join(
        f"({fit.modes[i][0]}, {fit.modes[i][1]}) {fit.coefficients_rad[i]:+.3f}"
        f"±{fit.zernike_sd_rad[i]:.3f}"
        for i in order
    )
    low, high = optics.z_range_nm or (0.0, 0.0)
    found = len(regions.first_row) + regions.at_border + regions.crowded
    beads = "bead" if trust.beads == 1 else "beads"
    lines = [
        f"{trust.beads} {beads} of {trust.photons:,.0f} photons per plane used; of "
        f"{found + regions.saturated} found, {_rejected(regions)} rejected",
        f"aberrations {rms:.3f} rad rms, uncertainty {trust.zernike_sd_rad:.3f} rad; "
        f"largest (n, m): {largest}",
        f"blur {optics.blur_nm:.1f} ± {trust.blur_sd_nm:.1f} nm; beads cover depths of "
        f"{low:.0f} to {high:.0f} nm",
        f"correlation of measurement and model {trust.correlation:.4f}, photon noise "
        f"allows {trust.correlation_limit:.4f}, "
        f"chi² {trust.chi_square:.2f}: {_verdict(trust)}",
        "The sign of the z step cannot be found from beads on the coverslip: "
        f"{calibration.focus_nm[1] - calibration.focus_nm[0]:+g} nm was taken as "
        f"given. With the other sign the same images give {_reversed(fit)}, and depths "
        "come out reversed.",
    ]
    return [*(f"note: {note}" for note in calibration.notes), *lines]


def _reversed(fit: PupilRetrieval) -> str:
    """Name what a scan in the other direction would show: even modes turn around."""
    even = [i for i, (n, _) in enumerate(fit.modes) if n % 2 == 0]
    if not even:
        return "the same aberrations"
    largest = max(even, key=lambda i: abs(fit.coefficients_rad[i]))
    n, m = fit.modes[largest]
    return (
        f"all modes of even n with opposite signs, such as ({n}, {m}) "
        f"{-fit.coefficients_rad[largest]:+.3f}"
    )


def _planes(recording: Stack, z_step_nm: float) -> tuple[np.ndarray, list[str]]:
    notes = list(recording.notes)
    sizes = {letter: size for letter, size in recording.outer if size > 1}
    if len(sizes) > 1:
        raise BadInput(
            f"{recording.source} holds {sizes['t']} time points of {sizes['z']} "
            "planes; save one time point, or their mean, as a stack of its own"
        )
    if recording.frames < _FEWEST_PLANES:
        planes = "one plane" if recording.frames == 1 else f"{recording.frames} planes"
        raise BadInput(
            f"{recording.source} has {planes}; a bead stack needs {_FEWEST_PLANES} or "
            "more, better 20 over 2 µm: record one through focus"
        )
    if recording.frames * recording.height * recording.width * 4 > _MOST_BYTES:
        raise BadInput(
            f"{recording.source} has {recording.frames} planes of {recording.height} x "
            f"{recording.width} px, more than 2 GB; cut out the part with the beads"
        )
    stated = recording.z_step_nm
    if stated is not None and abs(stated - abs(z_step_nm)) > 0.01 * stated:
        notes.append(
            f"the file states planes {stated:.4g} nm apart; {abs(z_step_nm):.4g} nm is "
            "used as given"
        )
    frames = recording.read(0, recording.frames)
    return frames[..., 0].astype(float), notes


def _usable(
    counts: np.ndarray,
    dtype: np.dtype[np.generic],
    path: Path,
    pixel_nm: float,
    region_px: int | None,
) -> BeadRegions:
    region = region_px or int(_REGION_NM / pixel_nm) // 2 * 2 + 1
    if region % 2 == 0 or not 9 <= region <= min(counts.shape[1:]):
        raise BadInput(
            f"the region of a bead must be an odd number of 9 to "
            f"{min(counts.shape[1:])} px, not {region}; set --region-px"
        )
    regions = find_beads(
        counts, region_px=region, saturation=_saturation(counts, dtype)
    )
    rejected = regions.at_border + regions.crowded + regions.saturated
    if len(regions.first_row) == 0 and rejected == 0:
        raise BadInput(
            f"{path} shows no beads: nothing rises ten times above the noise; record "
            "brighter beads"
        )
    if len(regions.first_row) == 0:
        raise BadInput(
            f"no bead of {path} can be used, {_rejected(regions)} rejected; record "
            f"unsaturated beads {region * pixel_nm / 1000:.1f} µm apart, or set a "
            "smaller --region-px"
        )
    return regions


def _saturation(counts: np.ndarray, dtype: np.dtype[np.generic]) -> float:
    """Return the count of a full pixel, if any pixel is full."""
    if dtype.kind not in "ui":
        return float("inf")
    top = float(counts.max())
    full = float(2 ** (8 * dtype.itemsize - (dtype.kind == "i")) - 1)
    clipped = top in _FULL_WELLS and int((counts == top).sum()) > 1
    return top if clipped or top >= full else float("inf")


def _rejected(regions: BeadRegions) -> str:
    parts = (
        (regions.crowded, "overlapping another"),
        (regions.saturated, "saturated"),
        (regions.at_border, "at the border"),
    )
    return ", ".join(f"{count} {why}" for count, why in parts if count) or "none"


def _described(
    retrieval: PupilRetrieval, focus_nm: np.ndarray, path: Path
) -> PupilCalibration:
    optics, beads = retrieval.optics, retrieval.beads
    ratio = optics.sample_index / optics.immersion_index
    offset = float(np.median(beads.focus_nm))
    # noise lowers the correlation with the true image by this much
    limits = np.array(
        [float(m.var() / (m.var() + m.mean())) ** 0.5 for m in retrieval.models]
    )
    fields = {name: getattr(optics, name) for name in PupilOptics.model_fields}
    return PupilCalibration(
        **fields,
        source=path.name,
        z_range_nm=(
            round(-(float(focus_nm.max()) + offset) * ratio, 1),
            round(-(float(focus_nm.min()) + offset) * ratio, 1),
        ),
        trust=Trust(
            beads=len(beads.x_nm),
            correlation=float(retrieval.correlation.min()),
            correlation_limit=float(limits.min()),
            chi_square=float(retrieval.chi_square.mean()),
            zernike_sd_rad=float(np.linalg.norm(retrieval.zernike_sd_rad)),
            blur_sd_nm=float(retrieval.blur_sd_nm),
            photons=float(np.median(beads.photons)),
            converged=retrieval.converged,
        ),
    )


def _verdict(trust: Trust) -> str:
    if not trust.converged:
        return "the fit did not come to its end, do not trust it"
    if trust.chi_square > 2 or trust.chi_square < 0.5:
        return (
            "residuals are not those of photon noise, so uncertainties are not to be "
            "trusted; check --camera-offset, --photons-per-count and the refractive "
            "indices"
        )
    if trust.correlation < 0.98 * trust.correlation_limit or trust.zernike_sd_rad > 0.2:
        return "dim or misfitted beads, use more or brighter ones"
    return "the model explains the measurement"
