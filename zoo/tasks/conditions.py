"""Recordings held against the conditions under which a network was trained.

Every condition is *inside* the training range, *near* it, *outside* of it or unknown.
What counts as near follows from how well it can be measured, and from how much a
network forgives: `TOLERANCES`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from zoo.core.contract import Contract, Range, Recording
from zoo.core.measured import Measured

Grade = Literal["inside", "near", "outside", "unknown"]


class Tolerance(NamedTuple):
    """How far beyond a limit a condition still counts, as factors of the limit."""

    inside: float
    """Up to here it is inside: the error of the measurement."""
    near: float
    """Up to here it is near."""
    low: bool = True
    """Whether values below the range matter."""
    high: bool = True
    """Whether values above the range matter."""


TOLERANCES = {
    # a trained value of one number is a point: 60 nm are as good as 62.6 nm
    "pixel_size_nm": Tolerance(1.05, 1.15),
    "psf_sigma_nm": Tolerance(1.07, 1.2),
    # an upper end: fewer emitters, less background, more light are easier
    "density_per_um2": Tolerance(1.3, 1.5, low=False),
    "local_density_per_um2": Tolerance(1.3, 1.6, low=False),
    "background_photons": Tolerance(1.3, 1.8, low=False),
    "photons": Tolerance(1.2, 1.4, high=False),
    "background": Tolerance(1.1, 2.0, low=False),
    "cutoff_per_um": Tolerance(1.02, 1.1, low=False),
    "spot_shape": Tolerance(1.0, 1.25, low=False),
    "stillness": Tolerance(1.0, 1.08, low=False),
    "noise_colour": Tolerance(1.0, 1.5, high=False),
    "constancy": Tolerance(1.0, 1.75, high=False),
    "saturation": Tolerance(1.0, 10.0, low=False),
    "clipped": Tolerance(1.0, 2.5, low=False),
    "grey_levels": Tolerance(1.0, 1.3, high=False),
    "peak_counts": Tolerance(1.0, 1.0, low=False),
    "range_used": Tolerance(1.0, 1.0, low=False),
    "contrast": Tolerance(1.0, 1.2, high=False),
    "fill": Tolerance(1.02, 1.05),
}
"""By name of the condition."""
USUAL = Tolerance(1.05, 1.15)
"""Of every other condition."""

EVEN = 1.6
"""Local over mean density below which emitters are spread evenly; crowded filaments,
which leave a part of the field empty, have 2 and more."""

HAZE_SHARE = 0.2
"""How much light from out of focus adds to the darkest places of an image, relative to
the brightest structure; measured on simulated images of the training."""

CONSEQUENCES = {
    "psf_sigma_nm": "positions and numbers of emitters are unreliable",
    "spot_shape": "the spots are not those of the training: another optics",
    "photons": "expect missing and made-up detail",
    "background_photons": "faint emitters are missed",
    "background": "haze may be turned into structure",
    "density_per_um2": "many emitters are merged or missed",
    "local_density_per_um2": "many emitters are merged or missed",
    "stillness": "nothing blinks: structures would be turned into emitters",
    "constancy": "the images show blinking emitters, not one structure",
    "cutoff_per_um": (
        "the image is sharper than the network's optics allow: not widefield, or "
        "sharpened already"
    ),
    "saturation": "what is brighter than the camera's range is lost",
    "clipped": (
        "black was cut off or light was deconvolved: give the camera's own image"
    ),
    "grey_levels": (
        "too few grey levels to show the noise: an export, not the camera's own image"
    ),
    "peak_counts": (
        "no camera counts so far: a sum of images, which adds up haze and noise"
    ),
    "range_used": (
        "contrast was stretched to the ends of the range, as in a screenshot or an "
        "export: give the camera's own image"
    ),
    "contrast": (
        "nothing rises above the noise: what the result shows is made of noise"
    ),
    "fill": "the field is empty, or nothing in it stands out",
    "oversampling": "the pixels are too coarse for what the image holds",
    "noise_colour": (
        "the noise is not that of a camera: enlarged, filtered or too coarsely sampled"
    ),
}
"""What a condition outside means."""


@dataclass(frozen=True)
class Condition:
    """A measured condition beside what it is compared with."""

    measured: Measured
    limits: Range | None
    """Where the value should lie; None where nothing is known."""
    grade: Grade

    @property
    def numbers(self) -> str:
        """Both numbers in words."""
        value, unit = self.measured.value, self.measured.unit
        text = "unknown" if value is None else f"{value:.3g} {unit}".strip()
        if self.limits is None:
            return text
        return f"{text} (trained: {spelled(*self.limits)})"


def compare(contract: Contract, found: Iterable[Measured]) -> list[Condition]:
    """Hold measured conditions against a package, in their order."""
    conditions: list[Condition] = []
    found = list(found)
    even = _crowded_evenly(found)
    for measured in found:
        limits = _limits(contract, measured, even=even)
        conditions.append(Condition(measured, limits, _grade(measured, limits)))
    return conditions


def _crowded_evenly(found: Iterable[Measured]) -> bool:
    """Say whether emitters have hardly more neighbours than the whole field has."""
    known = {measured.name: measured.value for measured in found}
    mean, local = known.get("density_per_um2"), known.get("local_density_per_um2")
    return mean is not None and local is not None and local < EVEN * mean


def _limits(
    contract: Contract, measured: Measured, *, even: bool = False
) -> Range | None:
    """Return where a value should lie for a package.

    Parameters
    ----------
    contract, measured
        Package, and what was measured.
    even
        Whether the emitters are spread evenly.
    """
    known, name = contract.training, measured.name
    if name == "background" and name in known:
        return 0.0, known[name][1] + HAZE_SHARE * known.get("haze", (0.0, 0.0))[1]
    if name == "cutoff_per_um" and {"na", "wavelength_nm"} <= set(known):
        return 0.0, 2000 * known["na"][1] / known["wavelength_nm"][0]
    crowds = known.get("local_density_per_um2")
    if name == "density_per_um2" and name in known and crowds and not even:
        # a field full of the crowds that the network knows is the limit
        return known[name][0], max(known[name][1], crowds[1])
    return known.get(name, measured.limits)


def _grade(measured: Measured, limits: Range | None) -> Grade:
    value = measured.value
    if value is None or limits is None or not math.isfinite(value):
        return "unknown"
    tolerance = TOLERANCES.get(measured.name, USUAL)
    low, high = limits
    for name, factor in (("inside", tolerance.inside), ("near", tolerance.near)):
        above = not tolerance.low or value >= low / factor
        below = not tolerance.high or value <= high * factor
        if above and below:
            return "inside" if name == "inside" else "near"
    return "outside"


def overall(conditions: Sequence[Condition]) -> Grade:
    """Return the worst grade; unknown where nothing could be graded."""
    grades = {condition.grade for condition in conditions}
    for grade in ("outside", "near", "inside"):
        if grade in grades:
            return grade
    return "unknown"


def sentence(name: str, conditions: Sequence[Condition]) -> str:
    """Say in a sentence how a recording relates to a package."""
    worst = overall(conditions)
    named = [f"{c.measured.text} {c.numbers}" for c in conditions if c.grade == worst]
    if worst == "outside":
        return f"outside what {name} was trained on: {'; '.join(named)}"
    if worst == "near":
        return f"near the edge of what {name} was trained on: {'; '.join(named)}"
    if worst == "inside":
        return f"inside what {name} was trained on, as far as it can be measured"
    return f"{name} does not say what it was trained on, or nothing could be measured"


def condition_report(
    name: str, contract: Contract, conditions: Sequence[Condition]
) -> dict[str, Any]:
    """Return the block ``conditions`` of a report, ready for JSON."""
    block: dict[str, Any] = {
        "overall": overall(conditions),
        "summary": sentence(name, conditions),
        "measured": [
            {
                "name": c.measured.name,
                "what": c.measured.text,
                "value": _rounded(c.measured.value),
                "unit": c.measured.unit,
                "trained": None if c.limits is None else list(c.limits),
                "grade": c.grade,
                "note": c.measured.note,
            }
            for c in conditions
        ],
    }
    command = retraining(name, contract, conditions)
    return block | ({"retrain": command} if command else {})


def retraining(
    name: str, contract: Contract, conditions: Iterable[Condition]
) -> str | None:
    """Return the command that trains a network for what lies outside, if one can."""
    settings: list[str] = []
    for condition in conditions:
        known = contract.training.get(condition.measured.name)
        value = condition.measured.value
        if condition.grade != "outside" or known is None or value is None:
            continue
        low, high = known
        single = low == high
        shown = f"{value:.3g}"
        if not single:
            low, high = min(low, 0.8 * value), max(high, 1.25 * value)
            shown = f"[{low:.3g},{high:.3g}]"
        settings.append(f"--set source.{condition.measured.name}={shown}")
    return f"zoo train {name} {' '.join(settings)}" if settings else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else plain_number(float(value), 4)


def condition_warnings(conditions: Iterable[Condition]) -> list[str]:
    """Return a line for every condition outside, with both numbers.

    The pixel size has words of its own elsewhere.
    """
    lines: list[str] = []
    for condition in conditions:
        name = condition.measured.name
        if condition.grade != "outside" or name == "pixel_size_nm":
            continue
        text = (
            f"{condition.measured.text}: {condition.numbers} lies outside the training "
            "range"
        )
        consequence = CONSEQUENCES.get(name)
        lines.append(f"{text}; {consequence}" if consequence else text)
    return lines


def pixel_size_nm(recording: Recording) -> float | None:
    """Return the edge of a pixel of a recording along x, None if it is not known."""
    return recording.pixel_size_nm.get("x")


def fine_sizes_nm(recording: Recording, contract: Contract) -> dict[str, float]:
    """Return the edges of an output pixel that follow from those of the input, nm."""
    grid = contract.grid
    return {
        letter: edge / grid.scale(letter)
        for letter, edge in recording.pixel_size_nm.items()
    }


def file_pixel_nm(recording: Recording) -> float | None:
    """Return the edge of a pixel along x as the file has it, None if it is unknown."""
    if recording.resampling is not None:
        return recording.resampling.source_nm
    return pixel_size_nm(recording)


def looks_super_resolved(contract: Contract, pixel_nm: float | None) -> bool:
    """Tell whether a recording has pixels as fine as the package's own output.

    That is the case if its pixel size is, as a ratio, nearer to that of the images
    that the package makes than to that of those which it was trained to take.
    """
    limits = contract.training.get("pixel_size_nm")
    if pixel_nm is None or limits is None:
        return False
    return pixel_nm < limits[0] / math.sqrt(contract.grid.scale("x"))


def pixel_size_grade(contract: Contract, pixel_nm: float | None) -> Grade:
    """Return how a pixel size relates to those of the training."""
    size = Measured("pixel_size_nm", pixel_nm, "nm", "pixel size")
    return _grade(size, _limits(contract, size))


def pixel_size_warnings(
    recording: Recording, contract: Contract, consequence: str, *, images: bool = False
) -> list[str]:
    """Compare the pixel size with those that the network was trained on.

    Parameters
    ----------
    recording, contract
        What was read, and the package.
    consequence
        What a wrong pixel size leads to, and the remedy.
    images
        Whether a recording may be mistaken for an output of such a package.
    """
    limits = contract.training.get("pixel_size_nm")
    if limits is None:
        return []
    known, pixel_nm = spelled(*limits), pixel_size_nm(recording)
    plain_nm = file_pixel_nm(recording)
    if images and recording.resampling is not None:
        if not looks_super_resolved(contract, plain_nm):
            return []
        return [
            f"pixels of {plain_nm:.4g} nm, resampled to {known} nm, lie far below the "
            "training range: the recording looks already super-resolved, or enlarged; "
            "give the camera's own image to the package"
        ]
    if pixel_nm is None:
        return [
            "the recording states no pixel size; the network was trained for "
            f"{known} nm, check yours and give it with --pixel-size-nm"
        ]
    if pixel_size_grade(contract, pixel_nm) != "outside":
        return []
    outside = (
        f"pixels of {pixel_nm:.4g} nm lie outside the training range of {known} nm"
    )
    if images and looks_super_resolved(contract, pixel_nm):
        return [
            f"{outside}: the recording looks already super-resolved, or enlarged; give "
            "the camera's own image to the package"
        ]
    return [f"{outside}; {consequence}"]


def spelled(low: float, high: float) -> str:
    """Return a range in words.

    Examples
    --------
    >>> spelled(90, 110), spelled(100, 100)
    ('90 to 110', '100')
    """
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def plain_number(value: Any, digits: int = 6) -> float | None:
    """Return a number as JSON has it, None for one that is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
