"""Similarity of two images; every scale and norm that a metric depends on is named.

The prediction comes first, the reference second.  A prediction without calibrated
values is matched to the reference (:func:`affine_match`) before any absolute metric.
PSNR, SSIM and NRMSE are those of scikit-image, called with all of their options stated.
"""

from importlib import import_module
from typing import Any, Literal

import numpy as np

Norm = Literal["euclidean", "minmax", "mean"]


def nmse(prediction: np.ndarray, target: np.ndarray) -> float:
    """Return Deep-STORM's normalised error ``100 %·‖p − g‖²/‖g‖²``.

    The prediction is first multiplied by the factor that brings it nearest to the
    target (no offset), since a density has no natural scale; the value then lies
    between 0 and 100 and does not depend on the prediction's scale.

    Parameters
    ----------
    prediction, target
        Images on the same grid.

    Returns
    -------
    error : float
        Percent.

    Raises
    ------
    ValueError
        If shapes differ or `target` is zero everywhere.

    Notes
    -----
    The error is the one of doi:10.1364/OPTICA.5.000458; which scaling its figures
    use is not published.

    Examples
    --------
    >>> nmse(np.array([2.0, 0.0]), np.array([1.0, 1.0]))
    50.0
    """
    p, g = _pair(prediction, target)
    power = float(np.sum(g**2))
    if not power:
        raise ValueError("nmse needs a target that is not zero everywhere")
    own = float(np.sum(p**2))
    p = p * (float(np.sum(p * g)) / own if own else 0.0)
    return float(100 * np.sum((p - g) ** 2) / power)


def nrmse(prediction: np.ndarray, target: np.ndarray, *, norm: Norm) -> float:
    """Return the root mean squared difference relative to a named norm of `target`.

    Parameters
    ----------
    prediction, target
        Images on the same grid.
    norm
        ``euclidean`` divides by ``sqrt(mean g²)``, ``minmax`` by ``max g − min g``,
        ``mean`` by ``mean g``.  The three differ widely: state which was used.

    Raises
    ------
    ValueError
        If shapes differ, the norm is unknown or zero.

    Examples
    --------
    >>> one = np.array([0.0, 4.0])
    >>> [nrmse(one + 1, one, norm=n) for n in ("minmax", "mean")]
    [0.25, 0.5]
    """
    p, g = _pair(prediction, target)
    names = {"euclidean": "euclidean", "minmax": "min-max", "mean": "mean"}
    if norm not in names:
        raise ValueError(f"norm must be one of {', '.join(names)}, not {norm!r}")
    zero = {"euclidean": not g.any(), "minmax": not np.ptp(g), "mean": not g.mean()}
    if zero[norm]:
        raise ValueError(f"nrmse needs a target whose {norm} norm is not zero")
    return float(_skimage().normalized_root_mse(g, p, normalization=names[norm]))


def psnr(prediction: np.ndarray, target: np.ndarray, *, data_range: float) -> float:
    """Return the peak signal-to-noise ratio ``10·log10(L²/MSE)``, dB.

    Parameters
    ----------
    prediction, target
        Images on the same grid.
    data_range
        L, the span of values that the images can take; never guessed from them.

    Raises
    ------
    ValueError
        If shapes differ or `data_range` is not positive.

    Examples
    --------
    >>> psnr(np.zeros(4), np.full(4, 0.1), data_range=1.0)
    20.0
    """
    p, g = _pair(prediction, target)
    if data_range <= 0:
        raise ValueError(f"data_range must be positive, not {data_range}")
    with np.errstate(divide="ignore"):  # equal images: infinite
        return float(_skimage().peak_signal_noise_ratio(g, p, data_range=data_range))


def ssim(prediction: np.ndarray, target: np.ndarray, *, data_range: float) -> float:
    """Return the structural similarity of two images, (y, x).

    The window is the Gaussian of the publication: 11 x 11 px, standard deviation
    1.5 px, K = 0.01 and 0.03, population covariance, averaged over the pixels whose
    window lies inside the image (Wang et al. 2004, doi:10.1109/TIP.2003.819861).

    Parameters
    ----------
    prediction, target
        Images on the same grid, at least 11 x 11 px.
    data_range
        L, the span of values that the images can take; never guessed from them.

    Raises
    ------
    ValueError
        If shapes differ, an image is too small or `data_range` is not positive.
    """
    p, g = _pair(prediction, target)
    if p.ndim != 2 or min(p.shape) < 11:
        raise ValueError(f"ssim needs images of at least 11 x 11 px, not {p.shape}")
    if data_range <= 0:
        raise ValueError(f"data_range must be positive, not {data_range}")
    similarity = _skimage().structural_similarity(
        g,
        p,
        data_range=data_range,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(similarity)


def pearson(prediction: np.ndarray, target: np.ndarray) -> float:
    """Return Pearson's correlation of two images; NaN if one of them is constant.

    Examples
    --------
    >>> image = np.array([1.0, 2.0, 4.0])
    >>> round(pearson(3 * image + 7, image), 12)
    1.0
    """
    p, g = _pair(prediction, target)
    p, g = p - p.mean(), g - g.mean()
    power = float(np.sum(p**2)) * float(np.sum(g**2))
    return float(np.sum(p * g) / np.sqrt(power)) if power else float("nan")


def affine_match(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return ``a·prediction + b`` with the a and b that come nearest to `target`.

    Least squares over the whole image; a constant prediction becomes the mean of
    `target`.

    Returns
    -------
    matched : float64, shape of the images

    Examples
    --------
    >>> affine_match(np.array([0.0, 1.0, 2.0]), np.array([5.0, 7.0, 9.0])).tolist()
    [5.0, 7.0, 9.0]
    """
    p, g = _pair(prediction, target)
    centred = p - p.mean()
    power = float(np.sum(centred**2))
    gain = float(np.sum(centred * (g - g.mean()))) / power if power else 0.0
    return gain * centred + g.mean()


def _skimage() -> Any:
    """Return the metrics of scikit-image, which states no types and loads slowly."""
    return import_module("skimage.metrics")


def _pair(prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, g = np.asarray(prediction, float), np.asarray(target, float)
    if p.shape != g.shape or not p.size:
        raise ValueError(
            f"images must have equal shapes and pixels, not {p.shape} and {g.shape}"
        )
    return p, g
