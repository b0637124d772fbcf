"""Images of many emitters behind a pupil whose phase mask can be learnt.

The equations are those of `zoo.physics.pupil`, in real arithmetic that every backend
has, and differentiable with respect to the mask (Nehme et al. 2020,
doi:10.1038/s41592-020-0853-5).  A sample is a table of rows of `COLUMNS` numbers:

=== ================================================================================
row numbers
=== ================================================================================
0   background: least and largest photons per pixel, centre y and x, width y and x, px,
    angle, rad, -
1   read noise: least and largest standard deviation, centre y and x, width y and x,
    px, angle, rad, baseline; photons
2-  emitters: photons, x, y from the outer corner of the field, z, nm, shares of the
    images with the first, second and third blur, -
=== ================================================================================
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

COLUMNS = 8
"""Numbers in a row of the table of a sample."""
SURFACES = 2
"""Rows of the table before those of emitters."""
BLURS = 3
"""Blurs between which emitters are mixed."""

_PRIOR = 1.0  # information on every parameter beforehand, in units of the changes
_DEPTH_SCALE_UM = 0.1
Complex = tuple[Any, Any]


def surface(row: Any, size_px: int) -> Any:
    """Return a super-Gaussian surface over the field, (b, y, x).

    ``exp(-q**2)`` with `q` a quadratic form, stretched between two values.

    Parameters
    ----------
    row : (b, COLUMNS)
        Least and largest value, centre y and x, width y and x, px, and angle, rad.
    size_px
        Edge of the field.
    """
    place = ops.arange(size_px, dtype="float32") + 0.5
    low, high, y0, x0, wide_y, wide_x, angle = (row[:, i, None, None] for i in range(7))
    y, x = place[None, :, None] - y0, place[None, None, :] - x0
    along = (x * ops.cos(angle) + y * ops.sin(angle)) / wide_x
    across = (y * ops.cos(angle) - x * ops.sin(angle)) / wide_y
    form = ops.exp(-ops.square(0.5 * (ops.square(along) + ops.square(across))))
    least = ops.min(form, axis=(1, 2), keepdims=True)
    span = ops.max(form, axis=(1, 2), keepdims=True) - least
    return low + (high - low) * (form - least) / ops.maximum(span, 1e-6)


class PupilImaging(layers.Layer):
    """Expected photons of a field of emitters, (b, y, x, 2): light and read noise.

    Parameters
    ----------
    arrays
        Fields of `zoo.physics.imaging_arrays.ImagingArrays` for the field, with
        `BLURS` blurs.
    near
        The same for the region that the bound is computed in; None without a bound.
    basis
        (modes, v, u) phases that the mask is a sum of.
    pixel_nm
        Camera pixel in the sample.
    size_px
        Edge of the field.
    step_rad
        Phase of one unit of the mask's weights: with it, an optimiser that moves
        weights by its learning rate moves phases by this many times more.
    bound_weight
        Weight of the logarithm of the mean Cramér-Rao bound among the losses, while
        the mask is designed.
    depths_um
        Depths over which bounds are averaged.
    photons, background_photons
        Light that they hold for.
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        *,
        basis: np.ndarray,
        pixel_nm: float,
        size_px: int,
        near: Mapping[str, Any] | None = None,
        step_rad: float = 1.0,
        bound_weight: float = 0.0,
        depths_um: np.ndarray | None = None,
        photons: float = 10000.0,
        background_photons: float = 50.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.arrays, self.near = dict(arrays), dict(near or {})
        self.basis = np.asarray(basis, np.float32)
        self.pixel_nm, self.size_px = pixel_nm, size_px
        self.step_rad = step_rad
        self.bound_weight = bound_weight
        self.depths_um = np.zeros(0) if depths_um is None else np.asarray(depths_um)
        self.photons, self.background_photons = photons, background_photons
        self.designing = False
        """Whether the mask is learnt, and the bound is among the losses."""
        self.bound_power = 1.0
        """Power whose mean over depths is taken of bounds while designing: one for
        the mean, more for the more weight on the worst depths."""

    def build(self, input_shape: Any) -> None:
        """Make the weights of the mask, which begin at zero."""
        del input_shape
        self.mask: Any = self.add_weight(
            shape=(len(self.basis),), initializer="zeros", name="mask"
        )

    def mask_rad(self) -> Any:
        """Return the learnt part of the pupil's phase, (v, u), rad."""
        flat = self.basis.reshape(len(self.basis), -1)
        phase = ops.matmul(self.step_rad * self.mask[None], flat)
        return ops.reshape(phase, self.basis.shape[1:])

    def call(self, table: Any) -> Any:
        """Return light and standard deviation of the read noise of every pixel."""
        if self.designing and self.bound_weight:
            bound = self.mean_bound_nm(self.bound_power)
            self.add_loss(self.bound_weight * ops.log(bound))
        background = surface(table[:, 0], self.size_px)
        read = surface(table[:, 1], self.size_px)
        baseline = table[:, 1, 7, None, None]
        light = self._light(table[:, SURFACES:]) + background + baseline
        return ops.stack([light, read], axis=-1)

    def _light(self, emitters: Any) -> Any:
        middle = self.size_px * self.pixel_nm / 2
        x_um, y_um, z_um = (
            (emitters[..., i] - shift) / 1000
            for i, shift in ((1, middle), (2, middle), (3, 0.0))
        )
        intensity = _square(_field(self.arrays, self.mask_rad(), x_um, y_um, z_um))
        shares = emitters[..., :1] * emitters[..., 4 : 4 + BLURS]
        samples = int(intensity.shape[-1])
        count = int(emitters.shape[1])
        flat = ops.reshape(intensity, (-1, count, samples * samples))
        mixed = ops.matmul(ops.transpose(shares, (0, 2, 1)), flat)
        mixed = ops.reshape(mixed, (-1, BLURS, samples, samples))
        rows = self.arrays["pixels"]
        blurred = ops.matmul(ops.matmul(rows[None], mixed), _turned(rows)[None])
        return ops.maximum(ops.sum(blurred, axis=1), 0.0)

    def mean_bound_nm(self, power: float = 1.0) -> Any:
        """Return the Cramér-Rao bound averaged over coordinates and depths, nm.

        Of position, photons and background of an isolated emitter in the middle of a
        region, with a weak prior that keeps it finite where a depth leaves no trace.

        Parameters
        ----------
        power
            Power whose mean over the depths is taken; the larger, the closer the result
            is to the bound of the worst depth.
        """
        near = self.near
        z = ops.convert_to_tensor(self.depths_um.astype(np.float32))
        field = _field(near, self.mask_rad(), 0 * z, 0 * z, z)
        change = _field(near, self.mask_rad(), 0 * z, 0 * z, z, along_depth=True)
        value, slope = near["pixels"][0], near["slopes"][0]
        intensity = _square(field)
        deeper = 2 * (field[0] * change[0] + field[1] * change[1])

        def seen(samples: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
            return ops.matmul(ops.matmul(rows, samples), columns.T)

        spot = seen(intensity, value, value)
        pixel_um = self.pixel_nm / 1000
        level = self.background_photons
        # in units in which a change by one is about as large for all five
        changes = ops.stack(
            [
                self.photons * pixel_um * seen(intensity, value, slope),
                self.photons * pixel_um * seen(intensity, slope, value),
                self.photons * _DEPTH_SCALE_UM * seen(deeper, value, value),
                self.photons * spot,
                level * ops.ones_like(spot),
            ],
            axis=1,
        )
        expected = ops.maximum(self.photons * spot, 0.0) + level
        pixels = int(spot.shape[-1]) ** 2
        changes = ops.reshape(changes, (-1, 5, pixels))
        weighted = changes / ops.reshape(expected, (-1, 1, pixels))
        # a sum, since products of matrices are rounded to ten bits on some GPUs
        information = ops.sum(weighted[:, :, None] * changes[:, None], axis=-1)
        information = information + np.diag([_PRIOR] * 5).astype(np.float32)
        variance = ops.diagonal(_inverse(information), axis1=1, axis2=2)
        scale = np.array([pixel_um, pixel_um, _DEPTH_SCALE_UM], np.float32) * 1000
        bounds_nm = scale * ops.sqrt(ops.maximum(variance[:, :3], 1e-9))
        of_depths = ops.mean(bounds_nm, axis=1)
        largest = ops.max(of_depths)  # powers of ratios to it cannot overflow
        ratios = ops.power(of_depths / largest, power)
        return largest * ops.power(ops.mean(ratios), 1 / power)


class PhotonNoise(layers.Layer):
    """Noise of photons and of reading, then frames scaled to [0, 1] one by one.

    Photon numbers are drawn from a normal distribution with their mean as variance,
    through which gradients pass; frames hold more than 20 photons per pixel.
    """

    def __init__(self, *, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.seed: Any = keras.random.SeedGenerator(seed)

    def call(self, light: Any) -> Any:
        """Return frames, (b, y, x, 1), of light and read noise, (b, y, x, 2)."""
        expected, read = light[..., :1], light[..., 1:]
        deviation = ops.sqrt(ops.maximum(expected, 1e-3) + ops.square(read))
        noise = keras.random.normal(ops.shape(expected), seed=self.seed)
        counts = ops.maximum(expected + deviation * noise, 0.0)
        low = ops.min(counts, axis=(1, 2), keepdims=True)
        high = ops.max(counts, axis=(1, 2), keepdims=True)
        return (counts - low) / (high - low + 1e-6)


def _field(
    arrays: Mapping[str, Any],
    mask_rad: Any,
    x_um: Any,
    y_um: Any,
    z_um: Any,
    *,
    along_depth: bool = False,
) -> Complex:
    """Return the fields of emitters at the samples, (..., y, x), real and imaginary.

    Parameters
    ----------
    arrays
        Of `zoo.physics.imaging_arrays.ImagingArrays`.
    mask_rad
        (v, u) phase beside that of the arrays.
    x_um, y_um, z_um
        (...) positions; x and y from the middle of the field.
    along_depth
        Return the change per µm of depth instead.
    """
    f = 2 * np.pi * arrays["frequencies_per_um"]
    depth = arrays["depth_phase_rad_per_um"]
    phase = z_um[..., None, None] * depth + (arrays["phase_rad"] + mask_rad)
    phase = phase - x_um[..., None, None] * f - y_um[..., None, None] * f[:, None]
    real = arrays["amplitude_um"] * ops.cos(phase)
    imaginary = arrays["amplitude_um"] * ops.sin(phase)
    if along_depth:
        real, imaginary = -depth * imaginary, depth * real
    waves = f[:, None] * arrays["samples_um"]
    step = np.float32(arrays["step_per_um"])
    cosine, sine = step * np.cos(waves), step * np.sin(waves)
    # columns of the pupil to x, then its rows to y
    real, imaginary = (
        ops.matmul(real, cosine) - ops.matmul(imaginary, sine),
        ops.matmul(real, sine) + ops.matmul(imaginary, cosine),
    )
    return (
        ops.matmul(cosine.T, real) - ops.matmul(sine.T, imaginary),
        ops.matmul(sine.T, real) + ops.matmul(cosine.T, imaginary),
    )


def _inverse(matrices: Any) -> Any:
    """Return the inverses of small positive definite matrices, (b, n, n).

    By elimination written out: a solver on a GPU would need memory of its own.
    """
    size = int(matrices.shape[-1])
    units = np.eye(size, dtype=np.float32)
    rows = ops.concatenate([matrices, 0 * matrices + units], axis=-1)
    for index in range(size):
        pivot = rows[:, index : index + 1]
        pivot = pivot / pivot[..., index : index + 1]
        others = rows - rows[..., index : index + 1] * pivot
        chosen = units[:, index : index + 1]
        rows = others * (1.0 - chosen) + pivot * chosen
    return rows[..., size:]


def _square(field: Complex) -> Any:
    return ops.square(field[0]) + ops.square(field[1])


def _turned(matrices: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrices.swapaxes(-1, -2))
