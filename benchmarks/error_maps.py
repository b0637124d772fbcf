"""Which error map of raw SIM frames follows the true error: widefield mean or frames.

Rank correlation per pixel and per resolution element, and Pearson's per element, on
frozen scenes, for the outputs of a package, for those that it makes when told a wrong
illumination pattern, and for false filaments that agree with the widefield image of the
output; beside both maps the brightness of the image itself.

    python benchmarks/error_maps.py dfcan_sim
"""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter

from zoo.core.frame_pattern import FramePattern
from zoo.core.random import generator
from zoo.core.sim_pattern import MODULATION, VECTORS
from zoo.evaluate.scoring import frozen_test_set
from zoo.io.library import open_package
from zoo.metrics.raw_frames import raw_frame_map
from zoo.metrics.reliability import elements, image_error, rank_correlation
from zoo.metrics.squirrel import error_map
from zoo.physics.optics import otf
from zoo.physics.specimens import specimen
from zoo.physics.transfer_fit import pixel_optics
from zoo.predict.forward import forward
from zoo.predict.predictor import Predictor

LEVELS = (25.0, 95.0, 240.0)
"""Photons per pixel on the structure."""
TURN_RAD = 0.2
"""By what the wrong pattern is turned."""
STEPS = 8
"""Steps of Richardson-Lucy by which false filaments come to agree with a widefield
image; a few, or they become the deconvolved image."""
STRENGTH = 0.7
"""Share of the image that they take the place of, in a disc."""


def main(name: str) -> None:
    """Print mean correlations of one package."""
    package = open_package(name)
    scenes = frozen_test_set(package).override(images=1, photon_levels=LEVELS)
    predictor = Predictor(package, uncertainty=False, error_map=False)
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for case in scenes.cases():
        result = predictor.predict(case.input, pixel_size_nm=case.pixel_size_nm)
        recording: Any = predictor._open(case.input, case.pixel_size_nm)
        try:
            pattern = recording.frame_pattern(0)
            if pattern is None:
                print(f"{case.name}: no pattern is found")
                continue
            _, frames = next(iter(recording.chunks(1)))
            wrong = _misled(predictor, recording, frames)
        finally:
            recording.close()
        own = np.asarray(result.image, float)
        false, disc = _false(own, pattern, seed=sum(map(ord, case.name)))
        images = {"own output": own, "wrong pattern": wrong, "false filaments": false}
        for kind, image in (images | {"truth": case.truth}).items():
            error = image_error(image, case.truth)
            if error is None:
                continue
            for words, found in _maps(frames[0], np.asarray(image, float), pattern):
                row = (*_agreement(found, error), _rms(found), _rms(found * disc))
                rows.setdefault((kind, words), []).append(row)
    print("image | map | per pixel | per element | least | Pearson | RMS | in the disc")
    for (kind, words), values in rows.items():
        pixel, element, pearson, size, there = np.mean(values, axis=0)
        least = min(value[1] for value in values)
        print(
            f"{kind} | {words} | {pixel:.3f} | {element:.3f} | {least:.3f} | "
            f"{pearson:.3f} | {size:.4f} | {there:.4f}"
        )


def _maps(
    frames: np.ndarray, image: np.ndarray, pattern: FramePattern
) -> Iterator[tuple[str, np.ndarray]]:
    mean = frames.mean(axis=-1, dtype=float)
    yield "widefield (SQUIRREL)", error_map(mean, image).error
    yield "raw frames", raw_frame_map(frames, image, pattern).error
    yield "brightness", np.abs(image)


def _agreement(found: np.ndarray, error: np.ndarray) -> tuple[float, float, float]:
    """Return rank correlations per pixel and element, and Pearson's per element."""
    if error.max() < 1e-9:
        return float("nan"), float("nan"), float("nan")
    one, two = elements(found), elements(error)
    return (
        rank_correlation(found, error),
        rank_correlation(one, two),
        float(np.corrcoef(one.ravel(), two.ravel())[0, 1]),
    )


def _rms(image: np.ndarray) -> float:
    return float(np.sqrt(np.mean(image**2)))


def _misled(predictor: Predictor, recording: Any, frames: np.ndarray) -> np.ndarray:
    """Return what the network makes of frames when told a turned pattern."""
    cosine, sine = np.cos(TURN_RAD), np.sin(TURN_RAD)
    turn = np.array([[cosine, sine], [-sine, cosine]])

    def knowledge(
        frame: int, start: tuple[int, ...], size: tuple[int, ...]
    ) -> np.ndarray | None:
        row = recording.knowledge(frame, start, size)
        if row is not None:
            row[VECTORS] = (row[VECTORS].reshape(3, 2) @ turn).ravel()
            row[MODULATION] = np.maximum(row[MODULATION], 0.3)
        return row

    scaled = recording.scaled(frames, 0)
    made = forward(
        predictor.engine,
        predictor.contract,
        frames if scaled is None else scaled,
        plan=predictor._plan(recording.sizes),
        scaled=scaled is not None,
        knowledge=knowledge,
    )
    return made[0, ..., 0].astype(float)


def _false(
    image: np.ndarray, pattern: FramePattern, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with false filaments in a disc, and that."""
    rng = generator(16, seed)
    shape = image.shape
    frequency = np.hypot(
        np.fft.fftfreq(shape[0], 0.5)[:, None], fft.rfftfreq(shape[1], 0.5)
    )
    transfer = otf(pixel_optics(pattern.cutoff, pattern.attenuation), frequency)

    def seen(values: np.ndarray) -> np.ndarray:
        blurred = fft.irfft2(np.asarray(fft.rfft2(values)) * transfer, s=shape)
        return np.maximum(np.asarray(blurred), 1e-7)

    own = np.maximum(image, 0) + 1e-3
    light = specimen(rng, "microtubules", shape, pixel_nm=31.3)
    light = gaussian_filter(light.astype(float), 1.3)
    light = light + light[::-1] + light.T
    light = light / light.max() + 0.002
    light *= own.mean() / light.mean()
    for _ in range(STEPS):
        light = light * seen(seen(own) / seen(light))
    middle = rng.uniform(0.35, 0.65, 2)[:, None, None] * shape[0]
    disc = np.hypot(*(np.indices(shape) - middle)) < 0.3 * shape[0]
    disc = gaussian_filter(disc.astype(float), 4.0)
    return image + STRENGTH * disc * (light - own), disc


if __name__ == "__main__":
    main(*sys.argv[1:])
