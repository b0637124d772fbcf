"""Frames of overlapping spots that tell the depth, as DeepSTORM3D learns from them.

Nehme et al. 2020 (doi:10.1038/s41592-020-0853-5).  What is drawn is a table of
emitters: the frames for training are made of it where they are needed, on the device
that trains (`zoo.models._pupil_imaging`), and the frames of recordings and test sets
here, with the same optics.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from zoo.core.contract import CONDITION, Contract, Range
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.recipe import Simulation, Source
from zoo.core.test_set import TestSet
from zoo.physics.engineered import PUPILS
from zoo.physics.imaging_arrays import blur_shares, zernikes_of
from zoo.physics.masks import PhaseMap, read_mask
from zoo.physics.pupil import PupilOptics
from zoo.physics.spots import Psf
from zoo.physics.surfaces import surface
from zoo.simulate.optics import (
    AnyOptics,
    check_pixel,
    declared,
    depth_range_nm,
    psf_of,
)

CORE_UM2 = (81 * 0.11) ** 2
"""Area in which the paper counts emitters: 81 x 81 px of a frame, µm²."""

_COLUMNS, _SURFACES = 8, 2  # of the table of a sample; see `zoo.layers.pupil`
_REACH_PX = 30  # from an emitter to where its light ends


class Emitters(NamedTuple):
    """Emitters of one frame, (n,) each; positions from the frame's outer corner."""

    x_nm: np.ndarray
    y_nm: np.ndarray
    z_nm: np.ndarray
    photons: np.ndarray
    blur_nm: np.ndarray
    """Standard deviation of the blur of each."""


