"""Emitters found in the frames of a movie, as regions for a network."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.regions import Cuts
from zoo.inputs.photons import PhotonRecording, Photons
from zoo.physics.pupil import PupilOptics

if TYPE_CHECKING:
    from zoo.io.stacks import Stack
    from zoo.physics.emitter_search import EmitterSearch, Found

# The search needs SciPy, and who only wants to know the options of an input does not:
# it is imported where it begins.

_PIXELS_AT_ONCE = 2**19
_LEAST_PART = 0.4  # of the dimmest emitter of the training: dimmer ones are not found


class FoundRegions(PhotonRecording):
    """Regions around the emitters of a movie; a `zoo.core.regions.Cutting`.

    Frames are read a few at a time: memory does not grow with their number.  A region
    has its emitter in the central pixel, the one of index ``n // 2``.  The light of
    other emitters is taken away from it as far as it is known.

    Parameters
    ----------
    stack, contract, photons
        As in `zoo.inputs.photons.PhotonRecording`.
    edge_px
        Edge of a region.
    optics
        What spots look like; None for spots of any kind.
    threshold
        Least response of an emitter, standard deviations of the noise.
    """

    def __init__(
        self,
        stack: "Stack",
        contract: Contract,
        *,
        edge_px: int,
        optics: PupilOptics | None,
        photons: Photons,
        threshold: float | None,
    ) -> None:
        super().__init__(
            stack, contract, photons=photons, scaling=None, groups=(slice(0, 1),)
        )
        self.field: Mapping[str, int] = {a: stack.sizes[a] for a in "yx"}
        self.sizes: Mapping[str, int] = {"y": edge_px, "x": edge_px}
        self._optics, self._edge = optics, edge_px
        self._threshold = threshold
        self._training = contract.training
        self._unstated = stack.pixel_size_nm is None
        if optics is not None and self._unstated:
            edges = {"y": optics.pixel_nm, "x": optics.pixel_nm}
            self.pixel_size_nm: Mapping[str, float] = edges
        self.cuts = _nothing(edge_px)
        self.frames_done = 0
        self._sum = np.zeros((stack.height, stack.width))
        self._found = self._at_border = 0

    def mean_frame(self) -> np.ndarray:
        """Return the (y, x) mean of the frames that have been searched, photons."""
        return self._sum / max(self.frames_done, 1)

    def chunks(self, count: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of the first region and up to `count` regions."""
        search = self._search()
        step = max(1, _PIXELS_AT_ONCE // self._sum.size)
        first = 0
        for start in range(0, self.frames, step):
            frames = self.read(start, start + step)
            self._note(frames)
            images = frames[..., 0]
            found = search.find(images)
            cuts = self._cut(images, found, search)
            self._sum += images.sum(axis=0, dtype=float)
            done = self.frames_done
            for place in range(0, len(cuts.frame), count):
                rows = slice(place, place + count)
                part = cuts.select(rows, frames_before=start + 1)
                shown = part.photons
                if part.other is not None:
                    shown = np.maximum(shown - part.other, 0.0)
                self.cuts = part
                self.frames_done = done + round(
                    len(frames) * (place + len(shown)) / len(cuts.frame)
                )
                yield first, shown[..., None].astype(np.float32)
                first += len(shown)
            self.frames_done = done + len(frames)

    def _search(self) -> "EmitterSearch":
        """Return the search, its filters drawn."""
        from zoo.physics.emitter_model import known_model
        from zoo.physics.emitter_search import THRESHOLD, EmitterSearch

        depths, photons = (self._training.get(key) for key in ("z_nm", "photons"))
        model = None
        if self._optics is not None:
            model = known_model(self._optics, self._edge, depths)
        return EmitterSearch(
            model,
            size_px=self._edge,
            threshold=THRESHOLD if self._threshold is None else self._threshold,
            least_photons=0.0 if photons is None else _LEAST_PART * photons[0],
        )

    def _cut(self, images: np.ndarray, found: "Found", search: "EmitterSearch") -> Cuts:
        """Return the regions of emitters, those that leave the frame left out."""
        from zoo.physics.emitters_in_frames import corners, cut

        shape = (self._edge, self._edge)
        corner = corners(found.x_px, found.y_px, shape)
        inside = (corner >= 0).all(axis=1)
        inside &= (corner + self._edge <= images.shape[1:]).all(axis=1)
        self._found += len(found)
        self._at_border += int(np.count_nonzero(~inside))
        other = None
        if found.values is not None:
            other = search.others(found, corner)[inside]
        return Cuts(
            frame=found.frame[inside],
            corner_px=corner[inside],
            neighbours=_neighbours(found, corner, self._edge)[inside],
            photons=cut(images, found.frame[inside], corner[inside], shape),
            other=other,
        )

    def warnings(self) -> list[str]:
        """Return what a user should know about the movie, one line each."""
        warnings = super().warnings()
        if self._optics is not None and self._unstated:
            warnings.append(
                "the recording states no pixel size; that of the training, "
                f"{self._optics.pixel_nm:g} nm, is used: check yours and give it with "
                "--pixel-size-nm"
            )
        if not self._found:
            warnings.append(
                "no emitters were found in the frames; check that spots are bright on "
                "a dark background and look like those of the training, or lower "
                "--detection-threshold"
            )
        if self._at_border:
            warnings.append(
                f"{self._at_border} of {self._found} emitters lie so near to the "
                f"border that their region of {self._edge} px leaves the frame; they "
                "were left out"
            )
        return warnings

    def report(self) -> dict[str, Any]:
        """Return what was read and what was found."""
        from zoo.physics.emitter_search import THRESHOLD

        report = super().report()
        report["input"]["region_px"] = self._edge
        report["options"]["detection_threshold"] = (
            THRESHOLD if self._threshold is None else self._threshold
        )
        return report | {
            "detection": {
                "filter": "difference of Gaussians"
                if self._optics is None
                else "spots of the training",
                "emitters": self._found,
                "at_border": self._at_border,
            }
        }


def _neighbours(found: "Found", corner: np.ndarray, edge: int) -> np.ndarray:
    """Return how many other emitters lie in the region of each."""
    count = np.zeros(len(found), int)
    places = np.stack([found.y_px, found.x_px], axis=1)
    for frame in np.unique(found.frame):
        rows = np.flatnonzero(found.frame == frame)
        within = places[rows] - corner[rows, None]
        count[rows] = ((within >= 0) & (within < edge)).all(axis=2).sum(axis=1) - 1
    return count


def _nothing(edge: int) -> Cuts:
    none = np.zeros(0, int)
    return Cuts(none, np.zeros((0, 2), int), none, np.zeros((0, edge, edge)))
