"""Zernike polynomials on the unit disk and the three orders they are numbered in.

A mode is named by its pair ``(n, m)``: radial degree ``n``, azimuthal frequency ``m``,
cosine for ``m >= 0`` and sine for ``m < 0``.  Polynomials are orthonormal,
``mean over the disk of Z_i Z_j = delta_ij``, so that a coefficient is the root mean
square of its term and the squares of coefficients add up (Noll 1976,
doi:10.1364/JOSA.66.000207).
"""

from collections.abc import Sequence
from itertools import count
from math import factorial, isqrt
from typing import Literal

import numpy as np

Ordering = Literal["noll", "ansi", "wyant"]
"""Noll and Wyant (fringe) count from 1, ANSI (OSA) from 0."""
ABERRATIONS = (
    (2, -2),
    (2, 2),
    (3, -1),
    (3, 1),
    (3, -3),
    (3, 3),
    (4, 0),
    (4, 2),
    (4, -2),
)
"""Modes of the aberrations that microscopes and regions differ by; tilt and defocus are
positions."""


def mode_of_index(index: int, *, ordering: Ordering) -> tuple[int, int]:
    """Return the pair ``(n, m)`` that a number stands for.

    Parameters
    ----------
    index
        Number of the mode; from 1 in the orders of Noll and Wyant, from 0 in ANSI's.
    ordering
        ``noll`` (Noll 1976, doi:10.1364/JOSA.66.000207), ``ansi`` (ANSI Z80.28, also
        called OSA) or ``wyant`` (fringe order, used by smNet).

    Raises
    ------
    ValueError
        If the number lies below the first one or the order is unknown.

    Examples
    --------
    >>> [mode_of_index(6, ordering=order) for order in ("noll", "ansi", "wyant")]
    [(2, 2), (3, -3), (2, -2)]
    """
    first = 0 if ordering == "ansi" else 1
    if index < first:
        raise ValueError(f"{ordering} index must be at least {first}, not {index}")
    if ordering == "wyant":
        # (1 + (n + |m|) / 2) is the root of the first square that is not smaller
        degree = isqrt(index - 1)
        rest = (degree + 1) ** 2 - index
        size = (rest + 1) // 2
        return 2 * degree - size, -size if rest % 2 else size
    degree = (isqrt(8 * (index - first) + 1) - 1) // 2
    for m in range(-degree, degree + 1, 2):
        if index_of_mode(degree, m, ordering=ordering) == index:
            return degree, m
    raise ValueError(f"ordering must be noll, ansi or wyant, not {ordering!r}")


def index_of_mode(n: int, m: int, *, ordering: Ordering) -> int:
    """Return the number of the mode ``(n, m)``.

    Raises
    ------
    ValueError
        If no such polynomial exists or the order is unknown.

    Examples
    --------
    >>> [index_of_mode(4, 0, ordering=order) for order in ("noll", "ansi", "wyant")]
    [11, 12, 9]
    """
    _check(n, m)
    if ordering == "ansi":
        return (n * (n + 2) + m) // 2
    if ordering == "wyant":
        return (1 + (n + abs(m)) // 2) ** 2 - 2 * abs(m) + (m < 0)
    if ordering == "noll":
        # even numbers are cosines, odd ones sines
        lower = n * (n + 1) // 2 + abs(m)
        cosine_is_lower = n % 4 in (0, 1)
        shift = m <= 0 if cosine_is_lower else m >= 0
        return lower + (1 if m == 0 else int(shift))
    raise ValueError(f"ordering must be noll, ansi or wyant, not {ordering!r}")


def modes_up_to(degree: int, *, first_degree: int = 0) -> tuple[tuple[int, int], ...]:
    """List the modes of radial degrees `first_degree` to `degree` in ANSI order.

    Examples
    --------
    >>> modes_up_to(2, first_degree=1)
    ((1, -1), (1, 1), (2, -2), (2, 0), (2, 2))
    """
    return tuple(
        (n, m) for n in range(first_degree, degree + 1) for m in range(-n, n + 1, 2)
    )


def normalisation(n: int, m: int) -> float:
    """Return the factor between an orthonormal polynomial and one of edge value one.

    ``sqrt((2 - delta_m0) (n + 1))``.  A coefficient of the unnormalised polynomials of
    Wyant and of lens makers, divided by this factor, is the root mean square.

    Examples
    --------
    >>> normalisation(2, 0) == 3**0.5
    True
    """
    _check(n, m)
    return float(((1 if m == 0 else 2) * (n + 1)) ** 0.5)


def zernike(rho: np.ndarray, phi: np.ndarray, *, n: int, m: int) -> np.ndarray:
    """Evaluate one orthonormal Zernike polynomial.

    The law: over the unit disk its mean is zero (but for piston) and the mean of its
    square is one.

    Parameters
    ----------
    rho
        Radius, 1 at the edge of the pupil.
    phi
        Angle from the x axis towards the y axis, rad.
    n, m
        Radial degree and azimuthal frequency; ``n - |m|`` is even and not negative.

    Returns
    -------
    values : float64
        Of the common shape of `rho` and `phi`.

    Raises
    ------
    ValueError
        If no such polynomial exists.

    Examples
    --------
    >>> float(zernike(np.array(1.0), np.array(0.0), n=2, m=2))  # doctest: +ELLIPSIS
    2.449...
    """
    _check(n, m)
    size = abs(m)
    rho = np.asarray(rho, float)
    square = rho * rho
    # Horner's rule over the powers n, n - 2, ..., |m|
    radial = np.zeros_like(rho)
    for k in range((n - size) // 2 + 1):
        radial = radial * square + (-1) ** k * factorial(n - k) / (
            factorial(k)
            * factorial((n + size) // 2 - k)
            * factorial((n - size) // 2 - k)
        )
    radial = radial * rho**size
    azimuthal = np.sin(size * phi) if m < 0 else np.cos(size * phi)
    return normalisation(n, m) * radial * azimuthal


def zernike_basis(
    rho: np.ndarray, phi: np.ndarray, *, modes: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Evaluate several modes: (modes, ...) float64.

    Examples
    --------
    >>> zernike_basis(np.zeros((4, 4)), np.zeros((4, 4)), modes=[(2, 0), (4, 0)]).shape
    (2, 4, 4)
    """
    values = [zernike(rho, phi, n=n, m=m) for n, m in modes]
    return np.stack(values) if values else np.zeros((0, *np.shape(rho)))


def first_modes(number: int, *, ordering: Ordering) -> tuple[tuple[int, int], ...]:
    """List the first modes of an order.

    Examples
    --------
    >>> first_modes(4, ordering="noll")
    ((0, 0), (1, 1), (1, -1), (2, 0))
    """
    start = 0 if ordering == "ansi" else 1
    return tuple(
        mode_of_index(index, ordering=ordering)
        for _, index in zip(range(number), count(start), strict=False)
    )


def _check(n: int, m: int) -> None:
    if n < 0 or abs(m) > n or (n - m) % 2:
        raise ValueError(
            f"a Zernike mode needs n >= |m| and n - m even, not n = {n}, m = {m}"
        )