class DenseEmitters(Source):
    """Tables of emitters to make frames of, and where they are in the volume.

    A sample is a table as `zoo.layers.pupil` reads it.  Its target has a row per
    emitter: z, y and x as fractions of the volume that is learnt, and 1 for emitters in
    it, 0 for all others, as `zoo.losses.SpikesInVolume` takes them.
    """

    kind: Literal["dense_emitters"] = "dense_emitters"
    """Type of the source."""
    optics: AnyOptics = PUPILS["tetrapod"]
    """Objective, pixel and phase mask; or the path of an ``optics.json`` of ``zoo
    calibrate``, with which pixel and depths become those of the calibration, or of an
    image of the mask, ``.npy`` or ``.tif``, in rad."""
    pixel_size_nm: Annotated[float, CONDITION] = Field(
        default_factory=lambda fields: fields["optics"].pixel_nm, gt=0
    )
    """Camera pixel referred to the sample, nm; that of the optics if left out."""
    z_nm: Annotated[Range, CONDITION] = Field(
        default_factory=lambda fields: depth_range_nm(fields["optics"]) or (0.0, 4000.0)
    )
    """Depths of emitters above the coverslip, nm."""
    planes: int = Field(default=80, ge=8)
    """Planes of depth in the volume, evenly over the depths; as many as the network
    has."""
    photons: Annotated[Range, CONDITION] = (10000.0, 60000.0)
    """Photons of an emitter at the detector, evenly distributed."""
    gamma: tuple[float, float] | None = None
    """Shape and scale of a Gamma distribution of photons in place of the even one, as
    dyes blink; emitters below the range of `photons` shine and are not to be found."""
    density_per_um2: Annotated[Range, CONDITION] = (1 / CORE_UM2, 34 / CORE_UM2)
    """Emitters per square micrometre of a frame."""
    rows_per_um2: float = Field(default=34 / CORE_UM2, gt=0)
    """Density that tables have rows for at least, so that stages with fewer emitters
    have tables of one size."""
    empty_share: float = Field(default=0.03, ge=0, le=1)
    """Share of frames without any emitter."""
    background_photons: Annotated[Range, CONDITION] = (20.0, 150.0)
    """Least and largest background; it varies over the field, photons per pixel."""
    read_noise_photons: Range = (0.0, 2.0)
    """Least and largest standard deviation of the read noise, which varies over the
    field, photons."""
    baseline_photons: Range = (0.0, 0.0)
    """Further background, even over the frame."""
    blur_px: Range = (0.75, 1.25)
    """Standard deviation of the Gaussian blur of an emitter, px: its size, vibrations
    and what a scalar theory leaves out."""
    crop_px: int = Field(default=96, ge=16)
    """Edge of the training frames, camera px."""
    margin_px: int = Field(default=16, ge=-_REACH_PX)
    """Border of a training frame in which there are emitters that are not to be found,
    camera px; below zero, these lie beyond the frame and only their light reaches in,
    so that a network learns what frames look like at their borders."""

    @model_validator(mode="before")
    @classmethod
    def _as_calibrated(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(
            values.get("optics"), (str, Path)
        ):
            return values
        path = Path(values["optics"])
        if path.suffix != ".json":
            return values | {"optics": behind_mask(path)}
        optics = declared(path)
        taken: dict[str, Any] = values | {
            "optics": optics,
            "pixel_size_nm": optics.pixel_nm,
        }
        covered = depth_range_nm(path) or depth_range_nm(optics)
        if covered is not None:
            low, high = taken.get("z_nm", covered)
            both = max(low, covered[0]), min(high, covered[1])
            taken["z_nm"] = both if both[0] < both[1] else covered
        return taken

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("photons", "density_per_um2", "background_photons", "blur_px"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(
                    f"{name} must be two positive numbers in order, not {low:g}, "
                    f"{high:g}"
                )
        if self.z_nm[0] >= self.z_nm[1]:
            raise ValueError("z_nm must be the lowest and the highest depth")
        if 2 * self.margin_px >= self.crop_px:
            raise ValueError("crop_px must exceed twice the margin_px")
        check_pixel(self.optics, self.pixel_size_nm)
        return self

    @property
    def plane_nm(self) -> float:
        """Distance of the planes of depth, nm."""
        return (self.z_nm[1] - self.z_nm[0]) / self.planes

    @property
    def blurs_nm(self) -> tuple[float, float, float]:
        """Blurs between which emitters are mixed, nm."""
        low, high = (blur * self.pixel_size_nm for blur in self.blur_px)
        return low, (low + high) / 2, high

    @property
    def emitters(self) -> int:
        """Rows of emitters in a table."""
        density = max(self.rows_per_um2, self.density_per_um2[1])
        area_um2 = (self._extent_px * self.pixel_size_nm / 1000) ** 2
        return int(np.ceil(density * area_um2)) + 1

    @property
    def _extent_px(self) -> int:
        """Edge of the square that has emitters, camera px."""
        return self.crop_px + 2 * self._beyond_px

    @property
    def _beyond_px(self) -> int:
        """Border around a frame from which emitters shine in, camera px."""
        return max(-self.margin_px, 0)

    def imaging(self) -> dict[str, Any]:
        """Return the arguments with which `zoo.models._pupil_imaging` makes frames.

        Raises
        ------
        BadInput
            If the optics are no pupil, the only ones that a device can image with.
        """
        if not isinstance(self.optics, PupilOptics):
            raise BadInput(
                "frames of dense emitters are made with a pupil, not with a measured "
                "spot; calibrate with --model pupil, or give a phase mask"
            )
        optics = self.optics.override(pixel_nm=self.pixel_size_nm)
        return {
            "optics": optics.model_dump(mode="json"),
            "size_px": self.crop_px,
            "emitters": self.emitters,
            "blurs_nm": self.blurs_nm,
            "z_nm": self.z_nm,
            "beyond_px": self._beyond_px,
        }

    def training_options(self) -> dict[str, Any]:
        """Return arguments of the networks that learn from the frames."""
        return {"margin": max(self.margin_px, 0)}

    def with_mask(self, coefficients_rad: np.ndarray) -> Self:
        """Return the source behind a mask that was designed with it.

        Parameters
        ----------
        coefficients_rad
            (modes,) of `zoo.physics.imaging_arrays.modes_up_to`, in place of the
            aberrations and the mask that the optics have.
        """
        optics: Any = self.optics
        modes = zernikes_of(coefficients_rad)
        return self.override(optics=optics.override(zernikes_rad=modes, mask=None))

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a table (rows, 8) and its target (emitters, 4)."""
        tables, targets = self.batch(rng, 1)
        return tables[0], targets[0]

    def batch(
        self, rng: np.random.Generator, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return tables and targets; see `zoo.core.recipe.Source`."""
        rows, pixel = self.emitters, self.pixel_size_nm
        beyond, extent = self._beyond_px * pixel, self._extent_px * pixel
        density = rng.uniform(*self.density_per_um2, (count, 1))
        numbers = np.maximum(np.rint(density * (extent / 1000) ** 2), 1)
        numbers *= rng.random((count, 1)) >= self.empty_share
        there = np.arange(rows) < numbers
        y, x = rng.uniform(-beyond, extent - beyond, (2, count, rows))
        z = rng.uniform(*self.z_nm, (count, rows))
        photons = self._photons(rng, (count, rows)) * there
        tables = np.zeros((count, _SURFACES + rows, _COLUMNS), np.float32)
        tables[:, 0, :7] = self._surfaces(rng, count, self.background_photons)
        tables[:, 1, :7] = self._surfaces(rng, count, self.read_noise_photons)
        tables[:, 1, 7] = rng.uniform(*self.baseline_photons, count)
        blur_nm = rng.uniform(*self.blur_px, (count, rows)) * pixel
        shares = blur_shares(blur_nm, self.blurs_nm)
        parts = [values[..., None] for values in (photons, x, y, z)]
        tables[:, _SURFACES:, :7] = np.concatenate([*parts, shares], axis=-1)
        margin = self.training_options()["margin"] * pixel
        learnt = self.crop_px * pixel - 2 * margin
        low, high = self.z_nm
        place = np.stack(
            [
                (z - low) / (high - low),
                (y - margin) / learnt,
                (x - margin) / learnt,
            ],
            axis=-1,
        )
        inside = there & np.all((place >= 0) & (place < 1), axis=-1)
        inside &= photons >= self.photons[0]
        targets = np.concatenate([place, inside[..., None]], axis=-1)
        targets[~inside] = 0.0
        return tables, targets.astype(np.float32)

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Return frames with emitters all over them, and where these are."""
        density = rng.uniform(*self.density_per_um2, frames)
        area_um2 = (self.crop_px * self.pixel_size_nm / 1000) ** 2
        numbers = np.maximum(np.rint(density * area_um2), 1).astype(int)
        return self.frames(rng, numbers, size_px=self.crop_px)

    def frames(
        self,
        rng: np.random.Generator,
        numbers: np.ndarray,
        *,
        size_px: int = 121,
        border_px: int = 0,
    ) -> Simulation:
        """Return frames with given numbers of emitters, in counts of one photon.

        Parameters
        ----------
        rng
            Source of positions, brightness and noise.
        numbers
            (t,) emitters of each frame.
        size_px
            Edge of the frames.
        border_px
            Border without emitters; the paper has 20 px around 81 x 81 px.
        """
        counts = np.empty((len(numbers), size_px, size_px), np.uint16)
        tables: list[Localizations] = []
        low = border_px * self.pixel_size_nm
        high = (size_px - border_px) * self.pixel_size_nm
        for index, number in enumerate(numbers):
            y, x = rng.uniform(low, high, (2, number))
            emitters = Emitters(
                x,
                y,
                rng.uniform(*self.z_nm, number),
                self._photons(rng, (number,)),
                rng.uniform(*self.blur_px, number) * self.pixel_size_nm,
            )
            light = self.light(emitters, size_px=size_px)
            background, read = (
                surface(self._surfaces(rng, 1, limits, size_px)[0], size_px)
                for limits in (self.background_photons, self.read_noise_photons)
            )
            light += background + rng.uniform(*self.baseline_photons)
            noisy = rng.poisson(light) + read * rng.standard_normal(light.shape)
            counts[index] = np.clip(np.rint(noisy), 0, 65535)
            shown = emitters.photons >= self.photons[0]
            tables.append(
                Localizations(
                    x_nm=x,
                    y_nm=y,
                    z_nm=emitters.z_nm,
                    photons=emitters.photons,
                    frame=np.full(number, index + 1),
                ).select(shown)
            )
        truth = Localizations.concatenate(tables)
        return Simulation(counts, truth, self.pixel_size_nm)

    def light(self, emitters: Emitters, *, size_px: int) -> np.ndarray:
        """Return the expected photons of a frame without background, (y, x)."""
        total = np.zeros((size_px, size_px))
        shares = blur_shares(emitters.blur_nm, self.blurs_nm)
        shares = shares * emitters.photons[:, None]
        for level, blur_nm in enumerate(self.blurs_nm):
            part = np.flatnonzero(shares[:, level])
            if not len(part):
                continue
            # frozen declarations of hashable fields can be hashed
            optics: Any = self.optics
            psf = _spot(optics, self.pixel_size_nm, blur_nm, size_px)
            images = psf.images(
                emitters.x_nm[part],
                emitters.y_nm[part],
                emitters.z_nm[part],
                (size_px, size_px),
            )
            total += np.tensordot(shares[part, level], images, axes=1)
        return np.maximum(total, 0.0)

    def settle(self, contract: Contract, test_set: TestSet) -> tuple[Contract, TestSet]:
        """Return contract and test set for these optics, pixels and depths."""
        optics = self.optics
        if isinstance(optics, PupilOptics):
            optics = optics.override(pixel_nm=self.pixel_size_nm)
        plane = self.plane_nm
        task = {
            "z_first_nm": self.z_nm[0] + plane / 2,
            "z_step_nm": plane,
            "optics": optics if isinstance(optics, PupilOptics) else None,
            "blurs_nm": (self.blurs_nm[0], self.blurs_nm[-1]),
        }
        known = type(contract.task).model_fields
        changes = {f"task__{n}": value for n, value in task.items() if n in known}
        contract = contract.override(grid__planes=self.planes, **changes)
        shared = {
            "optics": optics,
            "z_nm": self.z_nm,
            "pixel_size_nm": self.pixel_size_nm,
        }
        known = type(test_set).model_fields
        return contract, test_set.override(
            **{name: value for name, value in shared.items() if name in known}
        )

    def _photons(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if self.gamma is None:
            return rng.uniform(*self.photons, shape)
        form, scale = self.gamma
        return scale * rng.standard_gamma(form, shape)

    def _surfaces(
        self,
        rng: np.random.Generator,
        count: int,
        limits: Range,
        size_px: int | None = None,
    ) -> np.ndarray:
        """Return rows of surfaces, (count, 7), as `surface` takes them."""
        size = self.crop_px if size_px is None else size_px
        low, high = np.sort(rng.uniform(*limits, (2, count)), axis=0)
        centre = size / 2 + rng.uniform(-10, 10, (2, count))
        width = rng.uniform(size / 5, 2 * size / 5, (2, count))
        angle = rng.uniform(-np.pi / 4, np.pi / 4, count)
        return np.stack([low, high, *centre, *width, angle], axis=1)


def behind_mask(path: Path) -> PupilOptics:
    """Return the microscope of the package with a phase mask from a file in its pupil.

    Raises
    ------
    BadInput
        If the file is no image of a mask.
    """
    try:
        mask = read_mask(path)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path}: {error}; give an optics.json of zoo calibrate, or a mask in rad "
            "as .npy or .tif"
        ) from error
    return PUPILS["tetrapod"].override(zernikes_rad=(), mask=PhaseMap.of(mask))


@lru_cache(maxsize=16)
def _spot(optics: Any, pixel_nm: float, blur_nm: float, size_px: int) -> Psf:
    """Return a point-spread function with another blur."""
    if isinstance(optics, PupilOptics):
        optics = optics.override(blur_nm=blur_nm)
        field_um = (size_px + _REACH_PX) * pixel_nm / 1000
        samples = max(64, 2 * int(np.ceil(field_um * optics.aperture_per_um)))
    else:
        samples = 64
    return psf_of(optics, pixel_nm=pixel_nm, samples=samples, dtype=np.float32)
