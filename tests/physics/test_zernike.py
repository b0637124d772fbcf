"""Zernike polynomials: orthogonality and the three orders they are numbered in."""

import numpy as np
import pytest

from zoo.physics.zernike import (
    first_modes,
    index_of_mode,
    mode_of_index,
    modes_up_to,
    normalisation,
    zernike,
    zernike_basis,
)

NOLL = [
    (0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (2, 2), (3, -1), (3, 1), (3, -3),
    (3, 3), (4, 0), (4, 2), (4, -2), (4, 4), (4, -4),
]  # fmt: skip
ANSI = [
    (0, 0), (1, -1), (1, 1), (2, -2), (2, 0), (2, 2), (3, -3), (3, -1), (3, 1),
    (3, 3), (4, -4), (4, -2), (4, 0), (4, 2), (4, 4),
]  # fmt: skip
WYANT = [
    (0, 0), (1, 1), (1, -1), (2, 0), (2, 2), (2, -2), (3, 1), (3, -1), (4, 0),
    (3, 3), (3, -3), (4, 2), (4, -2), (5, 1), (5, -1), (6, 0), (4, 4), (4, -4),
    (5, 3), (5, -3),
]  # fmt: skip


def disk(points):
    axis = (2 * np.arange(points) + 1) / points - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    rho, phi = np.hypot(y, x), np.arctan2(y, x)
    return rho[rho <= 1], phi[rho <= 1]


def test_the_first_21_modes_are_orthonormal():
    rho, phi = disk(400)
    values = zernike_basis(rho, phi, modes=first_modes(21, ordering="ansi"))
    gram = values @ values.T / len(rho)
    np.testing.assert_allclose(gram, np.eye(21), atol=1.1e-3)


@pytest.mark.parametrize(
    ("ordering", "modes"), [("noll", NOLL), ("ansi", ANSI), ("wyant", WYANT)]
)
def test_orders_are_those_of_their_authors(ordering, modes):
    assert list(first_modes(len(modes), ordering=ordering)) == modes


@pytest.mark.parametrize("ordering", ["noll", "ansi", "wyant"])
def test_numbers_and_pairs_are_inverse(ordering):
    for n, m in modes_up_to(12):
        number = index_of_mode(n, m, ordering=ordering)
        assert mode_of_index(number, ordering=ordering) == (n, m)
    numbers = [index_of_mode(n, m, ordering="ansi") for n, m in modes_up_to(12)]
    assert numbers == list(range(91))


@pytest.mark.parametrize(
    ("number", "polynomial"),
    [
        (4, lambda r, _: 2 * r**2 - 1),
        (5, lambda r, t: r**2 * np.cos(2 * t)),
        (6, lambda r, t: r**2 * np.sin(2 * t)),
        (7, lambda r, t: (3 * r**2 - 2) * r * np.cos(t)),
        (9, lambda r, _: 6 * r**4 - 6 * r**2 + 1),
        (16, lambda r, _: 20 * r**6 - 30 * r**4 + 12 * r**2 - 1),
        (17, lambda r, t: r**4 * np.cos(4 * t)),
        (19, lambda r, t: (5 * r**2 - 4) * r**3 * np.cos(3 * t)),
    ],
)
def test_wyants_polynomials_are_one_at_the_edge(number, polynomial):
    rho, phi = disk(21)
    n, m = mode_of_index(number, ordering="wyant")
    plain = zernike(rho, phi, n=n, m=m) / normalisation(n, m)
    np.testing.assert_allclose(plain, polynomial(rho, phi), atol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(2, 1), (1, 3), (-1, 1), (3, 2)])
def test_impossible_modes_are_refused(n, m):
    with pytest.raises(ValueError, match="a Zernike mode needs"):
        zernike(np.zeros(1), np.zeros(1), n=n, m=m)
    with pytest.raises(ValueError, match="a Zernike mode needs"):
        index_of_mode(n, m, ordering="noll")


@pytest.mark.parametrize(
    ("number", "ordering"), [(0, "noll"), (-1, "ansi"), (0, "wyant")]
)
def test_numbers_before_the_first_are_refused(number, ordering):
    with pytest.raises(ValueError, match="must be at least"):
        mode_of_index(number, ordering=ordering)


def test_unknown_orders_are_refused():
    with pytest.raises(ValueError, match="noll, ansi or wyant"):
        index_of_mode(2, 0, ordering="born")
    with pytest.raises(ValueError, match="noll, ansi or wyant"):
        mode_of_index(2, ordering="born")
