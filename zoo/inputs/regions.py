"""Regions around single emitters: cut out by another program, or found in a movie."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from zoo.core.contract import Contract, Input, Options, Recording
from zoo.core.errors import BadInput
from zoo.inputs.found_regions import FoundRegions
from zoo.inputs.photons import PhotonRecording, Photons
from zoo.inputs.recording import check_fit, closing_on_error, open_frames
from zoo.physics.pupil import PupilOptics

MOVIE_FROM = 2
"""Frames of this many regions along both axes are taken for those of a movie."""


class RegionOptions(Options):
    """What a user may decide about regions."""

    regions: Literal["auto", "given", "found"] = "auto"
    """Whether images are regions, or frames in which emitters are found; by size."""
    detection_threshold: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Least response of an emitter to the filter, standard deviations of noise; 6."""
    offset_adu: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Counts of a dark pixel, where the recording holds counts, not photons."""
    photons_per_adu: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Photons per count, where the recording holds counts, not photons."""


class Regions(Input):
    """A stack of regions (n, y, x[, c]) of the one size that the network takes.

    Every region is scaled by itself, as the package declares.  In frames that are much
    larger, emitters are found first, and regions cut around them.
    """

    options: ClassVar[type[Options]] = RegionOptions
    kind: Literal["regions"] = "regions"

    def open(
        self,
        source: Any,
        contract: Contract,
        *,
        name: str,
        options: Options,
        pixel_size_nm: float | None = None,
    ) -> Recording:
        """Open regions or a movie; see `zoo.core.contract.Input.open`."""
        chosen = options if isinstance(options, RegionOptions) else RegionOptions()
        grid = contract.grid
        channels = len(grid.channels)
        stack = open_frames(
            source, contract, channels=channels, pixel_size_nm=pixel_size_nm
        )
        optics = optics_of(contract)
        photons = Photons(
            offset_adu=chosen.offset_adu,
            photons_per_adu=chosen.photons_per_adu,
            known=optics is not None,
        )
        with closing_on_error(stack):
            check_fit(stack, contract, name=name, channels=channels)
            declared = {letter: contract.declared_size(letter) for letter in grid.space}
            if not _searched(stack.sizes, declared, chosen.regions, stack.source, name):
                return PhotonRecording(
                    stack,
                    contract,
                    scaling=None,
                    groups=(slice(0, channels),),
                    photons=photons,
                )
            edge = _edge(declared, channels, name)
            if stack.pixel_size_nm is None and optics is None:
                raise BadInput(
                    f"{stack.source} states no pixel size, without which {name} cannot "
                    "say where emitters are; give it with --pixel-size-nm"
                )
            return FoundRegions(
                stack,
                contract,
                edge_px=edge,
                optics=optics,
                photons=photons,
                threshold=chosen.detection_threshold,
            )


def optics_of(contract: Contract) -> PupilOptics | None:
    """Return the optics that a package was trained under, if its task states any."""
    optics: Any = getattr(contract.task, "optics", None)
    return optics if isinstance(optics, PupilOptics) else None


def _searched(
    sizes: Mapping[str, int],
    declared: Mapping[str, int | None],
    regions: str,
    source: str,
    name: str,
) -> bool:
    """Tell whether emitters have to be found in frames of this size."""
    fits = all(size in (None, sizes[letter]) for letter, size in declared.items())
    known = {letter: size for letter, size in declared.items() if size is not None}
    if regions == "found":
        if any(sizes[letter] < size for letter, size in known.items()):
            raise BadInput(
                f"{source} has frames of {_times(sizes)} px, smaller than the regions "
                f"of {_times(declared)} px that {name} takes"
            )
        return True
    if fits:
        return False
    large = all(sizes[a] >= MOVIE_FROM * size for a, size in known.items())
    if regions == "auto" and large:
        return True
    remedy = "cut regions of that size with the emitter in the middle"
    if all(sizes[letter] >= size for letter, size in known.items()):
        remedy += ", or have emitters found in them with --regions found"
    raise BadInput(
        f"{source} holds regions of {_times(sizes)} px, {name} takes "
        f"{_times(declared)} px; {remedy}"
    )


def _edge(declared: Mapping[str, int | None], channels: int, name: str) -> int:
    """Return the edge of the regions that are cut out of frames."""
    edges = set(declared.values())
    (edge, *others) = edges
    if "z" in declared or channels > 1 or others or edge is None:
        raise BadInput(
            f"{name} does not take square regions of one fixed size and one channel, "
            "in which alone emitters can be found; cut its regions yourself and open "
            "them with --regions given"
        )
    return edge


def _times(sizes: Mapping[str, int | None]) -> str:
    return " x ".join("any" if n is None else str(n) for n in sizes.values())
