"""Which frames of a recording are looked at to measure it."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from zoo.core.measured import Measured
from zoo.inputs.recording import file_stack

if TYPE_CHECKING:
    from zoo.inputs.recording import StackRecording

SPOT_FRAMES = 24
"""Frames of a movie of emitters that are looked at, evenly spaced."""
SPOT_PX = 256
"""Edge of the part of them, the middle of the field, px."""
IMAGE_PX = 1024
"""Edge of the part of the first image that is looked at, px."""


def measurements(
    recording: "StackRecording", content: Literal["spots", "image"] | None
) -> list[Measured]:
    """Measure a recording, on the grid of the file.

    Parameters
    ----------
    recording
        An open recording; of several groups of channels the first is looked at.
    content
        What is in its frames; None for what cannot be measured.

    Returns
    -------
    conditions
        The pixel size, then what `zoo.metrics.recording` measures.
    """
    stack = file_stack(recording.stack)
    pixel_nm = stack.pixel_size_nm
    found = [
        Measured(
            "pixel_size_nm",
            recording.pixel_size_nm.get("x"),
            "nm",
            "pixel size",
            note=""
            if recording.resampling is None
            else f"resampled from {pixel_nm:.4g} nm",
        )
    ]
    if content is None or (content == "spots" and pixel_nm is None):
        return found
    from zoo.metrics.recording import measured_image, measured_spots

    count = min(SPOT_FRAMES if content == "spots" else 2, stack.frames)
    edge = SPOT_PX if content == "spots" else IMAGE_PX
    part = tuple(
        slice((n - min(n, edge)) // 2, (n + min(n, edge)) // 2)
        for n in (stack.height, stack.width)
    )
    numbers = np.linspace(0, stack.frames - 1, count).round().astype(int)
    group = recording.groups[0]
    frames: list[np.ndarray] = []
    for number in np.unique(numbers):
        frame: np.ndarray = stack.read(int(number), int(number) + 1)[0]
        if stack.depth is not None:
            frame = frame[stack.depth // 2]
        frames.append(frame[part])
    data = np.stack(frames)
    saturated = highest = None
    if stack.dtype.kind in "ui":
        highest = float(np.iinfo(stack.dtype).max)
        saturated = float((data >= highest).mean())
    if content == "spots":
        images = data[..., group].mean(axis=-1)
        return found + measured_spots(
            images, pixel_nm=pixel_nm or 0.0, saturated=saturated
        )
    # raw frames may be more in the file than the network takes: all of one image
    several = len(recording.groups) > 1
    exposures = np.moveaxis(data[..., group] if several else data, -1, 1)
    in_time = len(data) > 1 and {a for a, n in stack.outer if n > 1} == {"t"}
    return found + measured_image(
        list(exposures[0]),
        pixel_nm=pixel_nm,
        later=list(exposures[-1]) if in_time else None,
        saturated=saturated,
        highest=highest,
    )
