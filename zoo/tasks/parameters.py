"""Parameters of single emitters: one row of a table for every region."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from zoo.core.contract import Contract, Options, Recording, Task
from zoo.core.errors import BadInput, BadPackage
from zoo.core.grid import Grid
from zoo.core.localizations import Localizations
from zoo.core.names import label, near
from zoo.core.regions import Cutting
from zoo.physics.pupil import PupilOptics
from zoo.tasks.estimating import Estimating
from zoo.tasks.rendering import RenderOptions

if TYPE_CHECKING:
    from zoo.physics.fisher import PixelNoise

COLUMNS = tuple(
    name for name in Localizations.__dataclass_fields__ if name not in ("frame",)
)
"""Columns that a network may estimate."""


class ParameterOptions(RenderOptions):
    """What a user may decide about estimates."""

    refine: bool = False
    """Go on from the network's estimates to the maximum of the likelihood under the
    optics that the package was trained for."""
    max_misfit: float = Field(default=0.25, gt=0)
    """Largest part of an emitter's light that may be left unexplained; in a movie,
    emitters beyond are left out."""
    excess_noise: float = Field(default=1.0, ge=1, le=2)
    """Variance of a pixel over its photons: 1, for an EM-CCD 2."""
    read_noise_photons: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Standard deviation of a dark pixel, photons."""
    picasso: bool = False
    """Write localizations of a movie for Picasso, too: HDF5 and YAML."""

    def noise(self) -> "PixelNoise":
        """Return the noise of the camera's pixels, in photons."""
        from zoo.physics.fisher import PixelNoise

        variance = self.read_noise_photons**2
        return PixelNoise(excess=self.excess_noise, read_variance_e2=variance)


class Parameters(Task):
    """A network that estimates the parameters of one emitter per region.

    For regions that were given, x and y count from the centre of the region's central
    pixel, the one of index ``n // 2``, and regions are the frames of the table, from 1.
    For emitters found in a movie both are those of the movie.
    """

    options: ClassVar[type[Options]] = ParameterOptions
    tags: ClassVar[tuple[str, ...]] = ("localization",)
    title: ClassVar[str] = "single-molecule parameter estimation"
    texts: ClassVar[tuple[str, str]] = (
        "Region around one emitter",
        "Parameters of the emitter",
    )
    output_name: ClassVar[str] = "value"
    files: ClassVar[tuple[str, ...]] = (
        "localizations.csv",
        "reconstruction.ome.tif",
        "localizations.hdf5",
        "localizations.yaml",
    )

    kind: Literal["parameters"] = "parameters"
    columns: tuple[str, ...]
    """Column of the table for every output, such as ``x_nm``."""
    factors: tuple[float, ...] | None = None
    """What outputs are multiplied by to get the unit of their column; 1 if left out."""
    per_pixel: tuple[str, ...] = ()
    """Columns whose outputs count camera pixels: the recording's pixel size is another
    factor."""
    optics: PupilOptics | None = None
    """Objective, pixel and aberrations under which the network was trained; with them
    estimates get uncertainties, are tested and can be refined."""
    uncertainty_factor: float | None = Field(default=None, gt=0)
    """What bounds of errors are multiplied by to get those of the network, where it
    states none; 1 if left out."""

    @model_validator(mode="after")
    def _columns_of_a_table(self) -> Self:
        for name in self.columns:
            if name not in COLUMNS:
                raise ValueError(f"there is no column {name!r}; {near(name, COLUMNS)}")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("columns must be different")
        if not set(self.per_pixel) <= set(self.columns):
            raise ValueError("per_pixel must name some of the columns")
        if self.factors is not None and len(self.factors) != len(self.columns):
            raise ValueError(
                f"factors must be as many as the {len(self.columns)} columns, not "
                f"{len(self.factors)}"
            )
        return self

    def start(
        self, recording: Recording, contract: Contract, options: Options
    ) -> Estimating:
        """Begin to estimate; see `zoo.core.contract.Task.start`."""
        if contract.grid.output_space or len(contract.grid.outputs) != len(
            self.columns
        ):
            raise BadPackage(
                f"the package promises the columns {', '.join(self.columns)}, its "
                f"network gives {', '.join(contract.grid.outputs)} along "
                f"{', '.join(contract.grid.output_axes)}"
            )
        chosen = options if isinstance(options, ParameterOptions) else None
        chosen = chosen or ParameterOptions()
        optics = self.optics
        if not {"x_nm", "y_nm", "z_nm"} <= set(self.columns):
            optics = None
        if chosen.refine and optics is None:
            raise BadInput(
                "the package states no optics under which estimates could be refined; "
                "leave out --refine"
            )
        if chosen.picasso and not isinstance(recording, Cutting):
            raise BadInput(
                f"{recording.source} holds regions, Picasso takes places in a movie; "
                "leave out --picasso"
            )
        gaussian = chosen.render == "gaussian"
        if gaussian and not isinstance(recording, Cutting):
            raise BadInput(
                f"{recording.source} holds regions, of which no image is made; leave "
                "out --render"
            )
        stated = {"uncertainty_x_nm", "uncertainty_y_nm"} <= set(self.columns)
        if gaussian and optics is None and not stated:
            raise BadInput(
                "the package states no uncertainties, of which --render gaussian would "
                "draw; leave it out"
            )
        return Estimating(
            recording,
            contract,
            columns=self.columns,
            factors=self.factors,
            per_pixel=self.per_pixel,
            optics=optics,
            uncertainty_factor=self.uncertainty_factor or 1.0,
            refine=chosen.refine,
            max_misfit=chosen.max_misfit,
            noise=chosen.noise(),
            picasso=chosen.picasso,
            gaussian=gaussian,
        )

    def products(self, grid: Grid) -> str:
        """Return what is written, in a few words."""
        del grid
        return ", ".join(label(name)[0] for name in self.columns)
