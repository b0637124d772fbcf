"""Similarity of two images; every scale and norm that a figure depends on is named.

The prediction comes first, the reference second.  A prediction without calibrated
values is matched to the reference (:func:`affine_match`) before any absolute metric.
"""

from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter

Norm = Literal["euclidean", "minmax", "mean"]


def mse(prediction: np.ndarray, target: np.ndarray) -> float:
    """Return the mean squared difference of two arrays of equal shape.

    Examples
    --------
    >>> mse(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    2.0
    """
    p, g = _pair(prediction, target)
    return float(np.mean((p - g) ** 2))


def nmse(
    prediction: np.ndarray, target: np.ndarray, *, match_gain: bool = True
) -> float:
    """Return Deep-STORM's normalised error ``100 %·‖p − g‖²/‖g‖²``.

    Parameters
    ----------
    prediction, target
        Images on the same grid.
    match_gain
        Whether `prediction` is first multiplied by the factor that brings it nearest
        to `target` (no offset), since a density has no natural scale.  The value
        then lies between 0 and 100 and does not depend on the prediction's scale.

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
    >>> nmse(np.array([2.0, 0.0]), np.array([1.0, 1.0]), match_gain=False)
    100.0
    """
    p, g = _pair(prediction, target)
    power = float(np.sum(g**2))
    if not power:
        raise ValueError("nmse needs a target that is not zero everywhere")
    if match_gain:
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
    norms = {
        "euclidean": np.sqrt(np.mean(g**2)),
        "minmax": np.max(g) - np.min(g),
        "mean": np.mean(g),
    }
    if norm not in norms:
        raise ValueError(f"norm must be one of {', '.join(norms)}, not {norm!r}")
    if not norms[norm]:
        raise ValueError(f"nrmse needs a target whose {norm} norm is not zero")
    return float(np.sqrt(np.mean((p - g) ** 2)) / norms[norm])


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
    error = mse(prediction, target)
    if data_range <= 0:
        raise ValueError(f"data_range must be positive, not {data_range}")
    return float(10 * np.log10(data_range**2 / error)) if error else float("inf")


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

    def local(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, radius=5)[5:-5, 5:-5]

    mean_p, mean_g = local(p), local(g)
    variances = local(p * p) - mean_p**2 + local(g * g) - mean_g**2
    covariance = local(p * g) - mean_p * mean_g
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_p * mean_g + c1) / (mean_p**2 + mean_g**2 + c1)
    structure = (2 * covariance + c2) / (variances + c2)
    return float(np.mean(luminance * structure))


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


def score(prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Compare two images, (y, x), after affine matching.

    Returns
    -------
    scores : dict
        ``nmse_percent`` (gain matched, no offset), ``pearson``, and of the affinely
        matched prediction ``nrmse_euclidean``, ``psnr_db`` and ``ssim`` with the
        span of `target` as data range.

    Raises
    ------
    ValueError
        If shapes differ or `target` is constant.
    """
    p, g = _pair(prediction, target)
    span = float(np.ptp(g))
    if not span:
        raise ValueError("image scores need a target that is not constant")
    matched = affine_match(p, g)
    return {
        "nmse_percent": nmse(p, g),
        "pearson": pearson(p, g),
        "nrmse_euclidean": nrmse(matched, g, norm="euclidean"),
        "psnr_db": psnr(matched, g, data_range=span),
        "ssim": ssim(matched, g, data_range=span),
    }


def _pair(prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, g = np.asarray(prediction, float), np.asarray(target, float)
    if p.shape != g.shape or not p.size:
        raise ValueError(
            f"images must have equal shapes and pixels, not {p.shape} and {g.shape}"
        )
    return p, g
