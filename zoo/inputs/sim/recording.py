"""A recording of raw SIM frames that knows its illumination pattern.

The pattern belongs to the recording: it is estimated once, from several parts of the
field and points of time together, and every tile is told of it.  From it follow the
order of the frames, whether their phases are equal steps, and what a user should know.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo.core.contract import Contract
from zoo.core.frame_pattern import FramePattern
from zoo.core.sim_pattern import PixelPattern
from zoo.inputs.frame_order import ORDERS, Order, order_warning, swapped
from zoo.inputs.recording import StackRecording
from zoo.physics.illumination import PHASES
from zoo.physics.pattern_search import (
    Peaks,
    Window,
    chosen,
    find_peaks,
    windows_of,
)
from zoo.physics.recording_pattern import (
    RecordingPattern,
    estimate_recording,
    phases_at,
)
from zoo.physics.resynthesis import resynthesis

if TYPE_CHECKING:
    from zoo.io.stacks import Stack

ORIENTATIONS = 3
LEAST_PX = 32
"""Shorter side of fields in which a pattern is looked for."""

_TIMES = 3  # points of time that are looked at
_JUDGED = 4  # of them are judged by the sums of their frames
_TURNED = 64  # points of time whose own phases are kept


class Reading(NamedTuple):
    """How the frames of a recording are to be read, and what pattern they show."""

    order: Order
    """Order in the recording."""
    pattern: RecordingPattern | None
    """None if none is visible."""


class SimRecording(StackRecording):
    """Raw frames of three orientations, as three phases each for the network.

    Parameters
    ----------
    stack, contract, settings
        As for `zoo.inputs.recording.StackRecording`.
    phases
        Phases of an orientation in the recording.
    order
        Order of the frames in the recording; None to find it.
    wanted
        Order in which the network takes them, and in which they are taken to be where
        nothing speaks for another.
    """

    def __init__(
        self,
        stack: "Stack",
        contract: Contract,
        *,
        phases: int,
        order: Order | None,
        wanted: Order,
        **settings: Any,
    ) -> None:
        super().__init__(stack, contract, arrange=self._rewritten, **settings)
        self._phases = phases
        self._order: Order | None = order
        self._wanted: Order = wanted
        self._used = False
        self._turned: dict[int, np.ndarray] = {}
        self._training = contract.training

    @cached_property
    def reading(self) -> Reading:
        """What is found in some points of time of the whole field."""
        orders: tuple[Order, ...] = ORDERS if self._order is None else (self._order,)
        order: Order = self._wanted if self._order is None else self._order
        if min(self.stack.height, self.stack.width) < LEAST_PX:
            return Reading(order, None)
        count = min(_TIMES, self.frames)
        times = np.linspace(0, self.frames - 1, count).round().astype(int).tolist()
        raw = np.concatenate([self.stack.read(t, t + 1) for t in times])
        best: tuple[tuple[float, ...], Order, int, list[Window], Peaks] | None = None
        for name in orders:
            windows = chosen(
                [w for t in range(count) for w in self._windows(raw[t], name, t)]
            )
            # the finest fringes of three beams advance twice as fast
            for harmonic in (1,) if self._phases < 5 else (1, 2):
                peaks = find_peaks(windows, harmonic=harmonic)
                if not peaks.convincing:
                    continue
                energy = peaks.clarity[peaks.visible] ** 2
                rank = (int(peaks.visible.sum()), harmonic, float(energy.sum()))
                if best is None or rank > best[0]:
                    best = rank, name, harmonic, windows, peaks
        if best is None:
            return Reading(order, None)
        _, order, harmonic, windows, peaks = best
        return Reading(order, estimate_recording(windows, peaks, harmonic=harmonic))

    @property
    def pattern(self) -> RecordingPattern | None:
        """The illumination pattern; None if none is visible."""
        return self.reading.pattern

    def _windows(self, frames: np.ndarray, order: Order, time: int) -> list[Window]:
        """Cut (y, x, c) frames of an order into windows."""
        if order == "phase-major":
            frames = swapped(frames, self._phases, ORIENTATIONS)
        table = np.moveaxis(frames.astype(float), -1, 0)
        table = table.reshape(ORIENTATIONS, self._phases, *table.shape[1:])
        return windows_of(table, time=time)

    def _rewritten(self, frames: np.ndarray) -> np.ndarray:
        """Return frames (frame, y, x, c) in the order and number of the network."""
        order, pattern = self.reading
        phases = self._phases
        if phases == 3 and (pattern is None or pattern.equal_steps):
            return frames if order == self._wanted else swapped(frames, 3, 3)
        if order == "phase-major":
            frames = swapped(frames, phases, ORIENTATIONS)
        if pattern is None:
            equal = 2 * np.pi * np.arange(phases) / phases
            steps = np.tile(equal, (ORIENTATIONS, 1))
        else:
            steps = pattern.steps_rad
        frames = (frames @ resynthesis(steps)).astype(np.float32)
        return frames if self._wanted == "angle-major" else swapped(frames, 3, 3)

    def knowledge(
        self, frame: int, start: tuple[int, ...], size: tuple[int, ...]
    ) -> np.ndarray | None:
        """Return what the network is told of the pattern for a tile.

        Where no pattern is visible in the whole recording, none can be in a tile: the
        network is told that there is none.  Where parts of the field disagree, it is
        left to look at each tile by itself.
        """
        pattern = self.pattern
        if pattern is not None and not pattern.steady_in_space:
            return None
        self._used = True
        (y, x), (height, width) = start, size
        if pattern is None:
            known = PixelPattern.nothing_known()
        else:
            known = pattern.for_network(self._phases_at(frame, pattern))
        return known.row((y, x), (height, width))

    def frame_pattern(self, frame: int) -> FramePattern | None:
        """Return the pattern of the frames that the network takes at a point of time.

        None where no pattern is visible, or parts of the field disagree about it.
        """
        pattern = self.pattern
        if pattern is None or not pattern.steady_in_space:
            return None
        phases = self._phases_at(frame, pattern)
        first = pattern.for_network(phases).phases_rad
        equal = first[:, None] + 2 * np.pi * np.arange(PHASES) / PHASES
        if self._phases != PHASES or not pattern.equal_steps:
            phases = equal  # frames are rewritten
        phases = np.where(pattern.visible[:, None], phases, equal)
        channels = np.arange(ORIENTATIONS * PHASES).reshape(ORIENTATIONS, PHASES)
        return FramePattern(
            channels if self._wanted == "angle-major" else channels.T,
            pattern.vectors,
            phases,
            np.where(pattern.visible, pattern.modulations, 0.0),
            pattern.cutoff,
            pattern.attenuation,
        )

    def _phases_at(self, frame: int, pattern: RecordingPattern) -> np.ndarray:
        """Return the phases of one point of time, (orientation, phase)."""
        if pattern.steady_in_time:
            return pattern.phases_rad
        if frame not in self._turned:
            raw = self.stack.read(frame, frame + 1)[0]
            windows = self._windows(raw, self.reading.order, frame)
            self._turned[frame] = phases_at(chosen(windows), pattern)
            while len(self._turned) > _TURNED:
                del self._turned[next(iter(self._turned))]
        return self._turned[frame]

    def warnings(self) -> list[str]:
        """Return what a user should know, what the pattern says included."""
        from zoo.inputs.sim.warnings import pattern_warnings

        warnings = super().warnings()
        notes = pattern_warnings(
            self.pattern,
            pixel_nm=self.stack.pixel_size_nm,
            training=self._training,
        )
        order = self.reading.order
        if self.pattern is None and self._phases == 3:
            text = order_warning(self.stack.read(0, _JUDGED), order)
            notes += [] if text is None else [text]
        if self._order is None and order != self._wanted:
            notes.append(
                f"the raw frames are {order}, the package takes them {self._wanted}: "
                "they were put into that order; --frame-order says otherwise"
            )
        place = len(self.stack.notes)
        return [*warnings[:place], *notes, *warnings[place:]]

    def report(self) -> dict[str, Any]:
        """Return what was read, how it was scaled, and the pattern of the frames."""
        report = super().report()
        report["options"]["frame_order"] = self.reading.order
        report["options"]["phases"] = self._phases
        report["illumination_pattern"] = _described(
            self.pattern, self.stack.pixel_size_nm, used=self._used
        )
        return report


def _described(
    pattern: RecordingPattern | None, pixel_nm: float | None, *, used: bool
) -> dict[str, Any]:
    """Return what the report says of a pattern."""
    if pattern is None:
        return {"found": False, "told_to_network": used, "orientations": []}
    orientations: list[dict[str, Any]] = []
    for number, vector in enumerate(pattern.vectors):
        period = 1 / float(np.hypot(*vector))
        orientations.append(
            {
                "found": bool(pattern.visible[number]),
                "vector_cycles_per_px": [round(float(v), 6) for v in vector[::-1]],
                "angle_deg": round(float(np.degrees(np.arctan2(*vector))), 3),
                "period_px": round(period, 4),
                "period_nm": None if pixel_nm is None else round(period * pixel_nm, 2),
                "contrast": round(float(pattern.modulations[number]), 3),
                "clarity": round(float(pattern.clarity[number]), 2),
                "phases_deg": [
                    round(float(p), 1)
                    for p in np.degrees(pattern.phases_rad[number]) % 360
                ],
            }
        )
    return {
        "found": True,
        "told_to_network": used,
        "orientations": orientations,
        "cutoff_cycles_per_px": round(pattern.cutoff, 4),
        "otf_attenuation": round(pattern.attenuation, 3),
        "equal_phase_steps": pattern.equal_steps,
        "same_in_all_tiles": pattern.steady_in_space,
        "same_at_all_times": pattern.steady_in_time,
    }
