"""Localizations from maps of the density of emitters, in two or three dimensions."""

from itertools import product

import numpy as np

from zoo.core.localizations import Localizations
from zoo.tasks.crowding import Crowding, share_out
from zoo.tasks.peaks import find_peaks
from zoo.tasks.uncertainty import Errors

_SIGMAS = 4.0  # up to which a Gaussian is drawn


def localize(
    density: np.ndarray,
    *,
    pixel_size_nm: float,
    threshold: float,
    ideal_peak: float,
    first_frame: int = 1,
    window: int = 3,
    centroid_window: int | None = None,
    z_step_nm: float | None = None,
    z_first_nm: float | None = None,
    window_planes: int | None = None,
    errors: Errors | None = None,
    errors_z: Errors | None = None,
    crowding: Crowding | None = None,
) -> Localizations:
    """Find the emitters in density maps: local maxima and their centre of gravity.

    A pixel is a candidate if nothing in the `window` around it is larger, i.e. if it
    equals the maximum filter of that size, and if the `centroid_window` around it
    holds more than ``threshold * ideal_peak``; what lies outside the frame does not
    compete.  The sum decides, not the peak, because a network that is unsure of a
    position by a few fine pixels spreads the same response over them.  The position
    is the centre of gravity of the `centroid_window`; pixel ``k`` has its centre at
    ``(k + 1/2) * pixel_size_nm``, negative and outside pixels weigh nothing.
    Candidates of equal value within each other's window form one plateau and give one
    localization, the mean of theirs.

    An ideally recovered isolated emitter is a spike in a single pixel (the optimum
    of Deep-STORM's loss, https://doi.org/10.1364/OPTICA.5.000458), so both its peak
    and the sum over its window are `ideal_peak`.  The response is therefore that
    sum divided by `ideal_peak`: about 1 for a clear emitter wherever it lies
    relative to the grid, up to 2 where two fall into one window.

    With `crowding`, in a plane, windows give way to what `share_out` gives to every
    maximum, and two emitters may stand where one maximum is.

    Parameters
    ----------
    density : (t, [z,] y, x) float
        Emitter density of consecutive frames on the fine grid.
    pixel_size_nm
        Edge of a fine pixel, nm.
    threshold
        Smallest accepted response.
    ideal_peak
        Output of the network for an ideal isolated emitter.
    first_frame
        Number of the first frame; frames count from 1.
    window
        Edge of the square in which a maximum must be the largest, fine px, odd.
    centroid_window
        Edge of the square of the centre of gravity, fine px, odd; `window` if left
        out.
    z_step_nm
        Distance of planes of depth, nm; needed where there are any.
    z_first_nm
        Depth of the centre of the first plane, nm; half a step if left out.
    window_planes
        Height of both windows along depth, planes, odd; that of each along y and x if
        left out.
    errors, errors_z
        Errors that go with response and its spread in the centroid window, along y and
        x and along depth.
    crowding
        How the response is shared out among its maxima; by windows if left out.

    Returns
    -------
    Localizations
        With ``x_nm``, ``y_nm``, perhaps ``z_nm``, ``frame``, ``response``, and
        ``uncertainty_nm`` and ``uncertainty_z_nm`` where errors are known; frame by
        frame, plane by plane, row by row.

    Raises
    ------
    ValueError
        If a size is even or not positive, or `threshold`, `ideal_peak`,
        `pixel_size_nm` or `z_step_nm` is not positive; if there is `crowding` in a
        volume.

    Examples
    --------
    >>> spike = np.zeros((1, 8, 8))
    >>> spike[0, 2, 5] = 48.4
    >>> found = localize(spike, pixel_size_nm=10.0, threshold=0.2, ideal_peak=48.4)
    >>> found.x_nm.tolist(), found.y_nm.tolist(), found.response.tolist()
    ([55.0], [25.0], [1.0])
    """
    if density.ndim not in (3, 4):
        raise ValueError(
            f"density must have axes (t, y, x) or (t, z, y, x), not {density.ndim} axes"
        )
    deep = density.ndim == 4
    centroid_window = window if centroid_window is None else centroid_window
    windows = _edges(window, window_planes, deep)
    centroids = _edges(centroid_window, window_planes, deep)
    steps = {"z_step_nm": z_step_nm or 0.0} if deep else {}
    _check(
        *windows,
        *centroids,
        threshold=threshold,
        ideal_peak=ideal_peak,
        pixel_size_nm=pixel_size_nm,
        **steps,
    )
    if crowding is not None:
        if deep:
            raise ValueError("crowding is shared out in a plane, not in a volume")
        peaks = share_out(
            density,
            crowding,
            threshold=threshold,
            ideal_peak=ideal_peak,
            window=window,
        )
    else:
        # a sum above the threshold needs a peak above its share of the window
        level = threshold * ideal_peak / np.prod(centroids)
        peaks = find_peaks(density, level=level, windows=windows, centroids=centroids)
    columns = {
        "x_nm": peaks.centre[-1] * pixel_size_nm,
        "y_nm": peaks.centre[-2] * pixel_size_nm,
        "frame": peaks.frame + first_frame,
        "response": peaks.mass / ideal_peak,
    }
    if deep and z_step_nm is not None:
        start = 0.5 * z_step_nm if z_first_nm is None else z_first_nm
        columns["z_nm"] = start + (peaks.centre[0] - 0.5) * z_step_nm
        if errors_z is not None:
            spread = np.sqrt(peaks.variance[0])
            columns["uncertainty_z_nm"] = errors_z.at(spread) * z_step_nm
    if errors is not None:
        spread = np.sqrt((peaks.variance[-2] + peaks.variance[-1]) / 2)
        stated = errors.at(spread, columns["response"])
        columns["uncertainty_nm"] = stated * pixel_size_nm
    rows = Localizations(**columns)
    if crowding is not None:  # the cores were compared with the threshold
        return rows
    return rows.select(peaks.mass > threshold * ideal_peak)


