"""What tells the error of an image best: views, noise, brightness or the error map.

Rank correlation with the true error, per pixel and per resolution element, on scenes
that no package is scored on; what `zoo.tasks.image` does follows from it.

    python benchmarks/uncertainty.py dfcan_widefield
"""

import sys
from collections.abc import Iterator

import numpy as np
from scipy.ndimage import gaussian_filter

from zoo.core.random import generator
from zoo.core.symmetry import SYMMETRIES, Symmetry
from zoo.evaluate.scoring import frozen_test_set
from zoo.io.library import open_package
from zoo.metrics.noise import photon_transfer
from zoo.metrics.reliability import elements, image_error, rank_correlation
from zoo.predict.forward import forward
from zoo.predict.predictor import Predictor
from zoo.predict.views import ORDER, Seen
from zoo.tasks.image import score


def main(name: str) -> None:
    """Print mean rank correlations of one package."""
    package = open_package(name)
    scenes = frozen_test_set(package).calibrating()
    if scenes is None:
        raise SystemExit(f"{name} has no scenes that its errors are measured on")
    predictor = Predictor(package, uncertainty=False)
    rows: dict[str, list[tuple[float, float]]] = {}
    for case in scenes.cases():
        result = predictor.predict(case.input, pixel_size_nm=case.pixel_size_nm)
        error = image_error(result.image, case.truth)
        if error is None:
            continue
        for words, image in _candidates(predictor, case, result):
            pair = (
                rank_correlation(image, error),
                rank_correlation(elements(image), elements(error)),
            )
            rows.setdefault(words, []).append(pair)
    print("candidate | per pixel | per element | least")
    for words, pairs in rows.items():
        pixel, element = np.mean(pairs, axis=0)
        least = min(pair[1] for pair in pairs)
        print(f"{words} | {pixel:.3f} | {element:.3f} | {least:.3f}")


def _candidates(predictor, case, result) -> Iterator[tuple[str, np.ndarray]]:
    image = np.asarray(result.image, float)
    yield "brightness", np.abs(image)
    if "error_map" in result.images:
        yield "error map", np.asarray(result.images["error_map"].array, float)
    recording = predictor._open(case.input, case.pixel_size_nm)
    try:
        _, frames = next(iter(recording.chunks(1)))
        noise = _noise(frames)

        def seen(symmetry: Symmetry, sign: float = 0.0) -> np.ndarray:
            way = Seen(recording, symmetry)
            turned = np.ascontiguousarray(symmetry.apply(frames + sign * noise))
            scaled = way.scaled(turned, 0)
            made = forward(
                predictor.engine,
                predictor.contract,
                turned if scaled is None else scaled,
                plan=predictor._plan(way.sizes),
                scaled=scaled is not None,
                knowledge=way.knowledge,
            )
            return symmetry.undo(made)[0, ..., 0]

        views = [seen(SYMMETRIES[n]) for n in ORDER]
        # halves of the photons: the image with its noise doubled, either way
        halves = [seen(SYMMETRIES[0], sign) for sign in (1.0, -1.0)]
    finally:
        recording.close()
    for count in (1, 3, len(views)):
        spread = _spread(views[:count], image)
        yield f"{count} views", np.sqrt(gaussian_filter(spread**2, 1.0))
        yield (
            f"{count} views and brightness",
            score(spread, image, brightness=predictor.contract.task.brightness),
        )
    yield (
        "two halves of the photons",
        np.sqrt(gaussian_filter(_spread(halves, image) ** 2, 1.0)),
    )


def _noise(frames: np.ndarray) -> np.ndarray:
    """Return noise like that of the frames."""
    gain = photon_transfer([frames[0, ..., c] for c in range(frames.shape[-1])])
    if gain is None:
        return np.zeros_like(frames)
    variance = gain.slope * np.maximum(frames - gain.dark, 0)
    drawn = generator(15).standard_normal(frames.shape)
    return (np.sqrt(variance) * drawn).astype(np.float32)


def _spread(views: list[np.ndarray], image: np.ndarray) -> np.ndarray:
    """Return the root mean square difference after the match of brightness."""
    squares = np.zeros_like(image)
    for view in views:
        slope = np.polyfit(view.ravel().astype(float), image.ravel(), 1)
        squares += (np.polyval(slope, view) - image) ** 2
    return np.sqrt(squares / len(views))


if __name__ == "__main__":
    main(*sys.argv[1:])
