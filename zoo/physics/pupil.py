"""Point-spread functions of a scalar pupil function.

The field of an emitter at (x0, y0, z0) is the Fourier integral of the pupil,

    U(r) = integral P(f) exp(i [z0 k_s(f) - z_f k_i(f)]) exp(2 pi i f (r - r0)) d2f,

with the axial wave numbers ``k_s`` in the sample and ``k_i`` in the immersion medium
and the displacement ``z_f`` of the focal plane in the immersion medium (the stage); the
image is ``|U|**2`` (Hanser et al. 2004, doi:10.1111/j.0022-2720.2004.01393.x).  Waves
that the sample cannot carry, beyond ``n_s / wavelength``, are left out.  With
``cos(theta)**-0.5`` in the pupil and a Gaussian blur of 0.09 wavelengths the scalar
model agrees with the vectorial one of a freely rotating dye to a few percent (compare
Stallinga, Rieger 2010, doi:10.1364/OE.18.024461).
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from zoo.physics.masks import Mask
from zoo.physics.optics import Optics
from zoo.physics.pixel_filter import PixelFilter, pixel_filter
from zoo.physics.zernike import normalisation, zernike, zernike_basis

VECTORIAL_BLUR = 0.09
"""Blur that makes up for the scalar theory, in units of the wavelength."""

_CHUNK = 16  # emitters at a time, so that their pupils stay in the cache
_CELL = 8  # points per side of a pupil cell, for cells that the edge cuts


def _vectorial_blur_nm(values: dict[str, Any]) -> float:
    # without a wavelength the declaration is refused anyway
    return VECTORIAL_BLUR * float(values.get("wavelength_nm", 0.0))


class PupilOptics(Optics):
    """Objective, camera pixel and aberrations: everything that shapes a spot."""

    blur_nm: float = Field(default_factory=_vectorial_blur_nm, ge=0)
    """Standard deviation of a further Gaussian blur: vibration, size of the label, and
    what a scalar theory leaves out, nm.  Left out, 0.09 wavelengths."""
    focus_nm: float = 0.0
    """Displacement of the focal plane from the coverslip into the sample, measured in
    the immersion medium (what the stage moves), nm."""
    apodisation: Literal["aplanatic", "uniform"] = "aplanatic"
    """Amplitude over the pupil: ``cos(theta)**-0.5`` of an aplanatic lens, or one."""
    zernikes_rad: tuple[tuple[int, int, float], ...] = ()
    """Aberrations: radial degree, azimuthal frequency, root mean square in rad."""
    mask: Mask | None = None
    """Phase mask beside the Zernike polynomials."""

    @model_validator(mode="after")
    def _modes_exist(self) -> "PupilOptics":
        for n, m, _ in self.zernikes_rad:
            normalisation(n, m)
        return self

    @property
    def aperture_per_um(self) -> float:
        """Radius of the pupil: the highest frequency of a field, 1/µm."""
        return 1000 * min(self.na, self.sample_index) / self.wavelength_nm


class PupilPsf:
    """Images of point emitters behind a pupil; fulfils `zoo.physics.spots.Psf`.

    Parameters
    ----------
    optics
        Objective, pixel and aberrations.
    samples
        Points along the diameter of the pupil.  The image repeats itself after
        ``samples * wavelength / (2 NA)``, 15 µm for 64 points of an oil objective: the
        region should stay below half of it.
    dtype
        ``float64``, or ``float32`` for twice the speed and errors of 1e-6.

    Examples
    --------
    >>> optics = PupilOptics(na=1.4, wavelength_nm=670.0, pixel_nm=100.0)
    >>> middle = np.array([1550.0])
    >>> image = PupilPsf(optics).images(middle, middle, np.zeros(1), (31, 31))
    >>> image.shape, bool(0.9 < image.sum() < 1.0)
    ((1, 31, 31), True)
    """

    def __init__(
        self,
        optics: PupilOptics,
        *,
        samples: int = 64,
        dtype: type[np.float32] | type[np.float64] = np.float64,
    ) -> None:
        if samples < 2 or samples % 2:
            raise ValueError(f"samples must be a positive even number, not {samples}")
        self.optics = optics
        self.samples = samples
        self._real = np.dtype(dtype)
        self._filters: dict[int, PixelFilter] = {}

        radius = optics.aperture_per_um
        self._f = radius * ((2 * np.arange(samples) + 1) / samples - 1)
        self._step = 2 * radius / samples
        # all points of equal radius share their phase along the axis
        odd = 2 * np.arange(samples) + 1 - samples
        square, ring = np.unique(odd[:, None] ** 2 + odd**2, return_inverse=True)
        self._ring = ring.reshape(-1)
        f_ring = np.minimum(np.sqrt(square) * radius / samples, radius)
        self._k_sample = _axial(f_ring, optics.sample_index, optics.wavelength_nm)
        self._k_immersion = _axial(f_ring, optics.immersion_index, optics.wavelength_nm)

        f_y, f_x = np.meshgrid(self._f, self._f, indexing="ij")
        self.rho = np.minimum(np.hypot(f_y, f_x), radius) * (
            optics.wavelength_nm / (1000 * optics.na)
        )
        """(v, u) radius of the pupil's points, 1 at the numerical aperture."""
        self.phi = np.arctan2(f_y, f_x)
        """(v, u) angle of the pupil's points, from x towards y, rad."""
        self.phase_rad = np.zeros(self.rho.shape)
        """(v, u) phase of the pupil: aberrations and mask, rad."""
        for n, m, coefficient_rad in optics.zernikes_rad:
            self.phase_rad += coefficient_rad * zernike(self.rho, self.phi, n=n, m=m)
        if optics.mask is not None:
            self.phase_rad += optics.mask.phase_rad(self.rho, self.phi)
        self.amplitude = self._apodisation(radius)
        """(v, u) amplitude of the pupil, µm."""
        self._modulus = self.amplitude.astype(self._real)
        self._phase = self.phase_rad.astype(self._real)

    @property
    def pixel_nm(self) -> float:
        """Edge of a camera pixel in the sample, nm."""
        return self.optics.pixel_nm

    def zernike_basis(self, modes: tuple[tuple[int, int], ...]) -> np.ndarray:
        """Return Zernike polynomials at the points of the pupil: (modes, v, u)."""
        return zernike_basis(self.rho, self.phi, modes=modes)

    @property
    def focus_phase_rad(self) -> np.ndarray:
        """(v, u) phase over the pupil when the focal plane moves by one nm, rad."""
        return self._rings(-self._k_immersion[None] / 1000)[0].astype(float)

    def images(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        shape: tuple[int, int],
        *,
        focus_nm: np.ndarray | float | None = None,
        phase_rad: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the share of an emitter's photons that falls into each pixel.

        The law: over an unlimited region the shares sum to one; moving the emitter by
        a pixel moves the image by a pixel.

        Parameters
        ----------
        x_nm, y_nm
            (n,) positions along columns and rows from the region's outer corner.
        z_nm
            (n,) distances from the coverslip.
        shape
            ``(height, width)`` of the region, px.
        focus_nm
            Displacement of the focal plane, one value or (n,), nm; that of the optics
            if left out.
        phase_rad
            (n, v, u) further phase of every emitter's pupil, rad.

        Returns
        -------
        images : (n, y, x) float
        """
        rows, columns = self._filter(shape[0]), self._filter(shape[1])
        images = np.empty((np.size(x_nm), *shape), self._real)
        for part, wave in self._waves(x_nm, y_nm, z_nm, shape, focus_nm, phase_rad):
            field = self._field(wave, rows, columns)
            images[part] = self._collect(
                _square(field), rows.value_um, columns.value_um
            )
        return images

    def derivatives(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        shape: tuple[int, int],
        *,
        focus_nm: np.ndarray | float | None = None,
        phase_rad: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return images and their derivatives with respect to the position.

        Returns
        -------
        images : (n, y, x) float
            As from `images`.
        slopes : (n, 3, y, x) float
            Changes per nm of x, y and z.
        """
        rows, columns = self._filter(shape[0]), self._filter(shape[1])
        images = np.empty((np.size(x_nm), *shape), self._real)
        slopes = np.empty((len(images), 3, *shape), self._real)
        axial = self._rings(self._k_sample[None])[0]
        for part, wave in self._waves(x_nm, y_nm, z_nm, shape, focus_nm, phase_rad):
            field = self._field(wave, rows, columns)
            intensity = _square(field)
            change = _product(field, self._field(_advance(wave, axial), rows, columns))
            images[part] = self._collect(intensity, rows.value_um, columns.value_um)
            slopes[part, 0] = self._collect(intensity, rows.value_um, columns.slope)
            slopes[part, 1] = self._collect(intensity, rows.slope, columns.value_um)
            slopes[part, 2] = self._collect(change, rows.value_um, columns.value_um)
        return images, slopes / self._real.type(1000)

    def optics_derivatives(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        shape: tuple[int, int],
        *,
        basis: np.ndarray,
        focus_nm: np.ndarray | float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives with respect to the phase and the blur.

        Parameters
        ----------
        x_nm, y_nm, z_nm, shape, focus_nm
            As in `images`.
        basis
            (modes, v, u) phases, each with a coefficient of its own; `zernike_basis`.

        Returns
        -------
        phase_slopes : (n, modes, y, x) float
            Changes per rad of each coefficient.
        variance_slopes : (n, y, x) float
            Changes per nm² of the variance of the blur.
        """
        rows, columns = self._filter(shape[0]), self._filter(shape[1])
        phase_slopes = np.empty((np.size(x_nm), len(basis), *shape), self._real)
        variance_slopes = np.empty((np.size(x_nm), *shape), self._real)
        phases = basis.astype(self._real)
        for part, wave in self._waves(x_nm, y_nm, z_nm, shape, focus_nm, None):
            field = self._field(wave, rows, columns)
            intensity = _square(field)
            variance_slopes[part] = self._collect(
                intensity, rows.variance_slope_per_um, columns.value_um
            ) + self._collect(intensity, rows.value_um, columns.variance_slope_per_um)
            for index, phase in enumerate(phases):
                change = _product(
                    field, self._field(_advance(wave, phase), rows, columns)
                )
                phase_slopes[part, index] = self._collect(
                    change, rows.value_um, columns.value_um
                )
        return phase_slopes, variance_slopes / self._real.type(1e6)

    def _apodisation(self, radius: float) -> np.ndarray:
        """Return the amplitude, averaged over cells and of unit photon number."""
        points = (np.arange(self.samples * _CELL) + 0.5) / (self.samples * _CELL)
        f = radius * (2 * points - 1)
        square = f[:, None] ** 2 + f**2
        inside = (square <= radius**2).astype(float)
        if self.optics.apodisation == "aplanatic":
            wave_number = 1000 * self.optics.immersion_index / self.optics.wavelength_nm
            cosine = np.sqrt(1 - np.minimum(square, radius**2) / wave_number**2)
            inside /= np.sqrt(cosine)
        cells = (self.samples, _CELL, self.samples, _CELL)
        power = np.mean(inside**2) * (2 * radius) ** 2
        return inside.reshape(cells).mean(axis=(1, 3)) / power**0.5

    def _filter(self, pixels: int) -> PixelFilter:
        if pixels not in self._filters:
            self._filters[pixels] = pixel_filter(
                pixels,
                pixel_um=self.optics.pixel_nm / 1000,
                cutoff_per_um=2 * self.optics.aperture_per_um,
                blur_um=self.optics.blur_nm / 1000,
            )
        return self._filters[pixels]

    def _rings(self, values: np.ndarray) -> np.ndarray:
        """Return (n, v, u) pupils of (n, rings) functions of the radius."""
        pupils = values.astype(self._real).take(self._ring, axis=1)
        return pupils.reshape(-1, self.samples, self.samples)

    def _waves(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        shape: tuple[int, int],
        focus_nm: np.ndarray | float | None,
        phase_rad: np.ndarray | None,
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield slices of emitters and the waves in their pupils.

        Waves and fields are (n, 2, ..., ...) arrays of real and imaginary parts:
        products of small real matrices run several times faster than complex ones.
        """
        focus = self.optics.focus_nm if focus_nm is None else focus_nm
        x_um = np.atleast_1d(x_nm) / 1000 - shape[1] * self.pixel_nm / 2000
        y_um = np.atleast_1d(y_nm) / 1000 - shape[0] * self.pixel_nm / 2000
        z_um = np.atleast_1d(z_nm) / 1000
        focus_um = np.broadcast_to(np.asarray(focus, float) / 1000, z_um.shape)
        circular = 2 * np.pi * self._f
        for start in range(0, len(x_um), _CHUNK):
            part = slice(start, start + _CHUNK)
            axial = z_um[part, None] * self._k_sample
            axial -= focus_um[part, None] * self._k_immersion
            phase = self._rings(axial)
            phase -= (x_um[part, None] * circular).astype(self._real)[:, None, :]
            phase -= (y_um[part, None] * circular).astype(self._real)[:, :, None]
            phase += self._phase
            if phase_rad is not None:
                phase += phase_rad[part].astype(self._real)
            wave = np.empty((len(phase), 2, *phase.shape[1:]), self._real)
            np.cos(phase, out=wave[:, 0])
            np.sin(phase, out=wave[:, 1])
            wave *= self._modulus
            yield part, wave

    def _field(
        self, wave: np.ndarray, rows: PixelFilter, columns: PixelFilter
    ) -> np.ndarray:
        """Return the fields at the samples of the filters: (n, 2, rows, columns).

        A matrix Fourier transform.  The pupil's points lie symmetrically, so that
        cosines see only its even and sines only its odd part: half the products.
        """
        to_x, to_y = self._transform(columns), self._transform(rows)
        return _fold(to_y.T @ _fold(wave, -2), -1) @ to_x

    def _transform(self, line: PixelFilter) -> np.ndarray:
        """Return the (pupil, samples) cosines above the sines."""
        phase = 2 * np.pi * np.outer(self._f[self.samples // 2 :], line.samples_um)
        waves = np.concatenate([np.cos(phase), np.sin(phase)])
        return (waves * self._step).astype(self._real)

    def _collect(
        self, intensity: np.ndarray, rows: np.ndarray, columns: np.ndarray
    ) -> np.ndarray:
        along_x = intensity @ columns.T.astype(self._real)
        return rows.astype(self._real) @ along_x


def _axial(f: np.ndarray, index: float, wavelength_nm: float) -> np.ndarray:
    """Return the axial wave number, rad/µm; zero where the wave is evanescent."""
    wave_number = 1000 * index / wavelength_nm
    return 2 * np.pi * np.sqrt(np.maximum(wave_number**2 - f**2, 0.0))


def _fold(wave: np.ndarray, axis: Literal[-1, -2]) -> np.ndarray:
    """Return even and odd parts along an axis, as cosines and sines need them.

    With ``e`` and ``o`` the complex parts, the transform ``C e + i S o`` has the real
    part ``[C, S] @ [e.real, -o.imag]`` and the imaginary ``[C, S] @ [e.imag, o.real]``.
    """
    half = wave.shape[axis] // 2
    rest = () if axis == -1 else (slice(None),)
    first, second = (..., slice(half), *rest), (..., slice(half, None), *rest)
    upper, lower = wave[second], wave[(..., slice(half - 1, None, -1), *rest)]
    folded = np.empty_like(wave)
    np.add(upper, lower, out=folded[first])
    np.subtract(lower[:, 1], upper[:, 1], out=folded[:, 0][second])
    np.subtract(upper[:, 0], lower[:, 0], out=folded[:, 1][second])
    return folded


def _advance(wave: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Return the change of waves per unit of a phase: ``i phase wave``."""
    change = np.empty_like(wave)
    np.multiply(wave[:, 1], -phase, out=change[:, 0])
    np.multiply(wave[:, 0], phase, out=change[:, 1])
    return change


def _square(field: np.ndarray) -> np.ndarray:
    return field[:, 0] ** 2 + field[:, 1] ** 2


def _product(field: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return the change of the square of the field's modulus."""
    return 2 * (field[:, 0] * change[:, 0] + field[:, 1] * change[:, 1])