def add_histogram(
    image: np.ndarray,
    rows: Localizations,
    *,
    pixel_nm: float,
    z_step_nm: float | None = None,
    z_first_nm: float | None = None,
) -> None:
    """Count localizations in the pixels of an image; those outside do not count.

    Parameters
    ----------
    image : ([z,] y, x)
        Counts so far, on the grid of the density that the rows were found in; changed.
    rows
        Localizations.
    pixel_nm
        Edge of a pixel.
    z_step_nm, z_first_nm
        Depths of its planes, as in `localize`.

    Examples
    --------
    >>> image = np.zeros((2, 3))
    >>> rows = Localizations(x_nm=np.array([25.0, 5, 99]), y_nm=np.array([12.0, 1, 1]))
    >>> add_histogram(image, rows, pixel_nm=10.0)
    >>> image
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    places = [np.floor(c / pixel_nm).astype(int) for c in (rows.y_nm, rows.x_nm)]
    if image.ndim == 3 and z_step_nm is not None and rows.z_nm is not None:
        first = 0.5 * z_step_nm if z_first_nm is None else z_first_nm
        plane = np.floor((rows.z_nm - first) / z_step_nm + 0.5).astype(int)
        places.insert(0, plane)
    inside = np.ones(len(rows), bool)
    for place, size in zip(places, image.shape, strict=True):
        inside &= (place >= 0) & (place < size)
    np.add.at(image, tuple(place[inside] for place in places), 1)


def add_gaussians(
    image: np.ndarray,
    rows: Localizations,
    *,
    pixel_nm: float,
    z_step_nm: float | None = None,
    z_first_nm: float | None = None,
) -> None:
    """Draw localizations as Gaussians of their uncertainty, each of unit sum.

    Pixels hold the integral of the Gaussian over their area, so that uncertainties far
    below a pixel give one pixel and the image sums to the number of localizations less
    what falls beyond its border.  In a volume each is drawn in the plane of its depth.

    Parameters
    ----------
    image
        ([z,] y, x) what was drawn so far, in C order; changed.
    rows
        Localizations with ``uncertainty_nm``.
    pixel_nm
        Edge of a pixel.
    z_step_nm, z_first_nm
        Depths of its planes, as in `localize`.

    Raises
    ------
    ValueError
        If the localizations have no uncertainties.

    Examples
    --------
    >>> image = np.zeros((9, 9))
    >>> one = np.array([45.0])
    >>> rows = Localizations(x_nm=one, y_nm=one, uncertainty_nm=np.array([10.0]))
    >>> add_gaussians(image, rows, pixel_nm=10.0)
    >>> round(float(image.sum()), 3), round(float(image[4, 4]), 3)
    (1.0, 0.147)
    """
    if rows.uncertainty_nm is None:
        raise ValueError("Gaussians are drawn of localizations with uncertainty_nm")
    sigma_px = np.maximum(rows.uncertainty_nm / pixel_nm, 1e-6)
    reach = np.ceil(_SIGMAS * sigma_px).astype(int)
    y_px, x_px = rows.y_nm / pixel_nm, rows.x_nm / pixel_nm
    plane = np.zeros(len(rows), int)
    if image.ndim == 3 and z_step_nm is not None and rows.z_nm is not None:
        first = 0.5 * z_step_nm if z_first_nm is None else z_first_nm
        plane = np.floor((rows.z_nm - first) / z_step_nm + 0.5).astype(int)
    count, height, width = image.shape if image.ndim == 3 else (1, *image.shape)
    flat = image.reshape(-1)  # a view
    for edge in np.unique(reach):
        chosen = np.flatnonzero((reach == edge) & (plane >= 0) & (plane < count))
        for part in np.array_split(chosen, max(1, len(chosen) * (2 * edge + 1) >> 20)):
            y, along_y = _integrals(y_px[part], sigma_px[part], edge, height)
            x, along_x = _integrals(x_px[part], sigma_px[part], edge, width)
            y += plane[part][:, None] * height
            for i, j in product(range(2 * edge + 1), repeat=2):
                light = along_y[:, i] * along_x[:, j]
                # of equal types, which NumPy adds faster
                np.add.at(flat, y[:, i] * width + x[:, j], light.astype(flat.dtype))


def _integrals(
    place_px: np.ndarray, sigma_px: np.ndarray, reach: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels around places and the shares of a Gaussian in them, (n, 2r + 1).

    Pixels beyond an axis of some length have no share and are replaced by its ends.
    """
    from zoo.physics.psf import edge_integrals  # SciPy takes a while to import

    first = np.floor(place_px).astype(int) - reach
    shares = edge_integrals(place_px - first, 2 * reach + 1, sigma_px=sigma_px)
    shares /= shares.sum(axis=1, keepdims=True)
    pixels = first[:, None] + np.arange(2 * reach + 1)
    within = (pixels >= 0) & (pixels < length)
    return pixels.clip(0, length - 1), np.where(within, shares, 0.0)


def _edges(window: int, planes: int | None, deep: bool) -> tuple[int, ...]:
    """Return the edges of a window along the axes of a map."""
    return (planes or window, window, window) if deep else (window, window)


def _check(*windows: int, **positive: float) -> None:
    for window in windows:
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window must be odd and positive, not {window}")
    for name, value in positive.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")
