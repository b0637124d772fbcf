"""Cubic-spline and measured point-spread functions.

A stack of images of a point at known depths becomes a cubic spline in all three
directions (Babcock, Zhuang 2017, doi:10.1038/s41598-017-00622-w; Li et al. 2018,
doi:10.1038/nmeth.4661).  Knots lie at the centres of pixels and at the depths of the
slices.  The spline is kept as B-spline nodes, one per knot, which is 64 times smaller
than the polynomial coefficients of every voxel that fitters store, and equivalent.
"""

from typing import Literal

import numpy as np

_CHUNK = 32  # emitters at a time, so that their nodes stay in the cache
_BLOCK = 16  # pixels of one matrix product
_TOLERANCE = 1e-3  # of the largest value, for jumps of what should be a spline

_TAPS = np.array([0, 1, 2, 3])
# powers (rows) of the four B-splines (columns) that overlap in one interval
_POWERS_OF_NODES = (
    np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6.0
)


class SplinePsf:
    """A point-spread function given by a cubic spline.

    Outside the calibrated field the spot is dark; depths beyond the range are refused.

    Parameters
    ----------
    nodes
        (z, y, x) B-spline nodes, as shares of the photons: three more than there are
        intervals in each direction, as `from_polynomials` and
        `zoo.physics.tabulated.measured_psf` make them.
    pixel_nm
        Edge of a camera pixel.
    step_nm
        Spacing of the knots along z.
    first_z_nm
        Depth of the first knot.
    center_px
        Position (x, y) of the emitter, px from the first knot; by default the middle of
        the field.
    knots_per_pixel
        Knots along x and y per camera pixel.

    Raises
    ------
    ValueError
        If there are fewer than four nodes in a direction or a spacing is not positive.
    """

    def __init__(
        self,
        nodes: np.ndarray,
        *,
        pixel_nm: float,
        step_nm: float,
        first_z_nm: float,
        center_px: tuple[float, float] | None = None,
        knots_per_pixel: int = 1,
    ) -> None:
        if nodes.ndim != 3 or min(nodes.shape) < 4:
            raise ValueError(
                "nodes must have the axes (z, y, x) and be four or more in each, "
                f"not of the shape {nodes.shape}"
            )
        if pixel_nm <= 0 or step_nm <= 0:
            raise ValueError(
                f"pixel_nm and step_nm must be positive, not {pixel_nm} and {step_nm}"
            )
        self.nodes = np.ascontiguousarray(nodes)
        """(z, y, x) B-spline nodes."""
        self.step_nm = step_nm
        """Spacing of the knots along z, nm."""
        self.first_z_nm = first_z_nm
        """Depth of the first knot, nm."""
        self.knots_per_pixel = knots_per_pixel
        """Knots along x and y per camera pixel."""
        self.intervals = tuple(size - 3 for size in nodes.shape)
        """Voxels along z, y and x."""
        middle_y, middle_x = (n / 2 / knots_per_pixel for n in self.intervals[1:])
        self.center_px = (middle_x, middle_y) if center_px is None else center_px
        """Position (x, y) of the emitter, px from the first knot."""
        self._pixel_nm = pixel_nm

    @classmethod
    def from_polynomials(
        cls,
        coefficients: np.ndarray,
        *,
        pixel_nm: float,
        step_nm: float,
        first_z_nm: float,
        center_px: tuple[float, float] | None = None,
    ) -> "SplinePsf":
        """Take the polynomials of a spline's voxels.

        In the voxel that starts at knot ``(l, j, i)`` the spot is ``sum_abc
        coefficient[l, j, i, 16 a + 4 b + c] z**a y**b x**c`` with distances from the
        knot in units of the spacing.

        Parameters
        ----------
        coefficients
            (z, y, x, 64) coefficients, shares of the photons.
        pixel_nm, step_nm, first_z_nm, center_px
            As in the class; one knot per pixel.

        Raises
        ------
        ValueError
            If the shape is another one or the polynomials do not join smoothly.
        """
        if coefficients.ndim != 4 or coefficients.shape[3] != 64:
            raise ValueError(
                "coefficients must have the axes (z, y, x, 64), "
                f"not the shape {coefficients.shape}"
            )
        shape = coefficients.shape[:3]
        nodes = np.asarray(coefficients, float).reshape(*shape, 4, 4, 4)
        for axis in (0, 1, 2):
            # the powers of this axis come first among those that remain
            nodes = nodes_of_powers(np.moveaxis(nodes, 3, -1), axis=axis)
        psf = cls(
            nodes.astype(coefficients.dtype),
            pixel_nm=pixel_nm,
            step_nm=step_nm,
            first_z_nm=first_z_nm,
            center_px=center_px,
        )
        jump = np.abs(psf.polynomials()[..., 0] - coefficients[..., 0]).max()
        if not jump <= _TOLERANCE * np.abs(coefficients[..., 0]).max():
            raise ValueError("the coefficients are not those of one cubic spline")
        return psf

    @classmethod
    def from_smap(
        cls,
        coefficients: np.ndarray,
        *,
        pixel_nm: float,
        step_nm: float,
        reference_slice: float,
        first_axis: Literal["x", "y"] = "y",
        z_sign: Literal[1, -1] = 1,
    ) -> "SplinePsf":
        """Take the coefficients of an SMAP calibration.

        There the axes are those of MATLAB, ``(first, second, z, 64)`` with the power of
        the first axis running fastest, and depth is counted in slices.

        Parameters
        ----------
        coefficients
            (first, second, z, 64) as `scipy.io.loadmat` returns them; reverse the axes
            of an array that comes from an HDF5 file.
        pixel_nm
            Edge of a camera pixel.
        step_nm
            Spacing of the slices, positive.
        reference_slice
            Slice of ``z = 0``, counted from 0.
        first_axis
            ``y`` if the first axis are the rows of the camera image, else ``x``.
        z_sign
            1 if the slices go from the coverslip into the sample, -1 for the opposite.

        Raises
        ------
        ValueError
            As from `from_polynomials`.
        """
        powers = coefficients.reshape(*coefficients.shape[:3], 4, 4, 4)
        # (first, second, z, power z, power second, power first)
        order = (2, 0, 1, 3, 5, 4) if first_axis == "y" else (2, 1, 0, 3, 4, 5)
        ours = powers.transpose(order)
        psf = cls.from_polynomials(
            ours.reshape(*ours.shape[:3], 64),
            pixel_nm=pixel_nm,
            step_nm=step_nm,
            first_z_nm=-reference_slice * step_nm,
        )
        if z_sign > 0:
            return psf
        return cls(
            psf.nodes[::-1],
            pixel_nm=pixel_nm,
            step_nm=step_nm,
            first_z_nm=-psf.z_range_nm[1],
        )

    @property
    def pixel_nm(self) -> float:
        """Edge of a camera pixel in the sample, nm."""
        return self._pixel_nm

    @property
    def z_range_nm(self) -> tuple[float, float]:
        """Lowest and highest calibrated depth, nm."""
        return self.first_z_nm, self.first_z_nm + self.intervals[0] * self.step_nm

    def polynomials(self) -> np.ndarray:
        """Return the (z, y, x, 64) coefficients that `from_polynomials` takes."""
        values = self.nodes[..., None]
        for axis in (0, 1, 2):
            near = np.lib.stride_tricks.sliding_window_view(values, 4, axis=axis)
            powers = near @ _POWERS_OF_NODES.T.astype(self.nodes.dtype)
            values = powers.reshape(*powers.shape[:3], -1)
        return values

    def images(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        shape: tuple[int, int],
    ) -> np.ndarray:
        """Return the share of an emitter's photons that falls into each pixel.

        Raises
        ------
        ValueError
            If a depth lies outside the calibrated range.
        """
        return self._evaluate(x_nm, y_nm, z_nm, shape, slopes=False)[:, 0]

    def derivatives(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        shape: tuple[int, int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and their (n, 3, y, x) changes per nm of x, y and z."""
        values = self._evaluate(x_nm, y_nm, z_nm, shape, slopes=True)
        return values[:, 0], values[:, 1:]

    def _evaluate(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        shape: tuple[int, int],
        *,
        slopes: bool,
    ) -> np.ndarray:
        """Return (n, 1 or 4, y, x) values and changes per nm of x, y and z."""
        column, x = self._first_knot(x_nm, self.center_px[0])
        row, y = self._first_knot(y_nm, self.center_px[1])
        layer, z = self._layer(z_nm)
        # the region moves against the emitter, but depth is the emitter's
        lateral = -self.knots_per_pixel / self._pixel_nm
        weights_x, weights_y = self._weights(x, lateral), self._weights(y, lateral)
        weights_z = self._weights(z, 1 / self.step_nm)
        kinds = slice(2 if slopes else 1)  # the spline and its derivative
        values = np.empty((len(x), 4 if slopes else 1, *shape), self.nodes.dtype)
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            near = self._near(layer[part], row[part], column[part], shape)
            planes = weights_z[part, kinds] @ near.reshape(len(near), 4, -1)
            planes = planes.reshape(len(near), -1, *near.shape[2:])
            lines = self._to_pixels(planes[:, 0], weights_y[part, kinds], shape[0])
            along_x = self._to_pixels(
                lines[:, 0].swapaxes(1, 2), weights_x[part, kinds], shape[1]
            )
            values[part, : along_x.shape[1]] = along_x.swapaxes(2, 3)
            if slopes:
                deeper = self._to_pixels(planes[:, 1], weights_y[part, :1], shape[0])
                for index, other in ((2, lines[:, 1]), (3, deeper[:, 0])):
                    values[part, index] = self._to_pixels(
                        other.swapaxes(1, 2), weights_x[part, :1], shape[1]
                    )[:, 0].swapaxes(1, 2)
        values *= self._calibrated(row, shape[0], 1)[:, None, :, None]
        values *= self._calibrated(column, shape[1], 2)[:, None, None, :]
        return values

    def _near(
        self,
        layer: np.ndarray,
        row: np.ndarray,
        column: np.ndarray,
        shape: tuple[int, int],
    ) -> np.ndarray:
        """Return the (n, 4, rows, columns) nodes that regions depend on."""
        last = (np.array(shape) - 1) * self.knots_per_pixel + 4
        _, height, width = self.nodes.shape
        rows = np.clip(row[:, None] + np.arange(float(last[0])), 0, height - 1)
        columns = np.clip(column[:, None] + np.arange(float(last[1])), 0, width - 1)
        layers = layer[:, None] + _TAPS
        lines = layers[:, :, None] * height + rows.astype(int)[:, None, :]
        places = lines[..., None] * width + columns.astype(int)[:, None, None, :]
        return self.nodes.reshape(-1).take(places)

    def _to_pixels(
        self, values: np.ndarray, weights: np.ndarray, pixels: int
    ) -> np.ndarray:
        """Combine (n, nodes, c) values by (n, k, 4) weights to (n, k, pixels, c).

        Products with band matrices of a few pixels are faster than the sum of four
        shifted arrays; all blocks of pixels have the same matrix.
        """
        every, block = self.knots_per_pixel, min(_BLOCK, pixels)
        bands = np.zeros(
            (*weights.shape[:2], block, (block - 1) * every + 4), self.nodes.dtype
        )
        pixel: np.ndarray = np.arange(block)
        for tap in range(4):
            bands[:, :, pixel, pixel * every + tap] = weights[:, :, tap, None]
        result = np.empty(
            (*weights.shape[:2], pixels, values.shape[2]), self.nodes.dtype
        )
        for start in range(0, pixels, block):
            stop = min(start + block, pixels)
            nodes = (stop - start - 1) * every + 4
            result[:, :, start:stop] = (
                bands[:, :, : stop - start, :nodes]
                @ values[:, None, start * every : start * every + nodes]
            )
        return result

    def _weights(self, place: np.ndarray, rate: float) -> np.ndarray:
        """Return (n, 2, 4) values of four B-splines and their changes per nm."""
        powers = place[:, None] ** _TAPS
        rates = _TAPS * place[:, None] ** np.maximum(_TAPS - 1, 0) * rate
        weights = np.stack([powers, rates], axis=1) @ _POWERS_OF_NODES
        return weights.astype(self.nodes.dtype)

    def _first_knot(
        self, position_nm: np.ndarray, center_px: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the interval of the region's first pixel and the place inside it."""
        position = np.atleast_1d(np.asarray(position_nm, float)) / self._pixel_nm
        knot = (center_px - position + 0.5) * self.knots_per_pixel
        first = np.floor(knot)
        return first.astype(int), knot - first

    def _calibrated(self, first: np.ndarray, size: int, axis: int) -> np.ndarray:
        """Return which of the (n, size) pixels lie in the calibrated field."""
        pixel: np.ndarray = np.arange(size)
        knots = first[:, None] + pixel * self.knots_per_pixel
        return (knots >= 0) & (knots < self.intervals[axis])

    def _layer(self, z_nm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        depth = np.atleast_1d(np.asarray(z_nm, float))
        low, high = self.z_range_nm
        outside = (depth < low - 1e-6) | (depth > high + 1e-6)
        if np.any(outside):
            raise ValueError(
                f"z_nm must be within the calibrated {low:g} to {high:g}, "
                f"not {depth[outside][0]:g}"
            )
        knot = (depth - self.first_z_nm) / self.step_nm
        layer = np.clip(np.floor(knot), 0, self.intervals[0] - 1)
        return layer.astype(int), knot - layer


def nodes_of_powers(powers: np.ndarray, *, axis: int) -> np.ndarray:
    """Turn polynomials of the intervals along an axis into B-spline nodes.

    An interval determines four nodes; neighbours share three of them.

    Parameters
    ----------
    powers
        (..., 4) coefficients of every interval, the constant first.
    axis
        Axis of the intervals.

    Returns
    -------
    nodes : (...) float
        Three more along that axis than there are intervals.
    """
    near = powers @ np.linalg.inv(_POWERS_OF_NODES).T
    last = np.moveaxis(np.take(near, [-1], axis=axis)[..., 1:], -1, axis)
    last = np.squeeze(last, axis=axis + 1)
    return np.concatenate([near[..., 0], last], axis=axis)
