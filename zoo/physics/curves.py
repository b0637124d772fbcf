"""Centre lines of semiflexible filaments and places along them."""

import numpy as np

from zoo.physics.structures import STEP_NM, worm_like_chain


def curves(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    count: int,
    length_nm: float,
    persistence_nm: float,
    heading_rad: np.ndarray | None = None,
    beyond_nm: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw worm-like chains whose middles are uniform in a field.

    Parameters
    ----------
    rng
        Source of places, directions and bends.
    field_nm
        ``(height, width)`` of the field.
    count
        Number of curves.
    length_nm
        Their least length; it is rounded up to an even number of steps.
    persistence_nm
        Persistence length.
    heading_rad
        (count,) directions in the middle, from x towards y; random when left out.
    beyond_nm
        Widens the field on every side.

    Returns
    -------
    x_nm, y_nm : (count, nodes) float64
        Nodes `STEP_NM` apart, an odd number of them.
    """
    steps = 2 * max(int(np.ceil(length_nm / STEP_NM / 2)), 1)
    tangents = worm_like_chain(
        rng, chains=count, steps=steps, persistence_nm=persistence_nm
    )
    if heading_rad is not None:
        now = tangents[:, steps // 2]
        turn = heading_rad - np.arctan2(now[:, 1], now[:, 0])
        cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
        along_x, along_y = tangents[..., 0], tangents[..., 1]
        tangents = np.stack(
            [cos * along_x - sin * along_y, sin * along_x + cos * along_y], axis=-1
        )
    nodes = np.zeros((count, steps + 1, 2))
    np.cumsum(tangents * STEP_NM, axis=1, out=nodes[:, 1:])
    height_nm, width_nm = field_nm
    corner = np.array([width_nm, height_nm]) + beyond_nm
    middle = rng.uniform(-beyond_nm, corner, (count, 2))
    nodes += (middle - nodes[:, steps // 2])[:, None]
    return nodes[..., 0], nodes[..., 1]


def along_curves(
    x_nm: np.ndarray, y_nm: np.ndarray, *, curve: np.ndarray, along_nm: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find places on curves by their distance from the beginning.

    Parameters
    ----------
    x_nm, y_nm
        (count, nodes) nodes as `curves` returns them.
    curve
        (n,) number of the curve of each place.
    along_nm
        (n,) length of curve before it.

    Returns
    -------
    x_nm, y_nm, normal_x, normal_y : (n,) float64
        Places, and unit vectors across the curve.
    """
    before = np.clip((along_nm / STEP_NM).astype(int), 0, x_nm.shape[1] - 2)
    share = along_nm / STEP_NM - before
    x, y = x_nm[curve, before], y_nm[curve, before]
    dx, dy = x_nm[curve, before + 1] - x, y_nm[curve, before + 1] - y
    return x + share * dx, y + share * dy, -dy / STEP_NM, dx / STEP_NM
